"""The number that the invisible watermark carries, with a keyed check against false readings.

A picture of 160 pixels or more carries 64 bits, a smaller one 20. A check of 28 bits follows, which only the holder of
the key can compute. A search tries at most ``MOST_TRIES`` full readings and ``MOST_SHORT_TRIES`` short ones, over all
keys together. So a picture without a watermark is taken for one that has one with a probability of at most
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
        id_bits, variant_bits = _bits(short=self.short)
        if not 0 <= self.rendition < 1 << id_bits or not 0 <= self.variant < 1 << variant_bits:
            raise ValueError(f"a payload holds {id_bits} bits of a rendition and {variant_bits} of a variant")

    def shortened(self) -> Payload:
        """Return the part of this payload that a small rendition can carry."""
        mask = (1 << SHORT_ID_BITS) - 1
        return Payload(self.rendition & mask, self.variant & ((1 << SHORT_VARIANT_BITS) - 1), short=True)


def payload_size(*, short: bool) -> int:
    """Return how many bits a payload is, with its check."""
    return sum(_bits(short=short)) + CHECK_BITS


def payload_to_bits(payload: Payload, key: bytes) -> np.ndarray:
    """Return the payload's bits and its check's, uint8 (size,) of 0 and 1."""
    id_bits, variant_bits = _bits(short=payload.short)
    number = payload.rendition << variant_bits | payload.variant
    bits = np.array([number >> at & 1 for at in reversed(range(id_bits + variant_bits))], np.uint8)
    return np.concatenate([bits, _check(number, key, short=payload.short)])


def bits_to_payload(bits: np.ndarray, key: bytes, *, short: bool) -> Payload | None:
    """Return the payload that ``bits`` encode, or None where the check fails."""
    id_bits, variant_bits = _bits(short=short)
    length = id_bits + variant_bits
    number = int("".join("1" if bit else "0" for bit in bits[:length]), 2)
    if not np.array_equal(bits[length:], _check(number, key, short=short)):
        return None
    return Payload(number >> variant_bits, number & ((1 << variant_bits) - 1), short=short)


def _bits(*, short: bool) -> tuple[int, int]:
    return (SHORT_ID_BITS, SHORT_VARIANT_BITS) if short else (ID_BITS, VARIANT_BITS)


def _check(number: int, key: bytes, *, short: bool) -> np.ndarray:
    """Return the check: the first bits of a keyed BLAKE2b (RFC 7693) of the payload."""
    person = b"mark-short" if short else b"mark-full"
    digest = hashlib.blake2b(number.to_bytes(8, "big"), key=key[:64], person=person, digest_size=4).digest()
    return np.unpackbits(np.frombuffer(digest, np.uint8))[:CHECK_BITS]
