"""Checks of regimes: names, dates, words, and that each clause is bound to one thing, which exists."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from nightlight.policy.diagnostics import Diagnostics, did_you_mean
from nightlight.policy.regime_models import BINDINGS
from nightlight.policy.regimes import first_day, last_day

if TYPE_CHECKING:
    from nightlight.policy.models import ChecksDocument
    from nightlight.policy.regime_models import Clause, RegimeDocument
    from nightlight.policy.validate import WordValidator
    from nightlight.policy.yaml_source import Path_, YamlSource


def validate_regimes(
    regimes: Sequence[tuple[YamlSource, RegimeDocument]],
    checks: ChecksDocument,
    words: WordValidator,
    problems: Diagnostics,
) -> None:
    """Note in ``problems`` what is wrong with the regimes of a pack with these checks."""
    known = [check.id for group in (checks.always, checks.compare, checks.same) for check in group]
    seen: set[str] = set()
    for source, regime in regimes:
        place = source.position(("regime",))
        if source.file != f"regimes/{regime.regime}.yaml":
            problems.add(place, "regime-name", f"'{regime.regime}' must have the name of its file")
        if regime.regime in seen:
            problems.add(place, "duplicate-id", f"'{regime.regime}' is the name of two regimes")
        seen.add(regime.regime)
        words.check_condition(source, ("where",), regime.where)
        _validate_dates(source, (), regime.regime, (regime.begins, regime.until), problems)
        ids: set[str] = set()
        for number, clause in enumerate(regime.clauses):
            path: Path_ = ("clauses", number)
            if clause.id in ids:
                message = f"'{clause.id}' is the id of an earlier clause too"
                problems.add(source.position((*path, "id")), "duplicate-id", message)
            ids.add(clause.id)
            name = f"clause '{regime.regime}/{clause.id}'"
            if clause.begins or clause.until:
                dates = clause.begins or regime.begins, clause.until or regime.until
                _validate_dates(source, path, f"{regime.regime}/{clause.id}", dates, problems)
            _validate_binding(source, path, name, clause, known, problems)
            for kind in ("always", "compare", "same"):
                if (own := getattr(clause, kind)) is not None:
                    words.check_check(source, (*path, kind), name, own)


def _validate_dates(
    source: YamlSource, path: Path_, name: str, dates: tuple[str | None, str | None], problems: Diagnostics
) -> None:
    begins, until = dates
    if begins and until and first_day(begins) > last_day(until):
        message = f"'{name}' ends ({until}) before it begins ({begins})"
        problems.add(source.position((*path, "until")), "date-order", message)


def _validate_binding(
    source: YamlSource, path: Path_, name: str, clause: Clause, known: Sequence[str], problems: Diagnostics
) -> None:
    if len(clause.bindings) != 1:
        given = " and ".join(clause.bindings) or "none of them"
        message = f"{name} must have one of {', '.join(BINDINGS)}, and has {given}"
        problems.add(source.position(path), "clause-binding", message)
    if clause.check is not None and clause.check not in known:
        hint = did_you_mean(clause.check, known)
        message = f"{name}: '{clause.check}' is not a check of checks.yaml{hint if '?' in hint else ''}"
        problems.add(source.position((*path, "check")), "unknown-check", message)
