"""The header of an AVIF or HEIC, both of which are ISO base media files: boxes, and the lists in them.

A file holds many items: the primary one, which is shown, and thumbnails, gain maps, alpha, depth. Only what belongs to
the primary item is decoded, and only that is counted here. Decoders look each item up among all items, so their work
grows with the square of the longest list. Every list is therefore bounded here.

Sources: ISO/IEC 14496-12 and 23008-12 with the AV1 Image File Format 1.1.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nightlight.imaging.header import Header, integer, u16, u32
from nightlight.imaging.isobmff_boxes import boxes, walk
from nightlight.imaging.item_transform import Transform
from nightlight_core.errors import UnsupportedFormat

if TYPE_CHECKING:
    from nightlight.imaging.formats import Format
    from nightlight.imaging.header_limits import HeaderTally

# A picture has at most four channels; a box that states more is read no further than this.
_MOST_CHANNELS = 16
# What items may be made of: nothing else that a library can decode is ever decoded.
_CODED = {"avif": frozenset({b"av01"}), "heic": frozenset({b"hvc1"})}
_DERIVED = {"avif": frozenset({b"grid"}), "heic": frozenset({b"grid", b"iden", b"iovl"})}
# The names of kinds of auxiliary pictures have some 45 bytes. No more of a box is read for one.
_MOST_NAME_BYTES = 128
# Derivations of derivations that are followed.
_DEEPEST = 4
_SAMPLES = {0: 1.0, 1: 1.5, 2: 2.0, 3: 3.0}  # samples a pixel by HEVC's chroma_format_idc


@dataclass(slots=True)
class _Meta:
    """The lists of ``meta`` by item: its type, its properties in order, and references by kind."""

    primary: int | None = None
    types: dict[int, bytes] = field(default_factory=dict)
    properties: list[tuple[bytes, int, int]] = field(default_factory=list)
    associations: dict[int, list[int]] = field(default_factory=dict)
    references: dict[bytes, dict[int, list[int]]] = field(default_factory=dict)
    tracks: list[tuple[int, int]] = field(default_factory=list)

    def properties_of(self, item: int) -> list[tuple[bytes, int, int]]:
        """Return the properties of an item: their kind, where they begin and end."""
        indices = self.associations.get(item, ())
        return [self.properties[index - 1] for index in indices if 1 <= index <= len(self.properties)]


@dataclass(slots=True)
class _Coding:
    """What decoding an item and all that it is made of takes: pixels in all, bits, samples a pixel.

    ``extents``: the sizes of the items whose properties have been read. Each item's are read once, however often other
    items refer to it.
    """

    format: Format
    tally: HeaderTally
    pixels: int = 0
    bits: int = 8
    samples: float = 1.0
    cells: list[tuple[int, int]] = field(default_factory=list)
    extents: dict[int, tuple[int, int] | None] = field(default_factory=dict)


def read_isobmff_header(view: memoryview, tally: HeaderTally, format_: Format) -> Header:
    """Return what the properties of the primary item state, and what decoding it takes.

    A sequence without a primary item that exists is as large as its largest track. Raises IndexError, ValueError,
    ImageTooComplex, TruncatedImage, or UnsupportedFormat where the primary item is coded in another way.
    """
    meta = _read(view, tally)
    animated = bytes(view[8:12]) in (b"avis", b"msf1", b"hevc", b"hevx")
    if meta.primary is None or (meta.tracks and meta.primary not in meta.types):
        if meta.tracks and format_ == "heic":
            raise UnsupportedFormat(f"{format_}: a sequence without a still picture")
        if not meta.tracks:
            raise ValueError(0)
        width, height = max(meta.tracks, key=lambda size: size[0] * size[1])
        return Header(format_, width, height, bits=12, animated=True, alpha=True, coded=2 * width * height, track=True)
    coding = _Coding(format_, tally)
    width, height = _count(view, meta, meta.primary, coding, 0)
    alpha = _alpha(view, meta, meta.primary)
    for item in alpha:
        _count(view, meta, item, coding, 0, otherwise=(width, height))
    own = meta.properties_of(meta.primary)
    transform = Transform.read(view, own, (width, height))
    # libavif decodes a grid whole.
    apart = format_ == "heic" and not alpha
    return Header(
        format_,
        *transform.size,
        bits=coding.bits,
        colour="grey" if coding.samples == 1 else "rgb",
        alpha=bool(alpha) or meta.types.get(meta.primary) == b"iovl",
        animated=animated,
        samples=coding.samples,
        cicp=_cicp(view, meta, meta.primary),
        coded=coding.pixels,
        tile=max(coding.cells, key=lambda size: size[1], default=None) if apart else None,
        aperture=transform.aperture,
        orientation=transform.orientation,
    )


def _read(view: memoryview, tally: HeaderTally) -> _Meta:
    meta = _Meta()
    for path, at, end in walk(view, tally):
        if path == (b"meta", b"pitm"):
            meta.primary = u32(view, at + 4) if view[at] else u16(view, at + 4)
        elif path == (b"meta", b"iinf"):
            _read_types(view, at + (8 if view[at] else 6), end, tally, meta)
        elif path == (b"meta", b"iref"):
            _read_references(view, at, end, tally, meta)
        elif path == (b"meta", b"iprp", b"ipma"):
            _read_associations(view, at, tally, meta)
        elif path[:-1] == (b"meta", b"iprp", b"ipco"):
            meta.properties.append((path[-1], at, end))
        elif path == (b"moov", b"trak", b"tkhd"):
            size = at + (88 if view[at] else 76)
            meta.tracks.append((u32(view, size) >> 16, u32(view, size + 4) >> 16))
    return meta


def _read_types(view: memoryview, start: int, end: int, tally: HeaderTally, meta: _Meta) -> None:
    for kind, at, _ in boxes(view, start, end, tally, listed=True):
        if kind == b"infe" and view[at] >= 2:
            wide = view[at] >= 3
            item, rest = (u32(view, at + 4), at + 8) if wide else (u16(view, at + 4), at + 6)
            meta.types.setdefault(item, bytes(view[rest + 2 : rest + 6]))


def _read_references(view: memoryview, start: int, end: int, tally: HeaderTally, meta: _Meta) -> None:
    wide = 4 if view[start] else 2
    for kind, at, stop in boxes(view, start + 4, end, tally, listed=True):
        source, count = integer(view, at, wide), u16(view, at + wide)
        first = at + wide + 2
        if first + count * wide > stop:
            raise ValueError(at)
        targets = [integer(view, first + index * wide, wide) for index in range(count)]
        meta.references.setdefault(kind, {}).setdefault(source, []).extend(targets)


def _read_associations(view: memoryview, start: int, tally: HeaderTally, meta: _Meta) -> None:
    wide, large = (4 if view[start] else 2), view[start + 3] & 1
    at = start + 8
    for _ in range(u32(view, start + 4)):
        tally.piece()
        item, count = integer(view, at, wide), view[at + wide]
        at += wide + 1
        indices = []
        for _ in range(count):
            tally.piece()
            indices.append(u16(view, at) & 0x7FFF if large else view[at] & 0x7F)
            at += 2 if large else 1
        meta.associations.setdefault(item, []).extend(indices)


def _count(
    view: memoryview,
    meta: _Meta,
    item: int,
    coding: _Coding,
    depth: int,
    *,
    otherwise: tuple[int, int] | None = None,
) -> tuple[int, int]:
    """Add what decoding an item takes; return its width and height, ``otherwise`` where it states none."""
    coding.tally.piece()
    kind, format_ = meta.types.get(item, b""), coding.format
    if item not in coding.extents:
        coding.extents[item] = _extent(view, meta, item)
        if kind in _CODED[format_]:
            _read_coding(view, meta.properties_of(item), coding)
    size = coding.extents[item] or otherwise
    if kind in _DERIVED[format_] and depth < _DEEPEST:
        sources = meta.references.get(b"dimg", {}).get(item, [])
        if not sources:
            raise ValueError(item)
        sizes = [_count(view, meta, source, coding, depth + 1) for source in sources]
        if kind == b"grid":
            coding.cells += sizes
        size = size or sizes[0]
        if kind == b"iovl":
            coding.pixels += size[0] * size[1]
        return size
    if kind not in _CODED[format_]:
        way = kind.decode() if kind.isalnum() else "an unknown way"  # of bytes, isalnum takes ASCII alone
        raise UnsupportedFormat(f"The picture in this {format_.written} is coded in {way}; save it in another format.")
    if size is None:
        raise ValueError(item)
    coding.pixels += size[0] * size[1]
    return size


def _read_coding(view: memoryview, properties: list[tuple[bytes, int, int]], coding: _Coding) -> None:
    """Take the most bits and samples of an item's properties."""
    for name, at, end in properties:
        if name == b"pixi" and at + 5 < end:
            channels = min(view[at + 4], _MOST_CHANNELS)
            coding.bits = max((coding.bits, *view[at + 5 : min(end, at + 5 + channels)]))
        elif name == b"hvcC" and end - at > 18:  # ISO/IEC 14496-15, 8.3.3.1
            coding.bits = max(coding.bits, 8 + (view[at + 17] & 7))
            coding.samples = max(coding.samples, _SAMPLES[view[at + 16] & 3])
        elif name == b"av1C" and end - at >= 4:  # AV1 codec ISO media file format binding, 2.3.3
            flags = view[at + 2]
            coding.bits = max(coding.bits, 8 if not flags & 0x40 else 12 if flags & 0x20 else 10)
            chroma = 1.0 if flags & 0x10 else {0x0C: 1.5, 0x08: 2.0}.get(flags & 0x0C, 3.0)
            coding.samples = max(coding.samples, chroma)


def _extent(view: memoryview, meta: _Meta, item: int) -> tuple[int, int] | None:
    for name, at, _ in meta.properties_of(item):
        if name == b"ispe":
            return u32(view, at + 4), u32(view, at + 8)
    return None


def _alpha(view: memoryview, meta: _Meta, primary: int) -> list[int]:
    """Return the items that hold the alpha of the primary item, or of the cells that it is made of."""
    shown = {primary, *meta.references.get(b"dimg", {}).get(primary, [])}
    auxiliary = meta.references.get(b"auxl", {})
    return [item for item, targets in auxiliary.items() if shown.intersection(targets) and _is_alpha(view, meta, item)]


def _is_alpha(view: memoryview, meta: _Meta, item: int) -> bool:
    for name, at, end in meta.properties_of(item):
        if name == b"auxC":
            kind = bytes(view[at + 4 : min(end, at + 4 + _MOST_NAME_BYTES)]).partition(b"\0")[0]
            if kind.endswith((b":alpha", b":auxid:1")):
                return True
    return False


def _cicp(view: memoryview, meta: _Meta, primary: int) -> tuple[int, int, int] | None:
    """Return primaries, transfer and matrix of the primary item, or of the first cell that it is made of."""
    for item in (primary, *meta.references.get(b"dimg", {}).get(primary, [])[:1]):
        for name, at, end in meta.properties_of(item):
            if name == b"colr" and bytes(view[at : at + 4]) == b"nclx" and end - at >= 10:
                return u16(view, at + 4), u16(view, at + 6), u16(view, at + 8)
    return None
