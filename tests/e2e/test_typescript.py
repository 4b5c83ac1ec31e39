"""The TypeScript client: generated from our document, built, and run by node against a running Nightlight."""

import base64
import json
import re

import pytest

from nightlight.cli import key_commands
from nightlight_core.decisions.placeholder import PLACEHOLDER_BLURHASH, placeholder_bytes
from tests.support import golden, pictures
from tests.support.node import CLIENT as HERE
from tests.support.node import passed, run

pytestmark = [pytest.mark.e2e, pytest.mark.integration]


@pytest.mark.usefixtures("npm")
def test_the_types_are_those_of_the_openapi_document(tmp_path):
    script = re.search(r'"generate": "(.*) --output', (HERE / "package.json").read_text())[1]
    run([HERE / "node_modules/.bin/openapi-typescript", *script.split()[1:], "--output", tmp_path / "schema.d.ts"])
    schema = (tmp_path / "schema.d.ts").read_text()
    assert schema == (HERE / "src/schema.d.ts").read_text(), "npm run generate in clients/typescript"


def test_its_placeholder_is_ours():
    text = (HERE / "src/placeholder.ts").read_text()
    joined = "".join(re.findall(r'"([^"]*)"', text))
    assert joined == "data:image/webp;base64," + base64.b64encode(placeholder_bytes()).decode() + PLACEHOLDER_BLURHASH


@pytest.mark.usefixtures("built")
def test_a_platforms_compiler_takes_its_types():
    run([HERE / "node_modules/.bin/tsc", "-p", "test/types"])


@pytest.mark.usefixtures("built")
def test_it_does_without_a_service_what_it_says():
    tests = ["test/settings.test.mjs", "test/calls.test.mjs", "test/webhooks.test.mjs"]
    assert passed(run(["node", "--test", *tests])) == 61


@pytest.mark.parametrize("stack", ["embedded"], indirect=True, scope="session")
@pytest.mark.usefixtures("built")
def test_it_runs_against_the_service(stack, tmp_path):
    (tmp_path / "picture.jpg").write_bytes(pictures.photograph("coffee.png"))
    environment = {
        "NIGHTLIGHT_URL": stack.url,
        "NIGHTLIGHT_TOKEN": key_commands.token(stack.folder, scopes=None, subject="typescript", hours=12),
        "NIGHTLIGHT_RELATIONS_KEYS": stack.environment["NIGHTLIGHT_RELATIONS_KEYS"],
        "NIGHTLIGHT_PICTURE": str(tmp_path / "picture.jpg"),
    }
    assert passed(run(["node", "--test", "test/client.test.mjs"], **environment)) == 16


@pytest.mark.usefixtures("built")
def test_its_decisions_are_those_of_the_golden_table(monkeypatch):
    with golden.served(monkeypatch) as (client, _, _):
        environment = {
            "NIGHTLIGHT_URL": client.base_url,
            "NIGHTLIGHT_TOKEN": client._token(),
            "NIGHTLIGHT_ORIGIN": golden.ORIGIN,
        }
        report = json.loads(run(["node", "test/golden.mjs"], **environment))
    table = json.loads(golden.PATH.read_text("utf-8"))
    asked = sum(len(case["items"]) for case in table["cases"])
    assert report == {"subject": "golden", "cases": len(table["cases"]), "answered": asked}
