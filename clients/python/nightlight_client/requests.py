"""What both clients share: how decisions are asked for, how often, and what is shown where there is no answer."""

from __future__ import annotations

import base64
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import httpx

from nightlight_client import paths
from nightlight_client.models import Decision, NotNightlight, Problem
from nightlight_core.decisions.placeholder import PLACEHOLDER_BLURHASH, placeholder_bytes
from nightlight_core.decisions.relation_proofs import UNPROVEN, issue_proof

if TYPE_CHECKING:
    from nightlight_client.failures import Failures

TIMEOUT = httpx.Timeout(10.0, connect=3.0)
# A fallback is asked about again soon.
_FALLBACK_S = 30
# Statuses that may be another the next time: too many requests, and what a proxy or the service says of an outage.
_AGAIN = frozenset({429, 502, 503, 504})
# Before the second attempt, on average; doubles with each. Drawn between nothing and twice this ("full jitter").
_PAUSE_S = 0.05
_PROOF_S = 300

# (profile id, relation), with or without a proof.
Items = Sequence[tuple[str, str] | tuple[str, str, str | None]]


@dataclass(frozen=True)
class Asking:
    """One request for decisions."""

    body: dict[str, Any]
    items: Items

    @classmethod
    def of(
        cls,
        viewer: str,
        context: str,
        items: Items,
        viewer_id: str | None,
        keys: Mapping[str, bytes],
        network: str | None,
    ) -> Asking:
        """Return the request; where more than a stranger is said without a proof, the first of ``keys`` proves it.

        Raises InvalidId for what the service would refuse.
        """
        now = int(time.time())
        for name, value in (("viewer_id", viewer_id), ("network", network)):
            if value:
                paths.part(name, value)
        listed: list[dict[str, str]] = []
        for profile_id, relation, *proof in items:
            item = {"profile_id": paths.item_id(profile_id), "relation": relation}
            if proof and proof[0] is not None:
                item["proof"] = proof[0]
            elif viewer_id and keys and relation not in UNPROVEN and paths.is_account(profile_id):
                item["proof"] = issue_proof(keys, viewer_id, profile_id, relation, now=now, life_s=_PROOF_S)
            listed.append(item)
        named = {"viewer_id": viewer_id, "network": network}
        body = {"viewer": viewer, "context": context, "items": listed}
        return cls({**body, **{name: value for name, value in named.items() if value}}, items)

    def answered(self, answer: httpx.Response, failures: Failures) -> list[Decision] | None:
        """Return the decisions; None, and a failure that is noted, where asking again may help.

        Raises Problem where it will not.
        """
        if answer.status_code in _AGAIN:
            failures.note("busy", f"status {answer.status_code}")
            return None
        with failures.noting():
            raise_for(answer)
        try:
            found = [Decision.model_validate(item) for item in answer.json()["items"]]
        except (ValueError, KeyError, TypeError) as error:
            failures.note("not_nightlight", f"{described(answer)}: {type(error).__name__}")
            return None
        if [one.profile_id for one in found] != [item[0] for item in self.items]:
            failures.note("not_nightlight", f"{described(answer)}: other profiles than were asked for")
            return None
        return found

    def fallback(self) -> list[Decision]:
        """Return the placeholder for every item."""
        return fallback([item[0] for item in self.items])


def fallback(profile_ids: Sequence[str]) -> list[Decision]:
    """Return the placeholder for every profile: one that needs no service."""
    told = {"url": placeholder_url(), "expires_at": int(time.time()) + _FALLBACK_S, "blurhash": PLACEHOLDER_BLURHASH}
    return [Decision(profile_id=profile_id, fallback=True, **told) for profile_id in profile_ids]


class Budget:
    """The time that a call may take with all its attempts, on a clock that only goes forward."""

    def __init__(self, seconds: float) -> None:
        """Begin now."""
        self._end = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Return the seconds that are left."""
        return self._end - time.monotonic()

    def pauses(self) -> Iterator[float]:
        """Yield how long to wait before each further attempt, as long as there is time for one."""
        pause = _PAUSE_S
        while True:
            wait = random.uniform(0, 2 * pause)  # noqa: S311 - no secret: it keeps clients from asking all at once
            if wait >= self.left:
                return
            yield wait
            pause *= 2


def raise_for(answer: httpx.Response) -> None:
    """Raise the Problem that an answer is, if it is one; NotNightlight if it is no problem of the service's."""
    if answer.is_success:
        return
    try:
        body = answer.json()
    except ValueError:
        body = None
    if answer.status_code in _AGAIN and not isinstance(body, dict):  # what stands before the service says so
        raise Problem(answer.status_code, "http", answer.reason_phrase)
    if isinstance(body, dict) and ("code" in body or answer.status_code in _AGAIN):
        raise Problem(answer.status_code, str(body.get("code", "http")), str(body.get("detail", answer.reason_phrase)))
    raise NotNightlight(
        answer.status_code, f"{described(answer)}: this is no answer of Nightlight's, is it the right host?"
    )


def said(answer: httpx.Response) -> Any:
    """Return what an answer says, None for 204; raise the Problem that it is."""
    raise_for(answer)
    if answer.status_code == httpx.codes.NO_CONTENT:
        return None
    try:
        return answer.json()
    except ValueError as error:
        raise NotNightlight(answer.status_code, f"{described(answer)}: no JSON, is it the right host?") from error


def described(answer: httpx.Response) -> str:
    """Return the status and kind of an answer, for the log."""
    return f"{answer.status_code} {answer.headers.get('content-type', 'of no kind')[:60]}"


@lru_cache(maxsize=1)
def placeholder_url() -> str:
    """Return the placeholder as a ``data:`` URL: it works whatever is down."""
    return f"data:image/webp;base64,{base64.b64encode(placeholder_bytes()).decode()}"
