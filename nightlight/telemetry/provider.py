"""The spans of one process, by OpenTelemetry and its instrumentation of libraries."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from opentelemetry import propagate, trace
from opentelemetry.context import Context, attach, detach
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.botocore import BotocoreInstrumentor
from opentelemetry.instrumentation.redis import RedisInstrumentor
from opentelemetry.propagators.textmap import CarrierT, Getter, default_getter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

import nightlight
from nightlight.telemetry.exported import AllowedOnly

if TYPE_CHECKING:
    from fastapi import FastAPI
    from sqlalchemy import Connection, Engine
    from sqlalchemy.engine import ExceptionContext

_HEADER = "traceparent"
# Where a connection keeps the span of its statement.
_SPAN = "nightlight.span"
# Spans wait for so long before they are sent, and so many at the most: more are dropped, and nothing waits for them.
_DELAY_MS, _MOST = 1000, 4096
# Outsiders ask for pictures, and may not choose what is sampled; probes ask every few seconds.
_NOT_WATCHED = "/a/,/healthz,/readyz,/metrics"


class TraceparentOnly(TraceContextTextMapPropagator):
    """W3C Trace Context without the state of other systems, which may say anything; and no baggage."""

    def extract(
        self, carrier: CarrierT, context: Context | None = None, getter: Getter[CarrierT] = default_getter
    ) -> Context:
        """Read ``traceparent`` alone."""
        values = getter.get(carrier, _HEADER)
        return super().extract({_HEADER: values} if values else {}, context)


class Provider:
    """Makes spans and sends them, in the background."""

    def __init__(self, endpoint: str, share: float, process: str) -> None:
        """Send ``share`` of all traces to ``endpoint``, as OTLP over HTTP."""
        about = {"service.name": f"nightlight-{process}", "service.version": nightlight.__version__}
        # Not Resource.create(): that reads what others wrote into OTEL_RESOURCE_ATTRIBUTES.
        self._provider = TracerProvider(resource=Resource(about), sampler=ParentBased(TraceIdRatioBased(share)))
        exporter = AllowedOnly(OTLPSpanExporter(endpoint=endpoint))
        self._provider.add_span_processor(
            BatchSpanProcessor(exporter, schedule_delay_millis=_DELAY_MS, max_queue_size=_MOST)
        )
        self._propagator = TraceparentOnly()
        trace.set_tracer_provider(self._provider)
        propagate.set_global_textmap(self._propagator)
        self._tracer = self._provider.get_tracer("nightlight")
        BotocoreInstrumentor().instrument(  # type: ignore[no-untyped-call]
            tracer_provider=self._provider
        )
        RedisInstrumentor().instrument(tracer_provider=self._provider)

    @contextmanager
    def span(self, name: str) -> Iterator[None]:
        """Make a span of the block. What it raises is in no span."""
        with self._tracer.start_as_current_span(name, record_exception=False):
            yield

    @contextmanager
    def continued(self, traceparent: str | None, name: str) -> Iterator[None]:
        """Make a span of the block, whose parent ``traceparent`` names."""
        token = attach(self._propagator.extract({_HEADER: traceparent} if traceparent else {}, Context()))
        try:
            with self.span(name):
                yield
        finally:
            detach(token)

    def traceparent(self) -> str | None:
        """Return the span of now in the form of W3C Trace Context."""
        carrier: dict[str, str] = {}
        self._propagator.inject(carrier)
        return carrier.get(_HEADER)

    def watch_engine(self, engine: Engine) -> None:
        """Make a span of each statement, named by its first word.

        OpenTelemetry's own instrumentation does not know SQLAlchemy 2.1 yet.
        """
        from sqlalchemy import event

        @event.listens_for(engine, "before_cursor_execute")
        def _begin(connection: Connection, _cursor: object, statement: str, *_: object) -> None:
            name = statement.lstrip().partition(" ")[0].partition("\n")[0]
            attributes = {"db.system.name": engine.dialect.name}
            connection.info[_SPAN] = self._tracer.start_span(name, kind=SpanKind.CLIENT, attributes=attributes)

        @event.listens_for(engine, "after_cursor_execute")
        def _end(connection: Connection, *_: object) -> None:
            connection.info.pop(_SPAN).end()

        @event.listens_for(engine, "handle_error")
        def _fail(context: ExceptionContext) -> None:
            begun = context.connection.info.pop(_SPAN, None) if context.connection is not None else None
            if begun is not None:
                begun.set_status(StatusCode.ERROR)
                begun.end()

    def watch_application(self, app: FastAPI) -> None:
        """Make a span of each request."""
        from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor

        more: dict[str, Any] = {"exclude_spans": ["receive", "send"], "tracer_provider": self._provider}
        FastAPIInstrumentor.instrument_app(app, excluded_urls=_NOT_WATCHED, **more)

    def watch_tasks(self) -> None:
        """Make a span of each task."""
        from opentelemetry.instrumentation.celery import CeleryInstrumentor

        CeleryInstrumentor().instrument(tracer_provider=self._provider)  # type: ignore[no-untyped-call]

    def shutdown(self) -> None:
        """Send what waits."""
        self._provider.shutdown()
