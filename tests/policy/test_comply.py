"""What ``nightlight policy comply`` prints of the default pack on two days, and how it exits.

``comply/DAY.txt`` is the whole output of ``nightlight policy comply policies --on DAY``, numbers of combinations and the
digest left open.
"""

import json
import re
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nightlight.cli.main import app
from nightlight.policy.regimes import bound_clauses
from tests.conftest import ROOT

EXPECTED = sorted((Path(__file__).parent / "comply").glob("*.txt"))


@pytest.fixture
def pack(tmp_path):
    shutil.copytree(ROOT / "policies", tmp_path / "p")
    return tmp_path / "p"


def run(*arguments, code=0):
    result = CliRunner().invoke(app, ["policy", "comply", *map(str, arguments)])
    assert result.exit_code == code, (result.output, result.exception)
    return result.output


def left_open(text):
    return re.sub(r"digest [0-9a-f]{64}", "digest D", re.sub(r"[\d,]+ combinations", "N combinations", text))


def test_there_are_two_days():
    assert [path.stem for path in EXPECTED] == ["2026-11-29", "2027-05-01"]


@pytest.mark.parametrize("path", EXPECTED, ids=lambda path: path.stem)
def test_it_prints_clause_by_clause_what_is_met_on_a_day(path):
    assert left_open(run(ROOT / "policies", "--on", path.stem)) == path.read_text()


def test_the_days_differ_in_what_begins():
    states = []
    for path in EXPECTED:
        report = json.loads(run(ROOT / "policies", "--on", path.stem, "--json"))
        states.append({c["clause"]: c["force"] for regime in report["regimes"] for c in regime["clauses"]})
    changed = {name.split("/")[0] for name, force in states[0].items() if states[1][name] != force}
    assert changed == {"us-ca-ab1043", "us-vt-kids-code", "in-dpdp"}


def test_it_exits_with_3_where_a_clause_in_force_is_not_met_and_says_where(pack):
    rules = (pack / "rules.yaml").read_text()
    (pack / "rules.yaml").write_text(rules.replace("region: [br, unknown], relation", "region: unknown, relation"))
    text = run(pack, "--on", "2026-11-29", code=3)
    assert "NOT MET: check 'br-eca-digital/strangers' fails in" in text
    assert "fails: relation outsider, region br" in text
    report = json.loads(run(pack, "--on", "2026-11-29", "--json", code=3))
    assert report["all_met"] is False
    run(pack, "--on", "2026-03-16")
    run(pack, "--on", "2026-11-29", "--regime", "au-smma", "--regime", "in-dpdp")


def test_it_never_says_that_a_law_is_met(pack):
    text = run(pack)
    assert text.rstrip().endswith("not reviewed by counsel")
    assert "the law" not in text.replace("not law as far as known", "")


def test_a_pack_that_is_refused_and_a_regime_that_is_none_are_told(pack):
    assert CliRunner().invoke(app, ["policy", "comply", str(pack), "--regime", "mars"]).exit_code not in {0, 3}
    assert CliRunner().invoke(app, ["policy", "comply", str(pack), "--on", "tomorrow"]).exit_code == 2
    (pack / "regimes/in-dpdp.yaml").write_text("format: policy/1\n")
    assert (
        "regimes/in-dpdp.yaml:1:1: regime is missing" in CliRunner().invoke(app, ["policy", "comply", str(pack)]).stderr
    )
    assert json.loads(run(pack, "--json", code=1))["ok"] is False


def test_the_page_of_regimes_names_every_clause_with_what_it_is_bound_to(compiled):
    page = (ROOT / "docs/policy/regimes.md").read_text()
    for bound in bound_clauses(compiled.pack):
        section = page[page.index(f"### `{bound.regime.regime}`") :].split("\n### ")[0]
        ending = f"the platform's duty: {bound.clause.duty}" if bound.clause.duty else f"check `{bound.proved_by}`"
        (row,) = [line for line in section.splitlines() if line.startswith(f"| `{bound.clause.id}` |")]
        assert row.endswith(f"| {ending} |")
        assert f"| {bound.clause.asks} |" in row
