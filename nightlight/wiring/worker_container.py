"""What the workers reach."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from io import BytesIO
from typing import TYPE_CHECKING

from nightlight import logs
from nightlight.catalogue import migrate
from nightlight.catalogue.engine import Catalogue
from nightlight.delivery.object_names import MEDIA_TYPES, ObjectNames, object_key
from nightlight.flows.decisions.edge_revocations import RevocationPublisher
from nightlight.flows.imports.import_picture import ImportPicture
from nightlight.flows.pictures.hash_lists import Screening
from nightlight.flows.pictures.image_hashes import ImageHasher
from nightlight.flows.pictures.render import Render
from nightlight.flows.pictures.rescreen import Rescreen
from nightlight.flows.pictures.revoke import RENDITION_CACHE, Rename
from nightlight.flows.pictures.upload import Upload
from nightlight.flows.policies.active_policy import PolicyHolder
from nightlight.flows.retention.erase import DeletePictures, EraseObjects, ReplicaBucket
from nightlight.flows.retention.legal_holds import CopyToVault
from nightlight.flows.retention.sweep import Sweep
from nightlight.flows.retention.tags import RetentionTags
from nightlight.flows.traces.requests import RunTrace
from nightlight.flows.webhooks import DeliverWebhooks, webhook_key
from nightlight.imaging.renderer import Renderer
from nightlight.jobs.relay import Reconcile, Relay, Send
from nightlight.jobs.runner import Work
from nightlight.retention.wanted_rules import ERASED, most_days
from nightlight.settings import Settings, require
from nightlight.store.interface import PutOnly, PutResult
from nightlight.wiring.components import (
    ORIGINALS,
    RENDITIONS,
    VAULT,
    build_catalogue,
    build_store,
    name_key,
    policy_holder,
    readiness,
    receipt_issuer,
    s3_access,
    source_access,
)
from nightlight.wiring.edges import edge_purge
from nightlight.wiring.operator_tools import manifest_signing, screening_if_set, trace_search
from nightlight.wiring.originals import import_sealer, opener, vault_sealer
from nightlight.wiring.retention import sweep_flow
from nightlight_core.clock import Clock, system_clock
from nightlight_core.decisions.placeholder import EXTENSION, placeholder_bytes
from nightlight_core.errors import NightlightError

if TYPE_CHECKING:
    from nightlight.store.interface import ObjectStore, Open


@dataclass(frozen=True, slots=True)
class WorkerContainer:
    """Everything that the workers reach."""

    settings: Settings
    policy: PolicyHolder
    catalogue: Catalogue
    originals: ObjectStore
    renditions: ObjectStore
    names: ObjectNames
    render: Render
    erase: EraseObjects
    rename: Rename
    restate: RetentionTags
    vault: CopyToVault
    take: ImportPicture
    notify: DeliverWebhooks
    edges: RevocationPublisher
    traces: RunTrace
    reconcile: Reconcile
    sweep: Sweep
    screening: Screening | None
    rescreen: Rescreen | None
    rendering: Renderer
    clock: Clock

    def relay(self, send: Send) -> Relay:
        """Return the outbox relay over a way to send tasks."""
        return Relay(self.catalogue, send, self.clock)

    def put_placeholder(self) -> None:
        """Put the placeholder under its name, so that an edge serves it like any picture."""
        data = placeholder_bytes()
        key = object_key(self.names.placeholder(), EXTENSION)
        digest = hashlib.sha256(data).hexdigest()
        try:
            put = self.renditions.put(
                key, BytesIO(data), sha256=digest, content_type=MEDIA_TYPES[EXTENSION], cache_control=RENDITION_CACHE
            )
            if put is PutResult.EXISTS and self.renditions.head(key).sha256 != digest:
                # Of another release: it stays, since a placeholder that changes would be seen by everybody.
                logs.get("worker").warning("placeholder.differs")
        except NightlightError as error:  # an edge has a copy of its own for when there is none here
            logs.get("worker").warning("placeholder.not_put", code=error.code)

    def readiness(self) -> dict[str, str]:
        """Return, for each part, ``ok`` or the code of what is wrong with it."""
        return readiness(self.catalogue, {ORIGINALS: self.originals, RENDITIONS: self.renditions})

    def close(self) -> None:
        """Let go of every connection, and of the sandbox."""
        self.rendering.close()
        self.catalogue.close()


def build_worker(settings: Settings, clock: Clock = system_clock) -> WorkerContainer:
    """Build the workers' parts; raise SettingsRefused, PolicyRefused or CatalogueUnavailable."""
    catalogue = build_catalogue(settings)
    migrate.check_current(catalogue.engine)
    policy = policy_holder(settings, catalogue)
    names = ObjectNames(name_key(settings))
    originals = build_store(settings, ORIGINALS)
    renditions = build_store(settings, RENDITIONS)
    work = Work(catalogue, settings.worker, clock)
    purge = edge_purge(settings, clock)

    rendering = Renderer(settings)
    again_s = settings.retention.prove_again_s
    erase = EraseObjects(work, originals, renditions, purge, receipt_issuer(settings), again_s, _replicas(settings))
    open_ = opener(settings)
    screening = screening_if_set(settings, catalogue, clock)
    return WorkerContainer(
        settings=settings,
        policy=policy,
        catalogue=catalogue,
        originals=originals,
        renditions=renditions,
        names=names,
        render=Render(
            work,
            originals,
            renditions,
            names,
            lambda: rendering.recipes(policy.current().recipes),
            rendering.render,
            settings.upload,
            open_=open_,
            sign=manifest_signing(settings, clock),
            screening=screening,
        ),
        rendering=rendering,
        erase=erase,
        rename=Rename(work, renditions, names, purge),
        restate=RetentionTags(work, originals, renditions),
        vault=CopyToVault(
            work,
            erase,
            PutOnly(build_store(settings, VAULT)),
            open_,
            settings.upload.max_bytes,
            vault_sealer(settings),
        ),
        take=_take(settings, policy, work, originals, DeletePictures(catalogue, clock)),
        notify=_notify(settings, catalogue, clock),
        edges=RevocationPublisher(catalogue, purge.edges, every_s=settings.delivery.edge_list_s, clock=clock),
        traces=RunTrace(
            work, originals, trace_search(settings, catalogue, rendering, policy, clock), settings.upload, open_
        ),
        reconcile=Reconcile(
            catalogue,
            settings.worker,
            settings.upload.idempotency_hours,
            settings.matching.trace_days,
            clock,
            lambda: most_days(policy.current().compiled.retention, ERASED),
        ),
        sweep=sweep_flow(settings, work, policy),
        screening=screening,
        rescreen=_rescreen(settings, work, screening, (originals, renditions), open_, rendering),
        clock=clock,
    )


def _take(
    settings: Settings, policy: PolicyHolder, work: Work, originals: ObjectStore, delete: DeletePictures
) -> ImportPicture:
    from nightlight.store.source_buckets import SourceBuckets

    intake = Upload(
        work.catalogue,
        PutOnly(originals),
        settings.upload,
        settings.worker.requeue_after_s,
        lambda: max(recipe.edge for recipe in policy.current().recipes),
        work.clock,
        import_sealer(settings),
    )
    foreign = SourceBuckets(source_access(settings))
    return ImportPicture(work, foreign, intake, delete, settings.upload.max_bytes, settings.source.follow_removals)


def _rescreen(
    settings: Settings,
    work: Work,
    screening: Screening | None,
    stores: tuple[ObjectStore, ObjectStore],
    open_: Open,
    rendering: Renderer,
) -> Rescreen | None:
    if screening is None:
        return None
    limit = settings.upload.max_bytes
    return Rescreen(work, screening, ImageHasher(work.catalogue, *stores, open_, rendering.match_lumas, limit))


def _replicas(settings: Settings) -> list[ReplicaBucket]:
    """Return the other buckets in which erasures happen too."""
    if not settings.retention.replicas:
        return []
    from nightlight.store.s3 import S3Store

    mine = s3_access(settings)
    return [
        ReplicaBucket(
            one.replica_of,
            f"{one.replica_of} replica {one.bucket}",
            S3Store(
                one.bucket,
                replace(mine, endpoint_url=one.endpoint_url or mine.endpoint_url, region=one.region or mine.region),
            ),
        )
        for one in settings.retention.replicas
    ]


def _notify(settings: Settings, catalogue: Catalogue, clock: Clock) -> DeliverWebhooks:
    hooks = settings.delivery
    if hooks.webhook_url is None:
        return DeliverWebhooks(catalogue, None, None, hooks.hook_timeout_s, clock)
    variable = "NIGHTLIGHT_DELIVERY_WEBHOOK_KEY"
    key = webhook_key(require(hooks.webhook_key, variable), variable)
    return DeliverWebhooks(catalogue, hooks.webhook_url, key, hooks.hook_timeout_s, clock)
