"""One connection pool to the service: every call goes through here, and what fails is noted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx

from nightlight_client.failures import Failures
from nightlight_client.models import NotNightlight
from nightlight_client.requests import TIMEOUT, Budget, described, raise_for, said


class Connection:
    """Sends requests with a bearer token. ``failures`` says what went wrong so far, by kind."""

    def __init__(self, base_url: str, token: str | Callable[[], str]) -> None:
        """Call ``base_url`` with a bearer token, or with whatever ``token()`` returns at each call."""
        self._token = token if callable(token) else lambda: token
        self._http = httpx.Client(base_url=base_url, timeout=TIMEOUT)
        self.failures = Failures(base_url)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _within(self, path: str, asked: dict[str, Any], budget: Budget) -> httpx.Response | None:
        """Post, and return the answer if all of it came within the budget."""
        body = bytearray()
        timeout = max(budget.left, 0.001)
        try:
            with self._http.stream("POST", path, json=asked, headers=self._bearer(), timeout=timeout) as answer:
                for piece in answer.iter_bytes():  # httpx bounds each step by itself; this bounds all of them
                    body += piece
                    if budget.left <= 0:
                        self.failures.note("timeout", "the answer was not whole in time")
                        return None
        except httpx.HTTPError as error:
            self.failures.note_error(error)
            return None
        kind = answer.headers.get("content-type", "")
        return httpx.Response(answer.status_code, content=bytes(body), headers={"Content-Type": kind})

    def _call(self, method: str, path: str, **arguments: Any) -> Any:
        headers = {**self._bearer(), **arguments.pop("headers", {})}
        with self.failures.noting():
            return said(self._http.request(method, path, headers=headers, **arguments))

    def _fetched(self, path: str, **headers: str) -> httpx.Response:
        """Return the answer to a GET of bytes, with an ETag or as 304; raise the Problem that it is."""
        headers = {**self._bearer(), **headers}
        with self.failures.noting():
            answer = self._http.get(path, headers=headers)
            if answer.status_code != httpx.codes.NOT_MODIFIED:
                raise_for(answer)
                if answer.headers.get("content-type") != "application/json":
                    raise NotNightlight(answer.status_code, f"{described(answer)}: no bundle, is it the right host?")
        return answer

    def _bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._token()}"}
