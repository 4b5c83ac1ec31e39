"""How an image gets from one state to another: one table of transitions, and the one function that makes them.

docs/reference/states.md is drawn from this table.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import update

from nightlight.catalogue.images import (
    DELETED,
    FAILED,
    HELD,
    PENDING,
    QUARANTINED,
    READY,
    RECEIVING,
    REJECTED,
    SUPERSEDED,
)
from nightlight.catalogue.schema import images
from nightlight_core.errors import Conflict

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from nightlight.catalogue.engine import Transaction
    from nightlight_core.ids import ImageId

# Of a reason in words, so much is kept.
MAX_DETAIL_CHARACTERS = 200
# Every state, and what it means.
STATES = {
    RECEIVING: "its bytes are on their way into the store; nothing was acknowledged yet",
    PENDING: "it was accepted, and a job waits to render it",
    READY: "its renditions can be served",
    SUPERSEDED: "a newer image of the profile took its place",
    REJECTED: "its bytes cannot be used",
    FAILED: "Nightlight gave it up, or its original is gone",
    QUARANTINED: "it matched a hash list or a takedown notice, and waits for a person",
    HELD: "a legal hold covers it",
    DELETED: "its objects are erased, or about to be",
}
# Why an image failed, besides the codes of errors: its workers died without a word; its original is not in the store.
WORKER_CRASHED, ORIGINAL_MISSING = "worker_crashed", "original_missing"
# Why an image is quarantined: an entry of a hash list, or a takedown notice.
LISTED, TAKEDOWN = "listed", "takedown"


@dataclass(frozen=True, slots=True)
class StateTransition:
    """A way from each of the states ``sources`` to the state ``target``.

    ``event`` is what the audit log calls it, ``stamps`` are the columns that get the moment.
    """

    name: str
    sources: tuple[str, ...]
    target: str
    event: str
    when: str
    stamps: tuple[str, ...] = ()


# Every transition, by its name.
TRANSITIONS: dict[str, StateTransition] = {}


def _transition(
    name: str, sources: tuple[str, ...], target: str, event: str, when: str, *stamps: str
) -> StateTransition:
    TRANSITIONS[name] = transition = StateTransition(name, sources, target, event, when, stamps)
    return transition


ACCEPT = _transition(
    "accept", (RECEIVING,), PENDING, "image.accepted", "its original is stored, and the upload acknowledged"
)
PUBLISH = _transition("publish", (PENDING,), READY, "image.ready", "it is rendered, and the newest", "ready_at")
PUBLISH_LATE = _transition(
    "publish_late", (PENDING,), SUPERSEDED, "image.superseded", "it is rendered, and a newer one was before it",
    "ready_at", "superseded_at",
)  # fmt: skip
SUPERSEDE = _transition(
    "supersede", (READY,), SUPERSEDED, "image.superseded", "a newer one is published", "superseded_at"
)
REJECT = _transition("reject", (PENDING,), REJECTED, "image.rejected", "its bytes cannot be decoded")
FAIL = _transition("fail", (PENDING, HELD), FAILED, "image.failed", "its workers died over it, or its original is gone")
QUARANTINE = _transition(
    "quarantine",
    (PENDING, READY, SUPERSEDED),
    QUARANTINED,
    "image.quarantined",
    "it matches an entry of a list, or a takedown notice",
)
CLEAR = _transition("clear", (QUARANTINED,), PENDING, "image.cleared", "a person says that it is another picture")
HOLD = _transition(
    "hold", (PENDING, READY, SUPERSEDED, REJECTED, FAILED, QUARANTINED), HELD, "image.held",
    "a legal or safeguarding hold is placed on it",
)  # fmt: skip
UNHOLD = _transition("unhold", (HELD,), PENDING, "image.unheld", "the last hold ended, and its original is back")
DELETE = _transition(
    "delete", tuple(state for state in STATES if state != DELETED), DELETED, "image.deleted",
    "its owner, the platform or retention asks for it, or its upload was abandoned",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class StateChange:
    """What there is to tell of a transition.

    ``reason`` says why, ``reason_detail`` in words (MAX_DETAIL_CHARACTERS are kept), ``detail`` what else the audit log
    tells. ``blurhash`` is the picture's preview, where it has one now.
    """

    actor: str
    reason: str | None = None
    reason_detail: str | None = None
    detail: Mapping[str, str | int] | None = None
    blurhash: str | None = None


def change(
    tx: Transaction, transition: StateTransition, image_id: ImageId, now: datetime, state_change: StateChange
) -> None:
    """Make a transition, with its line in the audit log, in the caller's transaction; the row is locked from here on.

    Raises Conflict if the image is in another state than the transition starts from.
    """
    words = state_change.reason_detail
    values: dict[str, object] = {
        "state": transition.target,
        "reason": state_change.reason,
        "reason_detail": words[:MAX_DETAIL_CHARACTERS] if words else None,
        **dict.fromkeys(transition.stamps, now),
    }
    if state_change.blurhash is not None:
        values["blurhash"] = state_change.blurhash
    row = images.c.image_id == image_id, images.c.state.in_(transition.sources)
    if tx.connection.execute(update(images).where(*row).values(values)).rowcount != 1:
        raise Conflict(f"an image to {transition.name} must be {' or '.join(transition.sources)}")
    entry = {
        **(state_change.detail or {}),
        **({"reason": state_change.reason} if state_change.reason is not None else {}),
    }
    tx.audit.append(transition.event, now=now, actor=state_change.actor, image_id=image_id, detail=entry)
