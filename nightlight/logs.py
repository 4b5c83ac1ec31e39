"""Structured logs without personal data.

Only the fields named in ``FIELDS`` are ever written. A profile id is the platform's name of a person,
perhaps of a child, so it is not among them; neither are URLs, tokens, bands or file names.
"""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

import structlog

from nightlight_core.errors import NightlightError

if TYPE_CHECKING:
    from collections.abc import MutableMapping
    from typing import Any

    from nightlight.settings.process import GeneralSettings, LogSettings

# The closed list of what a log line may say. A field that is not here is written as "[withheld]".
FIELDS = frozenset(
    {
        # structlog's own
        "event", "level", "timestamp", "logger", "exc_info", "exception", "stack_info",
        # identifiers that are random and ours
        "request_id", "job_id", "image_id", "trace_id", "message_id",
        # what happened
        "attempt", "bytes", "code", "component", "count", "detail", "duration_ms", "format", "height", "method",
        "policy_digest", "port", "reason", "renditions", "route", "stages_ms", "state", "status", "task", "tier",
        "tiers", "version", "width", "words",
    }
)  # fmt: skip
WITHHELD = "[withheld]"


def withhold(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replace the value of every field that is not on the list."""
    for field in event:
        if field not in FIELDS and not field.startswith("_"):
            event[field] = WITHHELD
    return event


def configure(general: GeneralSettings, log: LogSettings) -> None:
    """Set up structlog and the standard library's logging for this process; call it once, first."""
    json_lines = log.json_lines if log.json_lines is not None else general.environment == "production"
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        withhold,
    ]
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer() if json_lines else structlog.dev.ConsoleRenderer(colors=False)
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                renderer,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(log.level.upper())
    # Access lines of the web server and wire logs of the SDKs carry paths and keys.
    for noisy in ("uvicorn.access", "botocore", "boto3", "urllib3", "httpx", "httpcore", "amqp", "kombu", "alembic"):
        logging.getLogger(noisy).setLevel("WARNING")


def failed(component: str, event: str, error: Exception) -> None:
    """Log that something failed which is tried again: the error's code, or its class where it is none of ours."""
    code = error.code if isinstance(error, NightlightError) else type(error).__name__
    get(component).error(event, code=code, detail=str(error))


def get(component: str) -> structlog.stdlib.BoundLogger:
    """Return a logger whose lines carry ``component``."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(component).bind(component=component)
    return logger
