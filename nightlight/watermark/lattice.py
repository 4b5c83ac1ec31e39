"""How a carrier holds a bit: its value lies on one of two interleaved lattices, moved by a keyed dither.

This is quantisation index modulation (B. Chen and G. W. Wornell, IEEE Trans. Information Theory 47, 2001): unlike a
pattern that is added, it is not disturbed by the picture itself. A change of contrast or
of sharpness stretches the lattice, so a reader searches for the stretch: a gain, and how the gain changes with the
frequency.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nightlight.watermark import error_correction
from nightlight.watermark.layout import BANDS, CELLS, COARSE_BANDS, NARROW, Layout

# A cell counts as covered when at least this share of it is in the copy.
COVERED_SHARE = 0.93

_SLOPES: tuple[float, ...] = (-0.9, -0.6, -0.3, 0.0, 0.3, 0.6)
_GAINS = np.exp(np.arange(-0.42, 0.421, 0.012)).astype(np.float32)
# The slopes and gains near none: those of a copy whose contrast and sharpness were not changed. And the score, in
# deviations, from which a fit among them is no chance.
_NEAR_SLOPES, _NEAR_GAINS = slice(2, 5), slice(29, 42)
_CERTAIN_SCORE = 8.0
_LEAST_CARRIERS = 60
# The mean distance of a value that knows nothing of the lattice is a quarter of the step; its deviation is 1 / sqrt(48)
# of it, so that this many times the root of their number makes a score of deviation 1.
_NORM = np.float32(np.sqrt(3.0))
_EDGE = 1e-12
# How far carriers must agree before a band's own gain is used, in deviations.
_TRUSTED_GAIN = 4.0
_GROUPS, _GROUP_PRIOR, _CELL_PRIOR = 4, 0.15, 1.0
_MOST_SOFT = 8.0


@dataclass(frozen=True, slots=True)
class Stretch:
    """A guess at how the lattice was stretched: by a gain, and how its logarithm changes with the squared frequency.

    ``kind`` is NARROW or WIDE, the steps it was written with. ``score`` is in standard deviations of what chance
    gives, less a little for what is unlikely.
    """

    score: float
    kind: int
    gain: float
    slope: float


def likely_stretches(values: np.ndarray, layout: Layout, covered: np.ndarray, most: int) -> list[Stretch]:
    """Return the likeliest stretches of carrier values, float32 (n,); ``covered`` is bool (cells,)."""
    inside = covered[layout.cell] & (layout.band < COARSE_BANDS)
    if int(inside.sum()) < _LEAST_CARRIERS:
        return []
    table = _stretch_scores(values, layout, inside, slice(None), slice(None))
    best = []
    for _ in range(most):
        kind, row, column = (int(index) for index in np.unravel_index(int(table.argmax()), table.shape))
        best.append(Stretch(float(table[kind, row, column]), kind, float(_GAINS[column]), _SLOPES[row]))
        table[kind, max(0, row - 1) : row + 2, max(0, column - 3) : column + 4] = -np.inf
    return best


def likeliest_stretch(values: np.ndarray, layout: Layout, covered: np.ndarray) -> Stretch:
    """Return the likeliest stretch of carrier values, float32 (n,), of a copy that covers enough of the frame.

    The stretches near none at all are tried first. One of them is taken where it fits so well that no other can fit
    better by chance, and lies within what was tried.
    """
    inside = covered[layout.cell] & (layout.band < COARSE_BANDS)
    table = _stretch_scores(values, layout, inside, _NEAR_SLOPES, _NEAR_GAINS)
    kind, row, column = (int(index) for index in np.unravel_index(int(table.argmax()), table.shape))
    _, rows, columns = table.shape
    if table[kind, row, column] < _CERTAIN_SCORE or not (0 < row < rows - 1 and 0 < column < columns - 1):
        return likely_stretches(values, layout, covered, 1)[0]
    gain, slope = _GAINS[_NEAR_GAINS][column], _SLOPES[_NEAR_SLOPES][row]
    return Stretch(float(table[kind, row, column]), kind, float(gain), slope)


def _stretch_scores(values: np.ndarray, layout: Layout, inside: np.ndarray, slopes: slice, gains: slice) -> np.ndarray:
    """Return the score of each kind, slope and gain, float32 (kinds, slopes, gains), over the carriers ``inside``."""
    dither, frequency = layout.dither[inside] * 2, layout.frequency[inside]
    count = len(dither)
    inverse = (1 / _GAINS[gains])[:, None]
    table = np.empty((len(layout.step), len(_SLOPES[slopes]), len(inverse)), np.float32)
    away, whole = np.empty((2, len(inverse), count), np.float32)
    for kind, step in enumerate(layout.step):
        doubled = values[inside] / step[inside] * 2
        for row, slope in enumerate(_SLOPES[slopes]):
            np.multiply(doubled * np.exp(-slope * frequency), inverse, out=away)
            away -= dither
            np.rint(away, out=whole)
            away -= whole
            np.abs(away, out=away)
            table[kind, row] = (1 - 4 * away.mean(1)) * np.sqrt(np.float32(count)) * _NORM
            table[kind, row] -= 1.2 * abs(slope) + _UNLIKELY[gains]
    return table


# What is taken off for a gain: a copy whose contrast was not changed is the likeliest.
_UNLIKELY = (np.log(_GAINS) ** 2 * 20 + (np.abs(np.log(_GAINS)) > 0.012) * 0.3).astype(np.float32)  # noqa: PLR2004


def lattice_fit(
    values: np.ndarray, layout: Layout, inside: np.ndarray, gains: tuple[float, ...], slopes: tuple[float, ...]
) -> np.ndarray:
    """Return the best score of each row of ``values``, float32 (rows, k), over both kinds, gains and slopes.

    ``inside``: bool (n,), the k carriers that the columns are: of the coarse bands, which both kinds have.
    """
    dither = layout.dither[inside] * 2
    best = np.full(len(values), -np.inf, np.float32)
    for step in layout.step:
        for slope in slopes:
            halved = np.exp(-slope * layout.frequency[inside]) * 2 / step[inside]
            for gain in gains:
                away = values * (halved / np.float32(gain))
                away -= dither
                away -= np.rint(away)
                np.abs(away, out=away)
                np.maximum(best, 1 - 4 * away.mean(1), out=best)
    scored: np.ndarray = best * np.sqrt(np.float32(values.shape[1])) * _NORM
    return scored


def soft_bits(values: np.ndarray, layout: Layout, stretch: Stretch, covered: np.ndarray) -> np.ndarray:
    """Return the log-likelihood ratio of each carrier's bit, float32 (n,); positive speaks for 0.

    The trust in a carrier is learned from the copy itself: from how well its band and its cell fit the lattice. Codecs
    and denoisers erase calm cells first, so cells are first judged in groups of like activity.
    """
    inside = covered[layout.cell]
    step, trust = _bands(values, layout, stretch, inside)
    phase = values / step - layout.dither
    agreement = np.cos(4 * np.pi * phase)
    trust = np.clip(trust * _cells(values, layout, agreement, trust, covered)[layout.cell], 0.005, 0.97)
    # E cos(4 pi e) = exp(-8 pi^2 s^2) for a Gaussian error of deviation s (in steps).
    twice_variance = (-np.log(trust) / (4 * np.pi**2))[:, None]
    away = (phase - np.rint(phase))[:, None]
    zero_bit = np.exp(-((away - np.arange(-1, 2)) ** 2) / twice_variance).sum(1)
    one_bit = np.exp(-((away + 0.5 - np.arange(-1, 3)) ** 2) / twice_variance).sum(1)
    ratio = np.clip(np.log((zero_bit + _EDGE) / (one_bit + _EDGE)), -_MOST_SOFT, _MOST_SOFT) * inside
    ratio32: np.ndarray = ratio.astype(np.float32)
    return ratio32


def gather_bits(ratios: np.ndarray, layout: Layout, bits: int, *, short: bool) -> np.ndarray:
    """Return the log-likelihood ratio of each coded bit, float32 (RATE * bits,), from its carriers'."""
    return np.bincount(layout.bits(short=short), weights=ratios, minlength=error_correction.RATE * bits).astype(
        np.float32
    )


def correlation(ratios: np.ndarray, coded: np.ndarray) -> float:
    """Return how well log-likelihood ratios, float32 (n,), agree with a codeword, uint8 (n,): -1 to 1."""
    signs = 1 - 2 * coded.astype(np.float32)
    return float(ratios @ signs / np.sqrt(float(ratios @ ratios) * len(ratios) + 1e-12))


def _bands(values: np.ndarray, layout: Layout, stretch: Stretch, inside: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return each carrier's step and its band's agreement; each band's gain is sought near the band's before."""
    off = np.arange(-0.16, 0.161, 0.01, dtype=np.float32)
    slope = np.exp(stretch.slope * layout.frequency) * layout.step[stretch.kind]
    step, trust = np.ones_like(values), np.full(len(values), 0.01, np.float32)
    gain = np.float32(stretch.gain)
    for band in range(COARSE_BANDS if stretch.kind == NARROW else BANDS):
        in_band = layout.band == band
        some = in_band & inside
        count = int(some.sum())
        if count >= _LEAST_CARRIERS // 3:
            flat, dither = values[some] / slope[some], layout.dither[some]
            phases = flat[None] / (gain * np.exp(off))[:, None] - dither
            scores = np.cos(4 * np.pi * phases).mean(1)
            best = int((scores - 0.3 * np.abs(off)).argmax())
            if scores[best] * np.sqrt(2 * count) > _TRUSTED_GAIN:
                gain = gain * np.exp(off[best])
            trust[in_band] = max(np.cos(4 * np.pi * (flat / gain - dither)).mean(), 0.01)
        step[in_band] = gain * slope[in_band]
    return step, trust


def _cells(
    values: np.ndarray, layout: Layout, agreement: np.ndarray, trust: np.ndarray, covered: np.ndarray
) -> np.ndarray:
    """Return how much more, or less, each cell is to be trusted than its bands are: float (cells,) about 1."""
    cells = CELLS * CELLS
    fine = layout.band >= COARSE_BANDS
    active = np.bincount(layout.cell[fine], weights=values[fine] ** 2, minlength=cells)
    order = np.flatnonzero(covered)[np.argsort(active[covered], kind="stable")]
    group = np.zeros(cells, np.int64)
    parts = np.array_split(order, max(1, min(_GROUPS, len(order) // 8)))
    for number, part in enumerate(parts):
        group[part] = number
    used = covered[layout.cell] & ~fine
    held = np.bincount(layout.cell, weights=agreement * used, minlength=cells)
    expected = np.bincount(layout.cell, weights=trust * used, minlength=cells)
    held_by_group = np.bincount(group, weights=held, minlength=len(parts))
    expected_by_group = np.bincount(group, weights=expected, minlength=len(parts))
    some = _GROUP_PRIOR * expected_by_group.mean()
    like = np.clip((held_by_group + some) / (expected_by_group + some + 1e-6), 0.03, 2.0)[group]
    prior = _CELL_PRIOR * expected.sum() / max(1, len(order))
    factor: np.ndarray = np.clip((held + prior * like) / (expected + prior + 1e-6), 0.03, 1.6)
    return factor
