"""One signed file that is a whole policy: table, recipes, retention, vocabulary, rules, checks and cases.

The file is JSON: ``format``, ``payload`` (zlib-compressed JSON, base64), ``key_id`` and an Ed25519
``signature`` over the compressed payload. The signature is checked before anything is unpacked, and what
is unpacked is bounded. The table is there for clients that only look up; whoever activates a bundle compiles
its documents again and does not trust the table.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import sys
import zlib
from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nightlight.errors import PolicyRefused
from nightlight.policy.documents import Tier
from nightlight.policy.table import Outcome, Table

if TYPE_CHECKING:
    from nightlight.policy.compile import Compiled
    from nightlight.policy.signing import PublicKeys, SigningKey

FORMAT = "nightlight-bundle/1"
MAX_BYTES = 1_000_000
MAX_UNPACKED = 20_000_000
MAX_VERSION = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle whose signature is right; ``documents`` are the pack's files as plain values."""

    version: int
    digest: str
    key_id: str
    documents: Mapping[str, Any]
    table: Table
    data: bytes


def build(compiled: Compiled, version: int, key: SigningKey) -> bytes:
    """Return the bundle of a compiled pack, signed by ``key``."""
    if not 1 <= version <= MAX_VERSION:
        message = f"a version is a whole number from 1 to {MAX_VERSION}"
        raise PolicyRefused(message)
    pack = compiled.pack
    documents = {
        "vocabulary": pack.vocabulary,
        "tiers": pack.tiers,
        "rules": pack.rules,
        "retention": pack.retention,
        "checks": pack.checks,
    }
    payload = {
        "version": version,
        "digest": compiled.table.digest,
        "documents": {
            **{name: document.model_dump(mode="json", exclude_defaults=True) for name, document in documents.items()},
            "cases": [
                {"file": source.file, **document.model_dump(mode="json", exclude_defaults=True)}
                for source, document in pack.cases
            ],
        },
        "table": _table_to_json(compiled.table),
        "retention": compiled.retention.meaning(),
    }
    packed = zlib.compress(json.dumps(payload, separators=(",", ":")).encode(), 9)
    outer = {
        "format": FORMAT,
        "key_id": key.key_id,
        "payload": base64.b64encode(packed).decode(),
        "signature": base64.b64encode(key.sign(_signed(packed))).decode(),
    }
    return json.dumps(outer).encode() + b"\n"


def read_unverified(data: bytes) -> Bundle:
    """Return the bundle in ``data`` without looking at its signature: to compare, never to decide by."""
    return _open(data, None)


def open_bundle(data: bytes, keys: PublicKeys) -> Bundle:
    """Return the bundle in ``data``; raise PolicyRefused if it is malformed, too large or not signed by ``keys``."""
    return _open(data, keys)


def _open(data: bytes, keys: PublicKeys | None) -> Bundle:
    if len(data) > MAX_BYTES:
        message = f"a bundle is at most {MAX_BYTES:,} bytes"
        raise PolicyRefused(message)
    try:
        outer = json.loads(data)
        if outer.get("format") != FORMAT:
            message = "this is no policy bundle (another format)"
            raise PolicyRefused(message)
        packed = base64.b64decode(outer["payload"], validate=True)
        key_id, signature = str(outer["key_id"]), base64.b64decode(outer["signature"], validate=True)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, binascii.Error) as error:
        message = f"this is no policy bundle ({type(error).__name__})"
        raise PolicyRefused(message) from error
    if keys is not None:
        keys.verify(key_id, signature, _signed(packed), "the bundle")
    try:
        unpacker = zlib.decompressobj()
        text = unpacker.decompress(packed, MAX_UNPACKED)
        if not unpacker.eof:
            message = "the bundle unpacks to more than is allowed"
            raise PolicyRefused(message)
        payload = json.loads(text)
        documents: dict[str, Any] = payload["documents"]
        table = _table_from_json(payload["table"], documents["tiers"]["tiers"], payload["digest"])
        return Bundle(int(payload["version"]), str(payload["digest"]), key_id, documents, table, data)
    except (ValueError, KeyError, TypeError, IndexError, RecursionError, zlib.error) as error:
        message = f"the bundle is signed but cannot be read ({type(error).__name__})"
        raise PolicyRefused(message) from error


def _signed(packed: bytes) -> bytes:
    """Return the bytes that are signed: the format's name too, so that no other signature serves here."""
    return FORMAT.encode() + b"\n" + hashlib.sha256(packed).digest()


def _table_to_json(table: Table) -> dict[str, Any]:
    cells = array("H", table.cells)
    if sys.byteorder == "little":
        cells.byteswap()
    return {
        "attributes": {name: list(words) for name, words in table.attributes.items()},
        "outcomes": [[list(o.rank), o.tier, o.cache_s, o.per_hour, o.rule] for o in table.outcomes],
        "cells": base64.b64encode(cells.tobytes()).decode(),
        "besides": table.besides,
    }


def _table_from_json(plain: Mapping[str, Any], tiers: Mapping[str, Any], digest: str) -> Table:
    cells = array("H", base64.b64decode(plain["cells"], validate=True))
    if sys.byteorder == "little":
        cells.byteswap()
    outcomes = tuple(
        Outcome((rank[0], rank[1], rank[2]), str(tier), int(cache_s), int(per_hour), str(rule))
        for rank, tier, cache_s, per_hour, rule in plain["outcomes"]
    )
    attributes = {str(name): tuple(words) for name, words in plain["attributes"].items()}
    recipes = {name: Tier.model_validate(fields) for name, fields in tiers.items()}
    table = Table(attributes, cells, outcomes, recipes, besides=str(plain["besides"]))
    size = 1
    for words in attributes.values():
        size *= len(words)
    if len(cells) != size or (cells and max(cells) >= len(outcomes)) or table.digest != digest:
        message = "the table does not fit its attributes or its digest"
        raise ValueError(message)
    return table
