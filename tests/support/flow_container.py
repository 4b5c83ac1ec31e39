"""The flows over a real catalogue and real folders, with a clock that stands still and a list as their queue."""

import functools
import tempfile
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from nightlight.delivery.object_names import ObjectNames
from nightlight.delivery.purge import EdgePurge
from nightlight.flows.pictures.delete import DeletePictures
from nightlight.flows.pictures.profiles import DeclareProfile
from nightlight.flows.pictures.render import Render
from nightlight.flows.pictures.upload import Upload
from nightlight.flows.retention.erase import EraseObjects
from nightlight.flows.retention.expiry import Expiry
from nightlight.flows.retention.remove_rows import RemoveErasedRows
from nightlight.flows.retention.tags import RetentionTags
from nightlight.jobs.relay import Reconciler, Relay
from nightlight.jobs.runner import JobRunner
from nightlight.provenance.certificates import SigningAlgorithm, create_development_chain
from nightlight.provenance.signing import ManifestSigner, SigningCredential
from nightlight.retention.erasure_subjects import SubjectHasher
from nightlight.settings.pictures import UploadSettings
from nightlight.settings.process import WorkerSettings
from nightlight.store.local import LocalStore
from nightlight_core.errors import StoreUnavailable
from nightlight_core.keyring import KeyRing
from tests.support import pictures

# What hashes whoever is erased.
HASHER = SubjectHasher(KeyRing({"e1": b"e" * 32}))
START = datetime(2026, 11, 22, tzinfo=UTC)


@dataclass
class Clock:
    now: datetime = START

    def __call__(self):
        return self.now

    def forward(self, **by):
        self.now += timedelta(**by)


@dataclass
class Switch:
    """A store that can be turned off: everything raises as it does when the server is away."""

    store: LocalStore
    off: set = field(default_factory=set)

    def __getattr__(self, name):
        method = getattr(self.store, name)
        if name not in self.off:
            return method

        def away(*_args, **_kwargs):
            raise StoreUnavailable("away")

        return away


@functools.cache
def signing():
    """What signs manifests: with certificates of this run, and by the clock on the wall."""
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        create_development_chain(folder, SigningAlgorithm.ED25519, datetime.now(UTC))
        credential = SigningCredential.read(folder / "chain.pem", folder / "leaf.key.pem", folder / "root.pem")
    return ManifestSigner(credential, lambda: datetime.now(UTC))


@dataclass
class FlowContainer:
    catalogue: object
    originals: Switch
    renditions: Switch
    clock: Clock
    sent: list
    table: object
    recipes: tuple
    draw: object
    views: tuple = ()
    listed: object = lambda _: ()
    receipts: object = None
    limits: WorkerSettings = field(default_factory=WorkerSettings)

    def __post_init__(self):
        settings = UploadSettings()
        vocabulary = {"assurance": ("none", "verified"), **self.table.attributes}
        work = JobRunner(self.catalogue, self.limits, self.clock)
        self.declare = DeclareProfile(self.catalogue, lambda: vocabulary, lambda: (self.table,), 30, self.clock, HASHER)
        self.upload_flow = Upload(self.catalogue, self.originals, settings, 60, lambda: 1024, self.clock)
        self.delete = DeletePictures(self.catalogue, self.clock)
        self.render = Render(
            work, self.originals, self.renditions, ObjectNames(bytes(32)), lambda: self.recipes,
            lambda *asked: (self.draw(*asked), {}, self.views), settings,
            lambda views: self.listed(views),  # noqa: PLW0108 - a test may change it
            signing=signing(),
        )  # fmt: skip
        self.rows = RemoveErasedRows(work, HASHER, self.receipts, 400, lambda: 100)
        self.erase = EraseObjects(
            work, self.originals, self.renditions, EdgePurge(None, token=None, timeout_s=1), self.rows, 3600
        )
        self.retention_tags = RetentionTags(work, self.originals, self.renditions)
        self.reconciler = Reconciler(self.catalogue, self.limits, self.clock)
        self.expiry = Expiry(self.catalogue, 24, 30, self.clock, HASHER)
        self.relay = Relay(self.catalogue, lambda task, job_id, _lane: self.sent.append((task, job_id)), self.clock)

    def upload(self, profile_id, data=None, key=None, crop=None):
        with tempfile.TemporaryFile() as file:
            file.write(pictures.jpeg() if data is None else data)
            crop = ",".join(map(str, crop)) if crop else None
            return self.upload_flow.accept(profile_id, file, idempotency_key=key, actor="t", crop=crop)

    def deliver(self):
        """Publish what waits and run it, as the broker and a worker would."""
        self.relay.run_once()
        sent, self.sent[:] = list(self.sent), []
        run = {
            "nightlight.render": self.render.run, "nightlight.erase": self.erase.run,
            "nightlight.verify_erasure": self.erase.verify, "nightlight.retention_tags": self.retention_tags.run,
            "nightlight.remove_rows": self.rows.run,
        }  # fmt: skip
        return [run[task](job_id, redelivered=False) for task, job_id in sent]

    def state(self, image_id):
        with self.catalogue.reading() as tx:
            return tx.images.get(image_id).state

    def shown(self):
        """The keys of pictures among the renditions: not those of their manifests."""
        return sorted(key for key in self.objects() if key.startswith("a/"))

    def objects(self):
        return [*self.originals.store.keys(), *self.renditions.store.keys()]
