"""The claims of a rendition's manifest: what was done for it, that it may not be mined, and the bindings to find it by.

It claims what was done and read back, and no more. A watermark (``c2pa.watermarked``) is one that a soft binding names,
so the visible watermark is an edit (``c2pa.edited``).

It holds no identity, no age, no word of the policy, and nothing of the upload. The upload is not an ingredient: that
would carry its owner's own manifest along.

Assertions: C2PA specification 2.2; CAWG training and data mining assertion 1.1.
"""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass
from typing import Any

import nightlight

# The names of the invisible watermark and the perceptual hash in manifests, for which C2PA's list of algorithms has no
# entries. They are in every manifest that was ever signed, so they must not change.
WATERMARK_ALGORITHM, HASH_ALGORITHM = "org.nightlight.mark.1", "org.nightlight.pdq.1"
# How the upload was made is unknown here; what is signed is what a program made of it.
_SOURCE = "http://cv.iptc.org/newscodes/digitalsourcetype/algorithmicallyEnhanced"
_VISIBLE_WATERMARK = "A visible mark was drawn over it."
_USES = ("data_mining", "ai_inference", "ai_generative_training", "ai_training")
_WATERMARK_BYTES, _HASH_BYTES = 7, 32
GENERATOR = "Nightlight"
# The field that pads manifests, so that all have one size.
PADDING_FIELD = "org.nightlight.filling"
MAX_MANIFEST_BYTES = 100_000
LABEL_PATTERN = "urn:c2pa:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_LABEL = re.compile(LABEL_PATTERN.encode())


@dataclass(frozen=True, slots=True)
class ManifestClaims:
    """What the manifest of one rendition claims.

    ``watermark``: the 56 bits of its invisible watermark, if it has one that was read back from its bytes (a small
    rendition carries the lower 16 of them); else None. ``hash``: the 32 bytes of its perceptual hash; None if it is too
    plain for one. The others are what was done for it; nothing is claimed of what was not.
    """

    watermark: int | None
    hash: bytes | None
    visible_watermark: bool
    cropped: bool = False
    resized: bool = False
    softened: bool = False


def manifest_definition(claims: ManifestClaims) -> dict[str, Any]:
    """Return the manifest's definition for the c2pa library's builder."""
    possible: list[tuple[bool, dict[str, Any]]] = [
        (True, {"action": "c2pa.created", "digitalSourceType": _SOURCE}),
        (claims.cropped, {"action": "c2pa.cropped"}),
        (claims.resized, {"action": "c2pa.resized"}),
        (claims.softened, {"action": "c2pa.filtered"}),
        (claims.visible_watermark, {"action": "c2pa.edited", "description": _VISIBLE_WATERMARK}),
        (claims.watermark is not None, {"action": "c2pa.watermarked"}),
    ]
    actions = [action for done, action in possible if done]
    assertions = [_assertion("c2pa.actions.v2", {"actions": actions})]
    for label in ("cawg", "c2pa"):
        entries = {f"{label}.{use}": {"use": "notAllowed"} for use in _USES}
        assertions.append(_assertion(f"{label}.training-mining", {"entries": entries}))
    bindings = [
        (WATERMARK_ALGORITHM, watermark_binding(claims.watermark) if claims.watermark is not None else None),
        (HASH_ALGORITHM, base64.b64encode(claims.hash).decode() if claims.hash is not None else None),
    ]
    for algorithm, value in bindings:
        if value is not None:
            block = {"scope": {}, "value": value}
            assertions.append(_assertion("c2pa.soft-binding", {"alg": algorithm, "blocks": [block]}))
    return {
        "claim_generator_info": [{"name": GENERATOR, "version": nightlight.__version__}],
        "assertions": assertions,
    }


def padded_definition(definition: dict[str, Any], data: bytes, length: int) -> dict[str, Any]:
    """Return a definition padded with ``length`` characters that do not compress.

    They are derived from the picture (``data``) and are part of the claim, so a change to one breaks its signature.
    """
    if length == 0:
        return definition
    random = hashlib.shake_256(data).digest(length)
    (generator,) = definition["claim_generator_info"]
    return {
        **definition,
        "claim_generator_info": [{**generator, PADDING_FIELD: base64.b64encode(random).decode()[:length]}],
    }


def watermark_binding(watermark: int) -> str:
    """Return an invisible watermark's number as the value of a soft binding: base64 of seven bytes."""
    return base64.b64encode(watermark.to_bytes(_WATERMARK_BYTES, "big")).decode()


def watermark_from_binding(value: str) -> int | None:
    """Return the number in a soft binding's value; None for any other value."""
    raw = _from_base64(value, _WATERMARK_BYTES)
    return int.from_bytes(raw, "big") if raw is not None else None


def hash_from_binding(value: str) -> bytes | None:
    """Return the hash in a soft binding's value; None for any other value."""
    return _from_base64(value, _HASH_BYTES)


def _from_base64(value: str, size: int) -> bytes | None:
    try:
        raw = base64.b64decode(value, validate=True)
    except ValueError:
        return None
    return raw if len(raw) == size else None


def manifest_label(manifest: bytes) -> str | None:
    """Return the label of a manifest that we signed: that of the box of its only claim; None if there is none."""
    match = _LABEL.search(manifest)
    return match[0].decode() if match is not None else None


def soft_bindings(manifest: dict[str, Any]) -> dict[str, str]:
    """Return the soft bindings of a manifest, as the c2pa library's reader gives it: algorithm to value."""
    bindings: dict[str, str] = {}
    for assertion in manifest.get("assertions", []):
        data = assertion.get("data")
        if str(assertion.get("label", "")).startswith("c2pa.soft-binding") and isinstance(data, dict):
            blocks = data.get("blocks") or [{}]
            bindings.setdefault(str(data.get("alg", "")), str(blocks[0].get("value", "")))
    return bindings


def _assertion(label: str, data: dict[str, Any]) -> dict[str, Any]:
    # `created`: the signer vouches for it, and did not only gather it.
    return {"label": label, "data": data, "created": True}
