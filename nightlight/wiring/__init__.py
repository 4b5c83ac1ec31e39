"""The one place where adapters are built and put together: for the service, and for the workers.

Two deployments: ``embedded`` (SQLite, a folder or S3; nothing to install) and ``scale``
(PostgreSQL, S3, RabbitMQ). Nothing is built at import time, and what only one kind of process uses is
imported only there.
"""

from nightlight.wiring.components import (
    build_catalogue,
    embedded_catalogue_url,
    embedded_queue_path,
    open_catalogue,
)
from nightlight.wiring.operator_tools import hash_lists, open_screening, open_trace_search
from nightlight.wiring.originals import sealed_from
from nightlight.wiring.retention import (
    bucket_names,
    lifecycle,
    open_abuse_report,
    open_backfill,
    open_deletion,
    open_hold_ending,
    open_holds,
    open_match_review,
    open_report,
    open_retention_tags,
    open_sqs_consumer,
    open_sweep,
    posture,
    probe,
    source_listing,
)
from nightlight.wiring.service_container import ServiceContainer, build_service
from nightlight.wiring.worker_container import WorkerContainer, build_worker

__all__ = [
    "ServiceContainer", "WorkerContainer", "bucket_names", "build_catalogue", "build_service", "build_worker",
    "embedded_catalogue_url", "embedded_queue_path", "hash_lists", "lifecycle", "open_abuse_report",
    "open_backfill", "open_catalogue", "open_deletion", "open_hold_ending", "open_holds", "open_match_review",
    "open_report", "open_retention_tags", "open_screening", "open_sqs_consumer", "open_sweep", "open_trace_search",
    "posture", "probe", "sealed_from", "source_listing",
]  # fmt: skip
