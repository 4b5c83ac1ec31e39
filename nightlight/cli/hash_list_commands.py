"""``nightlight lists``: hash lists of others, and uploads that are on them."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from nightlight.cli.exit_codes import DIFFERENCES, DONE
from nightlight.cli.output import (
    CsvFile,
    JsonFlag,
    local_actor,
    logged_settings,
    plain,
    print_json,
    print_report,
    print_table,
    visible,
)
from nightlight.settings import Settings
from nightlight_core.errors import SettingsRefused
from nightlight_core.ids import parse_image_id

app = typer.Typer(help="Hash lists of others, and uploads that are on them.", no_args_is_help=True)

ImageArgument = Annotated[str, typer.Argument(help="The image's id.")]
FormatOption = Annotated[str, typer.Option("--format", help="csv, threatexchange, stopncii or ncmec.")]
_COLUMNS = (
    "found_at", "image_id", "profile_id", "state", "list", "reference", "distance", "verdict", "decided_by",
    "decided_at",
)  # fmt: skip


@app.command()
def build(as_json: JsonFlag = False) -> None:
    """Index the lists in NIGHTLIGHT_MATCHING_LISTS_DIR for the workers of this machine; say what is in them.

    Run it after every change of a large list, with the environment of a worker. Ten million hashes take a minute.
    Example: `nightlight lists build`
    """
    from nightlight.wiring.operator_tools import hash_lists

    kept = hash_lists(Settings()).build()
    if as_json:
        print_json([asdict(row) for row in kept])
        return
    for row in kept:
        typer.echo(f"{row.name}: {row.hashes} hashes, {row.left_out} left out whose quality says too little")
    if not kept:
        typer.echo("there are no lists; put NAME.csv files into the folder")


@app.command()
def status(as_json: JsonFlag = False) -> None:
    """Show each list as it is on this host and as it was last known, and what waits to be confirmed.

    Of a list that is older here it says whose copy is newer. Exits with 2 if anything waits: this host's renders do,
    too. Run it on each host with workers. Example: `nightlight lists status`
    """
    from nightlight.wiring.operator_tools import open_screening

    settings = Settings()
    with open_screening(settings) as screening:
        states = screening.report()
    rows = [plain({"host": screening.host, "file": _file(settings, state.name), **state._asdict()}) for state in states]
    if as_json:
        print_json(rows)
    else:
        _print_lists(rows)
    raise typer.Exit(DIFFERENCES if any(row["waits"] for row in rows) else DONE)


@app.command(name="confirm-change")
def confirm_change(
    name: Annotated[str | None, typer.Argument(help="The list; every one that waits if none is named.")] = None,
) -> None:
    """Say that a list is meant to be empty, shrunken or gone: renders that wait for it go on.

    Look at `nightlight lists status` first: a list that an export is just writing, or whose folder is not mounted, will
    come back. Example: `nightlight lists confirm-change members`
    """
    from nightlight.wiring.operator_tools import open_screening

    with open_screening(logged_settings()) as screening:
        confirmed = screening.confirm(name, actor=local_actor())
    for state in confirmed:
        typer.echo(
            f"{state.name}: {state.waits} confirmed; {state.known or 0} hashes were known, {state.hashes or 0} are"
        )
    if not confirmed:
        typer.echo("confirmed that there are no lists")


def _print_lists(rows: list[dict[str, Any]]) -> None:
    if not rows:
        typer.echo("there are no lists, and none are known")
        return
    titles = ("list", "hashes", "file of", "last known", "its file of", "by", "since", "waits to be confirmed")
    columns = ("name", "hashes", "file_at", "known", "known_file_at", "known_by", "known_at", "waits")
    print_table(titles, [[row[column] for column in columns] for row in rows])
    for row in rows:
        if row["waits"] and _no_newer(row["file_at"], row["known_file_at"]):
            typer.echo(
                f"{row['host']}: {row['file']} is of {row['file_at']}, and no newer than the copy of "
                f"{row['known_file_at']} that {row['known_by']} took over: copy that one here"
            )


def _no_newer(file_at: str | None, known_file_at: str | None) -> bool:
    here, newest = (datetime.fromisoformat(at) if at else None for at in (file_at, known_file_at))
    return here is not None and newest is not None and here <= newest


def _file(settings: Settings, name: str) -> str:
    return str(settings.matching.lists_dir / f"{name}.csv") if settings.matching.lists_dir else ""


@app.command()
def report(
    everything: Annotated[bool, typer.Option("--all", help="With those on which there is a verdict.")] = False,
    csv_file: CsvFile = None,
    as_json: JsonFlag = False,
) -> None:
    """Show which uploads are near to entries of a list, the newest first.

    Example: `nightlight lists report --csv matches.csv`
    """
    from nightlight.wiring.retention import open_match_review

    with open_match_review(logged_settings()) as deciding:
        rows = [plain(asdict(row)) for row in deciding.report(verdict=None if everything else "open")]
    print_report(_COLUMNS, rows, csv_file=csv_file, as_json=as_json, nothing="no matches")


@app.command("import")
def import_(
    name: Annotated[str, typer.Argument(help="The list that it becomes: NAME.csv in the folder of lists.")],
    files: Annotated[list[Path], typer.Argument(metavar="FILES...", help="A programme's files; the later ones count.")],
    form: FormatOption = "csv",
    add: Annotated[bool, typer.Option("--add", help="Add them to the list, and take away what they withdraw.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Make a list of the files of a membership programme. NIGHTLIGHT_MATCHING_IMPORT_FORMATS names the forms.

    The list is written in one step, and only where every record can be read. Exits with 2 if it lost more than a tenth.
    Example: `nightlight lists import members page-1.json page-2.json --format stopncii`
    """
    from nightlight.wiring.operator_tools import open_list_exchange

    with open_list_exchange(logged_settings()) as exchange:
        taken = exchange.take(name, files, form, add=add, actor=local_actor())
    if as_json:
        print_json(taken._asdict())
    else:
        typer.echo(f"{name}: {taken.entries:,} hashes, {taken.before:,} before; {taken.withdrawn:,} withdrawn")
        for what, count in sorted(taken.left_out.items()):
            typer.echo(f"left out: {count:,} of {visible(what)}")
        if taken.waits:
            typer.echo(f"it lost more than a tenth: renders wait until `nightlight lists confirm-change {name}`")
    raise typer.Exit(DIFFERENCES if taken.waits else DONE)


@app.command()
def export(
    what: Annotated[str, typer.Argument(help="A list's name, or notices:KIND for the hashes of standing notices.")],
    out: Annotated[Path, typer.Option(help="File for it; its signed receipt is beside it, in FILE.receipt.json.")],
    form: FormatOption = "csv",
    key: Annotated[
        Path | None, typer.Option(help="Private JWK that signs; unset: that of NIGHTLIGHT_RETENTION_RECEIPT_KEY.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Write a list, or the hashes of takedown notices, for a programme. NIGHTLIGHT_MATCHING_EXPORT_LISTS names them.

    The file is always whole: a notice that was undone is not in the next one.
    Example: `nightlight lists export notices:intimate_image --format threatexchange --out notices.json`
    """
    from nightlight.policy.signing import SigningKey
    from nightlight.wiring.operator_tools import open_list_exchange

    settings = Settings()
    path = key or settings.retention.receipt_key
    if path is None:
        raise SettingsRefused("give --key, or set NIGHTLIGHT_RETENTION_RECEIPT_KEY: an export is signed")
    with open_list_exchange(settings) as exchange:
        given = exchange.give(what, form, out, SigningKey.read(path), actor=local_actor())
    out.with_name(f"{out.name}.receipt.json").write_text(f"{json.dumps(given.receipt)}\n", "utf-8")
    if as_json:
        print_json(given._asdict())
    else:
        typer.echo(f"{out}: {given.entries:,} hashes; {given.left_out:,} left out that the form has no word for")


@app.command()
def clear(image_id: ImageArgument) -> None:
    """Say that an image is another picture than the listed one: it is rendered after all.

    Example: `nightlight lists clear 3f0c...`
    """
    from nightlight.wiring.retention import open_match_review

    with open_match_review(logged_settings()) as deciding:
        deciding.clear(parse_image_id(image_id), actor=local_actor())
    typer.echo(f"{image_id}: cleared; it is being rendered")


@app.command()
def confirm(image_id: ImageArgument) -> None:
    """Say that an image is what the list says: it stays in quarantine, and off the report of open matches.

    Example: `nightlight lists confirm 3f0c...`
    """
    from nightlight.wiring.retention import open_match_review

    with open_match_review(logged_settings()) as deciding:
        deciding.confirm(parse_image_id(image_id), actor=local_actor())
    typer.echo(f"{image_id}: confirmed; it stays in quarantine")
