"""Finds how a copy was cropped, scaled, turned and mirrored, so that its watermark can be read.

First it searches for the pilot, at a grid of scales and angles, everywhere at once by a correlation in the Fourier
domain (template pilots: S. Pereira and T. Pun, IEEE Trans. Image Processing 9, 2000). The best places are
aligned with the pilot, and then with the lattices of the carriers themselves, which are exact to a tenth of a pixel.
The work is bounded by the grids below, whatever the copy holds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from operator import itemgetter

import cv2
import numpy as np

from nightlight.watermark.copy_grid import CopyLuma, Placement
from nightlight.watermark.lattice import lattice_fit
from nightlight.watermark.layout import CANONICAL, COARSE_BANDS, PILOT_HIGH, PILOT_LOW, Layout

# Pixels a side of the frame in the first search; enough for the pilot.
_COARSE = 128
# How far the frame may reach past the copy beyond what cropping explains, in parts of the frame.
_SLACK = 0.03
# Sides of the frame over the copy's longer side: less than one where the copy has margins, more where it was cropped.
UPRIGHT_SIDES = np.exp(np.arange(np.log(0.65), np.log(2.3), 0.014))
CROPPED_SIDES = np.exp(np.arange(0, np.log(1.3), 0.007))
TURNED_SIDES = np.exp(np.arange(np.log(0.97), np.log(1.6), 0.02))
ANGLES = tuple(np.radians(angle) for angle in range(-10, 11) if angle)
# Places that are aligned with the pilot after each search, and of those the ones aligned with the lattices.
_KEPT, _POLISHED, _KNOWN = 8, 4, 10
# Places of the pilot that are aligned where the side is not known, and how far from it the side is sought, in pixels.
_UNSIZED, _NEAR_SIDES = 3, 3

ScoredPlacement = tuple[float, Placement]
_score = itemgetter(0)


def cropped_placements(copy: CopyLuma, layout: Layout, side: int) -> list[ScoredPlacement]:
    """Return where the frame of a rendition of ``side`` pixels may lie over a copy that was cropped, not resized."""
    places = [place for _, place in _search(copy, layout, [side], [0.0], _KNOWN, 8, CANONICAL)]
    return sorted((_on_whole_pixels(copy, layout, place) for place in places), key=_score, reverse=True)[:3]


def scaled_placements(
    copy: CopyLuma, layout: Layout, sides: Sequence[float], angles: Sequence[float]
) -> list[ScoredPlacement]:
    """Return where the frame may lie over a copy, the likeliest first; ``sides`` are over the copy's longer side."""
    longest = max(copy.width, copy.height)
    starts = _search(copy, layout, [longest * side for side in sides], angles, _KEPT, 1, _COARSE)
    aligned = sorted((_aligned(copy, layout, place) for _, place in starts), key=_score, reverse=True)
    distinct: list[Placement] = []
    for _, place in aligned:
        if not any(_alike(place, other, 0.004, 0.01) for other in distinct):
            distinct.append(place)
    scored = [(_fit_at(copy, layout, place), place) for place in distinct]
    scored.sort(key=_score, reverse=True)
    # The pilot's own favourites first: before they are polished the lattices say little.
    chosen = list(dict.fromkeys([*distinct[:2], *(place for _, place in scored)]))[:_POLISHED]
    return sorted((_polished(copy, layout, place) for place in chosen), key=_score, reverse=True)


def unresized_placements(copy: CopyLuma, layout: Layout) -> list[ScoredPlacement]:
    """Return where the frame may lie over a copy that was cropped and not resized, of a side that nobody knows.

    It is a whole number, and the cut lies between pixels: that leaves few places to try about those of the pilot. For
    renditions of uploads that are smaller than their tier.
    """
    longest = max(copy.width, copy.height)
    starts = _search(copy, layout, [longest * side for side in CROPPED_SIDES], [0.0], _UNSIZED, 4, CANONICAL)
    aligned = sorted((_aligned(copy, layout, place) for _, place in starts), key=_score, reverse=True)
    near = range(-_NEAR_SIDES, _NEAR_SIDES + 1)
    places = [replace(aligned[0][1], side=float(round(aligned[0][1].side) + by)) for by in near] if aligned else []
    return sorted((_on_whole_pixels(copy, layout, place) for place in places), key=_score, reverse=True)[:3]


def _search(
    copy: CopyLuma, layout: Layout, sides: Iterable[float], angles: Sequence[float], keep: int, each: int, size: int
) -> list[ScoredPlacement]:
    """Return where the pilot stands out most, of all the sides and angles."""
    middle = (copy.width - 1) / 2, (copy.height - 1) / 2
    candidates = []
    for side in sides:
        room = [abs(side - extent) / 2 / side + _SLACK for extent in (copy.width, copy.height)]
        near = _near(size, round(room[0] * size), round(room[1] * size))
        for angle in angles:
            at = Placement(side, angle, *middle)
            spectrum = np.fft.rfft2(copy.under_frame(at, size, white=True))
            for mirrored in (False, True):
                response = np.fft.irfft2(spectrum * _pilot(layout, size, mirrored), s=(size, size))
                response /= max(float(response.std()), 1e-9)
                for height, across, down in _peaks(response, near, each):
                    step = CANONICAL / size
                    moved = at.moved(across * step, down * step, 0.0, 0.0)
                    candidates.append((height, replace(moved, mirrored=mirrored)))
    candidates.sort(key=_score, reverse=True)
    kept: list[ScoredPlacement] = []
    for candidate in candidates:
        if not any(_alike(candidate[1], other, 0.03, 0.02) for _, other in kept):
            kept.append(candidate)
            if len(kept) == keep:
                break
    return kept


@lru_cache(maxsize=32)
def _pilot(layout: Layout, size: int, mirrored: bool) -> np.ndarray:  # noqa: FBT001 - a key of the cache
    pattern = layout.pilot
    if size != CANONICAL:
        pattern = cv2.resize(pattern, (size, size), interpolation=cv2.INTER_AREA)
    spectrum = np.fft.rfft2(pattern[:, ::-1] if mirrored else pattern)
    radius = np.hypot(np.fft.fftfreq(size, 1 / size)[:, None], np.arange(size // 2 + 1)[None])
    filter_: np.ndarray = np.conj(spectrum) * ((radius >= PILOT_LOW - 1) & (radius < PILOT_HIGH + 1))
    return filter_.astype(np.complex64)


@lru_cache(maxsize=512)
def _near(size: int, across: int, down: int) -> np.ndarray:
    shift = np.abs(np.fft.fftfreq(size, 1 / size))
    near: np.ndarray = (shift[:, None] <= down) & (shift[None] <= across)
    return near


def _peaks(response: np.ndarray, near: np.ndarray, most: int) -> Iterator[tuple[float, int, int]]:
    """Yield the highest places of a correlation and how far they are, across and down, in its pixels."""
    size = response.shape[0]
    response = np.where(near, response, -np.inf)
    for _ in range(most):
        down, across = divmod(int(response.argmax()), size)
        height = float(response[down, across])
        if height == -np.inf:
            return
        yield height, across - size * (across > size // 2), down - size * (down > size // 2)
        around = np.arange(-2, 3)
        response[np.ix_((down + around) % size, (across + around) % size)] = -np.inf


def _alike(place: Placement, other: Placement, tilt: float, shift: float) -> bool:
    return (
        place.mirrored == other.mirrored
        and abs(np.log(place.side / other.side)) < tilt
        and abs(place.angle - other.angle) < tilt
        and np.hypot(place.x - other.x, place.y - other.y) < shift * place.side
    )


def _aligned(copy: CopyLuma, layout: Layout, place: Placement) -> ScoredPlacement:
    """Return the frame where the pilot fits best, by turns in shift, size and angle."""
    pilot = (layout.pilot[:, ::-1] if place.mirrored else layout.pilot).ravel()
    middle = (copy.width - 1) / 2, (copy.height - 1) / 2

    def fits(at: Placement) -> float:
        white = copy.under_frame(at, CANONICAL, white=True, flags=cv2.INTER_CUBIC).ravel()
        return float(white @ pilot) / math.sqrt(float(white @ white) + 1e-9)

    # Across and down, by shares of the side; grown and turned about the middle.
    ways: tuple[tuple[Callable[[Placement, float], Placement], float], ...] = (
        (lambda at, by: replace(at, x=at.x + by * at.side), 0.003),
        (lambda at, by: replace(at, y=at.y + by * at.side), 0.003),
        (lambda at, by: at.about(*middle, by, 0.0), 0.006),
        (lambda at, by: at.about(*middle, 0.0, by), 0.006),
    )
    best = (fits(place), place)
    for scale in (1.0, 0.6, 0.36, 0.216):
        for way, size in ways:
            step = size * scale
            below, above = way(best[1], -step), way(best[1], step)
            low, high = fits(below), fits(above)
            bend = low - 2 * best[0] + high
            vertex = 0.5 * (low - high) / bend if bend < 0 else (-1.0 if low > high else 1.0)
            summit = way(best[1], float(np.clip(vertex, -1.5, 1.5)) * step)
            best = max([best, (low, below), (high, above), (fits(summit), summit)], key=_score)
    return best


def _fit_at(copy: CopyLuma, layout: Layout, place: Placement) -> float:
    values, covered = copy.read(place, layout)
    inside = covered[layout.cell] & (layout.band < COARSE_BANDS)
    return lattice_fit(values[inside][None], layout, inside, (0.93, 1.0, 1.07), (-0.3, 0.0))[0] if inside.any() else 0.0


# How the frame is aligned with the lattices: tries, how far they spread, bands that are used, and how many go on. The
# lowest bands come first: they guide from the farthest.
_ROUNDS = ((3000, 1.0, 2, 6), (700, 0.5, 4, 4), (500, 0.3, 4, 3), (400, 0.18, 4, 2), (300, 0.1, 4, 1))
# What the pilot leaves open: pixels across and down, share of the size, radians.
_SPREAD = np.array([0.25, 0.25, 0.003, 0.003], np.float32)
_LEAST_CARRIERS = 40


@lru_cache(maxsize=1)
def _tries() -> np.ndarray:
    """Return the directions tried, float32 (3000, 4): the same for every copy, so that a trace can be repeated."""
    directions: np.ndarray = np.random.Generator(np.random.PCG64(5)).standard_normal((3000, 4)).astype(np.float32)
    directions[0] = 0
    return directions


def _polished(copy: CopyLuma, layout: Layout, place: Placement) -> ScoredPlacement:
    """Return the frame where the carriers fit their lattices best, sought about ``place``."""
    beam: list[ScoredPlacement] = [(0.0, place)]
    for first, (count, spread, bands, keep) in zip((True, *[False] * 4), _ROUNDS, strict=True):
        gains, slopes = ((1.0,), (0.0,)) if first else ((0.95, 1.04), (0.0, -0.3))
        reached: list[ScoredPlacement] = []
        for _, at in beam:
            values, covered, changes = copy.slopes(at, layout)
            inside = covered[layout.cell] & (layout.band < bands)
            if int(inside.sum()) < _LEAST_CARRIERS:
                return 0.0, place
            moves = _tries()[:count] * (_SPREAD * np.float32(spread))
            scores = lattice_fit(values[inside][None] + moves @ changes[:, inside], layout, inside, gains, slopes)
            if first:
                scores = scores - (_tries()[:count] ** 2).sum(1) / 4
            best = np.argpartition(-scores, keep)[:keep] if first else [int(scores.argmax())]
            reached += [(float(scores[index]), at.moved(*(float(by) for by in moves[index]))) for index in best]
        reached.sort(key=_score, reverse=True)
        beam = reached[:keep]
    return beam[0]


def _on_whole_pixels(copy: CopyLuma, layout: Layout, place: Placement) -> ScoredPlacement:
    """Return the frame near ``place`` of which the copy was cut out along pixels."""
    half = (place.side - 1) / 2
    pixel = place.side / CANONICAL
    best: ScoredPlacement = (-np.inf, place)
    steps = [max(1, round(pixel / 3)), 1] if pixel > 3 else [1]  # noqa: PLR2004 - a third of a canonical pixel
    left, top, reach = round(half - place.x), round(half - place.y), int(np.ceil(0.8 * pixel))
    for step in steps:
        for down in range(-reach, reach + 1, step):
            for across in range(-reach, reach + 1, step):
                at = replace(place, angle=0.0, x=half - left - across, y=half - top - down)
                values, covered = copy.read(at, layout)
                inside = covered[layout.cell] & (layout.band < COARSE_BANDS)
                if int(inside.sum()) < _LEAST_CARRIERS:
                    continue
                score = float(lattice_fit(values[inside][None], layout, inside, (0.97, 1.0, 1.03), (0.0,))[0])
                best = max(best, (score, at), key=_score)
        left, top, reach = round(half - best[1].x), round(half - best[1].y), step
    return best
