"""A multipart body (RFC 7578) that is read piece by piece: an upload is never whole in memory."""

from __future__ import annotations

import inspect
import io
import re
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import IO

from nightlight_client.errors import ClientMisconfigured

_PIECE = 65_536
_NAME = re.compile(r"[A-Za-z0-9._-]{1,100}")


@dataclass(frozen=True, slots=True)
class Form:
    """A multipart body: one file named ``file``, and fields of text."""

    filename: str
    content: IO[bytes] | bytes | bytearray | memoryview
    fields: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what is no file, and names that would be read as something else."""
        read = getattr(self.content, "read", None)
        if not isinstance(self.content, bytes | bytearray | memoryview) and (
            not callable(read) or inspect.iscoroutinefunction(read) or isinstance(self.content, io.TextIOBase)
        ):
            raise ClientMisconfigured("a picture is bytes, or a file that is open for reading bytes")
        if not all(_NAME.fullmatch(name) for name in (self.filename, *self.fields)):
            raise ClientMisconfigured("the names of a form are letters, digits and '._-'")


def form_body(form: Form) -> tuple[Iterator[bytes], dict[str, str]]:
    """Return the pieces of a form's body, and the headers that go with it.

    The length is said where the file can tell it; without it the body is sent in chunks. A file that then gives more or
    less raises ClientMisconfigured, which breaks the connection off: what is left would be taken for a next request.
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
    content = form.content
    file = io.BytesIO(content) if isinstance(content, bytes | bytearray | memoryview) else content
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    length = _left(file)
    if length is not None:
        headers["Content-Length"] = str(len(head) + length + len(tail))
    return _pieces(head, file, length, tail), headers


def _pieces(head: bytes, file: IO[bytes], length: int | None, tail: bytes) -> Iterator[bytes]:
    yield head
    sent = 0
    while piece := file.read(_PIECE):
        if not isinstance(piece, bytes):
            raise ClientMisconfigured("the file gives text, and not bytes: open it with 'rb'")
        sent += len(piece)
        if length is not None and sent > length:
            break
        yield piece
    if length is not None and sent != length:
        raise ClientMisconfigured("the file gives another number of bytes than it said")
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
