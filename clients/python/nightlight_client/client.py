"""The HTTP client: one connection pool, bounded timeouts, typed answers, problems as exceptions."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import IO, Any, Self, TypeVar

import httpx

from nightlight_client import paths
from nightlight_client.models import Decision, Image, Trace
from nightlight_client.policy_client import PolicyCalls
from nightlight_client.requests import TIMEOUT, Asking, Budget, Items, said


class NightlightClient(PolicyCalls):
    """Speaks to one Nightlight service. Safe to share between threads; close it, or use it as a context."""

    def __init__(
        self,
        base_url: str,
        *,
        token: str | Callable[[], str],
        relation_keys: Mapping[str, bytes] | None = None,
        viewer_id: str | None = None,
        budget_s: float = 1.0,
    ) -> None:
        """Call ``base_url`` with a bearer token, or with whatever ``token()`` returns at each call.

        ``relation_keys`` are those that the service checks relation proofs with; with them, this client vouches for
        every relation that it is given: give it what your own graph says, never what a viewer says. ``viewer_id`` looks
        where a call names nobody else. ``budget_s`` is how long decisions may take, with every attempt.
        """
        super().__init__(base_url, token)
        self._relation_keys = relation_keys or {}
        self._viewer_id, self._budget_s = viewer_id, budget_s

    def __enter__(self) -> Self:
        """Return the client."""
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        self.close()

    def declare(
        self,
        profile_id: str,
        *,
        band: str,
        assurance: str,
        region: str = "unknown",
        choice: str = "connections",
        earlier_pictures: str = "keep_ceiling",
    ) -> None:
        """Declare a profile, or assert its band again before it lapses."""
        body = {
            "band": band,
            "assurance": assurance,
            "region": region,
            "choice": choice,
            "earlier_pictures": earlier_pictures,
        }
        self._call("PUT", paths.path("/v1/profiles/{profile_id}", profile_id=profile_id), json=body)

    def upload(
        self,
        profile_id: str,
        picture: IO[bytes] | bytes,
        *,
        idempotency_key: str | None = None,
        crop: tuple[int, int, int, int] | None = None,
    ) -> Image:
        """Upload a profile's image; when this returns it is safely stored and will be rendered.

        ``crop`` is the owner's own: left, top, width and height in pixels of the upright picture.
        """
        headers = paths.idempotency(idempotency_key)
        files = {"file": ("picture", picture, "application/octet-stream")}
        fields = {"crop": ",".join(map(str, crop))} if crop else {}
        answer = self._call(
            "POST",
            paths.path("/v1/profiles/{profile_id}/image", profile_id=profile_id),
            files=files,
            data=fields,
            headers=headers,
        )
        return Image.model_validate(answer)

    def image(self, image_id: str) -> Image:
        """Return how an upload is getting on."""
        return Image.model_validate(self._call("GET", paths.path("/v1/images/{image_id}", image_id=image_id)))

    def wait(self, image_id: str, *, timeout_s: float = 60.0) -> Image:
        """Return the image once it is no longer pending; raise TimeoutError if it still is after ``timeout_s``."""
        return _once_settled(lambda: self.image(image_id), f"image {image_id}", timeout_s)

    def delete_image(self, image_id: str) -> None:
        """Delete one image."""
        self._call("DELETE", paths.path("/v1/images/{image_id}", image_id=image_id))

    def receipts(self, image_id: str) -> list[dict[str, str]]:
        """Return the signed receipts of an image's erasure: `nightlight receipt verify` opens them."""
        found: list[dict[str, str]] = self._call("GET", paths.path("/v1/images/{image_id}/receipts", image_id=image_id))
        return found

    def delete_profile(self, profile_id: str) -> None:
        """Delete a profile and all its images."""
        self._call("DELETE", paths.path("/v1/profiles/{profile_id}", profile_id=profile_id))

    def hold(self, profile_id: str, hold: str) -> None:
        """Hide a reported profile's picture (``reported``) or show it again (``clear``)."""
        self._call("PUT", paths.path("/v1/profiles/{profile_id}/hold", profile_id=profile_id), json={"hold": hold})

    def decide(
        self,
        viewer: str,
        context: str,
        items: Items,
        *,
        viewer_id: str | None = None,
        network: str | None = None,
        budget_s: float | None = None,
    ) -> list[Decision]:
        """Return one decision for each (profile id, relation), in order; at most 500.

        ``viewer`` is the word for what is assured of whoever looks, ``viewer_id`` who it is, ``network`` where they
        come from, in a word of yours. Asks again, with pauses, while there is time; after ``budget_s`` seconds every
        item is the placeholder (``fallback``). Raises Problem where the request itself is refused.
        """
        asking = Asking.of(viewer, context, items, viewer_id or self._viewer_id, self._relation_keys, network)
        budget = Budget(self._budget_s if budget_s is None else budget_s)
        found = self._attempt(asking, budget)
        for wait in budget.pauses() if found is None else ():
            time.sleep(wait)
            found = self._attempt(asking, budget)
            if found is not None:
                break
        return asking.fallback() if found is None else found

    def trace(self, copy: IO[bytes] | bytes, *, keep: bool = False) -> Trace:
        """Ask where a found copy comes from; it is deleted when the trace ends unless ``keep``."""
        files = {"file": ("copy", copy, "application/octet-stream")}
        answer = self._call("POST", "/v1/traces", files=files, data={"keep": "true"} if keep else {})
        return Trace.model_validate(answer)

    def trace_status(self, trace_id: str) -> Trace:
        """Return how far a trace is, and what came of it."""
        return Trace.model_validate(self._call("GET", paths.path("/v1/traces/{trace_id}", trace_id=trace_id)))

    def wait_trace(self, trace_id: str, *, timeout_s: float = 60.0) -> Trace:
        """Return the trace once it is no longer pending; raise TimeoutError if it still is after ``timeout_s``."""
        return _once_settled(lambda: self.trace_status(trace_id), f"trace {trace_id}", timeout_s)

    def delete_trace(self, trace_id: str) -> None:
        """Forget what a trace led back to, and delete its copy."""
        self._call("DELETE", paths.path("/v1/traces/{trace_id}", trace_id=trace_id))

    def revoke(self, profile_id: str) -> None:
        """Make every URL that was given out of a profile's pictures count for nothing."""
        self._call("POST", paths.path("/v1/profiles/{profile_id}/revocations", profile_id=profile_id))

    def plant(self, profile_id: str) -> None:
        """Make a canary of a profile: whoever asks for it from now on is noted as a scraper."""
        self._call("POST", "/v1/canaries", json=paths.ids(profile_id=profile_id))

    def block(self, profile_id: str, viewer_id: str) -> None:
        """Keep a viewer from seeing a profile, whatever else is said of the two."""
        self._call("POST", "/v1/blocks", json=paths.ids(profile_id=profile_id, viewer_id=viewer_id))

    def unblock(self, profile_id: str, viewer_id: str) -> None:
        """Take a block away."""
        self._call(
            "DELETE", paths.path("/v1/blocks/{profile_id}/{viewer_id}", profile_id=profile_id, viewer_id=viewer_id)
        )

    def explain(self, viewer: str, context: str, items: Items, *, viewer_id: str | None = None) -> dict[str, Any]:
        """Return the policy digest and why each item is answered as it is; for operators."""
        body = Asking.of(viewer, context, items, viewer_id or self._viewer_id, self._relation_keys, None).body
        explained: dict[str, Any] = self._call("POST", "/v1/explain", json=body)
        return explained

    def feed(self, after: str | None = None) -> dict[str, Any]:
        """Return what has changed since a cursor; for LocalClient, like what follows (scope ``local``)."""
        told: dict[str, Any] = self._call("GET", "/v1/feed", params={"after": after} if after else {})
        return told

    def views(self, profile_ids: Sequence[str]) -> dict[str, Any]:
        """Return what decisions need of up to 500 profiles; raises httpx.TimeoutException after the budget."""
        answer = self._within("/v1/feed/profiles", {"profile_ids": list(profile_ids)}, Budget(self._budget_s))
        if answer is None:
            message = "no answer within the budget"
            raise httpx.TimeoutException(message)
        with self.failures.noting():
            told: dict[str, Any] = said(answer)
        return told

    def delegated_keys(self) -> dict[str, Any]:
        """Return the keys that URLs of today and tomorrow are signed with."""
        told: dict[str, Any] = self._call("GET", "/v1/feed/keys")
        return told

    def bundle_in_use(self, version: int) -> bytes:
        """Return the bytes of a policy bundle that is in use."""
        return self._fetched(paths.path("/v1/feed/policy/{version}", version=version)).content

    def report(self, counts: Mapping[str, int], abuse_signals: Sequence[Mapping[str, str]]) -> None:
        """Tell how often each combination was decided elsewhere, and who looked like a scraper."""
        self._call("POST", "/v1/feed/report", json={"counts": dict(counts), "abuse_signals": list(abuse_signals)})

    def fetch(self, url: str) -> httpx.Response:
        """Fetch a decision's URL as a viewer would: without a token."""
        return httpx.get(url, timeout=TIMEOUT)

    def _attempt(self, asking: Asking, budget: Budget) -> list[Decision] | None:
        answer = self._within("/v1/decisions", asking.body, budget)
        return asking.answered(answer, self.failures) if answer is not None else None


_Settling = TypeVar("_Settling", Image, Trace)


def _once_settled(ask: Callable[[], _Settling], what: str, timeout_s: float) -> _Settling:
    end = time.monotonic() + timeout_s
    while (answer := ask()).state == "pending":
        if time.monotonic() > end:
            message = f"{what} is still pending after {timeout_s:.0f} s"
            raise TimeoutError(message)
        time.sleep(0.1)
    return answer
