"""Exit codes: 0, 1 and 2 mean one thing each, in every command's help, in the table, and when it is run."""

import json
import re

import pytest
import typer

from nightlight.cli.exit_codes import DIFFERENCES_OF, OTHER_STATUSES
from nightlight.cli.main import app
from tests.conftest import ROOT
from tests.support.command import run_command


def commands(command=None, name=""):
    command = command or typer.main.get_command(app)
    children = getattr(command, "commands", None)
    if children is None:
        yield name, command
    for child_name, child in sorted((children or {}).items()):
        yield from commands(child, f"{name} {child_name}".strip())


ALL = dict(commands())


def test_the_table_is_of_commands_that_are_there():
    assert ALL.keys() >= DIFFERENCES_OF.keys() | OTHER_STATUSES.keys()


@pytest.mark.parametrize("name", ALL)
def test_the_help_of_a_command_says_what_the_table_says(name):
    help_ = " ".join(ALL[name].help.split())
    answer = {int(number) for number in re.findall(r"(?:[Ee]xits? with|with|[Ee]xits) ([0-9])\b", help_)} - {0, 1}
    tabled = ({2} if name in DIFFERENCES_OF else set()) | OTHER_STATUSES.get(name, {}).keys()
    more = set(map(int, re.findall(r", ([34]) if", help_)))  # "Exits 0 if ..., 3 if ..., 4 if ..."
    assert answer | more == tabled, help_


def test_the_page_has_every_row_of_the_table():
    page = (ROOT / "docs/reference/exit-codes.md").read_text("utf-8")
    for name, meaning in DIFFERENCES_OF.items():
        assert f"| `nightlight {name}` | {meaning} |" in page


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["lifecycle", "plan", "--nothing"], "No such option"),
        (["lifecycle", "undo"], "Missing argument"),
        (["erase"], "name a profile"),
        (["receipt", "verify", "/nowhere", "--keys", "/nowhere"], "/nowhere"),
        (["lifecycle", "render", "pulumi"], "form must be one of"),
        (["lifecycle", "plan"], "NIGHTLIGHT_STORE_KIND"),
    ],
)
def test_an_error_is_1_and_json_where_it_was_asked_for(arguments, message, tmp_path):
    environment = {"NIGHTLIGHT_DATA_DIR": str(tmp_path)}
    plain = run_command(arguments, environment)
    assert (plain.returncode, plain.stdout) == (1, "")
    assert message in plain.stderr
    assert "Traceback" not in plain.stderr
    command = ALL.get(" ".join(arguments[:2])) or ALL[arguments[0]]
    if "--json" in {option for parameter in command.params for option in parameter.opts}:
        answer = run_command([*arguments, "--json"], environment)
        assert (answer.returncode, answer.stderr) == (1, "")
        error = json.loads(answer.stdout)["error"]
        assert error.keys() == {"code", "message", "retryable"}
        assert message in error["message"]


def test_help_and_version_are_0():
    assert run_command(["lifecycle", "--help"], {}).returncode == 0
    assert run_command(["version"], {}).returncode == 0


def test_a_question_that_json_cannot_ask_is_an_error(tmp_path):
    answer = run_command(["lifecycle", "apply", "--json"], {"NIGHTLIGHT_DATA_DIR": str(tmp_path)})
    assert answer.returncode == 1
    assert "--yes" in json.loads(answer.stdout)["error"]["message"]
