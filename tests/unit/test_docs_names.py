"""The documentation names commands, settings, metrics, roles, make verbs and files that there are."""

import re
import runpy
from pathlib import Path

import pytest
import typer

from nightlight.catalogue.sql_roles import SqlRole, role_name
from nightlight.cli.main import app
from nightlight.settings import CONCERNS

ROOT = Path(__file__).parents[2]
# The changelog tells of names that there were; the reference pages are made from the code.
PAGES = [
    page
    for page in runpy.run_path(str(Path(__file__).with_name("test_docs.py")))["WRITTEN"]
    if page.name != "CHANGELOG.md"
]
CHECK = runpy.run_path(str(ROOT / "infra/dev/public_names.py"))

SETTINGS = {
    f"{concern.model_config.get('env_prefix', '')}{name.upper()}"
    for concern in CONCERNS.values()
    for name in concern.model_fields
}
# Read by tests, by edges and by the command line, which have no settings.
OTHER_VARIABLES = re.compile(r"NIGHTLIGHT_(TEST_[A-Z0-9_]+|CORPUS|TOKEN|URL|SECRETS_DIR|EDGE_[A-Z0-9_]+)")
# An operator's command writes these to a file.
OPERATORS_METRICS = {"nightlight_lifecycle_drift", "nightlight_lifecycle_drift_looked_seconds"}
METRICS = {entry.name for entry in CHECK["names"]() if entry.kind == "metric"}
# Files of NIGHTLIGHT_SECRETS_DIR, and keys of the edge's Secret.
FILES = {name.lower() for name in SETTINGS} | {"nightlight_edge_purge_token"}
# Of viewers' tokens: nightlight.delivery.viewer_tokens.
CLAIMS = {"nightlight_viewer", "nightlight_proofs"}
# The package for Django, and the commands that it gives a site.
PROGRAMS = {"nightlight_django", "nightlight_sync", "nightlight_import"}
ROLES = {role_name(role, "nightlight") for role in SqlRole}
VERBS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), flags=re.MULTILINE))
# Where a name in code font is a path of this tree.
FOLDERS = ("bench", "clients", "docs", "infra", "nightlight", "policies", "service", "tests", "workers")


def commands(command=None, path=("nightlight",)):
    """Return the options of every command, by its words."""
    command = command or typer.main.get_command(app)
    options = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    listed = {path: options | {"--help"}}
    for name, inner in getattr(command, "commands", {}).items():
        listed |= commands(inner, (*path, name))
    return listed


COMMANDS = commands()


def code(text):
    """Return the blocks and spans of code of a page."""
    blocks = re.findall(r"^ *```\w*\n(.*?)^ *```", text, flags=re.DOTALL | re.MULTILINE)
    spans = re.findall(r"`([^`]+)`", re.sub(r"^ *```.*?^ *```", "", text, flags=re.DOTALL | re.MULTILINE))
    return [*(line for block in blocks for line in block.splitlines()), *spans]


def unknown_commands(text):
    """Return the calls of ``nightlight`` that name no command, or an option that the command does not have."""
    calls = (
        call
        for line in code(text)
        for call in re.findall(r"(?<![\w./-])(?<!install )nightlight [a-z-][^|;#`\n]*", line)
    )
    return [call for call in calls if not _is_known(call.split())]


def _is_known(call):
    path = tuple(call[:1])
    for word in call[1:]:
        if (*path, word) not in COMMANDS:
            break
        path = (*path, word)
    is_group = any(other[: len(path)] == path for other in COMMANDS if len(other) > len(path))
    rest = call[len(path) :]
    if is_group and rest and not all(word in COMMANDS[path] or "|" in word for word in rest):
        return False
    return all(word.split("=")[0] in COMMANDS[path] for word in rest if word.startswith("--"))


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_command_of_a_page_is_there_with_its_options(page):
    assert not unknown_commands((ROOT / page).read_text("utf-8"))


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_process_of_a_page_can_be_started(page):
    usage = re.search(r"usage: python -m workers ([a-z|]+)", (ROOT / "workers/__main__.py").read_text("utf-8"))
    roles = re.findall(r"python -m workers (\w+)", (ROOT / page).read_text("utf-8"))
    assert set(roles) <= set(usage[1].split("|"))


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_setting_of_a_page_is_there(page):
    named = set(re.findall(r"NIGHTLIGHT_[A-Z0-9_]*[A-Z0-9](?!_?\*)\b", (ROOT / page).read_text("utf-8")))
    assert not {name for name in named - SETTINGS if not OTHER_VARIABLES.fullmatch(name)}


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_metric_and_role_of_a_page_is_there(page):
    spans = code((ROOT / page).read_text("utf-8"))
    named = {name for span in spans for name in re.findall(r"\bnightlight_[a-z_]+[a-z]\b(?!\.)", span)}
    assert named <= METRICS | OPERATORS_METRICS | ROLES | FILES | CLAIMS | PROGRAMS | {
        "nightlight_client",
        "nightlight_core",
    }


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_make_verb_of_a_page_is_there(page):
    named = {
        verb for line in code((ROOT / page).read_text("utf-8")) for verb in re.findall(r"^(?:\$ )?make ([a-z-]+)", line)
    }
    assert named <= VERBS


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_file_of_a_page_is_there(page):
    spans = code((ROOT / page).read_text("utf-8"))
    paths = {span for span in spans if re.fullmatch(rf"(?:{'|'.join(FOLDERS)})/[\w./-]+", span)}
    absent = {path for path in paths if not (ROOT / path).exists() and "NAME" not in path}
    # The first is in the wheel; infra/compose_secrets.py makes the others.
    assert {path for path in absent if not path.startswith(("infra/secrets", "infra/.env"))} <= {
        "nightlight/default_policies"
    }


@pytest.mark.parametrize(
    ("text", "is_known"),
    [
        ("`nightlight policy check --json`", True),
        ("`nightlight policy weigh`", False),
        ("`nightlight policy check --gently`", False),
        ("```\n$ nightlight keys seal --vault\n```", True),
        ("```console\n$ nightlight scrapers\n```", False),
        ("`nightlight receipt export|verify`", True),
        ("`pip install nightlight --upgrade` and nightlight scrapers", True),
    ],
)
def test_a_command_that_there_is_not_is_noticed(text, is_known):
    assert is_known == (not unknown_commands(text))


@pytest.mark.parametrize("page", ["README.md", "docs/policy/README.md"])
def test_a_page_has_the_number_of_combinations_of_the_default_pack(page, compiled):
    text = " ".join((ROOT / page).read_text().split())
    assert f"{compiled.space.size:,} combinations" in text
