"""The OpenAPI document, as the tools of others see it."""

import json
import re
import shutil
import subprocess

import pytest

from service.openapi_operations import OPERATION_IDS, TAGS
from tests.support.services import missing_tool
from tests.support.stacks import ROOT
from tests.support.waiting import HANG_S

pytestmark = pytest.mark.integration

PATH = ROOT / "docs/reference/openapi.json"
HERE = ROOT / "clients/typescript"
# Redocly's recommended rules, by the library that the types are made with.
LINT = """
import { createConfig, lint } from "@redocly/openapi-core";
const config = await createConfig({ extends: ["recommended"] });
const problems = await lint({ ref: process.argv[1], config });
console.log(JSON.stringify(problems.map(({ ruleId, message, location }) => [ruleId, message, location[0]?.pointer])));
"""


@pytest.fixture(scope="module")
def document():
    return json.loads(PATH.read_text("utf-8"))


def test_it_passes_the_recommended_rules_of_redocly():
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        missing_tool("node and npm")
    if not (HERE / "node_modules/@redocly/openapi-core").exists():
        subprocess.run([npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=HERE, check=True, timeout=HANG_S)
    command = [node, "--input-type=module", "--eval", LINT, str(PATH)]
    done = subprocess.run(command, cwd=HERE, capture_output=True, text=True, check=False, timeout=HANG_S)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == []


def test_every_operation_has_a_name_of_its_own_and_a_group_that_is_described(document):
    operations = {
        f"{method.upper()} {path}": operation
        for path, item in document["paths"].items()
        for method, operation in item.items()
    }
    assert {route: operation["operationId"] for route, operation in operations.items()} == OPERATION_IDS
    assert len(set(OPERATION_IDS.values())) == len(OPERATION_IDS)
    assert all(re.fullmatch(r"[a-z]+([A-Z][a-z0-9]+)*(AuthZenConfiguration)?", name) for name in OPERATION_IDS.values())
    assert {tag for operation in operations.values() for tag in operation["tags"]} == set(TAGS)
    assert all(operation["description"] for operation in operations.values())


def test_what_an_upload_may_be_is_said_in_words(document):
    text = document["paths"]["/v1/profiles/{profile_id}/image"]["post"]["description"]
    for word in ("64 MB", "megapixels", "animation", "JPEG"):
        assert word in text
