"""``nightlight backfill``: the pictures of a bucket that is there already."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nightlight.cli.backfill_output import Bar, LeftOut, print_end, print_walks
from nightlight.cli.exit_codes import DIFFERENCES, DONE
from nightlight.cli.output import JsonFlag, local_actor, logged_settings

if TYPE_CHECKING:
    from nightlight.flows.imports.notifications import Backfill

_PAUSE_S = 0.2
# A walk stops once so many keys were refused to the workers: then it is the bucket's policy, and no single object.
_MOST_DENIED = 100


def backfill(  # noqa: PLR0913 - options
    source: Annotated[str | None, typer.Argument(help="s3://bucket/prefix, or an inventory's manifest.json.")] = None,
    keys: Annotated[str, typer.Option(help="The form of keys: {profile}, and * or ** for what varies.")] = "",
    rate: Annotated[float, typer.Option(min=0, help="Keys a second at most; 0 for no limit.")] = 0,
    ahead: Annotated[int, typer.Option(min=1, help="Keys that may wait for the workers.")] = 10_000,
    expect: Annotated[int | None, typer.Option(min=1, help="How many keys there are, for the bar.")] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Begin again from the start, though a listing was interrupted.")
    ] = False,
    unmatched: Annotated[
        Path | None, typer.Option(help="Write every key that is nobody's picture to this CSV file, and why.")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait for the workers.")] = True,
    status: Annotated[bool, typer.Option("--status", help="Only show imports, and what became of their keys.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Import the pictures of another bucket: each key's profile from the key, each key once.

    Interrupt it at any time: called again it goes on where it was. Profiles that nobody has declared are of unknown
    age; a profile that was deleted is not brought back. Settings come from NIGHTLIGHT_* as for a worker, the identity
    that lists from NIGHTLIGHT_SOURCE_*. Exits with 2 if the workers were not done (with --wait, that is Ctrl-C), or if
    the walk stopped since the bucket refuses the workers a hundred keys.

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
            print_walks(flow, as_json=as_json)
            return
        template = KeyTemplate(keys)
        bucket, pages = source_listing(settings, source)
        begun = flow.begin(source, template, actor=local_actor(), again=again)
        goes_on = begun.keys_found > 0
        if goes_on and not as_json:
            typer.echo(f"going on after {begun.keys_found:,} keys", err=True)
        with LeftOut(unmatched, goes_on=goes_on) as left_out, Bar(expect) as bar:
            bar.listed(begun.keys_found)
            pace, stopped = _Pace(rate), False
            for heard in flow.walk(begun.import_id, bucket, template, pages, left_out.add):
                bar.listed(sum(heard))
                pace.wait(sum(heard))
                stopped = _stopped(flow, begun.import_id, ahead if heard.queued else None, bar)
                if stopped:
                    break
            if wait and not stopped:
                left = bar.until_done(flow, begun.import_id, _MOST_DENIED)
                stopped = left > 0 and flow.denied(begun.import_id) >= min(_MOST_DENIED, left)
            else:
                left = flow.waiting(begun.import_id)
        print_end(flow, begun.import_id, left, left_out.first, stopped=stopped, as_json=as_json)
    raise typer.Exit(DIFFERENCES if stopped or (wait and left) else DONE)


def _stopped(flow: Backfill, import_id: str, ahead: int | None, bar: Bar) -> bool:
    """Wait until no more than ``ahead`` keys wait; say whether the bucket refuses so many that the walk stops."""
    while True:
        if flow.denied(import_id) >= _MOST_DENIED:
            return True
        waiting = flow.waiting(import_id) if ahead is not None else 0
        if ahead is None or waiting <= ahead:
            return False
        bar.waiting(waiting)
        time.sleep(_PAUSE_S)


class _Pace:
    """Waits so that no more than ``rate`` keys a second go by."""

    def __init__(self, rate: float) -> None:
        self._rate, self._free_at = rate, time.monotonic()

    def wait(self, keys: int) -> None:
        if self._rate:
            self._free_at = max(self._free_at, time.monotonic()) + keys / self._rate
            time.sleep(max(0.0, self._free_at - time.monotonic()))
