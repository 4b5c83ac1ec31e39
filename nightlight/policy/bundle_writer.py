"""Build the signed bundle of a compiled pack. ``nightlight_core.policy.bundle`` has the format and the reader."""

from __future__ import annotations

import base64
import json
import sys
import zlib
from array import array
from typing import TYPE_CHECKING, Any

from nightlight_core.errors import PolicyRefused
from nightlight_core.policy.bundle import FORMAT, MAX_BYTES, MAX_UNPACKED, MAX_VERSION, signed_bytes

if TYPE_CHECKING:
    from nightlight.policy.compile import Compiled
    from nightlight.policy.models import Document
    from nightlight.policy.signing import SigningKey
    from nightlight_core.policy.table import Table


def build_bundle(compiled: Compiled, version: int, key: SigningKey) -> bytes:
    """Return the bundle of a compiled pack, signed by ``key``; raise PolicyRefused if no reader would take it."""
    if not 1 <= version <= MAX_VERSION:
        raise PolicyRefused(f"a version is a whole number from 1 to {MAX_VERSION}")
    pack = compiled.pack
    documents = {
        "vocabulary": pack.vocabulary,
        "tiers": pack.tiers,
        "rules": pack.rules,
        "retention": pack.retention,
        "checks": pack.checks,
    }
    regimes = [{"file": source.file, **_plain(document)} for source, document in pack.regimes]
    payload = {
        "version": version,
        "digest": compiled.digest,
        "documents": {
            **{name: _plain(document) for name, document in documents.items()},
            "cases": [{"file": source.file, **_plain(document)} for source, document in pack.cases],
            **({"regimes": regimes} if regimes else {}),
        },
        "table": _table_to_json(compiled.table),
        "retention": compiled.retention.meaning(),
    }
    if compiled.dated:
        payload["dated"] = [{"from": period.begins, "table": _table_to_json(period.table)} for period in compiled.dated]
    text = json.dumps(payload, separators=(",", ":")).encode()
    packed = zlib.compress(text, 9)
    outer = {
        "format": FORMAT,
        "key_id": key.key_id,
        "payload": base64.b64encode(packed).decode(),
        "signature": base64.b64encode(key.sign(signed_bytes(packed))).decode(),
    }
    data = json.dumps(outer).encode() + b"\n"
    if len(text) > MAX_UNPACKED or len(data) > MAX_BYTES:
        raise PolicyRefused(
            f"the bundle has {len(data):,} bytes, unpacked {len(text):,}; at most {MAX_BYTES:,} and {MAX_UNPACKED:,} "
            "are read. Use fewer words, dates or cases"
        )
    return data


def _plain(document: Document) -> dict[str, Any]:
    """Return a document as it was written, without what it leaves at the default."""
    return document.model_dump(mode="json", exclude_defaults=True, by_alias=True)


def _table_to_json(table: Table) -> dict[str, Any]:
    cells = array("H", table.cells)
    if sys.byteorder == "little":
        cells.byteswap()
    return {
        "attributes": {name: list(words) for name, words in table.attributes.items()},
        "outcomes": [[list(o.rank), o.tier, o.cache_s, o.per_hour, o.capture, o.rule] for o in table.outcomes],
        "cells": base64.b64encode(cells.tobytes()).decode(),
        "besides": table.besides,
    }
