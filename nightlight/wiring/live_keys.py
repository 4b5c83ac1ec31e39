"""The keys of a process, read again when their files change, and their ids as ``/readyz`` reports them.

::

    ring         file                                               who reports it
    urls         NIGHTLIGHT_DELIVERY_SIGNING_KEYS                   service, edge
    names        NIGHTLIGHT_DELIVERY_NAME_KEY                       service, workers
    relation     NIGHTLIGHT_RELATIONS_KEYS                          service
    erasure      NIGHTLIGHT_ERASURE_KEYS                            service, workers
    watermark    NIGHTLIGHT_INVISIBLE_WATERMARK_KEYS                workers
    seal         NIGHTLIGHT_STORE_SEAL_PRIVATE_KEYS                 workers
    seal_public  NIGHTLIGHT_STORE_SEAL_PUBLIC_KEY                   service, workers that import
    receipts     NIGHTLIGHT_RETENTION_RECEIPT_KEY                   workers
    publisher    NIGHTLIGHT_POLICY_PUBLISHER_KEYS                   service, workers
    safety       NIGHTLIGHT_POLICY_SAFETY_KEYS                      service
    c2pa, c2pa_roots   NIGHTLIGHT_PROVENANCE_CHAIN, _KEY, _ANCHORS  workers
    callers      NIGHTLIGHT_AUTH_JWKS                               service (delivery.jwks reads it)
    webhook_secret, webhook_key   NIGHTLIGHT_DELIVERY_WEBHOOK_SECRET, _KEY   schedule

A variable in the environment wins over a file, and never changes while a process runs.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from nightlight import logs
from nightlight_core.keyring import KeyRing
from nightlight_core.live_files import LOOK_S, LiveFile, fingerprint, public_fingerprint
from nightlight_core.policy.public_keys import PublicKeys

if TYPE_CHECKING:
    from pydantic import SecretStr

    from nightlight.policy.signing import SigningKey

T = TypeVar("T")


class LiveKeys:
    """Every ring of a process. Safe to share between threads."""

    def __init__(self, elapsed: Callable[[], float] = time.monotonic) -> None:
        """Have none yet."""
        self._files: dict[str, LiveFile[Any]] = {}
        self._reports: dict[str, Callable[[], Sequence[str]]] = {}
        self._elapsed, self._looked, self._lock = elapsed, elapsed(), threading.Lock()

    def add(
        self, name: str, paths: Sequence[Path], load: Callable[[], T], ids: Mapping[str, Callable[[T], Sequence[str]]]
    ) -> LiveFile[T]:
        """Load the keys of a name, and have them loaded again. ``ids`` say what is reported, under which names."""
        if name in self._files:
            return self._files[name]
        file = self._files[name] = LiveFile(paths, load)
        for reported, ids_of in ids.items():
            self._reports[reported] = partial(_reported, file, ids_of)
        return file

    def report(self, name: str, ids: Callable[[], Sequence[str]]) -> None:
        """Report the ids of keys that somebody else keeps."""
        self._reports[name] = ids

    def ring(
        self, name: str, value: str, variable: str, parse: Callable[[str, str], KeyRing] = KeyRing.parse
    ) -> LiveFile[KeyRing]:
        """Return the ring of a variable that was ``value`` when settings were read; raises SettingsRefused."""
        return self.secret(name, value, variable, parse, ring_ids)

    def secret(
        self, name: str, value: str, variable: str, parse: Callable[[str, str], T], ids: Callable[[T], Sequence[str]]
    ) -> LiveFile[T]:
        """Return what ``parse`` makes of a secret's text, live where the secret is in a file."""
        path = secret_file(variable)
        load: Callable[[], T] = lambda: parse(_text(path) if path is not None else value, variable)  # noqa: E731
        return self.add(name, [path] if path is not None else [], load, {name: ids})

    def public_keys(self, name: str, path: Path | None) -> PublicKeys | None:
        """Return the keys of a JWKS file, which change in place; None where none is set."""
        if path is None:
            return None
        file = self.add(name, [path], lambda: PublicKeys.read(path), {name: public_ids})
        kept = PublicKeys(dict(file.value.keys))

        def follow(now: PublicKeys) -> None:
            kept.keys.update(now.keys)
            for key_id in kept.keys.keys() - now.keys.keys():
                del kept.keys[key_id]

        file.then(follow)
        return kept

    def look(self) -> None:
        """Read what has changed, if the last look is a second ago."""
        now = self._elapsed()
        if now - self._looked < LOOK_S or not self._lock.acquire(blocking=False):
            return
        try:
            self._looked = now
            for name, file in self._files.items():
                if not file.look():
                    continue
                if file.failure is not None:
                    logs.get("keys").error("keys.not_read", detail=f"{name}: {file.failure}")
                else:
                    logs.get("keys").info("keys.read_again", detail=name)
        finally:
            self._lock.release()

    def run(self, stop: threading.Event) -> None:
        """Look each second until ``stop`` is set."""
        while not stop.wait(LOOK_S):
            try:
                self.look()
            except Exception as error:  # noqa: BLE001 - the next look may do
                logs.get("keys").error("keys.not_read", detail=type(error).__name__)

    def loaded(self) -> dict[str, list[str]]:
        """Return the ids of the keys that are in use, by ring; the one that signs stands first."""
        return {name: list(ids()) for name, ids in self._reports.items()}


def _reported(file: LiveFile[T], ids_of: Callable[[T], Sequence[str]]) -> Sequence[str]:
    return ids_of(file.value)


def secret_file(variable: str) -> Path | None:
    """Return the file that a secret was read from, None where it is in the environment or not set."""
    if any(name.upper() == variable for name in os.environ):
        return None
    folder = os.environ.get("NIGHTLIGHT_SECRETS_DIR")
    path = Path(folder) / variable.lower() if folder else None
    return path if path is not None and path.is_file() else None


def ring_ids(ring: KeyRing) -> list[str]:
    """Return the ids of a ring of secret keys, as they are reported."""
    return [fingerprint(key_id, key) for key_id, key in ring.keys.items()]


def public_ids(keys: PublicKeys) -> list[str]:
    """Return the ids of public keys likewise."""
    return [public_fingerprint(key_id, key.public_bytes_raw()) for key_id, key in keys.keys.items()]


def signing_key_ids(key: SigningKey) -> list[str]:
    """Return the id of a signing key likewise: that of its public half."""
    return public_ids(key.public_keys)


def plain(value: SecretStr | None) -> str | None:
    """Return a secret's text."""
    return value.get_secret_value() if value is not None else None


def _text(path: Path) -> str:
    from nightlight_core.files import read_text

    return read_text(path).strip()
