"""What the hidden mark says, with a keyed check by which nothing else is taken for one.

A picture of 160 pixels or more carries 64 bits, a smaller one 20; each is followed by a check of 28 that only the
key's holder can make. A search tries at most ``MOST_TRIES`` readings of the first kind and ``MOST_SHORT_TRIES`` of the
second, over all keys together, so that a picture without a mark passes for a marked one with a probability of at most
(160 + 64) / 2**28 = 8.4e-7, whatever is in it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

ID_BITS, VARIANT_BITS = 56, 8
SHORT_ID_BITS, SHORT_VARIANT_BITS = 16, 4
CHECK_BITS = 28
MOST_TRIES, MOST_SHORT_TRIES = 160, 64
CHANCE = (MOST_TRIES + MOST_SHORT_TRIES) / 2**CHECK_BITS


@dataclass(frozen=True, slots=True)
class Payload:
    """A rendition's number (0 to 2**56 - 1, or its lowest 16 bits where ``short``), and which variant of it this is."""

    rendition: int
    variant: int = 0
    short: bool = False

    def __post_init__(self) -> None:
        """Refuse numbers that do not fit, with ValueError."""
        of, variants = _bits(short=self.short)
        if not 0 <= self.rendition < 1 << of or not 0 <= self.variant < 1 << variants:
            message = f"a payload holds {of} bits of a rendition and {variants} of a variant"
            raise ValueError(message)

    def shortened(self) -> Payload:
        """Return what a small rendition can carry of this."""
        mask = (1 << SHORT_ID_BITS) - 1
        return Payload(self.rendition & mask, self.variant & ((1 << SHORT_VARIANT_BITS) - 1), short=True)


def size(*, short: bool) -> int:
    """Return how many bits a payload is, with its check."""
    return sum(_bits(short=short)) + CHECK_BITS


def sealed(payload: Payload, key: bytes) -> np.ndarray:
    """Return the payload's bits and its check's, uint8 (size,) of 0 and 1."""
    of, variants = _bits(short=payload.short)
    number = payload.rendition << variants | payload.variant
    said = np.array([number >> at & 1 for at in reversed(range(of + variants))], np.uint8)
    return np.concatenate([said, _check(number, key, short=payload.short)])


def opened(bits: np.ndarray, key: bytes, *, short: bool) -> Payload | None:
    """Return the payload that ``bits`` say, or None where the check does not fit."""
    of, variants = _bits(short=short)
    number = int("".join("1" if bit else "0" for bit in bits[: of + variants]), 2)
    if not np.array_equal(bits[of + variants :], _check(number, key, short=short)):
        return None
    return Payload(number >> variants, number & ((1 << variants) - 1), short=short)


def _bits(*, short: bool) -> tuple[int, int]:
    return (SHORT_ID_BITS, SHORT_VARIANT_BITS) if short else (ID_BITS, VARIANT_BITS)


def _check(number: int, key: bytes, *, short: bool) -> np.ndarray:
    """Return the check: the first bits of a keyed BLAKE2b (RFC 7693) of the payload."""
    person = b"mark-short" if short else b"mark-full"
    digest = hashlib.blake2b(number.to_bytes(8, "big"), key=key[:64], person=person, digest_size=4).digest()
    return np.unpackbits(np.frombuffer(digest, np.uint8))[:CHECK_BITS]
