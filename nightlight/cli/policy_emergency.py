"""``nightlight policy emergency``: hide now, with one person's key."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from nightlight.cli.policy_rollout import DEFAULT_URL, Url, call
from nightlight_core.errors import PolicyRefused

_SECONDS = {"m": 60, "h": 3600, "d": 86400}


def emergency(  # noqa: PLR0913 - options
    key: Annotated[Path, typer.Option(help="The publisher's private key (JWK).")],
    duration: Annotated[str, typer.Option("--for", help="How long: 30m, 72h or 14d at most.")],
    region: Annotated[list[str] | None, typer.Option(help="A region, and again for more; else every region.")] = None,
    relation: Annotated[list[str] | None, typer.Option(help="From whom; else from outsiders.")] = None,
    viewer: Annotated[list[str] | None, typer.Option(help="From viewers of these words; else from all.")] = None,
    context: Annotated[list[str] | None, typer.Option(help="Where, such as search; else everywhere.")] = None,
    tier: Annotated[str, typer.Option(help="The most that is shown.")] = "none",
    why: Annotated[str, typer.Option(help="For the audit log and for `explain`.")] = "an emergency",
    url: Url = DEFAULT_URL,
    keys: Annotated[
        Path | None, typer.Option(help="Public keys of all publishers (JWKS), if another one signed what is active.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Hide every profile that is not public, whatever its age, at once. It lapses by itself to what was before.

    Nobody needs to approve: it only closes. What is active is fetched, the rule is added, everything is proved again,
    and it is active within seconds. `nightlight policy rollback` ends it early. The token comes from NIGHTLIGHT_TOKEN.

    Examples: `nightlight policy emergency --region uk --tier none --for 72h --key publisher.private.jwk.json`, and for
    search alone: `nightlight policy emergency --context search --for 24h --key publisher.private.jwk.json`
    """
    from nightlight.cli.policy_options import today_utc
    from nightlight.policy.bundle_writer import build_bundle
    from nightlight.policy.checks import failed_checks
    from nightlight.policy.compile import compile_bundle
    from nightlight.policy.diff import diff
    from nightlight.policy.emergency import emergency_pack
    from nightlight.policy.signing import SigningKey
    from nightlight_core.policy.bundle import open_bundle
    from nightlight_core.policy.public_keys import PublicKeys

    signing, seconds = SigningKey.read(key), _seconds(duration)
    trusted = signing.public_keys if keys is None else PublicKeys.read(keys)
    status = call(url, lambda client: client.policy_status())
    number = status["active"]["version"]
    if number is None:
        raise PolicyRefused("no bundle is active: activate the pack of the folder first (`nightlight policy build`)")
    active = open_bundle(call(url, lambda client: client.policy_version(number)), trusted, earlier=True)
    when = {"relation": relation or ["outsider"], "region": region, "viewer": viewer, "context": context}
    days = today_utc(), (datetime.now(UTC) + timedelta(seconds=seconds)).date()
    words = {name: listed for name, listed in when.items() if listed}
    closed = emergency_pack(active, words, tier=tier, why=why, days=days)
    before = compile_bundle(active)
    difference = diff(before, closed, today=today_utc())
    if failures := failed_checks(closed):
        raise PolicyRefused("\n".join(map(str, failures)))
    if difference.opens:
        raise PolicyRefused("\n".join(("this opens something, so it is no emergency:", *difference.reasons()[:20])))
    if not difference.outcomes:
        raise PolicyRefused("nobody is shown less by this: it is so already")
    for change in difference.outcomes:
        typer.echo(str(change))
    until = int(time.time()) + seconds
    when_over = datetime.fromtimestamp(until, UTC).isoformat(timespec="minutes")
    if not yes:
        typer.confirm(f"Activate this now, until {when_over}?", abort=True)
    version = status["highest_version"] + 1
    bundles = build_bundle(closed, version, signing), build_bundle(before, version + 1, signing)
    answer = call(url, lambda client: client.emergency(*bundles, until=until))
    typer.echo(
        f"version {answer['version']} is active until {when_over}; then version {version + 1} brings back what was "
        "active. `nightlight policy rollback` ends it now"
    )


def _seconds(text: str) -> int:
    match = re.fullmatch(r"([1-9][0-9]{0,3})([mhd])", text)
    if match is None:
        raise PolicyRefused(f"'{text}' is no time: write 30m, 72h or 2d")
    return int(match[1]) * _SECONDS[match[2]]


def register(app: typer.Typer) -> None:
    """Add this command to ``nightlight policy``."""
    app.command()(emergency)
