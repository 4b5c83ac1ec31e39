"""The TypeScript client, and programs that node runs."""

import os
import re
import shutil
import subprocess

from tests.support.services import missing_tool
from tests.support.stacks import ROOT
from tests.support.waiting import HANG_S

CLIENT = ROOT / "clients/typescript"


def npm():
    """The command npm, once the client's packages are installed."""
    command = shutil.which("npm")
    if command is None or shutil.which("node") is None:
        missing_tool("node and npm")
    if not (CLIENT / "node_modules/undici").exists():
        run([command, "ci", "--ignore-scripts", "--no-audit", "--no-fund"])
    return command


def run(command, folder=CLIENT, **environment):
    """What a command prints that succeeds."""
    done = subprocess.run(
        command,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=HANG_S,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def passed(output):
    """How many tests of node passed, where none failed and none was skipped."""
    assert "# fail 0" in output
    assert "# skipped 0" in output
    return int(re.search(r"^# pass (\d+)$", output, re.MULTILINE)[1])
