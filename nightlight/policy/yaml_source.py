"""YAML text to plain values with positions, by a strict reading that has no surprises.

The values are built from ruamel.yaml's parse events rather than by its constructors, so every rule of
reading is here:

- a plain scalar is an integer only if it is written as one in decimal, without signs, underscores or
  leading zeros; ``true`` and ``false`` are booleans and ``null`` is null; everything else is a string.
  ``no`` is the string "no", ``13_15`` the string "13_15", and a date a string;
- duplicate keys, anchors, aliases, merges, tags, several documents and keys that are no plain strings
  are problems;
- a file is at most 1 MB, 12 levels deep and 50,000 values long.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from nightlight.policy.diagnostics import Diagnostics, SourcePosition
from nightlight_core.files import opened

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAX_BYTES = 1_000_000
MAX_DEPTH = 12
MAX_VALUES = 50_000

Path_ = tuple[str | int, ...]
_INTEGER = re.compile(r"0|[1-9][0-9]{0,9}")
_WORDS: dict[str, bool | None] = {"true": True, "false": False, "null": None, "~": None, "": None}
# What the parser says, and what whoever edits the file did.
_HINTS = {
    r"'\t'": "indent with spaces, not with a tab",
    "expected <block end>": "this line does not begin below the lines that it belongs to",
    "mapping values are not allowed": "this line begins too far to the right, or a text with a colon is not in quotes",
    "expected ',' or": "a bracket or a brace of the line before is not closed",
}


@dataclass(frozen=True, slots=True)
class YamlSource:
    """One file read: its values, and where each of them stands."""

    file: str
    value: Any
    positions: dict[Path_, SourcePosition]

    def position(self, path: Path_ = ()) -> SourcePosition:
        """Return where the value at ``path`` stands, or the nearest value around it."""
        while path and path not in self.positions:
            path = path[:-1]
        return self.positions.get(path, SourcePosition(self.file))


def read_yaml(path: Path, problems: Diagnostics, *, name: str | None = None) -> YamlSource | None:
    """Read one YAML file; note what is wrong with it in ``problems`` and return None if unusable."""
    file = name or path.name
    try:
        with opened(path) as stream:
            data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        problems.add(SourcePosition(file), "file-missing", f"cannot be read: {error.strerror}")
        return None
    if len(data) > MAX_BYTES:
        problems.add(SourcePosition(file), "file-too-large", f"is larger than {MAX_BYTES:,} bytes")
        return None
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        problems.add(SourcePosition(file), "yaml-syntax", f"is not UTF-8 at byte {error.start}")
        return None
    return parse_yaml(text, file, problems)


def parse_yaml(text: str, file: str, problems: Diagnostics) -> YamlSource | None:
    """Read YAML from ``text``; ``file`` is the name that problems are reported under."""
    before = len(problems.entries)
    reader = _Reader(file, problems)
    try:
        value = reader.document(YAML(typ="safe", pure=True).parse(text))
    except _TooMuch as stop:
        problems.add(stop.place, stop.code, str(stop))
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = SourcePosition(file, mark.line + 1, mark.column + 1) if mark else SourcePosition(file)
        problem = str(error.problem or error.context or "unreadable")
        hint = next((f"; {hint}" for part, hint in _HINTS.items() if part in problem), "")
        problems.add(place, "yaml-syntax", f"is not YAML: {problem}{hint}")
    except (YAMLError, ValueError) as error:
        problems.add(SourcePosition(file), "yaml-syntax", f"is not YAML: {str(error).splitlines()[0]}")
    else:
        if len(problems.entries) == before:
            return YamlSource(file, value, reader.places)
    return None


class _TooMuch(Exception):  # noqa: N818 - a signal inside this module, not an error of the tree
    def __init__(self, place: SourcePosition, code: str, message: str) -> None:
        super().__init__(message)
        self.place = place
        self.code = code


class _Reader:
    """Turns a stream of parse events into values; holds the counters of the caps."""

    def __init__(self, file: str, problems: Diagnostics) -> None:
        self._file = file
        self._problems = problems
        self._values = 0
        self.places: dict[Path_, SourcePosition] = {}

    def document(self, events: Iterator[Any]) -> Any:
        value: Any = None
        documents = 0
        for event in events:
            if isinstance(event, DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise _TooMuch(self._place(event), "yaml-documents", "holds more than one YAML document")
                value = self._value(next(events), events, ())
        return value

    def _place(self, event: Any) -> SourcePosition:
        mark = event.start_mark
        return SourcePosition(self._file, mark.line + 1, mark.column + 1)

    def _value(self, event: Any, events: Iterator[Any], path: Path_) -> Any:
        place = self._place(event)
        self.places[path] = place
        self._values += 1
        if self._values > MAX_VALUES:
            raise _TooMuch(place, "yaml-size", f"holds more than {MAX_VALUES:,} values")
        if len(path) >= MAX_DEPTH:
            raise _TooMuch(place, "yaml-depth", f"is nested deeper than {MAX_DEPTH} levels")
        if isinstance(event, AliasEvent) or getattr(event, "anchor", None):
            raise _TooMuch(place, "yaml-anchor", "anchors and aliases are not allowed; write the value out")
        if getattr(event, "tag", None) or getattr(event, "ctag", None):
            raise _TooMuch(place, "yaml-tag", "tags (!...) are not allowed")
        if isinstance(event, ScalarEvent):
            return _scalar(event)
        if isinstance(event, SequenceStartEvent):
            return self._sequence(events, path)
        if isinstance(event, MappingStartEvent):
            return self._mapping(events, path)
        raise _TooMuch(place, "yaml-syntax", "is not a value")

    def _sequence(self, events: Iterator[Any], path: Path_) -> list[Any]:
        items: list[Any] = []
        while not isinstance(event := next(events), SequenceEndEvent):
            items.append(self._value(event, events, (*path, len(items))))
        return items

    def _mapping(self, events: Iterator[Any], path: Path_) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        while not isinstance(event := next(events), MappingEndEvent):
            place = self._place(event)
            key = _scalar(event) if isinstance(event, ScalarEvent) and not event.anchor else None
            if not isinstance(key, str) or key == "<<":
                raise _TooMuch(place, "yaml-key", "a key must be a plain word")
            value = self._value(next(events), events, (*path, key))
            if key in mapping:
                self._problems.add(place, "yaml-duplicate-key", f"'{key}' stands here twice")
            mapping[key] = value
        return mapping


def _scalar(event: ScalarEvent) -> str | int | bool | None:
    text: str = event.value
    if event.style:  # quoted or block: always a string
        return text
    if _INTEGER.fullmatch(text):
        return int(text)
    return _WORDS.get(text, text) if text in _WORDS else text
