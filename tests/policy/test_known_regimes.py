"""The default pack has every regime that is known, in the words and with the dates of the list, and no others."""

import csv
import os
from pathlib import Path

import pytest

from tests.conftest import ROOT

KNOWN = Path(os.environ.get("NIGHTLIGHT_REGIMES", ROOT.parent / "shared" / "regimes.csv"))

if KNOWN.exists():
    with KNOWN.open(newline="") as lines:
        ROWS = {row["regime"]: row for row in csv.DictReader(lines)}
else:
    ROWS = {}

pytestmark = pytest.mark.skipif(not ROWS, reason=f"no list of regimes at {KNOWN}; set NIGHTLIGHT_REGIMES")


@pytest.fixture
def regimes(compiled):
    return {regime.regime: regime for _, regime in compiled.pack.regimes}


def test_no_regime_is_missing_and_none_is_invented(regimes):
    assert set(regimes) == set(ROWS)


@pytest.mark.parametrize("name", ROWS)
def test_a_regime_says_what_is_known_of_it_and_nothing_else(regimes, name):
    regime, row = regimes[name], ROWS[name]
    assert row["region"] in regime.where["region"]
    assert (regime.source, regime.begins or "", regime.sure) == (row["source"], row["from"], row["how sure"])
    assert regime.until is None
    asked = row["asks"].split("; ")
    assert list(dict.fromkeys(clause.asks for clause in regime.clauses)) == asked
    for article in (regime.article, *(clause.article for clause in regime.clauses)):
        assert article is None or article in f"{row['source']} {row['asks']}"
    assert all(clause.begins is clause.until is None for clause in regime.clauses)
