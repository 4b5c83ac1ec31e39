"""What decisions of the service are made with: signed URLs, proved relations, quotas."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nightlight import logs, metrics
from nightlight.delivery.object_names import ObjectNames
from nightlight.settings import Settings
from nightlight.settings.base import require
from nightlight.settings.process import Deployment, Environment
from nightlight.settings.storage import StoreKind
from nightlight.settings.viewers import ProviderKind, UrlKind
from nightlight.wiring.components import object_names
from nightlight.wiring.live_keys import LiveKeys, plain
from nightlight_core.decisions.quotas import InProcess, Limits
from nightlight_core.decisions.relation_resolver import UNPROVED, RelationResolver
from nightlight_core.decisions.url_signing import HmacUrlSigner, RingDayKeys, UrlSigner
from nightlight_core.errors import SettingsRefused
from nightlight_core.keyring import KeyRing

if TYPE_CHECKING:
    from nightlight.delivery.presigned_urls import Presigner
    from nightlight.settings.viewers import AuthZenSettings, RelationSettings
    from nightlight_core.decisions.quotas import Quotas
    from nightlight_core.decisions.relation_resolver import RelationProvider


@dataclass(frozen=True, slots=True)
class UrlSigning:
    """Everything about the URLs of renditions.

    ``names`` derives the opaque names; ``keys`` are the day keys of this deployment's URLs; ``verifier`` checks such
    URLs; ``signer`` signs the URLs of decisions, which S3 checks where they are presigned. ``renew_with`` has something
    done after each change of the keys.
    """

    names: ObjectNames
    keys: RingDayKeys
    verifier: HmacUrlSigner
    signer: UrlSigner
    renew_with: Callable[[Callable[[KeyRing], None]], None]


def url_signing(settings: Settings, live: LiveKeys) -> UrlSigning:
    """Build the signing and verification of URLs; raises SettingsRefused for missing or malformed keys."""
    variable = "NIGHTLIGHT_DELIVERY_SIGNING_KEYS"
    file = live.ring("urls", require(settings.delivery.signing_keys, variable), variable)
    ring = RingDayKeys(file.value)
    file.then(ring.use)
    signer = HmacUrlSigner(ring, settings.delivery.base_url, max_life_s=settings.delivery.max_life_s)
    presigned = settings.delivery.urls is UrlKind.PRESIGNED
    chosen = _presigner(settings) if presigned else signer
    return UrlSigning(object_names(settings, live), ring, signer, chosen, file.then)


def _presigner(settings: Settings) -> Presigner:
    from nightlight.delivery.presigned_urls import Presigner

    store = settings.store
    if store.kind is not StoreKind.S3:
        raise SettingsRefused("NIGHTLIGHT_DELIVERY_URLS=presigned needs NIGHTLIGHT_STORE_KIND=s3")
    key = require(store.access_key_id, "NIGHTLIGHT_STORE_ACCESS_KEY_ID")
    secret = require(store.secret_access_key, "NIGHTLIGHT_STORE_SECRET_ACCESS_KEY")
    most = settings.delivery.max_life_s
    if store.endpoint_url is not None:
        return Presigner(store.endpoint_url.rstrip("/"), f"/{store.renditions_bucket}", store.region, key, secret, most)
    host = f"https://{store.renditions_bucket}.s3.{store.region}.amazonaws.com"
    return Presigner(host, "", store.region, key, secret, most)


def relation_resolver(settings: Settings, live: LiveKeys) -> RelationResolver:
    """Return what settles relations; raise SettingsRefused for keys or a provider that cannot be."""
    concern = settings.relations
    variable = "NIGHTLIGHT_RELATIONS_KEYS"
    keys: dict[str, bytes] = {}
    if concern.keys:
        file = live.ring("relation", plain(concern.keys) or "", variable)
        keys.update(file.value.keys)
        file.then(lambda ring: _follow(keys, ring))
    return RelationResolver(keys, _provider(concern), concern.leeway_s, _notice_relations)


def _follow(keys: dict[str, bytes], ring: KeyRing) -> None:
    """Make ``keys`` those of a ring; what stands in both is there all the while."""
    keys.update(ring.keys)
    for key_id in keys.keys() - ring.keys.keys():
        del keys[key_id]


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
    return Limits(settings.quotas.network_per_hour, settings.quotas.tenant_per_hour)


def quotas(settings: Settings) -> Quotas:
    """Return what keeps quotas; raise SettingsRefused where processes that should keep them together could not."""
    concern, general = settings.quotas, settings.general
    if concern.redis_url is None:
        if general.deployment is Deployment.SCALE and general.environment is Environment.PRODUCTION:
            message = "NIGHTLIGHT_QUOTAS_REDIS_URL is not set: service processes would each keep quotas of their own"
            raise SettingsRefused(message)
        return InProcess(limits(settings))
    from nightlight.delivery.quotas_redis import RedisQuotas

    url = concern.redis_url.get_secret_value()
    return RedisQuotas(url, limits(settings), timeout_s=concern.timeout_s, namespace=concern.namespace)


def check_foreign_words(concern: AuthZenSettings, attributes: Mapping[str, Sequence[str]]) -> None:
    """Raise SettingsRefused for AuthZEN's words that stand for none of the policy's."""
    meant = (
        ("SUBJECT_TYPES", concern.subject_types, "viewer"),
        ("RESOURCE_TYPES", concern.resource_types, "relation"),
        ("ACTIONS", concern.actions, "context"),
    )
    for name, words, attribute in meant:
        if unknown := set(words.values()) - set(attributes.get(attribute, ())):
            known = ", ".join(attributes.get(attribute, ()))
            message = f"NIGHTLIGHT_AUTHZEN_{name}: the policy has no {attribute} {min(unknown)!r}, only {known}"
            raise SettingsRefused(message)
