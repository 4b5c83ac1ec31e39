"""``nightlight trace``: found copies, back to the renditions they were made from."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from nightlight.cli.files import read_image
from nightlight.delivery.collusion import LeakedRendition, accuse, least_agreements
from nightlight.delivery.object_names import ObjectNames
from nightlight.flows.traces.results import result_as_json
from nightlight.settings import Settings, require
from nightlight.wiring import open_trace_search
from nightlight_core.errors import DecoderDied, ImageRefused, InvalidInput
from nightlight_core.files import lines
from nightlight_core.keyring import decode_key

if TYPE_CHECKING:
    from nightlight.flows.traces.search import TraceSearch

NOTHING_FOUND = 1
# Ids have at most 128 characters, of up to four bytes.
_MOST_VIEWERS, _MOST_VIEWER_LINE = 10_000_000, 600
_NAME_KEY = "NIGHTLIGHT_DELIVERY_NAME_KEY"
# How a row of the table and of the CSV reads.
_COLUMNS = (
    "file", "by", "distance", "image_id", "profile_id", "tier", "variant", "state", "published_at", "shown_until",
)  # fmt: skip


def run(
    paths: Sequence[Path],
    *,
    rebuild: bool,
    csv_file: Path | None,
    viewers_file: Path | None,
    false_accusation: float,
    as_json: bool,
) -> int:
    """Trace files and folders of files; print a table or JSON; return 0, or 1 if nothing at all was found.

    ``viewers_file`` is a file of viewers, who are accused where their variants agree with the copies.
    """
    viewers = _viewers(viewers_file) if viewers_file else []
    files = _files(paths)
    if not files and not rebuild:
        raise InvalidInput("name a file or a folder; or --rebuild")
    console = Console(stderr=True)
    with open_trace_search(Settings()) as trace:
        if rebuild:
            kept = trace.rebuild()
            console.print(f"the index was made again: {kept} hashes")
        columns = (TextColumn("tracing"), BarColumn(), MofNCompleteColumn())
        with Progress(*columns, console=console, transient=True, disable=len(files) == 1) as progress:
            answers = [_search_file(trace, path) for path in progress.track(files)]
    if csv_file is not None:
        _write(csv_file, answers)
    verdict = _accused(answers, viewers, false_accusation) if viewers_file else None
    if as_json:
        output = answers if verdict is None else {"files": answers, **verdict}
        print(json.dumps(output, indent=2))  # noqa: T201 - what was asked for
    elif files:
        _show(answers)
        if verdict is not None:
            _show_accused(verdict, false_accusation)
    return 0 if not files or any(answer["origins"] for answer in answers) else NOTHING_FOUND


def _viewers(path: Path) -> list[str]:
    viewers: dict[str, None] = {}
    try:
        for line in lines(path, _MOST_VIEWER_LINE):
            if line:
                viewers[line] = None
            if len(viewers) > _MOST_VIEWERS:
                raise InvalidInput(f"{path}: more than {_MOST_VIEWERS:,} viewers")
        return list(viewers)
    except OSError as error:
        raise InvalidInput(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{path}: not UTF-8") from error


def _accused(answers: Sequence[dict[str, Any]], viewers: list[str], false_accusation: float) -> dict[str, Any]:
    """Return who is accused by the copies whose full watermark was read and is beyond doubt.

    A tier with one variant gives the same to everybody, so its copies say nothing.
    """
    key = ObjectNames(decode_key(require(Settings().delivery.name_key, _NAME_KEY), _NAME_KEY)).variant_key
    leaked = [
        LeakedRendition(answer["origins"][0]["image_id"], answer["watermark"]["variant"])
        for answer in answers
        if answer["origins"] and answer["origins"][0]["variants"] > 1 and _beyond_doubt(answer["watermark"])
    ]
    accused, considered = accuse(key, leaked, viewers, false_accusation=false_accusation)
    pictures = len({leak.image_id for leak in leaked})
    return {
        "accused": [asdict(leak) for leak in accused],
        "viewers": considered,
        "pictures": pictures,
        "agreements_needed": least_agreements(pictures, considered, false_accusation),
    }


def _beyond_doubt(watermark: dict[str, Any] | None) -> bool:
    return bool(watermark and not watermark["short"] and not watermark["doubt"])


def _show_accused(verdict: dict[str, Any], false_accusation: float) -> None:
    console = Console(highlight=False, markup=False)
    for viewer in verdict["accused"]:
        console.print(
            f"{viewer['viewer']}: agrees in {viewer['agreements']} of {viewer['pictures']} pictures; that "
            f"anybody innocent does has a probability of at most {viewer['chance']:.1e}",
            soft_wrap=True,
        )
    if not verdict["accused"]:
        needed = verdict["agreements_needed"]
        more = "more pictures are needed" if needed is None else f"{needed} agreements are needed"
        console.print(
            f"nobody of {verdict['viewers']} is accused by {verdict['pictures']} pictures: {more} for a false "
            f"accusation to be under {false_accusation:g}",
            soft_wrap=True,
        )


def _files(paths: Sequence[Path]) -> list[Path]:
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            files += sorted(inner for inner in path.rglob("*") if inner.is_file())
        elif path.is_file():
            files.append(path)
        else:
            raise InvalidInput(f"{path}: there is no such file or folder")
    return files


def _search_file(trace: TraceSearch, path: Path) -> dict[str, Any]:
    """Return what is known of one file; what cannot be read as an image says why."""
    answer: dict[str, Any] = {"file": str(path), "origins": [], "error": None}
    try:
        traced = trace.trace(read_image(path), actor=f"cli:{os.environ.get('USER') or os.getuid()}")
    except (ImageRefused, DecoderDied, InvalidInput) as error:
        return {**answer, "error": str(error)}
    return {**answer, **result_as_json(traced)}


def _write(path: Path, answers: Sequence[dict[str, Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(_COLUMNS)
        for answer in answers:
            for origin in answer["origins"]:
                # Absolute: a spreadsheet takes a name that begins with "=" for a formula.
                writer.writerow([Path(answer["file"]).absolute(), *(origin[column] for column in _COLUMNS[1:])])


def _show(answers: Sequence[dict[str, Any]]) -> None:
    console = Console(highlight=False, markup=False)  # a file's name is no markup
    table = Table()
    for column in _COLUMNS:
        table.add_column(column.replace("_", " "), justify="right" if column == "distance" else "left")
    for answer in answers:
        for origin in answer["origins"]:
            table.add_row(
                answer["file"], *("" if origin[column] is None else str(origin[column]) for column in _COLUMNS[1:])
            )
    if table.row_count:
        console.print(table)
    for answer in answers:
        if not answer["origins"]:
            message = answer["error"] or f"nothing within 31 bits of {answer['searched']} hashes"
            console.print(f"{answer['file']}: {message}", soft_wrap=True)
        watermark = answer.get("watermark")
        if watermark:
            doubt = f"; {watermark['doubt']}" if watermark["doubt"] else ""
            console.print(
                f"{answer['file']}: invisible watermark read ({watermark['how']}), "
                f"agreement {watermark['agreement']:.2f}, "
                f"by chance less than {watermark['chance']:.1e}{doubt}",
                soft_wrap=True,
            )
        elif answer.get("present"):
            console.print(
                f"{answer['file']}: an invisible watermark of ours is there, too damaged to be read", soft_wrap=True
            )
