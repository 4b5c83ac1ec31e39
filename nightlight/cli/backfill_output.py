"""What a backfill shows: a bar, the keys that it leaves out, and what became of the others."""

from __future__ import annotations

import csv
import os
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import typer
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from nightlight.cli.output import no_formula, print_json, print_table, progress, say

if TYPE_CHECKING:
    from nightlight.catalogue.imports import ImportRun
    from nightlight.flows.imports.notifications import Backfill, UnmatchedKey

_LOOK_S = 0.5
# So many of the keys that are nobody's are shown; all of them are in the file of --unmatched.
MOST_SHOWN = 100


class LeftOut:
    """The keys that are nobody's picture: the first hundred, and all of them in a file if there is one.

    A walk that goes on adds to its file. Each page's keys are on the disk before the page counts as walked.
    """

    def __init__(self, path: Path | None, *, goes_on: bool) -> None:
        """Write to ``path``, which begins anew unless the walk goes on; raise OSError."""
        self.first: list[UnmatchedKey] = []
        self._file = path.open("a" if goes_on else "w", encoding="utf-8", newline="") if path is not None else None

    def __enter__(self) -> Self:
        """Open."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    def add(self, keys: Sequence[UnmatchedKey]) -> None:
        """Keep the keys of one page."""
        self.first += keys[: MOST_SHOWN - len(self.first)]
        if self._file is not None and keys:
            # What UTF-8 has no form for, a lone surrogate, is escaped.
            rows = ([_printable(key.key), key.why] for key in keys)
            csv.writer(self._file).writerows([no_formula(cell) for cell in row] for row in rows)
            self._file.flush()
            os.fsync(self._file.fileno())


class Bar:
    """What there is to see meanwhile: keys listed, then keys taken with the time that is left."""

    def __init__(self, expect: int | None) -> None:
        """Show a bar of ``expect`` keys, where that is known."""
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
        """Show it."""
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Take it away."""
        self._bar.stop()

    def listed(self, keys: int) -> None:
        """Count keys that were listed."""
        self._count += keys
        speed = self._count / max(1e-9, time.monotonic() - self._began)
        self._bar.update(self._listing, advance=keys, more=f"{speed:,.0f}/s")

    def waiting(self, keys: int) -> None:
        """Say how many keys wait for the workers."""
        self._bar.update(self._listing, more=f"({keys:,} wait for the workers)")

    def until_done(self, flow: Backfill, import_id: str, most_denied: int) -> int:
        """Wait for the workers; return how many keys are left if somebody interrupts, or the bucket refuses them."""
        left = flow.waiting(import_id)
        task = self._bar.add_task("taken", total=left, more="")
        first = left
        try:
            while left and flow.denied(import_id) < min(most_denied, left):
                time.sleep(_LOOK_S)
                left = flow.waiting(import_id)
                self._bar.update(task, completed=first - left)
        except KeyboardInterrupt:
            pass
        return left


def print_end(
    flow: Backfill, import_id: str, left: int, left_out: Sequence[UnmatchedKey], *, stopped: bool, as_json: bool
) -> None:
    """Print what became of a walk's keys, and which are nobody's."""
    run, counts, refused = flow.outcome(import_id)
    denied = flow.denied(import_id)
    if as_json:
        summary = {**_values(run), "states": counts, "refused": [asdict(item) for item in refused], "denied": denied}
        print_json({**summary, "stopped": stopped, "left_out": [key._asdict() for key in left_out]})
        return
    say(
        f"{run.keys_found:,} keys: {run.queued:,} queued ({_states(counts)}), {run.known:,} known before, "
        f"{run.unmatched:,} of another form" + (f"; {left:,} still wait for the workers" if left else "")
    )
    for item in refused:
        say(f"refused ({item.reason}): {item.key}")
    for key in left_out:
        say(f"left out ({key.why}): {_printable(key.key)}")
    if run.unmatched > len(left_out):
        say(f"left out: {run.unmatched:,} in all; --unmatched FILE writes every key of a walk")
    if denied:
        say(f"{denied:,} keys wait because the bucket refuses them to the workers: may these read it?")
    if stopped:
        typer.echo("stopped; call again once the workers may read the bucket, and it goes on where it was", err=True)


def print_walks(flow: Backfill, *, as_json: bool) -> None:
    """Print the newest walks, each with what became of its keys."""
    walks = [(run, counts, flow.denied(run.import_id)) for run, counts in flow.walks()]
    if as_json:
        print_json([{**_values(run), "states": counts, "denied": denied} for run, counts, denied in walks])
        return
    rows = [
        (
            run.created_at.isoformat(timespec="seconds"),
            run.source,
            run.state,
            f"{run.keys_found:,}",
            f"{run.unmatched:,}",
            f"{denied:,}",
            _states(counts),
        )
        for run, counts, denied in walks
    ]
    print_table(
        ("begun", "source", "state", "keys", "of another form", "refused by the bucket", "what came of them"), rows
    )


def _states(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {state}" for state, count in sorted(counts.items()))


def _values(run: ImportRun) -> dict[str, Any]:
    return {name: value for name, value in asdict(run).items() if name != "cursor"}


def _printable(key: str) -> str:
    """Return a key as it may be shown: somebody else's control characters do nothing to a terminal."""
    plain = "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in key)
    return plain.encode("utf-8", "backslashreplace").decode()
