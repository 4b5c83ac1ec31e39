"""Watches lives: everything that happens to them, and an outsider who looks before, in between and afterwards."""

import time
from functools import cache

import httpx
import numpy as np

from nightlight.delivery.object_names import object_key
from nightlight_client.errors import Problem
from nightlight_core.decisions.placeholder import EXTENSION
from tests.parity.lives import DAYS
from tests.parity.observe import OUTSIDERS
from tests.parity.traces import Record
from tests.support import pictures
from tests.support.waiting import HANG_S

# Pictures under 64 pixels carry no invisible watermark, so that the same upload gives the same bytes to everybody; one
# script in eight has larger ones, whose bytes nobody can compare.
SMALL, LARGE = 60, 80
# What is not there any more, or is in the vault.
GONE = {404, 409}
# Two of three looks are by whom the policy gives a picture.
_WHO = (0, 1, 2, 0, 3, 1, 2, 0, 4)


def marked(script):
    """Whether the pictures of a script carry an invisible watermark."""
    return script.number % 8 == 3


@cache
def picture_of(number, moment, side):
    """The picture that a script has uploaded at a moment: of the pictures there are, few."""
    return pictures.encoded(pictures.gradient(side, side, seed=(number + 7 * moment) % 40), "PNG")


class Watching:
    """An outsider, and the platform that the lives are led on; ``leak`` is called whenever another age is asserted."""

    def __init__(self, world, led, seed, leak=None):
        """Watch ``led``: (script, life) pairs."""
        self.records = {
            life.profile_id: Record(f"/{object_key(world.placeholder, EXTENSION)}", marked=marked(script))
            for script, life in led
        }
        self._world, self._led, self._leak = world, led, leak
        self._random = np.random.default_rng(seed)
        self._platform = httpx.Client(
            base_url=world.url, headers={"Authorization": f"Bearer {world.token()}"}, timeout=HANG_S
        )
        self._asking = {"Authorization": f"Bearer {world.token('decide')}"}
        self._outside = httpx.Client(base_url=world.url, timeout=HANG_S)
        self._images, self._bands, self._notices = {}, {}, {}

    def run(self, report=lambda _: None):
        """Lead every life to its end; return the records by profile id."""
        with self._platform, self._outside:
            for moment, days in enumerate(DAYS):
                self._world.forward(days=days)
                self._look(moment, "before")
                earlier = {profile_id: record.url for profile_id, record in self.records.items()}
                for script, life in self._shuffled():
                    self._happens(script, life, moment)
                self._look(moment, "in between")
                self._again(moment, "in between", earlier)
                self._world.work()
                self._look(moment, "afterwards")
                self._again(moment, "afterwards", earlier)
                report(moment)
        return self.records

    def _shuffled(self):
        return [self._led[at] for at in self._random.permutation(len(self._led))]

    def _look(self, moment, when):
        now = int(self._world.now.timestamp())
        for script, life in self._shuffled():
            viewer, context = OUTSIDERS[_WHO[(script.number + moment) % len(_WHO)]]
            item = {"profile_id": life.profile_id, "relation": "stranger"}
            body = {"viewer": viewer, "context": context, "items": [item]}
            begin = time.perf_counter()
            answer = self._outside.post("/v1/decisions", json=body, headers=self._asking)
            middle = time.perf_counter()
            (decision,) = answer.json()["items"]
            late = time.perf_counter()
            picture = self._fetched(decision["url"])
            times = middle - begin, time.perf_counter() - late
            record = self.records[life.profile_id]
            record.decided(moment, when, (viewer, context), answer, picture, now, times)

    def _again(self, moment, when, earlier):
        now = int(self._world.now.timestamp())
        for _, life in self._shuffled():
            begin = time.perf_counter()
            picture = self._fetched(earlier[life.profile_id])
            self.records[life.profile_id].again(moment, when, picture, now, time.perf_counter() - begin)

    def _fetched(self, url):
        return self._outside.get(url)

    def _happens(self, script, life, moment):
        client, profile_id, assertion = self._world.client, life.profile_id, life.assertions[moment]
        if assertion is not None:
            client.declare(
                profile_id,
                band=assertion.band,
                assurance=assertion.assurance,
                region=script.regions[moment],
                choice=script.choices[moment],
                earlier_pictures="follow_band" if assertion.follow else "keep_ceiling",
            )
            before = self._bands.get(profile_id)
            self._bands[profile_id] = assertion.band
            if self._leak is not None and before not in {None, assertion.band}:
                self._leak(client, profile_id)
        try:
            self._event(script, profile_id, moment)
        except Problem as problem:
            if problem.status not in GONE:
                raise

    def _event(self, script, profile_id, moment):
        client, event = self._world.client, script.events[moment]
        if event == "upload":
            picture = picture_of(script.picture, moment, LARGE if marked(script) else SMALL)
            self._images[profile_id] = client.upload(profile_id, picture).image_id
        elif event in {"report", "clear"}:
            client.set_report_flag(profile_id, "reported" if event == "report" else "clear")
        elif event == "revoke":
            client.revoke(profile_id)
        elif event == "block":
            client.block(profile_id, f"viewer-{moment}")
        elif event == "hold":
            body = {"profile_id": profile_id, "kind": "safeguarding", "reference": f"case {moment}"}
            answer = self._platform.post("/v1/holds", json=body)
            assert answer.status_code in {201, *GONE}, answer.text
        elif event == "takedown" and profile_id in self._images:
            notice = client.place_takedown(kind="other", reference="case", image_id=self._images[profile_id])
            self._notices[profile_id] = notice.takedown_id
        elif event == "undo" and profile_id in self._notices:
            client.undo_takedown(self._notices.pop(profile_id), why="another picture")
        elif event == "delete_image" and profile_id in self._images:
            client.delete_image(self._images.pop(profile_id))
        elif event == "delete_profile":
            client.delete_profile(profile_id)
