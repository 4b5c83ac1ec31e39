"""Reads the watermark of a found copy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nightlight.watermark import error_correction
from nightlight.watermark.carriers import luma, read_carriers
from nightlight.watermark.codeword import codeword
from nightlight.watermark.copy_grid import CopyLuma, Placement
from nightlight.watermark.lattice import Stretch, correlation, gather_bits, likely_stretches, soft_bits
from nightlight.watermark.layout import CELLS, Layout, build_layout
from nightlight.watermark.payload import (
    CHANCE,
    MOST_SHORT_TRIES,
    MOST_TRIES,
    Payload,
    bits_to_payload,
    payload_size,
)
from nightlight.watermark.synchronise import (
    ANGLES,
    TURNED_SIDES,
    UPRIGHT_SIDES,
    cropped_placements,
    scaled_placements,
    unresized_placements,
)

# A copy smaller than this, in pixels of its shorter side, cannot be read.
LEAST_SIDE = 24
# How well the carriers fit their lattices, in deviations of chance, for a watermark to be present although unreadable:
# 8 deviations over at most a million tries come by chance less than once in a billion copies.
PRESENCE_THRESHOLD = 8.0
# A fit of less than so many deviations is not worth a try to read.
_WORTH, _WORTH_PLACED = 2.0, 4.0
# The full payload is tried on so many of the likeliest stretches, a short one on the first two.
_STRETCHES, _SHORT_STRETCHES = 5, 2
_EVERYWHERE = np.ones(CELLS * CELLS, np.bool_)


@dataclass(frozen=True, slots=True)
class Detection:
    """A watermark that was read in a copy.

    ``agreement``: of the reading with its codeword, 0 to 1; half of all readings fail at 0.5. ``chance``: bounds the
    probability that a picture without this key's watermark gives any reading. ``how``: ``whole``, ``cropped`` (and not
    resized), ``scaled`` or ``turned``. ``place``: of the frame over the copy; None for ``whole``.
    """

    payload: Payload
    key_id: str
    agreement: float
    chance: float
    how: str
    mirrored: bool
    place: Placement | None = None


@dataclass(frozen=True, slots=True)
class DetectionResult:
    """The result of a search.

    ``detection``: the watermark that was read, or None. ``present``: in deviations of chance; from PRESENCE_THRESHOLD
    on, the copy has a watermark of one of the keys, readable or not.
    """

    detection: Detection | None
    present: float


class Detector:
    """Searches for the watermarks of several keys, the newest first. One for each process; not thread-safe."""

    def __init__(self, keys: Mapping[str, bytes], sides: Sequence[int] = ()) -> None:
        """Take the keys by id, and the sides in pixels of the renditions that may have been cropped."""
        self._keys = keys
        self._sides = tuple(sides)

    def detect(self, pixels: np.ndarray, *, quick: bool = False) -> DetectionResult:
        """Return the watermark in ``pixels``: RGB, uint8 (h, w, 3), or luma, uint8 (h, w), of any size.

        ``quick`` reads the whole picture only, mirrored or turned by quarters: for copies that were not cropped. The
        time is bounded by about 1 s of one core for each key. Copies without a watermark take the longest.
        """
        if min(pixels.shape[:2]) < LEAST_SIDE:
            return DetectionResult(None, 0.0)
        copy = CopyLuma(luma(pixels) if pixels.ndim == 3 else pixels.astype(np.float32))  # noqa: PLR2004 - with colours
        searches = [_Search(copy, key_id, build_layout(key), len(self._keys)) for key_id, key in self._keys.items()]
        for search in searches:
            if detection := search.quick():
                return DetectionResult(detection, search.present)
        for search in () if quick else searches:
            if detection := search.thorough(self._sides):
                return DetectionResult(detection, search.present)
        return DetectionResult(None, max((search.present for search in searches), default=0.0))


class _Tries:
    """How many readings one key may still try in one stage: every key and stage has an equal share."""

    def __init__(self, shares: int) -> None:
        self._left = {False: MOST_TRIES // shares, True: MOST_SHORT_TRIES // shares}

    def take(self, *, short: bool) -> bool:
        self._left[short] -= 1
        return self._left[short] >= 0


class _Search:
    """The search for one key's watermark in one copy."""

    def __init__(self, copy: CopyLuma, key_id: str, layout: Layout, keys: int) -> None:
        self._copy, self._key_id, self._layout = copy, key_id, layout
        self._shares = 2 * keys  # one for each stage of each key
        self._tries = _Tries(self._shares)
        self.present = 0.0

    def quick(self) -> Detection | None:
        """Return the watermark of the whole copy: as it is, mirrored, or turned by quarters."""
        for quarters in range(4):
            for square in self._copy.whole_squares():
                turned = np.rot90(square, quarters)
                for mirrored in (False, True):
                    view = np.ascontiguousarray(turned[:, ::-1] if mirrored else turned)
                    values = read_carriers(view, self._layout)
                    if detection := self._try(values, _EVERYWHERE, "whole", None, mirrored=mirrored):
                        return detection
        return None

    def thorough(self, sides: Sequence[int]) -> Detection | None:
        """Return the watermark of a copy that is a part of a rendition, wherever it lies."""
        self._tries = _Tries(self._shares)
        for how, places in self._places(sides):
            for score, place in places:
                self.present = max(self.present, score)
                if score < _WORTH_PLACED:
                    break
                values, covered = self._copy.read(place, self._layout)
                if detection := self._try(values, covered, how, place, mirrored=place.mirrored):
                    return detection
        return None

    def _places(self, sides: Sequence[int]) -> Iterator[tuple[str, list[tuple[float, Placement]]]]:
        longest = max(self._copy.width, self._copy.height)
        for side in sides:
            if 0.4 * side <= longest <= side:
                yield "cropped", cropped_placements(self._copy, self._layout, side)
        yield "cropped", unresized_placements(self._copy, self._layout)
        yield "scaled", scaled_placements(self._copy, self._layout, UPRIGHT_SIDES, (0.0,))
        yield "turned", scaled_placements(self._copy, self._layout, TURNED_SIDES, ANGLES)

    def _try(
        self, values: np.ndarray, covered: np.ndarray, how: str, place: Placement | None, *, mirrored: bool
    ) -> Detection | None:
        for rank, stretch in enumerate(likely_stretches(values, self._layout, covered, _STRETCHES)):
            if stretch.score < _WORTH:
                break
            for short in (False, True) if rank < _SHORT_STRETCHES else (False,):
                if not self._tries.take(short=short):
                    continue
                if reading := _read(values, self._layout, stretch, covered, short=short):
                    payload, score = reading
                    return Detection(payload, self._key_id, score, CHANCE, how, mirrored, place)
        return None


def _read(
    values: np.ndarray, layout: Layout, stretch: Stretch, covered: np.ndarray, *, short: bool
) -> tuple[Payload, float] | None:
    bits = payload_size(short=short)
    ratios = gather_bits(soft_bits(values, layout, stretch, covered), layout, bits, short=short)
    payload = bits_to_payload(error_correction.decode(ratios), layout.key, short=short)
    return None if payload is None else (payload, correlation(ratios, codeword(payload, layout)))
