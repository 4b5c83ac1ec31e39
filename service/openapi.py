"""What the OpenAPI document says of every call: the bearer token, and problems (RFC 9457) instead of FastAPI's own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from fastapi import FastAPI
from pydantic import TypeAdapter

from service.openapi_operations import DESCRIPTION, OPERATION_IDS, TAGS
from service.problems import MEDIA_TYPE

_PROBLEM: dict[str, Any] = {
    "type": "object",
    "required": ["type", "title", "status", "code", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string", "description": "Stable; docs/reference/errors.md lists them."},
        "detail": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "pointer": {"type": "string", "description": "RFC 6901, into the body."},
                    "detail": {"type": "string"},
                },
            },
        },
    },
}
_CONTACT = {"name": "The operator of this deployment"}
_LICENSE = {"name": "Apache-2.0", "identifier": "Apache-2.0"}
_SERVERS = [
    {
        "url": "{origin}",
        "description": "Your deployment; within the platform's own network.",
        "variables": {"origin": {"default": "https://nightlight.internal", "description": "Scheme, host and port."}},
    }
]
_REFERENCE = {"$ref": "#/components/schemas/Problem"}
_PARTS = "$defs"
_METHODS = frozenset({"get", "put", "post", "delete", "head", "patch"})
_PUBLIC = ("/a/", "/.well-known/", "/v1/c2pa/services/")
_BEARER = {
    "type": "http",
    "scheme": "bearer",
    "bearerFormat": "JWT",
    "description": "Ed25519; `scope` opens calls. One deployment serves one platform: callers are not kept apart, and "
    "any token with the scope `ingest` may change or delete every profile of the deployment.",
}


def request_body(media_type: str, schema: dict[str, Any]) -> dict[str, Any]:
    """Return what OpenAPI says of a body that the framework does not read."""
    return {"requestBody": {"required": True, "content": {media_type: {"schema": schema}}}}


def body_schema(adapter: TypeAdapter[Any], required: Sequence[str] = ()) -> dict[str, Any]:
    """Return the JSON schema of a body that the framework does not read; its parts are put among the components.

    Members of ``required`` are so too.
    """
    schema = adapter.json_schema(ref_template="#/components/schemas/{model}")
    return {**schema, "required": list(required)} if required else schema


def document(app: FastAPI) -> Callable[[], dict[str, Any]]:
    """Return what makes the document of ``app``, once."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None or "Problem" not in app.openapi_schema["components"]["schemas"]:
            app.openapi_schema = _completed(generate())
        return app.openapi_schema

    return openapi


def _completed(document_: dict[str, Any]) -> dict[str, Any]:
    """Return the document with what the framework does not know: names, groups, problems, who may call.

    Raises TypeError for an operation or a group that nobody named.
    """
    document_["info"] |= {"description": DESCRIPTION, "contact": _CONTACT, "license": _LICENSE}
    document_["servers"] = _SERVERS
    document_["tags"] = [{"name": name, "description": text} for name, text in TAGS.items()]
    schemas = document_["components"]["schemas"]
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    schemas["Problem"] = _PROBLEM
    document_["components"]["securitySchemes"] = {"bearer": _BEARER}
    for path, item in document_["paths"].items():
        for method in _METHODS & item.keys():
            operation = item[method]
            _name(operation, f"{method.upper()} {path}")
            for body in operation.get("requestBody", {}).get("content", {}).values():
                schemas.update(body["schema"].pop(_PARTS, {}))
            responses = operation["responses"]
            responses.pop("422", None)
            content = {MEDIA_TYPE: {"schema": _REFERENCE}}
            responses["4XX"] = {"description": "Refused: the problem says why.", "content": content}
            responses["5XX"] = {"description": "Not possible at the moment.", "content": content}
            operation["security"] = [] if path.startswith(_PUBLIC) else [{"bearer": []}]
    for item in document_.get("webhooks", {}).values():
        for operation in item.values():
            operation["responses"].pop("422", None)
            operation["security"] = []  # the signature says who sends it
    return document_


def _name(operation: dict[str, Any], route: str) -> None:
    if route not in OPERATION_IDS or not TAGS.keys() >= set(operation["tags"]):
        raise TypeError(f"{route} has no name or no group in service/openapi_operations.py")
    operation["operationId"] = OPERATION_IDS[route]
