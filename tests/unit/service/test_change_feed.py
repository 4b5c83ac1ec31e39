"""While the catalogue hangs, requests wait for one look and not for each other's, and the short way waits for none."""

import threading
import time
from contextlib import contextmanager

import pytest

from nightlight.flows.decisions.change_feed import ChangeFeedPoller
from nightlight_core.decisions.profile_views import ProfileViewCache
from nightlight_core.errors import CatalogueUnavailable
from tests.support.waiting import HANG_S

MANY = 8


class Hanging:
    """A catalogue that answers nobody, and hangs until as many have come as are waited for."""

    def __init__(self):
        self.asked, self.waits_for, self.come = 0, 0, threading.Semaphore(0)

    @contextmanager
    def reading(self):
        self.asked += 1
        for _ in range(self.waits_for):
            assert self.come.acquire(timeout=HANG_S)
        raise CatalogueUnavailable("away")
        yield


class Door:
    """The lock for which whoever looks must wait, which says that somebody has come to it."""

    def __init__(self, come):
        self._lock, self._come = threading.Lock(), come

    def __enter__(self):
        self._come.release()
        self._lock.acquire()

    def __exit__(self, *_):
        self._lock.release()


@pytest.fixture
def catalogue():
    return Hanging()


@pytest.fixture
def poller(catalogue):
    return ChangeFeedPoller(
        catalogue, ProfileViewCache(most=10, stale_s=HANG_S), picture_bytes=0, assertion_days=30, poll_s=1
    )


def test_many_requests_wait_for_one_look_that_is_in_vain(poller, catalogue):
    answered = []
    poller._lock, catalogue.waits_for = Door(catalogue.come), MANY

    def ask():
        with pytest.raises(CatalogueUnavailable):
            poller.catch_up()
        answered.append(True)

    threads = [threading.Thread(target=ask) for _ in range(MANY)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answered) == MANY
    assert catalogue.asked == 1
    assert not poller.views.fresh


def test_who_comes_later_looks_again(poller, catalogue):
    for count in (1, 2):
        with pytest.raises(CatalogueUnavailable):
            poller.catch_up()
        assert catalogue.asked == count


def test_nobody_looks_where_somebody_has(poller, catalogue):
    poller.views.polled(time.monotonic(), (), reset=True)
    assert poller.catch_up() is True
    assert catalogue.asked == 0
    with pytest.raises(CatalogueUnavailable):
        poller.poll()
    with pytest.raises(CatalogueUnavailable):
        poller.catch_up(at_least=1)
