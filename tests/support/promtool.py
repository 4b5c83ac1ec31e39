"""Alerts of infra/alerts.yaml, evaluated by Prometheus' own promtool over pages of metrics."""

import functools
import json
import re
import shutil
import subprocess

from prometheus_client.parser import text_string_to_metric_families
from ruamel.yaml import YAML

from nightlight import metrics
from tests.conftest import ROOT
from tests.support.services import missing_tool

ALERTS = ROOT / "infra/alerts.yaml"
# The fault begins an hour after the start, and is looked at until the end.
BEGAN_MIN, END_MIN = 60, 60 + 51 * 60
# Moments in Unix seconds. promtool's clock starts at 0, so they are told from there: while all is well they move along,
# and then they stand still.
MOMENTS = {"nightlight_edge_list_moment_seconds", "nightlight_lifecycle_drift_looked_seconds"}


@functools.cache
def rules():
    """The alerts by name."""
    (group,) = YAML(typ="safe").load(ALERTS.read_text("utf-8"))["groups"]
    return {rule["alert"]: rule for rule in group["rules"]}


def metrics_of(rule):
    """The names of the metrics that an alert is about."""
    return set(re.findall(r"nightlight_[a-z_]+", rule["expr"]))


def samples(text):
    """The samples of a page, by name and labels."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name.startswith("nightlight_")
    }


def page():
    """What this process would tell Prometheus now."""
    return samples(metrics.exposition()[0].decode())


def firing(folder, name, before, after):
    """Whether an alert fires in the two days after a fault, and whether it did in the hour before.

    ``before`` and ``after`` are samples: what a counter grew by in between, it goes on to grow by in each minute.
    """
    series = [
        {"series": _text(key), "values": _values(key[0], before.get(key), after.get(key))}
        for key in sorted(before.keys() | after.keys())
    ]
    fired = _fired(folder, [name], series, [*range(0, BEGAN_MIN, 5), *range(BEGAN_MIN + 5, END_MIN, 30)])
    return any(minute > BEGAN_MIN for _, minute in fired), any(minute < BEGAN_MIN for _, minute in fired)


def _values(name, before, after):
    """Write a series as promtool reads it; `_` stands for no sample."""
    quiet, faulty = BEGAN_MIN - 1, END_MIN - BEGAN_MIN
    if name in MOMENTS:
        first = f"0+60x{quiet}" if before is not None else f"_x{quiet + 1}"
        return f"{first} {quiet * 60 if after else 0}+0x{faulty}"
    first = f"{before}+0x{quiet}" if before is not None else f"_x{quiet + 1}"
    if after is None:
        return f"{first} _x{faulty}"
    step = after - (before or 0) if name.endswith(("_total", "_count", "_sum", "_bucket")) else 0
    return f"{first} {after}+{step}x{faulty}"


def _text(key):
    name, labels = key
    return name + "{" + ",".join(f'{label}="{value}"' for label, value in labels) + "}"


def quiet(folder, pages):
    """The alerts that fire within two days in which nothing changes but the moments that move along."""
    series = [{"series": _text(key), "values": _steady(key[0], value)} for key, value in sorted(pages.items())]
    return {name for name, _ in _fired(folder, rules(), series, range(5, END_MIN, 60))}


def _steady(name, value):
    return f"0+60x{END_MIN}" if name in MOMENTS else f"{value}+0x{END_MIN}"


def _fired(folder, names, series, minutes):
    """The alerts that fire, each with a minute: promtool is told that none does at any of these, and says which do."""
    program = shutil.which("promtool") or missing_tool("promtool (Debian: prometheus)")
    expected = [
        {"eval_time": f"{minute}m", "alertname": name, "exp_alerts": []} for name in names for minute in minutes
    ]
    test = {"interval": "1m", "input_series": series, "alert_rule_test": expected}
    path, rule_file = folder / "alerts_test.yaml", folder / "rules.yaml"
    document = {"rule_files": [str(rule_file)], "evaluation_interval": "5m", "tests": [test]}
    # Of the shipped rules these alone: promtool evaluates all that it is given. JSON is YAML too, and sooner written.
    rule_file.write_text(json.dumps({"groups": [{"name": "chosen", "rules": [rules()[name] for name in names]}]}))
    path.write_text(json.dumps(document))
    done = subprocess.run([program, "test", "rules", path], capture_output=True, text=True, check=False)
    output = done.stdout + done.stderr
    fired = [(name, _minutes(time)) for name, time in re.findall(r"alertname: (\w+), time: (\w+)", output)]
    assert done.returncode == bool(fired), output[-3000:]
    return fired


def _minutes(time):
    """The minutes of a duration as Prometheus writes it: 1d2h5m."""
    of_unit = {"w": 7 * 24 * 60, "d": 24 * 60, "h": 60, "m": 1}
    parts = re.findall(r"([0-9]+)([wdhm])", time)
    assert "".join(number + unit for number, unit in parts) == time
    return sum(int(number) * of_unit[unit] for number, unit in parts)
