"""The wheels where nothing else is installed: the client in a platform's backend, both on a machine without a checkout."""

import base64
import json
import os
import statistics
import time

import pytest

from tests.conftest import ROOT
from tests.packaging.conftest import LOCKS
from tests.support import golden
from tests.support.environments import Clean
from tests.support.waiting import HANG_S

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(
        not os.environ.get("NIGHTLIGHT_TEST_WHEELS"), reason="makes whole environments: `make test-wheels` runs it"
    ),
]

RUNS = 11
PYDANTIC = {"pydantic", "pydantic-core", "annotated-types", "typing-inspection"}


@pytest.fixture(scope="module")
def backend(wheels, tmp_path_factory):
    """A platform's backend: the client, and what its lock names."""
    clean = Clean(tmp_path_factory.mktemp("backend") / "venv")
    clean.install("--require-hashes", "--requirement", str(LOCKS / "client.txt"))
    clean.install("--no-index", str(wheels[0]))
    return clean


@pytest.fixture(scope="module")
def beside_pydantic(wheels, tmp_path_factory):
    """A backend that has pydantic too, for a use of its own."""
    clean = Clean(tmp_path_factory.mktemp("beside") / "venv")
    clean.link(LOCKS / "client.txt")
    clean.link(LOCKS / "server.txt", only=PYDANTIC)
    clean.install("--no-index", str(wheels[0]))
    return clean


def test_a_backend_decides_over_http_and_by_itself_as_the_golden_table_says(backend, tmp_path):
    table = json.loads(golden.PATH.read_text("utf-8"))
    with pytest.MonkeyPatch.context() as patch, golden.served(patch) as (client, _, _):
        task = {
            "url": client.base_url, "token": client._token(), "now": golden.NOW, "cases": table["cases"], "budget_s": HANG_S,
            "publisher": os.environ["NIGHTLIGHT_POLICY_PUBLISHER_KEYS"],
            "relation_keys": {name: base64.b64encode(key).decode() for name, key in golden.RELATION_KEYS.items()},
        }  # fmt: skip
        program = ROOT / "tests/packaging/platform_backend.py"
        done = backend.run("python", "-I", program, cwd=tmp_path, input=json.dumps(task))
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["server"] == []
    assert not report["httpx_before"]
    assert report["problem"] is None
    wanted = [[[golden.ORIGIN + url, *more] for url, *more in case["answers"]] for case in table["cases"]]
    assert report["local"] == wanted
    assert report["http"] == report["later"] == wanted[0]
    assert report["fallback"] == [True, "data:image/webp;base64,"]
    assert report["fake"] == ["tiny", "full"]


def test_what_is_imported_costs_little_beside_what_backends_import_anyway(beside_pydantic, tmp_path):
    """At most a fifth more than httpx and a first pydantic model, measured in the same run (-s prints the figures)."""
    statements = (
        "import httpx, pydantic; pydantic.create_model('First', number=(int, ...))",
        "import nightlight_client",
        "import nightlight_client, httpx",
        "import nightlight_client.local_client",
    )
    times = {statement: [] for statement in statements}
    for _ in range(RUNS):
        for statement in statements:  # in turn, so that a busy moment hits all alike
            began = time.perf_counter()
            assert beside_pydantic.run("python", "-c", statement, cwd=tmp_path).returncode == 0
            times[statement].append(time.perf_counter() - began)
    medians = {statement: statistics.median(taken) for statement, taken in times.items()}
    below, *ours = medians.values()
    for statement, median in medians.items():
        print(f"{statement}: {median * 1000:.0f} ms, {median / below:.2f} times")  # noqa: T201 - figures to look at
    assert max(ours) <= 1.2 * below


def test_a_server_checks_compares_and_explains_the_default_policies_outside_a_checkout(server, tmp_path):
    done = server.run("nightlight", "policy", "check", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["ok"] is True
    pack = server.packages / "nightlight/default_policies"
    assert str(pack) in done.stderr
    for arguments in (("test",), ("mutate",), ("explain", "relation=stranger"), ("diff", pack, pack)):
        done = server.run("nightlight", "policy", *arguments, cwd=tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_demonstration_runs_outside_a_checkout(server, tmp_path):
    done = server.run("nightlight", "demo", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "35 URLs fetched over HTTP and checked, 0 wrong." in done.stdout
    assert (tmp_path / "demo/contact-sheet.png").stat().st_size > 0
