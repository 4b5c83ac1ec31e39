"""What drift was found, as a file for Prometheus: the operator's command alone may read the buckets' rules."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from prometheus_client import CollectorRegistry, Gauge, write_to_textfile


def write_drift_metrics(path: Path, counts: Mapping[str, int], now: datetime) -> None:
    """Write how many rules of each bucket differ from what was applied, and when that was looked at (Unix seconds).

    A bucket that could not be looked at is in neither, so that an alert on the age of the look fires. The file is
    written beside its place and then renamed: a collector never reads half of it.
    """
    registry = CollectorRegistry()
    drift = Gauge(
        "nightlight_lifecycle_drift", "Rules that differ from what was applied.", ["bucket"], registry=registry
    )
    looked = Gauge(
        "nightlight_lifecycle_drift_looked_seconds", "Unix time of the last look.", ["bucket"], registry=registry
    )
    for bucket, count in counts.items():
        drift.labels(bucket).set(count)
        looked.labels(bucket).set(now.timestamp())
    write_to_textfile(str(path), registry)
