"""Documents of regimes, as strict models: what a law, a code or a bill asks, clause by clause."""

from __future__ import annotations

from pydantic import Field

from nightlight.policy.models import (
    AlwaysLimits,
    CompareOrder,
    Condition,
    HeadedDocument,
    Identified,
    Identifier,
    IsoDate,
    SameAlong,
    Sentence,
    Used,
)

# What a clause of a regime may be bound to.
BINDINGS = ("check", "always", "compare", "same", "duty")


class Clause(Identified):
    """One thing that a regime asks, and what proves it: a check of the pack, one of its own, or the platform's duty.

    ``begins`` and ``until`` (the last day) stand for the regime's own where they are given.
    """

    asks: Sentence
    article: Sentence | None = None
    reading: Sentence | None = None
    begins: IsoDate | None = Field(default=None, alias="from")
    until: IsoDate | None = None
    check: Used | None = None
    always: AlwaysLimits | None = None
    compare: CompareOrder | None = None
    same: SameAlong | None = None
    duty: Sentence | None = None

    @property
    def own(self) -> AlwaysLimits | CompareOrder | SameAlong | None:
        """Return the check that the clause carries itself."""
        return self.always or self.compare or self.same

    @property
    def bindings(self) -> list[str]:
        """Return which of the keys that bind a clause are given: there must be one."""
        return [name for name in BINDINGS if getattr(self, name) is not None]


class RegimeDocument(HeadedDocument):
    """``regimes/*.yaml``: what a law, a code or a bill asks, where, from when, and how sure that is."""

    regime: Identifier
    where: Condition = Field(min_length=1)
    source: Sentence
    sure: Sentence
    article: Sentence | None = None
    begins: IsoDate | None = Field(default=None, alias="from")
    until: IsoDate | None = None
    clauses: tuple[Clause, ...] = Field(min_length=1, max_length=100)
