"""System checks: ``manage.py check`` says what is wrong, and ``check --deploy --tag nightlight`` asks the service."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core import checks

from nightlight_client import ClientMisconfigured, NightlightError
from nightlight_django import conf

TAG = "nightlight"
MIDDLEWARE = "nightlight_django.middleware.NightlightMiddleware"
SCOPES = ("decide", "ingest")


def register_all() -> None:
    """Register the checks."""
    checks.register(check_settings, TAG)
    checks.register(check_service, TAG, deploy=True)


def check_settings(**_: Any) -> list[checks.CheckMessage]:
    """Return what can be seen to be wrong without a connection."""
    values = conf.given()
    if not values:
        return [_error("NIGHTLIGHT is missing", "Set NIGHTLIGHT = {'URL': ..., 'TOKEN_FILE': ..., ...}", "E001")]
    return [*_unknown(values), *_client(), *_token_file(values), *_functions(values), *_missing(values)]


def check_service(**_: Any) -> list[checks.CheckMessage]:
    """Ask the service whether it takes this site's token and relation proofs."""
    try:
        conf.client().check(*SCOPES)
    except (NightlightError, OSError) as error:
        return [
            _error(f"The service does not work for this site: {error}", "See NIGHTLIGHT['URL'] and its token", "E010")
        ]
    return []


def _unknown(values: Any) -> list[checks.CheckMessage]:
    names = ", ".join(sorted(set(map(str, values)) - conf.KNOWN))
    return [_error(f"NIGHTLIGHT has unknown keys: {names}", "See nightlight_django.conf", "E002")] if names else []


def _client() -> list[checks.CheckMessage]:
    try:
        conf.new_client().close()
    except ClientMisconfigured as error:
        return [_error(f"NIGHTLIGHT cannot work: {error}", None, "E003")]
    return []


def _token_file(values: Any) -> list[checks.CheckMessage]:
    try:
        readable = not values.get("TOKEN_FILE") or bool(Path(values["TOKEN_FILE"]).read_text("ascii").strip())
    except (OSError, ValueError):
        readable = False
    return [] if readable else [_error("NIGHTLIGHT['TOKEN_FILE'] holds no token that can be read", None, "E004")]


def _functions(values: Any) -> list[checks.CheckMessage]:
    messages = []
    for name in conf.FUNCTIONS:
        try:
            conf.function(values.get(name), str)
        except ImportError as error:
            messages.append(_error(f"NIGHTLIGHT[{name!r}] is not to be found: {error}", None, "E005"))
    return messages


def _missing(values: Any) -> list[checks.CheckMessage]:
    """Return what works, and shows everybody next to nothing."""
    messages: list[checks.CheckMessage] = []
    if not values.get("DECLARE"):
        hint = "Until then every account counts as one of unknown age"
        messages.append(checks.Warning("NIGHTLIGHT['DECLARE'] is missing", hint=hint, id="nightlight.W001"))
    if MIDDLEWARE not in settings.MIDDLEWARE:
        hint = f"Add {MIDDLEWARE!r} after the one of authentication; until then everybody is a signed-out stranger"
        messages.append(checks.Warning("Nightlight's middleware is missing", hint=hint, id="nightlight.W002"))
    if values.get("RELATIONS") and not (values.get("RELATION_KEYS") or values.get("RELATION_KEYS_FILE")):
        hint = "The service counts no relation without a proof"
        messages.append(
            checks.Warning("NIGHTLIGHT has RELATIONS, and no RELATION_KEYS", hint=hint, id="nightlight.W003")
        )
    return messages


def _error(message: str, hint: str | None, number: str) -> checks.CheckMessage:
    return checks.Error(message, hint=hint, id=f"nightlight.{number}")
