"""The policy that a process decides by: what the feed names, and of it what is in force now."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nightlight_core.policy.dates import BACK_S, Timeline
from nightlight_core.policy.table import Table

if TYPE_CHECKING:
    from nightlight_core.decisions.profile_views import ProfileView
    from nightlight_core.policy.table import Outcome


@dataclass(frozen=True, slots=True)
class LocalPolicy:
    """The tables that decide from ``since`` to ``until``, in Unix seconds: one batch is decided by one of these."""

    table: Table
    candidate: Table | None
    previous: Table | None
    revision: int
    since: float = -math.inf
    until: float = math.inf

    def table_for(self, view: ProfileView) -> Table:
        """Return the table that decides for a profile."""
        return self.candidate if view.candidate and self.candidate is not None else self.table

    def earlier_for(self, view: ProfileView) -> Table | None:
        """Return the table that decided for a profile before, None if there was none."""
        return self.table if view.candidate and self.candidate is not None else self.previous

    def tally(
        self, inputs: Mapping[str, str], _outcome: Outcome, _effective_ceiling: str | None
    ) -> tuple[str, str | None]:
        """Return the cell that a decision is counted in."""
        return ",".join(inputs[name] for name in self.table.attributes), None


@dataclass(frozen=True, slots=True)
class PoliciesInUse:
    """The policies that the feed names, with all their dates; ``activated_at`` is None where the service is older."""

    active: Timeline[Table]
    candidate: Timeline[Table] | None
    previous: Timeline[Table] | None
    revision: int
    activated_at: float | None = None

    def at(self, moment: float) -> LocalPolicy:
        """Return what decides at a moment, in Unix seconds."""
        active = self.active.at(moment)
        candidate = self.candidate.at(moment) if self.candidate is not None else None
        earlier = active.before if self.activated_at is None or self.activated_at < active.since else None
        if earlier is None and self.previous is not None:
            earlier = self.previous.at(moment if self.activated_at is None else self.activated_at).value
        return LocalPolicy(
            active.value,
            candidate.value if candidate else None,
            earlier,
            self.revision,
            max(active.since, candidate.since if candidate else -math.inf),
            min(active.until, candidate.until if candidate else math.inf),
        )


class PolicyInForce:
    """Keeps what decides now, by a clock of Unix seconds. Safe to share between threads."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """Know of no policy yet."""
        self._clock = clock
        self._lock = threading.Lock()
        self._in_use: PoliciesInUse | None = None
        self._policy: LocalPolicy | None = None

    def use(self, in_use: PoliciesInUse) -> None:
        """Decide by these from now on; nothing happens if they are the same."""
        with self._lock:
            if in_use != self._in_use:
                since = self._policy.since if self._policy is not None else -math.inf
                moment = self._clock()
                # What the present tables began by is not taken back where the clock was set back a little.
                self._policy = in_use.at(max(moment, since) if since - BACK_S <= moment else moment)
                self._in_use = in_use

    def now(self) -> LocalPolicy | None:
        """Return what decides now, the same object as long as it means the same; None as long as nothing is known."""
        policy = self._policy
        if policy is None or policy.since - BACK_S <= self._clock() < policy.until:
            return policy
        with self._lock:
            moment = self._clock()
            policy = self._policy
            if policy is not None and self._in_use is not None and not policy.since - BACK_S <= moment < policy.until:
                policy = self._policy = self._in_use.at(moment)
            return policy
