"""Asks whoever keeps the social graph whether a relation holds, where a request brings no proof of its own.

Two ways, both over HTTP, both asked once for a batch: a callback of the platform's own, and OpenFGA. Anything but a
clear yes in time is a no.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

import httpx

from nightlight_core.errors import Unavailable

# OpenFGA takes at most so many checks at once unless it is told otherwise.
_FGA_BATCH = 50
# `user:a#member` is a set of users there, `user:*` is everybody. It takes no id with a space in it.
_FGA_SPECIAL = re.compile(r"[#:*%\s]")


class _HttpProvider:
    """Asks over HTTP, by one pool of connections."""

    def __init__(self, url: str, timeout_s: float, token: str | None) -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._url, self._http = url, httpx.Client(timeout=timeout_s, headers=headers, follow_redirects=False)

    def _post(self, body: object) -> dict[str, Any]:
        """Return the object in the answer, an empty one where it is something else; raise Unavailable."""
        try:
            answer = self._http.post(self._url, json=body)
            content = answer.raise_for_status().json()
        except (httpx.HTTPError, ValueError) as error:
            raise Unavailable(f"the relation provider: {type(error).__name__}") from error
        return content if isinstance(content, dict) else {}

    def close(self) -> None:
        """Let go of the connections."""
        self._http.close()


class CallbackProvider(_HttpProvider):
    """A URL of the platform's own.

    It is sent ``{"viewer_id": ..., "items": [{"profile_id": ..., "relation": ...}]}`` and answers
    ``{"relations": [...]}``: for each item the relation that there is. A relation holds where the two are the same.
    """

    def __init__(self, url: str, *, timeout_s: float, token: str | None = None) -> None:
        """Ask ``url``, with a bearer token if there is one; answers later than ``timeout_s`` count as none."""
        super().__init__(url, timeout_s, token)

    def confirm(self, viewer_id: str, claims: Sequence[tuple[str, str]]) -> list[bool]:
        """Say for each (profile id, relation) whether it holds; raise Unavailable where that cannot be known."""
        items = [{"profile_id": profile_id, "relation": relation} for profile_id, relation in claims]
        relations = self._post({"viewer_id": viewer_id, "items": items}).get("relations")
        if not isinstance(relations, list) or len(relations) != len(claims):
            raise Unavailable("the relation provider's answer does not fit the question")
        return [relation == claimed for relation, (_, claimed) in zip(relations, claims, strict=True)]


class OpenFgaProvider(_HttpProvider):
    """An OpenFGA server, by its batch check: of ``user:{viewer id}``, our word, ``profile:{profile id}``.

    What has a meaning there (``#``, ``:``, ``*``) and what it takes nowhere (spaces) is percent-encoded in both, and so
    is the percent sign.
    """

    def __init__(self, url: str, store: str, *, model: str | None, timeout_s: float, token: str | None = None) -> None:
        """Ask the store ``store`` at ``url``, by authorization model ``model`` or its newest."""
        super().__init__(f"{url.rstrip('/')}/stores/{store}/batch-check", timeout_s, token)
        self._model = {"authorization_model_id": model} if model else {}

    def confirm(self, viewer_id: str, claims: Sequence[tuple[str, str]]) -> list[bool]:
        """Say for each (profile id, relation) whether it holds; raise Unavailable where that cannot be known."""
        confirmed: list[bool] = []
        for begin in range(0, len(claims), _FGA_BATCH):
            part = claims[begin : begin + _FGA_BATCH]
            checks = [
                {
                    "tuple_key": {
                        "user": f"user:{_fga_id(viewer_id)}",
                        "relation": relation,
                        "object": f"profile:{_fga_id(profile_id)}",
                    },
                    "correlation_id": str(number),
                }
                for number, (profile_id, relation) in enumerate(part)
            ]
            result = self._post({"checks": checks, **self._model}).get("result")
            if not isinstance(result, dict):
                raise Unavailable("OpenFGA's answer has no result")
            answers = (result.get(str(number)) for number in range(len(part)))
            confirmed += [
                isinstance(entry, dict) and entry.get("allowed") is True and not entry.get("error") for entry in answers
            ]
        return confirmed


def _fga_id(platform_id: str) -> str:
    """Return an id as the tuples of an OpenFGA server have it."""
    return _FGA_SPECIAL.sub(lambda match: quote(match[0]), platform_id)
