"""Spans of what a process does, for one trace from an upload to its publication. Off unless a collector is named.

Nothing here imports OpenTelemetry until ``configure`` does, and while it is off a span costs one comparison.
``nightlight.telemetry.exported`` says what of a span may leave a process.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from nightlight_core.errors import SettingsRefused

if TYPE_CHECKING:
    from fastapi import FastAPI
    from sqlalchemy import Engine

    from nightlight.settings.process import TracingSettings
    from nightlight.telemetry.provider import Provider

_OFF: AbstractContextManager[None] = nullcontext()
_provider: Provider | None = None


def configure(settings: TracingSettings, process: str) -> None:
    """Begin to send spans, if the settings name a collector; call it once in a process, before anything connects.

    Raises SettingsRefused where a collector is named and the extra ``tracing`` is not installed.
    """
    global _provider  # noqa: PLW0603 - one for each process, as OpenTelemetry has it
    if settings.endpoint is None or _provider is not None:
        return
    try:
        from nightlight.telemetry.provider import Provider
    except ImportError as error:
        message = "NIGHTLIGHT_TRACING_ENDPOINT is set: pip install 'nightlight[tracing]'"
        raise SettingsRefused(message) from error
    _provider = Provider(settings.endpoint, settings.share, process)


def span(name: str) -> AbstractContextManager[None]:
    """Return a span around a block; ``name`` is two words of code, such as ``sandbox.frame``, and never data."""
    return _OFF if _provider is None else _provider.span(name)


def continued(traceparent: str | None, name: str) -> AbstractContextManager[None]:
    """Return a span around a block that goes on with what ``traceparent`` says, or begins anew without it."""
    return _OFF if _provider is None else _provider.continued(traceparent, name)


def traceparent() -> str | None:
    """Return the span of now in the form of W3C Trace Context; None where there is none."""
    return None if _provider is None else _provider.traceparent()


def watch_engine(engine: Engine) -> None:
    """Make a span of each statement."""
    if _provider is not None:
        _provider.watch_engine(engine)


def watch_application(app: FastAPI) -> None:
    """Make a span of each request, but for pictures and for what probes ask."""
    if _provider is not None:
        _provider.watch_application(app)


def watch_tasks() -> None:
    """Make a span of each task that this process runs."""
    if _provider is not None:
        _provider.watch_tasks()


def shutdown() -> None:
    """Send what waits."""
    if _provider is not None:
        _provider.shutdown()
