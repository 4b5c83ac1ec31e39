"""Relation proofs: who says that a viewer is a profile's connection, guardian or owner.

A request may always make less of a relation on its own word. To make more of it than a stranger's it brings a proof: a
short-lived token by whoever keeps the platform's social graph, ``{key id}.{expiry}.{signature}``. The signature is
HMAC-SHA256 over viewer, profile, relation and expiry, cut to 128 bits, so that a token is worth nothing for anybody
else; whoever takes it along has what the viewer had, until it expires.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Mapping

from nightlight.delivery.mac import mac

# What a request may say of a viewer without a proof. Every other word needs one, also one that a policy adds.
UNPROVEN = frozenset({"stranger", "blocked"})
STRANGER, BLOCKED = "stranger", "blocked"
# A token is good for at most so long from now: one that was made to last is none.
MAX_LIFE_S = 3600
MAX_PROOF = 64
_SIGNATURE_BYTES = 16
# Two characters of the key's id, ten digits, 22 characters of the signature, and what stands between them.
_LENGTH = 36


def prove(
    keys: Mapping[str, bytes], viewer_id: str, profile_id: str, relation: str, *, now: int, life_s: int = 300
) -> str:
    """Return a token that proves a relation from ``now`` (Unix seconds) for ``life_s``; the first key signs.

    Raises ValueError for a life of more than MAX_LIFE_S.
    """
    if not 1 <= life_s <= MAX_LIFE_S:
        message = f"a relation proof lives 1 to {MAX_LIFE_S} seconds, not {life_s}"
        raise ValueError(message)
    key_id, key = next(iter(keys.items()))
    expiry = now + life_s
    return f"{key_id}.{expiry}.{_signature(key, viewer_id, profile_id, relation, expiry)}"


def proves(
    keys: Mapping[str, bytes], proof: str, viewer_id: str, profile_id: str, relation: str, *, now: int, leeway_s: int
) -> bool:
    """Say whether a token proves this relation, ``now`` in Unix seconds; clocks may differ by ``leeway_s``."""
    # Cut by places and not by a pattern: this is done for every connection of every feed. What is signed is the number
    # that the digits say, and the signature is compared as it is written.
    if len(proof) != _LENGTH or proof[2] != "." or proof[13] != "." or not proof.isascii():
        return False
    key, written = keys.get(proof[:2]), proof[3:13]
    if key is None or not written.isdigit() or written[0] == "0":
        return False
    expiry = int(written)
    if not now - leeway_s < expiry <= now + MAX_LIFE_S + leeway_s:
        return False
    return hmac.compare_digest(_signature(key, viewer_id, profile_id, relation, expiry), proof[14:])


def _signature(key: bytes, viewer_id: str, profile_id: str, relation: str, expiry: int) -> str:
    # None of the parts can hold a line's end: ids and words are of a closed set of characters.
    digest = mac(key)(f"relation\n{viewer_id}\n{profile_id}\n{relation}\n{expiry}".encode())
    return base64.urlsafe_b64encode(digest[:_SIGNATURE_BYTES]).rstrip(b"=").decode()
