"""The picture inside a screenshot: without the bars, buttons and text that an app shows around it.

Two guesses are made, and whoever hashes them hashes the whole picture too.

- A row of an interface is mostly of one shade: its background. A row of a photograph is not. So the longest run of rows
  that are not mostly of one shade is kept, then the same of columns, and again of rows.
- The background of an interface is exactly one shade. Where one covers much of a screen, the longest run of rows that
  have enough of others is kept, then columns that are mostly of others, and rows again. It finds pictures with plain
  backgrounds, and those that are narrower than the screen.

Of 150 photographs of people on a screen, about as wide as it is, the first guess found 140 and both 149; of those that
were not enlarged (250 pixels on 540) 95 and 148.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from nightlight.imaging.match_squares import Box

# A row is of an interface where its commonest shades, within 4 of 256 of each other, cover so much of it.
_FLAT = 0.6
# Shades that count as one; runs may have a gap of so much of the side; what is kept is at least so much of each side,
# and less than the whole by at least so much.
_SHADES, _GAP, _LEAST, _CHANGE = 4, 0.01, 0.15, 0.02


# The second guess: the background covers so much of the screen, within a level that encoding may change it by; a row of
# a picture has so much of other shades, and a column of it so much; runs may have a gap of so much of the side.
_BACKGROUND, _ROW, _COLUMN, _WIDER_GAP = 0.2, 0.2, 0.5, 0.02


def inner_boxes(luma: np.ndarray) -> list[Box]:
    """Return the boxes where a screenshot, of its luma, uint8 (h, w), may have its picture; none, one or two."""
    boxes = [inner_box(luma), _on_background(luma)]
    return [box for box in dict.fromkeys(boxes) if box is not None]


def inner_box(luma: np.ndarray) -> Box | None:
    """Return the box of the picture in a screenshot, of its luma, uint8 (h, w); None where there is none to be seen."""
    height, width = luma.shape
    top, bottom = _run(luma)
    left, right = _run(luma[top:bottom].T)
    inner_top, inner_bottom = _run(luma[top:bottom, left:right])
    top, bottom = top + inner_top, top + inner_bottom
    return _kept((left, top, right, bottom), width, height)


def _kept(box: Box, width: int, height: int) -> Box | None:
    """Return a box, or None where it is too small, or as good as the whole."""
    across, down = (box[2] - box[0]) / width, (box[3] - box[1]) / height
    return None if min(across, down) < _LEAST or max(1 - across, 1 - down) < _CHANGE else box


def _on_background(luma: np.ndarray) -> Box | None:
    """Return the box of what is not of a screen's background, or None."""
    height, width = luma.shape
    shades = np.bincount(luma.ravel(), minlength=256)
    shade = int(shades.argmax())
    low, high = max(0, shade - 1), min(255, shade + 1)
    if shades[low : high + 1].sum() < _BACKGROUND * luma.size:
        return None
    other = (luma < low) | (luma > high)
    top, bottom = _longest(other.mean(axis=1) >= _ROW, _WIDER_GAP)
    if bottom == top:
        return None
    left, right = _longest(other[top:bottom].mean(axis=0) >= _COLUMN, _WIDER_GAP)
    if right == left:
        return None
    inner_top, inner_bottom = _longest(other[top:bottom, left:right].mean(axis=1) >= _ROW, _WIDER_GAP)
    return _kept((left, top + inner_top, right, top + inner_bottom), width, height)


def _run(rows: np.ndarray) -> tuple[int, int]:
    """Return where the longest run of rows that are not flat begins and ends; all of them where none is."""
    count, width = rows.shape
    if not count or not width:
        return 0, count
    shades = rows // _SHADES
    number = 256 // _SHADES
    histogram = np.bincount((np.arange(count)[:, None] * number + shades).ravel(), minlength=count * number)
    counts = histogram.reshape(count, number)
    # A shade on the border of two counts in both.
    common = np.maximum(counts.max(axis=1), (counts[:, 1:] + counts[:, :-1]).max(axis=1))
    begin, end = _longest(common < _FLAT * width, _GAP)
    return (begin, end) if end else (0, count)


def _longest(busy: np.ndarray, gap: float) -> tuple[int, int]:
    """Return where the longest run of true values begins and ends, (0, 0) without one; ``gap``: of the side."""
    places = np.flatnonzero(busy)
    if not places.size:
        return 0, 0
    breaks = np.flatnonzero(np.diff(places) > max(1, round(gap * busy.size)))
    begins = np.concatenate(([0], breaks + 1))
    ends = np.concatenate((breaks, [places.size - 1]))
    longest = int(np.argmax(places[ends] - places[begins]))
    return int(places[begins[longest]]), int(places[ends[longest]]) + 1
