"""One step of a rotation: which is next, whether it may be taken now, and what it writes.

::

    step      is refused
    add       while another key waits
    promote   until every process that verifies has read the key
    retire    until every process signs with the new key, and has for as long as what the old one signed may live; a key
              whose products last is kept for reading
"""

from __future__ import annotations

import stat
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from nightlight.flows.key_rotation.rotation_log import ADDED, FORMER, IN_USE, PROMOTED, RETIRED, RotationRecord, locked
from nightlight_core.errors import InvalidInput
from nightlight_core.files import FILE, replace_file

if TYPE_CHECKING:
    from nightlight.flows.key_rotation.key_files import KeyStorage, Write
    from nightlight.flows.key_rotation.processes import ProcessKeys
    from nightlight.flows.key_rotation.rings import RotatedKeys
    from nightlight_core.clock import Clock

_LOOK_S = 0.5


class Step(StrEnum):
    """The three steps, in their order."""

    ADD = "add"
    PROMOTE = "promote"
    RETIRE = "retire"


class KeyState(StrEnum):
    """What a key is: it signs; it waits to be promoted; it signed before; nobody recorded what it is."""

    CURRENT = "current"
    WAITING = "waiting"
    FORMER = "former"
    KEPT = "kept for reading"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class StepResult:
    """How a step ended. ``refused`` says why nothing was done, ``not_before`` from when on it may be."""

    ring: str
    step: Step
    done: bool
    key: str | None
    keys: dict[str, str]
    refused: str | None = None
    not_before: datetime | None = None
    note: str = ""
    processes: list[ProcessKeys] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Work:
    """What a step goes by: what is recorded, what each key is, and whether nothing is to be written."""

    record: RotationRecord
    states: dict[str, KeyState]
    dry_run: bool


@dataclass(frozen=True, slots=True)
class Rotation:
    """The rotation of one kind of key.

    ``ask`` asks the processes that have it, and ``wait_s`` is for how many seconds they are waited for. ``in_use`` says
    what still needs keys whose time is over. ``edges_unasked``: there is an edge that cannot be asked.
    """

    what: RotatedKeys
    form: KeyStorage
    ask: Callable[[], list[ProcessKeys]]
    clock: Clock
    wait_s: float = 0.0
    in_use: Callable[[Sequence[str]], Sequence[str]] = lambda _keys: ()
    edges_unasked: bool = False

    def run(self, step: Step | None, *, dry_run: bool = False) -> StepResult:
        """Take a step, or the one that is next. Raises InvalidInput where none is, and what the form raises."""
        with locked(self.form.folder):
            record = RotationRecord.read(self.form.folder, self.what.name)
            states = self._states(record)
            step = step or self._next(states)
            do = {Step.ADD: self._add, Step.PROMOTE: self._promote, Step.RETIRE: self._retire}[step]
            return do(_Work(record, states, dry_run))

    def _states(self, record: RotationRecord) -> dict[str, KeyState]:
        current, *others = self.form.keys()
        return {current: KeyState.CURRENT, **{key: _state_of(record, key) for key in others}}

    def _next(self, states: dict[str, KeyState]) -> Step:
        kinds = list(states.values())
        if KeyState.WAITING in kinds:
            return Step.PROMOTE
        if KeyState.UNKNOWN in kinds:
            unknown = ", ".join(key for key, state in states.items() if state is KeyState.UNKNOWN)
            message = f"no step of {unknown} is recorded: say --step promote if it is the next key, or --step retire"
            raise InvalidInput(message)
        return Step.RETIRE if KeyState.FORMER in kinds else Step.ADD

    def _add(self, work: _Work) -> StepResult:
        waiting = _in_state(work.states, KeyState.WAITING)
        if waiting:
            return self._refusal(Step.ADD, work.states, f"{waiting[0]} waits: promote it, or retire it")
        key, writes = self.form.add()
        work.record.set(key, ADDED, self.clock())
        self._write(writes, work)
        after = {**work.states, key: KeyState.WAITING}
        return self._done(Step.ADD, key, after, "promote it once every process and edge has read it")

    def _promote(self, work: _Work) -> StepResult:
        candidates = _in_state(work.states, KeyState.WAITING) or _in_state(work.states, KeyState.UNKNOWN)
        if not candidates:
            return self._refusal(Step.PROMOTE, work.states, "no key waits: add one first")
        if self.edges_unasked:
            message = "CloudFront cannot be asked for its keys: put the key into its store, then say --edge-has-it"
            return self._refusal(Step.PROMOTE, work.states, message)
        key = candidates[-1]
        if self.what.verified_by is not None:
            wanted = self.form.verified_as(key)
            missing, asked = self._wait(lambda keys: self._lack(keys, wanted))
            if missing:
                return self._refusal(Step.PROMOTE, work.states, missing, processes=asked)
        former = next(iter(work.states))
        work.record.clear(key, FORMER, IN_USE, RETIRED)
        work.record.set(key, PROMOTED, self.clock())
        work.record.set(former, FORMER, self.clock())
        self._write(self.form.promote(key), work)
        others = {other: state for other, state in work.states.items() if other not in {key, former}}
        after = {key: KeyState.CURRENT, former: KeyState.FORMER, **others}
        if work.dry_run:
            return self._done(Step.PROMOTE, key, after, "")
        lagging, asked = self._wait(lambda keys: self._sign_otherwise(keys, key))
        if not lagging:
            work.record.set(key, IN_USE, self.clock())
            work.record.write()
        return self._done(Step.PROMOTE, key, after, lagging or self._until(work.record, key), asked)

    def _retire(self, work: _Work) -> StepResult:
        current = next(iter(work.states))
        waiting = _in_state(work.states, KeyState.WAITING)
        going = _in_state(work.states, KeyState.FORMER) or _in_state(work.states, KeyState.UNKNOWN)
        if not going:  # a key that waits has signed nothing
            why = "there is no key to retire: one is current, all others are kept"
            return self._forget(work, waiting) if waiting else self._refusal(Step.RETIRE, work.states, why)
        lagging, asked = self._wait(lambda keys: self._sign_otherwise(keys, current))
        if lagging:
            return self._refusal(Step.RETIRE, work.states, lagging, processes=asked)
        used_since = work.record.at(current, IN_USE)
        if used_since is None:
            used_since = self.clock()
            work.record.set(current, IN_USE, used_since)
            if not work.dry_run:
                work.record.write()
        if self.what.life is None:
            return self._keep(work, going)
        not_before = used_since + self.what.life
        if self.clock() < not_before:
            why = f"what {', '.join(going)} signed may be in use until {not_before:%Y-%m-%d %H:%M} UTC"
            return self._refusal(Step.RETIRE, work.states, why, not_before=not_before, processes=asked)
        still = self.in_use(going)
        why = f"still in use: {'; '.join(still)}"
        return self._refusal(Step.RETIRE, work.states, why) if still else self._forget(work, going)

    def _forget(self, work: _Work, going: list[str]) -> StepResult:
        writes = self.form.remove(going)
        for key in going:
            work.record.forget(key)
        self._write(writes, work)
        return self._done(Step.RETIRE, going[0], {k: s for k, s in work.states.items() if k not in going}, "removed")

    def _keep(self, work: _Work, going: list[str]) -> StepResult:
        for key in going:
            work.record.set(key, RETIRED, self.clock())
        self._write([], work)
        after = {**work.states, **dict.fromkeys(going, KeyState.KEPT)}
        return self._done(Step.RETIRE, going[0], after, f"kept for reading: {self.what.why_kept}")

    def _wait(self, lacking: Callable[[list[ProcessKeys]], str]) -> tuple[str, list[ProcessKeys]]:
        """Return what is lacking once nothing is, or the time is up; and what processes said last."""
        end = time.monotonic() + self.wait_s
        while True:
            asked = self.ask()
            why = lacking(asked)
            if not why or time.monotonic() >= end:
                return why, asked
            time.sleep(_LOOK_S)

    def _lack(self, asked: list[ProcessKeys], wanted: str) -> str:
        """Say which processes have not read a key; empty where all have that need it."""
        ring = self.what.verified_by or ""
        if failed := _failed(asked):
            return failed
        concerned = [process for process in asked if ring in process.keys]
        if not concerned:
            return f"no process was asked that verifies by {self.what.name}: name all of them with --process"
        late = [process.address for process in concerned if wanted not in process.keys[ring]]
        return f"not read yet by {', '.join(late)}" if late else ""

    def _sign_otherwise(self, asked: list[ProcessKeys], key: str) -> str:
        """Say which processes sign with another key; empty where none does, or the signers are elsewhere."""
        ring = self.what.signed_by
        if ring is None:
            return ""
        if failed := _failed(asked):
            return failed
        concerned = [process for process in asked if process.keys.get(ring)]
        if not concerned:
            return f"no process was asked that signs by {self.what.name}: name all of them with --process"
        late = [process.address for process in concerned if process.keys[ring][0] != key]
        return f"another key is still in use at {', '.join(late)}" if late else ""

    def _until(self, record: RotationRecord, key: str) -> str:
        since = record.at(key, IN_USE)
        if self.what.life is None or since is None:
            return ""
        return f"the key before may be retired from {since + self.what.life:%Y-%m-%d %H:%M} UTC on"

    @staticmethod
    def _write(writes: Sequence[Write], work: _Work) -> None:
        """Write the record first: a key of which nothing is known is worse than a record of what was not done."""
        if work.dry_run:
            return
        work.record.write()
        for path, text, public in writes:
            if text is None:
                path.unlink(missing_ok=True)
            else:
                _replace(path, text, public=public)

    def _refusal(
        self,
        step: Step,
        states: dict[str, KeyState],
        why: str,
        *,
        not_before: datetime | None = None,
        processes: Sequence[ProcessKeys] = (),
    ) -> StepResult:
        return StepResult(self.what.name, step, False, None, _plain(states), why, not_before, processes=list(processes))

    def _done(
        self, step: Step, key: str, states: dict[str, KeyState], note: str, processes: Sequence[ProcessKeys] = ()
    ) -> StepResult:
        return StepResult(self.what.name, step, True, key, _plain(states), note=note, processes=list(processes))


def _replace(path: Path, text: str, *, public: bool) -> None:
    """Write a file, for whoever could read it: a process that runs as another user goes on with the new keys.

    A secret that everybody could read is not one that everybody should.
    """
    if not path.exists():
        replace_file(path, text, FILE)
        return
    before = path.stat()
    mode = stat.S_IMODE(before.st_mode)
    replace_file(path, text, mode if public else mode & ~stat.S_IRWXO, owner=(before.st_uid, before.st_gid))


def _state_of(record: RotationRecord, key: str) -> KeyState:
    if record.at(key, RETIRED) is not None:
        return KeyState.KEPT
    if record.at(key, FORMER) is not None:
        return KeyState.FORMER
    return KeyState.WAITING if record.at(key, ADDED) is not None else KeyState.UNKNOWN


def _in_state(states: dict[str, KeyState], state: KeyState) -> list[str]:
    return [key for key, its in states.items() if its is state]


def _failed(asked: Sequence[ProcessKeys]) -> str:
    failed = [f"{process.address} ({process.failure})" for process in asked if process.failure is not None]
    return f"could not be asked: {', '.join(failed)}" if failed else ""


def _plain(states: dict[str, KeyState]) -> dict[str, str]:
    return {key: state.value for key, state in states.items()}
