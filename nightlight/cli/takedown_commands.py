"""``nightlight takedown``: notices that ask for a picture and all its copies to be hidden."""

from __future__ import annotations

import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nightlight.cli.output import JsonFlag, WaitOption, local_actor, logged_settings, plain, print_json, print_table
from nightlight_core.ids import parse_image_id

if TYPE_CHECKING:
    from nightlight.flows.takedowns.requests import TakedownStatus

app = typer.Typer(
    help="Takedown notices: every copy of a picture is found and hidden, and stays so while the notice stands. "
    "Commands exit with 0 where nothing waits, 1 after an error, 2 where a worker or a person has yet to act.",
    no_args_is_help=True,
)

IdArgument = Annotated[str, typer.Argument(help="The notice's id.")]
ImageArgument = Annotated[str, typer.Argument(help="The image's id.")]
_WAITS = 2
_LOOK_S = 0.5
# What is told of a notice; its hashes and keys are nobody's to read.
_HIDDEN = ("hashes", "sealed_key", "copy_key", "sequence", "revision")
_COLUMNS = ("takedown_id", "state", "kind", "reference", "hidden", "received_at", "due_at", "dark_at")
_MATCH_COLUMNS = ("image_id", "profile_id", "state", "distance", "verdict", "decided_by", "decided_at")


@app.command()
def place(
    reference: Annotated[str, typer.Argument(help="The case's number; nothing that names a person.")],
    image: Annotated[str | None, typer.Option(help="The image that it names.")] = None,
    picture: Annotated[Path | None, typer.Option(help="A file with the picture, where it names none of ours.")] = None,
    kind: Annotated[str, typer.Option(help="intimate_image, child_abuse or other.")] = "intimate_image",
    received: Annotated[datetime | None, typer.Option(help="When it was received (UTC); now, if not given.")] = None,
    wait: WaitOption = 0,
    as_json: JsonFlag = False,
) -> None:
    """Place a notice on an image or on a picture. Settings come from NIGHTLIGHT_* as for the service.

    Example: `nightlight takedown place case-81 --image 3f0c... --wait 60`
    """
    from nightlight.flows.takedowns.requests import Notice
    from nightlight.wiring.takedowns import open_takedowns
    from nightlight_core.errors import InvalidInput
    from nightlight_core.files import opened

    notice = Notice(kind, reference, received.replace(tzinfo=UTC) if received is not None else None)
    if (image is None) == (picture is None):
        raise InvalidInput("a notice names an image (--image) or has a picture (--picture)")
    with open_takedowns(logged_settings()) as (placing, review):
        if image is not None:
            placed = placing.of_image(parse_image_id(image), notice, actor=local_actor())
        else:
            with opened(picture or Path()) as file:
                placed = placing.of_picture(file, notice, actor=local_actor())
        status = _wait(lambda: review.status(placed.takedown_id), wait)
    _show(status, as_json=as_json)


@app.command()
def show(takedown_id: IdArgument, as_json: JsonFlag = False) -> None:
    """Show a notice and its matches. Example: `nightlight takedown show 5d1e...`."""
    from nightlight.wiring.takedowns import open_takedown_review

    with open_takedown_review(logged_settings()) as review:
        status = review.status(takedown_id)
    _show(status, as_json=as_json)


@app.command("list")
def list_(
    everything: Annotated[bool, typer.Option("--all", help="With those that have ended.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Show notices, the newest first. Example: `nightlight takedown list --all`."""
    from nightlight.wiring.takedowns import open_takedown_review

    with open_takedown_review(logged_settings()) as review:
        rows = [_plain(takedown) for takedown in review.listed(open_only=not everything)]
    if as_json:
        print_json(rows)
    elif rows:
        print_table(
            [column.replace("_", " ") for column in _COLUMNS], [[row[name] for name in _COLUMNS] for row in rows]
        )
    else:
        typer.echo("no notices")


@app.command()
def confirm(takedown_id: IdArgument, image_id: ImageArgument) -> None:
    """Say that an image is the notice's picture: it stays hidden.

    Example: `nightlight takedown confirm 5d1e... 3f0c...`
    """
    from nightlight.wiring.takedowns import open_takedown_review

    with open_takedown_review(logged_settings()) as review:
        review.confirm(takedown_id, parse_image_id(image_id), actor=local_actor())
    typer.echo(f"{image_id}: confirmed")


@app.command()
def clear(takedown_id: IdArgument, image_id: ImageArgument) -> None:
    """Say that an image is another picture: it is rendered again.

    Example: `nightlight takedown clear 5d1e... 3f0c...`
    """
    from nightlight.wiring.takedowns import open_takedown_review

    with open_takedown_review(logged_settings()) as review:
        review.clear(takedown_id, parse_image_id(image_id), actor=local_actor())
    typer.echo(f"{image_id}: cleared")


@app.command()
def undo(
    takedown_id: IdArgument,
    why: Annotated[str, typer.Option(help="Why the notice was wrong; nothing that names a person.")],
    wait: WaitOption = 0,
    as_json: JsonFlag = False,
) -> None:
    """Undo a wrong notice: whatever nothing else keeps hidden is rendered again.

    Example: `nightlight takedown undo 5d1e... --why "another picture" --wait 60`
    """
    from nightlight.wiring.takedowns import open_takedown_review

    with open_takedown_review(logged_settings()) as review:
        review.undo(takedown_id, why=why, actor=local_actor())
        status = _wait(lambda: review.status(takedown_id), wait)
    _show(status, as_json=as_json)


def _wait(look: Any, seconds: float) -> TakedownStatus:
    """Return how a notice stands once no worker has anything to do for it, or after so many seconds."""
    end = time.monotonic() + seconds
    status: TakedownStatus = look()
    while status.takedown.state in {"pending", "undoing"} and time.monotonic() < end:
        time.sleep(_LOOK_S)
        status = look()
    return status


def _show(status: TakedownStatus, *, as_json: bool) -> None:
    matches = [plain(asdict(match)) for match in status.matches]
    takedown = _plain(status.takedown)
    if as_json:
        print_json({**takedown, "matches": matches})
    else:
        print_table([column.replace("_", " ") for column in _COLUMNS], [[takedown[name] for name in _COLUMNS]])
        if matches:
            rows = [[match[name] for name in _MATCH_COLUMNS] for match in matches]
            print_table([column.replace("_", " ") for column in _MATCH_COLUMNS], rows)
    raise typer.Exit(_WAITS if status.waits else int(status.takedown.state in {"rejected", "failed"}))


def _plain(takedown: Any) -> dict[str, Any]:
    return plain({name: value for name, value in asdict(takedown).items() if name not in _HIDDEN})
