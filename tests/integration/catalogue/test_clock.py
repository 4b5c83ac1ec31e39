"""The clock that every process shares is the database's, whatever a host's own says."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from nightlight.catalogue import clock as clocks
from nightlight.catalogue.clock import CatalogueClock, shared_clock
from nightlight.catalogue.engine import Catalogue
from nightlight_core import clock as host
from nightlight_core.clock import system_clock
from nightlight_core.errors import CatalogueUnavailable
from tests.support.databases import catalogue_at, postgres_database

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def catalogue():
    with postgres_database() as database, catalogue_at(database) as opened:
        yield opened


def test_it_is_the_databases_and_goes_on(catalogue):
    clock = shared_clock(catalogue, system_clock)
    before = datetime.now(UTC)
    first, second = clock(), clock()
    # The database runs on this machine: what it says lies between two looks at the machine's clock.
    assert before - timedelta(milliseconds=100) <= first <= second <= datetime.now(UTC) + timedelta(milliseconds=100)
    assert first.tzinfo is UTC


def test_a_host_whose_clock_is_wrong_is_not_asked(catalogue, monkeypatch):
    monkeypatch.setattr(time, "time", lambda: 0.0)
    monkeypatch.setattr(host, "datetime", None)  # the host's clock cannot even be read
    assert abs(CatalogueClock(catalogue)().timestamp() - _epoch(catalogue)) < 60


def test_while_the_database_is_away_it_counts_on(catalogue, monkeypatch):
    monkeypatch.setattr(clocks, "_ASK_AGAIN_S", 0.0)
    clock = CatalogueClock(catalogue)
    first = clock()
    away = Catalogue("postgresql+psycopg://nobody@127.0.0.1:9/none", timeout_s=1)
    monkeypatch.setattr(clock, "_catalogue", away)
    assert clock() >= first


def test_before_the_database_ever_answered_there_is_no_time(catalogue, monkeypatch):
    clock = CatalogueClock(Catalogue("postgresql+psycopg://nobody@127.0.0.1:9/none", timeout_s=1))
    with pytest.raises(CatalogueUnavailable):
        clock()
    monkeypatch.setattr(clock, "_catalogue", catalogue)
    assert abs(clock().timestamp() - _epoch(catalogue)) < 60  # it asks again at once


def test_a_clock_that_is_given_and_the_one_of_a_single_host_stay_what_they_are(catalogue, tmp_path):
    def given():
        return datetime(2030, 1, 1, tzinfo=UTC)

    assert shared_clock(catalogue, given) is given
    assert shared_clock(Catalogue(f"sqlite:///{tmp_path / 'c.db'}"), system_clock) is system_clock


def _epoch(catalogue):
    with catalogue.reading() as tx:
        return float(tx.connection.exec_driver_sql("SELECT extract(epoch FROM clock_timestamp())").scalar_one())
