"""Who declares, uploads, blocks, reports and deletes, all the time: each request again until it is acknowledged."""

import contextlib
import random
import secrets
import threading
import time
from functools import partial

from nightlight_client import NotNightlight, Problem, ServiceUnreachable
from tests.chaos import coloured
from tests.chaos.truth import BANDS, Profile, Statement, Version

PROFILES = 12
WRITERS = 2
# A platform's backend asks again after these, and after every failure of the connection.
AGAIN = frozenset({401, 408, 409, 425, 429, 500, 502, 503, 504})
_PAUSE_S = (0.4, 2.0)
# Nobody uploads while so much is waited for: the workers are to be busy, and not overrun.
_MOST_WAITING = 6
_AGAIN_S = 0.4
# Accounts are deleted less often than anything else.
_ENDS_NOT = 0.6
# What a writer does next: the more often named, the more often done.
_STEPS = ("upload",) * 6 + ("declare",) * 3 + ("clear",) * 3 + ("block", "unblock", "report", "delete_image", "end")


class Writer(threading.Thread):
    """Keeps some profiles busy, one change of each at a time, and writes down what counts of them."""

    def __init__(self, run, number, profiles):
        super().__init__(daemon=True, name=f"writer-{number}")
        self._run, self._profiles = run, profiles
        self._random = random.Random(f"{run.seed}/{number}")
        self._clients = [run.deployment.client_at(name) for name in run.services_asked]
        self._turn = number

    def run(self):
        for profile in list(self._profiles):
            self._open(profile)
        while not self._run.stopping.is_set():
            self._run.at_rest.wait_while_paused()
            with self._run.at_rest.working():
                profile = self._random.choice(self._profiles)
                step = self._random.choice(_STEPS)
                getattr(self, f"_{step}")(profile)
            self._run.stopping.wait(self._random.uniform(*_PAUSE_S))
        for client in self._clients:
            client.close()

    def _open(self, profile):
        self._change(
            profile, "declare", Statement(self._random.choice(BANDS), self._random.choice(("connections", "everyone")))
        )
        self._upload(profile)

    def _declare(self, profile):
        choice = self._random.choice(("connections", "connections", "everyone", "everyone", "everyone", "hidden"))
        self._change(profile, "declare", profile.changed(band=self._random.choice(BANDS), choice=choice))

    def _change(self, profile, step, statement, *, revokes=False, call=None):
        """Ask for one change of what counts, until it is acknowledged."""
        profile.asked(statement, time.monotonic())
        call = call or (
            lambda client: client.declare(
                profile.profile_id, band=statement.band, assurance="verified", region="eu", choice=statement.choice
            )
        )
        if self._until_acknowledged(profile, step, call):
            profile.acknowledged(time.monotonic(), revokes=revokes)

    def _upload(self, profile):
        if self._run.backlog > _MOST_WAITING:
            return
        number = max(profile.versions, default=0) + 1
        version = profile.versions[number] = Version(number, profile.statement.band)
        data, key = coloured.picture(profile.number, number), secrets.token_hex(12)
        image = self._until_acknowledged(
            profile, "upload", lambda client: client.upload(profile.profile_id, data, idempotency_key=key)
        )
        if image:
            version.image_id, profile.expected = image.image_id, number

    def _block(self, profile):
        viewer_id = f"blocked-{secrets.token_hex(4)}"
        statement = profile.changed(blocked=profile.statement.blocked | {viewer_id})
        self._change(profile, "block", statement, revokes=True, call=lambda c: c.block(profile.profile_id, viewer_id))

    def _unblock(self, profile):
        for viewer_id in sorted(profile.statement.blocked)[:1]:
            statement = profile.changed(blocked=profile.statement.blocked - {viewer_id})
            self._change(profile, "unblock", statement, call=partial(_unblock, profile.profile_id, viewer_id))

    def _report(self, profile):
        statement = profile.changed(reported=True)
        self._change(profile, "report", statement, call=lambda c: c.set_report_flag(profile.profile_id, "reported"))

    def _clear(self, profile):
        statement = profile.changed(reported=False)
        self._change(profile, "clear", statement, call=lambda c: c.set_report_flag(profile.profile_id, "clear"))

    def _delete_image(self, profile):
        version = profile.newest()
        if version and self._until_acknowledged(profile, "delete", lambda c: c.delete_image(version.image_id)):
            version.erased_at, profile.expected = time.monotonic(), None

    def _end(self, profile):
        """Delete the profile, and begin another one in its place."""
        if self._random.random() < _ENDS_NOT:
            return
        statement = profile.changed(deleted=True)
        self._change(profile, "delete", statement, revokes=True, call=lambda c: c.delete_profile(profile.profile_id))
        if profile.unsure:
            return
        for version in profile.versions.values():
            version.erased_at = min(version.erased_at, time.monotonic())
        new = self._run.new_profile()
        self._profiles[self._profiles.index(profile)] = new
        self._open(new)

    def _until_acknowledged(self, profile, step, call):
        """Return a true answer; None if the run ends before there is one."""
        begun, tries = time.monotonic(), 0
        while True:
            tries += 1
            self._turn += 1
            answer, outcome = self._attempt(step, self._clients[self._turn % len(self._clients)], call, tries)
            self._run.note_answer(step, outcome, time.monotonic() - begun)
            if answer:
                return answer
            if self._run.stopping.wait(_AGAIN_S):
                profile.unsure = True
                return None

    def _attempt(self, step, client, call, tries):
        try:
            return call(client) or True, "acknowledged"
        except Problem as problem:
            if problem.status == 404 and step == "delete" and tries > 1:  # an attempt before was done and not answered
                return True, "acknowledged"
            if problem.status not in AGAIN:
                self._run.violation("acknowledged and lost", f"{step}: {problem.status} {problem.code}")
            return None, str(problem.status)
        except (ServiceUnreachable, OSError, ValueError) as error:
            return None, type(error).__name__
        except NotNightlight as error:  # an answer that is none of the service's: it broke off
            return None, type(error).__name__


class AtRest:
    """Lets a run pause its writers between two of their requests."""

    def __init__(self):
        self._going, self._count, self._condition = threading.Event(), 0, threading.Condition()
        self._going.set()

    def wait_while_paused(self):
        self._going.wait()

    @contextlib.contextmanager
    def working(self):
        with self._condition:
            self._count += 1
        try:
            yield
        finally:
            with self._condition:
                self._count -= 1
                self._condition.notify_all()

    @contextlib.contextmanager
    def paused(self, seconds):
        """Pause; gives whether every writer came to rest in time."""
        self._going.clear()
        try:
            with self._condition:
                yield self._condition.wait_for(lambda: self._count == 0, seconds)
        finally:
            self._going.set()


def _unblock(profile_id, viewer_id, client):
    return client.unblock(profile_id, viewer_id)


def new_profile(number):
    return Profile(number, f"chaos-{number}-{secrets.token_hex(4)}")
