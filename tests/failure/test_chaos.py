"""A short form of `make chaos`: some faults of every group, under load, with the observers."""

import json
import os
import subprocess
import sys

import pytest

from tests.conftest import ROOT
from tests.support.services import DATABASE, needed

pytestmark = [pytest.mark.failure, pytest.mark.integration]

MINUTES, LEAST = 1.5, 2
FAULTS = (
    "kill -9 worker",
    "kill -9 service",
    "cut database",
    "silent s3",
    "redis full",
    "messages lost",
    "clock of schedule",
)


def test_faults_of_every_group_under_load_violate_nothing(record_property):
    """On services of its own: those of other tests are not harmed."""
    needed(DATABASE)  # where there are no services at all, there is nothing to start them with
    variables = {name: value for name, value in os.environ.items() if not name.startswith("NIGHTLIGHT_")}
    only = [part for fault in FAULTS for part in ("--only", fault)]
    command = [
        sys.executable,
        "-m",
        "tests.chaos",
        "--minutes",
        str(MINUTES),
        "--seed",
        "5",
        "--json",
        "--patience",
        "5",
        *only,
    ]
    done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, check=False)
    assert done.stdout, done.stderr[-4000:]
    record = json.loads(done.stdout)
    record_property("faults", len(record["faults"]))
    assert record["violations"] == []
    assert done.returncode == 0
    assert len(record["faults"]) >= LEAST
    assert record["counts"]["look picture"] > 0
    assert record["settled_s"]
