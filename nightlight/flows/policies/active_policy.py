"""The policy that a process decides by, as one view: the active bundle, and a candidate that is watched or staged."""

from __future__ import annotations

import hashlib
import hmac
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from nightlight.flows.decisions.counters import difference, openness
from nightlight_core.decisions.answers import outcome_of
from nightlight_core.policy.dates import BACK_S

if TYPE_CHECKING:
    from nightlight.imaging.recipe import Recipe
    from nightlight.policy.compile import Compiled
    from nightlight_core.decisions.profile_views import ProfileView
    from nightlight_core.policy.table import Outcome, Table

PERMILLE = 1000


@dataclass(frozen=True, slots=True)
class ActivePolicy:
    """One consistent view: nothing of it changes while a batch is decided.

    ``compiled`` and ``candidate`` are what is in force from ``since`` to ``until`` (Unix seconds) of ``whole`` and
    ``whole_candidate``, the packs with all their dates. ``before_date`` is the active table that decided before
    ``since``, ``candidate_before_date`` the candidate's.

    ``version`` is None while the pack of the folder is active. ``permille`` is the candidate's share of
    profiles; 0 means that it is only watched.
    """

    compiled: Compiled
    version: int | None
    candidate: Compiled | None
    candidate_version: int | None
    permille: int
    revision: int
    recipes: tuple[Recipe, ...]
    share_key: bytes = field(repr=False)
    previous: Compiled | None = None
    previous_version: int | None = None
    candidate_recipes: tuple[Recipe, ...] = ()
    whole: Compiled = field(kw_only=True)
    whole_candidate: Compiled | None = field(default=None, kw_only=True)
    activated_at: float | None = None
    before_date: Table | None = None
    candidate_before_date: Table | None = None
    since: float = -math.inf
    until: float = math.inf

    def at(self, moment: float) -> ActivePolicy:
        """Return the view of the same packs at a moment, in Unix seconds."""
        active = self.whole.timeline.at(moment)
        candidate = self.whole_candidate.timeline.at(moment) if self.whole_candidate is not None else None
        # What a pack had before a date that was past when it was activated never decided.
        decided = active.before if self.activated_at is None or self.activated_at < active.since else None
        return replace(
            self,
            compiled=active.value,
            candidate=candidate.value if candidate else None,
            before_date=decided.table if decided else None,
            candidate_before_date=candidate.before.table if candidate and candidate.before else None,
            since=max(active.since, candidate.since if candidate else -math.inf),
            until=min(active.until, candidate.until if candidate else math.inf),
        )

    def holds(self, moment: float) -> bool:
        """Say whether no date lies between this view and a moment, but for a clock that was set back a little."""
        return self.since - BACK_S <= moment < self.until

    @property
    def digest(self) -> str:
        """Return the digest of the active policy, all its dates included."""
        return self.whole.digest

    @property
    def table(self) -> Table:
        """Return the active table."""
        return self.compiled.table

    @property
    def wanted_recipes(self) -> tuple[Recipe, ...]:
        """Return what every picture is rendered by: a candidate's recipes too once it decides, or is rendered first."""
        return tuple(dict.fromkeys((*self.recipes, *self.candidate_recipes)))

    @property
    def tables(self) -> tuple[Table, ...]:
        """Return every table that decides for some profile: a candidate's too once it is staged."""
        staged = (self.candidate.table,) if self.candidate is not None and self.permille else ()
        return (self.table, *staged)

    @property
    def earlier(self) -> tuple[Table, ...]:
        """Return the tables that decided before the present ones: URLs that they gave may still work."""
        staged = self.candidate_before_date if self.permille else None
        return (*self._before, *(table for table in (staged,) if table is not None))

    @property
    def _before(self) -> tuple[Table, ...]:
        """Return the tables that decided before the active one, the last one first."""
        previous = None if self.previous is None else self.previous.table
        return tuple(table for table in (self.before_date, previous) if table is not None)

    def chosen(self, profile_id: str) -> bool:
        """Say whether the candidate decides for a profile."""
        if self.candidate is None or self.permille == 0:
            return False
        digest = hmac.digest(self.share_key, f"{self.candidate_version}\n{profile_id}".encode(), "sha256")
        return int.from_bytes(digest[:4], "big") % PERMILLE < self.permille

    def table_for(self, view: ProfileView) -> Table:
        """Return the table that decides for a profile: the candidate's for its share of profiles."""
        if self.candidate is not None and self.chosen(view.profile_id):
            return self.candidate.table
        return self.table

    def earlier_for(self, view: ProfileView) -> Table | None:
        """Return the table that decided for a profile before, None if there was none."""
        if self.candidate is not None and self.chosen(view.profile_id):
            return self.table
        return next(iter(self._before), None)

    def tally(
        self, inputs: Mapping[str, str], outcome: Outcome, effective_ceiling: str | None
    ) -> tuple[str, str | None]:
        """Return what a decision is counted as: its cell, and the kind of difference that the candidate would make."""
        # In the vocabulary's own order, which is how counts are read back.
        cell = ",".join(inputs[name] for name in self.table.attributes)
        if self.candidate is None or self.candidate_version is None:
            return cell, None
        other = self.candidate.table
        would = openness(other, outcome_of(other, inputs, effective_ceiling))
        return cell, difference(self.candidate_version, openness(self.table, outcome), would)


def share_key_from(name_key: bytes) -> bytes:
    """Return a key of its own for choosing profiles, derived from the name key."""
    return hashlib.sha256(b"nightlight policy share\n" + name_key).digest()
