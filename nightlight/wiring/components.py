"""What every process is built of: the catalogue, the stores, the policy, and the keys of delivery."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from nightlight.catalogue import migrate
from nightlight.catalogue.engine import Catalogue
from nightlight.delivery.object_names import ObjectNames
from nightlight.flows.policies.active_policy import share_key_from
from nightlight.flows.policies.policy_holder import PolicyHolder
from nightlight.policy.checks import failed_checks
from nightlight.policy.compile import compile_folder
from nightlight.settings import Settings
from nightlight.settings.base import require
from nightlight.settings.process import Deployment, Environment
from nightlight.settings.storage import StoreKind
from nightlight.store.interface import PutOnly
from nightlight.wiring.live_keys import LiveKeys, signing_key_ids
from nightlight_core.errors import PolicyRefused, SettingsRefused
from nightlight_core.files import private_folder
from nightlight_core.keyring import KeyRing, decode_key, parse_name_keys
from nightlight_core.live_files import LiveFile

if TYPE_CHECKING:
    from nightlight.flows.imports.notifications import ImportNotifications
    from nightlight.flows.pictures.upload import Upload
    from nightlight.flows.retention.receipt_issuer import ReceiptIssuer
    from nightlight.policy.compile import Compiled
    from nightlight.retention.erasure_subjects import SubjectHasher
    from nightlight.store.interface import ObjectStore, Seal
    from nightlight.store.s3 import S3Access
    from nightlight_core.clock import Clock

ORIGINALS = "originals"
RENDITIONS = "renditions"
EXPORTS = "exports"
VAULT = "vault"


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


# The embedded deployment's catalogue, in its data folder.
CATALOGUE_FILE = "catalogue.sqlite3"


def embedded_catalogue_url(data_dir: Path) -> str:
    """Return the URL of the SQLite file in the data folder, which is made if it is not there: for its owner alone.

    Raises SettingsRefused where the folder is somebody else's.
    """
    return f"sqlite:///{_data_folder(data_dir) / CATALOGUE_FILE}"


def embedded_queue_path(data_dir: Path) -> Path:
    """Return the path of the file with the queues' messages in the data folder; as ``embedded_catalogue_url`` does."""
    return _data_folder(data_dir) / "queue.sqlite3"


def _data_folder(data_dir: Path) -> Path:
    try:
        return private_folder(data_dir.resolve())
    except OSError as error:
        message = f"{data_dir}: {error.strerror}; the data folder must be this user's own, with mode 0700"
        raise SettingsRefused(message) from error


@contextmanager
def open_catalogue(settings: Settings) -> Iterator[Catalogue]:
    """Give the catalogue; raise CatalogueUnavailable where its schema is not this release's."""
    catalogue = build_catalogue(settings)
    try:
        migrate.check_current(catalogue.engine)
        yield catalogue
    finally:
        catalogue.close()


def build_store(settings: Settings, bucket: str) -> ObjectStore:
    """Return the store of one bucket (``originals``, ``exports``, ...), with this process's own identity."""
    concern = settings.store
    if concern.kind is StoreKind.LOCAL:
        if settings.general.environment is Environment.PRODUCTION and settings.general.deployment is Deployment.SCALE:
            message = "NIGHTLIGHT_STORE_KIND=local keeps one identity for all processes; scale deployments need s3"
            raise SettingsRefused(message)
        from nightlight.store.local import LocalStore

        return LocalStore(settings.general.data_dir.resolve() / "objects" / bucket)
    if bucket == VAULT:
        from nightlight.store.vault import S3Vault

        return S3Vault(concern.vault_bucket, s3_access(settings), lock=concern.vault_lock)
    from nightlight.store.s3 import S3Store

    names = {
        ORIGINALS: concern.originals_bucket,
        RENDITIONS: concern.renditions_bucket,
        EXPORTS: concern.exports_bucket,
    }
    return S3Store(names[bucket], s3_access(settings))


def own_buckets(settings: Settings) -> tuple[str, ...]:
    """Return the names of Nightlight's own buckets."""
    store = settings.store
    return store.originals_bucket, store.renditions_bucket, store.exports_bucket, store.vault_bucket


def receipt_issuer(settings: Settings, live: LiveKeys | None = None) -> ReceiptIssuer | None:
    """Return what signs receipts of erasures, None where there is no key for it; raise SettingsRefused."""
    from nightlight.flows.retention.receipt_issuer import ReceiptIssuer
    from nightlight.policy.signing import SigningKey

    concern = settings.retention
    if concern.receipt_key is None:
        return None
    named = [part.rpartition(":") for part in concern.residuals.split(",") if part]
    residuals = tuple((what.strip(), int(days)) for what, _, days in named)
    path = concern.receipt_key
    file = (live or LiveKeys()).add("receipts", [path], lambda: SigningKey.read(path), {"receipts": signing_key_ids})
    issuer = ReceiptIssuer(file.value, residuals)
    file.then(lambda key: setattr(issuer, "key", key))
    return issuer


def subject_hasher(settings: Settings, live: LiveKeys | None = None) -> SubjectHasher:
    """Return what hashes whoever is erased; raise SettingsRefused where there is no key, or a backup outlives it."""
    from nightlight.retention.erasure_subjects import SubjectHasher

    variable, concern = "NIGHTLIGHT_ERASURE_KEYS", settings.erasure
    longest = max((int(part.rpartition(":")[2]) for part in settings.retention.residuals.split(",") if part), default=0)
    if longest > concern.keep_days:
        message = f"NIGHTLIGHT_RETENTION_RESIDUALS names copies of {longest} days: NIGHTLIGHT_ERASURE_KEEP_DAYS must be"
        raise SettingsRefused(f"{message} as many, not {concern.keep_days}")
    file = (live or LiveKeys()).ring("erasure", require(concern.keys, variable), variable)
    hasher = SubjectHasher(file.value)
    file.then(lambda ring: setattr(hasher, "ring", ring))
    return hasher


def s3_access(settings: Settings) -> S3Access:
    """Return where the S3 server is and who this process is to it."""
    from nightlight.store.s3 import S3Access

    concern = settings.store
    secret = concern.secret_access_key
    return S3Access(
        endpoint_url=concern.endpoint_url,
        region=concern.region,
        access_key_id=concern.access_key_id,
        secret_access_key=secret.get_secret_value() if secret else None,
        connect_timeout_s=concern.connect_timeout_s,
        read_timeout_s=concern.read_timeout_s,
    )


def source_access(settings: Settings, *, endpoint_url: str | None = None) -> S3Access:
    """Return where the other buckets are and who this process is to them; a queue has an endpoint of its own."""
    access, source = s3_access(settings), settings.source
    if source.access_key_id is not None:
        secret = require(source.secret_access_key, "NIGHTLIGHT_SOURCE_SECRET_ACCESS_KEY")
        access = replace(access, access_key_id=source.access_key_id, secret_access_key=secret)
    where = endpoint_url or source.endpoint_url or access.endpoint_url
    return replace(access, endpoint_url=where, region=source.region or access.region)


def upload_flow(
    settings: Settings,
    catalogue: Catalogue,
    policy: PolicyHolder,
    originals: PutOnly,
    seal: Seal | None,
    clock: Clock,
) -> Upload:
    """Return what accepts uploads, with these parts."""
    from nightlight.flows.pictures.upload import Upload

    def edge() -> int:
        return max(recipe.edge for recipe in policy.current().recipes)

    return Upload(catalogue, originals, settings.upload, settings.worker.requeue_after_s, edge, clock, seal)


def import_notifications(settings: Settings, catalogue: Catalogue, clock: Clock) -> ImportNotifications:
    """Return what takes the word of notifications; raise InvalidInput for a key template that is none."""
    from nightlight.flows.imports.notifications import ImportNotifications, refuse_own_bucket
    from nightlight.store.key_template import KeyTemplate

    for bucket in settings.source.buckets:
        refuse_own_bucket(bucket, own_buckets(settings))
    templates = {bucket: KeyTemplate(text) for bucket, text in settings.source.buckets.items()}
    return ImportNotifications(catalogue, templates, clock)


def proved_pack(folder: Path) -> Compiled:
    """Return the pack of a folder, compiled; raise PolicyRefused where it is not proved."""
    compiled = compile_folder(folder)
    failures = failed_checks(compiled)
    if failures:
        raise PolicyRefused("\n".join(str(failure) for failure in failures))
    return compiled


def policy_holder(
    settings: Settings, catalogue: Catalogue, clock: Clock, live: LiveKeys | None = None, *, decides: bool = True
) -> PolicyHolder:
    """Return the policy that decides; raise PolicyRefused where the folder's pack is not proved.

    ``decides`` False is for commands that read the policy and decide for no profile: they need no key for that.
    """
    compiled = proved_pack(settings.policy.folder)
    concern, live, names = settings.policy, live or LiveKeys(), None
    if not decides:
        share_key = b""
    elif concern.share_key:
        share_key = decode_key(concern.share_key.get_secret_value(), "NIGHTLIGHT_POLICY_SHARE_KEY")
    else:
        names = name_keys(settings, live)
        share_key = _share_key(names.value)
    publishers = live.public_keys("publisher", concern.publisher_keys)
    holder = PolicyHolder(catalogue, compiled, publishers, poll_s=concern.poll_s, share_key=share_key, clock=clock)
    if names is not None:
        names.then(lambda ring: holder.use_share_key(_share_key(ring)))
    return holder


def _share_key(names: KeyRing) -> bytes:
    return share_key_from(names.keys[names.signing_id])


def declared_words(policy: PolicyHolder) -> dict[str, tuple[str, ...]]:
    """Return the closed lists that declarations are checked against."""
    vocabulary = policy.current().compiled.pack.vocabulary
    return {**vocabulary.attributes, "assurance": vocabulary.assurances}


def name_keys(settings: Settings, live: LiveKeys) -> LiveFile[KeyRing]:
    """Return the keys that names are derived from, the one of new names first; raise SettingsRefused."""
    variable = "NIGHTLIGHT_DELIVERY_NAME_KEY"
    return live.ring("names", require(settings.delivery.name_key, variable), variable, parse_name_keys)


def object_names(settings: Settings, live: LiveKeys) -> ObjectNames:
    """Return what names renditions, which follows its keys; raise SettingsRefused."""
    file = name_keys(settings, live)
    names = ObjectNames(*file.value.keys.values())
    file.then(lambda ring: names.use(*ring.keys.values()))
    return names
