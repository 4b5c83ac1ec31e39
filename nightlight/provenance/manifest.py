"""What a rendition's manifest says: what was done for it, that it may not be mined, and what leads back to it.

It says what was done and read back, and no more. A watermark (``c2pa.watermarked``) is one that a soft binding names,
so the visible mark is an edit.

No identity, no age, no word of the policy, nothing of the upload: it is not even an ingredient, for that would carry
its owner's own manifest along. Assertions: C2PA specification 2.2; CAWG training and data mining assertion 1.1.
"""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass
from typing import Any

import nightlight

# What manifests call the hidden mark and the perceptual hash, for want of entries in C2PA's list of algorithms.
MARK_ALGORITHM, HASH_ALGORITHM = "org.nightlight.mark.1", "org.nightlight.pdq.1"
# Who made the upload, and with what, nobody here knows; what is signed is what a program made of it.
_SOURCE = "http://cv.iptc.org/newscodes/digitalsourcetype/algorithmicallyEnhanced"
_VISIBLE_MARK = "A visible mark was drawn over it."
_USES = ("data_mining", "ai_inference", "ai_generative_training", "ai_training")
_MARK_BYTES, _HASH_BYTES = 7, 32
# What only fills a manifest up, so that all are of one size.
GENERATOR = "Nightlight"
FILLING = "org.nightlight.filling"
MAX_MANIFEST_BYTES = 100_000
LABEL_PATTERN = "urn:c2pa:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_LABEL = re.compile(LABEL_PATTERN.encode())


@dataclass(frozen=True, slots=True)
class Said:
    """What is to be said of one rendition.

    ``mark`` is its hidden mark's 56 bits, if it has one and that was read back from its bytes (a small rendition
    carries the lower 16 of them); ``hash`` is its perceptual hash's 32 bytes, if there is enough in it for one. The
    others are what was done for it: nothing is said of what was not.
    """

    mark: int | None
    hash: bytes | None
    visible_mark: bool
    cropped: bool = False
    resized: bool = False
    softened: bool = False


def definition(said: Said) -> dict[str, Any]:
    """Return a manifest's definition for the builder."""
    done: list[tuple[bool, dict[str, Any]]] = [
        (True, {"action": "c2pa.created", "digitalSourceType": _SOURCE}),
        (said.cropped, {"action": "c2pa.cropped"}),
        (said.resized, {"action": "c2pa.resized"}),
        (said.softened, {"action": "c2pa.filtered"}),
        (said.visible_mark, {"action": "c2pa.edited", "description": _VISIBLE_MARK}),
        (said.mark is not None, {"action": "c2pa.watermarked"}),
    ]
    actions = [action for was, action in done if was]
    assertions = [_assertion("c2pa.actions.v2", {"actions": actions})]
    for label in ("cawg", "c2pa"):
        entries = {f"{label}.{use}": {"use": "notAllowed"} for use in _USES}
        assertions.append(_assertion(f"{label}.training-mining", {"entries": entries}))
    bindings = [
        (MARK_ALGORITHM, mark_value(said.mark) if said.mark is not None else None),
        (HASH_ALGORITHM, base64.b64encode(said.hash).decode() if said.hash is not None else None),
    ]
    for algorithm, value in bindings:
        if value is not None:
            block = {"scope": {}, "value": value}
            assertions.append(_assertion("c2pa.soft-binding", {"alg": algorithm, "blocks": [block]}))
    return {
        "claim_generator_info": [{"name": GENERATOR, "version": nightlight.__version__}],
        "assertions": assertions,
    }


def filled(told: dict[str, Any], data: bytes, length: int) -> dict[str, Any]:
    """Return a definition that takes more room, by ``length`` characters that say nothing and do not compress.

    They follow from the picture (``data``), and stand in the claim, so whoever changes one breaks its signature.
    """
    if length == 0:
        return told
    random = hashlib.shake_256(data).digest(length)
    (generator,) = told["claim_generator_info"]
    return {**told, "claim_generator_info": [{**generator, FILLING: base64.b64encode(random).decode()[:length]}]}


def mark_value(mark: int) -> str:
    """Return a hidden mark's number as a soft binding has it: base64 of seven bytes."""
    return base64.b64encode(mark.to_bytes(_MARK_BYTES, "big")).decode()


def mark_of(value: str) -> int | None:
    """Return the number that a soft binding's value is, None for anything else."""
    try:
        raw = base64.b64decode(value, validate=True)
    except ValueError:
        return None
    return int.from_bytes(raw, "big") if len(raw) == _MARK_BYTES else None


def hash_of(value: str) -> bytes | None:
    """Return the hash that a soft binding's value is, None for anything else."""
    try:
        raw = base64.b64decode(value, validate=True)
    except ValueError:
        return None
    return raw if len(raw) == _HASH_BYTES else None


def label_of(manifest: bytes) -> str | None:
    """Return what a manifest that we signed calls itself: the label of its first, and only, claim's box."""
    found = _LABEL.search(manifest)
    return found[0].decode() if found is not None else None


def bindings_of(manifest: dict[str, Any]) -> dict[str, str]:
    """Return the soft bindings that a manifest, as a reader gives it, names: algorithm to value."""
    found: dict[str, str] = {}
    for one in manifest.get("assertions", []):
        data = one.get("data")
        if str(one.get("label", "")).startswith("c2pa.soft-binding") and isinstance(data, dict):
            blocks = data.get("blocks") or [{}]
            found.setdefault(str(data.get("alg", "")), str(blocks[0].get("value", "")))
    return found


def _assertion(label: str, data: dict[str, Any]) -> dict[str, Any]:
    # `created`: vouched for by whoever signs, and not only gathered from elsewhere.
    return {"label": label, "data": data, "created": True}
