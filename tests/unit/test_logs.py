import json
import logging

import pytest

from nightlight import logs
from nightlight.settings.process import GeneralSettings, LogSettings


@pytest.fixture
def begin(capsys):
    """Set logging up inside the test (pytest puts handlers of its own in place before it) and read its lines."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level

    def configure():
        logs.configure(GeneralSettings(environment="production"), LogSettings())
        return lambda: [json.loads(line) for line in capsys.readouterr().err.splitlines()]

    yield configure
    root.handlers, root.level = handlers, level


def test_only_listed_fields_are_written(begin):
    lines = begin()
    logs.get("test").info("hello", image_id="abc", profile_id="a person", url="https://x", band="under_13")
    (line,) = lines()
    assert line["image_id"] == "abc"
    assert line["component"] == "test"
    assert {line[field] for field in ("profile_id", "url", "band")} == {logs.WITHHELD}


def test_other_libraries_lines_are_json_too(begin):
    lines = begin()
    logging.getLogger("somebody.else").warning("careful: %s", 5)
    (line,) = lines()
    assert (line["event"], line["level"]) == ("careful: 5", "warning")


def test_an_exception_is_part_of_its_line(begin):
    lines = begin()
    try:
        raise ValueError("boom")
    except ValueError:
        logs.get("test").exception("failed")
    (line,) = lines()
    assert "ValueError: boom" in line["exception"]
