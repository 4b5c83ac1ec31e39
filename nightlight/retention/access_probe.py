"""Tries, with a process's own key, what its identity must not be able to do with the buckets; and what it must.

Everything is tried on probe objects, whose keys begin with ``nightlight-probe/``: no picture is touched, and no bucket
is changed. What an identity may delete it clears away, older probes of others included; what it leaves is cleared by
the workers' own probe and by the lifecycle rules after a day, and in the vault, where all is under a hold, by the
keeper's probe.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from nightlight.retention.access_attempts import (
    ATTEMPTS,
    PROBES,
    Attempt,
    FormRefused,
    Target,
    overwrite,
    put,
    put_held,
)
from nightlight.retention.bucket_policies import GRANTS, IDENTITIES, VAULT, WORKER, Grant, S3ServerKind
from nightlight.store.aws_errors import code_of
from nightlight_core.errors import InvalidInput, StoreUnavailable

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

_REFUSED = frozenset({"AccessDenied", "403", "Forbidden", "AllAccessDisabled", "TooManyBuckets"})
# The server does not have what was asked for, so nobody can do it there.
_UNSUPPORTED = frozenset(
    {"NotImplemented", "MethodNotAllowed", "AccessControlListNotSupported", "InvalidRequest", "501", "405"}
)
_ABSENT = frozenset({"NoSuchKey", "NoSuchVersion", "404", "NotFound"})
_SERVER_ERROR = 500
_OTHER_BUCKET = "another's bucket"
_OWN_BUCKET = "a bucket of its own"


class ProbeOutcome(StrEnum):
    """What came of an attempt."""

    REFUSED = "refused"  # as it must be
    UNSUPPORTED = "unsupported"  # the server has no such thing
    DONE = "done"  # and must not be
    LIMIT = "done, and no policy of this server refuses it"
    ALLOWED = "allowed"  # as it must be
    MISSING = "refused, and is needed"
    UNCLEAR = "not tried: there is no probe object"


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """One attempt: the bucket (by what it is for), what was tried, what came of it, and the server's answer."""

    bucket: str
    what: str
    outcome: ProbeOutcome
    answer: str
    remedy: str = ""


@dataclass(slots=True)
class ProbeReport:
    """What an identity was seen to be able to do; ``left`` are the probe objects that it could not clear away."""

    identity: str
    results: list[ProbeResult] = field(default_factory=list)
    left: list[str] = field(default_factory=list)

    def in_bucket(self, *outcomes: ProbeOutcome) -> list[ProbeResult]:
        """Return the attempts that came to any of these."""
        return [result for result in self.results if result.outcome in outcomes]


@dataclass(frozen=True, slots=True)
class AccessProbe:
    """Tries as one identity. ``names`` are the buckets' own, by what they are for.

    ``elsewhere`` is a bucket of somebody else that the identity may write to, where there is one: the last way to copy
    an object out. ``vault_lock`` says whether the vault has object lock.
    """

    client: S3Client
    identity: str
    names: Mapping[str, str]
    server: S3ServerKind
    vault_lock: bool = True
    elsewhere: str | None = None

    def run(self) -> ProbeReport:
        """Try everything; raises InvalidInput for no such identity, StoreUnavailable if the server does not answer."""
        if self.identity not in IDENTITIES:
            raise InvalidInput(f"an identity is {', '.join(IDENTITIES)}, not {self.identity!r}")
        report, token = ProbeReport(self.identity), secrets.token_hex(8)
        grants = [entry for entry in GRANTS if entry.identity == self.identity]
        placed: list[str] = []
        for grant in grants:
            if "PutObject" in grant.actions:
                step = put_held if grant.bucket == VAULT and self.vault_lock else put
                tried = self._try(grant.bucket, "put a new one", partial(step, self._at(grant, token)), needed=True)
                report.results.append(tried)
                placed += [grant.bucket] if tried.outcome is ProbeOutcome.ALLOWED else []
        for grant in grants:  # the copies first: what they are of is deleted at the end
            if grant.bucket in placed and "GetObject" not in grant.actions:
                report.results += self._copies(grant, token)
        report.results.append(self._bucket_of_its_own(token, placed))
        for grant in grants:
            report.results += self._of_bucket(grant, token, exists=grant.bucket in placed)
        for grant in grants:
            self._clear(grant, report)
        if self.elsewhere is not None:
            with contextlib.suppress(ClientError, BotoCoreError):
                self.client.delete_object(Bucket=self.elsewhere, Key=f"{PROBES}{token}")
        return report

    def _at(self, grant: Grant, token: str) -> Target:
        return Target(self.client, self.names[grant.bucket], f"{PROBES}{token}")

    def _of_bucket(self, grant: Grant, token: str, *, exists: bool) -> Iterator[ProbeResult]:
        """Try everything that there is about one bucket, the probe object in it being there or not."""
        target = self._at(grant, token)
        if "PutObject" not in grant.actions:
            yield self._try(grant.bucket, "put one", partial(put, target))
            older = self._older(grant)
            target, exists = (Target(self.client, target.bucket, older), True) if older else (target, False)
        else:
            yield from self._overwritten(grant, target, exists=exists)
        for attempt in ATTEMPTS:
            needed = _needed(grant, attempt)
            if grant.bucket in attempt.only and (exists or not needed or attempt.action.startswith("List")):
                tried = self._try(grant.bucket, attempt.what, partial(attempt.call, target), needed=needed)
                if tried.outcome is ProbeOutcome.DONE and not exists and tried.answer in _ABSENT:
                    tried = ProbeResult(grant.bucket, attempt.what, ProbeOutcome.UNCLEAR, tried.answer, _UNCLEAR_REMEDY)
                yield tried

    def _older(self, grant: Grant) -> str | None:
        """Return the key of a probe object that somebody else left, where the identity may look for one."""
        if "ListBucket" not in grant.actions:
            return None
        try:
            listing = self.client.list_objects_v2(Bucket=self.names[grant.bucket], Prefix=PROBES, MaxKeys=1)
        except (ClientError, BotoCoreError):
            return None
        return next((entry["Key"] for entry in listing.get("Contents", [])), None)

    def _overwritten(self, grant: Grant, target: Target, *, exists: bool) -> Iterator[ProbeResult]:
        """Try to overwrite the probe, where that is not the identity's work."""
        if exists and grant.new_only:
            remedy = "" if self.server is S3ServerKind.AWS else _OVERWRITE_REMEDY
            yield self._try(grant.bucket, "overwrite it", partial(overwrite, target), remedy=remedy)

    def _copies(self, grant: Grant, token: str) -> Iterator[ProbeResult]:
        """Try to copy what was put and may not be read to everywhere."""
        source = self._at(grant, token)
        for what, bucket in self.names.items():
            yield from self._copied(grant.bucket, source, what, f"the bucket of {what}", bucket)
        if self.elsewhere is not None:
            remedy = "" if self.server is S3ServerKind.AWS else _COPY_REMEDY
            yield from self._copied(grant.bucket, source, _OTHER_BUCKET, _OTHER_BUCKET, self.elsewhere, remedy)

    def _copied(
        self, source_bucket: str, source: Target, what: str, where: str, bucket: str, remedy: str = ""
    ) -> Iterator[ProbeResult]:
        target = Target(self.client, bucket, source.key if what == _OTHER_BUCKET else f"{source.key}-copy")
        for how, call in (("copy it", _copy), ("copy it by parts", _copy_by_parts)):
            yield self._try(source_bucket, f"{how} into {where}", partial(call, source, target), remedy=remedy)

    def _bucket_of_its_own(self, token: str, placed: list[str]) -> ProbeResult:
        """Try to make a bucket; one that is made is taken away again, with what could be copied into it."""
        name = f"nightlight-probe-{token}"
        tried = self._try(_OWN_BUCKET, "make one", partial(self._make_bucket, name))
        if tried.outcome is not ProbeOutcome.DONE:
            return tried
        read = []
        for bucket in placed:
            source = Target(self.client, self.names[bucket], f"{PROBES}{token}")
            copied = self._try(bucket, "", partial(_copy_by_parts, source, Target(self.client, name, bucket)))
            read += [bucket] if copied.outcome is ProbeOutcome.DONE else []
        with contextlib.suppress(ClientError, BotoCoreError):
            for bucket in placed:
                self.client.delete_object(Bucket=name, Key=bucket)
            self.client.delete_bucket(Bucket=name)
        answer = f"made; copied into it from: {', '.join(read) or 'nothing'}"
        return ProbeResult(_OWN_BUCKET, tried.what, tried.outcome, answer, tried.remedy)

    def _make_bucket(self, name: str) -> None:
        region = self.client.meta.region_name
        outside = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
        self.client.create_bucket(Bucket=name, **outside)  # type: ignore[arg-type] # the region is any text

    def _try(
        self, bucket: str, what: str, call: Callable[[], Any], *, needed: bool = False, remedy: str = ""
    ) -> ProbeResult:
        """Return what came of a request. What is not refused is taken for done, whatever the server says instead."""
        try:
            call()
        except FormRefused as error:
            return ProbeResult(bucket, what, ProbeOutcome.REFUSED, str(error))
        except ClientError as error:
            code = code_of(error)
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            if code in _REFUSED:
                return ProbeResult(bucket, what, ProbeOutcome.MISSING if needed else ProbeOutcome.REFUSED, code)
            if code in _UNSUPPORTED:
                return ProbeResult(bucket, what, ProbeOutcome.UNSUPPORTED, code)
            if status >= _SERVER_ERROR:
                raise StoreUnavailable(f"{bucket}: {what}: {code}") from error
            answer = code
        except BotoCoreError as error:
            raise StoreUnavailable(f"{bucket}: {what}: {type(error).__name__}") from error
        else:
            answer = "ok"
        if needed:
            passed = answer == "ok" or answer in _ABSENT  # it may, and there is nothing
            return ProbeResult(bucket, what, ProbeOutcome.ALLOWED if passed else ProbeOutcome.MISSING, answer)
        return ProbeResult(
            bucket, what, ProbeOutcome.LIMIT if remedy else ProbeOutcome.DONE, answer, remedy or _POLICY_REMEDY
        )

    def _clear(self, grant: Grant, report: ProbeReport) -> None:
        """Delete every probe object of a bucket, whoever's it is, or say that they stay."""
        bucket = self.names[grant.bucket]
        try:
            pages = self.client.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=PROBES)
            for page in pages:
                for version in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]:
                    where: Any = {"Bucket": bucket, "Key": version["Key"], "VersionId": version["VersionId"]}
                    if grant.bucket == VAULT and self.vault_lock and "ETag" in version:
                        self.client.put_object_legal_hold(**where, LegalHold={"Status": "OFF"})
                    self.client.delete_object(**where)
        except (ClientError, BotoCoreError):
            if "PutObject" in grant.actions:
                report.left.append(f"{grant.bucket}: {PROBES}")


_UNCLEAR_REMEDY = "run the workers' probe first: it leaves one"
_POLICY_REMEDY = (
    "attach the policies (`nightlight buckets fix`, `nightlight buckets policy`; with NIGHTLIGHT_STORE_SERVER=ceph on "
    "Ceph), and let this identity make no buckets"
)
_OVERWRITE_REMEDY = "this server has no condition for it: keep versions; what was changed does not open if it is sealed"
_COPY_REMEDY = "the server checks no policy of the source: seal what is put (NIGHTLIGHT_STORE_SEAL)"


def _needed(grant: Grant, attempt: Attempt) -> bool:
    """Say whether an identity must be able to do it: workers set holds, with the put, and lift none."""
    return attempt.action in grant.actions and not (grant.identity == WORKER and attempt.action == "PutObjectLegalHold")


def _copy(source: Target, target: Target) -> None:
    target.client.copy_object(**target.where, CopySource={"Bucket": source.bucket, "Key": source.key})


def _copy_by_parts(source: Target, target: Target) -> None:
    """Copy an object as the only part of an upload."""
    upload: Any = target.client.create_multipart_upload(**target.where)["UploadId"]
    try:
        copied = target.client.upload_part_copy(
            **target.where, UploadId=upload, PartNumber=1, CopySource={"Bucket": source.bucket, "Key": source.key}
        )
        parts: Any = {"Parts": [{"PartNumber": 1, "ETag": copied["CopyPartResult"].get("ETag", "")}]}
        target.client.complete_multipart_upload(**target.where, UploadId=upload, MultipartUpload=parts)
    except ClientError:
        with contextlib.suppress(ClientError):
            target.client.abort_multipart_upload(**target.where, UploadId=upload)
        raise
