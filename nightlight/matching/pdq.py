"""PDQ: 256 bits that stay nearly the same when a picture is re-encoded, resized or lightly edited.

Source: Meta, "The TMK+PDQF Video-Hashing Algorithm and the PDQ Image-Hashing Algorithm", 2019, with its reference
implementation. In numpy, because the published binding has to be compiled where it is installed; the tests hold
this against what that one gives. PDQ does not survive cropping, which the invisible watermark
does. A mirrored or turned copy is found by all eight dihedral hashes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# Every picture is brought to this many pixels a side first, so that its hash does not depend on its size. PDQ's filter
# looks a pixel and a half to one side, which a mirrored picture has on the other: at 256 pixels its hash is 24 to 44
# bits from the one that is computed, at 512 (which the reference recommends) 6 to 22.
CANONICAL = 512
BYTES = 32
# Two hashes at most this far apart (Hamming) are a match, and a picture of less than this quality (0 to 100) has too
# little in it for its hash to mean anything: both as the reference recommends.
MATCH_WITHIN = 31
LEAST_QUALITY = 50

_SIDE = 64
_WAVES = 16
# The wave of row i has i + 1 half periods over the side; the constant is left out.
_DCT = (
    np.sqrt(2 / _SIDE) * np.cos(np.pi / (2 * _SIDE) * np.outer(np.arange(1, _WAVES + 1), 2 * np.arange(_SIDE) + 1))
).astype(np.float32)
# A mirrored picture has its odd waves negated. The eight variants, in the order of PdqHashes: whether the waves are
# transposed, and then their signs, float32 (16, 16).
_SAME = np.ones((_WAVES, _WAVES), np.float32)
_ACROSS = _SAME * np.where(np.arange(1, _WAVES + 1) % 2, -1, 1).astype(np.float32)
_DOWN = _ACROSS.T
_BOTH = _ACROSS * _DOWN
_DIHEDRAL = (
    (False, _SAME), (True, _DOWN), (False, _BOTH), (True, _ACROSS), (False, _DOWN), (False, _ACROSS), (True, _SAME),
    (True, _BOTH),
)  # fmt: skip
_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)
_QUALITY_STEP = 90


@dataclass(frozen=True, slots=True)
class PdqHashes:
    """The hashes of one picture, uint8 (8, 32): as it is, then its seven other turns and mirrors; and its quality.

    The order is: as it is, turned by 90, 180 and 270 degrees against the clock, upside down, mirrored, and mirrored
    at each diagonal.
    """

    hashes: np.ndarray
    quality: int


def pdq(pixels: np.ndarray) -> PdqHashes:
    """Return the hashes of ``pixels``, uint8 (CANONICAL, CANONICAL, 3), RGB; or, without the last, their luma.

    Luma is ITU-R BT.601's, which Pillow's mode L holds rounded: a bit or two of the hash may differ for that. Raises
    ValueError for another shape or dtype.
    """
    if pixels.shape not in {(CANONICAL, CANONICAL, 3), (CANONICAL, CANONICAL)} or pixels.dtype != np.uint8:
        message = f"PDQ takes uint8 pixels of shape ({CANONICAL}, {CANONICAL}[, 3]), not {pixels.dtype} {pixels.shape}"
        raise ValueError(message)
    luma = pixels @ _LUMA if pixels.ndim == 3 else pixels.astype(np.float32)  # noqa: PLR2004 - rows, columns, colours
    small = _REDUCTION @ luma @ _REDUCTION.T
    waves = _DCT @ small @ _DCT.T
    # Mirroring and turning the picture is negating and transposing its waves.
    variants = [(waves.T if transposed else waves) * signs for transposed, signs in _DIHEDRAL]
    return PdqHashes(np.stack([_bits(variant) for variant in variants]), _quality(small))


def turned(hashed: bytes) -> np.ndarray:
    """Return a hash of 32 bytes as the eight hashes of ``PdqHashes``, uint8 (8, 32), where the picture is not there.

    A mirrored picture's waves are negated, which flips their bits as long as the median is nothing: up to 18 bits are
    others than the picture's own (eight photographs).
    """
    bits = np.unpackbits(np.frombuffer(hashed, np.uint8))[::-1].reshape(_WAVES, _WAVES).astype(bool)
    variants = [(bits.T if transposed else bits) ^ (signs < 0) for transposed, signs in _DIHEDRAL]
    return np.stack([np.packbits(variant.ravel()[::-1]) for variant in variants])


def _bits(waves: np.ndarray) -> np.ndarray:
    """Return uint8 (32,): which waves are above the median, the last wave in the highest bit of the first byte."""
    flat = waves.ravel()
    # Torben's median, as the reference takes it, is the lower of the two in the middle.
    median = np.partition(flat, flat.size // 2 - 1)[flat.size // 2 - 1]
    return np.packbits((flat > median)[::-1])


def _reduction() -> np.ndarray:
    """Return float32 (64, CANONICAL): two passes of the box filter along a side, then every eighth of its pixels.

    The filter is linear and each side has its own, so the whole of it is one product on the left and one on the right.
    """
    window = (CANONICAL + 2 * _SIDE - 1) // (2 * _SIDE)
    half = (window + 2) // 2
    box = np.zeros((CANONICAL, CANONICAL))
    for at in range(CANONICAL):
        first, last = max(0, at + half - window), min(CANONICAL, at + half)
        box[at, first:last] = 1 / (last - first)
    kept = ((np.arange(_SIDE) + 0.5) * CANONICAL / _SIDE).astype(int)
    reduction: np.ndarray = (box @ box)[kept].astype(np.float32)
    return reduction


_REDUCTION = _reduction()


def _quality(small: np.ndarray) -> int:
    """Return 0 (nothing to see) to 100: how much the picture changes from pixel to pixel."""
    steps = sum(np.abs(np.trunc(np.diff(small, axis=axis) * 100 / 255)).sum() for axis in (0, 1))
    return min(100, int(steps / _QUALITY_STEP))


def distance(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return in how many of 256 bits hashes differ: uint8 (..., 32) against uint8 (..., 32), broadcast."""
    counts: np.ndarray = np.bitwise_count(np.bitwise_xor(left, right)).sum(axis=-1, dtype=np.int64)
    return counts
