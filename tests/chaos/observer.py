"""Looks at every profile all the time, as strangers, connections, owners and blocked viewers, at one service.

Each answer is held against what may be true of the profile between the request and the answer (tests.chaos.truth).
"""

import collections
import hashlib
import random
import secrets
import threading
import time
from urllib.parse import urlsplit

import httpx

from nightlight_client import NightlightError, Problem
from nightlight_core.decisions.placeholder import placeholder_bytes
from tests.chaos import coloured
from tests.chaos.truth import DARK_S, EDGES, TIERS

_PAUSE_S = 0.08
_OLD_URLS = 400
_PLACEHOLDER = hashlib.sha256(placeholder_bytes()).digest()


class Observer(threading.Thread):
    def __init__(self, run, service):
        super().__init__(daemon=True, name=f"observer-{service}")
        self._run, self._service = run, service
        self._random = random.Random(f"{run.seed}/{service}")
        self._client = run.deployment.client_at(service)
        self._viewer = httpx.Client(timeout=6.0)
        self._urls = collections.deque(maxlen=_OLD_URLS)  # (path, profile, when it had been issued)

    def run(self):
        while not self._run.stopping.wait(_PAUSE_S):
            try:
                self._decide()
                if self._urls and self._random.random() < 0.5:
                    self._fetch_again()
            except (
                httpx.HTTPError,
                OSError,
                NightlightError,
            ) as error:  # anything else ends this thread, and is reported
                status = error.status if isinstance(error, Problem) else type(error).__name__
                self._run.note_answer("look", str(status), 0.0)
        self._client.close()
        self._viewer.close()

    def _decide(self):
        profile = self._random.choice(self._run.profiles)
        relation, viewer_id = self._random.choice(self._viewers(profile))
        begin = time.monotonic()
        (decision,) = self._client.decide("peer", "profile", [(profile.profile_id, relation)], viewer_id=viewer_id)
        issued = time.monotonic()
        path = _path(decision.url)
        shown = None if decision.fallback else self._shown(path)  # a fallback is the client's own placeholder
        end = time.monotonic()
        self._run.note_answer(
            "look", "fallback" if decision.fallback else "picture" if shown else "placeholder", end - begin
        )
        if not shown:
            return
        self._urls.append((path, profile, issued))
        number, version, edge = shown
        if number != profile.number % coloured.NUMBERS:
            self._run.violation(
                "more than allowed", f"{self._service}: {profile.profile_id} shows the picture of {number}"
            )
            return
        allowed = profile.allowed(begin, end, relation, viewer_id, version)
        given = next(tier for tier in TIERS[1:] if edge <= EDGES[tier])
        if TIERS.index(given) > TIERS.index(allowed):
            detail = f"{self._service}: {relation} of {profile.profile_id} got {given}, allowed {allowed}: {profile.statement}"
            self._run.violation("more than allowed", detail)
        self._erased(profile, version, begin)

    def _viewers(self, profile):
        fresh = f"viewer-{secrets.token_hex(6)}"  # quotas are for each viewer
        kinds = [("stranger", fresh), ("connection", fresh), ("self", profile.profile_id)]
        return [*kinds, *(("connection", viewer_id) for viewer_id in list(profile.statement.blocked)[-2:])]

    def _fetch_again(self):
        """Fetch by a URL that was issued earlier: whatever ended it since must have."""
        path, profile, issued = self._random.choice(self._urls)
        begin = time.monotonic()
        shown = self._shown(path)
        if not shown:
            return
        ended = [at for at in list(profile.revoked_at) if issued < at and at + DARK_S < begin]
        if ended:
            late = begin - ended[-1]
            self._run.violation(
                "not dark in time", f"{self._service}: a URL of {profile.profile_id} {late:.1f} s later"
            )
        self._erased(profile, shown[1], begin)

    def _erased(self, profile, version, begin):
        erased_at = [v.erased_at for n, v in list(profile.versions.items()) if n % coloured.NUMBERS == version]
        if erased_at and all(at + DARK_S < begin for at in erased_at):
            late = begin - max(erased_at)
            detail = f"{self._service}: {profile.profile_id} shows upload {version}, erased {late:.1f} s ago"
            self._run.violation("not dark in time", detail)

    def _shown(self, path):
        """(profile, version, longest side) of what is behind a URL; None for the placeholder, or nothing."""
        answer = self._viewer.get(self._run.deployment.address(self._service) + path)
        if answer.status_code != 200 or hashlib.sha256(answer.content).digest() == _PLACEHOLDER:
            return None
        return coloured.read(answer.content)


def _path(url):
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}"
