"""``nightlight receipt``: proofs of erasures, and whether they are whole."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from nightlight.cli.exit_codes import DIFFERENCES, DONE
from nightlight.cli.output import JsonFlag, print_json, print_table, say
from nightlight.settings import Settings
from nightlight_core import files

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
        with open_catalogue(Settings()) as catalogue:
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
def verify(
    receipts: Annotated[list[Path], typer.Argument(metavar="FILES...", help="Files of receipts: JSON, or JSON lines.")],
    keys: Annotated[Path, typer.Option(help="JWKS of the keys that sign receipts.")],
    as_json: JsonFlag = False,
) -> None:
    """Check signatures, and that each receipt follows the one before it. Needs nothing but the files.

    Exits with 2 if anything is wrong. Example: `nightlight receipt verify receipts.jsonl --keys receipts.jwks.json`
    """
    from nightlight.retention.erasure_receipt import chain_faults, open_receipt
    from nightlight_core.policy.public_keys import PublicKeys

    public_keys = PublicKeys.read(keys)
    problems: list[str] = []
    opened = []
    for path in receipts:
        chain = []
        for number, envelope in enumerate(_envelopes(path), 1):
            try:
                chain.append(open_receipt(envelope, public_keys))
            except Exception as error:  # noqa: BLE001 - whatever is wrong with a receipt is what is asked for
                problems.append(f"{path}, receipt {number}: {error}")
        problems += [f"{path}: {sentence}" for sentence in chain_faults(chain)]
        opened += chain
    if as_json:
        plain = [{name: value for name, value in asdict(receipt).items() if name != "payload"} for receipt in opened]
        print_json({"receipts": plain, "problems": problems})
    else:
        _print(opened, problems)
    raise typer.Exit(DIFFERENCES if problems else DONE)


def _print(opened: list[Any], problems: list[str]) -> None:
    rows = []
    for row in opened:
        elsewhere = ", ".join(f"{left['what']} until {left['until']}" for left in row.residuals)
        rows.append((row.receipt_id[:12], row.kind, row.erased_at[:19], row.objects, row.versions, elsewhere))
    print_table(("receipt", "what", "when", "objects", "versions", "copies elsewhere"), rows)
    for problem in problems:
        say(f"WRONG  {problem}")
    say(f"{len(opened):,} receipts, {len(problems):,} problems")


def _envelopes(path: Path) -> list[Any]:
    from nightlight_core.errors import ReceiptRefused

    try:
        first = next((line for line in files.lines(path, _MOST_BYTES) if line), "")
        if first.startswith("["):
            envelopes: list[Any] = json.loads(files.read_text(path, most=_MOST_BYTES))
            return envelopes
        return [json.loads(line) for line in files.lines(path, _MOST_BYTES) if line]
    except (OSError, ValueError, RecursionError) as error:
        raise ReceiptRefused(f"{path} holds no receipts ({type(error).__name__})") from error
