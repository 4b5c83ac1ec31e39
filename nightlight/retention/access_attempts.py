"""What an identity may not do with a bucket, each as one request that tries it on a probe object.

A request that is refused proves the refusal; one that is not has done what it says, to nothing but the probe.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from nightlight.retention.bucket_policies import BUCKETS, VAULT
from nightlight.store.interface import STATE_TAG

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

# What keys of probe objects begin with, in every bucket.
PROBES = "nightlight-probe/"
BODY = b"nightlight probe"
_MD5 = base64.b64encode(hashlib.md5(BODY, usedforsecurity=False).digest()).decode()
# Long enough to be in the future by the server's clock, and over before anybody wants the probe away.
_LOCK_S = 5
# The version that an object has in a bucket without versions; servers refuse it before they look for it.
_VERSION = "null"


@dataclass(frozen=True, slots=True)
class Target:
    """A bucket by its own name, and the key of a probe object in it, which may or may not be there."""

    client: S3Client
    bucket: str
    key: str

    @property
    def where(self) -> dict[str, Any]:
        """Return the parameters that name the object."""
        return {"Bucket": self.bucket, "Key": self.key}

    @property
    def beside(self) -> dict[str, Any]:
        """Return those of another object that is not there."""
        return {"Bucket": self.bucket, "Key": f"{self.key}-more"}


@dataclass(frozen=True, slots=True)
class Attempt:
    """One thing to try: the action that would allow it, what it is in words, the request, and in which buckets."""

    action: str
    what: str
    call: Callable[[Target], Any]
    only: tuple[str, ...] = BUCKETS


def put(target: Target, **more: Any) -> Any:
    """Put the probe object, if none is there."""
    return target.client.put_object(**target.where, Body=BODY, IfNoneMatch="*", **more)


def put_held(target: Target) -> Any:
    """Put the probe object under a legal hold, as the vault's are."""
    return put(target, ObjectLockLegalHoldStatus="ON", ContentMD5=_MD5)


def overwrite(target: Target) -> Any:
    """Put another object where the probe is."""
    return target.client.put_object(**target.where, Body=b"overwritten")


def _read(target: Target) -> Any:
    return target.client.get_object(**target.where)["Body"].read()


def _form(target: Target) -> None:
    """Upload by a form, as a browser would, and ask for it to be public."""
    import httpx

    public = {"acl": "public-read"}
    form = target.client.generate_presigned_post(target.bucket, f"{target.key}-form", public, [public])
    answer = httpx.post(form["url"], data=form["fields"], files={"file": BODY}, timeout=10)
    if answer.is_error:
        raise FormRefused(answer.status_code)


class FormRefused(Exception):  # noqa: N818 - an answer, not an error
    """The server's answer to a form that it did not take: ``status``."""

    def __init__(self, status: int) -> None:
        """Keep the answer's status."""
        super().__init__(f"HTTP {status}")
        self.status = status


def _retain(target: Target) -> Any:
    until = datetime.now(UTC) + timedelta(seconds=_LOCK_S)
    retention: Any = {"Mode": "GOVERNANCE", "RetainUntilDate": until}
    return target.client.put_object_retention(**target.where, Retention=retention)


def _on_object(method: str, **more: Any) -> Callable[[Target], Any]:
    """Return a request of the client's about the probe object."""
    return lambda target: getattr(target.client, method)(**target.where, **more)


def _on_bucket(method: str, **more: Any) -> Callable[[Target], Any]:
    """Return a request of the client's about the bucket."""
    return lambda target: getattr(target.client, method)(Bucket=target.bucket, **more)


def _put_beside(**more: Any) -> Callable[[Target], Any]:
    """Return a put of an object that is not there."""
    return lambda target: target.client.put_object(**target.beside, Body=BODY, IfNoneMatch="*", **more)


_TAG: Any = {"TagSet": [{"Key": STATE_TAG, "Value": "probe"}]}
_LIST_UPLOADS = _on_bucket("list_multipart_uploads", Prefix=PROBES)
_LIFT = _on_object("put_object_legal_hold", LegalHold={"Status": "OFF"})

# In the order in which they are tried: what would take the probe away comes last. Nothing here changes a bucket.
ATTEMPTS = (
    Attempt("GetObject", "read it", _read),
    Attempt("GetObject", "ask for its size and hash", _on_object("head_object")),
    Attempt("GetObjectVersion", "read a version", _on_object("get_object", VersionId=_VERSION)),
    Attempt("GetObjectTagging", "read its tags", _on_object("get_object_tagging")),
    Attempt("GetObjectAcl", "read its ACL", _on_object("get_object_acl")),
    Attempt("PutObjectTagging", "tag it", _on_object("put_object_tagging", Tagging=_TAG)),
    Attempt("PutObjectTagging", "put one with a tag", _put_beside(Tagging=f"{STATE_TAG}=probe")),
    Attempt("PutObjectAcl", "make it public", _on_object("put_object_acl", ACL="public-read")),
    Attempt("PutObjectAcl", "put a public one", _put_beside(ACL="public-read")),
    Attempt("PutObjectAcl", "put one that every account may read", _put_beside(ACL="authenticated-read")),
    Attempt("PutObjectAcl", "put a public one by a form", _form),
    Attempt("PutObjectRetention", "lock it for seconds", _retain, (VAULT,)),
    Attempt("PutObjectLegalHold", "lift its legal hold", _LIFT, (VAULT,)),
    Attempt("ListBucket", "list objects", _on_bucket("list_objects_v2", Prefix=PROBES)),
    Attempt("ListBucketVersions", "list versions", _on_bucket("list_object_versions", Prefix=PROBES)),
    Attempt("ListBucketMultipartUploads", "list unfinished uploads", _LIST_UPLOADS),
    Attempt("GetBucketPolicy", "read the policy", _on_bucket("get_bucket_policy")),
    Attempt("GetLifecycleConfiguration", "read the lifecycle rules", _on_bucket("get_bucket_lifecycle_configuration")),
    Attempt("DeleteObjectVersion", "delete a version", _on_object("delete_object", VersionId=_VERSION)),
    Attempt("DeleteObject", "delete it", _on_object("delete_object")),
)
