"""What takedown notices need: the handlers of their jobs, and what the commands about them reach."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from nightlight.catalogue.clock import shared_clock
from nightlight.flows.takedowns.make_review_picture import MakeReviewPicture
from nightlight.flows.takedowns.notice_copies import NoticeCopies
from nightlight.flows.takedowns.requests import PlaceTakedowns, ReviewTakedowns
from nightlight.flows.takedowns.run import RunTakedown
from nightlight.jobs import kinds
from nightlight.retention.wanted_rules import takedown_hours
from nightlight.settings import Settings
from nightlight.store.interface import PutOnly
from nightlight.wiring.components import ORIGINALS, build_store, open_catalogue, policy_holder, receipt_issuer
from nightlight.wiring.operator_tools import find_copies
from nightlight.wiring.originals import opener, sealer
from nightlight_core.clock import Clock, system_clock

if TYPE_CHECKING:
    from nightlight.flows.traces.search import TraceSearch
    from nightlight.imaging.renderer import Renderer
    from nightlight.jobs.runner import JobRunner
    from nightlight.store.interface import ObjectStore
    from nightlight.wiring.live_keys import LiveKeys
    from nightlight.wiring.worker_container import Handler


def takedown_handlers(
    settings: Settings,
    runner: JobRunner,
    originals: ObjectStore,
    exports: ObjectStore,
    rendering: Renderer,
    search: TraceSearch,
    live: LiveKeys,
) -> dict[kinds.JobKind, Handler]:
    """Return what does the jobs about takedown notices, in a worker."""
    open_, most_bytes, soften = opener(settings, live), settings.upload.max_bytes, rendering.review_picture
    copies = NoticeCopies(originals, soften, open_, most_bytes)
    takedown = RunTakedown(
        runner,
        originals,
        rendering.notice_lumas,
        find_copies(settings, runner.catalogue, search),
        search,
        open_,
        most_bytes,
        copies,
        receipt_issuer(settings, live),
    )
    review = MakeReviewPicture(runner, originals, exports, soften, settings.matching, open_, most_bytes, copies)
    return {kinds.TAKEDOWN: takedown.run, kinds.REVIEW: review.run, kinds.DELETE_REVIEW: review.delete}


@contextmanager
def open_takedown_review(settings: Settings, clock: Clock = system_clock) -> Iterator[ReviewTakedowns]:
    """Give what says how notices stand, and takes verdicts on their matches."""
    with open_catalogue(settings) as catalogue:
        clock = shared_clock(catalogue, clock)
        yield ReviewTakedowns(catalogue, clock)


@contextmanager
def open_takedowns(settings: Settings, clock: Clock = system_clock) -> Iterator[tuple[PlaceTakedowns, ReviewTakedowns]]:
    """Give what places notices, and what says how they stand; originals can only be put."""
    with open_catalogue(settings) as catalogue:
        clock = shared_clock(catalogue, clock)
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
