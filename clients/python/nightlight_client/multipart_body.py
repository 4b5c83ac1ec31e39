"""A multipart body (RFC 7578) that is read piece by piece: an upload is never whole in memory."""

from __future__ import annotations

import io
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import IO

_PIECE = 65_536


@dataclass(frozen=True, slots=True)
class Form:
    """A multipart body: one file named ``file``, and fields of text."""

    filename: str
    content: IO[bytes] | bytes
    fields: Mapping[str, str] = field(default_factory=dict)


def form_body(form: Form) -> tuple[Iterator[bytes], dict[str, str]]:
    """Return the pieces of a form's body, and the headers that go with it.

    The length is said where the file can tell it; without it the body is sent in chunks.
    """
    boundary = secrets.token_hex(16)
    fields = "".join(
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in form.fields.items()
    )
    head = (
        f'{fields}--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{form.filename}"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    ).encode()
    tail = f"\r\n--{boundary}--\r\n".encode()
    file = io.BytesIO(form.content) if isinstance(form.content, bytes) else form.content
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    length = _left(file)
    if length is not None:
        headers["Content-Length"] = str(len(head) + length + len(tail))
    return _pieces(head, file, tail), headers


def _pieces(head: bytes, file: IO[bytes], tail: bytes) -> Iterator[bytes]:
    yield head
    while piece := file.read(_PIECE):
        yield piece
    yield tail


def _left(file: IO[bytes]) -> int | None:
    """Return how many bytes of a file are still to be read, None where it cannot tell."""
    try:
        at = file.tell()
        end = file.seek(0, io.SEEK_END)
        file.seek(at)
    except (OSError, AttributeError):
        return None
    return end - at
