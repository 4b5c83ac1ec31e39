"""A project folder, run as its owner runs it: by the commands that `nightlight init` prints, with nothing set."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from nightlight.cli.embedded import free_port
from tests.support import pictures
from tests.support.waiting import HANG_S, eventually

pytestmark = pytest.mark.e2e
NIGHTLIGHT = str(Path(sys.executable).parent / "nightlight")


def run(*command, cwd):
    done = subprocess.run(command, cwd=cwd, env=clean(), check=False, capture_output=True, text=True, timeout=HANG_S)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def clean():
    return {name: value for name, value in os.environ.items() if not name.startswith("NIGHTLIGHT_")}


@pytest.fixture
def project(tmp_path):
    """What init printed, while `nightlight serve` runs in the folder."""
    port = str(free_port())
    printed = json.loads(run(NIGHTLIGHT, "init", "shop", "--yes", "--json", "--port", port, cwd=tmp_path))
    folder, log = tmp_path / "shop", tmp_path / "serve.log"
    assert printed["next"] == ["cd shop", "nightlight serve"]
    with log.open("wb") as output:
        serving = subprocess.Popen([NIGHTLIGHT, "serve"], cwd=folder, env=clean(), stdout=output, stderr=output)
    try:
        eventually(lambda: f"listens on http://127.0.0.1:{port}" in log.read_text() or serving.poll() is not None)
        assert serving.poll() is None, log.read_text()
        yield folder, printed
    finally:
        serving.send_signal(signal.SIGINT)
        assert serving.wait(HANG_S) == 0


def test_the_commands_that_init_prints_work_and_operators_commands_need_no_settings(project):
    folder, printed = project
    (folder / "picture.jpg").write_bytes(pictures.jpeg(seed=5))
    answers = [json.loads(run("bash", "-c", f"{call} -sSf", cwd=folder)) for call in printed["first_calls"]]
    assert [answer["profile_id"] for answer in answers] == ["p1", "p1"]
    assert json.loads(run(NIGHTLIGHT, "status", "--no-buckets", "--json", cwd=folder))["catalogue"] == "current"
    run(NIGHTLIGHT, "erase", "p1", "--yes", cwd=folder)  # 0: by the time it ends, the workers have erased it
