"""What may be activated without the safety team: what opens nothing, and the way back from what only closed.

The way back needs no approval where all of this is so: the bundle that is brought back was active immediately before,
it was within the last seven days, nobody has withdrawn it since, and what replaced it opened nothing. Whatever is
brought back withdraws what it replaces: a policy that was left by a rollback comes back with a new approval only.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from nightlight.policy.compile import compile_bundle
from nightlight.policy.diff import diff
from nightlight.policy.signing import approval_subject, check_approval
from nightlight_core.errors import PolicyRefused, PolicyRejected
from nightlight_core.policy.bundle import open_bundle

if TYPE_CHECKING:
    from nightlight.catalogue.engine import Transaction
    from nightlight.catalogue.policies import PolicyState
    from nightlight.policy.changes import Difference
    from nightlight.policy.compile import Compiled
    from nightlight_core.policy.bundle import Bundle
    from nightlight_core.policy.public_keys import PublicKeys

UNDO = timedelta(days=7)
# A refusal names so many sentences; `nightlight policy diff` has them all.
_MOST_REASONS = 20


def previous_policy(data: bytes | None, publishers: PublicKeys | None, digest: str) -> Compiled | None:
    """Return what the bundle that was active immediately before compiles to, if it is there and still trusted.

    None also where it does not mean what ``digest`` says: what compiling it would show is known before.
    """
    if data is None or publishers is None:
        return None
    try:
        bundle = open_bundle(data, publishers, earlier=True)
        # A bundle of an earlier format has another digest of the same meaning.
        return compile_bundle(bundle) if bundle.earlier or bundle.digest == digest else None
    except PolicyRefused:
        return None


def restores_previous(before: Compiled | None, new: Compiled) -> bool:
    """Say whether a policy means, and is checked by, exactly what the one before the active one does."""
    # The difference of packs with dates takes seconds, in a transaction: the digests are asked first.
    if before is None or before.digest != new.digest:
        return False
    difference = diff(before, new)
    return difference.old_checks == difference.new_checks and difference.same


def undone_lately(tx: Transaction, state: PolicyState, now: datetime) -> bool:
    """Say whether what is active has been so for a short time, and nobody has withdrawn what was before it."""
    if state.previous_version is None or state.activated_at is None:
        return False
    return timedelta(0) <= now - state.activated_at <= UNDO and not tx.policies.withdrawn(state.previous_version)


def approving_key(
    bundle: Bundle, difference: Difference, approval: Any, safety: PublicKeys | None, now: datetime
) -> str:
    """Return the id of the safety key that approved a change; raise PolicyRejected where none did."""
    if approval is None:
        head = f"safety must approve difference {difference.digest} of version {bundle.version}:"
        reasons = difference.reasons()
        more = [f"and {len(reasons) - _MOST_REASONS} more"] if len(reasons) > _MOST_REASONS else []
        raise PolicyRejected("\n".join((head, *reasons[:_MOST_REASONS], *more)))
    if safety is None:
        message = "no safety keys are set (NIGHTLIGHT_POLICY_SAFETY_KEYS), so nothing that opens can be approved"
        raise PolicyRejected(message)
    subject = approval_subject(difference, bundle.version)
    try:
        key_id = check_approval(approval, subject, safety, now=now.timestamp())
    except PolicyRefused as error:
        raise PolicyRejected(str(error)) from error
    if key_id == bundle.key_id:
        raise PolicyRejected("the key that signed the bundle cannot approve it too: two teams, two keys")
    return key_id
