"""Reads hash lists of others, such as a clearing house or another platform, from CSV files.

Lists are exchanged with one picture a line: a column ``hash`` with 64 hexadecimal digits, as PDQ's
reference writes them, and optional ``quality`` (0 to 100) and ``reference`` (the list's own number for it). Other
columns are ignored. A file without a header holds hashes alone. A list with an unreadable line is refused as a whole:
the hashes missing from it would be missed in silence.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from io import TextIOWrapper
from itertools import chain
from pathlib import Path
from typing import IO

import numpy as np

from nightlight.matching.pdq import BYTES, LEAST_QUALITY
from nightlight_core.errors import InvalidInput
from nightlight_core.files import opened

# A line is at most so long, a reference too; and a list has at most so many lines: ten million hashes are 320 MB.
MAX_LINE = 4_000
MAX_REFERENCE = 200
MAX_LINES = 10_000_000
# So many bad lines are named before the rest is only counted.
_NAMED = 10

_HASH = re.compile(rf"[0-9a-fA-F]{{{2 * BYTES}}}")
_QUALITY = re.compile(r"[0-9]{1,3}")


@dataclass(frozen=True, slots=True)
class HashList:
    """A list that was read: its hashes, uint8 (n, 32), each once; and how many were left out for their low quality."""

    name: str
    hashes: np.ndarray
    references: tuple[str, ...]
    left_out: int


def read_hash_list(path: Path, name: str) -> HashList:
    """Return the list in the CSV file ``path``; raise InvalidInput naming the lines that cannot be read."""
    references: dict[bytes, str] = {}
    bad: list[str] = []
    wrong = left_out = 0
    for number, row in _rows(path):
        problem = _problem(row)
        if problem:
            wrong += 1
            if len(bad) < _NAMED:
                bad.append(f"{path.name}:{number}: {problem}")
        elif row.get("quality") and int(row["quality"]) < LEAST_QUALITY:
            left_out += 1
        else:
            references.setdefault(bytes.fromhex(row["hash"]), row.get("reference", ""))
    if wrong:
        more = [f"... and {wrong - len(bad)} more lines"] if wrong > len(bad) else []
        raise InvalidInput("\n".join([*bad, *more]))
    hashes = np.frombuffer(b"".join(references), np.uint8).reshape(-1, BYTES)
    return HashList(name, hashes, tuple(references.values()), left_out)


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield (line number, values by column) of a CSV file."""
    try:
        with opened(path) as raw, TextIOWrapper(raw, encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(_bounded(file, path), strict=True)
            first = next(reader, None)
            if first is None:
                return
            columns = [column.strip().lower() for column in first]
            bare = len(first) == 1 and _HASH.fullmatch(first[0].strip())
            if bare:
                columns = ["hash"]
            if "hash" not in columns:
                raise InvalidInput(f"{path.name}:1: no column is called 'hash'; there are {', '.join(columns)[:200]}")
            rows = chain([first], reader) if bare else reader
            for row in rows:
                if row:
                    yield reader.line_num, dict(zip(columns, (value.strip() for value in row), strict=False))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InvalidInput(f"{path.name}: {error}") from error


def _bounded(file: IO[str], path: Path) -> Iterator[str]:
    for number, line in enumerate(iter(lambda: file.readline(MAX_LINE + 1), ""), 1):
        if len(line) > MAX_LINE:
            raise InvalidInput(f"{path.name}:{number}: a line of more than {MAX_LINE} characters")
        if number > MAX_LINES:
            raise InvalidInput(f"{path.name}: more than {MAX_LINES} lines")
        yield line


def _problem(row: dict[str, str]) -> str:
    """Return what is wrong with a line, or nothing."""
    if not _HASH.fullmatch(row.get("hash", "")):
        return f"a hash is {2 * BYTES} hexadecimal digits"
    quality = row.get("quality", "")
    if quality and not (_QUALITY.fullmatch(quality) and int(quality) <= 100):  # noqa: PLR2004 - PDQ's own range
        return "a quality is a whole number from 0 to 100"
    reference = row.get("reference", "")
    if len(reference) > MAX_REFERENCE or not (reference.isprintable() or not reference):
        return f"a reference is at most {MAX_REFERENCE} printable characters"
    return ""
