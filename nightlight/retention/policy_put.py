"""Putting a bucket's policy without locking oneself out: what would do so is refused, or put back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from nightlight.retention.caller_identity import caller_identity
from nightlight.store.aws_errors import code_of
from nightlight_core.errors import SettingsRefused

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

# What servers answer where there is no such configuration.
ABSENT = frozenset(
    {
        "NoSuchPublicAccessBlockConfiguration", "OwnershipControlsNotFoundError", "NoSuchBucketPolicy",
        "ServerSideEncryptionConfigurationNotFoundError", "NoSuchCORSConfiguration", "NoSuchEncryptionConfiguration",
        "ObjectLockConfigurationNotFoundError", "404", "NoSuchConfiguration",
    }
)  # fmt: skip


def refuse_lock_out(client: S3Client, principals: Mapping[str, str], *, tls_only: bool) -> None:
    """Raise SettingsRefused for a policy after which nobody could put another one from here."""
    endpoint = client.meta.endpoint_url
    if tls_only and endpoint.startswith("http://"):
        message = f"{endpoint} is without TLS, and NIGHTLIGHT_BUCKETS_TLS_ONLY would refuse every request to it"
        raise SettingsRefused(f"{message}: use https, or turn the setting off")
    caller = caller_identity(client, None).removeprefix("s3:") if principals else ""
    for identity, arn in principals.items():
        if caller in {arn, arn.rpartition("/")[2]}:
            message = f"the {identity}'s principal {arn} is who runs this: its own policy would lock it out"
            raise SettingsRefused(message)


def put_policy(client: Any, name: str, want: Any) -> None:
    """Put a policy, see whether this process can still work with the bucket, and put the earlier one back if not.

    Raises ClientError: what the server refused of the policy, or of the look after it.
    """
    try:
        before = client.get_bucket_policy(Bucket=name)["Policy"]
    except ClientError as error:
        if code_of(error) not in ABSENT:
            raise
        before = None
    client.put_bucket_policy(Bucket=name, Policy=json.dumps(want))
    try:
        client.get_bucket_policy(Bucket=name)
        client.list_objects_v2(Bucket=name, MaxKeys=1)
    except ClientError:
        if before is None:
            client.delete_bucket_policy(Bucket=name)
        else:
            client.put_bucket_policy(Bucket=name, Policy=before)
        raise
