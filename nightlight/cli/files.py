"""Image files that a command is given."""

from __future__ import annotations

from pathlib import Path

from nightlight.errors import InvalidInput

# As an upload (NIGHTLIGHT_INTAKE_MAX_UPLOAD_BYTES at its largest).
MAX_BYTES = 20_000_000


def read_image(path: Path) -> bytes:
    """Return a file's bytes; raise InvalidInput if it is not there, is no file or is too large."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        message = f"{path}: {error.strerror}"
        raise InvalidInput(message) from error
    if len(data) > MAX_BYTES:
        message = f"{path}: more than {MAX_BYTES} bytes"
        raise InvalidInput(message)
    return data
