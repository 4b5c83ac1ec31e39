"""S3, or anything that speaks it, as an object store. The client is built on first use, after any fork."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, BinaryIO

from botocore.exceptions import BotoCoreError, ClientError

from nightlight.store.aws_clients import make_aws_client
from nightlight.store.aws_errors import DENIED, code_of, store_error, store_errors
from nightlight.store.interface import (
    CACHE_CONTROL,
    STATE_TAG,
    DeletedVersion,
    ObjectInfo,
    PutResult,
    StoredObject,
    check_key,
    checked,
)
from nightlight_core.errors import ObjectMissing, StoreDenied, StoreUnavailable

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

_EXISTS = frozenset({"PreconditionFailed", "412"})
# Another write to the key was under way, and nothing of this one was stored: S3's answer to a conditional put, S3's
# to one of several operations, and Ceph's.
_CONFLICT = frozenset({"ConditionalRequestConflict", "OperationAborted", "ConcurrentModification", "409"})
# 0.05 + 0.1 + 0.2 + 0.4 s at most between five attempts: the other write is a put of at most 64 MB.
_PUT_ATTEMPTS = 5
_CONFLICT_PAUSE_S = 0.05
# No lock on this object, as AWS and Ceph say it; none on the bucket; a server that knows none.
_NO_LOCK = frozenset(
    {
        "NoSuchObjectLockConfiguration", "ObjectLockConfigurationNotFoundError", "InvalidRequest", "NotImplemented",
    }
)  # fmt: skip
_HASH = "sha256"
IF_ABSENT = {"IfNoneMatch": "*"}


@dataclass(frozen=True, slots=True)
class S3Access:
    """Where the server is and who we are to it; the secret never prints."""

    endpoint_url: str | None
    region: str
    access_key_id: str | None
    secret_access_key: str | None = field(repr=False)
    connect_timeout_s: float
    read_timeout_s: float


class S3Store:
    """One bucket. A put is conditional on there being no object under the key."""

    def __init__(self, bucket: str, access: S3Access) -> None:
        """Use ``bucket`` as ``access`` says; nothing is connected yet."""
        self._bucket, self._access = bucket, access

    @cached_property
    def _client(self) -> S3Client:
        return make_client(self._access)

    def put(self, key: str, body: BinaryIO, *, sha256: str, content_type: str) -> PutResult:
        """See ObjectStore.put."""
        return self._put(key, body, sha256, content_type, IF_ABSENT)

    def replace(self, key: str, body: BinaryIO, *, sha256: str, content_type: str) -> None:
        """See ReplacingStore.replace."""
        if self._put(key, body, sha256, content_type, {}) is PutResult.EXISTS:
            raise StoreUnavailable(f"{key}: the server refused to replace what is there")

    def _put(self, key: str, body: BinaryIO, sha256: str, content_type: str, more: dict[str, Any]) -> PutResult:
        """Put until the server says yes or no: a conflict with another write stores nothing, and is tried again.

        An attempt that nobody answered (a server error, a cut connection) may have stored the object all the same; the
        client sends it again by itself, and then finds its own object there.
        """
        unanswered = False
        for attempt in range(_PUT_ATTEMPTS):
            body.seek(0)
            try:
                self._client.put_object(
                    Bucket=self._bucket,
                    Key=check_key(key),
                    Body=body,
                    ContentType=content_type,
                    CacheControl=CACHE_CONTROL,
                    Metadata={_HASH: sha256},
                    **more,
                )
            except ClientError as error:
                unanswered = unanswered or error.response.get("ResponseMetadata", {}).get("RetryAttempts", 0) > 0
                if code_of(error) in _EXISTS:
                    return PutResult.STORED if unanswered and self._is_ours(key, sha256) else PutResult.EXISTS
                if code_of(error) not in _CONFLICT or attempt == _PUT_ATTEMPTS - 1:
                    raise store_error(error, key) from error
            except BotoCoreError as error:
                raise store_error(error, key) from error
            else:
                return PutResult.STORED
            time.sleep(random.uniform(0.5, 1) * _CONFLICT_PAUSE_S * 2**attempt)  # noqa: S311 - no secret
        raise AssertionError  # pragma: no cover - the last attempt returns or raises

    def _is_ours(self, key: str, sha256: str) -> bool:
        """Say whether the object under a key is the one that an unanswered attempt of ours put.

        Who may not look has to take it for that: such processes put under keys that nobody else can know (random ones,
        or those that hold the hash of the bytes), and S3 stores all of an object or nothing.
        """
        try:
            return self.head(key).sha256 == sha256
        except StoreDenied:
            return True
        except ObjectMissing as error:
            raise StoreUnavailable(f"{key}: was there when it was put and is not any more") from error

    def ready(self) -> None:
        """See ObjectStore.ready: any answer of the server about the bucket will do, a refusal too."""
        try:
            self._client.head_bucket(Bucket=self._bucket)
        except ClientError as error:
            if code_of(error) not in DENIED:
                raise StoreUnavailable(f"bucket {self._bucket}: {code_of(error)}") from error
        except BotoCoreError as error:
            raise store_error(error, self._bucket) from error

    def get(self, key: str, *, max_bytes: int) -> StoredObject:
        """See ObjectStore.get."""
        with store_errors(key):
            answer = self._client.get_object(Bucket=self._bucket, Key=check_key(key))
            with answer["Body"] as stream:
                data = stream.read(max_bytes + 1)  # one more tells that there is more
        return checked(key, data, _info(answer), max_bytes)

    def head(self, key: str) -> ObjectInfo:
        """See ObjectStore.head."""
        with store_errors(key):
            return _info(self._client.head_object(Bucket=self._bucket, Key=check_key(key)))

    def delete(self, key: str) -> None:
        """See ObjectStore.delete."""
        with suppress(ObjectMissing), store_errors(key):
            self._client.delete_object(Bucket=self._bucket, Key=check_key(key))

    def retag(self, key: str, state: str) -> None:
        """See ObjectStore.retag."""
        with store_errors(key):
            head = self._client.head_object(Bucket=self._bucket, Key=check_key(key))
            self._client.copy_object(
                Bucket=self._bucket,
                Key=key,
                CopySource={"Bucket": self._bucket, "Key": key},
                CopySourceIfMatch=head["ETag"],
                # A copy onto itself must change something; what is said again here would be lost.
                MetadataDirective="REPLACE",
                Metadata=head["Metadata"],
                ContentType=head.get("ContentType", ""),
                CacheControl=head.get("CacheControl", ""),
            )
            # By itself: Ceph copies, and forgets the tags that came with the request.
            tags: Any = {"TagSet": [{"Key": STATE_TAG, "Value": state}]}
            self._client.put_object_tagging(Bucket=self._bucket, Key=key, Tagging=tags)

    def erase(self, key: str) -> list[DeletedVersion]:
        """See ObjectStore.erase."""
        removed, refused = [], None
        with store_errors(key):
            for version_id, marker in self._versions(check_key(key)):
                try:
                    answer = self._client.delete_object(Bucket=self._bucket, Key=key, VersionId=version_id)
                except ClientError as error:
                    if code_of(error) not in DENIED:
                        raise
                    refused = error
                    continue
                removed.append(DeletedVersion(version_id, marker, _request_id(answer)))
            for upload_id in self._uploads(key):
                ended = self._client.abort_multipart_upload(Bucket=self._bucket, Key=key, UploadId=upload_id)
                removed.append(DeletedVersion(upload_id, marker=False, request_id=_request_id(ended)))
            if refused is not None:
                raise refused
        return removed

    def locked_until(self, key: str) -> str | None:
        """See ObjectStore.locked_until."""
        dates: list[str] = []
        with store_errors(key):
            for version_id, marker in self._versions(check_key(key)):
                if not marker:
                    dates += self._locks(key, version_id)
        return None if not dates else "" if "" in dates else max(dates)

    def _locks(self, key: str, version_id: str) -> list[str]:
        """Return the date of a version's retention, and "" for a legal hold, of those that there are."""
        named: Any = {"Bucket": self._bucket, "Key": key, "VersionId": version_id}
        locks = []
        with _none_if_no_lock():
            until = self._client.get_object_retention(**named)["Retention"]["RetainUntilDate"]
            if until > datetime.now(UTC):
                locks.append(until.date().isoformat())
        with _none_if_no_lock():
            if self._client.get_object_legal_hold(**named)["LegalHold"].get("Status") == "ON":
                locks.append("")
        return locks

    def remains(self, key: str) -> list[DeletedVersion]:
        """See ObjectStore.remains."""
        with store_errors(key):
            versions = [DeletedVersion(version_id, marker, "") for version_id, marker in self._versions(check_key(key))]
            return versions + [
                DeletedVersion(upload_id, marker=False, request_id="") for upload_id in self._uploads(key)
            ]

    def _versions(self, key: str) -> list[tuple[str, bool]]:
        """Return (version id, whether it is a delete marker) of everything under a key."""
        versions = []
        pages = self._client.get_paginator("list_object_versions").paginate(Bucket=self._bucket, Prefix=key)
        for page in pages:
            versions += [(entry["VersionId"], False) for entry in page.get("Versions", []) if entry["Key"] == key]
            versions += [(entry["VersionId"], True) for entry in page.get("DeleteMarkers", []) if entry["Key"] == key]
        return versions

    def _uploads(self, key: str) -> list[str]:
        """Return the ids of unfinished uploads to a key."""
        pages = self._client.get_paginator("list_multipart_uploads").paginate(Bucket=self._bucket, Prefix=key)
        return [upload["UploadId"] for page in pages for upload in page.get("Uploads", []) if upload["Key"] == key]

    def keys(self, prefix: str = "") -> Iterator[str]:
        """See ObjectStore.keys."""
        with store_errors(prefix):
            for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix):
                yield from (item["Key"] for item in page.get("Contents", []))


@contextmanager
def _none_if_no_lock() -> Iterator[None]:
    """Pass over the answer of a server that there is no lock, on this object or on any of the bucket's."""
    try:
        yield
    except ClientError as error:
        if code_of(error) not in _NO_LOCK:
            raise


def make_client(access: S3Access) -> S3Client:
    """Return a boto3 client with bounded timeouts and few retries (the job's own retries come after)."""
    client: S3Client = make_aws_client(
        "s3",
        access,
        max_pool_connections=32,
        signature_version="s3v4",
        s3={"addressing_style": "path"} if access.endpoint_url else {},
        # Ceph RGW over TLS refuses the trailing checksums that boto3 adds on its own.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    return client


def _info(answer: Any) -> ObjectInfo:
    return ObjectInfo(
        size=answer["ContentLength"],
        sha256=answer["Metadata"].get(_HASH, ""),
        content_type=answer.get("ContentType", ""),
        cache_control=answer.get("CacheControl", ""),
    )


def _request_id(answer: Any) -> str:
    return str(answer.get("ResponseMetadata", {}).get("RequestId", ""))
