"""Activating policies: proved, compared with what is in use, approved where anything opens, and audited.

::

    verify     the publisher's signature, and a version above every one before
    compile    the documents anew; cases; every check proved; every step installed
    compare    with the active policy: sentences, digest
    approve    if anything opens, or a check was touched: safety's signature over this very difference and version; the
               way back from what only closed needs none  (flows.policies.approval)
    activate   bundle, state and audit entry in one transaction
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from nightlight import logs
from nightlight.flows.policies.active_policy import PERMILLE, ActivePolicy
from nightlight.flows.policies.approval import approving_key, previous_policy, restores_previous, undone_lately
from nightlight.flows.policies.policy_holder import PolicyHolder, usable_recipes
from nightlight.flows.policies.policy_reader import count_large_groups
from nightlight.policy.changes import Difference
from nightlight.policy.checks import failed_checks
from nightlight.policy.compile import compile_bundle
from nightlight.policy.diff import diff
from nightlight.policy.traffic import Traffic
from nightlight_core.errors import PolicyConflict, PolicyRefused, PolicyRejected
from nightlight_core.policy.bundle import Bundle, open_bundle

if TYPE_CHECKING:
    from nightlight.catalogue.engine import Catalogue, Transaction
    from nightlight.catalogue.policies import PolicyState
    from nightlight.policy.compile import Compiled
    from nightlight_core.clock import Clock
    from nightlight_core.policy.public_keys import PublicKeys

_CHANGED = "the policy was changed at this moment by somebody else; look at the difference again"


@dataclass(frozen=True, slots=True)
class Activation:
    """What was activated (or set as candidate), and what that changes."""

    version: int
    digest: str
    difference: Difference


@dataclass(frozen=True, slots=True)
class Comparison:
    """A policy beside the one that is active at ``revision``.

    ``back`` says that it is the one before, and ``undoes`` that going back only takes back what closed something.
    """

    revision: int
    active: Compiled
    difference: Difference
    back: bool
    undoes: bool


@dataclass(frozen=True, slots=True)
class Rollout:
    """Changes which policy is in use."""

    catalogue: Catalogue
    in_use: PolicyHolder
    publishers: PublicKeys | None
    safety: PublicKeys | None
    counter_threshold: int
    clock: Clock

    def activate(self, data: bytes, approval: Any, *, actor: str) -> Activation:
        """Make a bundle the active policy for everybody.

        Raises PolicyRejected (signature, documents, checks, approval) or PolicyConflict (version).
        """
        bundle, compiled = self.checked(data)
        compared, now = self.compare(compiled), self.clock()
        difference, back = compared.difference, compared.back
        with self.catalogue.transaction() as tx:
            state = self.accepted(tx, bundle, data, compared, now)
            undone = compared.undoes and undone_lately(tx, state, now)
            approver = self._approver(bundle, difference, approval, undone=undone)
            if back and state.active_version is not None:
                tx.policies.withdraw(state.active_version, now)
            scheduled = tx.policies.scheduled()
            emergency = scheduled is not None and scheduled.instead_of == state.active_version
            tx.policies.schedule(None)
            tx.policies.change(
                state,
                now,
                highest_version=max(bundle.version, state.highest_version),
                active_version=bundle.version,
                # What an emergency hid is hidden no more once it is rolled back, rendered again or not.
                previous_version=state.previous_version if back and emergency else state.active_version,
                candidate_version=None,
                candidate_permille=0,
                candidate_rendered=0,
                activated_at=now,
            )
            detail = {**self.audit_detail(bundle, difference, approver), "undone": int(undone)}
            tx.audit.append("policy.activated", now=now, actor=actor, detail=detail)
        self.in_use.refresh({bundle.version: compiled})
        logs.get("policy").info("policy.activated", version=bundle.version, policy_digest=bundle.digest)
        return Activation(bundle.version, bundle.digest, difference)

    def candidate(self, data: bytes, approval: Any, *, permille: int, actor: str, render: bool = False) -> Activation:
        """Set a candidate: watched (``permille`` 0, no effect), or deciding for that share of profiles.

        With ``render`` every picture is rendered by its recipes too, so that nothing is missing once it decides.

        A staged candidate has effect, so it needs what an activation needs; raises likewise.
        """
        if not 0 <= permille < PERMILLE:
            raise PolicyRejected(f"a share is from 0 to {PERMILLE - 1} thousandths; activate the bundle for all")
        bundle, compiled = self.checked(data)
        compared, now = self.compare(compiled), self.clock()
        difference = compared.difference
        with self.catalogue.transaction() as tx:
            state = self.accepted(tx, bundle, data, compared, now)
            undone = compared.undoes and undone_lately(tx, state, now)
            approver = self._approver(bundle, difference, approval, undone=undone) if permille else ""
            tx.policies.change(
                state,
                now,
                highest_version=max(bundle.version, state.highest_version),
                candidate_version=bundle.version,
                candidate_permille=permille,
                candidate_rendered=int(render),
            )
            event = "policy.staged" if permille else "policy.shadowed"
            detail = {**self.audit_detail(bundle, difference, approver), "permille": permille, "rendered": int(render)}
            tx.audit.append(event, now=now, actor=actor, detail=detail)
        self.in_use.refresh({bundle.version: compiled})
        return Activation(bundle.version, bundle.digest, difference)

    def withdraw(self, *, actor: str) -> None:
        """Take the candidate away; nothing happens if there is none."""
        now = self.clock()
        with self.catalogue.transaction() as tx:
            state = tx.policies.state(lock=True)
            if state.candidate_version is None:
                return
            tx.policies.change(state, now, candidate_version=None, candidate_permille=0, candidate_rendered=0)
            tx.policies.withdraw(state.candidate_version, now)
            detail: dict[str, str | int] = {"version": state.candidate_version}
            tx.audit.append("policy.withdrawn", now=now, actor=actor, detail=detail)
        self.in_use.refresh()

    def withdraw_version(self, version: int, *, actor: str) -> None:
        """Let a version never be activated, and never be brought back without a new approval; its own is spent.

        Raises PolicyConflict for the version that is active: activate another one.
        """
        now = self.clock()
        with self.catalogue.transaction() as tx:
            state = tx.policies.state(lock=True)
            if version == state.active_version:
                message = f"version {version} is active; activate another one, or `nightlight policy rollback`"
                raise PolicyConflict(message)
            if version == state.candidate_version:
                tx.policies.change(state, now, candidate_version=None, candidate_permille=0, candidate_rendered=0)
            tx.policies.withdraw(version, now)
            tx.audit.append("policy.withdrawn", now=now, actor=actor, detail={"version": version})
        self.in_use.refresh()

    def compare(self, new: Compiled) -> Comparison:
        """Compare a policy with what is active. With many dates that takes seconds, in which nobody waits.

        Raises PolicyConflict if the policy is changed at this moment.
        """
        with self.catalogue.reading() as tx:
            state = tx.policies.state()
            data = tx.policies.bundle(state.previous_version) if state.previous_version is not None else None
        before = previous_policy(data, self.publishers, new.digest)
        active = self._same_view(state).whole
        back = before is not None and restores_previous(before, new)
        undoes = back and before is not None and not diff(before, active, today=self.clock().date()).opens
        return Comparison(state.revision, active, self._difference(active, new), back, undoes)

    def _difference(self, active: Compiled, new: Compiled) -> Difference:
        """Return the difference; where things are kept longer or shorter, with the number of objects."""
        today = self.clock().date()
        if active.retention.meaning() == new.retention.meaning():
            return diff(active, new, today=today)
        return diff(
            active, new, Traffic(1.0, (), {}, count_large_groups(self.catalogue, self.counter_threshold)), today=today
        )

    def checked(self, data: bytes) -> tuple[Bundle, Compiled]:
        """Return a bundle and what it compiles to; raise PolicyRejected unless it is signed, whole and proved."""
        if self.publishers is None:
            message = "no publisher keys are set (NIGHTLIGHT_POLICY_PUBLISHER_KEYS), so no bundle can be trusted"
            raise PolicyRejected(message)
        try:
            bundle = open_bundle(data, self.publishers)
            compiled = compile_bundle(bundle)
            usable_recipes(compiled)
        except PolicyRefused as error:
            raise PolicyRejected(str(error)) from error
        failures = failed_checks(compiled)
        if failures:
            raise PolicyRejected("\n".join(str(failure) for failure in failures))
        return bundle, compiled

    def _same_view(self, state: PolicyState) -> ActivePolicy:
        """Return the view of exactly this state: the difference must be to what is active now."""
        view = self.in_use.current()
        if view.revision != state.revision:
            view = self.in_use.refresh()
        if view.revision != state.revision or view.version != state.active_version:
            raise PolicyConflict(_CHANGED)
        return view

    def accepted(
        self, tx: Transaction, bundle: Bundle, data: bytes, compared: Comparison, now: datetime
    ) -> PolicyState:
        """Keep a bundle that may come into use; return the state, which is locked.

        Raises PolicyConflict where its version was withdrawn, is not above every one before, or is another bundle's,
        and where what it was compared with is not what is active.
        """
        state = tx.policies.state(lock=True)
        version = bundle.version
        if state.revision != compared.revision:
            raise PolicyConflict(_CHANGED)
        if tx.policies.withdrawn(version):
            message = f"version {version} was withdrawn, and its approval with it; build it with a higher version"
            raise PolicyConflict(message)
        if version == state.candidate_version:
            if tx.policies.bundle(version) != data:
                raise PolicyConflict(f"version {version} was used for another bundle")
        elif version <= state.highest_version:
            message = f"version {version} is not above {state.highest_version}; build it with a higher one"
            raise PolicyConflict(message)
        else:
            tx.policies.add_bundle(version, bundle.digest, data, now)
        return state

    def _approver(self, bundle: Bundle, difference: Difference, approval: Any, *, undone: bool) -> str:
        if undone or not difference.opens:
            return ""
        return approving_key(bundle, difference, approval, self.safety, self.clock())

    @staticmethod
    def audit_detail(bundle: Bundle, difference: Difference, approver: str) -> dict[str, str | int]:
        """Return what the audit log keeps of an activation."""
        return {
            "version": bundle.version,
            "digest": bundle.digest,
            "old_digest": difference.old_digest,
            "difference": difference.digest,
            "opens": int(difference.opens),
            "changes": len(difference.changes),
            "signed_by": bundle.key_id,
            "approved_by": approver,
            **({"dates": ", ".join(day for day, _ in bundle.dated)} if bundle.dated else {}),
        }
