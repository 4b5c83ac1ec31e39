"""Signing manifests with c2pa. The library is loaded, and its contexts built, on first use: after any fork."""

from __future__ import annotations

import io
import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from nightlight import logs, metrics
from nightlight.provenance.certificates import Algorithm, Chain
from nightlight.provenance.manifest import Said, definition, filled
from nightlight.provenance.verify import State, check, reading, settings_of, stands
from nightlight_core.errors import ManifestRefused, SettingsRefused, SigningFailed
from nightlight_core.files import read_text

if TYPE_CHECKING:
    from nightlight.provenance.embed import Roomy
    from nightlight_core.clock import Clock

# Data to its signature, DER for P-256: a key that is kept elsewhere (store.kms, provenance.pkcs11).
Sign = Callable[[bytes], bytes]
# Embedded manifests have so much room; where a credential's take more (longer chains, time stamps) it grows by so much.
_ROOM, _STEP = 2176, 256
# Of the room so many bytes at most are filled with what no signature covers. One signature compresses a few bytes
# better than the next: a few in a hundred are made again, and the first of a shape until it fits.
_LEFT, _TRIES = 24, 12
# One white pixel (WebP, lossless): what a credential is tried on when another picture's manifest did not stand.
_SOUND = bytes.fromhex("524946461e000000574542505650384c110000002f0000000007d0fffef7bfff8188e87f0000")
_SOUND_TYPE = "image/webp"
# A time stamp is waited for so long; if it does not come, none is asked for in the time after.
STAMP_S, NO_STAMPS_S = 3.0, 300.0


class Signed(NamedTuple):
    """A rendition's bytes, with its manifest in them or not, and the manifest by itself."""

    data: bytes
    manifest: bytes


@dataclass(frozen=True, slots=True)
class Credential:
    """Who signs: a chain, and the key in PEM or whatever signs with it. The key never prints."""

    chain: Chain
    key_pem: str | None = field(default=None, repr=False)
    sign: Sign | None = field(default=None, repr=False)
    # Whose certificates count when what was signed is read back; the root of our own, or none but the usual ones.
    anchors: str | None = field(default=None, repr=False)

    @classmethod
    def read(cls, chain: Path, key: Path, anchors: Path | None) -> Credential:
        """Read a chain, its key and trust anchors from PEM files; raises SettingsRefused."""
        return cls(Chain.read(chain), key_pem=_text(key), anchors=_text(anchors) if anchors is not None else None)

    @classmethod
    def elsewhere(cls, chain: Path, sign: Sign, anchors: Path | None) -> Credential:
        """Read a chain and trust anchors for a key that is kept elsewhere; raises SettingsRefused."""
        return cls(Chain.read(chain), sign=sign, anchors=_text(anchors) if anchors is not None else None)


def _text(path: Path) -> str:
    try:
        return read_text(path, "ascii")
    except (OSError, ValueError) as error:
        message = f"{path} cannot be read"
        raise SettingsRefused(message) from error


class Signing:
    """Signs renditions. Each process has its own; threads may share it."""

    def __init__(self, credential: Credential, clock: Clock, *, tsa_url: str | None = None) -> None:
        """Sign with ``credential``; nothing is loaded yet. ``tsa_url`` is of an RFC 3161 time stamp authority."""
        self._credential, self._clock, self._tsa_url = credential, clock, tsa_url
        self._lock = threading.Lock()
        self._contexts: dict[str | None, Any] = {}
        self._reading: Any = None
        self._room, self._no_stamps_until = _ROOM, 0.0
        # Characters that fill manifests of one shape up to the room, but for a few bytes: learned from the last one.
        self._filling: dict[tuple[object, bool], int] = {}

    def sign(self, data: bytes, media_type: str, said: Said, *, embed: bool) -> Signed:
        """Return a rendition with its manifest, embedded or not, read back and found trusted where there are anchors.

        It is time-stamped if that can be had. Raises CertificateExpired or SigningFailed, and ManifestRefused where the
        credential signs another picture, so that it is for this one; then the rendition is not to be published.
        """
        metrics.CERTIFICATE_DAYS.set(self._credential.chain.days_left(self._clock))
        self._credential.chain.check(self._clock)

        def made(tsa_url: str | None) -> Signed:
            signed = self._signed(data, media_type, definition(said), tsa_url, embed=embed)
            self._read_back(signed, media_type, embed=embed)
            return signed

        if self._tsa_url is not None and time.monotonic() >= self._no_stamps_until:
            try:
                return _within(STAMP_S, lambda: made(self._tsa_url))
            except (SigningFailed, TimeoutError) as error:
                self._no_stamps_until = time.monotonic() + NO_STAMPS_S
                metrics.STAMPS_MISSED.inc()
                logs.get("provenance").warning("stamp.missed", why=str(error) or "no answer", again_in_s=NO_STAMPS_S)
        try:
            return made(None)
        except SigningFailed as error:
            self._try_credential(embed=embed)
            raise ManifestRefused(str(error)) from error

    def _try_credential(self, *, embed: bool) -> None:
        """Return if the credential signs a picture that is known to be sound; raise SigningFailed if it does not."""
        bare = definition(Said(None, None, visible_mark=False))
        self._read_back(self._signed(_SOUND, _SOUND_TYPE, bare, None, embed=embed), _SOUND_TYPE, embed=embed)

    def _signed(
        self, data: bytes, media_type: str, told: dict[str, Any], tsa_url: str | None, *, embed: bool
    ) -> Signed:
        """Return a picture with its manifest, or as it was, and the manifest, compressed where that can be."""
        from nightlight.provenance.embed import compact, with_room

        if not embed:
            return Signed(data, compact(self._built(told, data, media_type, tsa_url, embed=False).manifest))
        shape = _shape(told), tsa_url is not None
        best: tuple[Signed, int, Roomy] | None = None
        for _ in range(_TRIES):
            roomy = with_room(data, media_type, self._room)
            if roomy is None:  # a form that only the library puts manifests into
                return self._built(told, data, media_type, tsa_url, embed=True)
            filling = self._filling.get(shape, 0)
            bound = {**filled(told, roomy.data, filling), "assertions": [*told["assertions"], roomy.binding()]}
            built = self._built(bound, roomy.data, media_type, tsa_url, embed=False)
            left = roomy.room - len(compact(built.manifest))
            if left >= 0 and (best is None or left < best[1]):
                best = built, left, roomy
            if left < 0 and filling == 0:
                self._room = max(self._room, _STEP * ((roomy.room - left) // _STEP + 1))
            elif 0 <= left <= _LEFT:
                break
            self._filling[shape] = max(0, filling + (left - _LEFT // 3) * 4 // 3)
            if left >= 0 and tsa_url is not None:  # a stamp takes too long to ask for it again: the next one fits
                break
        if best is not None:
            built, _, roomy = best
            small = compact(built.manifest, roomy.room)
            return Signed(roomy.filled(small), small)
        message = f"manifests of this credential do not fit into {self._room} bytes"
        raise SigningFailed(message)

    def _built(self, told: dict[str, Any], data: bytes, media_type: str, tsa_url: str | None, *, embed: bool) -> Signed:
        """Return what the library makes of a picture and a manifest's definition."""
        import c2pa

        out = io.BytesIO()
        try:
            builder = c2pa.Builder.from_json(json.dumps(told), context=self._context(tsa_url))
            if not embed:
                builder.set_no_embed()
            manifest = builder.sign(media_type, io.BytesIO(data), out)
        except c2pa.C2paError as error:
            message = f"a manifest could not be signed: {error}"
            raise SigningFailed(message) from error
        if not manifest:
            message = "the signer gave no manifest"
            raise SigningFailed(message)
        return Signed(out.getvalue(), manifest)

    def _read_back(self, made: Signed, media_type: str, *, embed: bool) -> None:
        """Return if what was signed, as it will be published, reads back as it should; raise SigningFailed if not."""
        anchors, manifest = self._credential.anchors, None if embed else made.manifest
        with self._lock:
            self._reading = self._reading or reading(anchors)
        state = stands(self._reading, made.data, media_type, manifest)
        if state is not State.TRUSTED and (anchors is not None or state is not State.VALID):
            failures = check(made.data, media_type, anchors=anchors, manifest=manifest).failures
            message = f"what was signed reads back as {state}: {'; '.join(failures)}"
            raise SigningFailed(message)

    def _context(self, tsa_url: str | None) -> Any:
        with self._lock:
            if tsa_url not in self._contexts:
                self._contexts[tsa_url] = _context(self._credential, tsa_url)
            return self._contexts[tsa_url]


def _shape(told: dict[str, Any]) -> object:
    """Return what the length of a manifest goes by: which actions and assertions there are."""
    actions = tuple(one["action"] for one in told["assertions"][0]["data"]["actions"])
    return actions, tuple(one["label"] for one in told["assertions"]), told.get("title")


def _within(seconds: float, call: Callable[[], Signed]) -> Signed:
    """Return what a call returns within so many seconds; else raise TimeoutError and let it go on alone."""
    done: Future[Signed] = Future()

    def run() -> None:
        try:
            done.set_result(call())
        except BaseException as error:  # noqa: BLE001 - raised again by whoever waits
            done.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return done.result(timeout=seconds)


def _context(credential: Credential, tsa_url: str | None) -> Any:
    import c2pa

    kinds = {Algorithm.ED25519: c2pa.C2paSigningAlg.ED25519, Algorithm.ES256: c2pa.C2paSigningAlg.ES256}
    kind = kinds[credential.chain.algorithm]
    try:
        if credential.sign is not None:
            signer = c2pa.Signer.from_callback(credential.sign, kind, credential.chain.pem, tsa_url)
        else:
            info = c2pa.C2paSignerInfo(
                alg=kind,
                sign_cert=credential.chain.pem.encode(),
                private_key=(credential.key_pem or "").encode(),
                ta_url=tsa_url.encode() if tsa_url is not None else None,
            )
            signer = c2pa.Signer.from_info(info)
        return c2pa.Context(c2pa.Settings.from_dict(settings_of(credential.anchors)), signer)
    except c2pa.C2paError as error:
        message = f"the provenance credential cannot be used: {error}"
        raise SigningFailed(message) from error
