"""The transparency report of a period: what was decided, opened, erased and taken down, and what went wrong.

Counts below a threshold are not told: a rare combination may be one person. Nor is what they could be worked out from:
of a whole and its parts, so much is left out that what is left out together is not small either. The report is made
once, so the page, JSON and CSV leave out the same.
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
from nightlight.jobs import kinds
from nightlight.retention.wanted_rules import ERASED, most_days
from nightlight_core.errors import InvalidInput, NightlightError

if TYPE_CHECKING:
    from nightlight.catalogue.engine import Catalogue
    from nightlight.flows.policies.policy_holder import PolicyHolder
    from nightlight_core.clock import Clock

_DAY_S = 86_400.0


class BucketFindings(NamedTuple):
    """How a bucket was found, in sentences: what has drifted, and what the server cannot be asked about.

    ``unseen`` is the code of why it could not be looked at at all.
    """

    drift: Sequence[str]
    unsupported: Sequence[str] = ()
    unseen: str = ""

    @property
    def fine(self) -> bool:
        """Say whether everything was looked at and is as it should be."""
        return not (self.drift or self.unsupported or self.unseen)

    def lines(self) -> list[str]:
        """Return it line by line; what was not found out is never told as being right."""
        unseen = [f"could not be looked at: {self.unseen}"] if self.unseen else []
        return [*unseen, *self.drift, *(f"unsupported: {sentence}" for sentence in self.unsupported)]


# What looks at a bucket. It raises where that cannot be looked at.
Look = Callable[[], BucketFindings]


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
    withheld: int
    unknown_share: float | None
    days: dict[date, int]
    opens: list[dict[str, Any]]
    erasures: Durations
    takedowns: Durations
    receipts: int | None
    holds: dict[str, int | None]
    swept: dict[str, int | None]
    uploads: dict[str, int | None]
    failures: dict[str, int | None]
    drift: dict[str, BucketFindings]
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

    def make(self, since: datetime, until: datetime, *, takedown_hours: float) -> TransparencyReport:
        """Return the report of a period; raises InvalidInput where it is none, or CatalogueUnavailable."""
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
        table = view.table
        by_cell: Counter[tuple[str, str]] = Counter()
        by_day: Counter[date] = Counter()
        names = tuple(table.attributes)
        band_at = names.index("subject_age")
        for (day, cell), count in decided.items():
            words = cell.split(",")
            by_day[day] += count
            if len(words) == len(names):
                by_cell[table.decide(dict(zip(names, words, strict=True))).tier, words[band_at]] += count
        total = by_day.total()
        cells_shown = self._cells(by_cell, total)
        deadline = most_days(view.compiled.retention, ERASED) * _DAY_S
        return TransparencyReport(
            since=since,
            until=until,
            made_at=self.clock(),
            policy_digest=view.digest,
            threshold=self.threshold,
            decisions=self._shown(total),
            cells=cells_shown,
            withheld=total - sum(cell.decisions for cell in cells_shown) if self._shown(total) is not None else 0,
            unknown_share=self._unknown_share(by_cell, cells_shown, total),
            days=self._days(by_day),
            opens=[_opened(*entry) for entry in activated if int(entry[2].get("opens", 0))],
            erasures=self._times(erased, erasing, deadline),
            takedowns=self._times(taken, taking, takedown_hours * 3600),
            receipts=self._shown(receipts),
            drift={name: _looked(look) for name, look in self.looks.items()},
            tiers=["none", *table.tiers],
            bands=list(table.attributes["subject_age"]),
            **{name: {key: self._shown(count) for key, count in by_key.items()} for name, by_key in counts.items()},
        )

    def _cells(self, by_cell: Mapping[tuple[str, str], int], total: int) -> list[DecisionCount]:
        """Return the cells that may be told: what is left out is never so little that it could be worked out."""
        cells = [
            DecisionCount(tier, band, count)
            for (tier, band), count in sorted(by_cell.items())
            if count >= self.threshold
        ]
        while cells and 0 < total - sum(cell.decisions for cell in cells) < self.threshold:
            cells.remove(min(cells, key=lambda cell: cell.decisions))
        return cells

    def _days(self, by_day: Mapping[date, int]) -> dict[date, int]:
        """Return the days that may be told: those that are left out are together not small either."""
        shown = {day: count for day, count in sorted(by_day.items()) if count >= self.threshold}
        while shown and 0 < sum(by_day.values()) - sum(shown.values()) < self.threshold:
            del shown[min(shown, key=lambda day: shown[day])]
        return shown

    def _unknown_share(
        self, by_cell: Mapping[tuple[str, str], int], cells: Sequence[DecisionCount], total: int
    ) -> float | None:
        """Return the share about an unknown age, None where it would tell how rare a cell that is left out is."""
        unknown = sum(count for (_, band), count in by_cell.items() if band == UNKNOWN_BAND)
        hidden = unknown - sum(cell.decisions for cell in cells if cell.band == UNKNOWN_BAND)
        others = total - sum(cell.decisions for cell in cells) - hidden
        if min(unknown, total - unknown) < self.threshold or any(self._small(count) for count in (hidden, others)):
            return None
        return unknown / total

    def _small(self, count: int) -> bool:
        return 0 < count < self.threshold

    def _shown(self, count: int) -> int | None:
        """Return a count that may be told, None for one that is small; nothing is nothing."""
        return count if count == 0 or count >= self.threshold else None

    def _times(self, done: Sequence[float], open_: int, deadline_s: float) -> Durations:
        """Return how long something took; neither what was late nor what was in time is told where it is rare."""
        ordered = sorted(done)
        late = sum(seconds > deadline_s for seconds in ordered)
        hidden = self._small(late) or self._small(len(ordered) - late)
        counts = self._shown(len(ordered)), self._shown(open_), None if hidden else late
        if len(ordered) < self.threshold:
            return Durations(*counts, None, None, deadline_s)
        return Durations(*counts, _percentile(ordered, 0.5), _percentile(ordered, 0.95), deadline_s)


def _percentile(ordered: Sequence[float], share: float) -> float:
    """Return the smallest value that at least this share of the values do not exceed."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def _opened(at: datetime, actor: str, detail: Mapping[str, Any]) -> dict[str, Any]:
    return {"at": at.isoformat(), "by": actor, **detail}


def _looked(look: Look) -> BucketFindings:
    try:
        return look()
    except NightlightError as error:
        return BucketFindings([], unseen=error.code)
