"""The ``nightlight`` command. It comes with the server parts; the base install is the client alone."""

from __future__ import annotations

import sys
from importlib.util import find_spec


def main() -> None:
    """Run the command, or say how to get it."""
    if find_spec("typer") is None:
        sys.stderr.write("nightlight: the command needs the server parts: pip install 'nightlight[server]'\n")
        sys.exit(2)
    from nightlight.cli.main import main as run

    run()
