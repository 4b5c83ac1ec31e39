"""infra/dashboards: up to date, about every metric that there is, and asked in PromQL that Prometheus reads."""

import importlib.util
import json
import shutil
import subprocess
import sys

import pytest
from prometheus_client import Counter, Gauge, Histogram
from ruamel.yaml import YAML

from nightlight import metrics
from tests.conftest import ROOT
from tests.support.services import missing_tool

SCRIPT = ROOT / "infra/dashboards/make_dashboards.py"
_SPEC = importlib.util.spec_from_file_location("make_dashboards", SCRIPT)
make_dashboards = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(make_dashboards)
NAMES = sorted(make_dashboards.DASHBOARDS)
FAMILIES = {metric for metric in vars(metrics).values() if isinstance(metric, Counter | Gauge | Histogram)}


@pytest.mark.parametrize("name", NAMES)
def test_every_panel_and_row_has_a_number_of_its_own(name):
    board = json.loads((ROOT / f"infra/dashboards/{name}.json").read_text("utf-8"))
    numbers = [panel["id"] for panel in board["panels"]]
    assert len(set(numbers)) == len(numbers) > 10


def panels(name):
    board = json.loads((ROOT / f"infra/dashboards/{name}.json").read_text("utf-8"))
    return [panel for panel in board["panels"] if panel["type"] == "timeseries"]


def test_they_are_as_they_would_be_written():
    assert subprocess.run([sys.executable, SCRIPT, "--check"], check=False).returncode == 0
    assert {path.stem for path in SCRIPT.parent.glob("*.json")} == set(NAMES)


def test_every_metric_is_on_a_dashboard():
    shown = {metric for plan in make_dashboards.DASHBOARDS.values() for _, row in plan.rows for metric in row}
    assert shown >= FAMILIES


@pytest.mark.parametrize("name", NAMES)
def test_panels_are_apart_and_within_the_24_columns(name):
    taken = set()
    for panel in panels(name):
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert max(x for x, _ in cells) < 24
        assert not cells & taken
        taken |= cells


@pytest.mark.parametrize("name", NAMES)
def test_every_panel_says_what_it_shows_and_asks_the_chosen_prometheus(name):
    for panel in panels(name):
        assert panel["description"]
        assert panel["datasource"]["uid"] == "${datasource}"
        assert all(target["expr"] and target["legendFormat"] for target in panel["targets"])
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])


def test_prometheus_reads_every_question(tmp_path):
    program = shutil.which("promtool") or missing_tool("promtool (Debian: prometheus)")
    asked = sorted({target["expr"] for name in NAMES for panel in panels(name) for target in panel["targets"]})
    rules = [
        {"record": f"asked:{number}", "expr": expression.replace("$__rate_interval", "5m")}
        for number, expression in enumerate(asked)
    ]
    with (tmp_path / "rules.yaml").open("w") as file:
        YAML(typ="safe").dump({"groups": [{"name": "dashboards", "rules": rules}]}, file)
    done = subprocess.run(
        [program, "check", "rules", tmp_path / "rules.yaml"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(asked) > 35
