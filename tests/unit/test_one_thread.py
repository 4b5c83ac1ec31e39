"""Every program of the project gives numpy's linear algebra one thread, before numpy is loaded."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from nightlight.one_thread import VARIABLES

ROOT = Path(__file__).parents[2]
BENCHES = sorted(f"bench/{path.name}" for path in (ROOT / "bench").glob("*.py") if "__main__" in path.read_text())
PROGRAMS = ["service/__main__.py", "workers/__main__.py", "docs/generate.py", *BENCHES]
# Loads a program without running it, and says what the variables are at the moment when numpy is first looked for.
LOOK = """
import importlib.abc, os, runpy, sys
class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "numpy":
            print([os.environ.get(variable) for variable in {variables!r}], flush=True)
            os._exit(0)
sys.meta_path.insert(0, Finder())
sys.path[0:0] = [{folder!r}, {root!r}]
runpy.run_path({program!r}, run_name="loaded")
import numpy
"""


def threads_at_numpy(program, **more):
    environment = {name: value for name, value in os.environ.items() if name not in VARIABLES} | more
    folder = str((ROOT / program).parent) if program.startswith(("bench", "docs")) else str(ROOT)
    code = LOOK.format(variables=VARIABLES, folder=folder, root=str(ROOT), program=str(ROOT / program))
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT, env=environment
    )
    return done.stdout.strip() or done.stderr


# `peers` runs in other packages' environments too, and inherits the variables; `face` and
# `fit_large_face` begin with packages that nothing else installs, after the variables are set; `backfill` loads no numpy.
ELSEWHERE = {"bench/peers.py", "bench/face.py", "bench/fit_large_face.py", "bench/backfill.py"}


@pytest.mark.parametrize("program", [program for program in PROGRAMS if program not in ELSEWHERE])
def test_a_program_has_set_one_thread_when_numpy_is_loaded(program):
    assert threads_at_numpy(program) == str(["1"] * len(VARIABLES))


def test_the_command_line_has_set_one_thread_when_numpy_is_loaded():
    assert threads_at_numpy("nightlight/cli/__init__.py") == str(["1"] * len(VARIABLES))


def test_what_an_operator_sets_holds():
    assert threads_at_numpy("service/__main__.py", OPENBLAS_NUM_THREADS="4") == str(["4", "1", "1"])


def test_the_sandbox_gives_it_to_its_helper():
    from nightlight.imaging.helper_process import helper_environment

    assert helper_environment()["OPENBLAS_NUM_THREADS"] == "1"
