"""The file of keys that an import leaves out: a JSON object a line, each key once, however often the import is killed.

A page of keys is written before the transaction that counts it, which also writes how long the file is then. What a
walk that was killed has written beyond that is cut off when it goes on.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from nightlight.store.key_template import Unmatched
from nightlight_core.errors import InvalidInput


class LeftOutFile:
    """Lines of ``{"key": ..., "reason": ..., "detail": ...}``, in ASCII: whatever a key holds, a line is a line."""

    def __init__(self, path: Path, written: int) -> None:
        """Go on after so many bytes; 0 begins a new file. Raises InvalidInput where the file is not that long."""
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)  # keys may name people
        self._file = os.fdopen(descriptor, "r+b")
        if self._file.seek(0, os.SEEK_END) < written:
            self._file.close()
            message = f"{path} does not hold what was written to it: --again begins from the start"
            raise InvalidInput(message)
        self._file.truncate(written)
        self._file.seek(written)
        self.bytes = written

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self._file.close()

    def write(self, entries: Sequence[Unmatched]) -> None:
        """Write a page, and return once the disk has it."""
        if not entries:
            return
        self._file.seek(self.bytes)  # a transaction that was tried again counts it once
        self._file.write(b"".join(json.dumps(entry._asdict()).encode() + b"\n" for entry in entries))
        self._file.flush()
        os.fsync(self._file.fileno())
        self.bytes = self._file.tell()
