"""The ``nightlight`` command."""

from __future__ import annotations

from nightlight import one_thread  # noqa: F401 - before numpy is imported


def main() -> None:
    """Run the command."""
    from nightlight.cli.main import main as run

    run()
