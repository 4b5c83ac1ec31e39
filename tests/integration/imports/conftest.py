from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import boto3
import pytest
from botocore.client import Config

from nightlight.store.s3 import S3Access
from nightlight.store.source_buckets import SourceBuckets
from tests.support.services import S3, S3_OWNER, identity, needed, token


@contextmanager
def bucket_of_pictures(*, versions=False):
    """A bucket of somebody else's on the real S3 server; (its name, a client that may write there)."""
    key, secret = identity(S3_OWNER)
    session = boto3.session.Session(aws_access_key_id=key, aws_secret_access_key=secret, region_name="us-east-1")
    client = session.client(
        "s3", endpoint_url=needed(S3), config=Config(s3={"addressing_style": "path"}, max_pool_connections=16)
    )
    name = f"avatars-{token()}"
    client.create_bucket(Bucket=name)
    try:
        yield name, client
    finally:
        # One by one: Ceph 16 dies of deleting many at once in a bucket that tells of it.
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=name)
        keys = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(lambda key: client.delete_object(Bucket=name, Key=key), keys))
        client.delete_bucket(Bucket=name)
        client.close()


@pytest.fixture
def avatars():
    with bucket_of_pictures() as bucket:
        yield bucket


@pytest.fixture
def access():
    return S3Access(needed(S3), "us-east-1", *identity(S3_OWNER), 2, 10)


@pytest.fixture
def foreign(access):
    return SourceBuckets(access)
