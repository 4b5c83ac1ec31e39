"""Bodies with a file: ``multipart/form-data`` with at most one field beside it, or the file's bytes alone."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import IO, Any

from fastapi import Request
from python_multipart.multipart import parse_options_header
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from nightlight_core.errors import CorruptImage, InvalidInput
from service.openapi import request_body

_KIND, _PICTURE = "multipart/form-data", "image/"
_MOST_FIELD_BYTES = 1_024
# So many parts of each kind are read, to say that there are too many.
_MOST_PARTS = 4
# So many characters of a caller's own words are repeated to them.
_REPEATED = 40


def upload_body(**fields: dict[str, Any]) -> dict[str, Any]:
    """Return what OpenAPI says of a body with a ``file`` and, besides, ``fields`` by their schemas."""
    properties = {"file": {"type": "string", "format": "binary"}, **fields}
    return request_body(_KIND, {"type": "object", "required": ["file"], "properties": properties})


class _FormParser(MultiPartParser):
    """Takes the part named ``file`` for a file whether or not it has a file name; ``ended``: its last boundary came."""

    ended = False

    def on_end(self) -> None:
        self.ended = True

    def on_headers_finished(self) -> None:
        _, options = parse_options_header(self._current_part.content_disposition)
        if options.get(b"name") == b"file" and b"filename" not in options:
            self._current_part.content_disposition = b'form-data; name="file"; filename="file"'
        super().on_headers_finished()


@asynccontextmanager
async def upload_form(request: Request, *, field: str) -> AsyncIterator[tuple[IO[bytes], str | None]]:
    """Give the file, on the disk, and the value of ``field`` or None.

    Raises InvalidInput, saying what is wrong, where the body has another shape, and CorruptImage where the file is
    empty.
    """
    form = await _parsed(request)
    try:
        file, value = _file_and_value(form, field)
        if not file.size:
            raise CorruptImage("the file is empty")
        rollover = getattr(file.file, "rollover", None)
        if rollover is not None:  # small files are in memory; who maps them wants a real one
            await run_in_threadpool(rollover)
        yield file.file, value
    finally:
        await form.close()


async def _parsed(request: Request) -> FormData:
    content_type = request.headers.get("content-type", "")
    kind, options = parse_options_header(content_type)
    if kind.decode("latin-1") != _KIND:
        given = f"not {content_type[:_REPEATED]!r}" if content_type else "and there is no Content-Type"
        raise InvalidInput(f"the body must be {_KIND} with one part named 'file', {given}")
    if not options.get(b"boundary"):
        raise InvalidInput(f"the Content-Type {_KIND} states no boundary; let the HTTP library write that header")
    parser = _FormParser(
        request.headers,
        request.stream(),
        max_files=_MOST_PARTS,
        max_fields=_MOST_PARTS,
        max_part_size=_MOST_FIELD_BYTES,
    )
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise InvalidInput(f"the multipart body cannot be read: {error.message}") from error
    except ValueError as error:  # of a charset that Python cannot look up
        raise InvalidInput("the Content-Type names a charset that cannot be read") from error
    if not parser.ended:
        await form.close()
        raise InvalidInput("the multipart body ends before its last boundary; send it again")
    return form


def _file_and_value(form: FormData, field: str) -> tuple[UploadFile, str | None]:
    """Return the file and the value of ``field`` in a form that holds nothing else; raises InvalidInput."""
    names = [name for name, _ in form.multi_items()]
    files = [part for _, part in form.multi_items() if isinstance(part, UploadFile)]
    file, value = form.get("file"), form.get(field) if field else None
    if len(files) > 1:
        raise InvalidInput(f"the body has {len(files)} files; send one part named 'file'", pointer="/file")
    if not isinstance(file, UploadFile):
        listed = ", ".join(repr(name[:_REPEATED]) for name in names) or "none"
        raise InvalidInput(f"the body has no part named 'file'; its parts: {listed}", pointer="/file")
    for name in names:
        if name not in {"file", field}:
            known = f"'file' and '{field}'" if field else "'file'"
            raise InvalidInput(f"the body has a part named {name[:_REPEATED]!r}; known: {known}")
    if not isinstance(value, str | None) or names.count(field) > 1:
        raise InvalidInput(f"the field '{field}' is one short text", pointer=f"/{field}")
    return file, value


def picture_body() -> dict[str, Any]:
    """Return what OpenAPI says of a body that is a picture, or a form with one."""
    body = upload_body()
    body["requestBody"]["content"]["image/*"] = {"schema": {"type": "string", "format": "binary"}}
    return body


@asynccontextmanager
async def picture(request: Request) -> AsyncIterator[IO[bytes]]:
    """Give the file of a form, or the body itself where it says that it is a picture, on the disk.

    Raises as ``upload_form`` does.
    """
    if not request.headers.get("content-type", "").lower().startswith(_PICTURE):
        async with upload_form(request, field="") as (file, _):
            yield file
        return
    with tempfile.TemporaryFile() as body:
        async for block in request.stream():
            await run_in_threadpool(body.write, block)
        yield body
