"""``nightlight erase``: a profile or an image, as `DELETE` does, and the wait for its receipts."""

from __future__ import annotations

from typing import Annotated

import typer

from nightlight.cli.exit_codes import DIFFERENCES, DONE
from nightlight.cli.output import WaitOption, YesFlag, print_json, wait_for_workers
from nightlight.settings import Settings


def erase(
    profile: Annotated[str | None, typer.Argument(help="The profile, with all its images.")] = None,
    image: Annotated[str | None, typer.Option(help="Only this image.")] = None,
    yes: YesFlag = False,
    wait_s: WaitOption = 60.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the receipts as JSON.")] = False,
) -> None:
    """Erase a profile or an image: no decision shows it from now on, and workers delete every version of its objects.

    Settings come from NIGHTLIGHT_* as for a service. Exits with 2 if the workers were not done in time: they go on.
    Example: `nightlight erase u-81 --yes`
    """
    from nightlight.wiring.retention import open_deletion
    from nightlight_core.errors import InvalidInput
    from nightlight_core.ids import parse_image_id, parse_profile_id

    if (profile is None) == (image is None):
        raise InvalidInput("name a profile, or an image with --image")
    what = f"profile {profile}" if profile is not None else f"image {image}"
    if not yes and not typer.confirm(f"Erase {what} for good?"):
        raise typer.Abort
    with open_deletion(Settings()) as delete:
        if profile is not None:
            images = delete.profile(parse_profile_id(profile), actor="operator")
        else:
            images = [parse_image_id(image or "")]
            delete.image(images[0], actor="operator")

        def left() -> int:
            return sum(not delete.erased(image_id) for image_id in images)

        done = len(images) - wait_for_workers("erasing", len(images), left, wait_s)
        receipts = [receipt for image_id in images for receipt in delete.receipts(image_id)]
    if as_json:
        print_json(receipts)
    else:
        typer.echo(f"{what}: {done} of {len(images)} images erased, {len(receipts)} receipts")
    raise typer.Exit(DONE if done == len(images) else DIFFERENCES)
