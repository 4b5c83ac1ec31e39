"""What `nightlight status` reaches."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

import nightlight
from nightlight.catalogue import migrate
from nightlight.catalogue.clock import shared_clock
from nightlight.flows.status import Look, StatusReader
from nightlight.provenance.certificates import CertificateChain
from nightlight.retention.wanted_rules import ERASED, most_days
from nightlight.settings import Settings
from nightlight.settings.storage import StoreKind
from nightlight.wiring.bucket_lifecycle import describe_drift, lifecycle, lifecycle_targets
from nightlight.wiring.components import open_catalogue, policy_holder
from nightlight_core.clock import Clock, system_clock


@contextmanager
def open_status(settings: Settings, *, buckets: bool, clock: Clock = system_clock) -> Iterator[StatusReader]:
    """Give what looks at a deployment; ``buckets``: at their lifecycle rules too, where there are any."""
    looks: dict[str, Look] = {}
    with ExitStack() as stack:
        if buckets and settings.store.kind is StoreKind.S3:
            flow = stack.enter_context(lifecycle(settings, clock))
            looks = {
                f"bucket {target.bucket}": partial(describe_drift, flow, target.bucket)
                for target in lifecycle_targets(settings)
            }
        catalogue = stack.enter_context(open_catalogue(settings))
        clock = shared_clock(catalogue, clock)
        policy = policy_holder(settings, catalogue, clock, decides=False).refresh()
        yield StatusReader(
            catalogue=catalogue,
            clock=clock,
            version=nightlight.__version__,
            schema=migrate.newest_revision(),  # open_catalogue refuses every other
            policy_digest=policy.digest,
            erasure_days=most_days(policy.compiled.retention, ERASED),
            certificate_days=partial(_certificate_days, settings, clock),
            looks=looks,
        )


def _certificate_days(settings: Settings, clock: Clock) -> float | None:
    """Return for how many days the certificate of manifests may still sign; None where this process has none."""
    if settings.provenance.chain is None:
        return None
    return round(CertificateChain.read(settings.provenance.chain).days_left(clock), 1)
