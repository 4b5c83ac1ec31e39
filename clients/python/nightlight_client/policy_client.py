"""Calls about policies: for operators (scope ``policy``), and the bundle for whoever decides by it."""

from __future__ import annotations

import base64
from typing import Any

import httpx

from nightlight_client import paths
from nightlight_client.connection import Connection
from nightlight_client.models import NotNightlight, Problem


class PolicyCalls(Connection):
    """What is active, what is a candidate, activation, counters."""

    def policy_status(self) -> dict[str, Any]:
        """Return which policy is active and which is a candidate; for operators."""
        status: dict[str, Any] = self._call("GET", "/v1/policy")
        return status

    def policy_bundle(self, known: str | None = None) -> tuple[str, bytes] | None:
        """Return (ETag, bytes) of the active bundle; None if it is still ``known``, or no bundle is active."""
        headers = {"If-None-Match": known} if known else {}
        try:
            answer = self._fetched("/v1/policy/bundle", **headers)
        except NotNightlight:
            raise
        except Problem as problem:
            if problem.status == httpx.codes.NOT_FOUND:
                return None
            raise
        return None if answer.status_code == httpx.codes.NOT_MODIFIED else (answer.headers["etag"], answer.content)

    def policy_version(self, version: int) -> bytes:
        """Return the bytes of a bundle that was activated before; for operators."""
        return self._fetched(paths.path("/v1/policy/bundle/{version}", version=version)).content

    def activate(self, bundle: bytes, approval: dict[str, str | int] | None = None) -> dict[str, Any]:
        """Activate a policy bundle for everybody; return its version, digest and difference."""
        body = {"bundle": base64.b64encode(bundle).decode(), "approval": approval}
        activated: dict[str, Any] = self._call("POST", "/v1/policy/activate", json=body)
        return activated

    def candidate(
        self, bundle: bytes, approval: dict[str, str | int] | None = None, *, permille: int = 0
    ) -> dict[str, Any]:
        """Watch a candidate without effect (``permille`` 0), or let it decide for that share of profiles."""
        body = {"bundle": base64.b64encode(bundle).decode(), "approval": approval, "permille": permille}
        set_: dict[str, Any] = self._call("PUT", "/v1/policy/candidate", json=body)
        return set_

    def withdraw_candidate(self) -> None:
        """Take the candidate away."""
        self._call("DELETE", "/v1/policy/candidate")

    def withdraw_version(self, version: int) -> None:
        """Let a version never be activated, and never be brought back without a new approval."""
        self._call("DELETE", paths.path("/v1/policy/bundle/{version}", version=version))

    def policy_counters(self, days: int = 7) -> dict[str, Any]:
        """Return how often each combination was decided."""
        counters: dict[str, Any] = self._call("GET", "/v1/policy/counters", params={"days": days})
        return counters

    def explain_policy(self, given: dict[str, str]) -> dict[str, Any]:
        """Return why one combination is answered as it is under the active policy."""
        explained: dict[str, Any] = self._call("POST", "/v1/policy/explain", json={"given": given})
        return explained
