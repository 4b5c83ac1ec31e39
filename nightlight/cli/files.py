"""Files that a command is given, read with a bound: a name may lead to a device that never ends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from nightlight_core import files
from nightlight_core.errors import InvalidInput

# As an upload (NIGHTLIGHT_UPLOAD_MAX_BYTES at its largest).
MAX_BYTES = 100_000_000


def read_image(path: Path) -> bytes:
    """Return an image's bytes; raise InvalidInput if it is not there, is no ordinary file or is too large."""
    return read_bytes(path, MAX_BYTES)


def read_json(path: Path, max_bytes: int) -> Any:
    """Return what a JSON file says; raise InvalidInput if it is not there, is too large or is no JSON."""
    try:
        return json.loads(read_bytes(path, max_bytes))
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{path}: this is no JSON ({type(error).__name__})") from error


def read_bytes(path: Path, max_bytes: int = files.SMALL) -> bytes:
    """Return a file's bytes; raise InvalidInput if it is not there, is no ordinary file or has more than ``max_bytes``.

    Without a bound it is a small file: a key, a certificate, an approval.
    """
    try:
        return files.read_bytes(path, max_bytes)
    except (OSError, ValueError) as error:  # ValueError: a name with a null character
        raise InvalidInput(f"{path}: {getattr(error, 'strerror', None) or error}") from error
