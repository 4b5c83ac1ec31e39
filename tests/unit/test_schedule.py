import threading

from nightlight.errors import CatalogueUnavailable, QueueUnavailable
from nightlight.settings import WorkerSettings
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


def run_for(seconds, relay, reconcile):
    stop = threading.Event()
    timer = threading.Timer(seconds, stop.set)
    timer.start()
    schedule.run(relay, reconcile, LIMITS, stop)
    timer.join()


def test_the_relay_runs_often_and_the_search_for_lost_jobs_now_and_then():
    relay, reconcile = Once(), Once()
    run_for(0.4, relay, reconcile)
    assert relay.runs > reconcile.runs > 1


def test_a_full_outbox_is_emptied_without_pauses():
    relay = Once(*[100] * 500)
    run_for(0.2, relay, Once())
    assert relay.script == []


def test_outages_do_not_end_the_loop(monkeypatch):
    monkeypatch.setattr(schedule, "_PAUSE_AFTER_FAILURE_S", 0.02)
    relay = Once(QueueUnavailable("a"), QueueUnavailable("b"), 5)
    reconcile = Once(CatalogueUnavailable("c"))
    run_for(0.4, relay, reconcile)
    assert relay.script == []
    assert reconcile.runs > 1
