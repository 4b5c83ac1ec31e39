"""Who looks, and what was decided for them so far: kept for the time of one request.

Without a request (a shell, a task, an e-mail) everybody is a signed-out stranger, and nothing is kept. Whatever goes
wrong, the placeholder is shown, and the log says why.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from inspect import isawaitable
from itertools import islice
from typing import TYPE_CHECKING

from asgiref.sync import sync_to_async

from nightlight_client import Decision
from nightlight_client.requests.decisions import fallback
from nightlight_django import conf

if TYPE_CHECKING:
    from django.http import HttpRequest

_LOG = logging.getLogger("nightlight_django")
MOST_ITEMS = 500  # of one question to the service
# Pictures that are asked about one by one in a request, before the log says that a page should ask for all at once.
_MOST_SINGLE = 5
STRANGER, SELF = "stranger", "self"


@dataclass(frozen=True, slots=True)
class RequestViewer:
    """Who looks: their profile id (None if signed out), the word for what is assured of them, and their request."""

    id: str | None
    word: str
    request: HttpRequest | None = field(default=None, repr=False, compare=False)


NOBODY = RequestViewer(None, conf.SIGNED_OUT)


class RequestPictures:
    """What is decided within one request: each picture is asked about once for each context."""

    def __init__(self, request: HttpRequest | None) -> None:
        """Look as whoever sent ``request``; None: a signed-out stranger."""
        self._request = request
        self._viewer: RequestViewer | None = NOBODY if request is None else None
        self._decisions: dict[tuple[str, str], Decision] = {}
        self._single = 0

    @property
    def used(self) -> bool:
        """Say whether anything was decided."""
        return bool(self._decisions)

    def viewer(self) -> RequestViewer:
        """Return who looks: they are asked for when the first picture is, so that other pages cost nothing."""
        if self._viewer is None:
            configuration = conf.configuration()
            viewer_id = configuration.viewer(self._request)
            word = conf.SIGNED_OUT if viewer_id is None else configuration.viewer_word(self._request)
            self._viewer = RequestViewer(viewer_id, word, self._request)
        return self._viewer

    def decisions(self, profile_ids: Sequence[str], context: str | None = None) -> list[Decision]:
        """Return a decision for each profile, in order; what was not asked about before is asked at once."""
        context, missing = self._missing(profile_ids, context)
        if missing and _on_event_loop():
            _LOG.error("a picture was asked for on an event loop: await aprefetch() first; the placeholder is shown")
            return self._answers(profile_ids, context, fallback(missing))
        self._note_single(missing)
        for group in groups(missing):
            self._keep(context, self._decide(group, context))
        return self._answers(profile_ids, context)

    async def adecisions(self, profile_ids: Sequence[str], context: str | None = None) -> list[Decision]:
        """Return what ``decisions`` returns, on an event loop: the network is waited for in another thread."""
        context, missing = self._missing(profile_ids, context)
        for group in groups(missing):
            self._keep(context, await self._adecide(group, context))
        return self._answers(profile_ids, context)

    def _missing(self, profile_ids: Sequence[str], context: str | None) -> tuple[str, list[str]]:
        context = context or conf.configuration().context
        known = self._decisions
        return context, [name for name in dict.fromkeys(profile_ids) if (context, name) not in known]

    def _keep(self, context: str, decisions: Iterable[Decision]) -> None:
        for decision in decisions:
            self._decisions[context, decision.profile_id] = decision

    def _answers(self, profile_ids: Sequence[str], context: str, others: Iterable[Decision] = ()) -> list[Decision]:
        beside = {decision.profile_id: decision for decision in others}
        return [self._decisions.get((context, name)) or beside[name] for name in profile_ids]

    def _decide(self, profile_ids: list[str], context: str) -> list[Decision]:
        try:
            viewer = self.viewer()
            given = conf.configuration().relations(viewer, profile_ids) if viewer.id is not None else {}
            items = _items(viewer, profile_ids, given)
            return conf.client().decide(viewer.word, context, items, viewer_id=viewer.id)
        except Exception:  # noqa: BLE001 - whatever it is, nothing is shown
            _LOG.exception("no decision: the placeholder is shown")
            return fallback(profile_ids)

    async def _adecide(self, profile_ids: list[str], context: str) -> list[Decision]:
        try:
            viewer = await sync_to_async(self.viewer)()
            given: Mapping[str, str] = {}
            if viewer.id is not None:
                given = await sync_to_async(conf.configuration().relations)(viewer, profile_ids)
                given = await given if isawaitable(given) else given
            decide = sync_to_async(conf.client().decide, thread_sensitive=False)
            return await decide(viewer.word, context, _items(viewer, profile_ids, given), viewer_id=viewer.id)
        except Exception:  # noqa: BLE001 - whatever it is, nothing is shown
            _LOG.exception("no decision: the placeholder is shown")
            return fallback(profile_ids)

    def _note_single(self, missing: Sequence[str]) -> None:
        self._single += len(missing) == 1
        if self._request is not None and self._single == _MOST_SINGLE + 1:
            _LOG.warning("pictures are asked for one by one on a page: use {%% avatars %%} or prefetch()")


_pictures: ContextVar[RequestPictures | None] = ContextVar("nightlight_pictures", default=None)


@contextmanager
def looking(request: HttpRequest | None) -> Iterator[RequestPictures]:
    """Look as whoever sent a request, in this thread or task."""
    pictures = RequestPictures(request)
    token = _pictures.set(pictures)
    try:
        yield pictures
    finally:
        _pictures.reset(token)


def pictures_here() -> RequestPictures:
    """Return what is decided within the request of this thread or task; without one, for a signed-out stranger."""
    return _pictures.get() or RequestPictures(None)


def groups(profile_ids: Iterable[str]) -> Iterator[list[str]]:
    """Yield profile ids in groups that one question may have."""
    left = iter(profile_ids)
    while group := list(islice(left, MOST_ITEMS)):
        yield group


def _items(viewer: RequestViewer, profile_ids: list[str], given: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return what is asked; an account is itself unless the platform says otherwise."""
    own = viewer.id
    return [(name, given.get(name) or (SELF if name == own else STRANGER)) for name in profile_ids]


def _on_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
