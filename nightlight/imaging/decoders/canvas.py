"""A frame on the canvas of its picture: what the frame does not cover is transparent."""

from __future__ import annotations

from typing import Protocol

from PIL import Image


class FrameRows(Protocol):
    """The rows of a frame, read once, from the top."""

    def strip(self, top: int, bottom: int) -> Image.Image:
        """Return rows of pixels."""
        ...


class Canvas:
    """The rows of a picture of which a frame covers a part."""

    def __init__(self, size: tuple[int, int], place: tuple[int, int, int, int], frame: FrameRows) -> None:
        """Place ``frame``, at (left, top, width, height), on a canvas of ``size`` (width, height)."""
        self._width, self._place, self._frame = size[0], place, frame

    def strip(self, top: int, bottom: int) -> Image.Image:
        """Return rows of the picture."""
        left, above, width, height = self._place
        first, last = max(top, above), min(bottom, above + height)
        if first >= last:
            return Image.new("RGBA", (self._width, bottom - top))
        rows = self._frame.strip(first - above, last - above)
        if (first, last, left, width) == (top, bottom, 0, self._width):
            return rows if rows.mode == "RGBA" else rows.convert("RGBA")
        strip = Image.new("RGBA", (self._width, bottom - top))
        strip.paste(rows.convert("RGBA"), (left, first - top))
        return strip
