"""Every alert has its section in docs/operations/alerts.md: what it means, what to look at, what to do."""

import re

import pytest
from ruamel.yaml import YAML

from tests.conftest import ROOT

PAGE = "docs/operations/alerts.md"
(GROUP,) = YAML(typ="safe").load((ROOT / "infra/alerts.yaml").read_text("utf-8"))["groups"]
RULES = {rule["alert"]: rule for rule in GROUP["rules"]}
SECTIONS = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", (ROOT / PAGE).read_text("utf-8"), re.MULTILINE | re.DOTALL))


def test_there_is_a_section_for_each_alert_and_no_other():
    assert list(SECTIONS) == sorted(RULES)


@pytest.mark.parametrize("name", sorted(RULES))
def test_a_section_says_what_it_means_what_to_look_at_and_what_to_do(name):
    parts = re.findall(r"^- \*\*(Means|Look at|Do)\.\*\* (.+)", SECTIONS[name], re.MULTILINE)
    assert [part for part, _ in parts] == ["Means", "Look at", "Do"]
    assert RULES[name]["annotations"]["runbook"] == f"{PAGE}#{name.lower()}"
    assert RULES[name]["labels"]["severity"] in {"page", "ticket"}
    assert f"`{RULES[name]['labels']['severity']}`" in SECTIONS[name]
