"""What every process is built of: the catalogue, the stores, the policy, and the keys of delivery."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nightlight import logs, metrics
from nightlight.catalogue.engine import Catalogue
from nightlight.delivery.object_names import ObjectNames
from nightlight.flows.policies.active_policy import PolicyHolder, share_key_from
from nightlight.policy.checks import failed_checks
from nightlight.policy.compile import compile_folder
from nightlight.settings import Deployment, Environment, ProviderKind, Settings, StoreKind, UrlKind, require
from nightlight.store.interface import PutOnly
from nightlight_core.decisions.relation_resolver import UNPROVED, RelationResolver
from nightlight_core.decisions.url_signing import HmacUrlSigner, RingDayKeys, UrlSigner
from nightlight_core.errors import NightlightError, PolicyRefused, SettingsRefused
from nightlight_core.files import private_folder
from nightlight_core.keyring import KeyRing, decode_key
from nightlight_core.policy.public_keys import PublicKeys

if TYPE_CHECKING:
    from collections.abc import Callable

    from nightlight.delivery.presigned_urls import Presigner
    from nightlight.flows.imports.notifications import ImportNotifications
    from nightlight.flows.pictures.upload import Upload
    from nightlight.flows.retention.erase import ReceiptIssuer
    from nightlight.settings import RelationSettings
    from nightlight.store.interface import ObjectStore, WriteOnlyStore
    from nightlight.store.s3 import S3Access
    from nightlight_core.clock import Clock
    from nightlight_core.decisions.quotas import Limits, Quotas
    from nightlight_core.decisions.relation_resolver import RelationProvider

ORIGINALS = "originals"
RENDITIONS = "renditions"
VAULT = "vault"
# A part that does not answer readiness in this state is named by its error code alone.
_OK = "ok"


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
    """Return the URL of the SQLite file in the data folder, which is made if it is not there: for its owner alone.

    Raises SettingsRefused where the folder is somebody else's.
    """
    return f"sqlite:///{_data_folder(data_dir) / 'catalogue.sqlite3'}"


def embedded_queue_path(data_dir: Path) -> Path:
    """Return the path of the file with the queues' messages in the data folder; as ``embedded_catalogue_url`` does."""
    return _data_folder(data_dir) / "queue.sqlite3"


def _data_folder(data_dir: Path) -> Path:
    try:
        return private_folder(data_dir.resolve())
    except OSError as error:
        message = f"{data_dir}: {error.strerror}; the data folder must be this user's own, with mode 0700"
        raise SettingsRefused(message) from error


def build_store(settings: Settings, bucket: str) -> ObjectStore:
    """Return the store of one bucket (``originals``, ``renditions`` or ``vault``), with this process's own identity."""
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

    name = concern.originals_bucket if bucket == ORIGINALS else concern.renditions_bucket
    return S3Store(name, s3_access(settings))


def own_buckets(settings: Settings) -> tuple[str, ...]:
    """Return the names of Nightlight's own buckets."""
    return settings.store.originals_bucket, settings.store.renditions_bucket, settings.store.vault_bucket


def receipt_issuer(settings: Settings) -> ReceiptIssuer | None:
    """Return what signs receipts of erasures, None where there is no key for it; raise SettingsRefused."""
    from nightlight.flows.retention.erase import ReceiptIssuer
    from nightlight.policy.signing import SigningKey

    concern = settings.retention
    if concern.receipt_key is None:
        return None
    named = [part.rpartition(":") for part in concern.residuals.split(",") if part]
    residuals = tuple((what.strip(), int(days)) for what, _, days in named)
    return ReceiptIssuer(SigningKey.read(concern.receipt_key), residuals)


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
    from dataclasses import replace

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
    seal: Callable[[bytes], tuple[bytes, str]] | None,
    clock: Clock,
) -> Upload:
    """Return what accepts uploads, with these parts."""
    from nightlight.flows.pictures.upload import Upload

    again_s = settings.worker.requeue_after_s
    return Upload(
        catalogue,
        originals,
        settings.upload,
        again_s,
        lambda: max(recipe.edge for recipe in policy.current().recipes),
        clock,
        seal,
    )


def import_notifications(settings: Settings, catalogue: Catalogue, clock: Clock) -> ImportNotifications:
    """Return what takes the word of notifications; raise InvalidInput for a key template that is none."""
    from nightlight.flows.imports.notifications import ImportNotifications, refuse_own_bucket
    from nightlight.store.key_template import KeyTemplate

    for bucket in settings.source.buckets:
        refuse_own_bucket(bucket, own_buckets(settings))
    templates = {bucket: KeyTemplate(text) for bucket, text in settings.source.buckets.items()}
    return ImportNotifications(catalogue, templates, clock)


def policy_holder(settings: Settings, catalogue: Catalogue) -> PolicyHolder:
    """Return the policy that decides; raise PolicyRefused where the folder's pack is not proved."""
    compiled = compile_folder(settings.policy.folder)
    failures = failed_checks(compiled)
    if failures:
        raise PolicyRefused("\n".join(str(failure) for failure in failures))
    share_key = settings.policy.share_key
    return PolicyHolder(
        catalogue,
        compiled,
        public_keys(settings.policy.publisher_keys),
        poll_s=settings.policy.poll_s,
        share_key=decode_key(share_key.get_secret_value(), "NIGHTLIGHT_POLICY_SHARE_KEY")
        if share_key
        else share_key_from(name_key(settings)),
    )


def public_keys(path: Path | None) -> PublicKeys | None:
    """Return the keys of a JWKS file, or None where none is set."""
    return PublicKeys.read(path) if path is not None else None


def declared_words(policy: PolicyHolder) -> dict[str, tuple[str, ...]]:
    """Return the closed lists that declarations are checked against."""
    vocabulary = policy.current().compiled.pack.vocabulary
    return {**vocabulary.attributes, "assurance": vocabulary.assurance}


def name_key(settings: Settings) -> bytes:
    """Return the key that names are derived from; raise SettingsRefused."""
    variable = "NIGHTLIGHT_DELIVERY_NAME_KEY"
    return decode_key(require(settings.delivery.name_key, variable), variable)


@dataclass(frozen=True, slots=True)
class UrlSigning:
    """Everything about the URLs of renditions.

    ``names`` derives the opaque names; ``keys`` are the day keys of this deployment's URLs; ``verifier`` checks such
    URLs; ``signer`` signs the URLs of decisions, which S3 checks where they are presigned.
    """

    names: ObjectNames
    keys: RingDayKeys
    verifier: HmacUrlSigner
    signer: UrlSigner


def url_signing(settings: Settings) -> UrlSigning:
    """Build the signing and verification of URLs; raises SettingsRefused for missing or malformed keys."""
    variable = "NIGHTLIGHT_DELIVERY_SIGNING_KEYS"
    ring = RingDayKeys(KeyRing.parse(require(settings.delivery.signing_keys, variable), variable))
    signer = HmacUrlSigner(ring, settings.delivery.base_url, max_life_s=settings.delivery.max_life_s)
    presigned = settings.delivery.urls is UrlKind.PRESIGNED
    return UrlSigning(ObjectNames(name_key(settings)), ring, signer, _presigner(settings) if presigned else signer)


def _presigner(settings: Settings) -> Presigner:
    from nightlight.delivery.presigned_urls import Presigner

    store = settings.store
    if store.kind is not StoreKind.S3:
        message = "NIGHTLIGHT_DELIVERY_URLS=presigned needs NIGHTLIGHT_STORE_KIND=s3"
        raise SettingsRefused(message)
    key = require(store.access_key_id, "NIGHTLIGHT_STORE_ACCESS_KEY_ID")
    secret = require(store.secret_access_key, "NIGHTLIGHT_STORE_SECRET_ACCESS_KEY")
    most = settings.delivery.max_life_s
    if store.endpoint_url is not None:
        return Presigner(store.endpoint_url.rstrip("/"), f"/{store.renditions_bucket}", store.region, key, secret, most)
    host = f"https://{store.renditions_bucket}.s3.{store.region}.amazonaws.com"
    return Presigner(host, "", store.region, key, secret, most)


def readiness(catalogue: Catalogue, stores: dict[str, WriteOnlyStore | PutOnly]) -> dict[str, str]:
    """Return, for each part, ``ok`` or the code of what is wrong with it."""
    parts: dict[str, str] = {}
    for name, check in (("catalogue", catalogue.ready), *((name, store.ready) for name, store in stores.items())):
        try:
            check()
        except NightlightError as error:
            parts[name] = error.code
        else:
            parts[name] = _OK
    return parts


def relation_resolver(settings: Settings) -> RelationResolver:
    """Return what settles relations; raise SettingsRefused for keys or a provider that cannot be."""
    concern = settings.relations
    variable = "NIGHTLIGHT_RELATIONS_KEYS"
    keys = KeyRing.parse(concern.keys.get_secret_value(), variable).keys if concern.keys else {}
    return RelationResolver(keys, _provider(concern), concern.leeway_s, _notice_relations)


def _notice_relations(what: str, count: int, detail: str) -> None:
    if what == UNPROVED:
        metrics.UNPROVED.inc(count)
    else:
        metrics.PROVIDER_FAILURES.inc()
        logs.get("relate").error(what, count=count, detail=detail)


def _provider(concern: RelationSettings) -> RelationProvider | None:
    from nightlight.delivery.relation_providers import CallbackProvider, OpenFgaProvider

    if concern.provider_url is None:
        return None
    token = concern.provider_token.get_secret_value() if concern.provider_token else None
    if concern.provider is ProviderKind.CALLBACK:
        return CallbackProvider(concern.provider_url, timeout_s=concern.provider_timeout_s, token=token)
    return OpenFgaProvider(
        concern.provider_url,
        require(concern.openfga_store, "NIGHTLIGHT_RELATIONS_OPENFGA_STORE"),
        model=concern.openfga_model,
        timeout_s=concern.provider_timeout_s,
        token=token,
    )


def limits(settings: Settings) -> Limits:
    """Return what networks and callers are given at most."""
    from nightlight_core.decisions.quotas import Limits

    return Limits(settings.quotas.network_per_hour, settings.quotas.tenant_per_hour)


def quotas(settings: Settings) -> Quotas:
    """Return what keeps quotas; raise SettingsRefused where processes that should keep them together could not."""
    from nightlight_core.decisions.quotas import InProcess

    concern, general = settings.quotas, settings.general
    if concern.redis_url is None:
        if general.deployment is Deployment.SCALE and general.environment is Environment.PRODUCTION:
            message = "NIGHTLIGHT_QUOTAS_REDIS_URL is not set: service processes would each keep quotas of their own"
            raise SettingsRefused(message)
        return InProcess(limits(settings))
    from nightlight.delivery.quotas_redis import RedisQuotas

    url = concern.redis_url.get_secret_value()
    return RedisQuotas(url, limits(settings), timeout_s=concern.timeout_s, namespace=concern.namespace)
