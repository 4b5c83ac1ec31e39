"""Every table of the catalogue has an end, or the page says why not."""

import re

from nightlight.catalogue import matching_schema, policy_schema, retention_schema, takedown_schema, webhook_schema  # noqa: F401
from nightlight.catalogue.schema import metadata
from nightlight.settings.records import RecordSettings
from tests.conftest import ROOT

PAGE = (ROOT / "docs/retention.md").read_text()
SECTION = PAGE.split("## Records of work that is done")[1].split("\n## ")[0]


def test_each_table_is_on_one_line_of_the_page():
    lines = [line for line in SECTION.splitlines() if line.startswith("| `")]
    named = [name for line in lines for name in re.findall(r"`([a-z_]+)`", line.split("|")[1])]
    assert sorted(named) == sorted(metadata.tables)


def test_the_days_on_the_page_are_the_settings():
    for name, field in RecordSettings.model_fields.items():
        assert f"NIGHTLIGHT_RECORDS_{name.upper()}" in SECTION
        assert re.search(rf"\b{field.default:,}\b", SECTION), name
