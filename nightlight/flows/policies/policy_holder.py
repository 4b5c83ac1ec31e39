"""Keeps the policy that a process decides by: the active bundle, and a candidate that is watched or staged.

Every process looks for a change once in ``poll_s`` seconds, while it is working, with one small read. What
cannot be read or verified changes nothing: the last good policy stays, and the operator is told. Where rules have
dates, each process goes from one table to the next by its clock, and reads nothing for it.
"""

from __future__ import annotations

import math
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from nightlight import logs, metrics
from nightlight.flows.policies.active_policy import ActivePolicy
from nightlight.imaging.recipe import Recipe, build_recipes
from nightlight.policy.compile import compile_bundle
from nightlight_core.clock import Clock, system_clock
from nightlight_core.errors import NightlightError, PolicyRefused
from nightlight_core.policy.bundle import open_bundle
from nightlight_core.policy.dates import BACK_S

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nightlight.catalogue.engine import Catalogue, Transaction
    from nightlight.catalogue.policies import PolicyState
    from nightlight.policy.compile import Compiled
    from nightlight_core.policy.public_keys import PublicKeys

_ALWAYS = (-math.inf, math.inf)


class PolicyHolder:
    """Holds the view and keeps it fresh. Safe to share between threads."""

    def __init__(
        self,
        catalogue: Catalogue,
        folder: Compiled,
        keys: PublicKeys | None,
        *,
        poll_s: float,
        share_key: bytes,
        clock: Clock = system_clock,
    ) -> None:
        """Begin with the pack of the folder, or the bundle that is active.

        Raises PolicyRefused if a bundle is active that cannot be verified: there is no last good one yet.
        """
        self._catalogue = catalogue
        self._folder = folder
        self._keys = keys
        self._poll_s = poll_s
        self._share_key = share_key
        self._clock = clock
        self._stored: Mapping[int, Compiled] = {}
        # One is held while the catalogue is read, the other for a moment, while the view is exchanged.
        self._lock, self._exchange = threading.Lock(), threading.Lock()
        self._now = ActivePolicy(folder, None, None, None, 0, 0, usable_recipes(folder), share_key, whole=folder)
        with catalogue.reading() as tx:
            self._now = self._view(tx, tx.policies.state()).at(self._moment())
        self._looked = time.monotonic()

    @property
    def known(self) -> ActivePolicy:
        """Return the view as it was at the last look, by the tables of today: it waits for nothing."""
        view = self._now
        if (view.since, view.until) == _ALWAYS or view.holds(self._clock().timestamp()):
            return view
        return self._go_on()

    def use_share_key(self, key: bytes) -> None:
        """Choose by another key which profiles a staged candidate decides for."""
        with self._lock, self._exchange:
            self._share_key = key
            self._now = replace(self._now, share_key=key)

    def current(self) -> ActivePolicy:
        """Return the view, looked at afresh if the last look is too long ago."""
        if time.monotonic() - self._looked >= self._poll_s and self._lock.acquire(blocking=False):
            try:
                self._look()
            finally:
                self._looked = time.monotonic()
                self._lock.release()
        return self.known

    def refresh(self, stored: Mapping[int, Compiled] | None = None) -> ActivePolicy:
        """Look now, whatever the time; used by the process that has just made a change.

        ``stored`` has bundles, by version, that this process has just verified, compiled and stored: with many dates
        that takes seconds, and is not done twice.
        """
        with self._lock:
            self._stored = stored or {}
            self._look()
            self._stored = {}
            self._looked = time.monotonic()
        return self.known

    def _go_on(self) -> ActivePolicy:
        """Go over to the tables of now."""
        with self._exchange:
            if not self._now.holds(moment := self._clock().timestamp()):
                self._now = self._now.at(moment)
                begins, digest = self._now.compiled.begins, self._now.digest
                logs.get("policy").info(
                    "policy.next_date", version=self._now.version, begins=begins, policy_digest=digest
                )
            return self._now

    def _moment(self) -> float:
        """Return the time by the clock; that at which the present tables began, if it was set back a little."""
        moment = self._clock().timestamp()
        return max(moment, self._now.since) if self._now.since - BACK_S <= moment else moment

    def _look(self) -> None:
        try:
            with self._catalogue.reading() as tx:
                state = tx.policies.state()
                if state.revision == self._now.revision:
                    return
                view = self._view(tx, state)
        except NightlightError as error:
            metrics.POLICY_REFUSED.inc()
            logs.get("policy").error("policy.kept_last_good", code=error.code, detail=str(error))
            return
        with self._exchange:
            self._now = view.at(self._moment())
        logs.get("policy").info("policy.changed", version=view.version, policy_digest=view.digest)

    def _view(self, tx: Transaction, state: PolicyState) -> ActivePolicy:
        previous = self._now
        if previous.version is not None and (state.active_version or 0) < previous.version:
            raise PolicyRefused(f"version {state.active_version} is older than {previous.version}, which was in use")
        active = self._bundle(tx, state.active_version) or self._folder
        try:
            candidate = self._bundle(tx, state.candidate_version)
        except PolicyRefused as error:  # the active policy must not wait for a candidate to be mended
            metrics.POLICY_REFUSED.inc()
            logs.get("policy").error("policy.candidate_refused", version=state.candidate_version, detail=str(error))
            candidate = None
        previous_policy = self._previous(tx, state)
        return ActivePolicy(
            compiled=active,
            version=state.active_version,
            candidate=candidate,
            candidate_version=state.candidate_version,
            permille=state.candidate_permille if candidate else 0,
            revision=state.revision,
            recipes=usable_recipes(active),
            share_key=self._share_key,
            candidate_recipes=usable_recipes(candidate)
            if candidate and (state.candidate_permille or state.candidate_rendered)
            else (),
            previous=previous_policy,
            previous_version=state.previous_version if previous_policy is not None else None,
            whole=active,
            whole_candidate=candidate,
            activated_at=state.activated_at.timestamp() if state.activated_at else None,
        )

    def _previous(self, tx: Transaction, state: PolicyState) -> Compiled | None:
        """Return what decided before: the folder's pack where the active bundle is the first; None if it is refused."""
        if state.active_version is None:
            return None
        moment = (state.activated_at or self._clock()).timestamp()
        try:
            return (self._bundle(tx, state.previous_version) or self._folder).timeline.at(moment).value
        except PolicyRefused as error:
            logs.get("policy").warning("policy.previous_refused", version=state.previous_version, detail=str(error))
            return None

    def _bundle(self, tx: Transaction, version: int | None) -> Compiled | None:
        if version is None:
            return None
        for number, compiled in (
            (self._now.version, self._now.whole),
            (self._now.candidate_version, self._now.whole_candidate),
            *self._stored.items(),
        ):
            if number == version:
                return compiled
        data = tx.policies.bundle(version)
        if data is None or self._keys is None:
            raise PolicyRefused(f"bundle {version} is not there" if data is None else "no publisher keys are set")
        bundle = open_bundle(data, self._keys, earlier=True)
        if bundle.version != version:
            raise PolicyRefused(f"bundle {version} says that it is {bundle.version}")
        compiled = compile_bundle(bundle)
        usable_recipes(compiled)
        return compiled


def usable_recipes(compiled: Compiled) -> tuple[Recipe, ...]:
    """Return the pack's recipes; raise PolicyRefused if this release lacks a step that they ask for."""
    return build_recipes(compiled.table.tiers, order=compiled.pack.vocabulary.outcomes.tier)
