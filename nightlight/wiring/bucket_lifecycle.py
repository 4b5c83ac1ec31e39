"""What the commands of lifecycle rules reach: the buckets, as whom, and the policy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from nightlight.catalogue.clock import shared_clock
from nightlight.retention.bucket_policies import BUCKETS, EXPORTS, ORIGINALS, VAULT
from nightlight.settings import Settings
from nightlight.settings.storage import LifecycleTarget, StoreKind
from nightlight.wiring.components import open_catalogue, own_buckets, policy_holder, proved_pack, s3_access
from nightlight.wiring.retention import posture, require_buckets
from nightlight_core.clock import Clock, system_clock
from nightlight_core.errors import SettingsRefused
from nightlight_core.ids import COPIES, EXPORTED, REVIEWED

if TYPE_CHECKING:
    from pathlib import Path

    from nightlight.flows.report import Look, TransparencyReports
    from nightlight.flows.retention.manage_lifecycle import ManageLifecycle
    from nightlight.retention.bucket_client import BucketClient
    from nightlight.retention.lifecycle_rule import LifecycleRule
    from nightlight.retention.wanted_rules import PrefixRules


@contextmanager
def lifecycle(settings: Settings, clock: Clock = system_clock) -> Iterator[ManageLifecycle]:
    """Give what plans and applies the buckets' lifecycle rules; raise SettingsRefused where there are no buckets."""
    from nightlight.flows.retention.manage_lifecycle import ManageLifecycle

    require_buckets(settings, "lifecycle rules are for buckets")
    with open_catalogue(settings) as catalogue:
        clock = shared_clock(catalogue, clock)
        policy = policy_holder(settings, catalogue, clock, decides=False)
        targets = lifecycle_targets(settings)
        buckets = {target.bucket: _bucket_client(settings, target) for target in targets}
        prefixes = {target.bucket: _prefix_rules(settings, target.use) for target in targets}
        yield ManageLifecycle(catalogue, buckets, prefixes, lambda: policy.refresh().compiled.retention, clock)


def lifecycle_targets(settings: Settings) -> list[LifecycleTarget]:
    """Return the buckets whose rules are managed; raise SettingsRefused where two have one name."""
    targets = settings.retention.lifecycle_targets or [
        LifecycleTarget.model_validate({"use": use, "bucket": name})
        for use, name in zip(BUCKETS, own_buckets(settings), strict=True)
    ]
    names = [target.bucket for target in targets]
    if len(set(names)) < len(names):
        raise SettingsRefused("NIGHTLIGHT_RETENTION_LIFECYCLE_TARGETS names a bucket twice")
    return list(targets)


def offline_rules(settings: Settings, folder: Path | None) -> dict[str, list[LifecycleRule]]:
    """Return the rules of each bucket from a folder's pack alone: no database, key or store is needed.

    Raises PolicyRefused where the pack is not proved.
    """
    from nightlight.retention.wanted_rules import wanted_rules

    table = proved_pack(folder or settings.policy.folder).retention
    targets = lifecycle_targets(settings)
    return {target.bucket: wanted_rules(table, _prefix_rules(settings, target.use)) for target in targets}


def _prefix_rules(settings: Settings, use: str) -> PrefixRules:
    from nightlight.retention.access_attempts import PROBES
    from nightlight.retention.lifecycle_rule import Transition
    from nightlight.retention.wanted_rules import PrefixRules

    if use == VAULT:
        return PrefixRules(forever=True)
    probes = (PROBES, "probes", 1)  # what `nightlight buckets check` could not clear away itself
    if use == EXPORTS:
        return PrefixRules(((EXPORTED, "exports", 1), (REVIEWED, "reviews", 1), probes))
    if use != ORIGINALS:
        return PrefixRules((probes,))
    named, _, days = settings.retention.move_originals.partition(":")
    moves = (Transition(int(days), None, named),) if named else ()
    return PrefixRules(((COPIES, "found-copies", settings.matching.trace_days + 1), probes), moves)


def _bucket_client(settings: Settings, target: LifecycleTarget) -> BucketClient:
    """Return the client of a bucket, as the target's profile or role, or as the store's identity."""
    from nightlight.retention.bucket_client import BucketClient
    from nightlight.store.aws_clients import assume_role, make_aws_client, session_of
    from nightlight.store.s3 import make_client

    access = s3_access(settings)
    where = target.endpoint_url or access.endpoint_url
    access = replace(access, endpoint_url=where, region=target.region or access.region)
    session = session_of(access, target.profile)
    if target.role_arn is not None:
        session = assume_role(session, target.role_arn, external_id=target.external_id, endpoint_url=where)
    # A server of one's own seldom has a token service; where a role was assumed, there is one.
    sts = make_aws_client("sts", access, session=session) if where is None or target.role_arn is not None else None
    return BucketClient(make_client(access, session), target.bucket, sts)


@contextmanager
def open_report(
    settings: Settings, *, threshold: int | None, buckets: bool, clock: Clock = system_clock
) -> Iterator[TransparencyReports]:
    """Give what makes transparency reports; ``buckets``: of how these stand too, where there are any."""
    from nightlight.flows.report import TransparencyReports

    looks: dict[str, Look] = {}
    with ExitStack() as stack:
        if buckets and settings.store.kind is StoreKind.S3:
            flow, state = stack.enter_context(lifecycle(settings, clock)), posture(settings)
            targets = lifecycle_targets(settings)
            several = len({target.use for target in targets}) < len(targets)
            for target in targets:
                what = f"{target.use} ({target.bucket})" if several else target.use
                looks[f"lifecycle of {what}"] = partial(describe_drift, flow, target.bucket)
            looks |= {f"bucket of {what}": partial(state.drift, what) for what in BUCKETS}
        catalogue = stack.enter_context(open_catalogue(settings))
        clock = shared_clock(catalogue, clock)
        least = threshold if threshold is not None else settings.policy.counter_threshold
        policy = policy_holder(settings, catalogue, clock, decides=False)
        yield TransparencyReports(catalogue, policy, least, clock, looks)


def describe_drift(flow: ManageLifecycle, name: str) -> list[str]:
    """Return what has changed in a bucket's rules since they were applied, a sentence each."""
    return [entry.sentence() for entry in flow.drift(name)]
