"""A pair of buckets of a test's own, on the real S3 server, with the policies of infra/s3."""

import importlib.util
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.services import S3, S3_OWNER, identity, needed, token

_SPEC = importlib.util.spec_from_file_location("infra_buckets", Path(__file__).parents[2] / "infra/s3/buckets.py")
infra_buckets = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(infra_buckets)


@dataclass(frozen=True)
class Buckets:
    endpoint: str
    originals: str
    renditions: str
    owner: object


@contextmanager
def bucket_pair():
    endpoint = needed(S3)
    owner = infra_buckets.client(endpoint, *identity(S3_OWNER))
    mark = token()
    pair = Buckets(endpoint, f"nightlight-{mark}-originals", f"nightlight-{mark}-renditions", owner)
    infra_buckets.make_buckets(owner, pair.originals, pair.renditions)
    try:
        yield pair
    finally:
        for bucket in (pair.originals, pair.renditions):
            for page in owner.get_paginator("list_objects_v2").paginate(Bucket=bucket):
                for item in page.get("Contents", []):
                    owner.delete_object(Bucket=bucket, Key=item["Key"])
            owner.delete_bucket(Bucket=bucket)
