"""``nightlight status``: one screen that says how a deployment stands."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from nightlight.cli.exit_codes import DIFFERENCES, DONE
from nightlight.cli.output import JsonFlag, logged_settings, plain_console, print_json

if TYPE_CHECKING:
    from rich.console import Console

    from nightlight.flows.status import DeploymentStatus

_MINUTE_S, _HOUR_S, _DAY_S = 60, 3_600, 86_400


def status(
    ask: Annotated[
        list[str] | None,
        typer.Option(help="Address of a process (http://host:port) to ask how it is; repeat for several."),
    ] = None,
    buckets: Annotated[
        bool,
        typer.Option("--buckets/--no-buckets", help="Look at the buckets' lifecycle rules too, where there are any."),
    ] = True,
    watch: Annotated[bool, typer.Option("--watch", help="Look again and again, until Ctrl-C.")] = False,
    every: Annotated[float, typer.Option(min=0.2, help="Seconds between two looks, with --watch.")] = 5.0,
    as_json: JsonFlag = False,
) -> None:
    """Say how the deployment stands: what waits and since when, what failed, what is overdue, certificate, drift.

    Settings come from NIGHTLIGHT_* as for the other commands; the database's role `nightlight_operator` is enough.
    Exits 0 if all is well, with 1 if it cannot be looked at, and with 2 if something needs somebody.

    Examples: `nightlight status`, `nightlight status --ask http://127.0.0.1:8080 --json`, `nightlight status --watch`
    """
    from nightlight.wiring.deployment_status import open_status

    exit_status = DONE
    with open_status(logged_settings(), buckets=buckets) as deployment:
        try:
            while True:
                looked_at = deployment.look(ask or [])
                exit_status = DIFFERENCES if looked_at.problems else DONE
                if as_json:
                    print_json(asdict(looked_at))
                else:
                    _show(plain_console(), looked_at, clear=watch)
                if not watch:
                    break
                time.sleep(every)
        except KeyboardInterrupt:
            if not watch:
                raise
    raise typer.Exit(exit_status)


def _show(console: Console, status: DeploymentStatus, *, clear: bool) -> None:
    if clear:
        console.clear()
    certificate = "none here" if status.certificate_days is None else f"{status.certificate_days:,.1f} days"
    sweep = "never" if status.last_sweep_at is None else f"{status.last_sweep_at:%Y-%m-%d %H:%M}"
    console.print(f"Nightlight {status.version}   schema {status.schema}   policy {status.policy_digest[:12]}")
    console.print(f"{status.at:%Y-%m-%d %H:%M:%S} UTC   certificate {certificate}   last sweep {sweep}")
    console.print(_lanes(status))
    if status.kinds:
        console.print(_kinds(status))
    for failure in status.failures:
        console.print(f"failed within a day: {failure.jobs:,} {failure.kind} {failure.reason}")
    for process in status.processes:
        console.print(f"{process.address}: {'ready' if process.ready else 'not ready'}")
    console.print("\n".join(f"! {problem}" for problem in status.problems) or "all is well")


def _lanes(status: DeploymentStatus) -> Table:
    table = Table("what waits", "how many", "the oldest", title_justify="left")
    rows = [(lane.lane, lane.waiting, lane.oldest_s) for lane in status.lanes]
    rows += [
        ("outbox", status.outbox.count, status.outbox.oldest_s),
        ("webhooks", status.webhooks.count, status.webhooks.oldest_s),
    ]
    for name, count, oldest_s in rows:
        table.add_row(name, f"{count:,}", _duration(oldest_s) if count else "")
    return table


def _kinds(status: DeploymentStatus) -> Table:
    table = Table("open jobs", "lane", "wait", "in work", "the oldest")
    for kind in status.kinds:
        table.add_row(kind.kind, kind.lane, f"{kind.waiting:,}", f"{kind.leased:,}", _duration(kind.oldest_s))
    return table


def _duration(seconds: float) -> str:
    for unit_s, unit in ((_DAY_S, "d"), (_HOUR_S, "h"), (_MINUTE_S, "min")):
        if seconds >= 2 * unit_s:
            return f"{seconds / unit_s:,.0f} {unit}"
    return f"{seconds:,.0f} s"
