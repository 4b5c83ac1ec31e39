"""`nightlight status` on a running deployment: all is well, and what is not is named."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nightlight.jobs.lanes import LANES
from tests.conftest import ROOT
from tests.support.command import run_command
from tests.support.waiting import HANG_S


@pytest.fixture
def environment(stack):
    """The variables of an operator's command, under a role of its own where the database has roles."""
    return stack.as_role("operator") if stack.name == "scale" else stack.environment


def looked(environment, *options):
    done = run_command(["status", "--json", "--no-buckets", *options], environment)
    return done.returncode, json.loads(done.stdout)


def test_a_process_that_does_not_answer_is_a_problem_and_2(environment, people):
    code, status = looked(environment, "--ask=http://127.0.0.1:1")
    assert code == 2
    assert any("127.0.0.1:1 is not ready" in problem for problem in status["problems"])


def test_a_page_that_is_not_ours_is_a_problem(stack, environment, people):
    code, status = looked(environment, f"--ask={stack.url}/nowhere")
    assert (code, status["processes"][0]["ready"]) == (2, False)


def test_it_is_one_screen(environment, people):
    done = run_command(["status", "--no-buckets"], {**environment, "COLUMNS": "80", "LINES": "24"})
    lines = done.stdout.splitlines()
    assert done.returncode in {0, 2}, done.stderr
    assert lines[0].startswith("Nightlight ")
    assert all(any(lane in line for line in lines) for lane in (*LANES, "outbox", "webhooks"))
    assert max(map(len, lines)) <= 80


def test_a_database_that_is_away_is_an_error_and_1(stack, environment, tmp_path):
    away = {"NIGHTLIGHT_CATALOGUE_URL": "postgresql+psycopg://nobody@127.0.0.1:1/nothing"}
    if stack.name == "embedded":  # a folder in which nothing was ever made
        away = {"NIGHTLIGHT_DATA_DIR": str(tmp_path)}
    done = run_command(["status", "--json"], {**environment, **away})
    assert done.returncode == 1
    assert json.loads(done.stdout)["error"]["code"] == "catalogue_unavailable"


def test_watching_looks_again_until_it_is_stopped(environment, people):
    command = [
        Path(sys.executable).with_name("nightlight"),
        "status",
        "--watch",
        "--every=0.2",
        "--json",
        "--no-buckets",
    ]
    child = subprocess.Popen(
        command, env={**os.environ, **environment}, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    seen, end = "", time.monotonic() + HANG_S
    while seen.count('"problems"') < 2 and time.monotonic() < end and (line := child.stdout.readline()):
        seen += line
    child.send_signal(signal.SIGINT)
    _, errors = child.communicate(timeout=HANG_S)
    assert seen.count('"problems"') == 2, errors
    assert child.returncode in {0, 2}, errors
    assert "Traceback" not in errors
