"""Tells edges which pictures are revoked: hooks of the operator's, and whatever else keeps a list for an edge.

An edge keeps a list of what is revoked for as long as a URL of it may live, and drops what it has cached of it. It goes
by the list only while it is confirmed as complete; so an edge that cannot be told shows nothing, soon after.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import httpx

from nightlight_core.errors import Unavailable

# What one call names at most: an edge at Cloudflare may write a thousand entries for each.
MOST_AT_ONCE = 400
# The longest life of a URL, and what clocks and processes that decide by themselves may be behind.
KEPT_S = 86_400 + 3_600
_UNKNOWN = 409


class RevocationEdge(Protocol):
    """Keeps a list of what is revoked."""

    @property
    def name(self) -> str:
        """Return what the edge is called in metrics and logs: a word of ours, and a number."""
        ...

    def revoke(self, keys: Sequence[str]) -> None:
        """Put object keys on the list, and drop what is cached of them; raise Unavailable."""
        ...

    def confirm(self, *, since: int | None, at: int) -> bool:
        """Say that everything that was revoked until ``at`` (Unix seconds) has been named.

        ``since`` is the moment that was confirmed before, None where everything was named again. Returns False where
        the edge never heard of that, and so needs everything again. Raises Unavailable.
        """
        ...


class PurgeHook:
    """An edge that takes ``{"paths": [...]}``, ``{"paths": [], "since": ..., "at": ...}`` over HTTP."""

    def __init__(self, url: str, *, name: str, token: str | None, timeout_s: float) -> None:
        """Tell ``url``, with a bearer token if there is one, and wait ``timeout_s`` for its answer."""
        self.name = name
        self._url, self._timeout_s = url, timeout_s
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    def revoke(self, keys: Sequence[str]) -> None:
        """See Edge.revoke."""
        for first in range(0, len(keys), MOST_AT_ONCE):
            self._post({"paths": [f"/{key}" for key in keys[first : first + MOST_AT_ONCE]]})

    def confirm(self, *, since: int | None, at: int) -> bool:
        """See Edge.confirm."""
        body: dict[str, object] = {"paths": [], "at": at}
        if since is None:
            self._post(body)
            return True
        return self._post({**body, "since": since}, allow=_UNKNOWN) != _UNKNOWN

    def _post(self, body: dict[str, object], *, allow: int | None = None) -> int:
        try:
            answer = httpx.post(self._url, json=body, headers=self._headers, timeout=self._timeout_s)
            if answer.status_code != allow:
                answer.raise_for_status()
        except httpx.HTTPStatusError as error:
            raise Unavailable(f"the purge hook {self.name} answers {error.response.status_code}") from error
        except httpx.HTTPError as error:
            raise Unavailable(f"the purge hook {self.name}: {type(error).__name__}") from error
        return answer.status_code


class EdgePurge:
    """Has every edge forget pictures; without an edge there is nobody to tell."""

    def __init__(
        self, url: str | None, *, token: str | None, timeout_s: float, more: Sequence[RevocationEdge] = ()
    ) -> None:
        """Tell the hooks at ``url``, which may be several with commas between, and the edges ``more``."""
        urls = [url_.strip() for url_ in (url or "").split(",") if url_.strip()]
        hooks = [PurgeHook(url_, name=f"hook_{at}", token=token, timeout_s=timeout_s) for at, url_ in enumerate(urls)]
        self.edges: tuple[RevocationEdge, ...] = (*hooks, *more)

    def forget(self, keys: Sequence[str]) -> None:
        """Return once every edge has been told of these object keys; raise Unavailable if one does not take them.

        The others are told all the same.
        """
        failed: list[Unavailable] = []
        for edge in self.edges if keys else ():
            try:
                edge.revoke(keys)
            except Unavailable as error:
                failed.append(error)
        if failed:
            raise failed[0]
