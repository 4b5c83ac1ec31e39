"""A sheet of pictures with row and column titles, as PNG: for people who write policies."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageFont

from nightlight.imaging.face import SURE_CONFIDENCE

if TYPE_CHECKING:
    from nightlight.imaging.rendition import RenderResult, Rendition

# Left, top, right, bottom.
Box = tuple[float, float, float, float]

CELL = 220
_WIDE = 320
_GAP = 10
_FACE = 240
_PATTERN_LEFT = 140
_LEFT = 250
_TOP = 64
_PAPER = (250, 250, 248)
_INK = (32, 34, 38)
_PALE = (110, 116, 124)


def contact_sheet(
    title: str, columns: Sequence[str], rows: Sequence[tuple[str, str, Sequence[tuple[bytes, str]]]]
) -> bytes:
    """Return a PNG: one row a profile (name, note, cells), one column a viewer; a cell is (picture, caption).

    Pictures smaller than a cell are enlarged smoothly, as pages do.
    """
    line = CELL + 34
    sheet, pen = _titled(title, _LEFT + len(columns) * (CELL + _GAP), len(rows) * (line + _GAP))
    text, small = ImageFont.load_default(17), ImageFont.load_default(13)
    for number, column in enumerate(columns):
        pen.text((_LEFT + number * (CELL + _GAP) + CELL / 2, 36), column, _INK, font=text, anchor="mm")
    for index, (name, note, cells) in enumerate(rows):
        top = _TOP + index * (line + _GAP)
        pen.text((_GAP, top + 80), name, _INK, font=text)
        pen.multiline_text((_GAP, top + 106), note, _PALE, font=small, spacing=5)
        for number, (data, caption) in enumerate(cells):
            left = _LEFT + number * (CELL + _GAP)
            picture = _opened(data).resize((CELL, CELL), Image.Resampling.BICUBIC)
            sheet.paste(picture, (left, top))
            pen.text((left + CELL / 2, top + CELL + 15), caption, _PALE, font=small, anchor="mm")
    return _png(sheet)


def tier_sheet(title: str, frame: Image.Image, rendered: RenderResult) -> bytes:
    """Return a PNG: the frame with the kept square and the faces drawn in, then every tier as pages show it.

    Each tier stands twice: at its own size, and enlarged smoothly to the size of the frame's column, which is the
    most that a page, or somebody who enlarges it, can make of it.
    """
    columns = 1 + len(rendered.renditions)
    sheet, pen = _titled(title, columns * (_WIDE + _GAP), 2 * (_WIDE + 40))
    text, small = ImageFont.load_default(17), ImageFont.load_default(13)
    drawn = frame.copy()
    outline = ImageDraw.Draw(drawn)
    thick = max(2, min(frame.size) // 150)
    outline.rectangle(rendered.square, outline=(255, 255, 255), width=thick)
    for face in rendered.search.faces:
        colour = (90, 220, 120) if face.confidence >= SURE_CONFIDENCE else (240, 180, 60)
        box = (face.left, face.top, face.left + face.width, face.top + face.height)
        outline.rectangle(box, outline=colour, width=thick)
    drawn.thumbnail((_WIDE, _WIDE))
    sheet.paste(drawn, (_GAP, _TOP))
    pen.text((_GAP, _TOP + _WIDE + 8), "the frame", _INK, font=text)
    for number, rendition in enumerate(rendered.renditions, 1):
        left = _GAP + number * (_WIDE + _GAP)
        picture = _opened(rendition.data)
        sheet.paste(picture.resize((_WIDE, _WIDE), Image.Resampling.BICUBIC), (left, _TOP))
        pen.text((left, _TOP + _WIDE + 8), _tier_line(rendition), _INK, font=text)
        pen.text((left, _TOP + _WIDE + 30), f"{len(rendition.data)} bytes", _PALE, font=small)
        picture.thumbnail((_WIDE, _WIDE))
        sheet.paste(picture, (left, _TOP + _WIDE + 60))
    return _png(sheet)


def _tier_line(rendition: Rendition) -> str:
    detail = "no budget" if rendition.face_px is None else f"{rendition.face_px:.1f} px across the face"
    if rendition.no_face:
        detail = f"no face: {rendition.grid} px of detail"
    return f"{rendition.recipe.tier}, {rendition.width} px, {detail}"


def pattern_sheet(title: str, columns: Sequence[str], rows: Sequence[tuple[str, Box, Sequence[bytes]]]) -> bytes:
    """Return a PNG: one row a tier or portrait (name, box of the face, pictures), one column a pattern.

    The box is (left, top, right, bottom) in shares of the picture's sides. Each picture stands at its own size, and its
    face stands below, enlarged smoothly.
    """
    opened = [(name, box, [_opened(data) for data in pictures]) for name, box, pictures in rows]
    widest = max(picture.width for _, _, pictures in opened for picture in pictures)
    heights = [pictures[0].height + _FACE + 2 * _GAP for _, _, pictures in opened]
    column_width = max(widest, _FACE) + _GAP
    sheet, pen = _titled(title, _PATTERN_LEFT + len(columns) * column_width, sum(heights))
    text = ImageFont.load_default(17)
    for number, column in enumerate(columns):
        pen.text((_PATTERN_LEFT + number * column_width, 42), column, _INK, font=text)
    top = _TOP
    for (name, (x0, y0, x1, y1), pictures), height in zip(opened, heights, strict=True):
        pen.text((_GAP, top), name, _INK, font=text)
        for number, picture in enumerate(pictures):
            left = _PATTERN_LEFT + number * column_width
            sheet.paste(picture, (left, top))
            box = (x0 * picture.width, y0 * picture.height, x1 * picture.width, y1 * picture.height)
            face = picture.resize((_FACE, _FACE), Image.Resampling.BICUBIC, box=box)
            sheet.paste(face, (left, top + picture.height + _GAP // 2))
        top += height
    return _png(sheet)


def picture_size(data: bytes) -> tuple[int, int]:
    """Return the width and height in pixels of a rendition's bytes."""
    return _opened(data).size


def _opened(data: bytes) -> Image.Image:
    with Image.open(BytesIO(data), formats=["WEBP", "JPEG", "AVIF"]) as image:
        return image.convert("RGB")


def _titled(title: str, width: int, height: int) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    """Return a sheet with its title and room of ``width`` by ``height`` pixels, and the pen that draws on it."""
    sheet = Image.new("RGB", (width + _GAP, _TOP + height + _GAP), _PAPER)
    pen = ImageDraw.Draw(sheet)
    pen.text((_GAP, 18), title, _INK, font=ImageFont.load_default(22))
    return sheet, pen


def _png(sheet: Image.Image) -> bytes:
    buffer = BytesIO()
    sheet.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
