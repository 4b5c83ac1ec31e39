"""One run: load and observers all the time, one fault after another, and a look at everything in between."""

import contextlib
import itertools
import random
import threading
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field

from sqlalchemy.exc import SQLAlchemyError

from nightlight_core.errors import NightlightError
from tests.chaos import faults, settled
from tests.chaos.deployment import PROCESSES, SERVICES, Deployment
from tests.chaos.load import PROFILES, WRITERS, AtRest, Writer, new_profile
from tests.chaos.observer import Observer
from tests.chaos.truth import Statement

# Behind a fault every process is ready again within so many seconds. Decoders load for several on a busy machine.
READY_S = 90.0
# And no job waits any longer so many seconds after that, once nothing more is asked for.
SETTLED_S = 200.0
# A writer's request is acknowledged so soon once everything is ready.
_REST_S = 60.0
# Between two faults, and how often two are made at once.
_GAP_S = (1.0, 4.0)
_TWO_AT_ONCE = 0.2
# After so many faults the writers rest, and everything is looked at.
_LOOK_AFTER = 5
_DEAD_PROFILES = 6
_MOST_VIOLATIONS = 200
# Before anything was declared there is nothing to show.
_UNDECLARED = Statement("under_13", choice="hidden")


@dataclass
class Fault:
    """One fault that was made. Times are seconds from the beginning of the run."""

    name: str
    group: str
    begun: float
    healed: float = 0.0
    ready_s: float | None = None  # from healed to ready; None if it was not within READY_S


@dataclass
class Record:
    """What a run has seen; times are seconds from its beginning."""

    seed: int
    seconds: float = 0.0
    faults: list = field(default_factory=list)
    violations: list = field(default_factory=list)
    readiness: dict = field(default_factory=dict)  # by process: (second, is ready)
    answers: dict = field(default_factory=dict)  # by second: counts by outcome
    ended: list = field(default_factory=list)  # (second, process, exit status)
    settled_s: list = field(default_factory=list)
    notes: list = field(default_factory=list)
    counts: dict = field(default_factory=dict)

    def as_dict(self):
        return asdict(self)


class Run:
    """``profiles`` are looked at, ``all_profiles`` were there at any time."""

    def __init__(
        self, services, folder, *, seed, seconds, kinds=faults.KINDS_OF_FAULTS, say=lambda _: None, patience=1.0
    ):
        self.services, self.seed, self._seconds, self._kinds, self._say = services, seed, seconds, kinds, say
        self._ready_s, self._settled_s = patience * READY_S, patience * SETTLED_S
        self.deployment = Deployment(folder)
        self.services_asked = SERVICES
        self.record = Record(seed)
        self.stopping, self.at_rest, self.noted = threading.Event(), AtRest(), set()
        self.all_profiles = []
        self._numbers, self._lock = itertools.count(1), threading.Lock()
        self._begun = time.monotonic()
        self._random = random.Random(seed)
        self.backlog = 0  # jobs that wait, as of the last second in which the database answered

    @property
    def profiles(self):
        with self._lock:
            dead = [profile for profile in self.all_profiles if profile.statement.deleted]
            return [profile for profile in self.all_profiles if not profile.statement.deleted] + dead[-_DEAD_PROFILES:]

    def new_profile(self):
        profile = new_profile(next(self._numbers))
        profile.asked(_UNDECLARED, time.monotonic())
        with self._lock:
            self.all_profiles.append(profile)
        return profile

    def now(self):
        return time.monotonic() - self._begun

    def violation(self, kind, detail):
        with self._lock:
            if len(self.record.violations) < _MOST_VIOLATIONS:
                self.record.violations.append((self.now(), kind, detail))
        self._say(f"{self.now():7.1f}  VIOLATION {kind}: {detail}")

    def note(self, text):
        self.record.notes.append((self.now(), text))

    def note_answer(self, step, outcome, _seconds):
        second = int(self.now())
        with self._lock:
            shapes = self.record.answers.setdefault(second, {})
            shapes[_shape(outcome)] = shapes.get(_shape(outcome), 0) + 1
            name = f"{step} {outcome}"
            self.record.counts[name] = self.record.counts.get(name, 0) + 1

    def __call__(self):
        """Make the run, and return its record."""
        with ExitStack() as stack:
            stack.enter_context(self.deployment)
            self._begun = time.monotonic()
            threads = [*self._writers(), *(Observer(self, name) for name in SERVICES)]
            threads.append(threading.Thread(target=self._sample, daemon=True))
            stack.callback(self._join, threads)
            for thread in threads:
                thread.start()
            self.stopping.wait(5)
            self._make_faults()
            self._look()
            for thread in threads:
                if not thread.is_alive() and not self.stopping.is_set():
                    self.violation("run broken", f"{thread.name} ended before its time")
        self.record.seconds = self.now()
        self.record.ended = [(at - self._begun, name, code) for at, name, code in self.deployment.ended]
        self.record.counts["uploads"] = sum(len(profile.versions) for profile in self.all_profiles)
        return self.record

    def _writers(self):
        for number in range(WRITERS):
            yield Writer(self, number, [self.new_profile() for _ in range(PROFILES // WRITERS)])

    def _join(self, threads):
        self.stopping.set()
        for thread in threads:
            thread.join(60)

    def _make_faults(self):
        kinds = faults.order(self._random, self._kinds)
        count = 0
        while (
            not self.stopping.is_set() and self.now() < self._seconds and len(self.record.violations) < _MOST_VIOLATIONS
        ):
            two = self._random.random() < _TWO_AT_ONCE
            self._fault([next(kinds) for _ in range(2 if two else 1)])
            count += 1
            if count % _LOOK_AFTER == 0:
                self._look()
            self.stopping.wait(self._random.uniform(*_GAP_S))

    def _fault(self, kinds):
        if {kind.name.split()[-1] for kind in kinds} & {"schedule-2", "worker-2"}:
            kinds = kinds[:1]
        batch = [Fault(kind.name, kind.group, self.now()) for kind in kinds]
        self.record.faults += batch
        for kind in kinds:
            self._say(f"{self.now():7.1f}  {kind.name}")
        try:
            with ExitStack() as stack:
                for kind in kinds:
                    stack.enter_context(kind.make(self, self._random))
        except Exception as error:  # noqa: BLE001 - one fault makes another's means fail
            self.note(f"{kinds[0].name}: {type(error).__name__}: {error}"[:300])
        healed = self.now()
        ready_s = self.deployment.wait_ready(self._ready_s, self.stopping)
        if self.stopping.is_set():
            return
        for fault in batch:
            fault.healed, fault.ready_s = healed, ready_s
        if ready_s is None:
            states = {name: self.deployment.readiness(name) for name in PROCESSES}
            unready = {name: parts for name, (ready, parts) in states.items() if not ready}
            self.violation("not ready in time", f"{self._ready_s:.0f} s after {kinds[0].name}: {unready}")

    def _look(self):
        """Let the writers rest, wait until everything is done, and hold it against what was acknowledged."""
        if self.stopping.is_set():
            return
        self._say(f"{self.now():7.1f}  looking at everything")
        with self.at_rest.paused(_REST_S) as at_rest:
            if not at_rest:
                self.violation("not ready in time", f"a request was not acknowledged within {_REST_S:.0f} s")
                return
            seconds = settled.wait(self, self._settled_s)
            if self.stopping.is_set():
                return
            if seconds is None:
                self.violation(
                    "not ready in time", f"after {self._settled_s:.0f} s there is work left: {settled.open_work(self)}"
                )
            else:
                self.record.settled_s.append((self.now(), seconds))
                settled.check(self)

    def _sample(self):
        while not self.stopping.wait(1.0):
            with contextlib.suppress(SQLAlchemyError, NightlightError):
                self.backlog = sum(settled.open_work(self).values())
            for name in PROCESSES:
                ready = self.deployment.readiness(name, timeout=1.0)[0]
                self.record.readiness.setdefault(name, []).append((self.now(), ready))


def _shape(outcome):
    if outcome in {"acknowledged", "picture", "placeholder"}:
        return outcome
    return "fallback" if outcome == "fallback" else "failed"
