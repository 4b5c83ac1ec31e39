"""A sheet of pictures with row and column titles, as PNG: for people who would rather look than read."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO

from PIL import Image, ImageDraw, ImageFont

CELL = 220
_GAP = 10
_LEFT = 250
_TOP = 64
_PAPER = (250, 250, 248)
_INK = (32, 34, 38)
_PALE = (110, 116, 124)


def contact_sheet(
    title: str, columns: Sequence[str], rows: Sequence[tuple[str, str, Sequence[tuple[bytes, str]]]]
) -> bytes:
    """Return a PNG: one row a profile (name, note, cells), one column a viewer; a cell is (picture, caption).

    Pictures smaller than a cell are enlarged without smoothing, so that their pixels can be seen.
    """
    line = CELL + 34
    sheet = Image.new(
        "RGB", (_LEFT + len(columns) * (CELL + _GAP) + _GAP, _TOP + len(rows) * (line + _GAP) + _GAP), _PAPER
    )
    pen = ImageDraw.Draw(sheet)
    head, text, small = (ImageFont.load_default(size) for size in (22, 17, 13))
    pen.text((_GAP, 18), title, _INK, font=head)
    for number, column in enumerate(columns):
        pen.text((_LEFT + number * (CELL + _GAP) + CELL / 2, 36), column, _INK, font=text, anchor="mm")
    for index, (name, note, cells) in enumerate(rows):
        top = _TOP + index * (line + _GAP)
        pen.text((_GAP, top + 80), name, _INK, font=text)
        pen.multiline_text((_GAP, top + 106), note, _PALE, font=small, spacing=5)
        for number, (data, caption) in enumerate(cells):
            left = _LEFT + number * (CELL + _GAP)
            sheet.paste(_fit(data), (left, top))
            pen.text((left + CELL / 2, top + CELL + 15), caption, _PALE, font=small, anchor="mm")
    buffer = BytesIO()
    sheet.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def size_of(data: bytes) -> tuple[int, int]:
    """Return the width and height in pixels of a rendition's bytes."""
    with Image.open(BytesIO(data), formats=["WEBP", "JPEG"]) as image:
        return image.size


def _fit(data: bytes) -> Image.Image:
    with Image.open(BytesIO(data), formats=["WEBP", "JPEG"]) as image:
        picture = image.convert("RGB")
    enlarge = picture.width < CELL
    return picture.resize((CELL, CELL), Image.Resampling.NEAREST if enlarge else Image.Resampling.LANCZOS)
