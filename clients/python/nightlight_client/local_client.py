"""Decides inside the platform's own process, by the same engine and the same signed policy as the service.

::

    keys = PublicKeys.read(Path("publisher.jwks.json"))
    with LocalClient(client, keys, Terms(relation_keys=relation_keys)) as local:
        decisions = local.decide("peer", "list", [("u-81", "connection", proof), ("u-82", "stranger")], viewer_id="u-7")

A thread of its own polls the local evaluation feed. Profiles that are asked for the first time are fetched; everything
else is decided without a network. What cannot be decided here (too many blocks to hold, no signed policy yet) is asked
of the service.

========================================  ==============================================================
the feed or the policy was last known      decisions
========================================  ==============================================================
up to ``stale_s`` ago                      as the service decides
up to ``outsider_s`` ago                   as for a stranger: the outsider tier at most
longer ago, or never                       the placeholder
========================================  ==============================================================

``pip install 'nightlight-client[local]'``
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from types import TracebackType
from typing import TYPE_CHECKING, Self

from nightlight_client.errors import problem_of
from nightlight_client.local_feed import FAILURES, FeedViews, LocalEvaluationState
from nightlight_client.models import Decision
from nightlight_client.paths import part
from nightlight_client.requests import fallback
from nightlight_core.decisions.engine import DecisionRequest, check
from nightlight_core.decisions.quotas import Requester
from nightlight_core.decisions.relation_proofs import LEEWAY_S
from nightlight_core.decisions.relation_resolver import Claim
from nightlight_core.errors import InvalidInput, Unavailable

if TYPE_CHECKING:
    from nightlight_client.client import NightlightClient
    from nightlight_client.requests import Items
    from nightlight_core.decisions.answers import SignedDecision as EngineDecision
    from nightlight_core.decisions.quotas import Quotas
    from nightlight_core.policy.public_keys import PublicKeys

_REPORT_S = 10.0
# The service takes 10,000 in one report.
_MOST_CELLS = 5_000


@dataclass(frozen=True, slots=True)
class Terms:
    """How a process decides by itself.

    ``relation_keys`` check relation proofs, as the text of the service's ring or by id; without them everybody is a
    stranger. ``vouches`` says that this process
    keeps the social graph: what it says of relations counts without proofs, so it must never be what a viewer says.
    ``leeway_s`` is how far the clocks of those who sign proofs may be from this one, as the service is told.
    ``quotas`` keeps quotas together with other processes; unset, this process keeps its own. ``views`` is how many
    profiles are kept, some 4 kB each.
    """

    relation_keys: str | Mapping[str, bytes] | None = field(default=None, repr=False)
    vouches: bool = False
    tenant: str = "local"
    leeway_s: int = LEEWAY_S
    quotas: Quotas | None = None
    views: int = 100_000
    poll_s: float = 0.5
    stale_s: float = 5.0
    outsider_s: float = 600.0


class LocalClient:
    """Decides in this process. Safe to share between threads; start it after a fork, and close it."""

    def __init__(
        self,
        client: NightlightClient,
        publisher_keys: PublicKeys,
        terms: Terms | None = None,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Decide by bundles that ``publisher_keys`` signed, and by what ``client`` (scope ``local``) is told."""
        self._terms = terms = terms or Terms()
        self._client = client
        self._state = LocalEvaluationState(client, publisher_keys, terms, clock)
        self._tallies, self._signals = self._state.tallies, self._state.signals
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        """Poll once, and begin to poll the feed."""
        self.poll()
        self._thread = threading.Thread(target=self._run, name="nightlight-local", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """Stop polling, and report what was counted."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(5.0)
        self.report()

    @property
    def age_s(self) -> float:
        """Return the seconds since what is known was last known to be so."""
        return self._state.views.age_s

    @property
    def problem(self) -> str | None:
        """Return what went wrong with the last call to the service, if anything."""
        return self._state.problem

    def poll(self) -> bool:
        """Read the feed once; return whether that was possible."""
        return self._state.poll()

    def decide(
        self,
        viewer: str,
        context: str,
        items: Items,
        *,
        viewer_id: str | None = None,
        network: str | None = None,
        at_most: str | None = None,
        consistency: str | None = None,
    ) -> list[Decision]:
        """Return one decision for each (profile id, relation[, proof[, at_most]]), in order; at most 500.

        As the service's own: see ``NightlightClient.decide``. With ``consistency`` the service is asked: it waits for
        that change. Raises Problem for a viewer or context that is no word of the policy's vocabulary or for too many
        items, and InvalidId for a viewer or network that the service would refuse.
        """
        viewer_id = self._client.viewer_id if viewer_id is None else viewer_id
        for name, value in (("viewer_id", viewer_id), ("network", network)):
            if value is not None:
                part(name, value)
        claims = [Claim(*item) for item in items]
        policy, engine = self._state.policy, self._state.engine
        asked = partial(
            self._client.decide, viewer, context, claims, viewer_id=viewer_id, network=network, at_most=at_most
        )
        if policy is None or engine is None or consistency is not None:
            return asked(consistency=consistency)
        requester = Requester(viewer_id, network, self._terms.tenant)
        request = DecisionRequest(viewer, context, claims, requester, at_most)
        age_s = self.age_s
        try:
            if age_s >= self._terms.outsider_s:
                check(policy.table, request)
                return fallback([claim.profile_id for claim in claims])
            views = FeedViews(self._state, strangers_only=age_s >= self._terms.stale_s)
            decisions = engine.decide(policy, request, views)
        except Unavailable:  # no key for the day: it was not fetched in time
            return fallback([claim.profile_id for claim in claims])
        except InvalidInput as refused:  # as the service's own refusal
            raise problem_of(refused) from refused
        if decisions is None:
            return asked()
        return [decision.representation or _represented(decision) for decision in decisions]

    def report(self) -> None:
        """Tell the service what was decided, and who looked like a scraper; what it does not take is kept."""
        counts, signals = self._tallies.drain(), self._signals.drain()
        try:
            while counts or signals:
                part = dict(islice(counts.items(), _MOST_CELLS))
                self._client.report(part, [signal._asdict() for signal in signals])
                counts, signals = counts - Counter(part), []
        except FAILURES as error:
            self._state.failed(error)
            self._tallies.restore(counts)
            self._signals.restore(signals)

    def _run(self) -> None:
        reported = time.monotonic()
        while not self._stop.wait(self._terms.poll_s):
            self.poll()
            if time.monotonic() - reported > _REPORT_S:
                reported = time.monotonic()
                self.report()


def _represented(decision: EngineDecision) -> Decision:
    """Return the client's own model of a decision, kept for the next call."""
    represented = Decision(
        profile_id=decision.profile_id,
        url=decision.url,
        expires_at=decision.expires_at,
        blurhash=decision.blurhash,
        capture=decision.capture,
    )
    decision.representation = represented
    return represented
