"""A change of a picture's state, with the job that must follow it, in one call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nightlight.catalogue import image_states
from nightlight.catalogue.image_states import StateChange, StateTransition
from nightlight.flows.exports.removal import remove_made
from nightlight.flows.pictures.review_removal import remove_review_pictures
from nightlight.jobs import kinds
from nightlight.jobs.enqueue import enqueue, lane_before

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from nightlight.catalogue.engine import Transaction
    from nightlight.jobs.kinds import JobKind
    from nightlight_core.ids import ImageId

# The job that each transition asks for; the others ask for none.
FOLLOWED_BY: dict[StateTransition, JobKind] = {
    image_states.ACCEPT: kinds.RENDER,
    image_states.CLEAR: kinds.RENDER,
    image_states.UNHOLD: kinds.RENDER,
    image_states.SUPERSEDE: kinds.RETENTION_TAGS,
    image_states.PUBLISH_LATE: kinds.RETENTION_TAGS,
    image_states.QUARANTINE: kinds.RETENTION_TAGS,
    image_states.HOLD: kinds.COPY_TO_VAULT,
    image_states.DELETE: kinds.ERASE,
}

# After these a picture may be given to nobody, so that an export with it is removed.
TAKEN_AWAY = frozenset({image_states.QUARANTINE, image_states.HOLD, image_states.DELETE})
# After these nobody looks at a picture any more, a reviewer of takedown notices neither.
LOCKED_AWAY = frozenset({image_states.HOLD, image_states.DELETE})


def change_state(
    tx: Transaction,
    transition: StateTransition,
    image_id: ImageId,
    now: datetime,
    *,
    lane: str | None = None,
    again: timedelta | None = None,
    **change: Any,
) -> None:
    """Make a transition and enqueue the job that follows it, in the caller's transaction; raises Conflict.

    A picture is rendered again in the lane where it was, unless ``lane`` is given. ``again`` is as for
    ``jobs.enqueue.enqueue``; ``change`` are the fields of ``catalogue.image_states.StateChange``.
    """
    image_states.change(tx, transition, image_id, now, StateChange(**change))
    if transition in TAKEN_AWAY:
        image = tx.images.get(image_id)
        if image is not None:
            remove_made(tx, image.profile_id, now=now, actor=change.get("actor", transition.event))
    if transition in LOCKED_AWAY:
        remove_review_pictures(tx, tx.takedown_reviews.of_image(image_id), now)
    kind = FOLLOWED_BY.get(transition)
    if kind is not None:
        enqueue(tx, kind, image_id, now, lane=lane or lane_before(tx, kind, image_id), again=again)
