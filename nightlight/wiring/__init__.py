"""The one place where adapters are built and put together: for the service, and for the workers.

Two deployments: ``embedded`` (SQLite, a folder or S3, a private Redis; nothing to install) and ``scale``
(PostgreSQL, S3, RabbitMQ). Nothing is built at import time, and what only one kind of process uses is
imported only there.
"""

from nightlight.wiring.components import build_catalogue, embedded_catalogue_url
from nightlight.wiring.operator_tools import hash_lists, scrapers, screening, tracing, verdicts
from nightlight.wiring.originals import covered
from nightlight.wiring.retention import (
    bucket_names,
    erasing,
    erasures,
    holding,
    importing,
    keeping,
    lifecycle,
    listening,
    posture,
    probe,
    reporting,
    retagging,
    sweeping,
    walking,
)
from nightlight.wiring.service import ServiceHouse, build_service
from nightlight.wiring.worker import WorkerHouse, build_worker

__all__ = [
    "ServiceHouse", "WorkerHouse", "bucket_names", "build_catalogue", "build_service", "build_worker", "covered",
    "embedded_catalogue_url", "erasing", "erasures", "hash_lists", "holding", "importing", "keeping", "lifecycle",
    "listening", "posture", "probe", "reporting", "retagging", "scrapers", "screening", "sweeping", "tracing",
    "verdicts", "walking",
]  # fmt: skip
