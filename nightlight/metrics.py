"""Prometheus metrics. Labels come from closed lists and never name a person, an age or a relation.

Nothing is told that singles somebody out: whatever counts people or pictures is told in tens, rounded down, and what
was counted less often than that not at all; of holds and erasures only whether there is one. So nobody reads from two
looks at the page what became of one upload, or whose age has lapsed.

A worker's children each write their own values; where ``PROMETHEUS_MULTIPROC_DIR`` is set before this
module loads, ``exposition`` adds them up.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

import nightlight

if TYPE_CHECKING:
    from prometheus_client.samples import Sample


class KnownGauge(Gauge):
    """A gauge that is on the page of a process once that process has set it, and not before.

    Every process has all metrics of this module, and most know one side of things alone. A service that told of 0 days
    of a certificate, which it never sees, would say something that is wrong.
    """

    def __init__(self, name: str, documentation: str) -> None:
        """Make the gauge; among the values of a worker's children the newest counts."""
        super().__init__(name, documentation, multiprocess_mode="mostrecent", registry=None)
        self._known = False

    def set(self, value: float) -> None:
        """Set the value, and tell of it from now on."""
        super().set(value)
        if not self._known:
            self._known = True
            REGISTRY.register(self)


UPLOADS = Counter("nightlight_uploads_total", "Uploads, by how they ended.", ["outcome"])
DECISIONS = Counter("nightlight_decisions_total", "Decisions made, whatever they were.")
UNPROVED = Counter("nightlight_relations_unproved_total", "Relation proofs that were forged, expired or another's.")
PROVIDER_FAILURES = Counter("nightlight_relation_provider_failures_total", "Times the relation provider was no help.")
REVOCATIONS = Counter("nightlight_revocations_total", "Times that what was given out of a profile was revoked.")
SWEPT = Counter("nightlight_swept_total", "Images that were deleted because the policy keeps them no longer.")
LAPSED = Counter("nightlight_lapsed_total", "Profiles whose age band was not asserted again in time.")
HOLDS_DUE = KnownGauge(
    "nightlight_holds_due",
    "Whether there are holds that may end and that nobody has ended yet: 0 or 1.",
)
ERASURES_OVERDUE = KnownGauge(
    "nightlight_erasures_overdue",
    "Whether there are erasures that are not done although the policy's time for them is over: 0 or 1.",
)
ERASURE_KEYS_LOST = KnownGauge(
    "nightlight_erasure_keys_lost",
    "Whether there are tombstones of a key that is not in NIGHTLIGHT_ERASURE_KEYS any more: 0 or 1.",
)
TAKEDOWNS = Counter("nightlight_takedowns_total", "Takedown notices, by what came of them.", ["outcome"])
TAKEDOWN_FAILURES = Counter(
    "nightlight_takedown_failures_total",
    "Takedown notices that people must look at: they failed, were rejected, or have hashes that were set aside.",
)
TAKEDOWNS_OVERDUE = KnownGauge(
    "nightlight_takedowns_overdue",
    "Whether there are takedown notices that are not carried out although the policy's time is over: 0 or 1.",
)
WAITING = Gauge(
    "nightlight_jobs_waiting", "Jobs that wait to be begun, by lane.", ["lane"], multiprocess_mode="mostrecent"
)
WAITING_SECONDS = Gauge(
    "nightlight_jobs_waiting_seconds",
    "Seconds for which the job asked for first has waited to be begun, by lane.",
    ["lane"],
    multiprocess_mode="mostrecent",
)
CERTIFICATE_DAYS = KnownGauge(
    "nightlight_provenance_certificate_days",
    "Days that the certificate may still sign manifests.",
)
STAMPS_MISSED = Counter(
    "nightlight_provenance_stamps_missed_total",
    "Manifests that were signed without a time stamp, since the authority gave none in time.",
)
EDGE_LISTS = Counter(
    "nightlight_edge_lists_total", "Times that an edge was told what is revoked, by how it ended.", ["edge", "outcome"]
)
EDGE_LIST_MOMENT = Gauge(
    "nightlight_edge_list_moment_seconds",
    "Unix time up to which an edge's list of revoked pictures is complete.",
    ["edge"],
    multiprocess_mode="max",
)
EVENTS = Counter("nightlight_events_total", "Deliveries of events to the platform.", ["outcome"])
WEBHOOKS_DISABLED = KnownGauge(
    "nightlight_webhooks_disabled",
    "Whether the endpoint of webhooks is disabled, since deliveries failed for too long: 0 or 1.",
)
WEBHOOKS_FAILING_SECONDS = KnownGauge(
    "nightlight_webhooks_failing_seconds",
    "Seconds since the first of the deliveries of webhooks that all failed; 0 if the last was taken.",
)
ABUSE_SIGNALS = Counter("nightlight_abuse_signals_total", "Requests that looked like a scraper's.", ["reason"])
UNKNOWN_WORDS = Counter("nightlight_unknown_words_total", "Decisions that met a word outside the vocabulary.")
DELIVERIES = Counter("nightlight_deliveries_total", "Pictures asked for, by how the answer came about.", ["outcome"])
RERENDERS = Counter("nightlight_rerenders_total", "Pictures rendered again, by how that ended.", ["outcome"])
RERENDER_WAITING = KnownGauge(
    "nightlight_rerender_pictures_left",
    "Pictures that the run under way has not looked at, or has queued and not rendered.",
)
RENDERS = Counter("nightlight_renders_total", "Render attempts, by how they ended.", ["outcome"])
RENDER_SECONDS = Histogram(
    "nightlight_render_seconds", "Wall time of one render.", buckets=(0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60)
)
STAGE_SECONDS = Histogram(
    "nightlight_render_stage_cpu_seconds",
    "CPU time of one stage of a render.",
    ["stage"],
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2),
)
FACE_DETECTOR_FAILURES = Counter(
    "nightlight_face_detector_failures_total", "Pictures over which the face detector broke; they were softened whole."
)
DECODERS_DIED = Counter("nightlight_decoders_died_total", "Decoders that were killed over a picture, or took too long.")
MANIFESTS_REFUSED = Counter(
    "nightlight_manifests_refused_total",
    "Attempts at a picture whose manifest could not be signed so that it stands, though the credential signs others.",
)
UNREADABLE_WATERMARKS = Counter(
    "nightlight_unreadable_watermarks_total",
    "Renditions whose invisible watermark did not read back: left out (required) or published (best_effort).",
    ["requirement"],
)
HASH_LIST_MATCHES = Counter(
    "nightlight_hash_list_matches_total", "Uploads that were quarantined because they are on a hash list."
)
NOT_SCREENED = Counter(
    "nightlight_not_screened_total",
    "Published images of which nothing was left to be held against the hash lists: neither original nor renditions.",
)
HASH_LISTS_UNCONFIRMED = KnownGauge(
    "nightlight_hash_lists_unconfirmed",
    "Hash lists that have lost what nobody has confirmed: renders wait.",
)
IMPORTS = Counter(
    "nightlight_imports_total", "Keys of other buckets that were looked at, by what came of it.", ["state"]
)
IMPORT_NOTIFICATIONS = Counter(
    "nightlight_import_notifications_total", "What notifications told of, by what was made of it.", ["outcome"]
)
TRACES = Counter(
    "nightlight_traces_total", "Traces over HTTP, by how they were accepted and how they ended.", ["outcome"]
)
PUBLISHED = Counter("nightlight_outbox_published_total", "Outbox messages the broker has confirmed.")
PUBLISH_FAILURES = Counter("nightlight_outbox_failures_total", "Outbox messages the broker did not confirm.")
POLICY_REFUSED = Counter("nightlight_policy_refused_total", "Looks for a changed policy that kept the last good one.")
RECONCILED = Counter("nightlight_jobs_reconciled_total", "Jobs found lost or due, and published again.")

REQUESTS = Counter(
    "nightlight_http_requests_total", "Requests, by route and how they were answered.", ["route", "outcome"]
)
REQUEST_FAILURES = Counter(
    "nightlight_http_failures_total", "Requests that were answered 5xx, or that nothing answered.", ["route"]
)
REQUEST_SECONDS = Histogram(
    "nightlight_http_request_seconds",
    "Wall time from a request to the end of its answer, of the routes that are called most and of all others.",
    ["route"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
DEPENDENCY_SECONDS = Histogram(
    "nightlight_dependency_seconds",
    "Wall time of a statement of the database, of a call of the store or another service of AWS, or of the quotas.",
    ["dependency"],
    buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
DEPENDENCY_FAILURES = Counter(
    "nightlight_dependency_failures_total", "Calls of a dependency that failed or were denied.", ["dependency"]
)
FEED_MOMENT = KnownGauge(
    "nightlight_change_feed_moment_seconds",
    "When the feed of changes was last read, in Unix seconds; decisions are made from memory for a second after it.",
)
CATALOGUE_RESTORED = Gauge(
    "nightlight_catalogue_restored",
    "1 where the catalogue is behind what was written: it was restored, and every decision is the placeholder.",
    multiprocess_mode="livemax",
)
BUILD = Gauge(
    "nightlight_build_info", "1, with the version of Nightlight and of Python.", ["version", "python"],
    multiprocess_mode="mostrecent",
)  # fmt: skip
BUILD.labels(nightlight.__version__, platform.python_version()).set(1)
DATABASE, STORE, AWS, QUOTAS = "database", "store", "aws", "quotas"


@contextmanager
def dependency_call(dependency: str) -> Iterator[None]:
    """Measure one call of a dependency; whatever it raises is a failure, and goes on."""
    began = time.perf_counter()
    try:
        yield
    except BaseException:
        DEPENDENCY_FAILURES.labels(dependency).inc()
        raise
    finally:
        DEPENDENCY_SECONDS.labels(dependency).observe(time.perf_counter() - began)


# Counts are told in steps of so many, and smaller ones not at all.
STEP = 10
# Ways for a render to end that stand on the page from the start, so that it says nothing when they do.
ENDINGS = ("ready", "superseded", "rejected", "failed", "quarantined", "deleted", "later", "lost", "nothing")
for _ending in ENDINGS:
    RENDERS.labels(_ending)
# These count messages, outages and failures of ours, not people or pictures, and are told as they are.
EXACT = frozenset(
    {
        "nightlight_build_info",
        "nightlight_change_feed_moment_seconds",
        "nightlight_dependency_failures",
        "nightlight_edge_lists",
        "nightlight_edge_list_moment_seconds",
        "nightlight_http_failures",
        "nightlight_jobs_reconciled",
        "nightlight_jobs_waiting_seconds",
        "nightlight_outbox_failures",
        "nightlight_outbox_published",
        "nightlight_policy_refused",
        "nightlight_provenance_certificate_days",
        "nightlight_provenance_stamps_missed",
        "nightlight_relation_provider_failures",
        "nightlight_takedown_failures",
        "nightlight_webhooks_failing_seconds",
    }
)


class _InTens(Collector):
    """Tells what a registry holds in steps. Sums of seconds stay as they are; when a count began is not told."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def collect(self) -> Iterator[Metric]:
        """Yield each family once it is rounded."""
        for family in self._registry.collect():
            if family.name.startswith("nightlight_") and family.name not in EXACT:
                metric = Metric(family.name, family.documentation, family.type)
                metric.samples = [
                    rounded for sample in family.samples if (rounded := _rounded(sample, family.type)) is not None
                ]
                yield metric
            else:
                yield family


def _rounded(sample: Sample, kind: str) -> Sample | None:
    if sample.name.endswith("_created"):
        return None
    if sample.name.endswith("_sum"):
        return sample
    if kind == "gauge":
        return sample._replace(value=float(sample.value > 0))
    value = float(sample.value // STEP * STEP)
    beyond = {name: text for name, text in sample.labels.items() if name != "le"}
    always = beyond.get("outcome") in ENDINGS and sample.name == "nightlight_renders_total"
    return sample._replace(value=value) if value or not beyond or always else None


def exposition() -> tuple[bytes, str]:
    """Return the metrics page and its content type."""
    registry = REGISTRY
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    rounded = CollectorRegistry()
    rounded.register(_InTens(registry))
    return generate_latest(rounded), CONTENT_TYPE_LATEST
