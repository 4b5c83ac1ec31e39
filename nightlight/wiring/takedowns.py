"""What the commands about takedown notices reach."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from nightlight.flows.takedowns.requests import PlaceTakedowns, ReviewTakedowns
from nightlight.retention.wanted_rules import takedown_hours
from nightlight.settings import Settings
from nightlight.store.interface import PutOnly
from nightlight.wiring.components import ORIGINALS, build_store, open_catalogue, policy_holder
from nightlight.wiring.originals import sealer
from nightlight_core.clock import Clock, system_clock


@contextmanager
def open_takedown_review(settings: Settings, clock: Clock = system_clock) -> Iterator[ReviewTakedowns]:
    """Give what says how notices stand, and takes verdicts on their matches."""
    with open_catalogue(settings) as catalogue:
        yield ReviewTakedowns(catalogue, clock)


@contextmanager
def open_takedowns(settings: Settings, clock: Clock = system_clock) -> Iterator[tuple[PlaceTakedowns, ReviewTakedowns]]:
    """Give what places notices, and what says how they stand; originals can only be put."""
    with open_catalogue(settings) as catalogue:
        policy = policy_holder(settings, catalogue, clock)
        placing = PlaceTakedowns(
            catalogue,
            PutOnly(build_store(settings, ORIGINALS)),
            settings.upload,
            lambda: takedown_hours(policy.refresh().compiled.retention),
            clock,
            sealer(settings),
        )
        yield placing, ReviewTakedowns(catalogue, clock)
