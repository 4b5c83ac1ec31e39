"""Retention to the day: what the policy keeps no longer is deleted, each picture by its own owner's age.

The buckets' lifecycle rules know no ages and are only the net under this. Due times stand in SQL, never in a queue: a
sweep finds what is due, whenever it runs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from nightlight import logs, metrics
from nightlight.catalogue import images
from nightlight.errors import NotFound
from nightlight.retention.desired import LIVE

if TYPE_CHECKING:
    from nightlight.catalogue.engine import Catalogue
    from nightlight.clock import Clock
    from nightlight.flows.erase import Delete
    from nightlight.policy.retention import RetentionTable

# What retention.yaml calls an image in each of its states here.
STATES = {images.SUPERSEDED: "replaced", images.READY: LIVE}
_BATCH = 100
_BAND = "subject_age"


@dataclass(frozen=True, slots=True)
class Sweep:
    """Deletes what was kept long enough."""

    catalogue: Catalogue
    delete: Delete
    retention: Callable[[], RetentionTable]
    assertion_days: int
    clock: Clock

    def run_once(self) -> int:
        """Delete up to a batch of each kind of what is due; return how many images that were."""
        table, now = self.retention(), self.clock()
        bands = table.space.attributes.get(_BAND, ())
        lapsed = now - timedelta(days=self.assertion_days)
        swept = 0
        for state, word in STATES.items():
            # Of the days of the image's own band and its owner's present one the fewer count: each is asked for.
            for band in bands or (None,):
                days = table.keep_days({"state": word} | ({_BAND: band} if band is not None else {}))
                with self.catalogue.reading() as tx:
                    due = tx.images.due(state, now - timedelta(days=days), band, lapsed=lapsed, limit=_BATCH)
                for image_id in due:
                    try:
                        self.delete.image(image_id, actor="retention")
                    except NotFound:  # deleted meanwhile
                        continue
                    swept += 1
        if swept:
            metrics.SWEPT.inc(swept)
            logs.get("sweep").info("images.swept", count=swept)
        return swept
