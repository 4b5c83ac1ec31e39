"""What commands share: options that mean the same everywhere, and tables, JSON, CSV and progress on the terminal."""

from __future__ import annotations

import csv
import json
import os
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from nightlight.settings import Settings

JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
YesFlag = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
CsvFile = Annotated[Path | None, typer.Option("--csv", help="Write them to this file.")]
WaitOption = Annotated[float, typer.Option(min=0, help="Seconds to wait for the workers; 0 does not.")]
ActorOption = Annotated[str, typer.Option(help="Who does this, for the audit log.")]
_LOOK_S = 0.2


def plain_console() -> Console:
    """Return a console that takes nothing for markup: a file's name may look like it."""
    return Console(highlight=False, markup=False)


def say(text: str) -> None:
    """Print a line that is wrapped nowhere, and of which nothing is taken for markup."""
    plain_console().print(text, soft_wrap=True)


def visible(text: str) -> str:
    """Return a text of somebody else's as a terminal may show it: what cannot be seen is written as in JSON."""
    return text if text.isprintable() else json.dumps(text)


def print_json(value: Any) -> None:
    """Print a value as JSON; what JSON has no form for is printed as its text."""
    typer.echo(json.dumps(value, indent=2, default=str))


def counted(number: int, noun: str) -> str:
    """Return a number and its noun: ``1 rule``, ``2 rules``."""
    return f"{number} {noun}" + ("" if number == 1 else "s")


def print_table(
    columns: Sequence[str], rows: Iterable[Sequence[object]], *, right: Collection[str] = (), title: str | None = None
) -> None:
    """Print rows under the names of their columns, those of ``right`` flush right; None is an empty cell."""
    table = Table(title=title)
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left")
    for row in rows:
        table.add_row(*("" if cell is None else str(cell) for cell in row))
    plain_console().print(table)


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write rows under the names of their columns; no text of them is taken for a formula by a spreadsheet."""
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([columns, *([no_formula(cell) for cell in row] for row in rows)])


def no_formula(cell: object) -> object:
    """Return a value that no spreadsheet takes for a formula: it may be somebody else's text."""
    return f"'{cell}" if isinstance(cell, str) and cell[:1] in {"=", "+", "-", "@", "\t", "\r"} else cell


def print_report(
    columns: Sequence[str], rows: Sequence[Mapping[str, Any]], *, csv_file: Path | None, as_json: bool, nothing: str
) -> None:
    """Print rows as JSON or as a table, ``nothing`` where there are none, and write them to a CSV file if asked to."""
    cells = [[row[column] for column in columns] for row in rows]
    if csv_file is not None:
        write_csv(csv_file, columns, cells)
    if as_json:
        print_json(rows)
    elif not rows:
        typer.echo(nothing)
    else:
        print_table([column.replace("_", " ") for column in columns], cells)


def plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row with its moments as RFC 3339 text."""
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in row.items()}


def progress(*columns: str | ProgressColumn) -> Progress:
    """Return a bar on standard error that is gone at the end."""
    return Progress(*columns, console=Console(stderr=True), transient=True)


def wait_for_workers(what: str, total: int, left: Callable[[], int], wait_s: float) -> int:
    """Show how many of ``total`` the workers have done until none is left or ``wait_s`` seconds are over.

    Returns how many are left.
    """
    end, waiting = time.monotonic() + wait_s, left()
    with progress(TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()) as bar:
        task = bar.add_task(what, total=max(total, waiting))
        while waiting and time.monotonic() < end:
            bar.update(task, completed=max(total, waiting) - waiting)
            time.sleep(_LOOK_S)
            waiting = left()
    return waiting


def logged_settings() -> Settings:
    """Return the settings; what is logged goes to standard error, beside what is printed."""
    from nightlight import logs

    settings = Settings()
    logs.configure(settings.general, settings.log)
    return settings


def local_actor() -> str:
    """Return who runs this command, for the audit log."""
    return f"cli:{os.environ.get('USER') or os.getuid()}"
