"""Buckets of somebody else's: listed page by page, and read one object at a time, never written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from nightlight.store.aws_errors import DENIED, MISSING, code_of
from nightlight.store.s3 import S3Access, make_client
from nightlight_core.errors import NightlightError, ObjectMissing, PayloadTooLarge, SourceDenied, StoreUnavailable

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

_MISSING = MISSING | {"NoSuchBucket"}


@dataclass(frozen=True, slots=True)
class SourceKey:
    """One key of a listing, and the entity tag, without its quotes, of what is under it."""

    key: str
    etag: str


@dataclass(frozen=True, slots=True)
class FetchedObject:
    """An object's bytes, its entity tag without quotes, and when it was written."""

    data: bytes
    etag: str
    written_at: datetime


# Where a walk goes on, and what stood before that.
Page = tuple[Sequence[SourceKey], dict[str, Any]]


class SourceBuckets:
    """The buckets of one server that an identity may read. The client is built on first use, after any fork."""

    def __init__(self, access: S3Access) -> None:
        """Read as ``access`` says; nothing is connected yet."""
        self._access = access

    @cached_property
    def client(self) -> S3Client:
        """Return the client."""
        return make_client(self._access)

    def pages(self, bucket: str, prefix: str, cursor: dict[str, Any]) -> Iterator[Page]:
        """Yield what is under a prefix, a page at a time, from where ``cursor`` says; raises like ``fetch``."""
        after = str(cursor.get("after", ""))
        while True:
            position: dict[str, Any] = {"StartAfter": after} if after else {}
            try:
                page = self.client.list_objects_v2(Bucket=bucket, Prefix=prefix, **position)
            except (ClientError, BotoCoreError) as error:
                raise source_error(error, f"s3://{bucket}/{prefix}") from error
            keys = [SourceKey(entry["Key"], entry["ETag"].strip('"')) for entry in page.get("Contents", [])]
            if keys:
                after = keys[-1].key
                yield keys, {"after": after}
            if not page.get("IsTruncated") or not keys:
                return

    def fetch(self, bucket: str, key: str, *, max_bytes: int) -> FetchedObject:
        """Return what is under a key now.

        Raises ObjectMissing, PayloadTooLarge, SourceDenied or StoreUnavailable.
        """
        try:
            answer = self.client.get_object(Bucket=bucket, Key=key)
            with answer["Body"] as stream:
                if answer["ContentLength"] > max_bytes:
                    raise PayloadTooLarge(f"{answer['ContentLength']} bytes; at most {max_bytes}")
                data = stream.read(max_bytes + 1)
        except (ClientError, BotoCoreError, OSError) as error:
            raise source_error(error, f"s3://{bucket}") from error
        if len(data) != answer["ContentLength"]:
            raise StoreUnavailable(f"s3://{bucket}: an object came in part")
        return FetchedObject(data, answer["ETag"].strip('"'), answer["LastModified"])


def source_error(error: Exception, what: str) -> NightlightError:
    """Return what is ours for an error of the S3 client's; keys are not named, for they may name people."""
    if not isinstance(error, ClientError):
        return StoreUnavailable(f"{what}: {type(error).__name__}")
    code = code_of(error)
    message = f"{what}: {error.operation_name}: {code}"
    if code in _MISSING:
        return ObjectMissing(message)
    return SourceDenied(message) if code in DENIED else StoreUnavailable(message)
