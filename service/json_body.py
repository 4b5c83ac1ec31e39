"""A JSON body into a model, in one pass: for endpoints that the framework does not read the body for."""

from __future__ import annotations

import json
from collections.abc import Callable
from email.message import Message
from typing import TypeVar

from fastapi import HTTPException, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect

JSON = "application/json"
_Model = TypeVar("_Model", bound=BaseModel)
_Read = TypeVar("_Read")


async def json_body(request: Request, model: type[_Model]) -> _Model:
    """Return the request's body as a model.

    Raises RequestValidationError for a body that is no JSON or does not fit, and HTTPException if the client has gone.
    """
    return await read_json(request, model.model_validate_json, _is_json)


async def read_json(request: Request, read: Callable[[bytes | str], _Read], is_json: Callable[[str], bool]) -> _Read:
    """Return what ``read`` makes of the request's body; raises as ``json_body`` does, for its ValidationError too.

    ``is_json`` says whether a Content-Type is taken.
    """
    try:
        data = await request.body()
    except ClientDisconnect as error:
        raise HTTPException(400, "the client has gone") from error
    if not is_json(request.headers.get("content-type", "")):
        item = {"type": "content_type", "loc": ("body",), "msg": f"the body must be JSON, with Content-Type: {JSON}"}
        raise RequestValidationError([item])
    encoding = json.detect_encoding(data)
    try:
        # UTF-8 as it came; what is UTF-16 or begins with a byte order mark, as a text.
        return read(data if encoding == "utf-8" else data.decode(encoding, "replace"))
    except ValidationError as error:
        errors = error.errors(include_url=False, include_context=False, include_input=False)
        raise RequestValidationError([{**item, "loc": ("body", *item["loc"])} for item in errors]) from error


def _is_json(content_type: str) -> bool:
    if content_type == JSON:
        return True
    message = Message()
    message["content-type"] = content_type
    return message.get_content_maintype() == "application" and (
        message.get_content_subtype() == "json" or message.get_content_subtype().endswith("+json")
    )
