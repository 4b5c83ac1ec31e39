"""The metrics page tells nothing that singles somebody out: every metric and every label value is walked."""

import ast
import re
from functools import cache

import pytest
from prometheus_client import REGISTRY, Counter, Gauge, Histogram
from prometheus_client.parser import text_string_to_metric_families

from nightlight import metrics
from nightlight.catalogue import images, imports
from nightlight.jobs.lanes import LANES
from nightlight.policy.compile import compile_folder
from nightlight_core.errors import NightlightError
from tests.conftest import ROOT

FAMILIES = {name: metric for name, metric in vars(metrics).items() if isinstance(metric, Counter | Gauge | Histogram)}
# A word of ours; a hook's number.
LABEL = re.compile(r"[a-z][a-z0-9_-]{0,40}")


@pytest.fixture
def page(monkeypatch):
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)

    def read():
        text = metrics.exposition()[0].decode()
        return {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if family.name.startswith("nightlight_")
        }

    return read


def always(key):
    return dict(key[1]).get("outcome") in metrics.ENDINGS


def value_of(page, name):
    return {key: value for key, value in page().items() if key[0].startswith(name)}


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_every_metric_is_exact_about_machines_or_in_tens_about_people(page, name):
    family = FAMILIES[name]
    labels = [f"test_{name.lower()}"] * len(family._labelnames)
    child = family.labels(*labels) if labels else family
    add = child.observe if isinstance(family, Histogram) else child.set if isinstance(family, Gauge) else child.inc
    if family._name in metrics.EXACT:
        add(1)
        assert value_of(page, family._name)
        return
    if isinstance(family, Gauge):
        sample_key = family._name, tuple(sorted(zip(family._labelnames, labels, strict=True)))
        for value, shown_value in ((0, 0), (1, 1), (7, 1), (1000, 1)):
            add(value)
            assert page()[sample_key] == shown_value
        return
    before = value_of(page, family._name)
    shown_value = {key: value for key, value in before.items() if not key[0].endswith("_sum")}
    assert all(value % metrics.STEP == 0 for value in shown_value.values())
    for _ in range(metrics.STEP * 2 + 1):
        add(0.001 if isinstance(family, Histogram) else 1)
        now = {key: value for key, value in value_of(page, family._name).items() if not key[0].endswith("_sum")}
        assert all(value % metrics.STEP == 0 for value in now.values())
        # A word that was counted less often than that is not on the page at all.
        assert all(value for key, value in now.items() if {label for label, _ in key[1]} - {"le"} and not always(key))
    assert now != shown_value


def test_no_moment_of_a_first_count_is_told(page):
    metrics.RENDERS.labels("quarantined").inc(50)
    began = {key[0].removesuffix("_created") for key in page() if key[0].endswith("_created")}
    assert began <= metrics.EXACT


def test_how_a_render_may_end_stands_there_from_the_start(page):
    outcomes = {dict(labels)["outcome"] for _, labels in value_of(page, "nightlight_renders_total")}
    assert set(metrics.ENDINGS) <= outcomes


def test_what_is_told_cannot_be_reckoned_from_the_rest(page):
    """One picture of a list among many: all that is counted of renders moves in tens, so no difference gives it away."""
    metrics.RENDERS.labels("ready").inc(100)
    before = {key: value for key, value in page().items() if not key[0].endswith("_sum")}
    tens = value_of(page, "nightlight_renders_total")
    metrics.HASH_LIST_MATCHES.inc()
    metrics.RENDERS.labels("quarantined_once").inc()
    metrics.RENDER_SECONDS.observe(0.05)
    after = {key: value for key, value in page().items() if not key[0].endswith("_sum")}
    assert {key for key in after if "quarantined_once" in str(key)} == set()
    assert all(after[key] - before[key] in {0, metrics.STEP} for key in before)
    assert value_of(page, "nightlight_renders_total") == tens


@cache
def words_of_people():
    """Words that a label must not be: bands, regions, relations, assurances, choices, holds, tiers."""
    policy = compile_folder(ROOT / "policies")
    return {word for words in policy.table.attributes.values() for word in words} - {"list", "none", "default", "other"}


def label_values():
    """Every expression that a label is given, by where it stands."""
    for path in sorted((ROOT / "nightlight").rglob("*.py")) + sorted((ROOT / "service").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            called = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "labels"
            if called and path.name != "metrics.py":
                for argument in node.args:
                    yield path.relative_to(ROOT).as_posix(), ast.unparse(argument)


# What labels are made of, where that is no word: each a closed list, which the next test walks.
KNOWN = {
    "ending", "error.code", "stage", "what", "signal.reason", "state", "recipe.invisible_watermark", "edge.name", "TAKEN",
    "TooManyRequests.code", "'taken' if taken else 'failed'", "lane", "edge_state.edge.name",
    "route", "outcome", "dependency", "metrics.DATABASE", "timed",
    "bucket",  # the operator's own buckets, in a file that a command of theirs writes
}  # fmt: skip


def test_every_label_comes_from_a_closed_list_without_words_for_people():
    forbidden = words_of_people()
    labels = list(label_values())
    assert len(labels) > 15
    for where, expression in labels:
        tree = ast.parse(expression, mode="eval").body
        if isinstance(tree, ast.Constant):
            assert LABEL.fullmatch(tree.value), (where, expression)
            assert tree.value not in forbidden, (where, expression)
        else:
            assert expression in KNOWN, f"{where}: what words can {expression} be? Say so here, and bound it"
    for name, family in FAMILIES.items():
        known = {"outcome", "reason", "stage", "state", "requirement", "edge", "lane", "route", "dependency"}
        assert set(family._labelnames) <= known | {"version", "python"}, name


def test_how_long_work_waits_is_told_in_seconds():
    """Alerts go by it: told as 0 or 1 they would never fire."""
    metrics.WAITING_SECONDS.labels("urgent").set(61.0)
    (sample,) = [
        sample for family in metrics._InTens(REGISTRY).collect() for sample in family.samples
        if sample.name == "nightlight_jobs_waiting_seconds" and sample.labels == {"lane": "urgent"}
    ]  # fmt: skip
    assert sample.value == 61.0


def test_the_closed_lists_are_words_without_people():
    def below(kind):
        for subclass in kind.__subclasses__():
            yield subclass
            yield from below(subclass)

    states = {value for name, value in vars(images).items() if name.isupper() and isinstance(value, str)}
    states |= {value for name, value in vars(imports).items() if name.isupper() and isinstance(value, str)}
    codes = {error.code for error in below(NightlightError)}
    for word in states | codes | set(LANES):
        assert LABEL.fullmatch(word), word
        assert word not in words_of_people() - {"deleted"}, word
