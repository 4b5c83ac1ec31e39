"""An emergency: a policy that only closes, activated with one key, and what was active before comes back by itself.

::

    activate   two bundles at once: the emergency, proved and only closing, and what is active now, under a version
               above it. Nobody approves: nothing opens, and what comes back was approved before
    lapse      once the time has come, the second becomes active, unless something else was activated meanwhile or
               the policy of before was withdrawn
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from nightlight import logs
from nightlight.catalogue.policies import ScheduledPolicy
from nightlight.flows.policies.rollout import Activation, Rollout
from nightlight.policy.diff import diff
from nightlight_core.errors import NightlightError, PolicyConflict, PolicyRejected

if TYPE_CHECKING:
    from nightlight.catalogue.engine import Transaction

# The longest emergency. What lasts longer is a change of the policy.
LONGEST = timedelta(days=14)
_LOOK_S = 1.0


@dataclass(frozen=True, slots=True)
class EmergencyPolicy:
    """Begins emergencies, and ends them."""

    rollout: Rollout

    def activate(self, data: bytes, after: bytes, *, until: datetime, actor: str) -> Activation:
        """Make a bundle active until a moment, and ``after`` active then.

        Raises PolicyRejected unless the first only closes and ``after`` is exactly what is active now, and for a moment
        that has passed or is more than LONGEST away; PolicyConflict as an activation does.
        """
        rollout, now = self.rollout, self.rollout.clock()
        if not now < until <= now + LONGEST:
            raise PolicyRejected(f"an emergency ends within {LONGEST.days} days; longer is a change of the policy")
        bundle, compiled = rollout.checked(data)
        back, restored = rollout.checked(after)
        if back.version <= bundle.version:
            raise PolicyRejected("what comes back must have a version above that of the emergency")
        compared = rollout.compare(compiled)
        difference, again = compared.difference, diff(compared.active, restored)
        with rollout.catalogue.transaction() as tx:
            state = rollout.accepted(tx, bundle, data, compared, now)
            if state.candidate_permille:
                raise PolicyConflict(
                    "a candidate decides for a share of profiles, and may hide more: withdraw it first"
                )
            scheduled = tx.policies.scheduled()
            if scheduled is not None and scheduled.instead_of == state.active_version:
                raise PolicyConflict("an emergency is under way already: roll it back first, or wait until it lapses")
            if difference.opens:
                raise PolicyRejected("\n".join(("an emergency only closes:", *difference.reasons()[:20])))
            if not again.same or again.old_digest != again.new_digest or again.old_checks != again.new_checks:
                raise PolicyRejected("what comes back is not what is active now")
            tx.policies.add_bundle(back.version, back.digest, after, now)
            tx.policies.schedule(ScheduledPolicy(back.version, bundle.version, state.active_version, until))
            _become_active(tx, bundle.version, highest=back.version, previous=state.active_version, now=now)
            detail = {**rollout.audit_detail(bundle, difference, ""), "until": until.isoformat()}
            tx.audit.append("policy.emergency", now=now, actor=actor, detail=detail)
        rollout.in_use.refresh({bundle.version: compiled})
        logs.get("policy").warning("policy.emergency", version=bundle.version, policy_digest=bundle.digest)
        return Activation(bundle.version, bundle.digest, difference)

    def lapse_due(self) -> bool:
        """End an emergency whose time is over; return whether what was active before is so again."""
        rollout, now = self.rollout, self.rollout.clock()
        with rollout.catalogue.reading() as tx:
            scheduled = tx.policies.scheduled()
        if scheduled is None or scheduled.due_at > now:
            return False
        with rollout.catalogue.transaction() as tx:
            state = tx.policies.state(lock=True)
            scheduled = tx.policies.scheduled()
            if scheduled is None or scheduled.due_at > now:  # another service was first
                return False
            tx.policies.schedule(None)
            versions = [version for version in (scheduled.restores, scheduled.version) if version is not None]
            lapses = state.active_version == scheduled.instead_of and not any(map(tx.policies.withdrawn, versions))
            lapses = lapses and self._trusted(tx.policies.bundle(scheduled.version))
            if lapses:
                # Before it there was the same policy: what the emergency hid is hidden no more.
                _become_active(tx, scheduled.version, highest=scheduled.version, previous=scheduled.restores, now=now)
                tx.audit.append("policy.lapsed", now=now, actor="schedule", detail={"version": scheduled.version})
        if lapses:
            rollout.in_use.refresh()
            logs.get("policy").info("policy.lapsed", version=scheduled.version)
        else:
            logs.get("policy").error("policy.not_restored", version=scheduled.version)
        return lapses

    def _trusted(self, data: bytes | None) -> bool:
        """Say whether a bundle is still signed by a publisher, whole and proved."""
        try:
            self.rollout.checked(data or b"")
        except PolicyRejected as error:
            logs.get("policy").error("policy.not_trusted", detail=str(error))
            return False
        return True

    def run(self, stop: threading.Event) -> None:
        """End emergencies in time until ``stop`` is set."""
        while not stop.wait(_LOOK_S):
            try:
                self.lapse_due()
            except NightlightError as error:
                logs.get("policy").error("policy.lapse_failed", code=error.code)


def _become_active(tx: Transaction, version: int, *, highest: int, previous: int | None, now: datetime) -> None:
    state = tx.policies.state(lock=True)
    tx.policies.change(
        state,
        now,
        highest_version=max(highest, state.highest_version),
        active_version=version,
        previous_version=previous,
        candidate_version=None,
        candidate_permille=0,
        candidate_rendered=0,
        activated_at=now,
    )
