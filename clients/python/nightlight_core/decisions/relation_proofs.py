"""Relation proofs: who says that a viewer is a profile's connection, guardian or owner.

A request may always make less of a relation on its own word. To make more of it than a stranger's it brings a proof: a
short-lived token by whoever keeps the platform's social graph, ``{key id}.{issued}.{expiry}.{signature}``. The
signature is HMAC-SHA256 over viewer, profile, relation and both times, cut to 128 bits, so that a token is worth
nothing for anybody else; whoever takes it along has what the viewer had, until it expires, or until the relation is
revoked: a token that was issued before counts for nothing.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Mapping

from nightlight_core.mac import mac

# What a request may say of a viewer without a proof. Every other word needs one, also one that a policy adds.
UNPROVEN = frozenset({"stranger", "blocked"})
STRANGER, BLOCKED = "stranger", "blocked"
# A token is good for at most so long from now: one that was made to last is none.
MAX_LIFE_S = 3600
MAX_PROOF = 64
_SIGNATURE_BYTES = 16
# Two characters of the key's id, two times of ten digits, 22 characters of the signature, and what is between them.
_LENGTH = 47
# How far clocks may differ, in seconds, unless it is said otherwise.
LEEWAY_S, MAX_LEEWAY_S = 5, 300


def issue_proof(
    keys: Mapping[str, bytes], viewer_id: str, profile_id: str, relation: str, *, now: int, life_s: int = 300
) -> str:
    """Return a token that proves a relation, issued at ``now`` (Unix seconds), for ``life_s``; the first key signs.

    Raises ValueError for a life of more than MAX_LIFE_S, and for ids that could be read as others.
    """
    if not 1 <= life_s <= MAX_LIFE_S:
        raise ValueError(f"a relation proof lives 1 to {MAX_LIFE_S} seconds, not {life_s}")
    if any("\n" in part for part in (viewer_id, profile_id, relation)):
        raise ValueError("no id and no relation has a line's end in it")
    key_id, key = next(iter(keys.items()))
    times = f"{now}.{now + life_s}"
    return f"{key_id}.{times}.{_signature(key, viewer_id, profile_id, relation, times)}"


def verify_proof(
    keys: Mapping[str, bytes], proof: str, viewer_id: str, profile_id: str, relation: str, *, now: int, leeway_s: int
) -> bool:
    """Say whether a token proves this relation, ``now`` in Unix seconds; clocks may differ by ``leeway_s``.

    Whether it was revoked since is another question: see ``issued_after``.
    """
    # Cut by places and not by a pattern: this is done for every connection of every feed. What is signed is the text
    # of the times as they are written, and the signature is compared as it is written.
    if len(proof) != _LENGTH or proof[2] != "." or proof[13] != "." or proof[24] != "." or not proof.isascii():
        return False
    key, issued, expires = keys.get(proof[:2]), proof[3:13], proof[14:24]
    if key is None or not issued.isdigit() or not expires.isdigit() or issued[0] == "0" or expires[0] == "0":
        return False
    issued_at, expires_at = int(issued), int(expires)
    if not now - leeway_s < expires_at or issued_at > now + leeway_s or not 0 < expires_at - issued_at <= MAX_LIFE_S:
        return False
    return hmac.compare_digest(_signature(key, viewer_id, profile_id, relation, proof[3:24]), proof[25:])


def issued_after(proof: str, moment: int, leeway_s: int) -> bool:
    """Say whether a good token was surely issued after ``moment`` (Unix seconds), whichever clock ran ahead.

    What was issued in the same second, or less than the leeway later by its own account, may have come before.
    """
    return int(proof[3:13]) > moment + leeway_s


def _signature(key: bytes, viewer_id: str, profile_id: str, relation: str, times: str) -> str:
    # None of the parts can hold a line's end: ids and words are of a closed set of characters.
    digest = mac(key)(f"relation/2\n{viewer_id}\n{profile_id}\n{relation}\n{times}".encode())
    return base64.urlsafe_b64encode(digest[:_SIGNATURE_BYTES]).rstrip(b"=").decode()
