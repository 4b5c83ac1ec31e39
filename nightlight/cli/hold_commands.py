"""``nightlight hold``: legal and safeguarding holds."""

from __future__ import annotations

import signal
import threading
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from nightlight.cli.output import JsonFlag, logged_settings, print_json, print_table

if TYPE_CHECKING:
    from nightlight.catalogue.holds import LegalHold

app = typer.Typer(
    help="Legal and safeguarding holds: what they cover is in the vault, shown to nobody, and outlives every erasure. "
    "Two approvers by `POST /v1/holds/{hold_id}/approvals`, or a date, end one.",
    no_args_is_help=True,
)


@app.command()
def place(  # noqa: PLR0913 - options
    reference: Annotated[str, typer.Argument(help="The case's number; nothing that names a person.")],
    by: Annotated[
        str, typer.Option(help="Who places it: the subject of their tokens. They cannot approve of its end.")
    ],
    profile: Annotated[str | None, typer.Option(help="All images of this profile, as they are now.")] = None,
    image: Annotated[str | None, typer.Option(help="Only this image.")] = None,
    kind: Annotated[str, typer.Option(help="legal or safeguarding.")] = "legal",
    until: Annotated[datetime | None, typer.Option(help="The date (UTC) on which it ends by itself.")] = None,
    may_be_told: Annotated[
        bool, typer.Option("--may-be-told", help="Whom the pictures are of may know of it: their export names it.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Place a hold. Settings come from NIGHTLIGHT_* as for a service.

    Example: `nightlight hold place case-1729 --by anna@example.com --profile u-81 --until 2027-06-30`
    """
    from nightlight.wiring.retention import open_holds
    from nightlight_core.ids import parse_image_id, parse_profile_id

    with open_holds(logged_settings()) as flow:
        hold = flow.place(
            profile_id=parse_profile_id(profile) if profile is not None else None,
            image_id=parse_image_id(image) if image is not None else None,
            kind=kind,
            reference=reference,
            until=until.replace(tzinfo=UTC) if until is not None else None,
            actor=by,
            may_be_told=may_be_told,
        )
    _print([hold], as_json=as_json)


@app.command("list")
def list_(
    ended: Annotated[bool, typer.Option("--ended", help="Those that have ended too.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Show holds. Example: `nightlight hold list --ended`."""
    from nightlight.wiring.retention import open_holds

    with open_holds(logged_settings()) as flow:
        _print(flow.listed(ended=ended), as_json=as_json)


@app.command()
def end(
    every: Annotated[float, typer.Option(min=0, help="Look again every so many seconds, until stopped; 0: once.")] = 0,
    as_json: JsonFlag = False,
) -> None:
    """End the holds whose date has come or of whose end two of NIGHTLIGHT_RETENTION_HOLD_APPROVERS approve.

    What was to be erased meanwhile is erased in the vault too, with a receipt. The rest is returned and rendered again.
    This is for the vault keeper: NIGHTLIGHT_STORE_ACCESS_KEY_ID must be one that may read and delete there. Those of
    the service and of the workers may not. Example: `nightlight hold end --every 60`
    """
    from nightlight import logs
    from nightlight.wiring.retention import open_hold_ending
    from nightlight_core.errors import NightlightError

    stop = threading.Event()
    settings = logged_settings()
    if every:
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, lambda *_: stop.set())
    with open_hold_ending(settings) as flow:
        while True:
            try:
                done = flow.end_due()
                if done or not every:
                    _print(done, as_json=as_json)
            except NightlightError as error:
                if not every:
                    raise
                logs.get("hold").error("hold.not_ended", code=error.code, detail=str(error))
            if not every or stop.wait(every):
                return


def _print(holds: list[LegalHold], *, as_json: bool) -> None:
    if as_json:
        print_json([asdict(hold) for hold in holds])
        return
    rows = []
    for hold in holds:
        until = hold.until.date().isoformat() if hold.until is not None else "approvals"
        by = ", ".join(approval["by"] for approval in hold.approvals)
        placed = hold.created_at.isoformat(timespec="seconds")
        rows.append((hold.hold_id, hold.kind, hold.reference, hold.state, until, by, placed))
    print_table(("hold", "kind", "reference", "state", "until", "approvals", "placed"), rows)
