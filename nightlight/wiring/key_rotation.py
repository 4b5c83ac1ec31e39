"""What `nightlight keys rotate` reaches: the files of each kind of key, and the processes that have read them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from nightlight.delivery.jwks import LIFE_S
from nightlight.flows.key_rotation.key_files import ChainStorage, JwksStorage, KeyStorage, RingStorage, SealStorage
from nightlight.flows.key_rotation.processes import ProcessList
from nightlight.flows.key_rotation.rings import KeyKind, RotatedKeys
from nightlight.flows.key_rotation.rotate import Rotation
from nightlight.flows.key_rotation.webhook_storage import WebhookKeyStorage
from nightlight.policy.signing import MAX_APPROVAL_S
from nightlight.settings import Settings
from nightlight.wiring.components import open_catalogue
from nightlight_core.clock import Clock, system_clock
from nightlight_core.decisions.relation_proofs import MAX_LEEWAY_S, MAX_LIFE_S
from nightlight_core.decisions.url_signing import DAY_S
from nightlight_core.errors import InvalidInput, SettingsRefused

if TYPE_CHECKING:
    from nightlight.catalogue.engine import Catalogue

# A decision that was being made when a key changed, and clocks that differ.
_MARGIN = timedelta(minutes=10)
_RECEIVERS_MOVE_S = 7 * DAY_S


@dataclass(frozen=True, slots=True)
class KeyFiles:
    """Where keys are.

    ``secrets_folder`` and ``public_folder`` are as NIGHTLIGHT_SECRETS_DIR is; the latter the service's, where originals
    are sealed. ``source`` has the next certificate; ``private`` is a private JWK.
    """

    secrets_folder: Path | None = None
    public_folder: Path | None = None
    source: Path | None = None
    private: Path | None = None


def rotated_keys(settings: Settings, kind: KeyKind) -> RotatedKeys:
    """Return what is known of a kind of key under these settings."""
    auth, urls_s = settings.auth, settings.delivery.max_life_s
    proofs_s, tokens_s = MAX_LIFE_S + MAX_LEEWAY_S, auth.max_life_s + auth.leeway_s + LIFE_S
    # (verified by, signed by, life in seconds or what the key is kept for)
    known: dict[KeyKind, tuple[str | None, str | None, float | str]] = {
        # Local clients sign with delegated keys of a day and the next before they ask again.
        KeyKind.URLS: ("urls", "urls", urls_s + 2 * DAY_S),
        KeyKind.NAMES: ("names", "names", "placeholders by its name, and the variants that it chose"),
        KeyKind.WATERMARK: ("watermark", "watermark", "copies with its watermark may turn up at any time"),
        KeyKind.RELATION: ("relation", None, proofs_s),  # the platform signs
        KeyKind.ERASURE: ("erasure", "erasure", settings.erasure.keep_days * DAY_S),
        KeyKind.RECEIPTS: (None, "receipts", "receipts are verified for as long as anybody has one"),
        KeyKind.PUBLISHER: ("publisher", None, 0),
        KeyKind.SAFETY: ("safety", None, MAX_APPROVAL_S),
        KeyKind.C2PA: ("c2pa_roots", "c2pa", "its root is trusted for as long as pictures with its manifests last"),
        KeyKind.SEAL: ("seal", "seal_public", "originals that are sealed to it"),
        KeyKind.CALLERS: ("callers", None, tokens_s),
        # All keys sign at once; the time is for the platform, which cannot be asked, to move to the new one.
        KeyKind.WEBHOOK_SECRET: (None, "webhook_secret", _RECEIVERS_MOVE_S),
        KeyKind.WEBHOOK_KEY: (None, "webhook_key", _RECEIVERS_MOVE_S),
    }
    verified_by, signed_by, life = known[kind]
    if isinstance(life, str):
        return RotatedKeys(kind, verified_by, signed_by, None, life)
    return RotatedKeys(kind, verified_by, signed_by, timedelta(seconds=life) + _MARGIN if life else timedelta(0))


def key_storage(settings: Settings, kind: KeyKind, files: KeyFiles) -> KeyStorage:
    """Return the form in which keys of a kind are kept; raises SettingsRefused where their files are not known."""
    rings = {
        KeyKind.URLS: ("nightlight_delivery_signing_keys", "d"),
        KeyKind.NAMES: ("nightlight_delivery_name_key", "n"),
        KeyKind.WATERMARK: ("nightlight_invisible_watermark_keys", "m"),
        KeyKind.RELATION: ("nightlight_relations_keys", "r"),
        KeyKind.ERASURE: ("nightlight_erasure_keys", "e"),
    }
    if kind in rings:
        name, prefix = rings[kind]
        return RingStorage(_secret(settings, files.secrets_folder, name), prefix)
    if kind in {KeyKind.WEBHOOK_SECRET, KeyKind.WEBHOOK_KEY}:
        name = f"nightlight_delivery_{kind.value.replace('-', '_')}"
        return WebhookKeyStorage(_secret(settings, files.secrets_folder, name), kind is KeyKind.WEBHOOK_KEY)
    if kind is KeyKind.SEAL:
        private = _secret(settings, files.secrets_folder, "nightlight_store_seal_private_keys")
        public = _secret(settings, files.public_folder or files.secrets_folder, "nightlight_store_seal_public_key")
        return SealStorage(private, public)
    folder = settings.general.data_dir.resolve() / "keys"
    if kind is KeyKind.C2PA:
        provenance, development = settings.provenance, folder / "provenance"
        if provenance.kms_key is not None or provenance.pkcs11_module is not None:
            raise SettingsRefused("the key is kept elsewhere: docs/operations/rotation.md says how it is rotated there")
        chain, key = provenance.chain or development / "chain.pem", provenance.key or development / "leaf.key.pem"
        return ChainStorage(chain, key, provenance.anchors or development / "root.pem", files.source)
    return _jwks(settings, kind, folder, files.private)


def _jwks(settings: Settings, kind: KeyKind, folder: Path, private: Path | None) -> JwksStorage:
    if kind is KeyKind.RECEIPTS:
        private = private or settings.retention.receipt_key or folder / "receipts.private.jwk.json"
        return JwksStorage(private.with_name("receipts.jwks.json"), private)
    if kind is KeyKind.CALLERS:
        named = settings.auth.jwks or str(folder / "callers.jwks.json")
        if named.startswith("https://"):
            raise SettingsRefused("NIGHTLIGHT_AUTH_JWKS is at its server: rotate the keys there")
        return JwksStorage(Path(named), private or folder / "caller.private.jwk.json")
    set_ = settings.policy.publisher_keys if kind is KeyKind.PUBLISHER else settings.policy.safety_keys
    public = set_ or folder / f"{kind}.jwks.json"
    return JwksStorage(public, private or public.with_name(f"{kind}.private.jwk.json"))


def _secret(settings: Settings, folder: Path | None, name: str) -> Path:
    """Return the file of a secret."""
    if name.upper() in {variable.upper() for variable in os.environ}:
        message = f"{name.upper()} is in the environment, where it cannot change: put it into a file (--folder)"
        raise SettingsRefused(message)
    mounted = os.environ.get("NIGHTLIGHT_SECRETS_DIR")
    where = folder or (Path(mounted) if mounted else settings.general.data_dir.resolve() / "keys" / "secrets")
    if not (where / name).is_file():
        raise SettingsRefused(f"{where / name} is not there: --folder names where it is, `keys init` makes a set")
    return where / name


def rotation(
    settings: Settings,
    kind: KeyKind,
    files: KeyFiles,
    processes: Sequence[str],
    *,
    wait_s: float,
    edge_has_it: bool,
    clock: Clock = system_clock,
) -> Rotation:
    """Return the rotation of a kind of key; raises SettingsRefused."""
    delivery = settings.delivery
    edges = delivery.purge_url.split(",") if kind is KeyKind.URLS and delivery.purge_url else []
    token = delivery.purge_token.get_secret_value() if delivery.purge_token else None
    return Rotation(
        rotated_keys(settings, kind),
        key_storage(settings, kind, files),
        ProcessList(processes, [edge.strip() for edge in edges], token).ask,
        clock,
        wait_s,
        _bundles_by(settings) if kind is KeyKind.PUBLISHER else lambda _keys: (),
        edges_unasked=kind is KeyKind.URLS and delivery.cloudfront_store is not None and not edge_has_it,
    )


def _bundles_by(settings: Settings) -> Callable[[Sequence[str]], Sequence[str]]:
    def in_use(keys: Sequence[str]) -> Sequence[str]:
        with open_catalogue(settings) as catalogue:
            return [
                f"bundle {version} is signed with {key}"
                for version, key_id in _signed(catalogue).items()
                for key in keys
                if key.rpartition("-")[0] == key_id
            ]

    return in_use


def _signed(catalogue: Catalogue) -> dict[int, str]:
    """Return the ids of the keys of all bundles that some process may have to open, by version."""
    with catalogue.reading() as tx:
        state, scheduled = tx.policies.state(), tx.policies.scheduled()
        versions = {state.active_version, state.previous_version, state.candidate_version}
        if scheduled is not None:
            versions |= {scheduled.version, scheduled.restores, scheduled.instead_of}
        bundles = {version: tx.policies.bundle(version) for version in versions if version is not None}
    try:
        return {version: str(json.loads(data)["key_id"]) for version, data in bundles.items() if data is not None}
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidInput(f"a stored bundle cannot be read ({type(error).__name__})") from error
