"""What the commands of those who keep things reach: retention, buckets, holds, and pictures from elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from nightlight.catalogue.clock import shared_clock
from nightlight.catalogue.engine import Catalogue
from nightlight.flows.decisions.abuse_signals import AbuseReports
from nightlight.flows.imports.backfill import Backfill
from nightlight.flows.pictures.delete import DeletePictures
from nightlight.flows.pictures.hash_list_matches import ReviewMatches
from nightlight.flows.policies.policy_holder import PolicyHolder
from nightlight.flows.retention.legal_holds import PlaceHolds
from nightlight.flows.retention.retention_sweep import Sweep
from nightlight.flows.retention.tags import RetentionTags
from nightlight.jobs.runner import JobRunner
from nightlight.retention.bucket_policies import BUCKETS, KEEPER, SERVICE, WORKER, S3ServerKind
from nightlight.settings import Settings
from nightlight.settings.base import require
from nightlight.settings.storage import StoreKind
from nightlight.wiring.components import (
    ORIGINALS,
    RENDITIONS,
    VAULT,
    build_store,
    import_notifications,
    open_catalogue,
    own_buckets,
    policy_holder,
    receipt_issuer,
    s3_access,
    source_access,
    subject_hasher,
)
from nightlight.wiring.live_keys import LiveKeys
from nightlight.wiring.originals import opener, sealer, server_kind
from nightlight_core.clock import Clock, system_clock
from nightlight_core.errors import SettingsRefused

if TYPE_CHECKING:
    from nightlight.flows.imports.sqs_consumer import SqsConsumer
    from nightlight.flows.restore.mend_restored import MendRestored
    from nightlight.flows.retention.legal_holds import EndHolds
    from nightlight.retention.access_probe import AccessProbe
    from nightlight.retention.posture import Posture
    from nightlight.store.source_buckets import Page


_Flow = TypeVar("_Flow")
# The buckets that have lifecycle rules: all but the vault.


def _opening(flow: Callable[[Catalogue, Clock], _Flow]) -> Callable[..., AbstractContextManager[_Flow]]:
    """Return what gives a flow that needs nothing but the catalogue and the clock."""

    @contextmanager
    def opened(settings: Settings, clock: Clock = system_clock) -> Iterator[_Flow]:
        with open_catalogue(settings) as catalogue:
            clock = shared_clock(catalogue, clock)
            yield flow(catalogue, clock)

    return opened


# Deletes profiles and images; their objects are erased by the workers.
open_deletion = _opening(DeletePictures)
# Places and lists holds.
open_holds = _opening(PlaceHolds)
# Walks through other buckets.
open_backfill = _opening(Backfill)
# Reports uploads that are on a hash list, and takes verdicts on them.
open_match_review = _opening(ReviewMatches)
# Reports who looks like a scraper.
open_abuse_report = _opening(AbuseReports)


@contextmanager
def open_mending(settings: Settings, clock: Clock = system_clock) -> Iterator[MendRestored]:
    """Give what mends a restored catalogue: with the keys of erasures, and the right to list and erase objects."""
    from nightlight.flows.restore.compare_stores import CompareStores
    from nightlight.flows.restore.mend_restored import MendRestored
    from nightlight.flows.restore.purge_restored import PurgeRestored
    from nightlight.wiring.components import object_names
    from nightlight.wiring.erasure_parts import edge_purge, replica_buckets

    hasher, names = subject_hasher(settings), object_names(settings, LiveKeys())
    originals, renditions = build_store(settings, ORIGINALS), build_store(settings, RENDITIONS)
    with open_catalogue(settings) as catalogue:
        clock = shared_clock(catalogue, clock)
        yield MendRestored(
            catalogue,
            renditions,
            PurgeRestored(catalogue, DeletePictures(catalogue, clock), hasher),
            CompareStores(
                catalogue,
                originals,
                renditions,
                names.placeholders(),
                clock,
                edge_purge(settings, clock),
                replica_buckets(settings),
            ),
            clock,
        )


def bucket_names(settings: Settings) -> dict[str, str]:
    """Return the names of Nightlight's own buckets, by what they are for."""
    return dict(zip(BUCKETS, own_buckets(settings), strict=True))


def require_buckets(settings: Settings, what: str = "this is about buckets") -> None:
    """Raise SettingsRefused where there are no buckets."""
    if settings.store.kind is not StoreKind.S3:
        raise SettingsRefused(f"{what}: NIGHTLIGHT_STORE_KIND is not s3")


def posture(settings: Settings) -> Posture:
    """Return what reads and mends what buckets are like; raise SettingsRefused where there are no buckets."""
    from nightlight.retention.posture import Posture, PostureRequirements
    from nightlight.store.s3 import make_client

    require_buckets(settings)
    buckets = settings.buckets
    arns = buckets.service_principal, buckets.worker_principal, buckets.keeper_principal
    principals = zip((SERVICE, WORKER, KEEPER), arns, strict=True)
    requirements = PostureRequirements(
        bucket_names(settings),
        {identity: arn for identity, arn in principals if arn is not None},
        tls_only=buckets.tls_only,
        server=S3ServerKind(server_kind(settings)),
        block_public=buckets.block_public,
        kms_keys=buckets.kms_keys,
        log_bucket=buckets.log_bucket,
    )
    return Posture(make_client(s3_access(settings)), requirements)


def probe(settings: Settings, identity: str, elsewhere: str | None) -> AccessProbe:
    """Return what tries, as this process, what an identity must not be able to do; raise SettingsRefused."""
    from nightlight.retention.access_probe import AccessProbe
    from nightlight.store.s3 import make_client

    require_buckets(settings)
    return AccessProbe(
        make_client(s3_access(settings)),
        identity,
        bucket_names(settings),
        S3ServerKind(server_kind(settings)),
        vault_lock=settings.store.vault_lock,
        elsewhere=elsewhere,
    )


@contextmanager
def open_hold_ending(settings: Settings, clock: Clock = system_clock) -> Iterator[EndHolds]:
    """Give what ends holds, with the identity of whoever keeps the vault."""
    from nightlight.flows.retention.legal_holds import EndHolds

    with open_catalogue(settings) as catalogue:
        clock = shared_clock(catalogue, clock)
        yield EndHolds(
            catalogue,
            build_store(settings, ORIGINALS),
            build_store(settings, VAULT),
            receipt_issuer(settings),
            sealer(settings),
            settings.upload.max_bytes,
            clock,
            opener(settings),
            settings.retention.hold_approvers,
        )


def sweep_flow(settings: Settings, runner: JobRunner, policy: PolicyHolder, leftovers: Callable[[], int]) -> Sweep:
    """Return the sweep, with these parts."""
    return Sweep(
        runner,
        DeletePictures(runner.catalogue, runner.clock),
        retention=lambda: policy.current().compiled.retention,
        tables=lambda: policy.current().tables,
        assertion_days=settings.upload.assertion_days,
        leftovers=leftovers,
        earlier=lambda: policy.current().earlier,
        approvers=settings.retention.hold_approvers,
        records=settings.records,
    )


@contextmanager
def open_sweep(settings: Settings, clock: Clock = system_clock) -> Iterator[Sweep]:
    """Give what begins sweeps and tells what they did; the workers do them."""
    with open_catalogue(settings) as catalogue:
        clock = shared_clock(catalogue, clock)
        runner = JobRunner(catalogue, settings.worker, clock)
        yield sweep_flow(settings, runner, policy_holder(settings, catalogue, clock, decides=False), _by_workers)


def _by_workers() -> int:
    """Refuse: whoever begins a sweep does none of it, and needs no key for it."""
    raise SettingsRefused("rows of what was erased are removed by the workers")


@contextmanager
def open_retention_tags(settings: Settings, clock: Clock = system_clock) -> Iterator[RetentionTags]:
    """Give what has every object tagged by its state; the workers do it."""
    with open_catalogue(settings) as catalogue:
        clock = shared_clock(catalogue, clock)
        stores = build_store(settings, ORIGINALS), build_store(settings, RENDITIONS)
        yield RetentionTags(JobRunner(catalogue, settings.worker, clock), *stores)


def source_listing(settings: Settings, uri: str) -> tuple[str, Callable[[dict[str, Any]], Iterator[Page]]]:
    """Return the bucket whose objects an address is about, and what lists them from a place on.

    The address is ``s3://bucket/prefix``, or that of an inventory's ``manifest.json``. Raises InvalidInput,
    ObjectMissing, StoreDenied or StoreUnavailable.
    """
    from nightlight.flows.imports.notifications import refuse_own_bucket
    from nightlight.store.inventory import Inventory
    from nightlight.store.key_template import parse_uri
    from nightlight.store.source_buckets import SourceBuckets

    foreign = SourceBuckets(source_access(settings))
    bucket, key = parse_uri(uri)
    pages: Callable[[dict[str, Any]], Iterator[Page]] = partial(foreign.pages, bucket, key)
    if key.rpartition("/")[2] == "manifest.json":
        inventory = Inventory(foreign, bucket, key)
        bucket, pages = inventory.manifest.source_bucket, inventory.pages
    refuse_own_bucket(bucket, own_buckets(settings))
    return bucket, pages


@contextmanager
def open_sqs_consumer(settings: Settings, clock: Clock = system_clock) -> Iterator[SqsConsumer]:
    """Give what listens to the queue of notifications; raise SettingsRefused where there is none."""
    from nightlight.flows.imports.sqs_consumer import SqsConsumer
    from nightlight.flows.restore.position_watch import PositionWatch
    from nightlight.store.sqs import SqsQueue

    url = require(settings.source.queue_url, "NIGHTLIGHT_SOURCE_QUEUE_URL")
    if not settings.source.buckets:
        raise SettingsRefused("NIGHTLIGHT_SOURCE_BUCKETS names no bucket to listen to")
    access = source_access(settings, endpoint_url=settings.source.queue_endpoint_url)
    with open_catalogue(settings) as catalogue:
        clock = shared_clock(catalogue, clock)
        catalogue.gate = PositionWatch(catalogue, None).refuse
        yield SqsConsumer(SqsQueue(url, access), import_notifications(settings, catalogue, clock))
