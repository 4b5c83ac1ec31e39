"""The one place where adapters are built and put together: for the service, and for the workers.

Two deployments: ``embedded`` (SQLite, a folder or S3, a private Redis; nothing to install) and ``scale``
(PostgreSQL, S3, RabbitMQ). Nothing is built at import time, and what only one kind of process uses is
imported only there.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nightlight.catalogue import migrate
from nightlight.catalogue.engine import Catalogue
from nightlight.clock import Clock, system_clock
from nightlight.delivery.access import Verifier
from nightlight.delivery.names import Names
from nightlight.delivery.tokens import UrlSigner
from nightlight.errors import NightlightError, PolicyRefused, SettingsRefused
from nightlight.flows.count import DecisionCounter
from nightlight.flows.decide import Decide
from nightlight.flows.declare import Declare
from nightlight.flows.deliver import Deliver
from nightlight.flows.erase import Delete, Erase
from nightlight.flows.intake import Intake
from nightlight.flows.policy_in_use import PolicyInUse, share_key_from
from nightlight.flows.publish import Reconcile, Relay, Send
from nightlight.flows.render import Render
from nightlight.flows.rollout import Rollout
from nightlight.flows.screen import Search, Verdicts
from nightlight.flows.trace import Trace
from nightlight.flows.traces import AskTrace, RunTrace
from nightlight.flows.work import Work
from nightlight.imaging.rendering import Rendering
from nightlight.keyring import KeyRing, decode_key
from nightlight.policy.compile import compile_folder
from nightlight.policy.prove import prove
from nightlight.policy.signing import PublicKeys
from nightlight.settings import Deployment, Environment, Settings, StoreKind, require
from nightlight.store.port import PutOnly

if TYPE_CHECKING:
    from nightlight.catalogue.profiles import Profile
    from nightlight.matching.listed import Lists
    from nightlight.store.port import ObjectStore, PutStore
    from nightlight.watermark.detect import Looked

ORIGINALS = "originals"
RENDITIONS = "renditions"
# A part that does not answer readiness in this state is named by its error code alone.
_OK = "ok"


@dataclass(frozen=True, slots=True)
class ServiceHouse:
    """Everything that the HTTP service reaches. It holds no way to read an original."""

    settings: Settings
    policy: PolicyInUse
    catalogue: Catalogue
    originals: PutOnly
    renditions: ObjectStore
    verifier: Verifier
    declare: Declare
    intake: Intake
    delete: Delete
    decide: Decide
    deliver: Deliver
    counter: DecisionCounter
    rollout: Rollout
    traces: AskTrace

    def lapses_at(self, profile: Profile) -> datetime:
        """Return when the profile's band lapses to unknown."""
        return profile.asserted_at + timedelta(days=self.settings.intake.assertion_days)

    def readiness(self) -> dict[str, str]:
        """Return, for each part, ``ok`` or the code of what is wrong with it."""
        return _readiness(self.catalogue, {ORIGINALS: self.originals, RENDITIONS: self.renditions})

    def close(self) -> None:
        """Let go of every connection."""
        self.catalogue.close()


@dataclass(frozen=True, slots=True)
class WorkerHouse:
    """Everything that the workers reach."""

    settings: Settings
    policy: PolicyInUse
    catalogue: Catalogue
    originals: ObjectStore
    renditions: ObjectStore
    render: Render
    erase: Erase
    traces: RunTrace
    reconcile: Reconcile
    rendering: Rendering
    clock: Clock

    def relay(self, send: Send) -> Relay:
        """Return the outbox relay over a way to send tasks."""
        return Relay(self.catalogue, send, self.clock)

    def readiness(self) -> dict[str, str]:
        """Return, for each part, ``ok`` or the code of what is wrong with it."""
        return _readiness(self.catalogue, {ORIGINALS: self.originals, RENDITIONS: self.renditions})

    def close(self) -> None:
        """Let go of every connection, and of the cage."""
        self.rendering.close()
        self.catalogue.close()


def build_service(settings: Settings, clock: Clock = system_clock) -> ServiceHouse:
    """Build the service's parts; raise SettingsRefused, PolicyRefused or CatalogueUnavailable."""
    catalogue = build_catalogue(settings)
    migrate.check_current(catalogue.engine)
    names, signer = _delivery(settings)
    policy = _policy(settings, catalogue)
    counter = DecisionCounter(catalogue, clock, flush_s=settings.policy.counter_flush_s)
    auth = settings.auth
    originals = PutOnly(build_store(settings, ORIGINALS))
    renditions = build_store(settings, RENDITIONS)
    return ServiceHouse(
        settings=settings,
        policy=policy,
        catalogue=catalogue,
        originals=originals,
        renditions=renditions,
        verifier=Verifier(
            require(auth.jwks, "NIGHTLIGHT_AUTH_JWKS"),
            issuer=auth.issuer,
            audience=auth.audience,
            leeway_s=auth.leeway_s,
        ),
        declare=Declare(catalogue, lambda: _words(policy), clock),
        intake=Intake(
            catalogue,
            originals,
            settings.intake,
            settings.worker.requeue_after_s,
            lambda: max(recipe.edge for recipe in policy.current().recipes),
            clock,
        ),
        delete=Delete(catalogue, clock),
        decide=Decide(
            catalogue,
            policy,
            counter,
            names,
            signer,
            settings.intake.assertion_days,
            settings.delivery.placeholder_cache_s,
            clock,
        ),
        deliver=Deliver(renditions, names, signer, clock),
        counter=counter,
        rollout=Rollout(
            catalogue,
            policy,
            _public_keys(settings.policy.publisher_keys),
            _public_keys(settings.policy.safety_keys),
            settings.policy.counter_threshold,
            counter.flush,
            clock,
        ),
        traces=AskTrace(catalogue, originals, settings.intake, settings.matching, clock),
    )


def build_worker(settings: Settings, clock: Clock = system_clock) -> WorkerHouse:
    """Build the workers' parts; raise SettingsRefused, PolicyRefused or CatalogueUnavailable."""
    catalogue = build_catalogue(settings)
    migrate.check_current(catalogue.engine)
    policy = _policy(settings, catalogue)
    names = Names(_name_key(settings))
    originals = build_store(settings, ORIGINALS)
    renditions = build_store(settings, RENDITIONS)
    work = Work(catalogue, settings.worker, clock)

    rendering = Rendering(settings)
    return WorkerHouse(
        settings=settings,
        policy=policy,
        catalogue=catalogue,
        originals=originals,
        renditions=renditions,
        render=Render(
            work,
            originals,
            renditions,
            names,
            lambda: rendering.recipes(policy.current().recipes),
            rendering.render,
            settings.intake,
            _search(settings),
        ),
        rendering=rendering,
        erase=Erase(work, originals, renditions),
        traces=RunTrace(work, originals, _trace(settings, catalogue, rendering, policy, clock), settings.intake),
        reconcile=Reconcile(
            catalogue, settings.worker, settings.intake.idempotency_hours, settings.matching.trace_days, clock
        ),
        clock=clock,
    )


@contextmanager
def tracing(settings: Settings, clock: Clock = system_clock) -> Iterator[Trace]:
    """Give what traces found copies: the catalogue, the cage, the mark's keys, and the index in the data folder."""
    catalogue = build_catalogue(settings)
    rendering = Rendering(settings)
    try:
        migrate.check_current(catalogue.engine)
        yield _trace(settings, catalogue, rendering, _policy(settings, catalogue), clock)
    finally:
        rendering.close()
        catalogue.close()


@contextmanager
def verdicts(settings: Settings, clock: Clock = system_clock) -> Iterator[Verdicts]:
    """Give what reports uploads that are on a hash list, and takes verdicts on them."""
    catalogue = build_catalogue(settings)
    try:
        migrate.check_current(catalogue.engine)
        yield Verdicts(catalogue, clock)
    finally:
        catalogue.close()


def hash_lists(settings: Settings) -> Lists:
    """Return the hash lists that uploads are held against; raise SettingsRefused where there is no folder of them."""
    from nightlight.matching.listed import Lists

    folder = settings.matching.lists_dir
    if folder is None:
        message = "NIGHTLIGHT_MATCHING_LISTS_DIR is not set: there are no hash lists"
        raise SettingsRefused(message)
    return Lists(folder.resolve(), _index_dir(settings))


def _search(settings: Settings) -> Search:
    if settings.matching.lists_dir is None:
        return lambda _: ()
    return hash_lists(settings).search


def _index_dir(settings: Settings) -> Path:
    return (settings.matching.index_dir or settings.general.data_dir / "index").resolve()


def _trace(settings: Settings, catalogue: Catalogue, rendering: Rendering, policy: PolicyInUse, clock: Clock) -> Trace:
    def detect(pixels: Any) -> Looked:
        sides = {recipe.edge for recipe in policy.current().recipes if recipe.hidden_mark != "none"}
        return rendering.detect(pixels, sorted(sides))

    return Trace(catalogue, _index_dir(settings), rendering.look, detect, clock)


def build_catalogue(settings: Settings) -> Catalogue:
    """Return the catalogue that the settings name."""
    concern = settings.catalogue
    if concern.url is not None:
        url = concern.url.get_secret_value()
    elif settings.general.deployment is Deployment.EMBEDDED:
        url = embedded_catalogue_url(settings.general.data_dir)
    else:
        url = require(None, "NIGHTLIGHT_CATALOGUE_URL")
    return Catalogue(url, pool_size=concern.pool_size, timeout_s=concern.timeout_s)


def embedded_catalogue_url(data_dir: Path) -> str:
    """Return the URL of the SQLite file in the data folder, which is made if it is not there."""
    folder = data_dir.resolve()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return f"sqlite:///{folder / 'catalogue.sqlite3'}"


def build_store(settings: Settings, bucket: str) -> ObjectStore:
    """Return the store of one bucket (``originals`` or ``renditions``), with this process's own identity."""
    concern = settings.store
    if concern.kind is StoreKind.LOCAL:
        if settings.general.environment is Environment.PRODUCTION and settings.general.deployment is Deployment.SCALE:
            message = "NIGHTLIGHT_STORE_KIND=local keeps one identity for all processes; scale deployments need s3"
            raise SettingsRefused(message)
        from nightlight.store.local import LocalStore

        return LocalStore(settings.general.data_dir.resolve() / "objects" / bucket)
    from nightlight.store.s3 import S3Access, S3Store

    secret = concern.secret_access_key
    access = S3Access(
        endpoint_url=concern.endpoint_url,
        region=concern.region,
        access_key_id=concern.access_key_id,
        secret_access_key=secret.get_secret_value() if secret else None,
        connect_timeout_s=concern.connect_timeout_s,
        read_timeout_s=concern.read_timeout_s,
    )
    name = concern.originals_bucket if bucket == ORIGINALS else concern.renditions_bucket
    return S3Store(name, access)


def _policy(settings: Settings, catalogue: Catalogue) -> PolicyInUse:
    compiled = compile_folder(settings.policy.dir)
    failures = prove(compiled)
    if failures:
        raise PolicyRefused("\n".join(str(failure) for failure in failures))
    share_key = settings.policy.share_key
    return PolicyInUse(
        catalogue,
        compiled,
        _public_keys(settings.policy.publisher_keys),
        poll_s=settings.policy.poll_s,
        share_key=decode_key(share_key.get_secret_value(), "NIGHTLIGHT_POLICY_SHARE_KEY")
        if share_key
        else share_key_from(_name_key(settings)),
    )


def _public_keys(path: Path | None) -> PublicKeys | None:
    return PublicKeys.read(path) if path is not None else None


def _words(policy: PolicyInUse) -> dict[str, tuple[str, ...]]:
    """Return the closed lists that declarations are checked against."""
    vocabulary = policy.current().compiled.pack.vocabulary
    return {**vocabulary.attributes, "assurance": vocabulary.assurance}


def _name_key(settings: Settings) -> bytes:
    variable = "NIGHTLIGHT_DELIVERY_NAME_KEY"
    return decode_key(require(settings.delivery.name_key, variable), variable)


def _delivery(settings: Settings) -> tuple[Names, UrlSigner]:
    variable = "NIGHTLIGHT_DELIVERY_SIGNING_KEYS"
    ring = KeyRing.parse(require(settings.delivery.signing_keys, variable), variable)
    return Names(_name_key(settings)), UrlSigner(ring, settings.delivery.base_url)


def _readiness(catalogue: Catalogue, stores: dict[str, PutStore | PutOnly]) -> dict[str, str]:
    parts: dict[str, str] = {}
    for name, check in (("catalogue", catalogue.ready), *((name, store.ready) for name, store in stores.items())):
        try:
            check()
        except NightlightError as error:
            parts[name] = error.code
        else:
            parts[name] = _OK
    return parts
