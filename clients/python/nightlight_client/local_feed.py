"""What the service lends a process that decides by itself: the feed, views of profiles, the policy, keys of the day."""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx

from nightlight_client.models import NotNightlight, Problem
from nightlight_client.paths import is_account
from nightlight_core.decisions.engine import Decider
from nightlight_core.decisions.profile_views import Offered, View, Views
from nightlight_core.decisions.quotas import InProcess, Limits
from nightlight_core.decisions.rate_limiter import Gate
from nightlight_core.decisions.url_signing import DAY_S, LentKeys, UrlSigner
from nightlight_core.errors import PolicyRefused
from nightlight_core.policy.bundle import open_bundle

if TYPE_CHECKING:
    from nightlight_client.client import NightlightClient
    from nightlight_core.decisions.quotas import Quotas
    from nightlight_core.policy.public_keys import PublicKeys
    from nightlight_core.policy.table import Outcome, Table

# What can go wrong with an answer of the service: each leaves things as they were.
FAILURES = (Problem, PolicyRefused, httpx.HTTPError, ValueError, KeyError, TypeError, AttributeError)
# Lent keys are fetched again after so long.
_KEYS_S = 3600.0


@dataclass(frozen=True, slots=True)
class LocalRules:
    """The policy that is in use, as the feed told of it."""

    table: Table
    candidate: Table | None
    revision: int

    def table_for(self, view: View) -> Table:
        """Return the table that decides for a profile."""
        return self.candidate if view.candidate and self.candidate is not None else self.table

    def counted(self, inputs: Mapping[str, str], _outcome: Outcome, _held_to: str | None) -> tuple[str, str | None]:
        """Return the cell that a decision is counted in."""
        return ",".join(inputs[name] for name in self.table.attributes), None


@dataclass(frozen=True, slots=True)
class Lent:
    """What URLs and quotas are kept by."""

    decider: Decider
    gate: Gate


@dataclass(slots=True)
class _Known:
    """Bundles by version, so that each is fetched and checked once."""

    tables: dict[int, Table] = field(default_factory=dict)
    highest: int = 0


class Borrowed:
    """Keeps what is lent, and keeps it true. Safe to share between threads."""

    def __init__(
        self, client: NightlightClient, publisher_keys: PublicKeys, *, quotas: Quotas | None, most: int, stale_s: float
    ) -> None:
        """Know of nothing yet; keep ``most`` views."""
        self._client, self._publisher, self._quotas = client, publisher_keys, quotas
        self.views = Views(most=most, stale_s=stale_s)
        self.rules: LocalRules | None = None
        self.lent: Lent | None = None
        self.problem: str | None = None
        self._known = _Known()
        self._keys_at = float("-inf")
        self._cursor: str | None = None
        self._lock = threading.Lock()

    def look(self) -> bool:
        """Read the feed once; what went wrong, if anything, is in ``problem``, and what was known stays."""
        with self._lock:
            began = time.monotonic()
            try:
                told = self._client.feed(self._cursor)
                cursor, changed, anew = str(told["cursor"]), [str(one) for one in told["changed"]], bool(told["anew"])
                rules = self._told_of(told)
                if began - self._keys_at > _KEYS_S:
                    self.lent, self._keys_at = self._keys(), began
            except FAILURES as error:
                self.failed(error)
                return False
            anew = anew or self.rules is None or rules.revision != self.rules.revision
            self.views.looked(began, changed, anew=anew)
            self.rules = self.rules if rules == self.rules else rules
            self._cursor, self.problem = cursor, None
            return True

    def found(self, profile_ids: Sequence[str]) -> list[View]:
        """Return a view of each profile: from memory, or from the service; unknown where it does not answer in time.

        While the feed cannot be read the service is not asked: nobody's answer waits for it.
        """
        found = self.views.find(profile_ids)
        missing = list(dict.fromkeys(one for one, view in zip(profile_ids, found, strict=True) if view is None))
        if not missing:
            return [view for view in found if view is not None]
        missing = [one for one in missing if is_account(one)]  # nobody knows of what can be no profile's id
        read: dict[str, View] = {}
        ticket = self.views.ticket()
        try:
            ask = self.views.fresh and bool(missing)
            told: dict[str, Any] = self._client.views(missing) if ask else {"revision": None}
            # Where another policy is in use since, the next look will tell of it: until then they are unknown.
            same = self.rules is not None and told["revision"] == self.rules.revision
            if same and [one["profile_id"] for one in told["profiles"]] == missing:
                read = {one["profile_id"]: _view(one) for one in told["profiles"]}
                self.views.keep(ticket, read.values())
        except FAILURES as error:
            self.failed(error)
        return [
            view if view is not None else read.get(one) or View(one)
            for one, view in zip(profile_ids, found, strict=True)
        ]

    def failed(self, error: Exception) -> None:
        """Note what went wrong, unless the client has: it counts the calls that do not reach the service."""
        self.problem = f"{type(error).__name__}: {error}"
        if not isinstance(error, NotNightlight | httpx.HTTPError):
            self._client.failures.note_error(error)

    def _told_of(self, told: Mapping[str, Any]) -> LocalRules:
        """Return the policy that the feed names; its bundles are fetched, and checked, once."""
        active, candidate = told["active"], told["candidate"]
        if active is None:
            message = "no signed policy bundle is active (nightlight policy activate)"
            raise PolicyRefused(message)
        if active < self._known.highest:
            message = f"version {active} is older than {self._known.highest}, which was in use"
            raise PolicyRefused(message)
        tables = {version: self._table(version) for version in (active, candidate) if version is not None}
        self._known.tables, self._known.highest = tables, active
        return LocalRules(tables[active], tables.get(candidate), told["revision"])

    def _table(self, version: int) -> Table:
        known = self._known.tables.get(version)
        if known is not None:
            return known
        bundle = open_bundle(self._client.lent_bundle(version), self._publisher)
        if bundle.version != version:
            message = f"bundle {version} says that it is {bundle.version}"
            raise PolicyRefused(message)
        return bundle.table

    def _keys(self) -> Lent:
        told = self._client.lent_keys()
        days = {int(day): base64.b64decode(key, validate=True) for day, key in told["days"].items()}
        # A service of before says nothing of a longest life; then it is a day.
        max_life_s = int(told.get("max_life_s", DAY_S))
        signer = UrlSigner(LentKeys(told["signing_id"], days), told["base_url"], max_life_s=max_life_s)
        variant_key = base64.b64decode(told["variant_key"], validate=True)
        decider = Decider(signer, variant_key, told["placeholder"], int(told["placeholder_cache_s"]), max_life_s)
        quotas = self._quotas or (self.lent.gate.quotas if self.lent else None)
        quotas = quotas or InProcess(Limits(int(told["network_per_hour"]), int(told["tenant_per_hour"])))
        return Lent(decider, Gate(quotas, int(told["profiles_per_hour"])))


def _view(told: Mapping[str, Any]) -> View:
    fields = dict(told)
    # A service that tells nothing of this is one that cannot take proofs back: nothing is decided by its views here.
    fields["revoked"] = {str(viewer_id): int(moment) for viewer_id, moment in told["revoked"].items()}
    fields["blocked"] = frozenset(told["blocked"]) if told["blocked"] is not None else None
    fields["offered"] = {tier: tuple(Offered(**one) for one in variants) for tier, variants in told["offered"].items()}
    return View(**fields)
