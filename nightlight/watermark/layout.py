"""Where a key puts the watermark: which waves carry which bit, and the pilot by which a copy is aligned.

The picture is a frame of 8 by 8 cells, whatever its size in pixels. In each cell the waves of a discrete cosine
transform, grouped in bands by their frequency, are taken two by two; such a pair with its two signs is a *carrier*,
and carries one coded bit. The pilot is a pattern over the whole frame between 20 and 48 periods a side: above most
of what a picture holds, below what re-encoding takes away.

Everything is drawn from SHAKE-256 of the key, so that it stays the same as long as watermarked pictures exist.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from nightlight.watermark import error_correction, payload

CELLS = 8
# Pixels a side that a frame is brought to before it is read.
CANONICAL = 160
# Waves a side of a cell; small renditions have the first of them alone.
WAVES, COARSE_WAVES = 9, 6
# Limits of the bands, in half periods a cell (times 4: periods a frame). The four coarse ones are in every watermarked
# rendition. The three fine ones only in those from WIDE_FROM pixels, where they let a quarter of the picture do.
_COARSE = (1.4, 2.3, 3.1, 4.1, 5.1)
_FINE = (6.2, 7.4, 8.6)
COARSE_BANDS = len(_COARSE) - 1
BANDS = COARSE_BANDS + len(_FINE)
# The step of each band's lattice, in luma of a frame of CANONICAL pixels: of renditions that carry the coarse bands
# alone, and of wide ones. Low waves have the larger: they are what codecs and denoisers leave. A wide rendition has
# energy enough to lean on them; in a small one that would leave too little to bear a sharpening.
STEPS = np.array([[78.4, 67.2, 56.0, 50.4, 0.0, 0.0, 0.0], [78.0, 57.4, 39.0, 27.5, 23.0, 23.0, 23.0]], np.float32)
NARROW, WIDE = 0, 1
WIDE_FROM = 256
# Waves that are put together to one carrier. More make each stronger and leave fewer.
_SPREAD = 2
PILOT_LOW, PILOT_HIGH = 20, 48


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Layout:
    """One key's carriers (n of them) and pilot. It never prints: the key is in it.

    ``waves`` int64 (n, 2): indices into the flat (CELLS * WAVES) ** 2 coefficients; ``signs`` float32 (n, 2);
    ``cell`` and ``band`` int64 (n,); ``dither`` float32 (n,) in 0 to 1; ``step`` float32 (2, n): of narrow
    and of wide renditions, 0 where there is nothing;
    ``frequency`` float32 (n,): its square, 1 at 20 periods a frame; ``bit`` and ``short_bit`` int64 (n,): the
    coded bit that it carries in a full and in a short payload; ``pilot`` float32 (CANONICAL, CANONICAL) of mean
    square 1.
    """

    key: bytes
    waves: np.ndarray
    signs: np.ndarray
    cell: np.ndarray
    band: np.ndarray
    dither: np.ndarray
    step: np.ndarray
    frequency: np.ndarray
    bit: np.ndarray
    short_bit: np.ndarray
    pilot: np.ndarray

    def bits(self, *, short: bool) -> np.ndarray:
        """Return the coded bit of each carrier."""
        return self.short_bit if short else self.bit


@lru_cache(maxsize=16)
def build_layout(key: bytes) -> Layout:
    """Return the layout of a key of any length; kept, since making one takes some 50 ms."""
    rows, columns = np.meshgrid(np.arange(WAVES), np.arange(WAVES), indexing="ij")
    radius = np.hypot(rows, columns)
    stream = _Stream(key)
    waves, signs, cells, bands = [], [], [], []
    edges = (*_COARSE, *_FINE)
    for band in range(BANDS):
        inside = np.argwhere((radius >= edges[band]) & (radius < edges[band + 1]))
        pairs = len(inside) // _SPREAD
        for cell in range(CELLS * CELLS):
            chosen = inside[stream.permutation(len(inside))][: pairs * _SPREAD]
            row, column = cell // CELLS * WAVES + chosen[:, 0], cell % CELLS * WAVES + chosen[:, 1]
            waves.append((row * CELLS * WAVES + column).reshape(pairs, _SPREAD))
            cells.append(np.full(pairs, cell))
        count = pairs * CELLS * CELLS
        signs.append(stream.signs(count * _SPREAD).reshape(count, _SPREAD) / np.float32(np.sqrt(_SPREAD)))
        bands.append(np.full(count, band))
    band_of, wave = np.concatenate(bands), np.concatenate(waves)
    # Bits are assigned to the coarse bands and to the fine ones apart: each must suffice without the other.
    coarse = int((band_of < COARSE_BANDS).sum())
    parts = coarse, len(band_of) - coarse
    first, second = wave // (CELLS * WAVES) % WAVES, wave % WAVES
    return Layout(
        key=key,
        waves=wave,
        signs=np.concatenate(signs),
        cell=np.concatenate(cells),
        band=band_of,
        dither=stream.uniform(len(band_of)),
        step=STEPS[:, band_of],
        frequency=((first**2 + second**2).mean(1) / 25).astype(np.float32),
        bit=stream.assign(parts, error_correction.RATE * payload.payload_size(short=False)),
        short_bit=stream.assign(parts, error_correction.RATE * payload.payload_size(short=True)),
        pilot=_pilot(stream),
    )


def _pilot(stream: _Stream) -> np.ndarray:
    rows = np.fft.fftfreq(CANONICAL, 1 / CANONICAL)[:, None]
    columns = np.arange(CANONICAL // 2 + 1)[None]
    radius = np.hypot(rows, columns)
    phases = stream.uniform(radius.size).reshape(radius.shape)
    inside = (radius >= PILOT_LOW) & (radius < PILOT_HIGH) & (columns > 0)
    pattern = np.fft.irfft2(np.exp(2j * np.pi * phases) * inside, s=(CANONICAL, CANONICAL))
    pilot: np.ndarray = pattern / pattern.std()
    return pilot.astype(np.float32)


class _Stream:
    """Numbers drawn from SHAKE-256 (FIPS 202) of a key, each draw under its own number."""

    def __init__(self, key: bytes) -> None:
        self._key, self._draw = key, 0

    def _words(self, count: int) -> np.ndarray:
        self._draw += 1
        # The prefix is part of every layout that was ever used: it must not change.
        stream = hashlib.shake_256(b"nightlight hidden mark 1" + self._draw.to_bytes(4, "big") + self._key)
        words: np.ndarray = np.frombuffer(stream.digest(4 * count), ">u4")
        return words

    def permutation(self, count: int) -> np.ndarray:
        order: np.ndarray = np.argsort(self._words(count), kind="stable")
        return order

    def uniform(self, count: int) -> np.ndarray:
        drawn: np.ndarray = (self._words(count) / 2**32).astype(np.float32)
        return drawn

    def signs(self, count: int) -> np.ndarray:
        return (1 - 2 * (self._words(count) & 1).astype(np.float32)).astype(np.float32)

    def assign(self, parts: Iterable[int], kinds: int) -> np.ndarray:
        """Assign ``kinds`` bits to carriers, equally often in each part, in a random order."""
        assigned = []
        for count in parts:
            rounds = [self.permutation(kinds) for _ in range(-(-count // kinds))]
            assigned.append(np.concatenate(rounds)[:count])
        return np.concatenate(assigned)
