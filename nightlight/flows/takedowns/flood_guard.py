"""The guard against a notice whose hashes keep many unlike uploads from being published.

::

    count      each upload that a notice keeps dark; after every so many, the notice's job is asked to look
    look       which of the notice's entries have met more than ``unlike`` pictures that are unlike each other
    set aside  those entries count for nothing more; what they hid stays hidden, and people are asked

It is the bound of the search (``takedowns.search``), over time: one entry that matches a common frame, an app's
template or a default avatar would otherwise hide every upload that has it. Copies of one picture are alike, however
many they are. What a person confirmed does not count.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from nightlight import logs, metrics
from nightlight.catalogue import hash_list_matches
from nightlight.catalogue.events import SET_ASIDE
from nightlight.catalogue.takedowns import LIST
from nightlight.flows.pictures.notices import MIRRORED, TURNS, UPRIGHT, WHOLE_WITHIN, WINDOW_WITHIN
from nightlight.flows.takedowns.search import unlike_pictures

if TYPE_CHECKING:
    from datetime import datetime

    import numpy as np

    from nightlight.catalogue.engine import Transaction
    from nightlight.catalogue.takedowns import Takedown

# So many matches are looked at, the newest: the 1,100 entries of a picture are held against 500 images in some seconds,
# twice as many where its watermark led to another of ours.
MOST_MATCHES = 500
_HASH_BYTES = 32


def set_flooding_aside(tx: Transaction, takedown: Takedown, *, unlike: int, now: datetime) -> list[int]:
    """Set the entries of a notice aside that match too many unlike pictures; return them. The notice's row is held."""
    if takedown.hashes is None:
        return []
    counted = [
        match
        for match in tx.takedown_matches.of_entry((LIST, takedown.takedown_id))
        if match.verdict != hash_list_matches.CONFIRMED
    ]
    if len(counted) <= unlike:
        return []
    newest = sorted(counted, key=lambda match: match.found_at, reverse=True)[:MOST_MATCHES]
    views = [stored for match in newest if (stored := tx.view_hashes.of_image(match.image_id))]
    flooding = sorted(set(flooding_entries(takedown.hashes, views, unlike=unlike)) - set(takedown.aside))
    if flooding:
        tx.takedowns.set(takedown.takedown_id, aside=sorted({*takedown.aside, *flooding}))
        tx.takedowns.change_list()
        ask_people(tx, takedown.takedown_id, len(flooding), now)
    return flooding


def ask_people(tx: Transaction, takedown_id: str, entries: int, now: datetime) -> None:
    """Say that entries of a notice were set aside: to the platform, in the audit log, and to whoever watches."""
    detail: dict[str, str | int] = {"takedown_id": takedown_id, "entries": entries}
    tx.audit.append("takedown.set_aside", now=now, actor="worker", detail=detail)
    tx.events.add_about_notice(takedown_id, now, kind=SET_ASIDE)
    metrics.TAKEDOWNS.labels("set_aside").inc()
    metrics.TAKEDOWN_FAILURES.inc()
    logs.get("takedown").error("takedown.set_aside", takedown_id=takedown_id, count=entries)


def flooding_entries(entries: bytes, views: Sequence[bytes], *, unlike: int) -> list[int]:
    """Return the numbers of entries that are near to more than ``unlike`` pictures that are unlike each other.

    ``entries`` are hashes of 32 bytes each, ``views`` those of each image's views, the whole picture's first.
    """
    import numpy as np

    rows = np.frombuffer(entries, np.uint8).reshape(-1, _HASH_BYTES)
    near = np.stack([_near(rows, stored) for stored in views], axis=1) if views else np.zeros((len(rows), 0), bool)
    flooding = []
    for number in np.flatnonzero(near.sum(axis=1) > unlike):
        wholes = [views[int(image)][:_HASH_BYTES] for image in np.flatnonzero(near[number])]
        if unlike_pictures(wholes, most=unlike) > unlike:
            flooding.append(int(number))
    return flooding


def _near(entries: np.ndarray, stored: bytes) -> np.ndarray:
    """Return which entries, uint8 (n, 32), an upload with these views would be kept dark by: bool (n,)."""
    import numpy as np

    from nightlight.matching.pdq import distance, turned

    within = np.full(TURNS, WINDOW_WITHIN)
    within[[UPRIGHT, MIRRORED]] = WHOLE_WITHIN
    near = np.zeros(len(entries), bool)
    for at in range(0, len(stored), _HASH_BYTES):
        for turn, limit in zip(turned(stored[at : at + _HASH_BYTES]), within, strict=True):
            near |= distance(entries, turn) <= limit
    return near
