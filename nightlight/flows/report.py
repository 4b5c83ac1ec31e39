"""The transparency report of a period: what was decided, opened, erased and taken down, and what went wrong.

Counts below a threshold are not told, nor counts from which one could be worked out (flows.small_counts): a rare
combination may be one person. What is withheld is None here, so that no form of the report has it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from nightlight.catalogue.policies import DECIDED
from nightlight.flows.pictures.profiles import UNKNOWN_BAND
from nightlight.flows.small_counts import group_shown, parts_shown, shown, shown_beside
from nightlight.jobs import kinds
from nightlight.retention.wanted_rules import ERASED, most_days, takedown_hours
from nightlight_core.errors import InvalidInput, NightlightError

if TYPE_CHECKING:
    from nightlight.catalogue.engine import Catalogue
    from nightlight.flows.policies.policy_holder import PolicyHolder
    from nightlight_core.clock import Clock

_DAY_S = 86_400.0
# Counts whose sum others may know: uploads of a period, and the holds of the report before with what came and went.
_GROUPS = frozenset({"holds", "uploads"})
# What looks at buckets: sentences that say what has drifted. It raises where they cannot be looked at.
Look = Callable[[], Sequence[str]]


class Durations(NamedTuple):
    """How long something took, in seconds: of ``done`` the median and the 95th percentile; None where too few."""

    done: int | None
    open: int | None
    late: int | None
    p50_s: float | None
    p95_s: float | None
    deadline_s: float


class DecisionCount(NamedTuple):
    """Decisions that gave a tier for profiles of a band."""

    tier: str
    band: str
    decisions: int


@dataclass(frozen=True, slots=True)
class TransparencyReport:
    """One report. ``threshold``: what is counted less often is not told; ``withheld`` decisions are in no cell."""

    since: datetime
    until: datetime
    made_at: datetime
    policy_digest: str
    threshold: int
    decisions: int | None
    cells: list[DecisionCount]
    withheld: int | None
    unknown_share: float | None
    days: dict[date, int]
    opens: list[dict[str, Any]]
    erasures: Durations
    takedowns: Durations
    receipts: int | None
    notices: dict[str, int | None]
    holds: dict[str, int | None]
    swept: dict[str, int | None]
    uploads: dict[str, int | None]
    failures: dict[str, int | None]
    drift: dict[str, list[str]]
    tiers: list[str] = field(default_factory=list)
    bands: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class TransparencyReports:
    """Makes reports. ``looks`` look at buckets, by what the report calls that."""

    catalogue: Catalogue
    policy: PolicyHolder
    threshold: int
    clock: Clock
    looks: Mapping[str, Look] = field(default_factory=dict)

    def make(self, since: datetime, until: datetime, *, hours: float | None = None) -> TransparencyReport:
        """Return the report of a period; takedowns are late after ``hours``, by default the policy's.

        Raises InvalidInput where it is no period, or CatalogueUnavailable.
        """
        if since >= until:
            raise InvalidInput("a report is of the days from --since until before --until")
        view, period = self.policy.refresh(), (since, until)
        with self.catalogue.reading() as tx:
            figures = tx.statistics
            decided = figures.decisions(DECIDED, period)
            erased, erasing = figures.seconds(kinds.ERASE.name, period), figures.open(kinds.ERASE.name, period)
            taken, taking = (
                figures.seconds(kinds.ROTATE_NAMES.name, period),
                figures.open(kinds.ROTATE_NAMES.name, period),
            )
            activated = figures.details("policy.activated", period)
            counts = {
                "holds": figures.holds(period),
                "swept": figures.swept(period),
                "uploads": figures.uploads(period),
                "failures": {f"{kind}: {why}": count for (kind, why), count in figures.failures(period).items()},
            }
            receipts = figures.receipts(period)
            notices = figures.notices(period, self.clock())
        table = view.table
        by_cell: Counter[tuple[str, str]] = Counter()
        by_day: Counter[date] = Counter()
        unknown = 0
        names = tuple(table.attributes)
        band_at = names.index("subject_age")
        for (day, cell), count in decided.items():
            words = cell.split(",")
            by_day[day] += count
            if len(words) == len(names):
                by_cell[table.decide(dict(zip(names, words, strict=True))).tier, words[band_at]] += count
                unknown += count * (words[band_at] == UNKNOWN_BAND)
        total = by_day.total()
        cells_shown = self._cells(by_cell, total)
        late_after = takedown_hours(view.compiled.retention) if hours is None else hours
        deadline = most_days(view.compiled.retention, ERASED) * _DAY_S
        return TransparencyReport(
            since=since,
            until=until,
            made_at=self.clock(),
            policy_digest=view.digest,
            threshold=self.threshold,
            decisions=self._shown(total),
            cells=cells_shown,
            withheld=self._shown(total - sum(cell.decisions for cell in cells_shown)),
            unknown_share=self._share(unknown, total, cells_shown),
            days=parts_shown(dict(sorted(by_day.items())), total, self.threshold),
            opens=[_opened(*entry) for entry in activated if int(entry[2].get("opens", 0))],
            erasures=self._times(erased, erasing, deadline),
            takedowns=self._times(taken, taking, late_after * 3600),
            receipts=self._shown(receipts) if self._shown(abs(receipts - len(erased))) is not None else None,
            notices=self._notices(notices),
            drift={name: _looked(look) for name, look in self.looks.items()},
            tiers=["none", *table.tiers],
            bands=list(table.attributes["subject_age"]),
            **{name: self._counts(name, by_key) for name, by_key in counts.items()},
        )

    def _cells(self, by_cell: Mapping[tuple[str, str], int], total: int) -> list[DecisionCount]:
        """Return the cells that may be told."""
        cells = parts_shown(dict(sorted(by_cell.items())), total, self.threshold)
        return [DecisionCount(tier, band, count) for (tier, band), count in cells.items()]

    def _share(self, unknown: int, total: int, cells: Sequence[DecisionCount]) -> float | None:
        """Return the share of an unknown age, unless it tells a small count beside the total or the cells told."""
        in_cells = sum(cell.decisions for cell in cells if cell.band == UNKNOWN_BAND)
        safe = min(unknown, total - unknown) >= self.threshold and self._shown(unknown - in_cells) is not None
        return unknown / total if safe else None

    def _counts(self, name: str, counts: Mapping[str, int]) -> dict[str, int | None]:
        if name in _GROUPS:
            return group_shown(counts, self.threshold)
        return {key: self._shown(count) for key, count in counts.items()}

    def _notices(self, counts: Mapping[str, int]) -> dict[str, int | None]:
        """Return the counts of notices: the states and their sum as a group, and what is late beside the sum."""
        states = {name: count for name, count in counts.items() if name not in {"late", "images_hidden"}}
        return {
            **group_shown(states, self.threshold),
            "late": shown_beside(counts["late"], counts["placed"], self.threshold),
            "images_hidden": self._shown(counts["images_hidden"]),
        }

    def _shown(self, count: int) -> int | None:
        return shown(count, self.threshold)

    def _times(self, done: Sequence[float], open_: int, deadline_s: float) -> Durations:
        ordered = sorted(done)
        late = shown_beside(sum(seconds > deadline_s for seconds in ordered), len(ordered), self.threshold)
        counts = self._shown(len(ordered)), self._shown(open_), late
        if len(ordered) < self.threshold:
            return Durations(*counts, None, None, deadline_s)
        return Durations(*counts, _percentile(ordered, 0.5), _percentile(ordered, 0.95), deadline_s)


def _percentile(ordered: Sequence[float], share: float) -> float:
    """Return the smallest value that at least this share of the values do not exceed."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def _opened(at: datetime, actor: str, detail: Mapping[str, Any]) -> dict[str, Any]:
    return {"at": at.isoformat(), "by": actor, **detail}


def _looked(look: Look) -> list[str]:
    try:
        return list(look())
    except NightlightError as error:
        return [f"could not be looked at: {error.code}"]
