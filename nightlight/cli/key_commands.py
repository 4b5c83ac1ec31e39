"""Keys for development, in ``DATA_DIR/keys``, readable by their owner alone."""

from __future__ import annotations

import base64
import json
import os
import secrets
from datetime import timedelta
from pathlib import Path

from nightlight.delivery.access_tokens import TokenScope, generate_key, issue_token
from nightlight.provenance import certificates
from nightlight.settings.viewers import AuthSettings
from nightlight.store import sealing
from nightlight_core.clock import system_clock
from nightlight_core.errors import SettingsRefused
from nightlight_core.files import private_file, private_folder, read_text, replace_file
from nightlight_core.keyring import KeyRing

JWKS = "callers.jwks.json"
PRIVATE = "caller.private.jwk.json"
# Files as NIGHTLIGHT_SECRETS_DIR has them: name, the first key's id (none: one key alone), and where it was before.
SECRETS = "secrets"
RELATIONS = "nightlight_relations_keys"
RINGS = {
    "nightlight_delivery_signing_keys": ("d1", "delivery.json", "signing_keys"),
    "nightlight_delivery_name_key": (None, "delivery.json", "name_key"),
    "nightlight_invisible_watermark_keys": ("m1", "invisible_watermark.json", "keys"),
    RELATIONS: ("r1", "relations.json", "keys"),
    "nightlight_erasure_keys": ("e1", "erasure.json", "keys"),
}
# Originals are sealed to the public one; workers open them with the private one.
SEAL = "seal.json"
# Who signs bundles, and who approves what opens: two teams, so two keys.
PUBLISHER = "publisher"
SAFETY = "safety"
# The workers' own: it signs receipts of erasures.
RECEIPTS = "receipts"
# Certificates that manifests are signed with.
PROVENANCE = "provenance"
_KEY_BYTES = 32


def init(data_dir: Path) -> Path:
    """Make the keys unless they are there; return their folder."""
    folder = data_dir / "keys"
    _keep_private(data_dir, folder)
    teams = [(f"{team}.private.jwk.json", f"{team}.jwks.json") for team in (PUBLISHER, SAFETY, RECEIPTS)]
    for private_name, public_name in ((PRIVATE, JWKS), *teams):
        if not (folder / public_name).exists():
            private, public = generate_key()
            _write(folder / private_name, private)
            _write(folder / public_name, public)
    _init_rings(folder)
    if not (folder / SEAL).exists():
        (opens, seals), (keeper_opens, vault_seals) = sealing.generate_seal_keys(), sealing.generate_seal_keys()
        pairs = {"public_key": f"s1:{seals}", "private_keys": f"s1:{opens}"}
        vault = {"vault_public_key": f"v1:{vault_seals}", "vault_private_keys": f"v1:{keeper_opens}"}
        _write(folder / SEAL, {**pairs, **vault})
    if not (folder / PROVENANCE / certificates.CHAIN_FILE).exists():
        certificates.create_development_chain(
            folder / PROVENANCE, certificates.SigningAlgorithm.ED25519, system_clock()
        )
    return folder


def _init_rings(folder: Path) -> None:
    """Make the rings that are not there; those of an earlier release, in JSON, are carried over."""
    secrets_folder = private_folder(folder / SECRETS)
    for name, (key_id, before, field) in RINGS.items():
        path = secrets_folder / name
        if path.exists():
            continue
        kept = _read(folder / before)[field] if (folder / before).exists() else None
        replace_file(path, kept or (f"{key_id}:{_secret()}" if key_id else _secret()))
    for before in {before for _, before, _ in RINGS.values()}:
        (folder / before).unlink(missing_ok=True)


def _keep_private(data_dir: Path, folder: Path) -> None:
    """Make the folders, and take them and the keys that are there from everybody but their owner."""
    try:
        private_folder(data_dir)
        for keys in (private_folder(folder), private_folder(folder / SECRETS)):
            for path in keys.iterdir():
                if path.is_file():
                    private_file(path)
    except OSError as error:
        message = f"{error.filename or folder}: {error.strerror}; keys must be this user's own, with mode 0600"
        raise SettingsRefused(message) from error


def files_of(data_dir: Path) -> list[Path]:
    """Return every file of keys that ``init`` makes in ``data_dir``; the rings of an earlier release count as made."""
    folder = data_dir / "keys"
    names = [PRIVATE, JWKS, SEAL]
    for team in (PUBLISHER, SAFETY, RECEIPTS):
        names += [f"{team}.private.jwk.json", f"{team}.jwks.json"]
    certified = (certificates.CHAIN_FILE, certificates.LEAF_KEY_FILE, certificates.ROOT_FILE)
    rings = [name for name, (_, before, _) in RINGS.items() if not (folder / before).exists()]
    return [folder / name for name in (*names, *(f"{PROVENANCE}/{name}" for name in certified))] + [
        folder / SECRETS / name for name in rings
    ]


def relation_keys(data_dir: Path) -> dict[str, bytes]:
    """Return the development keys that sign relation proofs."""
    return dict(KeyRing.parse(_secrets(data_dir / "keys")[RELATIONS], RELATIONS).keys)


def environment(data_dir: Path) -> dict[str, str]:
    """Return the ``NIGHTLIGHT_*`` variables that point to the keys in ``data_dir``, the rings by their values."""
    rings = {name.upper(): text for name, text in _secrets(data_dir.resolve() / "keys").items()}
    return {**key_files(data_dir), **rings}


def live_environment(data_dir: Path) -> dict[str, str]:
    """Return the same with the rings in files, so that whoever has these variables follows a rotation."""
    return {**key_files(data_dir), "NIGHTLIGHT_SECRETS_DIR": str(data_dir.resolve() / "keys" / SECRETS)}


def key_files(data_dir: Path) -> dict[str, str]:
    """Return the variables of keys that are files by themselves."""
    folder = data_dir.resolve() / "keys"
    return {
        "NIGHTLIGHT_AUTH_JWKS": str(folder / JWKS),
        "NIGHTLIGHT_POLICY_PUBLISHER_KEYS": str(folder / f"{PUBLISHER}.jwks.json"),
        "NIGHTLIGHT_POLICY_SAFETY_KEYS": str(folder / f"{SAFETY}.jwks.json"),
        "NIGHTLIGHT_RETENTION_RECEIPT_KEY": str(folder / f"{RECEIPTS}.private.jwk.json"),
        "NIGHTLIGHT_PROVENANCE_CHAIN": str(folder / PROVENANCE / certificates.CHAIN_FILE),
        "NIGHTLIGHT_PROVENANCE_KEY": str(folder / PROVENANCE / certificates.LEAF_KEY_FILE),
        "NIGHTLIGHT_PROVENANCE_ANCHORS": str(folder / PROVENANCE / certificates.ROOT_FILE),
    }


def seal_environment(data_dir: Path, process: str) -> dict[str, str]:
    """Return the variables of the keys that seal originals and the vault, for ``service``, ``worker`` or ``keeper``."""
    keys = _read(data_dir / "keys" / SEAL)
    public = {"NIGHTLIGHT_STORE_SEAL_PUBLIC_KEY": keys["public_key"]}
    if process == "worker":
        vault = {"NIGHTLIGHT_STORE_VAULT_SEAL_PUBLIC_KEY": keys["vault_public_key"]}
        return {**public, **vault, "NIGHTLIGHT_STORE_SEAL_PRIVATE_KEYS": keys["private_keys"]}
    if process == "keeper":
        return {**public, "NIGHTLIGHT_STORE_SEAL_PRIVATE_KEYS": keys["vault_private_keys"]}
    return public


def token(data_dir: Path, *, scopes: list[str] | None, subject: str, hours: float) -> str:
    """Return a bearer token signed by the development key; raise SettingsRefused for an unknown scope."""
    every_scope = [scope.value for scope in TokenScope]
    granted = scopes or every_scope
    unknown = sorted(set(granted) - set(every_scope))
    if unknown:
        raise SettingsRefused(f"unknown scope {', '.join(unknown)}; known: {', '.join(every_scope)}")
    auth = AuthSettings()
    if not 0 < hours * 3600 <= auth.max_life_s:
        message = f"a token lives at most {auth.max_life_s} s (NIGHTLIGHT_AUTH_MAX_LIFE_S), not {hours:g} hours"
        raise SettingsRefused(message)
    return issue_token(
        _read(data_dir / "keys" / PRIVATE),
        subject=subject,
        scopes=granted,
        issuer=auth.issuer,
        audience=auth.audience,
        now=system_clock(),
        life=timedelta(hours=hours),
    )


def _secrets(folder: Path) -> dict[str, str]:
    """Return the text of each ring, by the name of its file."""
    try:
        return {name: read_text(folder / SECRETS / name).strip() for name in RINGS}
    except (OSError, ValueError) as error:
        raise SettingsRefused(f"{folder} lacks keys; make them with `nightlight keys init`") from error


def _secret() -> str:
    return base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode()


def _read(path: Path) -> dict[str, str]:
    try:
        content: dict[str, str] = json.loads(read_text(path))
    except (OSError, ValueError) as error:
        raise SettingsRefused(f"{path} cannot be read; make it with `nightlight keys init`") from error
    return content


def _write(path: Path, content: object) -> None:
    private_file(path)
    descriptor = os.open(path, os.O_WRONLY | os.O_TRUNC)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        json.dump(content, stream, indent=2)
