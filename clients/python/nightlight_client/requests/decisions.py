"""Requests for decisions, and what is shown where no answer comes."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from nightlight_client import paths
from nightlight_client.errors import BUSY
from nightlight_client.models import Decision
from nightlight_client.requests.http_request import Request, Retry
from nightlight_client.responses import AskAgain, Response, raise_for, read_json
from nightlight_core.decisions.placeholder import PLACEHOLDER_BLURHASH, PLACEHOLDER_CAPTURE, placeholder_bytes
from nightlight_core.decisions.relation_proofs import UNPROVEN, issue_proof
from nightlight_core.ids import is_profile_id

# A fallback is asked about again soon.
_FALLBACK_S = 30
_PROOF_S = 300

# (profile id, relation), with or without a proof, and the tier that it shows at most.
Items = Iterable[tuple[str, str] | tuple[str, str, str | None] | tuple[str, str, str | None, str | None]]


def question(
    viewer: str, context: str, items: Items, *, relation_keys: Mapping[str, bytes], **named: str | None
) -> dict[str, Any]:
    """Return the body of a question; a relation beyond a stranger's without a proof gets one by ``relation_keys``.

    ``named`` are ``viewer_id``, ``network``, ``at_most`` and ``consistency``. Raises InvalidId for what the service
    would refuse.
    """
    viewer_id = named.get("viewer_id")
    now = int(time.time())
    for name in ("viewer_id", "network"):
        if named.get(name) is not None:
            paths.part(name, named[name])
    listed: list[dict[str, str]] = []
    for profile_id, relation, *more in items:
        item = {"profile_id": paths.item_id(profile_id), "relation": paths.relation(relation)}
        if len(more) > 1 and more[1] is not None:
            item["at_most"] = more[1]
        if more and more[0] is not None:
            item["proof"] = more[0]
        elif viewer_id and relation_keys and relation not in UNPROVEN and is_profile_id(profile_id):
            item["proof"] = issue_proof(relation_keys, viewer_id, profile_id, relation, now=now, life_s=_PROOF_S)
        listed.append(item)
    body = {"viewer": viewer, "context": context, "items": listed}
    return {**body, **{name: value for name, value in named.items() if value is not None}}


def decide(body: Mapping[str, Any]) -> Request[list[Decision]]:
    """Build the request for one decision for each item of a question, in their order."""
    profile_ids = [item["profile_id"] for item in body["items"]]
    return Request(
        method="POST",
        path="/v1/decisions",
        json=dict(body),
        read=lambda response: _read_decisions(response, profile_ids),
        retry=Retry.WITHIN_BUDGET,
        fallback=lambda: fallback(profile_ids),
    )


def explain(body: Mapping[str, Any]) -> Request[dict[str, Any]]:
    """Build the request for why each item of a question is answered as it is."""
    return Request(method="POST", path="/v1/explain", json=dict(body), read=read_json)


def fallback(profile_ids: Sequence[str]) -> list[Decision]:
    """Return the placeholder for every profile: one that needs no service."""
    url, expires_at = placeholder_url(), int(time.time()) + _FALLBACK_S
    return [
        Decision(profile_id, url, expires_at, PLACEHOLDER_BLURHASH, PLACEHOLDER_CAPTURE, fallback=True)
        for profile_id in profile_ids
    ]


@lru_cache(maxsize=1)
def placeholder_url() -> str:
    """Return the placeholder as a ``data:`` URL: it works whatever is down."""
    return f"data:image/webp;base64,{base64.b64encode(placeholder_bytes()).decode()}"


def _read_decisions(response: Response, profile_ids: Sequence[str]) -> list[Decision]:
    """Return the decisions; raise AskAgain where another attempt may help, Problem where none will."""
    if response.status in BUSY:
        raise AskAgain("busy", f"status {response.status}")
    raise_for(response)
    kind = "not_nightlight"
    try:
        decisions = [_decision(item) for item in response.json()["items"]]
    except (ValueError, KeyError, TypeError) as error:
        raise AskAgain(kind, f"{response.description}: {type(error).__name__}") from error
    if [decision.profile_id for decision in decisions] != profile_ids:
        raise AskAgain(kind, f"{response.description}: other profiles than were asked for")
    return decisions


def _decision(item: Any) -> Decision:
    """Return the decision of one item; raises like ``Decision.read``, in a fifth of its time."""
    if not isinstance(item, dict):
        raise ValueError("an item is no object")  # noqa: TRY004 - what came is wrong, not how this is called
    # An earlier service does not say whether it may be captured: then it may not.
    capture = item.get("capture", PLACEHOLDER_CAPTURE)
    values = item["profile_id"], item["url"], item["expires_at"], item["blurhash"], capture
    if tuple(map(type, values)) != _DECISION:
        raise ValueError("a member of an item has another type")
    return Decision(*values)


_DECISION = (str, str, int, str, str)
