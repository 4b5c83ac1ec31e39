"""``nightlight policy progress``: how far pictures follow the policy."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Annotated, Any

import typer

from nightlight.cli.output import JsonFlag, print_json
from nightlight.cli.policy_rollout import DEFAULT_URL, Url, call

# `progress`: pictures wait; no run began that could be watched.
EXIT_WAITS, EXIT_NO_RUN = 3, 4
_WATCH_S = 3.0


def progress(
    url: Url = DEFAULT_URL,
    as_json: JsonFlag = False,
    watch: Annotated[bool, typer.Option("--watch", help="Look again every few seconds, until nothing waits.")] = False,
    begin_within: Annotated[
        float, typer.Option(min=0, help="Seconds in which a run must begin, with --watch and while none is under way.")
    ] = 60.0,
) -> None:
    """Say how far pictures follow the policy: what is looked at, rendered again, and about how long the rest takes.

    Exits 0 if nothing waits, 3 if something does. With `--watch`, exits 4 if no run is under way and none begins in
    time: no picture has to be rendered again, or no worker is there.
    Example: `nightlight policy progress --watch`
    """

    def look() -> list[dict[str, Any]]:
        runs: list[dict[str, Any]] = call(url, lambda client: client.policy_progress())
        return runs

    runs = look()
    began = not watch or _begins(runs, look, begin_within)
    while watch and (runs := look()) and runs[0]["state"] == "running":
        _print_run(runs[0])
        time.sleep(_WATCH_S)
    if as_json:
        print_json(runs)
    elif not runs:
        typer.echo("no picture was rendered again so far")
    else:
        for run in runs:
            _print_run(run)
    if not began:
        typer.echo(f"no run began within {begin_within:,.0f} s", err=True)
        raise typer.Exit(EXIT_NO_RUN)
    raise typer.Exit(EXIT_WAITS if any(run["state"] == "running" for run in runs) else 0)


def _begins(runs: list[dict[str, Any]], look: Callable[[], list[dict[str, Any]]], within_s: float) -> bool:
    """Wait until a run is under way that was not among ``runs``, or was already; return whether there is one."""
    known, end = {run["rerender_id"] for run in runs if run["state"] != "running"}, time.monotonic() + within_s
    while all(run["rerender_id"] in known for run in runs):
        if (left := end - time.monotonic()) <= 0:
            return False
        time.sleep(min(left, _WATCH_S))
        runs = look()
    return True


def _print_run(run: dict[str, Any]) -> None:
    pictures, left = run["pictures"], run["seconds_left"]
    total = "" if pictures is None else f" of {pictures:,}"
    rest = "" if not left else f", about {left / 60:,.0f} min left at {run['pictures_a_second']:,.1f} a second"
    what = "follows the policy" if run["kind"] == "follows" else f"by hand {run['scope']}"
    counts = f"{run['looked_at']:,}{total} looked at, {run['waiting']:,} waiting, {run['rendered']:,} rendered again"
    typer.echo(f"{run['created_at'][:19]} {run['state']:<8} {what}: {counts}, {run['failed']:,} failed{rest}")


def register(app: typer.Typer) -> None:
    """Add the command to ``nightlight policy``."""
    app.command()(progress)
