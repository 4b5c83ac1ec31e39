"""The ``nightlight`` command."""

from __future__ import annotations

import os


def main() -> None:
    """Run the command."""
    # numpy reads it when it is imported: its threads would only wait for each other.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from nightlight.cli.main import main as run

    run()
