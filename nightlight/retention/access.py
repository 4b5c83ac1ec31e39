"""Who may do what with which bucket, in one description; policies of identities and of buckets are rendered from it.

The service puts originals and never reads them; workers read them, write renditions, and put into the vault without
reading it; whoever keeps the vault reads it, lifts its lock and puts originals back. What one does not need is denied
as well as not allowed: where a bucket does not enforce its owner's ownership, as on Ceph, whoever puts an object owns
it and may read it otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

ORIGINALS, RENDITIONS, VAULT = "originals", "renditions", "vault"
BUCKETS = (ORIGINALS, RENDITIONS, VAULT)
SERVICE, WORKER, KEEPER = "service", "worker", "keeper"
IDENTITIES = (SERVICE, WORKER, KEEPER)
VERSION = "2012-10-17"

_READ = ("GetObject", "GetObjectVersion", "GetObjectAcl", "PutObjectAcl")
_DELETE = ("DeleteObject", "DeleteObjectVersion")
_LIST = ("ListBucket", "ListBucketVersions")
_UPLOADS = ("ListBucketMultipartUploads",)
# What is about a bucket and not about its objects.
_ON_BUCKETS = frozenset((*_LIST, *_UPLOADS, "GetBucketObjectLockConfiguration"))


@dataclass(frozen=True, slots=True)
class Grant:
    """What an identity may do with a bucket, or must not; actions without their ``s3:``."""

    identity: str
    bucket: str
    says: str
    actions: tuple[str, ...]
    allowed: bool = True


_KEPT = ("GetObject", "GetObjectTagging", "PutObject", "PutObjectTagging", *_DELETE, "AbortMultipartUpload")
_INTO_THE_VAULT = ("PutObject", "PutObjectLegalHold")
_KEEP = ("GetObject", "GetObjectVersion", "PutObjectLegalHold", *_DELETE, *_LIST, *_UPLOADS)
GRANTS = (
    Grant(SERVICE, ORIGINALS, "PutOriginalsNeverReadThem", ("PutObject",)),
    Grant(SERVICE, ORIGINALS, "WhoPutsAnOriginalDoesNotOwnIt", (*_READ, *_DELETE, *_LIST), allowed=False),
    Grant(SERVICE, RENDITIONS, "ServeRenditions", ("GetObject",)),
    Grant(SERVICE, RENDITIONS, "ServeThemOnly", ("PutObject", "PutObjectAcl", *_DELETE, *_LIST), allowed=False),
    Grant(SERVICE, VAULT, "NothingOfTheVault", (*_READ, *_DELETE, *_LIST, *_INTO_THE_VAULT), allowed=False),
    Grant(WORKER, ORIGINALS, "ReadRestateAndErase", (*_KEPT, *_LIST, *_UPLOADS)),
    Grant(WORKER, RENDITIONS, "WriteAndErase", (*_KEPT, *_LIST, *_UPLOADS)),
    Grant(WORKER, VAULT, "PutIntoTheVaultNeverReadIt", _INTO_THE_VAULT),
    Grant(WORKER, VAULT, "WhoPutsIntoTheVaultDoesNotOwnIt", (*_READ, *_DELETE, *_LIST), allowed=False),
    Grant(KEEPER, VAULT, "KeepTheVault", _KEEP),
    Grant(KEEPER, ORIGINALS, "PutOriginalsBack", ("PutObject",)),
    Grant(KEEPER, ORIGINALS, "NeverReadThem", (*_READ, *_DELETE), allowed=False),
)  # fmt: skip


def identity_policy(identity: str, names: Mapping[str, str]) -> dict[str, Any]:
    """Return the policy to attach to an identity; ``names`` are the buckets' own."""
    grants = [grant for grant in GRANTS if grant.identity == identity]
    return {"Version": VERSION, "Statement": [one for grant in grants for one in _statements(grant, names)]}


def bucket_policy(
    bucket: str, names: Mapping[str, str], principals: Mapping[str, str], *, tls_only: bool
) -> dict[str, Any]:
    """Return the policy of a bucket: nothing without TLS, and what each identity that has a principal may do there."""
    chosen: list[dict[str, Any]] = []
    if tls_only:
        arn = f"arn:aws:s3:::{names[bucket]}"
        chosen.append(
            {
                "Sid": "NothingWithoutTls",
                "Effect": "Deny",
                "Principal": "*",
                "Action": "s3:*",
                "Resource": [arn, f"{arn}/*"],
                "Condition": {"Bool": {"aws:SecureTransport": "false"}},
            }
        )
    for grant in GRANTS:
        if grant.bucket == bucket and grant.identity in principals:
            principal = {"AWS": [principals[grant.identity]]}
            chosen += [
                {**one, "Sid": f"{grant.identity}{one['Sid']}", "Principal": principal}
                for one in _statements(grant, names)
            ]
    return {"Version": VERSION, "Statement": chosen}


def canonical(policy: Any) -> Any:
    """Return what a policy means, so that two that mean the same are equal: order, and lists of one, mean nothing."""
    if isinstance(policy, dict):
        return tuple(sorted((key, canonical(value)) for key, value in policy.items() if key not in {"Id", "Version"}))
    if isinstance(policy, list):
        found = sorted((canonical(one) for one in policy), key=repr)
        return found[0] if len(found) == 1 else tuple(found)
    return policy


def _statements(grant: Grant, names: Mapping[str, str]) -> list[dict[str, Any]]:
    arn = f"arn:aws:s3:::{names[grant.bucket]}"
    effect = "Allow" if grant.allowed else "Deny"
    told = []
    for sid, resource, on_buckets in ((grant.says, f"{arn}/*", False), (f"{grant.says}List", arn, True)):
        actions = [f"s3:{one}" for one in grant.actions if (one in _ON_BUCKETS) is on_buckets]
        if actions:
            told.append({"Sid": sid, "Effect": effect, "Action": actions, "Resource": [resource]})
    return told
