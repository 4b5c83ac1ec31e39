"""``nightlight trace``: found copies, back to the renditions they were made from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn

from nightlight.cli.exit_codes import DIFFERENCES, DONE
from nightlight.cli.files import read_image
from nightlight.cli.output import local_actor, logged_settings, print_json, print_table, progress, say, write_csv
from nightlight.delivery.collusion import LeakedRendition, accuse_by_keys, least_agreements
from nightlight.delivery.object_names import ObjectNames
from nightlight.flows.traces.results import result_as_json
from nightlight.settings import Settings
from nightlight.settings.base import require
from nightlight.wiring.operator_tools import open_trace_search
from nightlight_core.errors import DecoderDied, ImageRefused, InvalidInput
from nightlight_core.files import lines
from nightlight_core.keyring import parse_name_keys

if TYPE_CHECKING:
    from nightlight.flows.traces.search import TraceSearch

NOTHING_FOUND = 1
# Ids have at most 256 characters, of up to four bytes.
_MOST_VIEWERS, _MOST_VIEWER_LINE = 10_000_000, 1100
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
    """Trace files and folders of files; print a table or JSON; return 0, or 2 if nothing at all was found.

    ``viewers_file`` is a file of viewers, who are accused where their variants agree with the copies.
    """
    viewers = _viewers(viewers_file) if viewers_file else []
    files = _files(paths)
    if not files and not rebuild:
        raise InvalidInput("name a file or a folder; or --rebuild")
    with open_trace_search(logged_settings()) as trace:
        if rebuild:
            typer.echo(f"the index was made again: {trace.rebuild()} hashes", err=True)
        bar = progress(TextColumn("tracing"), BarColumn(), MofNCompleteColumn())
        bar.disable = len(files) == 1
        with bar:
            answers = [_traced(trace, path) for path in bar.track(files)]
    if csv_file is not None:
        # Absolute: a spreadsheet takes a name that begins with "=" for a formula.
        write_csv(csv_file, _COLUMNS, [(str(Path(file).absolute()), *cells) for file, *cells in _rows(answers)])
    verdict = _accused(answers, viewers, false_accusation) if viewers_file else None
    if as_json:
        output = answers if verdict is None else {"files": answers, **verdict}
        print_json(output)
    elif files:
        _show(answers)
        if verdict is not None:
            _show_accused(verdict, false_accusation)
    return DONE if not files or any(answer["origins"] for answer in answers) else DIFFERENCES


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
    ring = parse_name_keys(require(Settings().delivery.name_key, _NAME_KEY), _NAME_KEY)
    keys = [ObjectNames(key).variant_key for key in ring.keys.values()]
    leaked = [
        LeakedRendition(answer["origins"][0]["image_id"], answer["watermark"]["variant"])
        for answer in answers
        if answer["origins"] and answer["origins"][0]["variants"] > 1 and _beyond_doubt(answer["watermark"])
    ]
    accused, considered = accuse_by_keys(keys, leaked, viewers, false_accusation=false_accusation)
    pictures = len({leak.image_id for leak in leaked})
    return {
        "accused": [asdict(leak) for leak in accused],
        "viewers": considered,
        "pictures": pictures,
        "agreements_needed": least_agreements(pictures, considered, false_accusation / len(keys)),
    }


def _beyond_doubt(watermark: dict[str, Any] | None) -> bool:
    return bool(watermark and not watermark["short"] and not watermark["doubt"])


def _show_accused(verdict: dict[str, Any], false_accusation: float) -> None:
    for viewer in verdict["accused"]:
        say(
            f"{viewer['viewer']}: agrees in {viewer['agreements']} of {viewer['pictures']} pictures; that "
            f"anybody innocent does has a probability of at most {viewer['chance']:.1e}"
        )
    if not verdict["accused"]:
        needed = verdict["agreements_needed"]
        more = "more pictures are needed" if needed is None else f"{needed} agreements are needed"
        say(
            f"nobody of {verdict['viewers']} is accused by {verdict['pictures']} pictures: {more} for a false "
            f"accusation to be under {false_accusation:g}"
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


def _traced(trace: TraceSearch, path: Path) -> dict[str, Any]:
    """Return what is known of one file; what cannot be read as an image says why."""
    answer: dict[str, Any] = {"file": str(path), "origins": [], "error": None}
    try:
        traced = trace.trace(read_image(path), actor=local_actor())
    except (ImageRefused, DecoderDied, InvalidInput) as error:
        return {**answer, "error": str(error)}
    return {**answer, **result_as_json(traced)}


def _rows(answers: Sequence[dict[str, Any]]) -> list[list[Any]]:
    return [
        [answer["file"], *(origin[column] for column in _COLUMNS[1:])]
        for answer in answers
        for origin in answer["origins"]
    ]


def _show(answers: Sequence[dict[str, Any]]) -> None:
    if rows := _rows(answers):
        print_table([column.replace("_", " ") for column in _COLUMNS], rows, right={"distance"})
    for answer in answers:
        if not answer["origins"]:
            message = answer["error"] or f"nothing within 31 bits of {answer['searched']} hashes"
            say(f"{answer['file']}: {message}")
        mark = answer.get("watermark")
        if mark:
            doubt = f"; {mark['doubt']}" if mark["doubt"] else ""
            say(
                f"{answer['file']}: invisible watermark read ({mark['how']}), agreement {mark['agreement']:.2f}, "
                f"by chance less than {mark['chance']:.1e}{doubt}"
            )
        elif answer.get("present"):
            say(f"{answer['file']}: an invisible watermark of ours is there, too damaged to be read")
