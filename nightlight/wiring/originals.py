"""Whether originals and the vault are sealed, and what seals and opens them.

They are wherever it is not known that nobody reads them without: on every S3 server but AWS, where policies are heeded
for the source of every copy, and nobody but a bucket's owner owns what is in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from nightlight.retention.bucket_policies import WORKER
from nightlight.settings import Settings
from nightlight.settings.storage import SealMode, ServerKind, StoreKind
from nightlight.wiring.live_keys import LiveKeys
from nightlight_core.errors import SealKeyMissing, SettingsRefused
from nightlight_core.live_files import public_fingerprint

if TYPE_CHECKING:
    from nightlight.store.interface import Open, Seal
    from nightlight.store.sealing import Opener, Sealer


def server_kind(settings: Settings) -> ServerKind:
    """Return what kind of S3 server there is: what is not known to be AWS is another."""
    concern = settings.store
    if concern.server is not ServerKind.AUTO:
        return concern.server
    if concern.endpoint_url is None:
        return ServerKind.AWS
    url = urlsplit(concern.endpoint_url)
    host = url.hostname or ""
    amazon = url.scheme == "https" and host.endswith((".amazonaws.com", ".amazonaws.com.cn"))
    return ServerKind.AWS if amazon else ServerKind.OTHER


def must_seal(settings: Settings) -> bool:
    """Say whether originals are sealed: they are wherever it is not known that nobody reads them without."""
    concern = settings.store
    if concern.seal is not SealMode.AUTO:
        return concern.seal is SealMode.ON
    return concern.seal_public_key is not None or (
        concern.kind is StoreKind.S3 and server_kind(settings) is not ServerKind.AWS
    )


def sealer(settings: Settings, live: LiveKeys | None = None) -> Seal | None:
    """Return what seals originals, None where they are not sealed; raise SettingsRefused where there is no key."""
    key = settings.store.seal_public_key
    if not must_seal(settings):
        return None
    if key is None:
        message = (
            "NIGHTLIGHT_STORE_SEAL_PUBLIC_KEY is not set, and originals are sealed on this S3 server: make a pair with "
            "`nightlight keys seal` and give the private key to the workers (docs/retention.md says when originals may "
            "be stored as they are: NIGHTLIGHT_STORE_SEAL=off)"
        )
        raise SettingsRefused(message)
    from nightlight.store.sealing import Sealer

    variable = "NIGHTLIGHT_STORE_SEAL_PUBLIC_KEY"
    file = (live or LiveKeys()).secret("seal_public", key.get_secret_value(), variable, Sealer.parse, _sealer_ids)

    def seal(data: bytes) -> tuple[bytes, str]:
        return file.value.seal(data)

    return seal


def import_sealer(settings: Settings, live: LiveKeys | None = None) -> Seal | None:
    """Return what seals the originals that workers import; where there is no key, those jobs wait for one."""
    if not must_seal(settings) or settings.store.seal_public_key is not None:
        return sealer(settings, live)

    def missing(_data: bytes) -> tuple[bytes, str]:
        raise SealKeyMissing("NIGHTLIGHT_STORE_SEAL_PUBLIC_KEY is not set: this worker takes no pictures in")

    return missing


def vault_sealer(settings: Settings) -> Seal | None:
    """Return what seals what goes into the vault; where it must be sealed and there is no key, holds wait for one.

    Raises SettingsRefused.
    """
    concern = settings.store
    if concern.vault_seal_public_key is not None:
        if concern.seal is SealMode.OFF:
            return None
        from nightlight.store.sealing import Sealer

        key = concern.vault_seal_public_key.get_secret_value()
        return Sealer.parse(key, "NIGHTLIGHT_STORE_VAULT_SEAL_PUBLIC_KEY").seal_same
    if concern.kind is StoreKind.LOCAL or not must_seal(settings) or server_kind(settings) is ServerKind.AWS:
        return None

    def missing(_data: bytes) -> tuple[bytes, str]:
        message = "NIGHTLIGHT_STORE_VAULT_SEAL_PUBLIC_KEY is not set: `nightlight keys seal --vault` makes a pair"
        raise SealKeyMissing(message)

    return missing


def sealed_from(settings: Settings, identity: str) -> bool:
    """Say whether what an identity puts and may not read is sealed to others: the vault's for workers."""
    if identity != WORKER:
        return must_seal(settings)
    return settings.store.vault_seal_public_key is not None and settings.store.seal is not SealMode.OFF


def opener(settings: Settings, live: LiveKeys | None = None) -> Open:
    """Return what opens sealed originals; raise SettingsRefused."""
    from nightlight.store.sealing import Opener

    keys = settings.store.seal_private_keys
    variable = "NIGHTLIGHT_STORE_SEAL_PRIVATE_KEYS"
    if keys is None:
        return Opener.parse(None, variable).open
    file = (live or LiveKeys()).secret("seal", keys.get_secret_value(), variable, Opener.parse, _opener_ids)

    def open_(data: bytes, sealed_key: str | None) -> bytes:
        return file.value.open(data, sealed_key)

    return open_


def _sealer_ids(sealer_: Sealer) -> list[str]:
    return [public_fingerprint(sealer_.key_id, sealer_.public.public_bytes_raw())]


def _opener_ids(opener_: Opener) -> list[str]:
    return [public_fingerprint(key_id, key.public_key().public_bytes_raw()) for key_id, key in opener_.privates.items()]
