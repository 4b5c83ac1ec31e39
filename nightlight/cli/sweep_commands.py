"""``nightlight sweep``: age and change, now; and what the last run did."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from nightlight.settings import Settings

_LOOK_S = 0.2
NOT_DONE = 2


def sweep(
    last: Annotated[bool, typer.Option("--last", help="Only show what the last run did.")] = False,
    wait_s: Annotated[float, typer.Option(min=0, help="Seconds to wait for the workers; 0 does not.")] = 600.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """Lapse bands that were not asserted again, supersede what is not shown, delete what the policy keeps no longer.

    The schedule does it by itself (NIGHTLIGHT_RETENTION_SWEEP_S). Exits with 2 if the workers were not done in time:
    they go on. Example: `nightlight sweep --json`
    """
    from nightlight import logs
    from nightlight.catalogue.sweeps import DONE
    from nightlight.wiring import open_sweep

    settings = Settings()
    logs.configure(settings.general, settings.log)
    with open_sweep(settings) as flow:
        run = flow.report(None if last else flow.begin(actor="operator"))
        end = time.monotonic() + (0 if last else wait_s)
        columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("sweeping")
            while run.state != DONE and time.monotonic() < end:
                time.sleep(_LOOK_S)
                run = flow.report(run.sweep_id)
                bar.update(task, description=f"{run.batches:,} batches: {_summary(run.counts)}")
    if as_json:
        typer.echo(json.dumps(asdict(run), indent=2, default=str))
    else:
        typer.echo(f"{run.state} after {run.batches:,} batches: {_summary(run.counts)}")
    raise typer.Exit(0 if run.state == DONE or last or not wait_s else NOT_DONE)


def _summary(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {kind.replace('_', ' ')}" for kind, count in counts.items()) or "nothing yet"
