"""The TypeScript client: generated from our document, built, and run by node against a running Nightlight."""

import base64
import json
import os
import re
import shutil
import subprocess

import pytest

from nightlight.cli import key_commands
from nightlight_core.decisions.placeholder import PLACEHOLDER_BLURHASH, placeholder_bytes
from tests.support import golden, pictures
from tests.support.services import missing_tool
from tests.support.stacks import ROOT
from tests.support.waiting import HANG_S

pytestmark = [pytest.mark.e2e, pytest.mark.integration]

HERE = ROOT / "clients/typescript"


@pytest.fixture(scope="module")
def npm():
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        missing_tool("node and npm")
    if not (HERE / "node_modules/.bin/tsc").exists():
        run([npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"])
    return npm


def run(command, **environment):
    done = subprocess.run(
        command,
        cwd=HERE,
        capture_output=True,
        text=True,
        check=False,
        timeout=HANG_S,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_types_are_those_of_the_openapi_document(npm, tmp_path):
    script = re.search(r'"generate": "(.*) --output', (HERE / "package.json").read_text())[1]
    run([HERE / "node_modules/.bin/openapi-typescript", *script.split()[1:], "--output", tmp_path / "schema.d.ts"])
    schema = (tmp_path / "schema.d.ts").read_text()
    assert schema == (HERE / "src/schema.d.ts").read_text(), "npm run generate in clients/typescript"


def test_its_placeholder_is_ours():
    text = (HERE / "src/placeholder.ts").read_text()
    joined = "".join(re.findall(r'"([^"]*)"', text))
    assert joined == "data:image/webp;base64," + base64.b64encode(placeholder_bytes()).decode() + PLACEHOLDER_BLURHASH


@pytest.fixture(scope="module")
def built(npm):
    run([npm, "run", "--silent", "build"])


def passed(output):
    """How many tests of node passed, where none failed."""
    assert "# fail 0" in output
    assert "# skipped 0" in output
    return int(re.search(r"^# pass (\d+)$", output, re.MULTILINE)[1])


def test_a_platforms_compiler_takes_its_types(built):
    run([HERE / "node_modules/.bin/tsc", "-p", "test/types"])


def test_it_does_without_a_service_what_it_says(built):
    assert passed(run(["node", "--test", "test/settings.test.mjs", "test/calls.test.mjs"])) == 53


@pytest.mark.parametrize("stack", ["embedded"], indirect=True, scope="session")
def test_it_runs_against_the_service(built, stack, tmp_path):
    (tmp_path / "picture.jpg").write_bytes(pictures.photograph("coffee.png"))
    environment = {
        "NIGHTLIGHT_URL": stack.url,
        "NIGHTLIGHT_TOKEN": key_commands.token(stack.folder, scopes=None, subject="typescript", hours=12),
        "NIGHTLIGHT_RELATIONS_KEYS": stack.environment["NIGHTLIGHT_RELATIONS_KEYS"],
        "NIGHTLIGHT_PICTURE": str(tmp_path / "picture.jpg"),
    }
    assert passed(run(["node", "--test", "test/client.test.mjs"], **environment)) == 16


def test_its_decisions_are_those_of_the_golden_table(built, monkeypatch):
    with golden.served(monkeypatch) as (client, _, _):
        environment = {
            "NIGHTLIGHT_URL": client.base_url,
            "NIGHTLIGHT_TOKEN": client._token,
            "NIGHTLIGHT_ORIGIN": golden.ORIGIN,
        }
        report = json.loads(run(["node", "test/golden.mjs"], **environment))
    table = json.loads(golden.PATH.read_text("utf-8"))
    asked = sum(len(case["items"]) for case in table["cases"])
    assert report == {"subject": "golden", "cases": len(table["cases"]), "answered": asked}
