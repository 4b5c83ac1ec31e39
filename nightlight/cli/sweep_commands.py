"""``nightlight sweep``: age and change, now; and what the last run did."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Annotated

import typer
from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

from nightlight.cli.exit_codes import DIFFERENCES
from nightlight.cli.output import JsonFlag, WaitOption, logged_settings, print_json, progress

_LOOK_S = 0.2


def sweep(
    last: Annotated[bool, typer.Option("--last", help="Only show what the last run did.")] = False,
    wait_s: WaitOption = 600.0,
    as_json: JsonFlag = False,
) -> None:
    """Lapse bands that were not asserted again, supersede what is not shown, delete what the policy keeps no longer.

    The schedule does it by itself (NIGHTLIGHT_RETENTION_SWEEP_S). Exits with 2 if the workers were not done in time:
    they go on. Example: `nightlight sweep --json`
    """
    from nightlight.catalogue.sweeps import DONE
    from nightlight.wiring.retention import open_sweep

    with open_sweep(logged_settings()) as flow:
        run = flow.report(None if last else flow.begin(actor="operator"))
        end = time.monotonic() + (0 if last else wait_s)
        columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        with progress(*columns) as bar:
            task = bar.add_task("sweeping")
            while run.state != DONE and time.monotonic() < end:
                time.sleep(_LOOK_S)
                run = flow.report(run.sweep_id)
                bar.update(task, description=f"{run.batches:,} batches: {_in_words(run.counts)}")
    if as_json:
        print_json(asdict(run))
    else:
        typer.echo(f"{run.state} after {run.batches:,} batches: {_in_words(run.counts)}")
    raise typer.Exit(0 if run.state == DONE or last or not wait_s else DIFFERENCES)


def _in_words(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {kind.replace('_', ' ')}" for kind, count in counts.items()) or "nothing yet"
