"""What a process knows of the local evaluation feed: views of profiles, the policy, and the keys of the day."""

from __future__ import annotations

import base64
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from nightlight_client.errors import NotNightlight, Problem, ServiceUnreachable
from nightlight_client.local_policy import PoliciesInUse, PolicyInForce
from nightlight_client.options import key_map
from nightlight_core.decisions.abuse_signals import AbuseSignalBuffer
from nightlight_core.decisions.answers import AnswerBuilder
from nightlight_core.decisions.engine import DecisionEngine, FoundViews, blocked_by
from nightlight_core.decisions.profile_views import AvailableRendition, ProfileView, ProfileViewCache
from nightlight_core.decisions.quotas import InProcess, Limits
from nightlight_core.decisions.rate_limiter import RateLimiter
from nightlight_core.decisions.relation_resolver import RelationResolver
from nightlight_core.decisions.url_signing import DAY_S, DelegatedDayKeys, HmacUrlSigner
from nightlight_core.errors import PolicyRefused
from nightlight_core.ids import is_profile_id
from nightlight_core.policy.bundle import open_bundle
from nightlight_core.policy.dates import Timeline
from nightlight_core.policy.table import UNKNOWN_TABLE
from nightlight_core.policy.tier import TierRecipe

if TYPE_CHECKING:
    from nightlight_client.client import NightlightClient
    from nightlight_client.local_client import Terms
    from nightlight_client.local_policy import LocalPolicy
    from nightlight_core.decisions.answers import Answer
    from nightlight_core.policy.public_keys import PublicKeys
    from nightlight_core.policy.table import Table

# What can go wrong with an answer of the service: each leaves things as they were.
FAILURES = (Problem, PolicyRefused, ServiceUnreachable, ValueError, KeyError, TypeError, AttributeError)
# Delegated keys are fetched again after so long.
_KEYS_S = 3600.0
_MOST_SIGNALS = 1000


class LocalTallies:
    """Counts of decisions by combination, until they are reported. Safe to share between threads."""

    def __init__(self) -> None:
        """Begin with none."""
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()

    def count(self, answers: Sequence[Answer]) -> None:
        """Count the answers of one request."""
        cells = [answer.tally[0] for answer in answers if answer.tally is not None]
        with self._lock:
            self._counts.update(cells)

    def drain(self) -> Counter[str]:
        """Return the counts, and begin anew."""
        with self._lock:
            counts, self._counts = self._counts, Counter()
        return counts

    def restore(self, counts: Counter[str]) -> None:
        """Add drained counts again."""
        with self._lock:
            self._counts.update(counts)


class LocalEvaluationState:
    """Keeps views, policy and keys, and keeps them true. Safe to share between threads."""

    def __init__(
        self, client: NightlightClient, publisher_keys: PublicKeys, terms: Terms, clock: Callable[[], float]
    ) -> None:
        """Know of nothing yet; ``clock`` returns Unix seconds."""
        self._client, self._publisher, self._clock, self._quotas = client, publisher_keys, clock, terms.quotas
        self._relations = RelationResolver(
            key_map(terms.relation_keys), None, leeway_s=terms.leeway_s, vouches=terms.vouches
        )
        self.tallies, self.signals = LocalTallies(), AbuseSignalBuffer(most=_MOST_SIGNALS)
        self.views = ProfileViewCache(most=terms.views, stale_s=terms.stale_s)
        self._in_force = PolicyInForce(clock)
        self.engine: DecisionEngine | None = None
        self.problem: str | None = None
        # By version, so that each bundle is fetched and verified once; and the highest version that was in use.
        self._tables: dict[int, Timeline[Table]] = {}
        self._highest = 0
        self._keys_at = float("-inf")
        self._cursor: str | None = None
        self._lock = threading.Lock()

    @property
    def policy(self) -> LocalPolicy | None:
        """Return the policy that decides now, None as long as none is known."""
        return self._in_force.now()

    def poll(self) -> bool:
        """Read the feed once; what went wrong, if anything, is in ``problem``, and what was known stays."""
        with self._lock:
            began = time.monotonic()
            try:
                page = self._client.feed(self._cursor)
                cursor, reset = str(page["cursor"]), bool(page["reset"])
                changed = [str(profile_id) for profile_id in page["changed"]]
                in_use = self._policies_of(page)
                if began - self._keys_at > _KEYS_S:
                    self.engine, self._keys_at = self._engine(), began
            except FAILURES as error:
                self.failed(error)
                return False
            policy = self.policy
            reset = reset or policy is None or policy.revision != in_use.revision
            self.problem = None
            again = [] if reset else self._read_again(changed, in_use.revision)
            self.views.polled(began, changed, reset=reset, again=again)
            self._in_force.use(in_use)
            self._cursor = cursor
            return True

    def views_of(self, profile_ids: Sequence[str]) -> list[ProfileView]:
        """Return a view of each profile: from memory, or from the service; unknown where it does not answer in time.

        While the feed cannot be read the service is not asked: nobody's answer waits for it.
        """
        cached = self.views.find(profile_ids)
        missing = list(
            dict.fromkeys(profile_id for profile_id, view in zip(profile_ids, cached, strict=True) if view is None)
        )
        if not missing:
            return [view for view in cached if view is not None]
        # Nobody knows of what can be no profile's id.
        missing = [profile_id for profile_id in missing if is_profile_id(profile_id)]
        read: dict[str, ProfileView] = {}
        ticket = self.views.ticket()
        policy = self.policy
        if missing and policy is not None and self.views.fresh:
            read = {view.profile_id: view for view in self._read(missing, policy.revision)}
            self.views.keep(ticket, read.values())
        return [
            view if view is not None else read.get(profile_id) or ProfileView(profile_id)
            for profile_id, view in zip(profile_ids, cached, strict=True)
        ]

    def _read_again(self, changed: Sequence[str], revision: int) -> list[ProfileView]:
        """Return the views that have changed as they are now, with what was answered by them answered again."""
        old = self.views.changed(changed)
        again = self._read([view.profile_id for view in old], revision) if old else []
        if self.engine is not None and again:
            now = int(self._clock())
            for before, view in zip(old, again, strict=True):
                self.engine.builder.answer_again(before, view, now=now)
        return again

    def _read(self, profile_ids: Sequence[str], revision: int) -> list[ProfileView]:
        """Return a view of each profile from the service, or none at all where it does not answer in time.

        There is none either where another policy is in use than that of ``revision``: the next poll will tell of it.
        """
        try:
            answer = self._client.views(profile_ids)
            views = answer["profiles"] if answer["revision"] == revision else []
            if [fields["profile_id"] for fields in views] == profile_ids:
                return [_view(fields) for fields in views]
        except FAILURES as error:
            self.failed(error)
        return []

    def failed(self, error: Exception) -> None:
        """Note what went wrong, unless the client has: it counts the calls that do not reach the service."""
        self.problem = f"{type(error).__name__}: {error}"
        if not isinstance(error, NotNightlight | ServiceUnreachable):
            self._client.failures.note_error(error)

    def _policies_of(self, page: Mapping[str, Any]) -> PoliciesInUse:
        """Return the policies that the feed names; their bundles are fetched, and verified, once."""
        active, candidate, previous = page["active"], page["candidate"], page.get("previous")
        if active is None:
            raise PolicyRefused("no signed policy bundle is active (nightlight policy activate)")
        if active < self._highest:
            raise PolicyRefused(f"version {active} is older than {self._highest}, which was in use")
        tables = {version: self._table(version) for version in (active, candidate) if version is not None}
        if previous is not None:
            try:
                tables[previous] = self._table(previous)
            except PolicyRefused as error:  # of another publisher, say: what is in use must not wait for it
                self.problem = f"version {previous}, which was in use before: {error}"
        self._tables, self._highest = tables, active
        earlier = tables.get(previous) if previous is not None else None
        if earlier is None and page.get("has_previous"):
            earlier = Timeline(UNKNOWN_TABLE)
        since = page.get("activated_at")
        activated_at = None if since is None else float(since)
        return PoliciesInUse(tables[active], tables.get(candidate), earlier, page["revision"], activated_at)

    def _table(self, version: int) -> Timeline[Table]:
        table = self._tables.get(version)
        if table is not None:
            return table
        bundle = open_bundle(self._client.bundle_in_use(version), self._publisher)
        if bundle.version != version:
            raise PolicyRefused(f"bundle {version} says that it is {bundle.version}")
        return bundle.timeline

    def _engine(self) -> DecisionEngine:
        """Return an engine with the keys of today; quotas that this process keeps go on."""
        keys = self._client.delegated_keys()
        days = {int(day): base64.b64decode(key, validate=True) for day, key in keys["days"].items()}
        # A service of before says nothing of a longest life; then it is a day.
        max_life_s = int(keys.get("max_life_s", DAY_S))
        signer = HmacUrlSigner(DelegatedDayKeys(keys["signing_id"], days), keys["base_url"], max_life_s=max_life_s)
        variant_key = base64.b64decode(keys["variant_key"], validate=True)
        builder = AnswerBuilder(signer, variant_key, keys["placeholder"], int(keys["placeholder_cache_s"]), max_life_s)
        quotas = self._quotas or (self.engine.limiter.quotas if self.engine else None)
        quotas = quotas or InProcess(Limits(int(keys["network_per_hour"]), int(keys["tenant_per_hour"])))
        limiter = RateLimiter(quotas, int(keys["profiles_per_hour"]))
        return DecisionEngine(builder, self._relations, limiter, self.signals, self.tallies, self._clock)


@dataclass(frozen=True, slots=True)
class FeedViews:
    """Views from the local evaluation feed; ``strangers_only`` while it was not read lately enough."""

    state: LocalEvaluationState
    strangers_only: bool

    def find(self, viewer_id: str | None, profile_ids: Sequence[str]) -> FoundViews | None:
        """Return a view of each profile; None where one has more blocks than a view holds."""
        views = self.state.views_of(profile_ids)
        if viewer_id is not None and any(view.blocked is None for view in views):
            return None
        return FoundViews(views, blocked_by(viewer_id, views), self.strangers_only)


@lru_cache(maxsize=1024)
def _recipe(*fields: tuple[str, Any]) -> TierRecipe:
    """Return a recipe by its fields: views are many and recipes few."""
    return TierRecipe(**dict(fields))


def _view(answer: Mapping[str, Any]) -> ProfileView:
    fields = dict(answer)
    # A service that tells nothing of this is one that cannot take proofs back: nothing is decided by its views here.
    fields["revoked"] = {str(viewer_id): int(moment) for viewer_id, moment in answer["revoked"].items()}
    fields["blocked"] = frozenset(answer["blocked"]) if answer["blocked"] is not None else None
    fields["available"] = {
        tier: tuple(
            AvailableRendition(rendition["path"], rendition["edge"], _recipe(*rendition["recipe"].items()))
            for rendition in variants
        )
        for tier, variants in answer["available"].items()
    }
    return ProfileView(**fields)
