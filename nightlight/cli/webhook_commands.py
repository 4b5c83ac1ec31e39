"""``nightlight webhooks``: how the platform's endpoint does, a test of it, and events sent again."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nightlight.cli.exit_codes import DIFFERENCES, DONE
from nightlight.cli.output import JsonFlag, counted, local_actor, logged_settings, print_json, print_table, say

if TYPE_CHECKING:
    from nightlight.catalogue.events import EventRecord
    from nightlight.catalogue.webhooks import WebhookEndpoint
    from nightlight.flows.webhooks.manage import WebhookOverview

app = typer.Typer(
    help="Events for the platform: its endpoint, recent events, a test, and events sent again.", no_args_is_help=True
)
_ENDPOINT_COLUMNS = ("endpoint", "url", "state", "reason", "failures", "failing since", "last", "result")
_EVENT_COLUMNS = ("event", "type", "about", "written", "state", "attempts", "last", "result", "next")


class EventState(StrEnum):
    """What became of an event."""

    WAITING = "waiting"
    GIVEN_UP = "given_up"
    TAKEN = "taken"


@app.command("list")
def list_(
    limit: Annotated[int, typer.Option(min=0, max=10_000, help="How many events, the newest first.")] = 20,
    state: Annotated[EventState | None, typer.Option(help="Only events in this state.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Show the endpoint with its state and last result, and recent events with what became of their deliveries.

    Exits with 2 if the endpoint is disabled. An event is in the list for NIGHTLIGHT_RECORDS_EVENTS_DAYS, or until whom
    it is about is erased. Settings come from NIGHTLIGHT_* as for a service.

    Examples: `nightlight webhooks list --state waiting`, `nightlight webhooks list --limit 100 --json`
    """
    from nightlight.wiring.webhooks import open_webhooks

    with open_webhooks(logged_settings()) as flow:
        overview = flow.overview(limit=limit, state=state.value if state is not None else None)
    if as_json:
        print_json(_plain(overview))
    else:
        _show(overview)
    raise typer.Exit(DIFFERENCES if overview.disabled else DONE)


@app.command("test")
def send_test(as_json: JsonFlag = False) -> None:
    """Send one signed event of the type `webhook.test` from here, and say what came back.

    It is sent to a disabled endpoint too, and enables none. The command needs NIGHTLIGHT_DELIVERY_WEBHOOK_URL and the
    keys, as the schedule has them, and no database. Exits with 2 if the receiver did not answer with 2xx within
    NIGHTLIGHT_DELIVERY_HOOK_TIMEOUT_S.

    Examples: `nightlight webhooks test`, `nightlight webhooks test --json`
    """
    from nightlight.wiring.webhooks import trial

    result = trial(logged_settings()).run()
    delivery = result.delivery
    if as_json:
        print_json(
            {
                "event_id": result.event_id,
                "url": result.url,
                "outcome": delivery.outcome,
                "status": delivery.status,
                "detail": delivery.detail,
                "seconds": round(result.seconds, 3),
                "signatures": result.signatures,
            }
        )
    else:
        signed = ", ".join(result.signatures)
        say(f"webhook.test {result.event_id}, signed with {signed}, to {result.url}")
        say(f"{delivery.outcome}: {delivery.detail} ({result.seconds:.2f} s)")
    raise typer.Exit(DONE if delivery.taken else DIFFERENCES)


@app.command()
def replay(
    event: Annotated[list[str] | None, typer.Option(help="An event's id, as `list` shows it; may be repeated.")] = None,
    since: Annotated[datetime | None, typer.Option(help="Every event written at or after this moment (UTC).")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Have events delivered again, taken or not, under the ids that they had: the schedule sends them.

    They wait while the endpoint is disabled. Exits with 2 if there is no such event any more.

    Examples: `nightlight webhooks replay --event 9b2f4c1d8e7a46f0b3c5d6e7f8091a2b`,
    `nightlight webhooks replay --since 2026-11-30T08:00:00`
    """
    from nightlight.wiring.webhooks import open_webhooks
    from nightlight_core.errors import InvalidInput

    if (since is None) == (not event):
        raise InvalidInput("say which events: --event ID, or --since MOMENT")
    moment = since.replace(tzinfo=UTC) if since is not None else None
    with open_webhooks(logged_settings()) as flow:
        count = flow.replay(event_ids=event or (), since=moment, actor=local_actor())
        disabled = flow.overview(limit=0).disabled
    if as_json:
        print_json({"events": count, "disabled": disabled})
    else:
        what = f"{counted(count, 'event')} will be sent again" if count else "no such event is kept"
        say(what + ("; the endpoint is disabled: `nightlight webhooks enable`" if count and disabled else ""))
    raise typer.Exit(DONE if count else DIFFERENCES)


@app.command()
def enable(as_json: JsonFlag = False) -> None:
    """Enable the endpoint that was disabled: every event that was never taken is due at once.

    Try it first with `nightlight webhooks test`. Where nothing is disabled, nothing is done.

    Example: `nightlight webhooks enable`
    """
    from nightlight.wiring.webhooks import open_webhooks

    with open_webhooks(logged_settings()) as flow:
        enabled, due = flow.enable(actor=local_actor())
    if as_json:
        print_json({"enabled": [endpoint.url for endpoint in enabled], "events": due})
    elif not enabled:
        say("no endpoint is disabled")
    else:
        for endpoint in enabled:
            say(f"{endpoint.url} is enabled; {counted(due, 'event')} will be sent")


def _plain(overview: WebhookOverview) -> dict[str, Any]:
    return {
        "endpoints": [_of_endpoint(endpoint) for endpoint in overview.endpoints],
        "counts": overview.counts,
        "events": [_of_event(event) for event in overview.events],
    }


def _of_endpoint(endpoint: WebhookEndpoint) -> dict[str, Any]:
    names = (
        "endpoint_id", "url", "state", "reason", "failures", "failing_since", "not_before", "last_at", "last_outcome",
        "last_status", "disabled_at",
    )  # fmt: skip
    return {name: _text(getattr(endpoint, name)) for name in names}


def _of_event(event: EventRecord) -> dict[str, Any]:
    names = (
        "event_id", "kind", "profile_id", "image_id", "takedown_id", "created_at", "state", "attempts", "taken_at",
        "last_at", "last_outcome", "last_status",
    )  # fmt: skip
    next_at = event.next_at if event.state == EventState.WAITING else None
    return {**{name: _text(getattr(event, name)) for name in names}, "next_at": _text(next_at)}


def _show(overview: WebhookOverview) -> None:
    if not overview.endpoints:
        say("no endpoint: NIGHTLIGHT_DELIVERY_WEBHOOK_URL is not set, or no schedule has run with it")
    else:
        rows = [
            (
                endpoint.endpoint_id,
                endpoint.url,
                endpoint.state,
                endpoint.reason,
                endpoint.failures,
                _text(endpoint.failing_since),
                _text(endpoint.last_at),
                _result(endpoint.last_outcome, endpoint.last_status),
            )
            for endpoint in overview.endpoints
        ]
        print_table(_ENDPOINT_COLUMNS, rows, right=("failures",))
    say("; ".join(f"{counted(count, 'event')} {state.replace('_', ' ')}" for state, count in overview.counts.items()))
    if overview.events:
        print_table(_EVENT_COLUMNS, [_row(event) for event in overview.events], right=("attempts",))


def _row(event: EventRecord) -> tuple[object, ...]:
    return (
        event.event_id,
        event.kind,
        event.takedown_id or event.image_id or event.profile_id,
        _text(event.created_at),
        event.state,
        event.attempts,
        _text(event.last_at),
        _result(event.last_outcome, event.last_status),
        _text(event.next_at) if event.state == EventState.WAITING else None,
    )


def _result(outcome: str | None, status: int | None) -> str | None:
    return outcome if status is None else f"{outcome} {status}"


def _text(value: object) -> object:
    return value.isoformat(timespec="seconds") if isinstance(value, datetime) else value
