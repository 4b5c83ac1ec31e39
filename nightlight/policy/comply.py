"""How a pack meets what regimes ask on a day: clause by clause, over every combination.

This says what was proved of the pack. Whether that is what a law asks is for counsel, and it says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from nightlight.policy.checks import FailedCheck, failed_checks
from nightlight.policy.diagnostics import did_you_mean
from nightlight.policy.regimes import BoundClause, Force, bound_clauses, covered
from nightlight_core.errors import PolicyRefused

if TYPE_CHECKING:
    from nightlight.policy.compile import Compiled
    from nightlight.policy.regime_models import RegimeDocument

NOT_REVIEWED = "not reviewed by counsel"


@dataclass(frozen=True, slots=True)
class ClauseAnswer:
    """One clause on a day: whether it is asked, how many combinations its check speaks of, and how the check fails.

    ``combinations`` is None for a duty of the platform; ``failure`` is None where the check holds.
    """

    bound: BoundClause
    force: Force
    combinations: int | None
    failure: FailedCheck | None

    @property
    def duty(self) -> bool:
        """Say whether the clause is the platform's own duty."""
        return self.combinations is None

    @property
    def unmet(self) -> bool:
        """Say whether the clause is asked, as far as is known, and its check does not hold."""
        return self.failure is not None and self.force in {Force.ASKED, Force.UNDATED}

    def to_json(self) -> dict[str, Any]:
        """Return the answer as plain values."""
        clause = self.bound.clause
        failure = self.failure
        return {
            "clause": self.bound.name,
            "asks": clause.asks,
            "article": clause.article,
            "reading": clause.reading,
            "force": self.force.value,
            "from": self.bound.begins,
            "until": self.bound.until,
            "duty": clause.duty,
            "check": self.bound.proved_by,
            "combinations": self.combinations,
            "met": None if self.duty else failure is None,
            "fails_in": failure.count if failure else 0,
            "sentences": [{"text": s.text, "count": s.count} for s in failure.summaries] if failure else [],
            "rules": list(failure.rules) if failure else [],
        }


@dataclass(frozen=True, slots=True)
class ComplianceReport:
    """What a pack answers to its regimes on a day; ``digest`` is the policy's."""

    day: date
    digest: str
    combinations: int
    regimes: tuple[tuple[RegimeDocument, tuple[ClauseAnswer, ...]], ...]

    @property
    def answers(self) -> list[ClauseAnswer]:
        """Return the answers of all regimes."""
        return [answer for _, answers in self.regimes for answer in answers]

    @property
    def unmet(self) -> list[ClauseAnswer]:
        """Return the clauses that are asked and not met."""
        return [answer for answer in self.answers if answer.unmet]

    def to_json(self) -> dict[str, Any]:
        """Return the report as plain values."""
        return {
            "on": self.day.isoformat(),
            "digest": self.digest,
            "combinations": self.combinations,
            "review": NOT_REVIEWED,
            "all_met": not self.unmet,
            "regimes": [
                {
                    **regime.model_dump(mode="json", exclude={"format", "clauses"}, by_alias=True),
                    "clauses": [answer.to_json() for answer in answers],
                }
                for regime, answers in self.regimes
            ],
        }


def comply(compiled: Compiled, day: date, names: Sequence[str] = ()) -> ComplianceReport:
    """Return how a pack meets its regimes by the rules of ``day``; only those of ``names`` where any are given.

    Raises PolicyRefused for a name that is no regime of the pack.
    """
    known = [regime.regime for _, regime in compiled.pack.regimes]
    for name in names:
        if name not in known:
            raise PolicyRefused(f"'{name}' is not a regime of this pack{did_you_mean(name, known)}")
    failures = {failure.check: failure for failure in failed_checks(compiled.on(day.isoformat()))}
    answers: dict[str, list[ClauseAnswer]] = {name: [] for name in known}
    for bound in bound_clauses(compiled.pack):
        count = None if bound.check is None else int(covered(bound, compiled.space, compiled.possible).sum())
        failure = failures.get(bound.proved_by) if bound.proved_by is not None else None
        answers[bound.regime.regime].append(ClauseAnswer(bound, bound.force(day), count, failure))
    chosen = [regime for _, regime in compiled.pack.regimes if not names or regime.regime in names]
    return ComplianceReport(
        day,
        compiled.digest,
        len(compiled.table),
        tuple((regime, tuple(answers[regime.regime])) for regime in chosen),
    )
