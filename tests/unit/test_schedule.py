import threading

import pytest

from nightlight.settings.process import WorkerSettings
from nightlight_core.errors import CatalogueUnavailable, QueueUnavailable
from workers import schedule

LIMITS = WorkerSettings(relay_interval_s=0.01, reconcile_interval_s=0.05)


class Once:
    """Something that is run again and again; what it does each time is given, then it does nothing."""

    def __init__(self, *script):
        self.script = list(script)
        self.runs = 0

    def run_once(self):
        self.runs += 1
        step = self.script.pop(0) if self.script else 0
        if isinstance(step, Exception):
            raise step
        return step


class Passing(threading.Event):
    """Time, which goes on only while the loop waits; it is told to stop when the time is over."""

    def __init__(self):
        super().__init__()
        self.now = self.end = 0.0

    def monotonic(self):
        return self.now

    def is_set(self):
        return self.now >= self.end

    def wait(self, timeout=None):
        self.now += timeout
        return self.is_set()


@pytest.fixture
def passing(monkeypatch):
    clock = Passing()
    monkeypatch.setattr(schedule, "time", clock)
    return clock


def run_for(passing, seconds, relay, reconcile):
    passing.end = seconds
    schedule.run(relay, reconcile, LIMITS, passing)


def test_the_relay_runs_often_and_the_search_for_lost_jobs_now_and_then(passing):
    relay, reconcile = Once(), Once()
    run_for(passing, 0.405, relay, reconcile)
    assert relay.runs == 41
    assert 7 <= reconcile.runs <= 9


def test_a_full_outbox_is_emptied_without_pauses(passing):
    relay = Once(*[100] * 500)
    run_for(passing, 0.005, relay, Once())  # less than one pause
    assert relay.script == []
    assert relay.runs == 501


def test_outages_do_not_end_the_loop(passing, monkeypatch):
    monkeypatch.setattr(schedule, "_PAUSE_AFTER_FAILURE_S", 0.02)
    relay = Once(QueueUnavailable("a"), QueueUnavailable("b"), 5)
    reconcile = Once(CatalogueUnavailable("c"))
    run_for(passing, 0.4, relay, reconcile)
    assert relay.script == []
    assert reconcile.runs > 1
