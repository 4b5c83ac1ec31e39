"""The ``nightlight`` command."""

from __future__ import annotations


def main() -> None:
    """Run the command."""
    from nightlight.cli.main import main as run

    run()
