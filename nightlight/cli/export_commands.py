"""``nightlight export``: a person's own data, for that person."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated

import typer

from nightlight.cli.output import JsonFlag, WaitOption, print_json, say, wait_for_workers
from nightlight.cli.policy_rollout import DEFAULT_URL, Url, call

FAILED, NOT_YET = 1, 3
_SCOPE = "export"


def export(
    profile: Annotated[str, typer.Argument(help="The profile.")],
    out: Annotated[Path, typer.Option(help="The file to write, for its owner alone.")] = Path("export.zip"),
    seal_to: Annotated[
        str | None, typer.Option(help="An age recipient, age1...: the file is encrypted to it, for `age -d`.")
    ] = None,
    url: Url = DEFAULT_URL,
    wait: WaitOption = 120,
    as_json: JsonFlag = False,
) -> None:
    """Write a person's own data: originals, what was declared, renditions, receipts. The workers put it together.

    The token comes from NIGHTLIGHT_TOKEN and needs the scope `export`. Give the file to nobody but the person. Exits
    with 0 if the file is written, with 1 if the workers could not make it, with 2 if it is refused (no such profile,
    too many) or the service does not answer, with 3 if it is still being made after `--wait`.
    Example: `nightlight export u-81 --out u-81.zip --seal-to age1...`
    """
    from nightlight_core.errors import Unavailable
    from nightlight_core.files import private_file

    call(url, lambda client: client.export_profile(profile, seal_to=seal_to), scope=_SCOPE)

    def left() -> int:
        return int(call(url, lambda client: client.export_status(profile), scope=_SCOPE).state == "pending")

    if wait_for_workers("export", 1, left, wait):
        typer.echo(f"it is still being made; ask again, or fetch GET /v1/profiles/{profile}/export/file", err=True)
        raise typer.Exit(NOT_YET)
    status = call(url, lambda client: client.export_status(profile), scope=_SCOPE)
    if status.state != "ready":
        typer.echo(f"it could not be made: {status.reason}", err=True)
        raise typer.Exit(FAILED)
    data: bytes = call(url, lambda client: client.export_file(profile), scope=_SCOPE)
    if hashlib.sha256(data).hexdigest() != status.sha256:
        raise Unavailable("what came is not what was made: ask again")
    private_file(out).write_bytes(data)
    if as_json:
        print_json({"file": out, "bytes": len(data), "sha256": status.sha256, "expires_at": status.expires_at})
    else:
        say(f"{out}: {len(data):,} bytes; the service deletes its copy by {status.expires_at}")
