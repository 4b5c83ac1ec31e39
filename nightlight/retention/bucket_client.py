"""One bucket's lifecycle rules and objects, over the S3 API."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from nightlight.retention.caller_identity import caller_identity
from nightlight.store.aws_errors import code_of, store_errors
from nightlight_core.errors import LifecycleRefused, NotFound, ObjectMissing

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

    from nightlight.retention.lifecycle_plan import Raw

_NONE = frozenset({"NoSuchLifecycleConfiguration"})


@dataclass(frozen=True, slots=True)
class BucketObject:
    """A current object: its key, bytes, and when it was written."""

    key: str
    size: int
    written_at: datetime


class BucketClient:
    """A bucket, by whoever may change its rules."""

    def __init__(self, client: S3Client, name: str, sts: Any | None = None) -> None:
        """Use ``client`` for the bucket ``name``; ``sts`` is the token service's, where there is one."""
        self._client, self.name, self._sts = client, name, sts

    def caller(self) -> str:
        """Return who the server says that we are."""
        return caller_identity(self._client, self._sts)

    def rules(self) -> list[dict[str, Any]]:
        """Return every rule, as boto3 gives it."""
        with store_errors(self.name):
            try:
                answer = self._client.get_bucket_lifecycle_configuration(Bucket=self.name)
            except ClientError as error:
                if code_of(error) in _NONE:
                    return []
                if code_of(error) == "NoSuchBucket":
                    raise NotFound(f"{self.name}: there is no such bucket") from error
                if code_of(error) == "NotImplemented":  # for good: to ask again changes nothing
                    raise LifecycleRefused(f"{self.name}: this server has no lifecycle rules") from error
                raise
        return [dict(rule) for rule in answer.get("Rules", [])]

    def put(self, rules: Sequence[Raw]) -> None:
        """Put every rule: what is not among them is gone."""
        with store_errors(self.name):
            if rules:
                configuration: Any = {"Rules": [dict(rule) for rule in rules]}
                self._client.put_bucket_lifecycle_configuration(Bucket=self.name, LifecycleConfiguration=configuration)
            else:
                self._client.delete_bucket_lifecycle(Bucket=self.name)

    def objects(self, prefix: str = "") -> Iterator[BucketObject]:
        """Yield the current objects whose keys begin with ``prefix``."""
        with store_errors(self.name):
            for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix):
                for item in page.get("Contents", []):
                    yield BucketObject(item["Key"], item["Size"], item["LastModified"])

    def tags(self, key: str) -> dict[str, str]:
        """Return an object's tags; none where it is gone."""
        try:
            with store_errors(key):
                answer = self._client.get_object_tagging(Bucket=self.name, Key=key)
        except ObjectMissing:
            return {}
        return {tag["Key"]: tag["Value"] for tag in answer["TagSet"]}
