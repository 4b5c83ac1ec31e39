"""Clients of AWS services, with bounded timeouts and few retries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import boto3
from botocore.client import Config

if TYPE_CHECKING:
    from nightlight.store.s3 import S3Access


def make_aws_client(
    service: Literal["s3", "sqs", "kms"], access: S3Access, *, wait_s: float = 0, **options: Any
) -> Any:
    """Return a client, to be built after any fork.

    ``wait_s`` is how many seconds longer than usual an answer may take, ``options`` are of the client's configuration.
    """
    session = boto3.session.Session(
        aws_access_key_id=access.access_key_id,
        aws_secret_access_key=access.secret_access_key,
        region_name=access.region,
    )
    config = Config(
        connect_timeout=access.connect_timeout_s,
        read_timeout=access.read_timeout_s + wait_s,
        retries={"mode": "standard", "total_max_attempts": 3},
        **options,
    )
    return session.client(service, endpoint_url=access.endpoint_url, config=config)
