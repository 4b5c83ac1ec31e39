"""``nightlight keys rotate``: leads through add, promote and retire, and refuses a step that would break something."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nightlight.cli.exit_codes import DIFFERENCES, DONE
from nightlight.cli.output import JsonFlag, print_json, say
from nightlight.flows.key_rotation.rings import KeyKind
from nightlight.flows.key_rotation.rotate import Step

if TYPE_CHECKING:
    from nightlight.flows.key_rotation.rotate import StepResult


def rotate(  # noqa: PLR0913 - the options of a command
    name: Annotated[KeyKind, typer.Argument(help="Which keys.")],
    step: Annotated[Step | None, typer.Option(help="Which step; the next one by default.")] = None,
    process: Annotated[
        list[str] | None,
        typer.Option(help="Address of a service, worker or schedule (http://host:port) that has the keys; name all."),
    ] = None,
    folder: Annotated[
        Path | None, typer.Option(help="Folder of the secrets; NIGHTLIGHT_SECRETS_DIR, or that of `keys init`.")
    ] = None,
    public_folder: Annotated[
        Path | None, typer.Option(help="seal: the service's folder of secrets, with the public key.")
    ] = None,
    private: Annotated[
        Path | None, typer.Option(help="publisher, safety, callers, receipts: the private JWK that signs.")
    ] = None,
    source: Annotated[
        Path | None, typer.Option("--from", help="c2pa: folder with chain.pem, leaf.key.pem, root.pem to come.")
    ] = None,
    wait: Annotated[float, typer.Option(min=0, max=3600, help="Seconds to wait for processes to read a key.")] = 45,
    edge_has_it: Annotated[
        bool, typer.Option("--edge-has-it", help="urls: CloudFront, which cannot be asked, has the new key.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done; write nothing.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Take the next step of a rotation: add a key, promote it, retire the one before. No key is ever printed.

    Promoting waits until every process has read the new key; retiring until nothing that the old key signed can be in
    use. Processes read keys from files again within two seconds. Edges are asked by NIGHTLIGHT_DELIVERY_PURGE_URL.
    Exits with 2 if the step would break something now: nothing was changed then.

    Examples: `nightlight keys rotate urls --process http://service:8080`,
    `nightlight keys rotate watermark --step promote --process http://worker:8081 --json`,
    `nightlight keys rotate c2pa --from new-certificate --dry-run`
    """
    from nightlight.settings import Settings
    from nightlight.wiring.key_rotation import KeyFiles, rotation

    files = KeyFiles(folder, public_folder, source, private)
    flow = rotation(Settings(), name, files, process or [], wait_s=wait, edge_has_it=edge_has_it)
    result = flow.run(step, dry_run=dry_run)
    if as_json:
        print_json({**_plain(result), "dry_run": dry_run})
    else:
        _show(result, dry_run=dry_run)
    raise typer.Exit(DONE if result.done else DIFFERENCES)


def _plain(result: StepResult) -> dict[str, Any]:
    return {
        "ring": str(result.ring),
        "step": result.step.value,
        "done": result.done,
        "key": result.key,
        "keys": result.keys,
        "refused": result.refused,
        "not_before": result.not_before.isoformat() if result.not_before else None,
        "note": result.note,
        "processes": [
            {"address": process.address, "keys": dict(process.keys), "failure": process.failure}
            for process in result.processes
        ],
    }


def _show(result: StepResult, *, dry_run: bool) -> None:
    for key, state in result.keys.items():
        say(f"  {key}  {state}")
    if result.refused is not None:
        say(f"{result.ring}: {result.step} refused: {result.refused}")
        return
    would = "would be done" if dry_run else "done"
    say(f"{result.ring}: {result.step} of {result.key} {would}{f'; {result.note}' if result.note else ''}")
