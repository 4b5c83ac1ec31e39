"""``nightlight erase``: a profile or an image, as `DELETE` does, and the wait for its receipts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from nightlight.cli.exit_codes import DIFFERENCES, DONE
from nightlight.cli.output import WaitOption, YesFlag, logged_settings, print_json, wait_for_workers

if TYPE_CHECKING:
    from nightlight.flows.pictures.delete import DeletePictures
    from nightlight_core.ids import ImageId

# Of what is to be erased: it is gone; its objects are gone, and its rows follow; the workers are not done yet.
ABSENT, ERASED, UNDER_WAY = "absent", "erased", "under way"


def erase(
    profile: Annotated[str | None, typer.Argument(help="The profile, with all its images.")] = None,
    image: Annotated[str | None, typer.Option(help="Only this image.")] = None,
    yes: YesFlag = False,
    wait_s: WaitOption = 60.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the state and the receipts as JSON.")] = False,
) -> None:
    """Erase a profile or an image: no decision shows it from now on, and workers delete every version of its objects.

    Settings come from NIGHTLIGHT_* as for a service. Of what is not there the state is `absent`, and the command may be
    repeated. Exits with 2 if the workers were not done in time: they go on. Example: `nightlight erase u-81 --yes`
    """
    from nightlight.wiring.retention import open_deletion
    from nightlight_core.errors import InvalidInput

    if (profile is None) == (image is None):
        raise InvalidInput("name a profile, or an image with --image")
    what = f"profile {profile}" if profile is not None else f"image {image}"
    if not yes and not typer.confirm(f"Erase {what} for good?"):
        raise typer.Abort
    with open_deletion(logged_settings()) as delete:
        images = _profile(delete, profile) if profile is not None else _image(delete, image or "")

        def left() -> int:
            return sum(not delete.erased(image_id) for image_id in images or ())

        total = len(images or ())
        done = total - wait_for_workers("erasing", total, left, wait_s)
        receipts = [receipt for image_id in images or () for receipt in delete.receipts(image_id)]
    state = ABSENT if images is None else ERASED if done == total else UNDER_WAY
    if as_json:
        print_json({"state": state, "images": total, "erased": done, "receipts": receipts})
    elif images is None:
        typer.echo(f"{what}: is not there")
    else:
        typer.echo(f"{what}: {done} of {total} images erased, {len(receipts)} receipts")
    raise typer.Exit(DONE if done == total else DIFFERENCES)


def _profile(delete: DeletePictures, profile: str) -> list[ImageId] | None:
    """Delete a profile; return its images, those too whose erasure was under way, or None if there is none."""
    from nightlight_core.errors import NotFound
    from nightlight_core.ids import parse_profile_id

    profile_id = parse_profile_id(profile)
    try:
        deleted = delete.profile(profile_id, actor="operator")
    except NotFound:
        return delete.under_way(profile_id) or None
    return list(dict.fromkeys([*deleted, *delete.under_way(profile_id)]))


def _image(delete: DeletePictures, image: str) -> list[ImageId] | None:
    """Delete an image; return it, or None if there is none."""
    from nightlight_core.errors import NotFound
    from nightlight_core.ids import parse_image_id

    image_id = parse_image_id(image)
    try:
        delete.image(image_id, actor="operator")
    except NotFound:
        return None if delete.erased(image_id) else [image_id]
    return [image_id]
