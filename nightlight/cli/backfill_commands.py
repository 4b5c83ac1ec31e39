"""``nightlight backfill``: the pictures of a bucket that is there already."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nightlight.cli.backfill_progress import Pace, StallLimit, WalkBar
from nightlight.cli.output import JsonFlag, logged_settings, print_json, print_table, visible

if TYPE_CHECKING:
    from nightlight.catalogue.imports import ImportItem
    from nightlight.flows.imports.backfill import Backfill, ImportOutcome

_PAUSE_S = 0.2
NOT_DONE = 2


def backfill(  # noqa: PLR0913 - options
    source: Annotated[str | None, typer.Argument(help="s3://bucket/prefix, or an inventory's manifest.json.")] = None,
    keys: Annotated[str, typer.Option(help="The form of keys: {profile}, and * or ** for what varies.")] = "",
    rate: Annotated[float, typer.Option(min=0, help="Keys a second at most; 0 for no limit.")] = 0,
    ahead: Annotated[int, typer.Option(min=1, help="Keys that may wait for the workers.")] = 10_000,
    expect: Annotated[int | None, typer.Option(min=1, help="How many keys there are, for the bar.")] = None,
    unmatched: Annotated[
        Path | None, typer.Option(help="Write every key that is left out to this file, a JSON object a line.")
    ] = None,
    stall_after: Annotated[
        float, typer.Option(min=1, help="Stop if the bucket refuses keys, and no other gets on, for so many seconds.")
    ] = 120,
    again: Annotated[
        bool, typer.Option("--again", help="Begin again from the start, though a listing was interrupted.")
    ] = False,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait for the workers.")] = True,
    status: Annotated[bool, typer.Option("--status", help="Only show imports, and what became of their keys.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Import the pictures of another bucket: each key's profile from the key, each key once.

    Interrupt it at any time: called again it goes on where it was. Profiles that nobody has declared are of unknown
    age; a profile that was deleted is not brought back. Keys that are nobody's picture are left out and told of, the
    first hundred by name. Settings come from NIGHTLIGHT_* as for a worker, the identity that lists from
    NIGHTLIGHT_SOURCE_*. Exits with 2 if the workers were not done (with --wait: Ctrl-C, or a bucket that refuses them).
    Example: `nightlight backfill s3://avatars/users/ --keys "users/{profile}/*.jpg" --rate 500`
    """
    from nightlight.store.key_template import KeyTemplate
    from nightlight.wiring.retention import open_backfill, source_listing
    from nightlight_core.errors import InvalidInput

    if not status and (source is None or not keys):
        message = "name what to import, and the form of its keys: backfill s3://bucket/prefix --keys 'a/{profile}.jpg'"
        raise InvalidInput(message)
    settings = logged_settings()
    with open_backfill(settings) as flow:
        if status or source is None:
            _show(flow, as_json=as_json)
            return
        template = KeyTemplate(keys)
        bucket, pages = source_listing(settings, source)
        begun = flow.begin(source, template, actor="operator", again=again, unmatched=unmatched)
        if begun.keys_found and not as_json:
            typer.echo(f"going on after {begun.keys_found:,} keys", err=True)
        stopped = StallLimit(stall_after, lambda: flow.denied(begun.import_id))
        with WalkBar(expect) as bar:
            bar.listed(begun.keys_found)
            pace = Pace(rate)
            for heard in flow.walk(begun.import_id, bucket, template, pages):
                bar.listed(sum(heard))
                pace.wait(sum(heard))
                waiting = flow.waiting(begun.import_id) if heard.queued else 0
                while waiting > ahead and not stopped.over():
                    bar.waiting(waiting)
                    time.sleep(_PAUSE_S)
                    waiting = flow.waiting(begun.import_id)
                if stopped.over():
                    break
            going_on = wait and not stopped.over()
            left = bar.until_done(flow, begun.import_id, stopped) if going_on else flow.waiting(begun.import_id)
        _end(flow.outcome(begun.import_id), left, stopped=stopped.over(), as_json=as_json)
    raise typer.Exit(NOT_DONE if stopped.over() or (wait and left) else 0)


def _end(outcome: ImportOutcome, left: int, *, stopped: bool, as_json: bool) -> None:
    run = outcome.run
    if as_json:
        print_json({**_plain(outcome), "stopped": stopped, "waiting": left})
        return
    typer.echo(
        f"{run.keys_found:,} keys: {run.queued:,} queued ({_states(outcome.states)}), {run.known:,} known before, "
        f"{run.unmatched:,} left out" + (f"; {left:,} still wait for the workers" if left else "")
    )
    for item in outcome.refused:
        typer.echo(f"refused ({item.reason}): {visible(item.key)}")
    for item in outcome.denied:
        typer.echo(f"not given by its bucket: {visible(item.key)}")
    summary = run.left_out or {}
    for key, reason, detail in summary.get("first", ()):
        typer.echo(f"left out ({reason}): {visible(key)} {detail}")
    if summary.get("file"):
        typer.echo(f"all that are left out: {summary['file']}")
    elif run.unmatched > len(summary.get("first", ())):
        typer.echo("--again --unmatched FILE writes all that are left out")
    if stopped:
        denied = outcome.held_up.get(_denied_code(), 0)
        typer.echo(
            f"stopped: s3:GetObject is refused to the workers for {denied:,} keys. Let NIGHTLIGHT_SOURCE_ACCESS_KEY_ID "
            "read them, and call again: it goes on here. The workers try by themselves meanwhile."
        )


def _show(flow: Backfill, *, as_json: bool) -> None:
    outcomes = flow.outcomes()
    if as_json:
        print_json([_plain(outcome) for outcome in outcomes])
        return
    rows = [
        (
            outcome.run.created_at.isoformat(timespec="seconds"),
            outcome.run.source,
            outcome.run.state,
            f"{outcome.run.keys_found:,}",
            _states((outcome.run.left_out or {}).get("reasons") or {}),
            _states(outcome.states),
            _refusals(outcome),
        )
        for outcome in outcomes
    ]
    print_table(("begun", "source", "state", "keys", "left out", "what came of them", "what holds them up"), rows)


def _refusals(outcome: ImportOutcome) -> str:
    summary = outcome.run.left_out or {}
    listing = [f"listing: {summary['refused']} at {summary['refused_at'][:16]}"] if summary.get("refused") else []
    return ", ".join([*listing, *([_states(outcome.held_up)] if outcome.held_up else [])])


def _denied_code() -> str:
    from nightlight_core.errors import SourceDenied

    return SourceDenied.code


def _states(counts: Any) -> str:
    return ", ".join(f"{count:,} {state}" for state, count in sorted(counts.items()))


def _plain(outcome: ImportOutcome) -> dict[str, Any]:
    run = {name: value for name, value in asdict(outcome.run).items() if name != "cursor"}
    keys = {"refused": _items(outcome.refused), "denied": _items(outcome.denied)}
    return {**run, "states": dict(outcome.states), "held_up": dict(outcome.held_up), **keys}


def _items(items: Any) -> list[dict[str, Any]]:
    kept: list[ImportItem] = list(items)
    return [asdict(item) for item in kept]
