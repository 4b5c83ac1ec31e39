"""While the catalogue hangs, requests wait for one look and not for each other's, and the short way waits for none."""

import threading
import time
from contextlib import contextmanager

import pytest

from nightlight.delivery.views import Views
from nightlight.errors import CatalogueUnavailable
from nightlight.flows.watch import Watch

HANGS_S = 0.3


class Hanging:
    """A catalogue that answers nobody, and takes its time for it."""

    def __init__(self):
        self.asked = 0

    @contextmanager
    def reading(self):
        self.asked += 1
        time.sleep(HANGS_S)
        raise CatalogueUnavailable("away")
        yield


@pytest.fixture
def catalogue():
    return Hanging()


@pytest.fixture
def watch(catalogue):
    return Watch(catalogue, Views(most=10, stale_s=1.0), picture_bytes=0, assertion_days=30, poll_s=1)


def test_many_requests_wait_for_one_look_that_is_in_vain(watch, catalogue):
    told = []

    def ask():
        with pytest.raises(CatalogueUnavailable):
            watch.catch_up()
        told.append(True)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(told) == 8
    assert catalogue.asked <= 2  # one may come just after the first look has ended
    assert not watch.views.fresh


def test_who_comes_later_looks_again(watch, catalogue):
    for count in (1, 2):
        with pytest.raises(CatalogueUnavailable):
            watch.catch_up()
        assert catalogue.asked == count


def test_nobody_looks_where_somebody_has(watch, catalogue):
    watch.views.looked(time.monotonic(), (), anew=True)
    assert watch.catch_up() is True
    assert catalogue.asked == 0
    with pytest.raises(CatalogueUnavailable):
        watch.look()
    with pytest.raises(CatalogueUnavailable):
        watch.catch_up(at_least=1)
