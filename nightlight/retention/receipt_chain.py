"""Whether receipts are the whole chain, a part of it, or wrong; and the anchors that say how long the chain was.

An anchor is a signed statement of the chain's length and head at a moment. It is published where whoever keeps the
chain cannot take it back. A file of receipts that begins with the first one and reaches every anchor is whole up to the
last anchor: nothing of it was left out, changed, or cut off at either end. docs/receipts.md has the rules.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from nightlight.retention.erasure_receipt import Receipt, chain_faults, leftovers, open_envelope, sign_payload
from nightlight_core.errors import PolicyRefused, ReceiptRefused
from nightlight_core.files import read_text
from nightlight_core.policy.public_keys import PublicKeys

if TYPE_CHECKING:
    from pathlib import Path

    from nightlight.policy.signing import SigningKey

ANCHOR_FORMAT = "nightlight-receipt-anchor/1"
# A member of a JWK: the number, from 1, of the last receipt that the key may sign. For keys that were replaced.
LAST_RECEIPT = "last_receipt"


class Verdict(StrEnum):
    """What a file of receipts is."""

    WHOLE = "whole"
    PART = "part"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Anchor:
    """How many receipts the chain had at a moment, and the hash of the last (empty where there was none)."""

    count: int
    head: str
    at: str


@dataclass(frozen=True, slots=True)
class ReceiptKeys:
    """The keys that sign receipts, and the number of the last receipt of those that were replaced."""

    keys: PublicKeys
    last_receipts: Mapping[str, int]

    @classmethod
    def read(cls, path: Path) -> ReceiptKeys:
        """Return the keys of a JWKS file; raise PolicyRefused where there are none."""
        keys = PublicKeys.read(path)
        entries = [jwk for jwk in json.loads(read_text(path))["keys"] if LAST_RECEIPT in jwk]
        if not all(type(jwk[LAST_RECEIPT]) is int and jwk[LAST_RECEIPT] >= 0 for jwk in entries):
            raise PolicyRefused(f"{path}: {LAST_RECEIPT} of a key is a number from 0 on")
        return cls(keys, {str(jwk.get("kid")): jwk[LAST_RECEIPT] for jwk in entries})


@dataclass(frozen=True, slots=True)
class ChainReport:
    """What a file of receipts is, with what is wrong and what is missing in sentences.

    ``anchored`` is the count of the longest anchor that the file reaches, 0 without one.
    """

    verdict: Verdict
    problems: list[str]
    missing: list[str]
    count: int
    head: str
    anchored: int


def issue_anchor(key: SigningKey, count: int, head: str, now: datetime) -> dict[str, str]:
    """Return the signed statement that the chain has ``count`` receipts and ends with ``head``."""
    statement = {"format": ANCHOR_FORMAT, "count": count, "head": head, "at": now.isoformat()}
    return sign_payload(key, json.dumps(statement, sort_keys=True, separators=(",", ":")).encode(), ANCHOR_FORMAT)


def open_anchor(envelope: object, keys: PublicKeys) -> Anchor:
    """Return an anchor whose signature is right; raise ReceiptRefused or PolicyRefused."""
    statement, _ = open_envelope(envelope, keys, ANCHOR_FORMAT, "anchor")
    count, head = statement.get("count"), statement.get("head")
    if type(count) is not int or count < 0 or not isinstance(head, str) or bool(head) is not bool(count):
        raise ReceiptRefused("this is no anchor: it has no count and head")
    return Anchor(count, head, str(statement.get("at", "")))


def judge_chain(receipts: Sequence[Receipt], keys: ReceiptKeys, anchors: Sequence[Anchor] = ()) -> ChainReport:
    """Return what a file of opened receipts is, beside published anchors."""
    if not receipts:
        return ChainReport(Verdict.WRONG, ["there are no receipts"], [], 0, "", 0)
    from_first = receipts[0].previous == ""
    problems = chain_faults(receipts)
    missing = [] if from_first else [f"it begins in the middle: receipts before {receipts[0].receipt_id} are missing"]
    if from_first:
        problems += _late_signatures(receipts, keys)
    anchored = 0
    hashes = [receipt.hash for receipt in receipts]
    for anchor in anchors:
        reached = anchor.head in hashes or not anchor.count
        if not from_first:
            missing += [] if reached else [f"the anchor of {anchor.count:,} receipts ({anchor.at}) is not reached"]
        elif anchor.count > len(receipts):
            missing.append(f"it is cut off: the anchor of {anchor.at} counts {anchor.count:,} receipts")
        elif anchor.count and hashes[anchor.count - 1] != anchor.head:
            problems.append(f"it is another chain than the one of the anchor of {anchor.at}")
        else:
            anchored = max(anchored, anchor.count)
    if from_first and not anchored:
        missing.append("no anchor shows where the chain ends")
    verdict = Verdict.WRONG if problems else Verdict.PART if missing else Verdict.WHOLE
    return ChainReport(verdict, problems, missing, len(receipts), hashes[-1], anchored)


def judge_extract(receipts: Sequence[Receipt]) -> ChainReport:
    """Return what some receipts of a chain are, each by itself: those of one picture, say."""
    problems = leftovers(receipts) if receipts else ["there are no receipts"]
    verdict = Verdict.WRONG if problems else Verdict.PART
    return ChainReport(verdict, problems, [], len(receipts), receipts[-1].hash if receipts else "", 0)


def _late_signatures(receipts: Sequence[Receipt], keys: ReceiptKeys) -> list[str]:
    late = [
        receipt.receipt_id
        for number, receipt in enumerate(receipts, 1)
        if number > keys.last_receipts.get(receipt.key_id, number)
    ]
    return [f"{receipt_id} is signed by a key that was replaced before" for receipt_id in late]
