"""``nightlight receipt``: proofs of erasures, and whether they are whole."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from nightlight.cli.exit_codes import DIFFERENCES, DONE
from nightlight.cli.output import JsonFlag, logged_settings, print_json, print_table, say
from nightlight.settings import Settings
from nightlight_core import files
from nightlight_core.errors import SettingsRefused

app = typer.Typer(help="Receipts of erasures.", no_args_is_help=True)
_PAGE, _MOST_BYTES = 1000, 50_000_000


@app.command()
def export(
    out: Annotated[Path | None, typer.Option(help="File for them, a line each; standard output otherwise.")] = None,
    image: Annotated[str | None, typer.Option(help="Only those of this image.")] = None,
) -> None:
    """Write the receipts of the catalogue, in the order of their chain, as JSON lines.

    Settings come from NIGHTLIGHT_* as for a worker. Example: `nightlight receipt export --out receipts.jsonl`
    """
    from nightlight.wiring.components import open_catalogue
    from nightlight_core.ids import ImageId

    count = 0
    file = out.open("w", encoding="utf-8") if out is not None else sys.stdout
    try:
        with open_catalogue(logged_settings()) as catalogue:
            last = 0
            while True:
                with catalogue.reading() as tx:
                    page = (
                        [(0, receipt) for receipt in tx.receipts.of_image(ImageId(image))]
                        if image is not None
                        else tx.receipts.after(last, limit=_PAGE)
                    )
                for number, envelope in page:
                    file.write(json.dumps(envelope) + "\n")
                    last, count = number, count + 1
                if image is not None or len(page) < _PAGE:
                    break
    finally:
        if out is not None:
            file.close()
    typer.echo(f"{count:,} receipts", err=True)


@app.command()
def anchor(
    key: Annotated[
        Path | None, typer.Option(help="Private JWK that signs; unset: that of NIGHTLIGHT_RETENTION_RECEIPT_KEY.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="File that it is added to; standard output otherwise.")] = None,
) -> None:
    """Sign how many receipts there are and which is the last. Publish it: then nobody can cut the chain off.

    Settings come from NIGHTLIGHT_* as for a worker. Example: `nightlight receipt anchor --out anchors.jsonl`
    """
    from nightlight.policy.signing import SigningKey
    from nightlight.retention.receipt_chain import issue_anchor
    from nightlight.wiring.components import open_catalogue
    from nightlight_core.clock import system_clock

    settings = Settings()
    path = key or settings.retention.receipt_key
    if path is None:
        raise SettingsRefused("give --key, or set NIGHTLIGHT_RETENTION_RECEIPT_KEY: an anchor is signed")
    signing_key = SigningKey.read(path)
    with open_catalogue(settings) as catalogue, catalogue.reading() as tx:
        count, head = tx.receipts.length()
    line = json.dumps(issue_anchor(signing_key, count, head, system_clock()))
    if out is None:
        typer.echo(line)
        return
    with out.open("a", encoding="utf-8") as file:
        file.write(line + "\n")
    typer.echo(f"{count:,} receipts", err=True)


@app.command()
def verify(
    receipts: Annotated[list[Path], typer.Argument(metavar="FILES...", help="Files of receipts: JSON, or JSON lines.")],
    keys: Annotated[Path, typer.Option(help="JWKS of the keys that sign receipts.")],
    anchor: Annotated[list[Path] | None, typer.Option(help="File of published anchors; repeat for several.")] = None,
    part: Annotated[
        bool, typer.Option("--part", help="These are some receipts, as of one picture: check each by itself.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Check signatures, that each receipt follows the one before it, and that none is missing at either end.

    Needs nothing but the files. Exits with 2 if anything is wrong, a file has no receipts, or one is not shown to be
    whole up to the last anchor.
    Example: `nightlight receipt verify receipts.jsonl --keys receipts.jwks.json --anchor anchors.jsonl`
    """
    from nightlight.retention.erasure_receipt import open_receipt
    from nightlight.retention.receipt_chain import ReceiptKeys, Verdict, judge_chain, judge_extract, open_anchor

    trusted = ReceiptKeys.read(keys)
    problems: list[str] = []
    anchors = [
        opened
        for path in anchor or []
        for opened in _opened(path, "anchor", partial(open_anchor, keys=trusted.keys), problems)
    ]
    opened_receipts, reports = [], {}
    for path in receipts:
        chain = _opened(path, "receipt", partial(open_receipt, keys=trusted.keys), problems)
        report = judge_extract(chain) if part else judge_chain(chain, trusted, anchors)
        reports[str(path)] = report
        problems += [f"{path}: {sentence}" for sentence in report.problems]
        opened_receipts += chain
    missing = [f"{path}: {sentence}" for path, report in reports.items() for sentence in report.missing]
    is_whole = part or all(report.verdict is Verdict.WHOLE for report in reports.values())
    verdict = Verdict.WRONG if problems else Verdict.WHOLE if is_whole and not part else Verdict.PART
    if as_json:
        plain = [{name: value for name, value in asdict(row).items() if name != "payload"} for row in opened_receipts]
        files_of = [{"file": path, **asdict(report)} for path, report in reports.items()]
        print_json({"verdict": verdict, "receipts": plain, "files": files_of, "problems": problems, "missing": missing})
    else:
        _print(opened_receipts, problems, missing, verdict)
    raise typer.Exit(DONE if is_whole and not problems else DIFFERENCES)


def _opened(path: Path, what: str, open_: Callable[[Any], Any], problems: list[str]) -> list[Any]:
    """Return what is right of a file; add what is wrong with the rest to ``problems``."""
    right = []
    for number, envelope in enumerate(read_envelopes(path), 1):
        try:
            right.append(open_(envelope))
        except Exception as error:  # noqa: BLE001 - whatever is wrong with it is what is asked for
            problems.append(f"{path}, {what} {number}: {error}")
    return right


def _print(opened: list[Any], problems: list[str], missing: list[str], verdict: str) -> None:
    rows = []
    for row in opened:
        elsewhere = ", ".join(f"{left.get('what')} until {left.get('until')}" for left in row.residuals)
        rows.append((row.receipt_id[:12], row.kind, row.erased_at[:19], row.objects, row.versions, elsewhere))
    print_table(("receipt", "what", "when", "objects", "versions", "copies elsewhere"), rows)
    for problem in problems:
        say(f"WRONG  {problem}")
    for sentence in missing:
        say(f"MISSING  {sentence}")
    say(f"{len(opened):,} receipts, {len(problems):,} problems: {verdict}")


def read_envelopes(path: Path) -> list[Any]:
    """Return the receipts of a file, not verified yet; raise ReceiptRefused."""
    from nightlight_core.errors import ReceiptRefused

    try:
        first = next((line for line in files.lines(path, _MOST_BYTES) if line), "")
        if first.startswith("["):
            envelopes: list[Any] = json.loads(files.read_text(path, most=_MOST_BYTES))
            return envelopes
        return [json.loads(line) for line in files.lines(path, _MOST_BYTES) if line]
    except (OSError, ValueError, RecursionError) as error:
        raise ReceiptRefused(f"{path} holds no receipts ({type(error).__name__})") from error
