"""Ways around a denied GetObject, tried on objects that the stores put: each was open once on the real server."""

import contextlib
import hashlib
import io

import httpx
import pytest
from botocore.exceptions import ClientError

from nightlight.store.interface import PutResult
from nightlight.store.s3 import S3Access, S3Store
from nightlight.store.vault import S3Vault
from tests.support.buckets import infra_buckets
from tests.support.services import S3_KEEPER, S3_OWNER, S3_SERVICE, S3_WORKER, identity, token

pytestmark = pytest.mark.integration
DATA = b"a picture of somebody"
WHO = {"service": S3_SERVICE, "worker": S3_WORKER, "keeper": S3_KEEPER}


@pytest.fixture(params=["service", "worker", "keeper"])
def put(request, buckets):
    """What an identity put where it may not read: (its client, the bucket, the key, everything that it may write to)."""
    variable = WHO[request.param]
    access = S3Access(buckets.endpoint, "us-east-1", *identity(variable), 2, 10)
    bucket = buckets.vault if request.param == "worker" else buckets.originals
    store = S3Vault(bucket, access, lock=True) if request.param == "worker" else S3Store(bucket, access)
    key = f"o/{token()}"
    asked = {"sha256": hashlib.sha256(DATA).hexdigest(), "content_type": "x/y"}
    assert store.put(key, io.BytesIO(DATA), **asked) is PutResult.STORED
    client = infra_buckets.client(buckets.endpoint, *identity(variable))
    yield client, bucket, key, [buckets.originals, buckets.renditions, buckets.vault]
    client.close()


def refused(call, **named):
    with pytest.raises(ClientError) as refusal:
        call(**named)
    assert refusal.value.response["Error"]["Code"] in {"AccessDenied", "403"}


def test_nothing_is_copied_out_by_parts(put):
    client, bucket, key, everywhere = put
    for bucket_name in everywhere:
        with contextlib.ExitStack() as stack:
            stack.enter_context(pytest.raises(ClientError, match="AccessDenied"))
            where = {"Bucket": bucket_name, "Key": f"{key}-copy"}
            upload = client.create_multipart_upload(**where)["UploadId"]
            client.upload_part_copy(**where, UploadId=upload, PartNumber=1, CopySource={"Bucket": bucket, "Key": key})
        refused(client.copy_object, Bucket=bucket_name, Key=f"{key}-copy", CopySource={"Bucket": bucket, "Key": key})


def test_nobody_makes_a_bucket_to_copy_into(put):
    refused(put[0].create_bucket, Bucket=f"own-{token()}")


def test_nothing_is_published(put, buckets):
    client, bucket, key, _ = put
    refused(client.put_object_acl, Bucket=bucket, Key=key, ACL="public-read")
    for acl in ("public-read", "authenticated-read"):
        refused(client.put_object, Bucket=bucket, Key=f"{key}-{acl}", Body=DATA, ACL=acl)
    for grant in ("GrantRead", "GrantReadACP", "GrantFullControl"):
        refused(client.put_object, Bucket=bucket, Key=f"{key}-granted", Body=DATA, **{grant: "id=owner"})
    form = client.generate_presigned_post(bucket, f"{key}-form", {"acl": "public-read"}, [{"acl": "public-read"}])
    assert httpx.post(form["url"], data=form["fields"], files={"file": DATA}).status_code == 403
    for name in (key, f"{key}-public-read", f"{key}-form"):
        assert httpx.get(f"{buckets.endpoint}/{bucket}/{name}").status_code == 403


def test_an_object_that_is_public_all_the_same_is_not_given_to_anybody(buckets):
    """By its owner's own hand, say: the bucket ignores it."""
    owner = infra_buckets.client(buckets.endpoint, *identity(S3_OWNER))
    owner.put_object(Bucket=buckets.originals, Key="o/public", Body=DATA, ACL="public-read")
    assert httpx.get(f"{buckets.endpoint}/{buckets.originals}/o/public").status_code == 403


def test_no_state_is_set_by_which_lifecycle_rules_delete(put):
    client, bucket, key, _ = put
    tags = {"TagSet": [{"Key": "nightlight-state", "Value": "erasure_asked"}]}
    refused(client.put_object_tagging, Bucket=bucket, Key=key, Tagging=tags)
    refused(client.delete_object_tagging, Bucket=bucket, Key=key)
    refused(client.put_object, Bucket=bucket, Key=f"{key}-t", Body=DATA, Tagging="nightlight-state=erasure_asked")
    refused(client.put_object, Bucket=bucket, Key=key, Body=DATA, Tagging="nightlight-state=erasure_asked")


def test_workers_lift_and_set_no_hold_and_lock_nothing_for_years(buckets):
    access = S3Access(buckets.endpoint, "us-east-1", *identity(S3_WORKER), 2, 10)
    asked = {"sha256": hashlib.sha256(DATA).hexdigest(), "content_type": "x/y"}
    key = f"h/{token()}"
    assert S3Vault(buckets.vault, access, lock=True).put(key, io.BytesIO(DATA), **asked) is PutResult.STORED
    worker, keeper = (infra_buckets.client(buckets.endpoint, *identity(account)) for account in (S3_WORKER, S3_KEEPER))
    for status in ("OFF", "ON"):
        refused(worker.put_object_legal_hold, Bucket=buckets.vault, Key=key, LegalHold={"Status": status})
    retention = {"Mode": "COMPLIANCE", "RetainUntilDate": "2090-01-01T00:00:00Z"}
    refused(worker.put_object_retention, Bucket=buckets.vault, Key=key, Retention=retention)
    refused(worker.delete_object, Bucket=buckets.vault, Key=key)
    keeper.put_object_legal_hold(Bucket=buckets.vault, Key=key, LegalHold={"Status": "OFF"})  # as it must be able to


@pytest.mark.parametrize("who", ["service", "worker", "keeper"])
def test_nobody_changes_a_bucket(buckets, who):
    client = infra_buckets.client(buckets.endpoint, *identity(WHO[who]))
    for bucket in (buckets.originals, buckets.renditions, buckets.vault):
        refused(client.delete_bucket_policy, Bucket=bucket)
        refused(client.put_bucket_acl, Bucket=bucket, ACL="public-read")
        refused(client.delete_bucket_lifecycle, Bucket=bucket)
        refused(client.put_bucket_versioning, Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})
        refused(client.delete_public_access_block, Bucket=bucket)
