"""``nightlight catalogue purge-restored``: after a backup was restored, erase again whoever was erased since."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from nightlight.cli.output import JsonFlag, YesFlag, print_json, say
from nightlight.settings import Settings


def purge_restored(
    receipts: Annotated[Path | None, typer.Option(help="Receipts written since: JSON, or JSON lines.")] = None,
    keys: Annotated[Path | None, typer.Option(help="JWKS of the keys that sign receipts.")] = None,
    yes: YesFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Erase again what a restored catalogue has of profiles and images that were erased after its backup.

    Run it before any process starts. Settings come from NIGHTLIGHT_* as for a service, with NIGHTLIGHT_ERASURE_KEYS.
    Exits with 1 if a key is lost without which some profiles cannot be found.
    Example: `nightlight catalogue purge-restored --receipts receipts.jsonl --keys receipts.jwks.json --yes`
    """
    from nightlight.cli.receipt_commands import read_envelopes
    from nightlight.retention.erasure_receipt import open_receipt
    from nightlight.wiring.retention import open_purge
    from nightlight_core.errors import InvalidInput
    from nightlight_core.policy.public_keys import PublicKeys

    if (receipts is None) != (keys is None):
        raise InvalidInput("--receipts and --keys belong together: nobody is erased on the word of an unsigned file")
    opened = []
    if receipts is not None and keys is not None:
        public = PublicKeys.read(keys)
        opened = [open_receipt(envelope, public) for envelope in read_envelopes(receipts)]
    if not yes and not typer.confirm("Erase again whoever was erased since this backup?"):
        raise typer.Exit(1)
    with open_purge(Settings()) as purge:
        purged = purge.run(opened)
    if as_json:
        print_json(asdict(purged))
    else:
        say(f"{purged.profiles:,} profiles and {purged.images:,} images are erased again; the workers do it")
        for key_id in purged.keys_lost:
            say(f"WRONG  key {key_id} is not in NIGHTLIGHT_ERASURE_KEYS: whom it hashed cannot be found; put it back")
    raise typer.Exit(1 if purged.keys_lost else 0)
