"""Requests of a process that decides by itself (scope ``local``): the feed, views, keys, bundles, its own report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nightlight_client import paths
from nightlight_client.requests.http_request import Request, Retry
from nightlight_client.responses import read_bundle, read_json, read_nothing


def feed(after: str | None) -> Request[dict[str, Any]]:
    """Build the question of what has changed since a cursor."""
    return Request(method="GET", path="/v1/feed", params={"after": after} if after else {}, read=read_json)


def views(profile_ids: Sequence[str]) -> Request[dict[str, Any]]:
    """Build the question for what decisions need of up to 500 profiles; a decision waits for its answer."""
    body = {"profile_ids": list(profile_ids)}
    return Request(method="POST", path="/v1/feed/profiles", json=body, read=read_json, retry=Retry.NEVER_WITHIN_BUDGET)


def keys() -> Request[dict[str, Any]]:
    """Build the question for the keys that URLs of today and tomorrow are signed with."""
    return Request(method="GET", path="/v1/feed/keys", read=read_json)


def bundle(version: int) -> Request[bytes]:
    """Build the question for a policy bundle that is in use."""
    return Request(method="GET", path=paths.path("/v1/feed/policy/{version}", version=version), read=read_bundle)


def report(counts: Mapping[str, int], abuse_signals: Sequence[Mapping[str, str]]) -> Request[None]:
    """Build the report of what was decided elsewhere, and who looked like a scraper."""
    body = {"counts": dict(counts), "abuse_signals": list(abuse_signals)}
    return Request(method="POST", path="/v1/feed/report", json=body, read=read_nothing)
