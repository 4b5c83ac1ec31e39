"""What a bucket must be like: closed to the public, versioned, encrypted, over TLS, by least privilege, without CORS.

Every aspect is read, compared by what it means and, if asked for, put and read back: a server may take what it does not
do. What a server does not have at all is said to be unsupported, not to be right.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from nightlight.retention.bucket_policies import VAULT, S3ServerKind, bucket_policy, canonical
from nightlight.store.aws_errors import code_of, store_error
from nightlight_core.errors import NotFound

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

_UNSUPPORTED = frozenset({"NotImplemented", "MethodNotAllowed", "InvalidRequest", "XNotImplemented", "501", "405"})
_ABSENT = frozenset(
    {
        "NoSuchPublicAccessBlockConfiguration", "OwnershipControlsNotFoundError", "NoSuchBucketPolicy",
        "ServerSideEncryptionConfigurationNotFoundError", "NoSuchCORSConfiguration", "NoSuchEncryptionConfiguration",
        "ObjectLockConfigurationNotFoundError", "404", "NoSuchConfiguration",
    }
)  # fmt: skip
_PROBE = "nightlight-probe/"


class PostureState(StrEnum):
    """How one aspect of a bucket stands."""

    OK = "ok"
    DRIFT = "drift"
    UNSUPPORTED = "unsupported"
    NOT_ASKED = "not asked for"


@dataclass(frozen=True, slots=True)
class PostureRequirements:
    """What buckets are to be like. A bucket without one of ``kms_keys`` has the server's own.

    ``log_bucket`` None is for no logs. ``block_public`` False is for servers that take every policy and every writer
    for public: they only ignore ACLs.
    """

    names: Mapping[str, str]
    principals: Mapping[str, str]
    tls_only: bool = True
    server: S3ServerKind = S3ServerKind.OTHER
    block_public: bool = True
    kms_keys: Mapping[str, str] = field(default_factory=dict)
    log_bucket: str | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """One aspect of one bucket: how it stands, what is there and what is wanted, in words."""

    bucket: str
    aspect: str
    state: PostureState
    actual: str
    expected: str


class Posture:
    """Reads and mends what buckets are like, by whoever may change that."""

    def __init__(self, client: S3Client, wanted: PostureRequirements) -> None:
        """Use ``client`` for the buckets of ``wanted``."""
        self._client, self._wanted = client, wanted

    def chosen(self, buckets: Sequence[str] | None) -> list[str]:
        """Return the buckets that are named, all where none is; raises NotFound."""
        unknown = sorted(set(buckets or ()) - set(self._wanted.names))
        if unknown:
            raise NotFound(f"no bucket '{unknown[0]}'; there are {', '.join(self._wanted.names)}")
        return list(buckets or self._wanted.names)

    def check(self, bucket: str) -> list[Finding]:
        """Return how each aspect of a bucket (``originals``, ...) stands; raises StoreDenied or StoreUnavailable."""
        return [self._finding(aspect, bucket) for aspect in _ASPECTS]

    def drift(self, bucket: str) -> list[str]:
        """Return, in sentences, what of a bucket is not as it should be, or cannot be; raises like ``check``."""
        return [_sentence(finding) for finding in self.check(bucket) if finding.state in _WRONG]

    def fix(self, bucket: str) -> list[Finding]:
        """Mend what differs and can be mended, one aspect after the other; return how it stands then."""
        name = self._wanted.names[bucket]
        for aspect in _ASPECTS:
            if aspect.put is not None and self._finding(aspect, bucket).state is PostureState.DRIFT:
                try:
                    aspect.put(self._client, name, aspect.want(self._wanted, bucket))
                except (ClientError, BotoCoreError) as error:
                    if not isinstance(error, ClientError) or code_of(error) not in _UNSUPPORTED:
                        raise store_error(error, name) from error
        return self.check(bucket)

    def _finding(self, aspect: _Aspect, bucket: str) -> Finding:
        name, want = self._wanted.names[bucket], aspect.want(self._wanted, bucket)
        if want is None:
            return Finding(bucket, aspect.name, PostureState.NOT_ASKED, "", "")
        try:
            actual = aspect.read(self._client, name)
        except KeyError:  # it answered another question: Ceph lists a bucket where it does not know what is asked
            return Finding(bucket, aspect.name, PostureState.UNSUPPORTED, "the server does not know it", _text(want))
        except ClientError as error:
            code = code_of(error)
            if code in _UNSUPPORTED:
                return Finding(bucket, aspect.name, PostureState.UNSUPPORTED, code, _text(want))
            if code not in _ABSENT:
                raise store_error(error, name) from error
            actual = None
        except BotoCoreError as error:
            raise store_error(error, name) from error
        same = canonical(actual) == canonical(want)
        state = PostureState.OK if same else PostureState.DRIFT
        return Finding(bucket, aspect.name, state, _text(actual), _text(want))


_WRONG = (PostureState.DRIFT, PostureState.UNSUPPORTED)


def _sentence(finding: Finding) -> str:
    if finding.state is PostureState.UNSUPPORTED:
        return f"{finding.aspect}: unsupported by this server ({finding.actual}), should be {finding.expected}"
    return f"{finding.aspect}: is {finding.actual}, should be {finding.expected}"


@dataclass(frozen=True, slots=True)
class _Aspect:
    """How an aspect is read and put, and what is wanted of it: None where nothing is."""

    name: str
    read: Callable[[Any, str], Any]
    put: Callable[[Any, str, Any], Any] | None
    want: Callable[[PostureRequirements, str], Any]


def _encryption(client: Any, name: str) -> Any:
    """Return the default encryption, and whether an object really has it: servers say yes and do not."""
    rules = client.get_bucket_encryption(Bucket=name)["ServerSideEncryptionConfiguration"]["Rules"]
    by = rules[0]["ApplyServerSideEncryptionByDefault"]
    key = f"{_PROBE}{secrets.token_hex(8)}"
    put = client.put_object(Bucket=name, Key=key, Body=b"")
    head = client.head_object(Bucket=name, Key=key)
    more = {"VersionId": put["VersionId"]} if "VersionId" in put else {}
    client.delete_object(Bucket=name, Key=key, **more)
    return {"by": by.get("KMSMasterKeyID") or by["SSEAlgorithm"], "objects": "ServerSideEncryption" in head}


def _put_encryption(client: Any, name: str, want: Any) -> None:
    by = (
        {"SSEAlgorithm": "AES256"}
        if want["by"] == "AES256"
        else {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": want["by"]}
    )
    rules = {"Rules": [{"ApplyServerSideEncryptionByDefault": by, "BucketKeyEnabled": "KMSMasterKeyID" in by}]}
    client.put_bucket_encryption(Bucket=name, ServerSideEncryptionConfiguration=rules)


def _cors(client: Any, name: str) -> Any:
    try:
        rules = client.get_bucket_cors(Bucket=name)["CORSRules"]
    except ClientError as error:
        if code_of(error) in _ABSENT:
            return "none"
        raise
    return f"{len(rules)} rules"


def _logging(client: Any, name: str) -> Any:
    logging = client.get_bucket_logging(Bucket=name).get("LoggingEnabled")
    return logging and {"bucket": logging["TargetBucket"], "prefix": logging["TargetPrefix"]}


def _put_logging(client: Any, name: str, want: Any) -> None:
    target = {"TargetBucket": want["bucket"], "TargetPrefix": want["prefix"]}
    client.put_bucket_logging(Bucket=name, BucketLoggingStatus={"LoggingEnabled": target})


_ASPECTS = (
    _Aspect(
        "public access",
        lambda client, name: client.get_public_access_block(Bucket=name)["PublicAccessBlockConfiguration"],
        lambda client, name, want: client.put_public_access_block(Bucket=name, PublicAccessBlockConfiguration=want),
        lambda wanted, _bucket: {
            "BlockPublicAcls": wanted.block_public,
            "IgnorePublicAcls": True,
            "BlockPublicPolicy": wanted.block_public,
            "RestrictPublicBuckets": wanted.block_public,
        },
    ),
    _Aspect(
        "ownership",
        lambda client, name: client.get_bucket_ownership_controls(Bucket=name)["OwnershipControls"]["Rules"][0][
            "ObjectOwnership"
        ],
        lambda client, name, want: client.put_bucket_ownership_controls(
            Bucket=name, OwnershipControls={"Rules": [{"ObjectOwnership": want}]}
        ),
        lambda _wanted, _bucket: "BucketOwnerEnforced",
    ),
    _Aspect(
        "versioning",
        lambda client, name: client.get_bucket_versioning(Bucket=name).get("Status", "off"),
        lambda client, name, want: client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": want}),
        lambda _wanted, _bucket: "Enabled",
    ),
    _Aspect(
        "encryption",
        _encryption,
        _put_encryption,
        lambda wanted, bucket: {"by": wanted.kms_keys.get(bucket, "AES256"), "objects": True},
    ),
    _Aspect(
        "policy",
        lambda client, name: json.loads(client.get_bucket_policy(Bucket=name)["Policy"]),
        lambda client, name, want: client.put_bucket_policy(Bucket=name, Policy=json.dumps(want)),
        lambda wanted, bucket: (
            bucket_policy(bucket, wanted.names, wanted.principals, tls_only=wanted.tls_only, server=wanted.server)
            if wanted.principals or wanted.tls_only
            else None
        ),
    ),
    _Aspect(
        "cors",
        _cors,
        lambda client, name, _want: client.delete_bucket_cors(Bucket=name),
        lambda _wanted, _bucket: "none",
    ),
    _Aspect(
        "access logs",
        _logging,
        _put_logging,
        lambda wanted, bucket: (
            wanted.log_bucket and {"bucket": wanted.log_bucket, "prefix": f"{wanted.names[bucket]}/"}
        ),
    ),
    _Aspect(
        "object lock",
        lambda client, name: client.get_object_lock_configuration(Bucket=name)["ObjectLockConfiguration"][
            "ObjectLockEnabled"
        ],
        None,  # a bucket is made with it or never has it
        lambda _wanted, bucket: "Enabled" if bucket == VAULT else None,
    ),
)


def _text(value: Any) -> str:
    """Return a value in a line; a policy by the hash of what it means."""
    if isinstance(value, dict) and "Statement" in value:
        digest = hashlib.sha256(repr(canonical(value)).encode()).hexdigest()[:12]
        return f"{len(value['Statement'])} statements ({digest})"
    return "none" if value is None else value if isinstance(value, str) else json.dumps(value, sort_keys=True)
