"""Signing manifests with c2pa. The library is loaded, and its context built, on first use: after any fork."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from nightlight import metrics
from nightlight.errors import SettingsRefused, SigningFailed
from nightlight.provenance.certificates import Algorithm, Chain
from nightlight.provenance.manifest import Said, definition

if TYPE_CHECKING:
    from nightlight.clock import Clock

# Data to its signature, DER for P-256: a key that is kept elsewhere (store.kms).
Sign = Callable[[bytes], bytes]


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
        return path.read_text("ascii")
    except (OSError, ValueError) as error:
        message = f"{path} cannot be read"
        raise SettingsRefused(message) from error


class Signing:
    """Signs renditions. Each process has its own; threads may share it."""

    def __init__(self, credential: Credential, clock: Clock, *, tsa_url: str | None = None) -> None:
        """Sign with ``credential``; nothing is loaded yet. ``tsa_url`` is of an RFC 3161 time stamp authority."""
        self._credential, self._clock, self._tsa_url = credential, clock, tsa_url
        self._lock = threading.Lock()
        self._made: Any = None

    def sign(self, data: bytes, media_type: str, said: Said, *, embed: bool) -> Signed:
        """Return a rendition with its manifest, embedded or not, read back and found trusted where there are anchors.

        Raises CertificateExpired or SigningFailed; then the rendition is not to be published.
        """
        metrics.CERTIFICATE_DAYS.set(self._credential.chain.days_left(self._clock))
        self._credential.chain.check(self._clock)
        import c2pa

        out = io.BytesIO()
        try:
            builder = c2pa.Builder.from_json(json.dumps(definition(said)), context=self._context())
            if not embed:
                builder.set_no_embed()
            manifest = builder.sign(media_type, io.BytesIO(data), out)
        except c2pa.C2paError as error:
            message = f"a manifest could not be signed: {error}"
            raise SigningFailed(message) from error
        if not manifest:
            message = "the signer gave no manifest"
            raise SigningFailed(message)
        return Signed(out.getvalue() if embed else data, manifest)

    def _context(self) -> Any:
        with self._lock:
            if self._made is None:
                self._made = _context(self._credential, self._tsa_url)
            return self._made


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
        raise SettingsRefused(message) from error


def settings_of(anchors: str | None) -> dict[str, Any]:
    """Return the library's settings: no thumbnails, nothing fetched, what was signed is read back."""
    return {
        "version": 1,
        "builder": {"thumbnail": {"enabled": False}},
        "trust": {"trust_anchors": anchors} if anchors else {},
        "verify": {
            "verify_after_sign": True,
            "verify_trust": anchors is not None,
            "remote_manifest_fetch": False,
            "ocsp_fetch": False,
        },
    }
