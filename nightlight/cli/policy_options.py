"""What commands of ``nightlight policy`` share: their arguments and options, and how they compile and refuse a pack."""

from __future__ import annotations

import json
import os
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from rich.console import Console

from nightlight.settings.default_policies import default_policies

if TYPE_CHECKING:
    from nightlight.policy.compile import Compiled
    from nightlight.policy.diagnostics import InvalidPolicy


def policies_here() -> Path:
    """Return the pack of a command that names none: NIGHTLIGHT_POLICY_DIR, ``policies`` here, or the default pack."""
    named, here = os.environ.get("NIGHTLIGHT_POLICY_DIR"), Path("policies")
    if named or here.is_dir():
        return Path(named) if named else here
    folder = default_policies()
    typer.echo(f"there is no folder `policies` here; this is about the default pack in {folder}", err=True)
    return folder


_PACK = "The policy pack; unnamed: NIGHTLIGHT_POLICY_DIR, else the folder `policies` here, else the default pack."
Folder = Annotated[Path, typer.Argument(help=_PACK, default_factory=policies_here, show_default=False)]
PolicyOption = Annotated[Path, typer.Option("--policy", help=_PACK, default_factory=policies_here, show_default=False)]
OnOption = Annotated[
    datetime | None, typer.Option("--on", formats=["%Y-%m-%d"], help="Only as it is on this day, by the rules' dates.")
]
JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


def today_utc() -> date:
    """Return the day of now: dates of policies begin at midnight, UTC."""
    return datetime.now(UTC).date()


def on_day(compiled: Compiled, on: datetime | None) -> Compiled:
    """Return a pack as it is on the day that a command names, or with all its dates where it names none."""
    return compiled if on is None else compiled.on(on.date().isoformat())


def console() -> Console:
    """Return a console that does not cut lines in a log or a pipe."""
    terminal = Console(highlight=False, soft_wrap=True)
    if not terminal.is_terminal:
        terminal.width = 120
    return terminal


def compiled_folder(folder: Path) -> Compiled:
    """Compile without trying the cases: what a pack means can be asked even if a case says otherwise."""
    from nightlight.policy.compile import compile_pack
    from nightlight.policy.load import load

    return compile_pack(load(folder))


def refused(error: InvalidPolicy, *, as_json: bool) -> NoReturn:
    """Print every problem, for a person or as JSON, and exit 1."""
    if as_json:
        diagnostics: list[dict[str, Any]] = [
            {
                "file": problem.position.file,
                "line": problem.position.line,
                "column": problem.position.column,
                "code": problem.code,
                "message": problem.message,
            }
            for problem in error.problems
        ]
        typer.echo(json.dumps({"ok": False, "problems": diagnostics}, indent=2))
    else:
        typer.echo(str(error), err=True)
        typer.echo(f"{len(error.problems)} problem(s); see docs/policy/errors.md", err=True)
    raise typer.Exit(1) from None
