"""Decodes the part of CBOR (RFC 8949) that COSE signatures use.

That is integers, bytes, text, arrays, maps, tags, null and booleans. Lengths must be definite and in their shortest
form, so that each value has one encoding.
"""

from __future__ import annotations

from typing import Any

_DEEPEST, _MOST_ITEMS = 8, 1000
_BYTES, _TEXT, _ARRAY, _MAP, _TAG, _SIMPLE = 2, 3, 4, 5, 6, 7
_SIMPLES = {20: False, 21: True, 22: None}


class NotCborError(ValueError):
    """The bytes are not one item of this part of CBOR."""


def decode_cbor(data: bytes) -> Any:
    """Return the one item in ``data``, without its tags; raise NotCborError."""
    value, end = _item(data, 0, 0)
    if end != len(data):
        raise NotCborError("something after the signature")
    return value


def _item(data: bytes, at: int, depth: int) -> tuple[Any, int]:
    kind, number, at = _head(data, at)
    if depth > _DEEPEST or (kind in (_ARRAY, _MAP) and number > _MOST_ITEMS):
        raise NotCborError("a signature that is nested too deep or too long")
    if kind in (0, 1):
        return (number if kind == 0 else -1 - number), at
    if kind in (_BYTES, _TEXT):
        raw = data[at : at + number]
        if len(raw) != number:
            raise NotCborError("a signature that was cut short")
        return (raw if kind == _BYTES else raw.decode("utf-8", "replace")), at + number
    if kind == _TAG:
        return _item(data, at, depth + 1)
    if kind == _SIMPLE:
        if number not in _SIMPLES:
            raise NotCborError("a signature with a value of another kind")
        return _SIMPLES[number], at
    return _items(data, at, kind, number, depth)


def _items(data: bytes, at: int, kind: int, number: int, depth: int) -> tuple[Any, int]:
    """Return an array of so many items, or a map of so many pairs."""
    items: list[Any] = []
    for _ in range(number * (1 if kind == _ARRAY else 2)):
        value, at = _item(data, at, depth + 1)
        items.append(value)
    if kind == _ARRAY:
        return items, at
    names = items[::2]
    if not all(isinstance(name, str | int) for name in names) or len(set(names)) != len(names):
        raise NotCborError("a signature with a header twice")
    return dict(zip(names, items[1::2], strict=True)), at


def _head(data: bytes, at: int) -> tuple[int, int, int]:
    """Return an item's kind, its number, and the offset after both."""
    if at >= len(data):
        raise NotCborError("a signature that was cut short")
    kind, small = data[at] >> 5, data[at] & 31
    at += 1
    if small < 24:  # noqa: PLR2004 - as the others: the number itself, or in how many bytes it follows
        return kind, small, at
    if small > 27 or kind == _SIMPLE:  # noqa: PLR2004
        raise NotCborError("a signature of indefinite length")
    width = 1 << (small - 24)
    number = int.from_bytes(data[at : at + width], "big")
    if at + width > len(data) or number < {1: 24, 2: 1 << 8, 4: 1 << 16, 8: 1 << 32}[width]:
        raise NotCborError("a signature with a number in another form than the shortest")
    return kind, number, at + width
