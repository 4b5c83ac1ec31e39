"""Buckets of a test's own, on the real S3 server, with the policies of infra/s3."""

import importlib.util
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.services import S3, S3_KEEPER, S3_OWNER, identity, needed, token

_SPEC = importlib.util.spec_from_file_location("infra_buckets", Path(__file__).parents[2] / "infra/s3/buckets.py")
infra_buckets = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(infra_buckets)


@dataclass(frozen=True)
class Buckets:
    endpoint: str
    originals: str
    renditions: str
    exports: str
    vault: str
    owner: object


@contextmanager
def bucket_pair():
    endpoint = needed(S3)
    owner = infra_buckets.client(endpoint, *identity(S3_OWNER))
    mark = token()
    names = {what: f"nightlight-{mark}-{what}" for what in infra_buckets.BUCKETS}
    pair = Buckets(endpoint, **names, owner=owner)
    infra_buckets.make_buckets(owner, names)
    try:
        yield pair
    finally:
        for bucket in (pair.originals, pair.renditions, pair.exports):
            for page in owner.get_paginator("list_object_versions").paginate(Bucket=bucket):
                for version in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]:
                    owner.delete_object(Bucket=bucket, Key=version["Key"], VersionId=version["VersionId"])
            owner.delete_bucket(Bucket=bucket)
        _empty_the_vault(pair)
        owner.delete_bucket(Bucket=pair.vault)


def _empty_the_vault(pair):
    keeper = infra_buckets.client(pair.endpoint, *identity(S3_KEEPER))
    for page in keeper.get_paginator("list_object_versions").paginate(Bucket=pair.vault):
        for version in page.get("Versions", []):
            where = {"Bucket": pair.vault, "Key": version["Key"], "VersionId": version["VersionId"]}
            keeper.put_object_legal_hold(**where, LegalHold={"Status": "OFF"})
            keeper.delete_object(**where)
        for version in page.get("DeleteMarkers", []):
            keeper.delete_object(Bucket=pair.vault, Key=version["Key"], VersionId=version["VersionId"])
    keeper.close()
