"""What Prometheus sees of a running Nightlight: every metric of an alert, and no alert while all is well."""

import re

import httpx
import pytest

from tests.conftest import ROOT
from tests.support.promtool import metrics_of, quiet, rules, samples
from tests.support.waiting import eventually

# Told by a file of `nightlight lifecycle drift --metrics`, and by workers with hash lists.
ELSEWHERE = {
    "nightlight_lifecycle_drift", "nightlight_lifecycle_drift_looked_seconds", "nightlight_hash_lists_unconfirmed"
}  # fmt: skip


def addresses(stack):
    """Where service, worker and schedule have their pages."""
    ports = ("NIGHTLIGHT_WORKER_HEALTH_PORT", "NIGHTLIGHT_WORKER_SCHEDULE_HEALTH_PORT")
    return [stack.url, *(f"http://127.0.0.1:{stack.environment[port]}" for port in ports)]


@pytest.fixture
def pages(stack, people):
    """The pages of the three processes, once pictures were rendered and the first sweep is over."""

    def read():
        texts = [httpx.get(f"{address}/metrics").text for address in addresses(stack)]
        return texts if any(key[0] == "nightlight_holds_due" for text in texts for key in samples(text)) else None

    return eventually(read)


def test_every_metric_of_an_alert_or_a_dashboard_is_told_by_some_process(pages):
    known = {line.split()[2] for text in pages for line in text.splitlines() if line.startswith("# TYPE nightlight_")}
    known |= {key[0] for text in pages for key in samples(text)}
    for name, rule in rules().items():
        assert metrics_of(rule) <= known | ELSEWHERE, name
    for path in sorted((ROOT / "infra/dashboards").glob("*.json")):
        asked = set(
            re.findall(r"\bnightlight_[a-z_]+", "".join(re.findall(r'"expr": "(.*)"', path.read_text("utf-8"))))
        )
        assert asked
        # Of a counter and of a histogram the page's line of the type has the name alone.
        assert {re.sub("_(total|bucket)$", "", name) for name in asked} <= {
            re.sub("_(total|bucket)$", "", name) for name in known | ELSEWHERE
        }, path.name


def test_each_gauge_is_told_by_the_processes_that_know_it_and_by_no_others(pages):
    """A service that told of 0 days of a certificate made its alert fire for ever."""
    service, worker, schedule = ({key[0] for key in samples(text)} for text in pages)
    known = {
        "nightlight_provenance_certificate_days", "nightlight_holds_due", "nightlight_erasures_overdue",
        "nightlight_takedowns_overdue", "nightlight_erasure_keys_lost", "nightlight_jobs_waiting_seconds",
    }  # fmt: skip
    assert not known & service
    assert {"nightlight_provenance_certificate_days", "nightlight_holds_due"} <= worker
    assert {
        "nightlight_erasures_overdue",
        "nightlight_takedowns_overdue",
        "nightlight_jobs_waiting_seconds",
    } <= schedule
    assert "nightlight_erasures_overdue" not in worker


def test_no_alert_fires_while_all_is_well(pages, tmp_path):
    watched = {name for rule in rules().values() for name in metrics_of(rule)}
    together = {}
    for instance, text in enumerate(pages):
        for (name, labels), value in samples(text).items():
            if name in watched:
                together[name, (*labels, ("instance", str(instance)))] = value
    assert quiet(tmp_path, together) == set()
