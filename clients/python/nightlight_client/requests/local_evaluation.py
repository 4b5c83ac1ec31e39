"""Requests of a process that decides by itself (scope ``local``): the feed, views, keys, bundles, its own report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from nightlight_client import paths
from nightlight_client.requests.http_request import Request, Retry
from nightlight_client.responses import read_bundle, read_json, read_nothing


def feed(after: str | None = None) -> Request[dict[str, Any]]:
    """Return what has changed since a cursor; for LocalClient, like what follows (scope ``local``)."""
    return Request(method="GET", path="/v1/feed", params={"after": after} if after else {}, read=read_json)


def views(profile_ids: Iterable[str]) -> Request[dict[str, Any]]:
    """Return what decisions need of up to 500 profiles; raises ServiceUnreachable after the client's budget."""
    body = {"profile_ids": list(profile_ids)}
    return Request(method="POST", path="/v1/feed/profiles", json=body, read=read_json, retry=Retry.NEVER_WITHIN_BUDGET)


def delegated_keys() -> Request[dict[str, Any]]:
    """Return the keys that URLs of today and tomorrow are signed with."""
    return Request(method="GET", path="/v1/feed/keys", read=read_json)


def bundle_in_use(version: int) -> Request[bytes]:
    """Return the bytes of a policy bundle that is in use."""
    return Request(method="GET", path=paths.path("/v1/feed/policy/{version}", version=version), read=read_bundle)


def report(counts: Mapping[str, int], abuse_signals: Iterable[Mapping[str, str]]) -> Request[None]:
    """Report how often each combination was decided elsewhere, and who looked like a scraper."""
    body = {"counts": dict(counts), "abuse_signals": list(abuse_signals)}
    return Request(method="POST", path="/v1/feed/report", json=body, read=read_nothing)
