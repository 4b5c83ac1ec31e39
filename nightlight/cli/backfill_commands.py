"""``nightlight backfill``: the pictures of a bucket that is there already."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, Self

import typer
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from nightlight.cli.exit_codes import DIFFERENCES, DONE
from nightlight.cli.output import JsonFlag, logged_settings, print_json, print_table, progress

if TYPE_CHECKING:
    from nightlight.catalogue.imports import ImportRun
    from nightlight.flows.imports.notifications import Backfill

_LOOK_S = 0.5
_PAUSE_S = 0.2


def backfill(  # noqa: PLR0913 - options
    source: Annotated[str | None, typer.Argument(help="s3://bucket/prefix, or an inventory's manifest.json.")] = None,
    keys: Annotated[str, typer.Option(help="The form of keys: {profile}, and * or ** for what varies.")] = "",
    rate: Annotated[float, typer.Option(min=0, help="Keys a second at most; 0 for no limit.")] = 0,
    ahead: Annotated[int, typer.Option(min=1, help="Keys that may wait for the workers.")] = 10_000,
    expect: Annotated[int | None, typer.Option(min=1, help="How many keys there are, for the bar.")] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Begin again from the start, though a listing was interrupted.")
    ] = False,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait for the workers.")] = True,
    status: Annotated[bool, typer.Option("--status", help="Only show imports, and what became of their keys.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Import the pictures of another bucket: each key's profile from the key, each key once.

    Interrupt it at any time: called again it goes on where it was. Profiles that nobody has declared are of unknown
    age; a profile that was deleted is not brought back. Settings come from NIGHTLIGHT_* as for a worker, the identity
    that lists from NIGHTLIGHT_SOURCE_*. Exits with 2 if the workers were not done (with --wait, that is Ctrl-C).
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
        begun = flow.begin(source, template, actor="operator", again=again)
        if begun.keys_found and not as_json:
            typer.echo(f"going on after {begun.keys_found:,} keys", err=True)
        with _Bar(expect) as bar:
            bar.listed(begun.keys_found)
            pace = _Pace(rate)
            for heard in flow.walk(begun.import_id, bucket, template, pages):
                bar.listed(sum(heard))
                pace.wait(sum(heard))
                waiting = flow.waiting(begun.import_id) if heard.queued else 0
                while waiting > ahead:
                    bar.waiting(waiting)
                    time.sleep(_PAUSE_S)
                    waiting = flow.waiting(begun.import_id)
            left = bar.until_done(flow, begun.import_id) if wait else flow.waiting(begun.import_id)
        _end(flow, begun.import_id, left, as_json=as_json)
    raise typer.Exit(DIFFERENCES if wait and left else DONE)


class _Pace:
    """Waits so that no more than ``rate`` keys a second go by."""

    def __init__(self, rate: float) -> None:
        self._rate, self._free_at = rate, time.monotonic()

    def wait(self, keys: int) -> None:
        if self._rate:
            self._free_at = max(self._free_at, time.monotonic()) + keys / self._rate
            time.sleep(max(0.0, self._free_at - time.monotonic()))


class _Bar:
    """What there is to see meanwhile: keys listed, then keys taken with the time that is left."""

    def __init__(self, expect: int | None) -> None:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed:,.0f} keys {task.fields[more]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        self._bar = progress(*columns)
        self._listing = self._bar.add_task("listed", total=expect, more="")
        self._began, self._count = time.monotonic(), 0

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def listed(self, keys: int) -> None:
        self._count += keys
        speed = self._count / max(1e-9, time.monotonic() - self._began)
        self._bar.update(self._listing, advance=keys, more=f"{speed:,.0f}/s")

    def waiting(self, keys: int) -> None:
        self._bar.update(self._listing, more=f"({keys:,} wait for the workers)")

    def until_done(self, flow: Backfill, import_id: str) -> int:
        """Wait for the workers; return how many keys are left if somebody interrupts."""
        left = flow.waiting(import_id)
        task = self._bar.add_task("taken", total=left, more="")
        first = left
        try:
            while left:
                time.sleep(_LOOK_S)
                left = flow.waiting(import_id)
                self._bar.update(task, completed=first - left)
        except KeyboardInterrupt:
            return left
        return 0


def _end(flow: Backfill, import_id: str, left: int, *, as_json: bool) -> None:
    run, counts, refused = flow.outcome(import_id)
    if as_json:
        summary = {**_plain(run), "states": counts, "refused": [asdict(item) for item in refused]}
        print_json(summary)
        return
    typer.echo(
        f"{run.keys_found:,} keys: {run.queued:,} queued ({_states(counts)}), {run.known:,} known before, "
        f"{run.unmatched:,} of another form" + (f"; {left:,} still wait for the workers" if left else "")
    )
    for item in refused:
        typer.echo(f"refused ({item.reason}): {item.key}")


def _show(flow: Backfill, *, as_json: bool) -> None:
    walks = flow.walks()
    if as_json:
        print_json([{**_plain(run), "states": counts} for run, counts in walks])
        return
    rows = [
        (
            run.created_at.isoformat(timespec="seconds"),
            run.source,
            run.state,
            f"{run.keys_found:,}",
            f"{run.unmatched:,}",
            _states(counts),
        )
        for run, counts in walks
    ]
    print_table(("begun", "source", "state", "keys", "of another form", "what came of them"), rows)


def _states(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {state}" for state, count in sorted(counts.items()))


def _plain(run: ImportRun) -> dict[str, Any]:
    return {name: value for name, value in asdict(run).items() if name != "cursor"}
