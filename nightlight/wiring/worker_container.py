"""What the workers reach."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from nightlight import logs
from nightlight.catalogue import migrate
from nightlight.catalogue.clock import shared_clock
from nightlight.catalogue.engine import Catalogue
from nightlight.catalogue.sql_roles import SqlRole
from nightlight.delivery.object_names import MEDIA_TYPES, ObjectNames, object_key
from nightlight.flows.decisions.edge_revocations import RevocationPublisher
from nightlight.flows.exports.make_export import MakeExport
from nightlight.flows.imports.import_picture import ImportPicture
from nightlight.flows.pictures.delete import DeletePictures
from nightlight.flows.pictures.hash_lists import Screening
from nightlight.flows.pictures.image_hashes import ImageHasher
from nightlight.flows.pictures.render import Render
from nightlight.flows.pictures.rerender import Rerender
from nightlight.flows.pictures.rerender_runs import RerenderFeeder
from nightlight.flows.pictures.rescreen import Rescreen
from nightlight.flows.pictures.revoke import RotateNames
from nightlight.flows.policies.policy_holder import PolicyHolder
from nightlight.flows.restore.position_watch import PositionWatch
from nightlight.flows.restore.write_position import WritePosition
from nightlight.flows.retention.erase import EraseObjects
from nightlight.flows.retention.expiry import Expiry
from nightlight.flows.retention.legal_holds import CopyToVault
from nightlight.flows.retention.remove_rows import RemoveErasedRows
from nightlight.flows.retention.retention_sweep import Sweep
from nightlight.flows.retention.tags import RetentionTags
from nightlight.flows.traces.requests import RunTrace
from nightlight.imaging.renderer import Renderer
from nightlight.jobs import kinds
from nightlight.jobs.relay import Reconciler, Relay, Send
from nightlight.jobs.runner import JobRunner
from nightlight.retention.wanted_rules import ERASED, audit_days, most_days
from nightlight.settings import Settings
from nightlight.settings.process import Deployment, Environment
from nightlight.store.interface import PutOnly, PutResult, put_bytes
from nightlight.wiring.components import (
    EXPORTS,
    ORIGINALS,
    RENDITIONS,
    VAULT,
    build_catalogue,
    build_store,
    name_keys,
    object_names,
    policy_holder,
    receipt_issuer,
    source_access,
    subject_hasher,
    upload_flow,
)
from nightlight.wiring.erasure_parts import edge_purge, replica_buckets
from nightlight.wiring.live_keys import LiveKeys
from nightlight.wiring.operator_tools import (
    manifest_signing,
    notice_screening,
    screening_if_set,
    trace_search,
)
from nightlight.wiring.originals import import_sealer, opener, vault_sealer
from nightlight.wiring.readiness import Check, catalogue_checks, disk_check, run_checks
from nightlight.wiring.retention import sweep_flow
from nightlight.wiring.takedowns import takedown_handlers
from nightlight.wiring.webhooks import webhook_delivery
from nightlight_core.clock import Clock, system_clock
from nightlight_core.decisions.placeholder import EXTENSION, placeholder_bytes
from nightlight_core.errors import NightlightError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nightlight.flows.traces.search import TraceSearch
    from nightlight.flows.webhooks.dispatch import DeliverWebhooks
    from nightlight.store.interface import ObjectStore


class Handler(Protocol):
    """Does the jobs of one kind."""

    def __call__(self, job_id: str, *, redelivered: bool) -> str:
        """Run one attempt; return how it ended. ``redelivered``: the message's last receiver died."""
        ...


@dataclass(frozen=True, slots=True)
class WorkerContainer:
    """Everything that the workers reach. ``handlers`` do the jobs; None is for a kind that this worker cannot do."""

    settings: Settings
    keys: LiveKeys
    policy: PolicyHolder
    catalogue: Catalogue
    originals: ObjectStore
    renditions: ObjectStore
    names: ObjectNames
    handlers: Mapping[kinds.JobKind, Handler | None]
    edges: RevocationPublisher
    reconciler: Reconciler
    expiry: Expiry
    sweep: Sweep
    rerenders: RerenderFeeder
    screening: Screening | None
    search: TraceSearch
    rendering: Renderer
    clock: Clock
    host_clock: Clock
    position: PositionWatch
    write_position: WritePosition

    def relay(self, send: Send) -> Relay:
        """Return the outbox relay over a way to send tasks."""
        return Relay(self.catalogue, send, self.clock)

    def notify(self) -> DeliverWebhooks:
        """Return what delivers events: the schedule's, which alone has their keys. Raises SettingsRefused."""
        return webhook_delivery(self.settings, self.catalogue, self.keys, self.clock)

    def put_placeholder(self) -> None:
        """Put the placeholder under its names, so that an edge serves it like any picture.

        Under that of a key that waits to be promoted too: it is there before anybody is sent to it.
        """
        data = placeholder_bytes()
        for name in self.names.placeholders():
            key = object_key(name, EXTENSION)
            try:
                put = put_bytes(self.renditions, key, data, MEDIA_TYPES[EXTENSION])
                if put is PutResult.EXISTS and self.renditions.head(key).sha256 != hashlib.sha256(data).hexdigest():
                    # Of another release: it stays, since a placeholder that changes would be seen by everybody.
                    logs.get("worker").warning("placeholder.differs")
            except NightlightError as error:  # an edge has a copy of its own for when there is none here
                logs.get("worker").warning("placeholder.not_put", code=error.code)

    def follow_names(self) -> None:
        """Put the placeholder now, and again whenever its keys change."""
        self.put_placeholder()
        name_keys(self.settings, self.keys).then(lambda _: self.put_placeholder())

    def readiness(self, role: SqlRole, queue: Check) -> dict[str, str]:
        """Return, for each part that a process of this role needs, ``ok`` or the code of what is wrong with it."""
        most_skew_s = self.settings.auth.leeway_s
        return run_checks(
            {
                **catalogue_checks(self.catalogue, role, self.host_clock, most_skew_s),
                ORIGINALS: self.originals.ready,
                RENDITIONS: self.renditions.ready,
                "disk": disk_check(self.settings.upload.max_bytes),
                "position": self.position.readiness,
                "queue": queue,
            }
        )

    def close(self) -> None:
        """Let go of every connection, and of the sandbox."""
        self.rendering.close()
        self.catalogue.close()


def build_worker(settings: Settings, clock: Clock = system_clock) -> WorkerContainer:
    """Build the workers' parts; raise SettingsRefused, PolicyRefused or CatalogueUnavailable."""
    catalogue = build_catalogue(settings)
    migrate.check_current(catalogue.engine)
    host_clock, clock = clock, shared_clock(catalogue, clock)
    live = LiveKeys()
    policy = policy_holder(settings, catalogue, clock, live)
    names = object_names(settings, live)
    originals = build_store(settings, ORIGINALS)
    renditions = build_store(settings, RENDITIONS)
    position = PositionWatch(catalogue, renditions)
    position.look()
    catalogue.gate = position.refuse
    runner = JobRunner(catalogue, settings.worker, clock)
    marks = settings.invisible_watermark.keys
    variable = "NIGHTLIGHT_INVISIBLE_WATERMARK_KEYS"
    rendering = Renderer(settings, live.ring("watermark", marks.get_secret_value(), variable) if marks else None)
    screening = screening_if_set(settings, catalogue, clock)
    purge = edge_purge(settings, clock)
    open_ = opener(settings, live)
    most_bytes = settings.upload.max_bytes

    render = Render(
        runner,
        originals,
        renditions,
        names,
        lambda: rendering.recipes(policy.current().recipes),
        rendering.render,
        settings.upload,
        open_=open_,
        signing=manifest_signing(settings, clock, live),
        screening=screening,
        watermark_key=lambda: rendering.watermark_key,
        notices=notice_screening(settings, catalogue),
    )
    again_s = settings.retention.prove_again_s
    receipts, subjects = receipt_issuer(settings, live), subject_hasher(settings, live)
    rows = RemoveErasedRows(
        runner, subjects, receipts, settings.erasure.keep_days, lambda: audit_days(policy.current().compiled.retention)
    )
    erase = EraseObjects(runner, originals, renditions, purge, rows, again_s, replica_buckets(settings))
    vault = PutOnly(build_store(settings, VAULT))
    search = trace_search(settings, catalogue, rendering, policy, clock)
    trace = RunTrace(runner, originals, search, settings.upload, open_)
    exports = build_store(settings, EXPORTS)
    make_export = MakeExport(
        runner,
        originals,
        exports,
        settings.export,
        lambda: policy.current().compiled.table,
        settings.upload.assertion_days,
        most_bytes,
        subjects,
        open_,
        _service_may_read_exports(settings),
    )
    sweep = sweep_flow(settings, runner, policy, rows.leftovers)
    rescreen = None
    if screening is not None:
        hasher = ImageHasher(catalogue, originals, renditions, open_, rendering.match_lumas, most_bytes)
        rescreen = Rescreen(runner, screening, hasher).run
    handlers: dict[kinds.JobKind, Handler | None] = {
        kinds.RENDER: render.run,
        kinds.ERASE: erase.run,
        kinds.VERIFY_ERASURE: erase.verify,
        kinds.REMOVE_ROWS: rows.run,
        kinds.ROTATE_NAMES: RotateNames(runner, renditions, names, purge).run,
        kinds.RETENTION_TAGS: RetentionTags(runner, originals, renditions).run,
        kinds.COPY_TO_VAULT: CopyToVault(runner, erase, vault, open_, most_bytes, vault_sealer(settings)).run,
        kinds.TRACE_SEARCH: trace.run,
        kinds.DELETE_COPY: trace.delete_copy,
        kinds.IMPORT: _import(settings, policy, runner, originals, live).run,
        kinds.RERENDER: Rerender(render, lambda: rendering.recipes(policy.current().wanted_recipes)).run,
        kinds.SWEEP: sweep.run,
        kinds.RESCREEN: rescreen,
        kinds.EXPORT: make_export.run,
        kinds.DELETE_EXPORT: make_export.delete,
        **takedown_handlers(settings, runner, originals, exports, rendering, search, live),
    }
    return WorkerContainer(
        settings=settings,
        keys=live,
        policy=policy,
        catalogue=catalogue,
        originals=originals,
        renditions=renditions,
        names=names,
        handlers=handlers,
        edges=RevocationPublisher(catalogue, purge.edges, every_s=settings.delivery.edge_list_s, clock=clock),
        reconciler=Reconciler(catalogue, settings.worker, clock),
        expiry=Expiry(
            catalogue,
            settings.upload.idempotency_hours,
            settings.matching.trace_days,
            clock,
            subjects,
            lambda: most_days(policy.current().compiled.retention, ERASED),
            settings.records,
        ),
        sweep=sweep,
        rerenders=RerenderFeeder(catalogue, clock, lambda: rendering.wanted(policy.current().wanted_recipes)),
        screening=screening,
        search=search,
        rendering=rendering,
        clock=clock,
        host_clock=host_clock,
        position=position,
        write_position=WritePosition(catalogue, renditions, clock),
    )


def _service_may_read_exports(settings: Settings) -> bool:
    """Say whether exports may be such that the service can read them: it can read originals anyway where all is one."""
    if settings.export.service_may_read is not None:
        return settings.export.service_may_read
    general = settings.general
    return not (general.environment is Environment.PRODUCTION and general.deployment is Deployment.SCALE)


def _import(
    settings: Settings, policy: PolicyHolder, runner: JobRunner, originals: ObjectStore, live: LiveKeys
) -> ImportPicture:
    from nightlight.store.source_buckets import SourceBuckets

    catalogue, clock = runner.catalogue, runner.clock
    return ImportPicture(
        runner,
        SourceBuckets(source_access(settings)),
        upload_flow(settings, catalogue, policy, PutOnly(originals), import_sealer(settings, live), clock),
        DeletePictures(catalogue, clock),
        settings.upload.max_bytes,
        settings.source.follow_removals,
    )
