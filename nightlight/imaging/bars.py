"""The picture inside a screenshot: without the bars, buttons and text that an app shows around it.

A row of an interface is mostly of one shade: its background. A row of a photograph is not. So the longest run of rows
that are not mostly of one shade is kept, then the same of columns, and again of rows. A guess: whoever hashes it
hashes the whole picture too.
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


def inner_box(luma: np.ndarray) -> Box | None:
    """Return the box of the picture in a screenshot, of its luma, uint8 (h, w); None where there is none to be seen."""
    height, width = luma.shape
    top, bottom = _run(luma)
    left, right = _run(luma[top:bottom].T)
    inner_top, inner_bottom = _run(luma[top:bottom, left:right])
    top, bottom = top + inner_top, top + inner_bottom
    across, down = (right - left) / width, (bottom - top) / height
    if min(across, down) < _LEAST or max(1 - across, 1 - down) < _CHANGE:
        return None
    return left, top, right, bottom


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
    busy = np.flatnonzero(common < _FLAT * width)
    if not busy.size:
        return 0, count
    breaks = np.flatnonzero(np.diff(busy) > max(1, round(_GAP * count)))
    begins = np.concatenate(([0], breaks + 1))
    ends = np.concatenate((breaks, [busy.size - 1]))
    longest = int(np.argmax(busy[ends] - busy[begins]))
    return int(busy[begins[longest]]), int(busy[ends[longest]]) + 1
