"""Looks at decisions, URLs and pictures again and again while something else happens, and notes whatever is amiss.

Every URL that was ever given is fetched again, from every place that serves it, until it expires.
"""

import hashlib
import random
import threading
import time
from urllib.parse import parse_qs, urlsplit

import httpx

from nightlight_core.decisions.placeholder import placeholder_bytes

PLACEHOLDER = hashlib.sha256(placeholder_bytes()).hexdigest()
# A URL that is about to end is not asked for any more: whoever answers may do so a moment later.
_NEARLY_S = 2


class UrlWatcher:
    """Use as a context. ``clients`` ask for decisions; each URL is fetched from every one of ``origins``.

    ``profile_id`` has a picture, for which ``relations`` are given one each; a profile that nobody knows is asked for
    too. ``problems`` has a sentence for every answer that was not as at the beginning.
    """

    def __init__(self, clients, origins, profile_id, relations=("self", "stranger")):
        self.clients, self.origins = clients, origins
        self.asked = [*((profile_id, relation) for relation in relations), ("nobody-knows", "stranger")]
        self.problems, self.rounds, self.fetched = [], 0, 0
        self.key_ids, self.placeholders = set(), set()
        self._kept, self._stop = {}, threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        decisions = self.clients[0].decide("peer", "profile", self.asked)
        self.expected = [self._digest(decision.url, self.origins[0]) for decision in decisions]
        assert self.expected[-1] == PLACEHOLDER
        assert PLACEHOLDER not in self.expected[:-1]
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()

    def more_rounds(self, count=3):
        """Wait until everything has been looked at again."""
        end, wanted = time.monotonic() + 120, self.rounds + count
        while self.rounds < wanted:
            assert time.monotonic() < end, "the watcher stands still"
            time.sleep(0.05)
        assert not self.problems, self.problems[:5]

    def _run(self):
        while not self._stop.is_set():
            for client in self.clients:
                self._round(client)
            self.rounds += 1
            self._stop.wait(0.05)

    def _round(self, client):
        try:
            decisions = client.decide("peer", "profile", self.asked)
            for decision, expected in zip(decisions, self.expected, strict=True):
                parts = urlsplit(decision.url)
                query = parse_qs(parts.query)
                self.key_ids.add(query["k"][0])
                if expected == PLACEHOLDER:
                    self.placeholders.add(parts.path)
                if decision.url not in self._kept:
                    self._kept[decision.url] = (int(query["e"][0]), expected)
                    self._look(decision.url)
            now = time.time()
            self._kept = {url: kept for url, kept in self._kept.items() if kept[0] > now + _NEARLY_S}
            for url in random.sample(sorted(self._kept), min(4, len(self._kept))):
                self._look(url)
        except Exception as error:  # noqa: BLE001 - noted, and the test fails
            self.problems.append(f"{type(error).__name__}: {error}")

    def _look(self, url):
        expiry, expected = self._kept[url]
        for origin in self.origins:
            if expiry <= time.time() + _NEARLY_S:
                return
            digest = self._digest(url, origin)
            self.fetched += 1
            if digest != expected:
                self.problems.append(f"{digest} instead of {expected[:8]} at {origin}: {url}")

    @staticmethod
    def _digest(url, origin):
        parts = urlsplit(url)
        answer = httpx.get(f"{origin}{parts.path}?{parts.query}", timeout=30)
        if answer.status_code != 200 or "no-store" in answer.headers["cache-control"]:
            return f"{answer.status_code} {answer.headers.get('cache-control')}"
        return hashlib.sha256(answer.content).hexdigest()
