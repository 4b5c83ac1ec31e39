"""One signed file that is a whole policy: its table, and every document that the table was compiled from.

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
import math
import sys
import zlib
from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nightlight_core.errors import PolicyRefused
from nightlight_core.policy.dates import MOST_DATES, Timeline, digest_of, iso_day
from nightlight_core.policy.table import CAPTURE, FORBID, Outcome, Table
from nightlight_core.policy.tier import TierRecipe

if TYPE_CHECKING:
    from nightlight_core.policy.public_keys import PublicKeys

FORMAT = "nightlight-bundle/3"
# Bundles that count only for whoever compiles their documents. The digest of the first did not cover the ranks of
# outcomes and the recipes; neither of them says what may be captured.
EARLIER = {"nightlight-bundle/1": 1, "nightlight-bundle/2": 2}
MAX_BYTES = 5_000_000
MAX_UNPACKED = 20_000_000
MAX_VERSION = 2**31 - 1
_OUTER = frozenset({"format", "key_id", "payload", "signature"})
_PAYLOAD = frozenset({"version", "digest", "documents", "table", "retention"})
_DOCUMENTS = frozenset({"vocabulary", "tiers", "rules", "retention", "checks", "cases"})
# Documents that a pack may do without, and that earlier bundles have not.
_OPTIONAL = frozenset({"regimes"})
# Tables of later dates, where rules have any.
_DATED = frozenset({"dated"})
_PERIOD = frozenset({"from", "table"})
_TABLE = frozenset({"attributes", "outcomes", "cells", "besides"})


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle whose signature is right; ``documents`` are the pack's files as plain values.

    ``digest`` covers all that a reader of the tables acts on, unless the bundle is of an ``earlier`` format. ``dated``
    has the tables that take the place of ``table``, each with the day from which it is in force.
    """

    version: int
    digest: str
    key_id: str
    documents: Mapping[str, Any]
    table: Table
    data: bytes
    retention: Mapping[str, Any]
    earlier: bool = False
    dated: tuple[tuple[str, Table], ...] = ()

    @property
    def timeline(self) -> Timeline[Table]:
        """Return the table and those of later dates."""
        return Timeline(self.table, self.dated)


def read_unverified(data: bytes) -> Bundle:
    """Return the bundle in ``data`` without looking at its signature: to compare, never to decide by."""
    return _open(data, None, earlier=True)


def open_bundle(data: bytes, keys: PublicKeys, *, earlier: bool = False) -> Bundle:
    """Return the bundle in ``data``; raise PolicyRefused if it is malformed, too large or not signed by ``keys``.

    ``earlier`` is for whoever compiles its documents anew: bundles of earlier formats are read too.
    """
    return _open(data, keys, earlier=earlier)


def _open(data: bytes, keys: PublicKeys | None, *, earlier: bool) -> Bundle:
    if len(data) > MAX_BYTES:
        raise PolicyRefused(f"a bundle is at most {MAX_BYTES:,} bytes")
    try:
        outer = json.loads(data)
        form = outer.get("format")
        if form in EARLIER and not earlier:
            raise PolicyRefused(
                "this bundle is of an earlier format: build it again with `nightlight policy build` and activate it"
            )
        if form not in {FORMAT, *EARLIER} or set(outer) != _OUTER:
            raise PolicyRefused("this is no policy bundle (another format)")
        packed = base64.b64decode(outer["payload"], validate=True)
        key_id, signature = str(outer["key_id"]), base64.b64decode(outer["signature"], validate=True)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, binascii.Error) as error:
        raise PolicyRefused(f"this is no policy bundle ({type(error).__name__})") from error
    if keys is not None:
        keys.verify(key_id, signature, signed_bytes(packed, form), "the bundle")
    try:
        unpacker = zlib.decompressobj()
        text = unpacker.decompress(packed, MAX_UNPACKED)
        if not unpacker.eof:
            raise PolicyRefused("the bundle unpacks to more than is allowed")
        payload = json.loads(text)
        documents: dict[str, Any] = payload["documents"]
        _refuse_more(payload, _PAYLOAD, frozenset() if form in EARLIER else _DATED)
        _refuse_more(documents, _DOCUMENTS, _OPTIONAL)
        _refuse_more(payload["table"], _TABLE)
        version, digest, old = payload["version"], str(payload["digest"]), EARLIER.get(form)
        if type(version) is not int or not 1 <= version <= MAX_VERSION:
            raise ValueError("the version is no whole number in its range")
        replaced = documents["vocabulary"].get("replaced", {})
        tiers, earlier = documents["tiers"]["tiers"], old is not None
        table = _table_from_json(payload["table"], tiers, replaced, earlier=earlier)
        dated = tuple(
            (str(period["from"]), _table_from_json(period["table"], tiers, replaced, earlier=earlier))
            for period in _periods(payload)
        )
        if digest != (_digest(table, dated) if old is None else table.earlier_digest(old)):
            raise ValueError("the tables do not fit their digest")
        return Bundle(version, digest, key_id, documents, table, data, dict(payload["retention"]), earlier, dated)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError, zlib.error) as error:
        raise PolicyRefused(f"the bundle is signed but cannot be read ({type(error).__name__})") from error


def _digest(table: Table, dated: tuple[tuple[str, Table], ...]) -> str:
    """Return the digest of a table and those of later dates; raise ValueError unless all have the same words."""
    if any(list(later.attributes.items()) != list(table.attributes.items()) for _, later in dated):
        raise ValueError("the tables of two dates have other words")
    return digest_of(table.digest, [(begins, later.digest) for begins, later in dated])


def _periods(payload: Mapping[str, Any]) -> list[Any]:
    """Return the later dates as they are written; raise ValueError unless they are few, real days, and rise."""
    if "dated" not in payload:
        return []
    periods: list[Any] = payload["dated"]
    for period in periods:
        _refuse_more(period, _PERIOD)
        _refuse_more(period["table"], _TABLE)
    days = [iso_day(period["from"]) for period in periods]
    if not 1 <= len(days) <= MOST_DATES or days != sorted(set(days)):
        raise ValueError("the dates are none, too many, or in no order")
    return periods


def _refuse_more(plain: Mapping[str, Any], names: frozenset[str], optional: frozenset[str] = frozenset()) -> None:
    """Raise ValueError unless these names are there and no others: what nobody knows of nobody has checked."""
    if set(plain) - optional != names:
        raise ValueError(f"there must be {', '.join(sorted(names))}, and nothing else")


def signed_bytes(packed: bytes, form: str = FORMAT) -> bytes:
    """Return the bytes that are signed: the format's name too, so that no other signature serves here."""
    return form.encode() + b"\n" + hashlib.sha256(packed).digest()


def _table_from_json(
    plain: Mapping[str, Any], tiers: Mapping[str, Any], replaced: Mapping[str, Any], *, earlier: bool
) -> Table:
    cells = array("H", base64.b64decode(plain["cells"], validate=True))
    if sys.byteorder == "little":
        cells.byteswap()
    outcomes = tuple(_outcome(_without_capture(row) if earlier else row) for row in plain["outcomes"])
    attributes = {str(name): tuple(words) for name, words in plain["attributes"].items()}
    recipes = {name: TierRecipe(**fields) for name, fields in tiers.items()}
    before = {
        str(name): {str(word): tuple(map(str, words)) for word, words in by_word.items()}
        for name, by_word in replaced.items()
    }
    if any(not words or not {*words} <= {*attributes[name]} for name, by in before.items() for words in by.values()):
        raise ValueError("words of before are replaced by words that are not there")
    if len(cells) != math.prod(map(len, attributes.values())) or max(cells, default=0) >= len(outcomes):
        raise ValueError("the table does not fit its attributes")
    return Table(attributes, cells, outcomes, recipes, besides=str(plain["besides"]), replaced=before)


def _without_capture(row: Any) -> list[Any]:
    """Return an outcome of an earlier format as one of today: nothing may be captured."""
    rank, tier, cache_s, per_hour, rule = row
    return [[*rank, 0], tier, cache_s, per_hour, FORBID, rule]


def _outcome(row: Any) -> Outcome:
    ranks, tier, cache_s, per_hour, capture, rule = row
    first, second, third, fourth = map(_number, ranks)
    if capture not in CAPTURE:
        raise ValueError(f"capture is one of {', '.join(CAPTURE)}")
    rank = first, second, third, fourth
    return Outcome(rank, str(tier), _number(cache_s), _number(per_hour), str(capture), str(rule))


def _number(plain: Any) -> int:
    """Return a whole number as it is written; raise ValueError for anything that could be read as one."""
    if type(plain) is not int:
        raise ValueError("a whole number is written as one")
    return plain
