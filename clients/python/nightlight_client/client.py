"""The HTTP client: one connection pool, bounded timeouts, typed answers, problems as exceptions."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Self, TypeVar

from nightlight_client.base_client import BaseClient
from nightlight_client.exchanges import HttpAttempt, Pause, Steps
from nightlight_client.models import Decision, Image, Trace
from nightlight_client.requests import (
    Items,
    Request,
    decisions,
    images,
    local_evaluation,
    policies,
    profiles,
    traces,
)
from nightlight_client.responses import Response
from nightlight_client.transport import SyncTransport

if TYPE_CHECKING:
    import httpx

T = TypeVar("T")


class NightlightClient(BaseClient[SyncTransport]):
    """Speaks to one Nightlight service. Safe to share between threads; close it, or use it as a context."""

    _transport_class = SyncTransport

    def __enter__(self) -> Self:
        """Return the client."""
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def send(self, request: Request[T], *, budget_s: float | None = None) -> T:
        """Send a request, and return what its answer holds; for a route that has no method here.

        Raises Problem for a refusal, NotNightlight for an answer that is not the service's, httpx.HTTPError for none.
        """
        return self._taken(self._steps(request, budget_s))

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
        return self.send(
            decisions.decide(self._question(viewer, context, items, viewer_id, network)), budget_s=budget_s
        )

    def explain(self, viewer: str, context: str, items: Items, *, viewer_id: str | None = None) -> dict[str, Any]:
        """Return the policy digest and why each item is answered as it is; for operators."""
        return self.send(decisions.explain(self._question(viewer, context, items, viewer_id)))

    def fetch(self, url: str) -> httpx.Response:
        """Fetch a decision's URL as a viewer would: without a token."""
        return self._transport.fetch(url)

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
        self.send(
            profiles.declare(
                profile_id,
                band=band,
                assurance=assurance,
                region=region,
                choice=choice,
                earlier_pictures=earlier_pictures,
            )
        )

    def delete_profile(self, profile_id: str) -> None:
        """Delete a profile and all its images."""
        self.send(profiles.delete(profile_id))

    def set_report_flag(self, profile_id: str, report_flag: str) -> None:
        """Hide a reported profile's picture (``reported``) or show it again (``clear``)."""
        self.send(profiles.set_report_flag(profile_id, report_flag))

    def revoke(self, profile_id: str) -> None:
        """Revoke every URL that was given out of a profile's pictures."""
        self.send(profiles.revoke(profile_id))

    def plant(self, profile_id: str) -> None:
        """Make a canary of a profile: whoever asks for it from now on is noted as a scraper."""
        self.send(profiles.plant(profile_id))

    def block(self, profile_id: str, viewer_id: str) -> None:
        """Keep a viewer from seeing a profile, whatever else is said of the two."""
        self.send(profiles.block(profile_id, viewer_id))

    def unblock(self, profile_id: str, viewer_id: str) -> None:
        """Take a block away."""
        self.send(profiles.unblock(profile_id, viewer_id))

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
        return self.send(images.upload(profile_id, picture, idempotency_key=idempotency_key, crop=crop))

    def image(self, image_id: str) -> Image:
        """Return how an upload is getting on."""
        return self.send(images.image(image_id))

    def wait(self, image_id: str, *, timeout_s: float = 60.0) -> Image:
        """Return the image once it is no longer pending; raise TimeoutError if it still is after ``timeout_s``."""
        return self._taken(self._image_steps(image_id, timeout_s))

    def receipts(self, image_id: str) -> list[dict[str, str]]:
        """Return the signed receipts of an image's erasure: `nightlight receipt verify` opens them."""
        return self.send(images.receipts(image_id))

    def delete_image(self, image_id: str) -> None:
        """Delete one image."""
        self.send(images.delete(image_id))

    def trace(self, copy: IO[bytes] | bytes, *, keep: bool = False) -> Trace:
        """Ask where a found copy comes from; it is deleted when the trace ends unless ``keep``."""
        return self.send(traces.trace(copy, keep=keep))

    def trace_status(self, trace_id: str) -> Trace:
        """Return how far a trace is, and what came of it."""
        return self.send(traces.status(trace_id))

    def wait_trace(self, trace_id: str, *, timeout_s: float = 60.0) -> Trace:
        """Return the trace once it is no longer pending; raise TimeoutError if it still is after ``timeout_s``."""
        return self._taken(self._trace_steps(trace_id, timeout_s))

    def delete_trace(self, trace_id: str) -> None:
        """Forget what a trace led back to, and delete its copy."""
        self.send(traces.delete(trace_id))

    def feed(self, after: str | None = None) -> dict[str, Any]:
        """Return what has changed since a cursor; for LocalClient, like what follows (scope ``local``)."""
        return self.send(local_evaluation.feed(after))

    def views(self, profile_ids: Sequence[str]) -> dict[str, Any]:
        """Return what decisions need of up to 500 profiles; raises httpx.TimeoutException after the client's budget."""
        return self.send(local_evaluation.views(profile_ids))

    def delegated_keys(self) -> dict[str, Any]:
        """Return the keys that URLs of today and tomorrow are signed with."""
        return self.send(local_evaluation.keys())

    def bundle_in_use(self, version: int) -> bytes:
        """Return the bytes of a policy bundle that is in use."""
        return self.send(local_evaluation.bundle(version))

    def report(self, counts: Mapping[str, int], abuse_signals: Sequence[Mapping[str, str]]) -> None:
        """Report how often each combination was decided elsewhere, and who looked like a scraper."""
        self.send(local_evaluation.report(counts, abuse_signals))

    def policy_status(self) -> dict[str, Any]:
        """Return the active policy and the candidate; for operators, like what follows (scope ``policy``)."""
        return self.send(policies.status())

    def policy_bundle(self, known: str | None = None) -> tuple[str, bytes] | None:
        """Return (ETag, bytes) of the active bundle; None if it is still ``known``, or no bundle is active."""
        return self.send(policies.active_bundle(known))

    def policy_version(self, version: int) -> bytes:
        """Return the bytes of a bundle that was activated before."""
        return self.send(policies.bundle(version))

    def activate(self, bundle: bytes, approval: policies.Approval | None = None) -> dict[str, Any]:
        """Activate a policy bundle for everybody; return its version, digest and difference."""
        return self.send(policies.activate(bundle, approval))

    def candidate(
        self, bundle: bytes, approval: policies.Approval | None = None, *, permille: int = 0
    ) -> dict[str, Any]:
        """Watch a candidate without effect (``permille`` 0), or let it decide for that share of profiles."""
        return self.send(policies.candidate(bundle, approval, permille=permille))

    def withdraw_candidate(self) -> None:
        """Take the candidate away."""
        self.send(policies.withdraw_candidate())

    def withdraw_version(self, version: int) -> None:
        """Keep a version from being activated again without a new approval."""
        self.send(policies.withdraw_version(version))

    def policy_counters(self, days: int = 7) -> dict[str, Any]:
        """Return how often each combination was decided."""
        return self.send(policies.counters(days))

    def explain_policy(self, given: Mapping[str, str]) -> dict[str, Any]:
        """Return why one combination is answered as it is under the active policy."""
        return self.send(policies.explain(given))

    def _taken(self, steps: Steps[T]) -> T:
        """Take the steps of a call one after another; return what they come to."""
        try:
            step = next(steps)
            while True:
                try:
                    response = self._take(step)
                except Exception as error:  # noqa: BLE001 - the steps say what an error means
                    step = steps.throw(error)
                else:
                    step = steps.send(response)
        except StopIteration as end:
            result: T = end.value
            return result

    def _take(self, step: HttpAttempt | Pause) -> Response | None:
        if isinstance(step, Pause):
            time.sleep(step.seconds)
            return None
        return self._transport.send(step, self._headers(step))
