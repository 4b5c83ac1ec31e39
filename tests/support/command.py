"""The ``nightlight`` command in this process: what it prints and how it exits, without a start of Python for each.

That it starts as a process of its own is shown where that matters (tests/unit/cli, tests/packaging).
"""

import io
import os
import sys
from contextlib import redirect_stderr, redirect_stdout
from types import SimpleNamespace
from unittest.mock import patch

import structlog

from nightlight.cli.main import main


def run_command(arguments, environment, *, given=""):
    """Run the command with exactly these NIGHTLIGHT_* variables and ``given`` as its input."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("NIGHTLIGHT_")}
    out, err = io.StringIO(), io.StringIO()
    logging = structlog.get_config()
    try:
        with (
            patch.dict(os.environ, {**clean, **environment}, clear=True),
            patch.object(sys, "argv", ["nightlight", *map(str, arguments)]),
            patch.object(sys, "stdin", io.StringIO(given)),
            redirect_stdout(out),
            redirect_stderr(err),
        ):
            returncode = _status()
    finally:
        structlog.configure(**logging)
    return SimpleNamespace(returncode=returncode, stdout=out.getvalue(), stderr=err.getvalue())


def _status():
    try:
        main()
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(bool(ended.code))
    return 0
