"""What differs between two packs: sentences, each with what it weakens, and the digest that an approval signs."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nightlight.policy.forecast import Forecast

SECTIONS = {
    "outcomes": "Who may see what",
    "recipes": "What tiers look like",
    "words": "What words mean",
    "retention": "How long things are kept",
}
LISTS = {"checks": "Checks", "cases": "Cases"}


class ChangeKind(StrEnum):
    """Which way a change goes: OPENS if any field of it protects less, CLOSES if any protects more and none less."""

    OPENS = "OPENS"
    CLOSES = "CLOSES"
    CHANGES = "CHANGES"


@dataclass(frozen=True, slots=True)
class Change:
    """One sentence: which way, where, from what to what, in how many combinations (and views a day).

    ``fields`` are those that protect less, or, where none does, those that differ. ``safety`` says that the safety team
    must approve it. ``begins`` is the day from which it is so; empty from the activation on.
    """

    kind: ChangeKind
    where: str
    before: str
    after: str
    count: int
    views_a_day: float | None = None
    objects: int | None = None
    fields: tuple[str, ...] = ()
    safety: bool = False
    begins: str = ""

    @property
    def place(self) -> str:
        """Return where, and from when."""
        return f"from {self.begins}: {self.where}" if self.begins else self.where

    def to_json(self) -> dict[str, Any]:
        """Return the change as plain values; ``begins`` only where it is not at once."""
        plain = asdict(self)
        return plain if self.begins else {name: value for name, value in plain.items() if name != "begins"}

    def __str__(self) -> str:
        """Return the line that a person reads."""
        views = "" if self.views_a_day is None else f", {self.views_a_day:,.0f} views a day"
        objects = "" if self.objects is None else f", {self.objects:,} objects"
        weaker = f"; weaker: {', '.join(self.fields)}" if self.fields and self.kind is ChangeKind.OPENS else ""
        note = " [safety must approve]" if self.safety and self.kind is not ChangeKind.OPENS else ""
        counts = f"{self.count:,} combinations{views}{objects}{weaker}"
        return f"{self.kind.value:<7} {self.place}: {self.before} -> {self.after} ({counts}){note}"


def ordered(changes: list[Change]) -> list[Change]:
    """Return changes as they are told: first what opens; of each kind the earliest, and of a day the largest, first."""
    rank = {ChangeKind.OPENS: 0, ChangeKind.CLOSES: 1, ChangeKind.CHANGES: 2}
    return sorted(
        changes, key=lambda change: (rank[change.kind], change.begins, -change.count, change.where, change.before)
    )


@dataclass(frozen=True, slots=True)
class Difference:
    """Everything that differs, OPENS first; ``digest`` is what a safety approval signs."""

    old_digest: str
    new_digest: str
    old_checks: str
    new_checks: str
    outcomes: tuple[Change, ...]
    recipes: tuple[Change, ...]
    words: tuple[Change, ...]
    retention: tuple[Change, ...]
    checks: tuple[str, ...]
    cases: tuple[str, ...]
    forecast: Forecast | None = None

    @property
    def changes(self) -> tuple[Change, ...]:
        """Return all changes of outcomes, recipes, words and retention."""
        return self.outcomes + self.recipes + self.words + self.retention

    @property
    def opens(self) -> bool:
        """Say whether the safety team must approve: anything opens, or a check or word was changed, or such."""
        return bool(self.checks) or any(change.safety for change in self.changes)

    def reasons(self) -> list[str]:
        """Return the sentences for which the safety team must approve."""
        return [str(change) for change in self.changes if change.safety] + list(self.checks)

    @property
    def same(self) -> bool:
        """Say whether nothing differs that an answer, a check or a case rests on."""
        return not self.changes and not self.checks and not self.cases

    @property
    def digest(self) -> str:
        """Return a SHA-256, in hexadecimal, of the whole difference, both policies' digests and what both check."""
        plain = json.dumps(self.to_json(with_digest=False), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(plain.encode()).hexdigest()

    def to_json(self, *, with_digest: bool = True) -> dict[str, Any]:
        """Return the difference as plain values; without its digest, without what traffic adds."""
        sections = {name: [change.to_json() for change in getattr(self, name)] for name in SECTIONS}
        plain: dict[str, Any] = {
            "old_digest": self.old_digest,
            "new_digest": self.new_digest,
            "old_checks": self.old_checks,
            "new_checks": self.new_checks,
            "opens": self.opens,
            **sections,
            **{name: list(getattr(self, name)) for name in LISTS},
        }
        if with_digest:
            return {**plain, "forecast": self.forecast and self.forecast.to_json(), "digest": self.digest}
        for change in (change for section in sections.values() for change in section):
            del change["views_a_day"], change["objects"]
        return plain
