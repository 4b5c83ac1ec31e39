"""Signals of abuse wait in order, are not noted without end, and are not lost where they cannot be written down."""

from contextlib import contextmanager

import pytest

from nightlight.flows.decisions.abuse_signals import AbuseSignalLog
from nightlight_core.clock import system_clock
from nightlight_core.decisions.abuse_signals import CANARY, OVER_QUOTA, AbuseSignal, AbuseSignalBuffer
from nightlight_core.decisions.quotas import Requester
from nightlight_core.errors import CatalogueUnavailable


def signal(who):
    return AbuseSignal("viewer", who, CANARY)


def test_the_same_is_noted_once():
    buffer = AbuseSignalBuffer(most=10)
    for _ in range(3):
        buffer.note(Requester("v", "net", "t"), OVER_QUOTA)
    buffer.note(Requester("v", None, "t"), CANARY)
    buffer.note(Requester(None, None, "t"), CANARY)
    assert buffer.drain() == [
        AbuseSignal("viewer", "v", OVER_QUOTA), AbuseSignal("network", "net", OVER_QUOTA), AbuseSignal("viewer", "v", CANARY)
    ]  # fmt: skip
    assert buffer.drain() == []


def test_restored_signals_come_first_and_the_oldest_give_way():
    buffer = AbuseSignalBuffer(most=3)
    buffer.add([signal("a"), signal("b")])
    drained = buffer.drain()
    buffer.add([signal("c"), signal("d")])
    buffer.restore(drained)
    assert buffer.drain() == [signal("b"), signal("c"), signal("d")]


def test_what_the_catalogue_does_not_take_waits_for_the_next_time():
    class Away:
        @contextmanager
        def transaction(self):
            raise CatalogueUnavailable
            yield

    log = AbuseSignalLog(Away(), system_clock)
    log.flush()  # nothing waits, nobody is asked
    log.add([signal("a"), signal("b")])
    for _ in range(2):
        with pytest.raises(CatalogueUnavailable):
            log.flush()
    assert log.drain() == [signal("a"), signal("b")]
