"""One bucket's lifecycle rules and objects, over the S3 API."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from nightlight_core.errors import NightlightError, ObjectMissing, StoreDenied, StoreUnavailable

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

    from nightlight.retention.lifecycle_plan import Raw

_NONE = frozenset({"NoSuchLifecycleConfiguration"})
_DENIED = frozenset({"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch"})


@dataclass(frozen=True, slots=True)
class BucketObject:
    """A current object: its key, bytes, and when it was written."""

    key: str
    size: int
    written_at: datetime


class BucketClient:
    """A bucket, by whoever may change its rules."""

    def __init__(self, client: S3Client, name: str) -> None:
        """Use ``client`` for the bucket ``name``."""
        self._client, self.name = client, name

    def rules(self) -> list[dict[str, Any]]:
        """Return every rule, as boto3 gives it."""
        try:
            answer = self._client.get_bucket_lifecycle_configuration(Bucket=self.name)
        except ClientError as error:
            if _code(error) in _NONE:
                return []
            raise _failed(error, self.name) from error
        except BotoCoreError as error:
            raise StoreUnavailable(f"{type(error).__name__}: {error}") from error
        return [dict(rule) for rule in answer.get("Rules", [])]

    def put(self, rules: Sequence[Raw]) -> None:
        """Put every rule: what is not among them is gone."""
        try:
            if rules:
                configuration: Any = {"Rules": [dict(rule) for rule in rules]}
                self._client.put_bucket_lifecycle_configuration(Bucket=self.name, LifecycleConfiguration=configuration)
            else:
                self._client.delete_bucket_lifecycle(Bucket=self.name)
        except ClientError as error:
            raise _failed(error, self.name) from error
        except BotoCoreError as error:
            raise StoreUnavailable(f"{type(error).__name__}: {error}") from error

    def objects(self, prefix: str = "") -> Iterator[BucketObject]:
        """Yield the current objects whose keys begin with ``prefix``."""
        try:
            for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix):
                for item in page.get("Contents", []):
                    yield BucketObject(item["Key"], item["Size"], item["LastModified"])
        except ClientError as error:
            raise _failed(error, self.name) from error
        except BotoCoreError as error:
            raise StoreUnavailable(f"{type(error).__name__}: {error}") from error

    def tags(self, key: str) -> dict[str, str]:
        """Return an object's tags; none where it is gone."""
        try:
            answer = self._client.get_object_tagging(Bucket=self.name, Key=key)
        except ClientError as error:
            failed = _failed(error, key)
            if isinstance(failed, ObjectMissing):
                return {}
            raise failed from error
        except BotoCoreError as error:
            raise StoreUnavailable(f"{type(error).__name__}: {error}") from error
        return {tag["Key"]: tag["Value"] for tag in answer["TagSet"]}


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _failed(error: ClientError, what: str) -> NightlightError:
    code = _code(error)
    message = f"{error.operation_name} {what}: {code}"
    if code == "NoSuchKey":
        return ObjectMissing(message)
    return StoreDenied(message) if code in _DENIED else StoreUnavailable(message)
