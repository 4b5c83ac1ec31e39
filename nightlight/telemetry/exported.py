"""What of a span leaves a process: a closed list, as for log lines.

The instrumentation of libraries writes URLs, keys, statements, addresses and messages of errors into spans. Any of them
may name a person. So a span is made again from what is on these lists before it is sent; whatever is not is left out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import Link, SpanContext, SpanKind
from opentelemetry.trace.status import Status

# Attributes whose values are words of code or numbers: a method, a route's template, an operation, a task, a state.
ATTRIBUTES = frozenset(
    {
        "http.method", "http.request.method", "http.status_code", "http.response.status_code", "http.route",
        "db.system", "db.system.name", "rpc.system", "rpc.service", "rpc.method",
        "celery.action", "celery.state", "celery.task_name", "error.type",
    }
)  # fmt: skip
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_.]{0,63}")
_ROUTE = re.compile(r"/[A-Za-z0-9_.\-{}/]{0,127}")
# The first word of a statement or a command, an operation of S3, a task, a name of our own code.
_NAME = re.compile(
    r"[A-Za-z]{2,20}|[A-Za-z0-9]{2,20}\.[A-Za-z]{2,60}|run/nightlight\.[a-z_]{2,40}|[a-z_]{2,20}\.[a-z_]{2,40}"
)
OTHER = "other"


class AllowedOnly(SpanExporter):
    """Sends spans on, with what is allowed of each."""

    def __init__(self, exporter: SpanExporter) -> None:
        """Send them by ``exporter``."""
        self._exporter = exporter

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """See SpanExporter.export."""
        return self._exporter.export([allowed(span) for span in spans])

    def shutdown(self) -> None:
        """See SpanExporter.shutdown."""
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """See SpanExporter.force_flush."""
        return self._exporter.force_flush(timeout_millis)


def allowed(span: ReadableSpan) -> ReadableSpan:
    """Return a span with the allowed attributes alone: no events, no message of a status, no state of other systems."""
    attributes = allowed_attributes(span.attributes or {})
    return ReadableSpan(
        name=_name(span, attributes),
        context=_plain(span.context),
        parent=_plain(span.parent),
        resource=span.resource,
        attributes=attributes,
        links=[Link(context) for link in span.links if (context := _plain(link.context)) is not None],
        kind=span.kind,
        status=Status(span.status.status_code),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def allowed_attributes(attributes: Mapping[str, Any]) -> dict[str, str | int | bool]:
    """Return the attributes that are on the list and whose values are words, routes or numbers."""
    kept: dict[str, str | int | bool] = {}
    for name, value in attributes.items():
        form = _ROUTE if name == "http.route" else _WORD
        if name in ATTRIBUTES and (isinstance(value, int) or (isinstance(value, str) and form.fullmatch(value))):
            kept[name] = value
    return kept


def _name(span: ReadableSpan, attributes: Mapping[str, str | int | bool]) -> str:
    if span.kind is SpanKind.SERVER:
        method = attributes.get("http.request.method") or attributes.get("http.method") or OTHER
        return f"{method} {attributes.get('http.route', OTHER)}"
    first = span.name.partition(" ")[0]
    return first if _NAME.fullmatch(first) else OTHER


def _plain(context: SpanContext | None) -> SpanContext | None:
    """Return a context without what other systems wrote into its state."""
    if context is None:
        return None
    return SpanContext(context.trace_id, context.span_id, context.is_remote, context.trace_flags)
