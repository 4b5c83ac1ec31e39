"""What is asked of policies and changes nothing: which is in use, why it answers as it does, how often it was asked.

Counts of one combination below ``counter_threshold`` are not told: they could be of one person.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from nightlight import logs
from nightlight.catalogue.policies import DECIDED, WOULD_CLOSE, WOULD_OPEN
from nightlight.flows.pictures.rerender_runs import count_shown, rendered_a_second
from nightlight.flows.retention.tags import count_objects
from nightlight.policy.explain import PolicyExplanation, explain
from nightlight.policy.traffic import Traffic
from nightlight_core.errors import InvalidInput, NightlightError, PolicyRefused
from nightlight_core.policy.dates import iso_day

if TYPE_CHECKING:
    from nightlight.catalogue.engine import Catalogue
    from nightlight.flows.policies.policy_holder import PolicyHolder
    from nightlight_core.clock import Clock

SHADOW = "shadow"
STAGED = "staged"


@dataclass(frozen=True, slots=True)
class PolicyReader:
    """Answers questions about the policies. ``flush`` writes what this process has counted of decisions."""

    catalogue: Catalogue
    in_use: PolicyHolder
    counter_threshold: int
    flush: Callable[[], None]
    clock: Clock

    def bundle(self, version: int | None = None) -> tuple[int, bytes] | None:
        """Return (version, bytes) of the active bundle, or of another; None if there is none."""
        with self.catalogue.reading() as tx:
            number = tx.policies.state().active_version if version is None else version
            data = tx.policies.bundle(number) if number is not None else None
        return (number, data) if number is not None and data is not None else None

    def status(self) -> dict[str, Any]:
        """Return what is active, what is a candidate, and what the candidate would have changed."""
        self.flush()
        view = self.in_use.refresh()
        with self.catalogue.reading() as tx:
            state, scheduled = tx.policies.state(), tx.policies.scheduled()
            emergency = None
            if scheduled is not None and scheduled.instead_of == state.active_version:
                emergency = {"until": scheduled.due_at.isoformat(), "restores": scheduled.restores}
            shadow = {
                kind: tx.policies.counts(f"{kind}:{state.candidate_version}", date.min)[0]
                for kind in (WOULD_OPEN, WOULD_CLOSE)
            }
        candidate = None
        if view.whole_candidate is not None:
            candidate = {
                "version": view.candidate_version,
                "digest": view.whole_candidate.digest,
                "mode": STAGED if view.permille else SHADOW,
                "permille": view.permille,
                "rendered": bool(state.candidate_rendered),
                **{kind: sum(cells.values()) for kind, cells in shadow.items()},
                "cells": {kind: _frequent(cells, self.counter_threshold) for kind, cells in shadow.items()},
            }
        return {
            "emergency": emergency,
            "active": {"version": view.version, "digest": view.digest, "dates": list(view.whole.days)},
            "highest_version": state.highest_version,
            "previous_version": state.previous_version,
            "candidate": candidate,
        }

    def explain(self, inputs: Mapping[str, str], on: str | None = None) -> PolicyExplanation:
        """Return why the active policy answers one combination as it does, now or on a day; raises InvalidInput."""
        policy = self.in_use.current()
        try:
            compiled = policy.compiled if on is None else policy.whole.on(iso_day(on))
        except ValueError as error:
            raise InvalidInput("it must be a day, such as 2027-01-31", pointer="/on") from error
        try:
            return explain(compiled, inputs)
        except PolicyRefused as error:
            raise InvalidInput(str(error), pointer="/given") from error

    def traffic(self, days: int) -> Traffic:
        """Return counts of decisions by combination over the last ``days`` days; small counts are left out."""
        self.flush()
        since = self.clock().date() - timedelta(days=days - 1)
        attributes = tuple(self.in_use.current().table.attributes)
        with self.catalogue.reading() as tx:
            counts, counted_days = tx.policies.counts(DECIDED, since)
        cells = {tuple(cell.split(",")): count for cell, count in _frequent(counts, self.counter_threshold).items()}
        kept = {words: count for words, count in cells.items() if len(words) == len(attributes)}
        with self.catalogue.reading() as tx:
            rate = rendered_a_second(tx.rerenders.runs(limit=10), self.clock())
        pictures = count_shown(self.catalogue)
        objects = count_large_groups(self.catalogue, self.counter_threshold)
        return Traffic(float(max(1, counted_days)), attributes, kept, objects, pictures, rate)


def _frequent(counts: dict[str, int], threshold: int) -> dict[str, int]:
    return {cell: count for cell, count in sorted(counts.items()) if count >= threshold}


def count_large_groups(catalogue: Catalogue, threshold: int) -> dict[tuple[str, ...], int]:
    """Return the number of objects by state, band and region: from ``threshold`` on.

    There are none of them if they cannot be counted in time.
    """
    try:
        with catalogue.reading() as tx:
            counts = count_objects(tx)
    except NightlightError as error:
        logs.get("policy").warning("objects.not_counted", code=error.code)
        return {}
    return {words: count for words, count in counts.items() if count >= threshold}
