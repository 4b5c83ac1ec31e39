"""Signs manifests with the c2pa library, which is loaded on first use: after any fork."""

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
from nightlight.provenance.certificates import CertificateChain, SigningAlgorithm, root_ids
from nightlight.provenance.manifest import ManifestClaims, manifest_definition, padded_definition
from nightlight.provenance.verify import (
    ManifestState,
    library_settings,
    manifest_state,
    reader_context,
    verify_manifest,
)
from nightlight_core.errors import ManifestRefused, SettingsRefused, SigningFailed
from nightlight_core.files import read_text

if TYPE_CHECKING:
    from nightlight.provenance.embed import ReservedPicture
    from nightlight_core.clock import Clock

# Data to its signature (DER for P-256), by a key outside this process: store.kms, provenance.pkcs11.
SignBytes = Callable[[bytes], bytes]
# The bytes reserved for an embedded manifest, and by how much they grow for longer chains and time stamps.
_ROOM, _STEP = 2176, 256
# At most so many bytes of the room are filled with what no signature covers. One signature compresses a few bytes
# better than the next: a few in a hundred are signed again, and the first of a shape until it fits.
# _TRIES: the most signatures for one picture.
_LEFT, _TRIES = 24, 12
# One white pixel (WebP, lossless), on which a credential is tried when another picture's manifest was invalid.
_SOUND = bytes.fromhex("524946461e000000574542505650384c110000002f0000000007d0fffef7bfff8188e87f0000")
_SOUND_TYPE = "image/webp"
# How long a time stamp is waited for; and how long none is requested after one failed.
TIME_STAMP_TIMEOUT_S, TIME_STAMP_RETRY_S = 3.0, 300.0


class SignedRendition(NamedTuple):
    """A rendition's bytes, with or without its manifest in them; and the manifest by itself."""

    data: bytes
    manifest: bytes


@dataclass(frozen=True, slots=True)
class SigningCredential:
    """A certificate chain, and its key in PEM or a function that signs with it. The key never prints."""

    chain: CertificateChain
    key_pem: str | None = field(default=None, repr=False)
    sign: SignBytes | None = field(default=None, repr=False)
    # The roots in PEM that are trusted when a signed picture is verified; None: any certificate is valid.
    anchors: str | None = field(default=None, repr=False)

    @classmethod
    def read(cls, chain: Path, key: Path | SignBytes, anchors: Path | None) -> SigningCredential:
        """Read a chain, trust anchors and a key that is no function from PEM files; raises SettingsRefused."""
        pem, sign = (_text(key), None) if isinstance(key, Path) else (None, key)
        read = CertificateChain.read(chain)
        if pem is not None:
            read.check_key(pem)
        return cls(read, pem, sign, _text(anchors) if anchors is not None else None)

    @property
    def key_id(self) -> str:
        """Return what the leaf is told apart by in reports."""
        return f"leaf-{self.chain.fingerprint[:8]}"

    @property
    def root_ids(self) -> list[str]:
        """Return the same of the trust anchors."""
        return root_ids(self.anchors or "")


def _text(path: Path) -> str:
    try:
        return read_text(path, "ascii")
    except (OSError, ValueError) as error:
        raise SettingsRefused(f"{path} cannot be read") from error


class ManifestSigner:
    """Signs the manifests of renditions. One for each process; thread-safe."""

    def __init__(self, credential: SigningCredential, clock: Clock, *, tsa_url: str | None = None) -> None:
        """Sign with ``credential``; nothing is loaded yet. ``tsa_url`` is of an RFC 3161 time stamp authority."""
        self._credential, self._clock, self._tsa_url = credential, clock, tsa_url
        # From the start: a certificate may end while nothing is signed.
        metrics.CERTIFICATE_DAYS.set(credential.chain.days_left(clock))
        self._lock = threading.Lock()
        self._contexts: dict[str | None, Any] = {}
        self._reader_context: Any = None
        self._room, self._no_stamps_until = _ROOM, 0.0
        # Characters that pad manifests of one shape to the room, but for a few bytes: learned from the last one.
        self._padding: dict[tuple[object, bool], int] = {}

    def use(self, credential: SigningCredential) -> None:
        """Sign with another credential from now on."""
        with self._lock:
            self._credential, self._contexts, self._reader_context = credential, {}, None
            self._room, self._padding = _ROOM, {}
        metrics.CERTIFICATE_DAYS.set(credential.chain.days_left(self._clock))

    def sign(self, data: bytes, media_type: str, claims: ManifestClaims, *, embed: bool) -> SignedRendition:
        """Return a rendition with its manifest, embedded or beside it, verified: trusted where there are anchors.

        It has a time stamp if the authority answers. Raises CertificateExpired or SigningFailed; and ManifestRefused
        where the credential signs another picture and not this one, which must then not be published.
        """
        metrics.CERTIFICATE_DAYS.set(self._credential.chain.days_left(self._clock))
        self._credential.chain.check(self._clock)

        def signed_with(tsa_url: str | None) -> SignedRendition:
            signed = self._signed(data, media_type, manifest_definition(claims), tsa_url, embed=embed)
            self._verify(signed, media_type, embed=embed)
            return signed

        if self._tsa_url is not None and time.monotonic() >= self._no_stamps_until:
            try:
                return _within(TIME_STAMP_TIMEOUT_S, lambda: signed_with(self._tsa_url))
            except (SigningFailed, TimeoutError) as error:
                self._no_stamps_until = time.monotonic() + TIME_STAMP_RETRY_S
                metrics.STAMPS_MISSED.inc()
                logs.get("provenance").warning(
                    "stamp.missed", why=str(error) or "no answer", again_in_s=TIME_STAMP_RETRY_S
                )
        try:
            return signed_with(None)
        except SigningFailed as error:
            self._try_credential(embed=embed)
            raise ManifestRefused(str(error)) from error

    def _try_credential(self, *, embed: bool) -> None:
        """Sign a picture that is known to be sound; raise SigningFailed if the credential cannot."""
        bare = manifest_definition(ManifestClaims(None, None, visible_watermark=False))
        self._verify(self._signed(_SOUND, _SOUND_TYPE, bare, None, embed=embed), _SOUND_TYPE, embed=embed)

    def _signed(
        self, data: bytes, media_type: str, definition: dict[str, Any], tsa_url: str | None, *, embed: bool
    ) -> SignedRendition:
        """Return a picture with its manifest, or unchanged, and the manifest, compressed where that is possible."""
        from nightlight.provenance.embed import compact_manifest, reserve_room

        if not embed:
            return SignedRendition(
                data, compact_manifest(self._built(definition, data, media_type, tsa_url, embed=False).manifest)
            )
        shape = _shape(definition), tsa_url is not None
        best: tuple[SignedRendition, int, ReservedPicture] | None = None
        for _ in range(_TRIES):
            reserved = reserve_room(data, media_type, self._room)
            if reserved is None:  # a format that only the library embeds manifests into
                return self._built(definition, data, media_type, tsa_url, embed=True)
            padding = self._padding.get(shape, 0)
            bound = {
                **padded_definition(definition, reserved.data, padding),
                "assertions": [*definition["assertions"], reserved.binding()],
            }
            built = self._built(bound, reserved.data, media_type, tsa_url, embed=False)
            left = reserved.room - len(compact_manifest(built.manifest))
            if left >= 0 and (best is None or left < best[1]):
                best = built, left, reserved
            if left < 0 and padding == 0:
                self._room = max(self._room, _STEP * ((reserved.room - left) // _STEP + 1))
            elif 0 <= left <= _LEFT:
                break
            self._padding[shape] = max(0, padding + (left - _LEFT // 3) * 4 // 3)
            if left >= 0 and tsa_url is not None:  # a second time stamp takes too long: the next picture's fits
                break
        if best is not None:
            built, _, reserved = best
            small = compact_manifest(built.manifest, reserved.room)
            return SignedRendition(reserved.with_manifest(small), small)
        raise SigningFailed(f"manifests of this credential do not fit into {self._room} bytes")

    def _built(
        self, definition: dict[str, Any], data: bytes, media_type: str, tsa_url: str | None, *, embed: bool
    ) -> SignedRendition:
        """Return the picture and the manifest that the library makes of a definition."""
        import c2pa

        out = io.BytesIO()
        try:
            builder = c2pa.Builder.from_json(json.dumps(definition), context=self._context(tsa_url))
            if not embed:
                builder.set_no_embed()
            manifest = builder.sign(media_type, io.BytesIO(data), out)
        except c2pa.C2paError as error:
            raise SigningFailed(f"a manifest could not be signed: {error}") from error
        if not manifest:
            raise SigningFailed("the signer gave no manifest")
        return SignedRendition(out.getvalue(), manifest)

    def _verify(self, signed: SignedRendition, media_type: str, *, embed: bool) -> None:
        """Verify a signed picture as it will be published; raise SigningFailed if it is not as it should be."""
        anchors, manifest = self._credential.anchors, None if embed else signed.manifest
        with self._lock:
            self._reader_context = self._reader_context or reader_context(anchors)
        state = manifest_state(self._reader_context, signed.data, media_type, manifest)
        if state is not ManifestState.TRUSTED and (anchors is not None or state is not ManifestState.VALID):
            failures = verify_manifest(signed.data, media_type, anchors=anchors, manifest=manifest).failures
            raise SigningFailed(f"what was signed reads back as {state}: {'; '.join(failures)}")

    def _context(self, tsa_url: str | None) -> Any:
        with self._lock:
            if tsa_url not in self._contexts:
                self._contexts[tsa_url] = _context(self._credential, tsa_url)
            return self._contexts[tsa_url]


def _shape(definition: dict[str, Any]) -> object:
    """Return what the length of a manifest depends on: its actions and assertions."""
    actions = tuple(action["action"] for action in definition["assertions"][0]["data"]["actions"])
    return actions, tuple(assertion["label"] for assertion in definition["assertions"]), definition.get("title")


def _within(seconds: float, call: Callable[[], SignedRendition]) -> SignedRendition:
    """Return the result of a call within so many seconds; else raise TimeoutError, and leave the call running."""
    future: Future[SignedRendition] = Future()

    def run() -> None:
        try:
            future.set_result(call())
        except BaseException as error:  # noqa: BLE001 - raised again by the caller
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future.result(timeout=seconds)


def _context(credential: SigningCredential, tsa_url: str | None) -> Any:
    import c2pa

    kinds = {SigningAlgorithm.ED25519: c2pa.C2paSigningAlg.ED25519, SigningAlgorithm.ES256: c2pa.C2paSigningAlg.ES256}
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
        return c2pa.Context(c2pa.Settings.from_dict(library_settings(credential.anchors)), signer)
    except c2pa.C2paError as error:
        raise SigningFailed(f"the provenance credential cannot be used: {error}") from error
