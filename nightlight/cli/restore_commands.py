"""``nightlight catalogue purge-restored`` and ``resume``: a catalogue that was restored from a backup is mended."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nightlight.cli.exit_codes import DIFFERENCES, DONE
from nightlight.cli.output import JsonFlag, YesFlag, logged_settings, print_json, say

if TYPE_CHECKING:
    from nightlight.flows.restore.mend_restored import Mended

_QUESTION = "Erase again whoever was erased since this backup, and every object that it does not know?"


def purge_restored(
    receipts: Annotated[Path | None, typer.Option(help="Receipts written since: JSON, or JSON lines.")] = None,
    keys: Annotated[Path | None, typer.Option(help="JWKS of the keys that sign receipts.")] = None,
    force: Annotated[
        bool, typer.Option("--force", help="It was restored, though it is not behind what was written last.")
    ] = False,
    yes: YesFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Mend a restored catalogue: erase again whoever was erased since, and make it agree with the buckets.

    Processes may run: they refuse a catalogue that is behind. Settings come from NIGHTLIGHT_* as for a worker, with
    NIGHTLIGHT_ERASURE_KEYS, and a database role that owns the tables. Afterwards the platform replays what it did
    since; `nightlight catalogue resume` ends it. Exits with 1 if a key or receipts are missing without which some
    profiles cannot be found.
    Example: `nightlight catalogue purge-restored --receipts receipts.jsonl --keys receipts.jwks.json --yes`
    """
    from nightlight.cli.receipt_commands import read_envelopes
    from nightlight.retention.erasure_receipt import open_receipt
    from nightlight.wiring.retention import open_mending
    from nightlight_core.errors import InvalidInput
    from nightlight_core.policy.public_keys import PublicKeys

    if (receipts is None) != (keys is None):
        raise InvalidInput("--receipts and --keys belong together: nobody is erased on the word of an unsigned file")
    signed = []
    if receipts is not None and keys is not None:
        public = PublicKeys.read(keys)
        signed = [(open_receipt(envelope, public), envelope) for envelope in read_envelopes(receipts)]
    if not yes and not typer.confirm(_QUESTION):
        raise typer.Exit(1)
    with open_mending(logged_settings()) as mending:
        mended = mending.mend(signed, force=force, say=lambda text: None if as_json else say(text))
    if as_json:
        print_json(mended._asdict())
    else:
        _print(mended)
    raise typer.Exit(1 if mended.keys_lost or mended.receipts_missing else 0)


def _print(mended: Mended) -> None:
    say(f"{mended.profiles:,} profiles and {mended.images:,} images are erased again; the workers do it")
    say(f"{mended.receipts:,} receipts are in the chain again")
    say(f"{mended.missing:,} pictures had objects missing; they are rendered again")
    say(f"{mended.unknown:,} objects erased that this backup does not know")
    if mended.locked:
        say(f"{mended.locked:,} objects that it does not know are kept by a lock of the server")
    for image_id in mended.lost:
        say(f"LOST   the original of image {image_id} is gone too: have it uploaded again, or is it in the vault?")
    for key_id in mended.keys_lost:
        say(f"WRONG  key {key_id} is not in NIGHTLIGHT_ERASURE_KEYS: whom it hashed cannot be found; put it back")
    if mended.receipts_missing:
        say("WRONG  receipts were issued that are in no file: is there a newer `receipt export`?")
    if mended.policy_before is not None and (mended.policy, mended.candidate) != (
        mended.policy_before,
        mended.candidate_before,
    ):
        say(
            f"bundle {mended.policy_before} was active, with candidate {mended.candidate_before} (0: none); this backup"
        )
        say(f"has {mended.policy} and {mended.candidate}: restart the services, then activate what is to be active")
    since = mended.since or "the beginning"
    say(f"now have the platform replay what it did from {since} to {mended.until}; then: nightlight catalogue resume")


def resume(
    policy_lost: Annotated[
        bool, typer.Option("--policy-lost", help="Decide by the policy that is active now, whatever was active before.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Have decisions made again by a catalogue that was restored, mended and replayed.

    Settings and role as for `purge-restored`. Exits with 2, and changes nothing, while another policy is active than
    was before.
    Example: `nightlight catalogue resume`
    """
    from nightlight.wiring.retention import open_mending

    with open_mending(logged_settings()) as mending:
        differs = mending.resume(policy_lost=policy_lost)
    if as_json:
        print_json({"resumed": differs is None, "policy_differs": differs._asdict() if differs is not None else None})
    elif differs is None:
        say("decisions are made by this catalogue again")
    else:
        say(f"bundle {differs.policy_before} was active, and candidate {differs.candidate_before} (0: none)")
        say(f"bundle {differs.policy} is now, and {differs.candidate}: activate the other first, or say --policy-lost")
    raise typer.Exit(DONE if differs is None else DIFFERENCES)
