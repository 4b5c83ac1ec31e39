"""Decides inside the platform's own process, by the same code and the same signed policy as the service.

::

    keys = PublicKeys.read(Path("publisher.jwks.json"))
    with LocalClient(client, keys, Terms(relation_keys=relation_keys)) as local:
        decisions = local.decide("peer", "list", [("u-81", "connection", proof), ("u-82", "stranger")], viewer_id="u-7")

A thread of its own reads the feed of changes; what is asked for the first time is fetched, everything else is decided
without a network. What cannot be decided here (too many blocks to hold, no signed policy yet) is asked of the service.

========================================  ==============================================================
the feed or the policy was last known      decisions
========================================  ==============================================================
up to ``stale_s`` ago                      as the service decides
up to ``outsider_s`` ago                   as for a stranger: the outsider tier at most
longer ago, or never                       the placeholder
========================================  ==============================================================

``pip install nightlight[local]``
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from types import TracebackType
from typing import TYPE_CHECKING, Self

from nightlight_client.local_feed import FAILURES, Borrowed
from nightlight_client.models import Decision
from nightlight_client.paths import part
from nightlight_client.requests import fallback
from nightlight_core.decisions.quotas import Asker
from nightlight_core.decisions.rate_limiter import CANARY, Noted, Sighting
from nightlight_core.decisions.relation_proofs import BLOCKED, LEEWAY_S, STRANGER
from nightlight_core.decisions.relation_resolver import Claim, Relate
from nightlight_core.errors import InvalidInput, QuotasUnavailable, Unavailable

if TYPE_CHECKING:
    from nightlight_client.client import NightlightClient
    from nightlight_client.local_feed import Lent, LocalRules
    from nightlight_client.requests import Items
    from nightlight_core.decisions.engine import Decision as Decided
    from nightlight_core.decisions.profile_views import View
    from nightlight_core.decisions.quotas import Quotas
    from nightlight_core.policy.public_keys import PublicKeys

MAX_ITEMS = 500
_REPORT_S, _MOST_SEEN = 10.0, 1000
# The service takes 10,000 in one report.
_MOST_CELLS = 5_000


@dataclass(frozen=True, slots=True)
class Terms:
    """How a process decides by itself.

    ``relation_keys`` check relation proofs; without them everybody is a stranger. ``vouches`` says that this process
    keeps the social graph: what it says of relations counts without proofs, so it must never be what a viewer says.
    ``leeway_s`` is how far the clocks of those who sign proofs may be from this one, as the service is told.
    ``quotas`` keeps quotas together with other processes; unset, this process keeps its own. ``views`` is how many
    profiles are kept, some 4 kB each.
    """

    relation_keys: Mapping[str, bytes] = field(default_factory=dict, repr=False)
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
        self._client, self._clock = client, clock
        self._borrowed = Borrowed(client, publisher_keys, quotas=terms.quotas, most=terms.views, stale_s=terms.stale_s)
        self._relate = Relate(terms.relation_keys, None, leeway_s=terms.leeway_s, vouches=terms.vouches)
        self._noted, self._counting = Noted(), threading.Lock()
        self._counts: Counter[str] = Counter()
        self._seen: list[Sighting] = []
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        """Look once, and begin to read the feed."""
        self.look()
        self._thread = threading.Thread(target=self._run, name="nightlight-local", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """Stop reading, and tell what was counted."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(5.0)
        self.report()

    @property
    def age_s(self) -> float:
        """Return the seconds since what is known was last known to be so."""
        return self._borrowed.views.age_s

    @property
    def problem(self) -> str | None:
        """Return what went wrong with the last call to the service, if anything."""
        return self._borrowed.problem

    def look(self) -> bool:
        """Read the feed once; return whether that was possible."""
        return self._borrowed.look()

    def decide(
        self,
        viewer: str,
        context: str,
        items: Items,
        *,
        viewer_id: str | None = None,
        network: str | None = None,
    ) -> list[Decision]:
        """Return one decision for each (profile id, relation, proof), in order; at most 500.

        As the service's own: see ``NightlightClient.decide``. Raises InvalidInput for a viewer or context that is no
        word of the policy's vocabulary, and InvalidId for a viewer or network that the service would refuse.
        """
        for name, value in (("viewer_id", viewer_id), ("network", network)):
            if value is not None:
                part(name, value)
        claims = [Claim(*item) for item in items]
        rules, lent = self._borrowed.rules, self._borrowed.lent
        if rules is None or lent is None:
            return self._asked(viewer, context, claims, viewer_id, network)
        for name, word in (("viewer", viewer), ("context", context)):
            if word not in rules.table.attributes.get(name, ()):
                message = f"{name} must be one of {', '.join(rules.table.attributes.get(name, ()))}"
                raise InvalidInput(message, pointer=f"/{name}")
        if len(claims) > MAX_ITEMS:
            message = f"at most {MAX_ITEMS} items"
            raise InvalidInput(message, pointer="/items")
        age = self.age_s
        if age >= self._terms.outsider_s:
            return fallback([claim.profile_id for claim in claims])
        views = self._borrowed.found([claim[0] for claim in claims])
        if viewer_id is not None and any(view.blocked is None for view in views):
            return self._asked(viewer, context, claims, viewer_id, network)
        asker = Asker(viewer_id, network, self._terms.tenant)
        try:
            words = viewer, context
            decided = self._decided(rules, lent, words, claims, views, asker, outsider=age >= self._terms.stale_s)
        except Unavailable:  # no key for the day: it was not fetched in time
            return fallback([claim.profile_id for claim in claims])
        given: list[Decision] = [_shaped(one) if one.shaped is None else one.shaped for one in decided]
        return given

    def report(self) -> None:
        """Tell the service what was decided, and who looked like a scraper; what it does not take is kept."""
        with self._counting:
            counts, self._counts = self._counts, Counter()
            seen, self._seen = self._seen, []
        try:
            while counts or seen:
                part = dict(islice(counts.items(), _MOST_CELLS))
                self._client.report(part, [one._asdict() for one in seen])
                counts, seen = counts - Counter(part), []
        except FAILURES as error:
            self._borrowed.failed(error)
            with self._counting:
                self._counts.update(counts)
                self._seen = (seen + self._seen)[-_MOST_SEEN:]

    def _decided(
        self,
        rules: LocalRules,
        lent: Lent,
        words: tuple[str, str],
        claims: Sequence[Claim],
        views: Sequence[View],
        asker: Asker,
        *,
        outsider: bool,
    ) -> list[Decided]:
        moment = self._clock()
        now = int(moment)
        viewer_id = asker.viewer_id
        blocked = {view.profile_id for view in views if view.blocked and viewer_id in view.blocked}
        settled = self._relate.settle(viewer_id, claims, blocked, now=now, revoked=[view.revoked for view in views])
        relations = [one[0] for one in settled]
        if outsider:
            relations = [BLOCKED if one == BLOCKED else STRANGER for one in relations]
        answers = lent.decider.answers(rules, *words, views, relations, now=now)
        counted = [one.counted[0] for one in answers if one.counted is not None]
        with self._counting:
            self._counts.update(counted)
        ids = [claim[0] for claim in claims]
        wanted = [one.wanted for one in answers if one.wanted is not None]
        if any(view.canary for view in views):
            self._note(asker, CANARY)
        try:
            allowed, looks_like = lent.gate.allowed(asker, ids, wanted, now_us=int(moment * 1e6)) if ids else ([], None)
        except QuotasUnavailable:
            allowed, looks_like = [False] * len(wanted), None
        if looks_like is not None:
            self._note(asker, looks_like)
        return lent.decider.given(answers, allowed, viewer_id, now=now)

    def _asked(
        self, viewer: str, context: str, claims: Sequence[Claim], viewer_id: str | None, network: str | None
    ) -> list[Decision]:
        return self._client.decide(viewer, context, claims, viewer_id=viewer_id, network=network)

    def _note(self, asker: Asker, reason: str) -> None:
        fresh = self._noted.fresh(asker, reason)
        with self._counting:
            self._seen = [*self._seen, *fresh][-_MOST_SEEN:]

    def _run(self) -> None:
        reported = time.monotonic()
        while not self._stop.wait(self._terms.poll_s):
            self.look()
            if time.monotonic() - reported > _REPORT_S:
                reported = time.monotonic()
                self.report()


def _shaped(one: Decided) -> Decision:
    shaped = Decision(profile_id=one.profile_id, url=one.url, expires_at=one.expires_at, blurhash=one.blurhash)
    one.shaped = shaped
    return shaped
