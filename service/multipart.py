"""Bodies with a file: ``multipart/form-data`` with at most one field beside it, or the file's bytes alone."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import IO, Any

from fastapi import Request
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile

from nightlight_core.errors import CorruptImage, InvalidInput
from service.openapi import request_body

_KIND, _PICTURE = "multipart/form-data", "image/"
_MOST_FIELD_BYTES = 1_024


def upload_body(**fields: dict[str, Any]) -> dict[str, Any]:
    """Return what OpenAPI says of a body with a ``file`` and, besides, ``fields`` by their schemas."""
    properties = {"file": {"type": "string", "format": "binary"}, **fields}
    return request_body(_KIND, {"type": "object", "required": ["file"], "properties": properties})


@asynccontextmanager
async def upload_form(request: Request, *, field: str) -> AsyncIterator[tuple[IO[bytes], str | None]]:
    """Give the file, on the disk, and the value of ``field`` or None.

    Raises InvalidInput where the body has another shape, and CorruptImage where the file is empty.
    """
    requirement = f"the body must be {_KIND} with one part named 'file'"
    if not request.headers.get("content-type", "").lower().startswith(_KIND):
        raise InvalidInput(requirement)
    async with request.form(max_files=1, max_fields=1, max_part_size=_MOST_FIELD_BYTES) as form:
        part, value = form.get("file"), form.get(field)
        if set(form) - {"file", field} or not isinstance(value, str | None):
            raise InvalidInput(f"the body has one part named 'file' and at most a field named '{field}'")
        if not isinstance(part, UploadFile):
            raise InvalidInput(requirement, pointer="/file")
        if not part.size:
            raise CorruptImage("the upload is empty")
        rollover = getattr(part.file, "rollover", None)
        if rollover is not None:  # small files are in memory; who maps them wants a real one
            await run_in_threadpool(rollover)
        yield part.file, value


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
