"""Settings: the dictionary ``NIGHTLIGHT`` of the project, and the client that is made of it.

====================  ==========================================================================================
``URL``               of the service
``TOKEN``             the bearer token, or a function that returns it
``TOKEN_FILE``        a file that holds it, read for each call: a renewed token counts at once
``RELATION_KEYS``     the ring that relation proofs are made with (``r1:base64``); or ``RELATION_KEYS_FILE``
``DECLARE``           ``DECLARE(instance) -> AccountDeclaration``: what the platform says of the account
``VIEWER``            ``VIEWER(request) -> str | None``: who looks; by default the primary key of ``request.user``
``VIEWER_WORD``       ``VIEWER_WORD(request) -> str``: what is assured of them; by default ``unverified``
``RELATIONS``         ``RELATIONS(viewer, owners) -> {owner: relation}``, once for each page
``ALT``               ``ALT(object) -> str``: the alternative text of a picture; by default ``str(object)``
``CONTEXT``           the context where none is named; by default ``list``
``BUDGET_S``          how long decisions may take; by default 1 second
``MAX_UPLOAD_BYTES``  the longest file that a form accepts; by default 20,000,000
``KEEP_UNSENT``       whether a picture that could not be sent is kept in the database until it is; by default yes
``OPTIONS``           an ``HttpOptions``
====================  ==========================================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.signals import setting_changed
from django.utils.module_loading import import_string

from nightlight_client import ClientMisconfigured, HttpOptions, NightlightClient

if TYPE_CHECKING:
    from django.http import HttpRequest

    from nightlight_django.viewers import RequestViewer

NAME = "NIGHTLIGHT"
MAX_UPLOAD_BYTES = 20_000_000
FUNCTIONS = ("DECLARE", "VIEWER", "VIEWER_WORD", "RELATIONS", "ALT")
KNOWN = frozenset(
    {
        "URL",
        "TOKEN",
        "TOKEN_FILE",
        "RELATION_KEYS",
        "RELATION_KEYS_FILE",
        "CONTEXT",
        "BUDGET_S",
        "MAX_UPLOAD_BYTES",
        "KEEP_UNSENT",
        "OPTIONS",
    }
    | set(FUNCTIONS)
)
SIGNED_OUT = "signed_out"


@dataclass(frozen=True, slots=True)
class AccountDeclaration:
    """What the platform says of an account: words of the policy, as ``NightlightClient.declare`` takes them."""

    band: str
    assurance: str
    region: str = "unknown"
    choice: str = "connections"


@dataclass(frozen=True, slots=True)
class Configuration:
    """The settings, with functions in place of their dotted names."""

    declare: Callable[[Any], AccountDeclaration]
    viewer: Callable[[HttpRequest], str | None]
    viewer_word: Callable[[HttpRequest], str]
    relations: Callable[[RequestViewer, list[str]], Mapping[str, str]]
    alt: Callable[[Any], str]
    context: str
    max_upload_bytes: int
    keep_unsent: bool


def given() -> Mapping[str, Any]:
    """Return the dictionary ``NIGHTLIGHT`` as the project has it."""
    values = getattr(settings, NAME, None)
    return values if isinstance(values, Mapping) else {}


@cache
def configuration() -> Configuration:
    """Return the settings; raises ImportError for a function that is not to be found."""
    values = given()
    return Configuration(
        declare=function(values.get("DECLARE"), _declare_nothing),
        viewer=function(values.get("VIEWER"), _user_of),
        viewer_word=function(values.get("VIEWER_WORD"), _word_of),
        relations=function(values.get("RELATIONS"), _strangers),
        alt=function(values.get("ALT"), str),
        context=values.get("CONTEXT", "list"),
        max_upload_bytes=values.get("MAX_UPLOAD_BYTES", MAX_UPLOAD_BYTES),
        keep_unsent=values.get("KEEP_UNSENT", True),
    )


def function(value: Any, default: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function by its dotted name, or as it is given; raises ImportError."""
    if value is None:
        return default
    named = import_string(value) if isinstance(value, str) else value
    if not callable(named):
        raise ImportError(f"{value!r} is no function")  # noqa: TRY004 - one error for all that is not to be found
    return named  # type: ignore[no-any-return]  # Django has no types


def client() -> NightlightClient:
    """Return the client of this process, which threads share; raises ClientMisconfigured."""
    return _Clients.override or _client()


class _Clients:
    override: NightlightClient | None = None


@contextmanager
def use_client(other: NightlightClient) -> Iterator[None]:
    """Use another client meanwhile, in the whole process: for tests."""
    before, _Clients.override = _Clients.override, other
    try:
        yield
    finally:
        _Clients.override = before


def new_client() -> NightlightClient:
    """Return a client by the settings; raises ClientMisconfigured for what cannot work."""
    values = given()
    if not values.get("URL"):
        raise ClientMisconfigured("NIGHTLIGHT['URL'] is missing: the address of the service")
    return NightlightClient(
        values["URL"],
        token=_token(values),
        relation_keys=_relation_keys(values),
        budget_s=values.get("BUDGET_S", 1.0),
        options=values.get("OPTIONS") or HttpOptions(),
    )


@cache
def _client() -> NightlightClient:
    return new_client()


def _token(values: Mapping[str, Any]) -> str | Callable[[], str]:
    if values.get("TOKEN") and values.get("TOKEN_FILE"):
        raise ClientMisconfigured("NIGHTLIGHT has both TOKEN and TOKEN_FILE: one of them is enough")
    if values.get("TOKEN_FILE"):
        path = Path(values["TOKEN_FILE"])
        return lambda: path.read_text("ascii").strip()
    if not values.get("TOKEN"):
        raise ClientMisconfigured("NIGHTLIGHT has no TOKEN and no TOKEN_FILE")
    token: str | Callable[[], str] = values["TOKEN"]
    return token


def _relation_keys(values: Mapping[str, Any]) -> Any:
    path = values.get("RELATION_KEYS_FILE")
    if not path:
        return values.get("RELATION_KEYS")
    if values.get("RELATION_KEYS"):
        raise ClientMisconfigured("NIGHTLIGHT has both RELATION_KEYS and RELATION_KEYS_FILE: one of them is enough")
    try:
        return Path(path).read_text("ascii").strip()
    except (OSError, ValueError) as error:
        raise ClientMisconfigured(f"NIGHTLIGHT['RELATION_KEYS_FILE'] cannot be read: {type(error).__name__}") from error


def _declare_nothing(_: object) -> AccountDeclaration:
    """Return what is said of an account where nobody vouches for it."""
    return AccountDeclaration("unknown", "none")


def _user_of(request: HttpRequest) -> str | None:
    user = getattr(request, "user", None)
    return str(user.pk) if user is not None and user.is_authenticated else None


def _word_of(_: HttpRequest) -> str:
    return "unverified"


def _strangers(_viewer: RequestViewer, _owners: Iterable[str]) -> Mapping[str, str]:
    return {}


def _forget(*, setting: str, **_: object) -> None:
    if setting == NAME:
        configuration.cache_clear()
        _client.cache_clear()


setting_changed.connect(_forget, dispatch_uid="nightlight_django.conf")
