"""Has the edge forget pictures: a hook of the operator's, which is told their paths."""

from __future__ import annotations

from collections.abc import Sequence

import httpx

from nightlight.errors import Unavailable


class Purge:
    """Posts ``{"paths": ["/a/...", ...]}`` to a URL; without one there is no edge to tell."""

    def __init__(self, url: str | None, *, token: str | None, timeout_s: float) -> None:
        """Tell ``url``, with a bearer token if there is one."""
        self._url, self._timeout_s = url, timeout_s
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    def forget(self, keys: Sequence[str]) -> None:
        """Return once the edge has been told of these object keys; raise Unavailable if it does not take them."""
        if self._url is None or not keys:
            return
        body = {"paths": [f"/{key}" for key in keys]}
        try:
            answer = httpx.post(self._url, json=body, headers=self._headers, timeout=self._timeout_s)
            answer.raise_for_status()
        except httpx.HTTPError as error:
            message = f"the purge hook: {type(error).__name__}"
            raise Unavailable(message) from error
