"""Requests about found copies: the search for where each comes from."""

from __future__ import annotations

from typing import IO

from nightlight_client import paths
from nightlight_client.models import Trace
from nightlight_client.requests.http_request import Form, Request
from nightlight_client.responses import read_nothing, reader

_read_trace = reader(Trace)
_TRACE = "/v1/traces/{trace_id}"


def trace(copy: IO[bytes] | bytes, *, keep: bool) -> Request[Trace]:
    """Build the upload of a found copy."""
    form = Form("copy", copy, {"keep": "true"} if keep else {})
    return Request(method="POST", path="/v1/traces", form=form, read=_read_trace)


def status(trace_id: str) -> Request[Trace]:
    """Build the question of how far a trace is."""
    return Request(method="GET", path=paths.path(_TRACE, trace_id=trace_id), read=_read_trace)


def delete(trace_id: str) -> Request[None]:
    """Build the deletion of a trace with its copy."""
    return Request(method="DELETE", path=paths.path(_TRACE, trace_id=trace_id), read=read_nothing)
