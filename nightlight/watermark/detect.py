"""Reads the mark of a found copy, and reads back what was just written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nightlight.watermark import error_correction
from nightlight.watermark.carriers import carried, luma, stretched
from nightlight.watermark.copy_grid import Copy, Placement
from nightlight.watermark.lattice import Stretch, gathered, soft, stretches
from nightlight.watermark.layout import CELLS, Layout, layout
from nightlight.watermark.payload import CHANCE, MOST_SHORT_TRIES, MOST_TRIES, Payload, opened, sealed, size
from nightlight.watermark.synchronise import ANGLES, TURNED, UPRIGHT, cropped, placed

# A copy smaller than this has nothing to read.
LEAST_SIDE = 24
# How well the carriers fit their lattices, in deviations of chance, for a mark to be there although it cannot be
# read: 8 deviations over at most a million tries come by chance less than once in a billion copies.
PRESENT = 8.0
# A fit of less than so many deviations is not worth a try to read.
_WORTH, _WORTH_PLACED = 2.0, 4.0
# The full payload is tried on so many of the likeliest stretches, a short one on the first two.
_STRETCHES, _SHORT_STRETCHES = 5, 2
_EVERYWHERE = np.ones(CELLS * CELLS, np.bool_)


@dataclass(frozen=True, slots=True)
class Detection:
    """What was read in a copy.

    ``agreement`` is what the reading and the codeword have in common, 0 to 1: half of all readings fail at 0.5.
    ``chance`` bounds the probability that a picture without this key's mark gives any reading at all. ``how``:
    ``whole``, ``cropped`` (and not resized), ``scaled`` or ``turned``; ``place`` is None for ``whole``.
    """

    payload: Payload
    key_id: str
    agreement: float
    chance: float
    how: str
    mirrored: bool
    place: Placement | None = None


@dataclass(frozen=True, slots=True)
class Looked:
    """The outcome of a search: a reading, or none; and whether a mark of one of the keys is there at all.

    ``present`` is in deviations of chance; from PRESENT on there is a mark, readable or not.
    """

    detection: Detection | None
    present: float


class Detector:
    """Looks for the marks of several keys, the newest first. One for each process; not for several threads at once."""

    def __init__(self, keys: Mapping[str, bytes], sides: Sequence[int] = ()) -> None:
        """Take the keys by id, and the sides in pixels of the renditions that may have been cropped."""
        self._keys = keys
        self._sides = tuple(sides)

    def detect(self, pixels: np.ndarray, *, quick: bool = False) -> Looked:
        """Return what is read in ``pixels``, uint8 (h, w, 3), RGB, or luma, uint8 (h, w), of any size.

        ``quick`` leaves it at the whole picture, mirrored or turned by quarters: for copies that were not cropped.
        Time is bounded: about 1 s of one core for each key, of which most is for copies in which nothing is found.
        """
        if min(pixels.shape[:2]) < LEAST_SIDE:
            return Looked(None, 0.0)
        copy = Copy(luma(pixels) if pixels.ndim == 3 else pixels.astype(np.float32))  # noqa: PLR2004 - with colours
        searches = [_Search(copy, key_id, layout(key), len(self._keys)) for key_id, key in self._keys.items()]
        for search in searches:
            if found := search.quick():
                return Looked(found, search.present)
        for search in () if quick else searches:
            if found := search.thorough(self._sides):
                return Looked(found, search.present)
        return Looked(None, max((search.present for search in searches), default=0.0))


def agreement(pixels: np.ndarray, payload: Payload, key: bytes) -> float:
    """Return how well ``payload`` reads back from a rendition's pixels, uint8 (side, side, 3); 0 where it does not.

    It is decoded without knowing what it should say, as a detector would; 0.5 is where half of all readings fail.
    """
    marks = layout(key)
    values = carried(stretched(luma(pixels)), marks)
    for stretch in stretches(values, marks, _EVERYWHERE, 1):
        read = _read(values, marks, stretch, _EVERYWHERE, short=payload.short)
        if read is not None and read[0] == payload:
            return read[1]
    return 0.0


class _Tries:
    """How often one key may still be tried in one stage: its share, or the first would leave nothing to the others."""

    def __init__(self, shares: int) -> None:
        self._left = {False: MOST_TRIES // shares, True: MOST_SHORT_TRIES // shares}

    def one_more(self, *, short: bool) -> bool:
        self._left[short] -= 1
        return self._left[short] >= 0


class _Search:
    """The search for one key's mark in one copy."""

    def __init__(self, copy: Copy, key_id: str, marks: Layout, keys: int) -> None:
        self._copy, self._key_id, self._marks = copy, key_id, marks
        self._shares = 2 * keys  # one for each stage of each key
        self._tries = _Tries(self._shares)
        self.present = 0.0

    def quick(self) -> Detection | None:
        """Return what the whole copy says: as it is, mirrored, or turned by quarters."""
        for quarters in range(4):
            for square in self._copy.wholes():
                turned = np.rot90(square, quarters)
                for mirrored in (False, True):
                    view = np.ascontiguousarray(turned[:, ::-1] if mirrored else turned)
                    values = carried(view, self._marks)
                    if found := self._try(values, _EVERYWHERE, "whole", None, mirrored=mirrored):
                        return found
        return None

    def thorough(self, sides: Sequence[int]) -> Detection | None:
        """Return what a part of a rendition says, wherever it lies."""
        self._tries = _Tries(self._shares)
        for how, places in self._places(sides):
            for score, place in places:
                self.present = max(self.present, score)
                if score < _WORTH_PLACED:
                    break
                values, seen = self._copy.read(place, self._marks)
                if found := self._try(values, seen, how, place, mirrored=place.mirrored):
                    return found
        return None

    def _places(self, sides: Sequence[int]) -> Iterator[tuple[str, list[tuple[float, Placement]]]]:
        longest = max(self._copy.width, self._copy.height)
        for side in sides:
            if 0.4 * side <= longest <= side:
                yield "cropped", cropped(self._copy, self._marks, side)
        yield "scaled", placed(self._copy, self._marks, UPRIGHT, (0.0,))
        yield "turned", placed(self._copy, self._marks, TURNED, ANGLES)

    def _try(
        self, values: np.ndarray, seen: np.ndarray, how: str, place: Placement | None, *, mirrored: bool
    ) -> Detection | None:
        for rank, stretch in enumerate(stretches(values, self._marks, seen, _STRETCHES)):
            if stretch.score < _WORTH:
                break
            for short in (False, True) if rank < _SHORT_STRETCHES else (False,):
                if not self._tries.one_more(short=short):
                    continue
                if read := _read(values, self._marks, stretch, seen, short=short):
                    payload, alike = read
                    return Detection(payload, self._key_id, alike, CHANCE, how, mirrored, place)
        return None


def _read(
    values: np.ndarray, marks: Layout, stretch: Stretch, seen: np.ndarray, *, short: bool
) -> tuple[Payload, float] | None:
    bits = size(short=short)
    ratios = gathered(soft(values, marks, stretch, seen), marks, bits, short=short)
    payload = opened(error_correction.decode(ratios), marks.key, short=short)
    if payload is None:
        return None
    said = 1 - 2 * error_correction.encode(sealed(payload, marks.key)).astype(np.float32)
    return payload, float(ratios @ said / np.sqrt(float(ratios @ ratios) * len(ratios) + 1e-12))
