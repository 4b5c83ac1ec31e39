"""Who may do what with which bucket, in one description; policies of identities and of buckets are rendered from it.

The service puts originals and never reads them; workers read them, write renditions and people's exports of their own
data, and put into the vault without reading it; whoever keeps the vault reads it, lifts its lock and puts originals
back. The service reads renditions and exports. Each identity has the few actions
that it needs, and everything else is denied, not merely not allowed: where a bucket does not enforce its owner's
ownership, as on Ceph, whoever puts an object owns it and may otherwise do with it what no policy mentions.

What servers make of a policy differs, and was measured on Ceph RGW 16.2:

- ``NotAction`` is accepted there and does nothing, so that each denial is also written out by actions;
- of the source of a copy by parts RGW looks at the object's owner alone, and at no policy; but it keeps the canned ACL
  of every plain put for conditions (an empty one too), and none of multipart uploads and forms: a Deny of
  ``s3:PutObject`` where there is none forbids those, and with them copies by parts into the bucket;
- a condition's key that RGW does not know is never there: ``StringNotEquals`` of it does not hold, ``Null`` of it does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from nightlight.store.interface import STATE_TAG

ORIGINALS, RENDITIONS, EXPORTS, VAULT = "originals", "renditions", "exports", "vault"
BUCKETS = (ORIGINALS, RENDITIONS, EXPORTS, VAULT)
SERVICE, WORKER, KEEPER = "service", "worker", "keeper"
IDENTITIES = (SERVICE, WORKER, KEEPER)
VERSION = "2012-10-17"


class S3ServerKind(StrEnum):
    """What kind of server renders and enforces policies."""

    AWS = "aws"
    CEPH = "ceph"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Grant:
    """All that an identity may do with a bucket; actions without their ``s3:``. Everything else is denied.

    With ``new_only`` it may put only where nothing is, on servers that can demand it.
    """

    identity: str
    bucket: str
    says: str
    actions: tuple[str, ...] = ()
    new_only: bool = False


_LIST = ("ListBucket", "ListBucketVersions", "ListBucketMultipartUploads")
_DELETE = ("DeleteObject", "DeleteObjectVersion")
_HOLD = "PutObjectLegalHold"
# What keeps an object from being erased, for the receipt.
_LOCKS = ("GetObjectRetention", "GetObjectLegalHold")
_KEPT = (
    "GetObject", "GetObjectTagging", *_LOCKS, "PutObject", "PutObjectTagging", *_DELETE, "AbortMultipartUpload", *_LIST,
)  # fmt: skip
_WRITTEN = ("GetObject", "PutObject", *_DELETE, "AbortMultipartUpload", *_LIST)
GRANTS = (
    Grant(SERVICE, ORIGINALS, "PutOriginals", ("PutObject",), new_only=True),
    Grant(SERVICE, RENDITIONS, "ServeRenditions", ("GetObject",)),
    Grant(SERVICE, EXPORTS, "GiveExports", ("GetObject",)),
    Grant(SERVICE, VAULT, "Vault"),
    Grant(WORKER, ORIGINALS, "ReadRestateAndErase", _KEPT),
    Grant(WORKER, RENDITIONS, "WriteAndErase", _KEPT),
    Grant(WORKER, EXPORTS, "WriteAndEraseExports", _WRITTEN),
    Grant(WORKER, VAULT, "PutIntoTheVault", ("PutObject", _HOLD), new_only=True),
    Grant(KEEPER, VAULT, "KeepTheVault", ("GetObject", "GetObjectVersion", _HOLD, *_DELETE, *_LIST)),
    Grant(KEEPER, ORIGINALS, "PutOriginalsBack", ("PutObject",)),
    Grant(KEEPER, RENDITIONS, "Renditions"),
    Grant(KEEPER, EXPORTS, "Exports"),
)
# What is about a bucket and not about its objects; of the actions that anybody is given.
_ON_BUCKETS = frozenset(_LIST)
# Every action that the servers know, as patterns that each of them takes: one that it does not know is an error to it.
# A pattern is denied whole if nothing below it is allowed.
_EVERY: dict[str, Any] = {
    "Get*": {
        "GetObject": {},
        "GetObject?*": {
            name: {}
            for name in (
                "GetObjectVersion", "GetObjectVersion?*", "GetObjectAcl", "GetObjectTagging", "GetObjectRetention",
                "GetObjectLegalHold",
            )
        },
        "GetBucket*": {}, "GetLifecycle*": {}, "GetReplication*": {},
    },
    "List*": {name: {} for name in (*_LIST, "ListMultipartUploadParts")},
    "Put*": {
        "PutObject": {},
        "PutObject?*": {
            name: {}
            for name in ("PutObjectAcl", "PutObjectTagging", "PutObjectVersion?*", "PutObjectRetention", _HOLD)
        },
        "PutBucket*": {}, "PutLifecycle*": {}, "PutReplication*": {},
    },
    "Delete*": {
        name: {} for name in (*_DELETE, "DeleteObjectTagging", "DeleteObjectVersion?*", "DeleteBucket*")
    },
    "AbortMultipartUpload": {}, "CreateBucket": {}, "BypassGovernanceRetention": {}, "RestoreObject": {},
}  # fmt: skip
_ACL_HEADERS = ("acl", "grant-read", "grant-write", "grant-read-acp", "grant-write-acp", "grant-full-control")


def identity_policy(identity: str, names: Mapping[str, str]) -> dict[str, Any]:
    """Return the policy to attach to an identity; ``names`` are the buckets' own."""
    statements: list[dict[str, Any]] = []
    for grant in GRANTS:
        if grant.identity == identity:
            statements += [_without_acls(statement) for statement in _statements(grant, names)]
    # Into a bucket of its own it could copy what it can name.
    own = {"Sid": "NoBucketOfItsOwn", "Effect": "Deny", "Action": ["s3:CreateBucket"], "Resource": ["arn:aws:s3:::*"]}
    return {"Version": VERSION, "Statement": [*statements, own]}


def _without_acls(statement: dict[str, Any]) -> dict[str, Any]:
    """Return a statement that names no ACLs: MinIO has none and refuses a policy that names them.

    Where there are some, NotAction denies them too (AWS), or the buckets' policies do by name (Ceph).
    """
    if "Action" not in statement:
        return statement
    return {**statement, "Action": [action for action in statement["Action"] if not action.endswith("Acl")]}


def bucket_policy(
    bucket: str,
    names: Mapping[str, str],
    principals: Mapping[str, str],
    *,
    tls_only: bool,
    server: S3ServerKind = S3ServerKind.OTHER,
) -> dict[str, Any]:
    """Return the policy of a bucket: nothing without TLS, and what each identity that has a principal may do there."""
    arn = f"arn:aws:s3:::{names[bucket]}"
    chosen: list[dict[str, Any]] = []
    if tls_only:
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
                {**statement, "Sid": f"{grant.identity}{statement['Sid']}", "Principal": principal}
                for statement in (*_statements(grant, names), *_conditions(grant, names, server))
            ]
    return {"Version": VERSION, "Statement": chosen}


def denied_actions(grant: Grant) -> list[str]:
    """Return the patterns of every action that a grant does not allow."""

    def below(tree: Mapping[str, Any]) -> list[str]:
        patterns: list[str] = []
        for pattern, children in tree.items():
            if not any(_matches(pattern, action) for action in grant.actions):
                patterns.append(pattern)
            elif children:
                patterns += below(children)
        return patterns

    return below(_EVERY) if grant.actions else ["*"]


def _matches(pattern: str, action: str) -> bool:
    """Say whether a policy's pattern is about an action: ``*`` is any text at its end, ``?*`` any but none."""
    if pattern.endswith("?*"):
        return action.startswith(pattern[:-2]) and len(action) > len(pattern) - 2
    return action.startswith(pattern[:-1]) if pattern.endswith("*") else action == pattern


def canonical(policy: Any) -> Any:
    """Return what a policy means, so that two that mean the same are equal: order, and lists of one, mean nothing."""
    if isinstance(policy, dict):
        return tuple(sorted((key, canonical(value)) for key, value in policy.items() if key not in {"Id", "Version"}))
    if isinstance(policy, list):
        ordered = sorted((canonical(entry) for entry in policy), key=repr)
        return ordered[0] if len(ordered) == 1 else tuple(ordered)
    return policy


def _statements(grant: Grant, names: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return what a grant allows, and the denial of everything else: by what is not named, and by name."""
    arn = f"arn:aws:s3:::{names[grant.bucket]}"
    both = [arn, f"{arn}/*"]
    statements: list[dict[str, Any]] = []
    for sid, resource, on_buckets in ((grant.says, f"{arn}/*", False), (f"{grant.says}List", arn, True)):
        actions = [f"s3:{action}" for action in grant.actions if (action in _ON_BUCKETS) is on_buckets]
        if actions:
            statements.append({"Sid": sid, "Effect": "Allow", "Action": actions, "Resource": [resource]})
    if grant.actions:
        needed = [f"s3:{action}" for action in grant.actions]
        statements.append({"Sid": f"{grant.says}Only", "Effect": "Deny", "NotAction": needed, "Resource": both})
    named = [f"s3:{action}" for action in denied_actions(grant)]
    statements.append({"Sid": f"{grant.says}NothingElse", "Effect": "Deny", "Action": named, "Resource": both})
    if _HOLD in grant.actions and grant.identity == WORKER:
        # With the put itself, never after it: who may set a hold on what is there may also lift it.
        for sid, condition in (
            ("HoldsAreNotLifted", {"StringNotEquals": {"s3:object-lock-legal-hold": "ON"}}),
            ("HoldsComeWithThePut", {"Null": {"s3:object-lock-legal-hold": "true"}}),
        ):
            hold = {"Action": [f"s3:{_HOLD}"], "Resource": [f"{arn}/*"], "Condition": condition}
            statements.append({"Sid": sid, "Effect": "Deny", **hold})
    return statements


def _conditions(grant: Grant, names: Mapping[str, str], server: S3ServerKind) -> list[dict[str, Any]]:
    """Return how an identity may not put, in what its server can be told of it."""
    if "PutObject" not in grant.actions:
        return []
    conditions: list[tuple[str, dict[str, dict[str, str]]]] = []
    if server is S3ServerKind.AWS and grant.new_only:
        conditions.append(("NeverOverwrites", {"Null": {"s3:if-none-match": "true"}}))
    if server is S3ServerKind.CEPH:
        # RGW keeps both keys for plain puts and for copies (the source is checked then), and neither for these.
        neither = {"s3:x-amz-acl": "true", "s3:x-amz-copy-source": "true"}
        conditions.append(("NoPartsNoForms", {"Null": neither}))
        for header in _ACL_HEADERS:
            sid = "No" + header.title().replace("-", "")
            conditions.append((sid, {"StringLike": {f"s3:x-amz-{header}": "?*"}}))
        if "PutObjectTagging" not in grant.actions:
            conditions.append(("NoStates", {"StringLike": {f"s3:RequestObjectTag/{STATE_TAG}": "*"}}))
    resource = [f"arn:aws:s3:::{names[grant.bucket]}/*"]
    return [
        {"Sid": sid, "Effect": "Deny", "Action": ["s3:PutObject"], "Resource": resource, "Condition": condition}
        for sid, condition in conditions
    ]
