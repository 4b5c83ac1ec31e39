"""``nightlight lifecycle drift`` and ``verify``: what is not as it was applied, and what outlived its rule."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nightlight.cli.exit_codes import DIFFERENCES, DONE
from nightlight.cli.lifecycle_output import Buckets, end_failed, for_each, progress_line
from nightlight.cli.output import JsonFlag, counted, logged_settings, print_json, print_table, say

if TYPE_CHECKING:
    from nightlight.flows.retention.lifecycle_objects import OverdueObject
    from nightlight.flows.retention.manage_lifecycle import ManageLifecycle


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(drift)
    app.command()(verify)


def drift(
    bucket: Buckets = None,
    metrics: Annotated[
        Path | None, typer.Option(help="Write what was found to this file too, for Prometheus' textfile collector.")
    ] = None,
    every: Annotated[float, typer.Option(min=0, help="Look again every so many seconds; 0: once.")] = 0,
    as_json: JsonFlag = False,
) -> None:
    """Say what has changed in the buckets' rules since `apply`, ours and those of others, by name.

    Exits with 2 if something has. An error of one bucket does not hide the others.
    Example: `nightlight lifecycle drift --json --metrics /var/lib/node_exporter/nightlight.prom`
    """
    from nightlight.retention.lifecycle_drift import as_values
    from nightlight.wiring.bucket_lifecycle import lifecycle

    with lifecycle(logged_settings()) as flow:
        while True:
            names = bucket or list(flow.buckets)
            results, failed = for_each(names, lambda name: {"drift": [as_values(e) for e in flow.drift(name)]})
            if metrics is not None:
                _write_metrics(metrics, results, flow)
            _print_drift(results, as_json=as_json)
            if not every:
                break
            time.sleep(every)
    if failed:
        end_failed(results, as_json=as_json)
    raise typer.Exit(DIFFERENCES if any(result["drift"] for result in results) else DONE)


def verify(
    bucket: Buckets = None,
    most: Annotated[int, typer.Option(min=1, help="List so many at most.")] = 100,
    as_json: JsonFlag = False,
) -> None:
    """List objects that outlived their rule by more than two days. Exits with 2 if there are any.

    Example: `nightlight lifecycle verify --bucket nightlight-renditions`
    """
    from nightlight.wiring.bucket_lifecycle import lifecycle

    with lifecycle(logged_settings()) as flow:
        late: list[OverdueObject] = []
        count = 0
        for name in bucket or flow.buckets:
            with progress_line(f"{name}: objects") as advance:
                for overdue in flow.late(name, advance):
                    count += 1
                    if len(late) < most:
                        late.append(overdue)
    if as_json:
        print_json({"late": count, "objects": [overdue._asdict() for overdue in late]})
    elif late:
        rows = [(*row[:3], f"{row.written_at:%Y-%m-%d}", f"{row.due_at:%Y-%m-%d}") for row in late]
        title = f"{count:,} objects outlived their rule"
        print_table(("bucket", "key", "rule", "written", "due"), rows, title=title)
    else:
        typer.echo("no object outlived its rule")
    raise typer.Exit(DIFFERENCES if count else DONE)


def _print_drift(results: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        print_json(results)
        return
    for result in results:
        if "drift" not in result:
            continue
        sentences = [entry["sentence"] for entry in result["drift"]]
        how = f"{counted(len(sentences), 'difference')}" if sentences else "as it was applied"
        say(f"{result['bucket']}: {how}")
        for sentence in sentences:
            say(f"  {sentence}")


def _write_metrics(path: Path, results: list[dict[str, Any]], flow: ManageLifecycle) -> None:
    from nightlight.retention.drift_metrics import write_drift_metrics

    counts = {result["bucket"]: len(result["drift"]) for result in results if "drift" in result}
    write_drift_metrics(path, counts, flow.clock())
