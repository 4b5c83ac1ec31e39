"""``nightlight policy init``: a copy of the default pack, to read, to practise on, or to begin with."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import typer

from nightlight.settings.default_policies import default_policies
from nightlight_core.errors import PolicyRefused


def init(
    folder: Annotated[Path, typer.Argument(help="The folder to make.")] = Path("policies"),
) -> None:
    """Write a copy of the default pack to a new folder.

    Example: `nightlight policy init policies`
    """
    if folder.exists():
        raise PolicyRefused(f"{folder} is there already, and nothing was written; name another folder")
    # Without the modes of an installed package, which may be read-only.
    shutil.copytree(default_policies(), folder, copy_function=shutil.copyfile)
    typer.echo(f"{folder}: a copy of the default pack, {sum(1 for _ in folder.rglob('*.yaml'))} files")


def register(app: typer.Typer) -> None:
    """Add this command to ``nightlight policy``."""
    app.command()(init)
