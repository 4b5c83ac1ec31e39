"""Requests about found copies: the search for where each comes from."""

from __future__ import annotations

from typing import IO

from nightlight_client import paths
from nightlight_client.models import Trace
from nightlight_client.multipart_body import Form
from nightlight_client.requests.http_request import Request
from nightlight_client.responses import read_nothing, reader

_read_trace = reader(Trace)
_TRACE = "/v1/traces/{trace_id}"


def trace(copy: IO[bytes] | bytes, *, keep: bool = False) -> Request[Trace]:
    """Ask where a found copy comes from; it is deleted when the trace ends unless ``keep``."""
    form = Form("copy", copy, {"keep": "true"} if keep else {})
    return Request(method="POST", path="/v1/traces", form=form, read=_read_trace)


def trace_status(trace_id: str) -> Request[Trace]:
    """Return how far a trace is, and what came of it."""
    return Request(method="GET", path=paths.path(_TRACE, trace_id=trace_id), read=_read_trace)


def delete_trace(trace_id: str) -> Request[None]:
    """Forget what a trace led back to, and delete its copy."""
    return Request(method="DELETE", path=paths.path(_TRACE, trace_id=trace_id), read=read_nothing)
