"""Reads hash lists of others, such as a clearing house or another platform, from CSV files.

Lists are exchanged with one picture a line: a column ``hash`` with 64 hexadecimal digits, as PDQ's reference writes
them, a column ``md5`` with 32 (of the file as it was), or both; and optional ``quality`` (PDQ's, 0 to 100) and
``reference`` (the list's own number for it). Other columns are ignored. A file without a header holds PDQ hashes alone.
A list with an unreadable line is refused as a whole: the hashes missing from it would be missed in silence.
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

MD5_BYTES = 16
_HASH = re.compile(rf"[0-9a-fA-F]{{{2 * BYTES}}}")
_MD5 = re.compile(rf"[0-9a-fA-F]{{{2 * MD5_BYTES}}}")
_QUALITY = re.compile(r"[0-9]{1,3}")


@dataclass(frozen=True, slots=True)
class HashList:
    """A list that was read: its hashes, uint8 (n, 32), each once; and how many were left out for their low quality.

    ``md5s`` are its MD5s, 16 bytes each, in their order, with their references.
    """

    name: str
    hashes: np.ndarray
    references: tuple[str, ...]
    left_out: int
    md5s: tuple[tuple[bytes, str], ...] = ()


def read_hash_list(path: Path, name: str) -> HashList:
    """Return the list in the CSV file ``path``; raise InvalidInput naming the lines that cannot be read."""
    references: dict[bytes, str] = {}
    md5s: dict[bytes, str] = {}
    left_out = 0
    for kind, value, reference, quality in csv_entries(path):
        if kind == "md5":
            md5s.setdefault(bytes.fromhex(value), reference)
        elif quality is not None and quality < LEAST_QUALITY:
            left_out += 1
        else:
            references.setdefault(bytes.fromhex(value), reference)
    hashes = np.frombuffer(b"".join(references), np.uint8).reshape(-1, BYTES)
    return HashList(name, hashes, tuple(references.values()), left_out, tuple(sorted(md5s.items())))


def csv_entries(path: Path) -> Iterator[tuple[str, str, str, int | None]]:
    """Yield (``pdq`` or ``md5``, lower-case hexadecimal digits, reference, quality) of a CSV file.

    Raises InvalidInput at its end, naming the lines that could not be read.
    """
    bad: list[str] = []
    wrong = 0
    for number, row in _rows(path):
        problem = _problem(row)
        if problem:
            wrong += 1
            if len(bad) < _NAMED:
                bad.append(f"{path.name}:{number}: {problem}")
            continue
        reference = row.get("reference", "")
        if row.get("hash"):
            yield "pdq", row["hash"].lower(), reference, int(row["quality"]) if row.get("quality") else None
        if row.get("md5"):
            yield "md5", row["md5"].lower(), reference, None
    if wrong:
        more = [f"... and {wrong - len(bad)} more lines"] if wrong > len(bad) else []
        raise InvalidInput("\n".join([*bad, *more]))


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
            if not {"hash", "md5"} & set(columns):
                there_are = ", ".join(columns)[:200]
                raise InvalidInput(f"{path.name}:1: no column is called 'hash' or 'md5'; there are {there_are}")
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
    hash_, md5 = row.get("hash", ""), row.get("md5", "")
    if not _HASH.fullmatch(hash_) and (hash_ or not md5):
        return f"a hash is {2 * BYTES} hexadecimal digits"
    if md5 and not _MD5.fullmatch(md5):
        return f"an MD5 is {2 * MD5_BYTES} hexadecimal digits"
    quality = row.get("quality", "")
    if quality and not (_QUALITY.fullmatch(quality) and int(quality) <= 100):  # noqa: PLR2004 - PDQ's own range
        return "a quality is a whole number from 0 to 100"
    reference = row.get("reference", "")
    if len(reference) > MAX_REFERENCE or not (reference.isprintable() or not reference):
        return f"a reference is at most {MAX_REFERENCE} printable characters"
    return ""
