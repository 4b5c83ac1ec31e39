"""Pictures follow the policy on a running service, with its workers killed in the middle: what viewers got meanwhile."""

import json
import logging
import os
import shutil
import time
from collections import Counter

import pytest

from nightlight.policy.bundle_writer import build_bundle
from nightlight.policy.compile import compile_folder
from nightlight.policy.signing import SigningKey
from tests.support import paused, pictures
from tests.support.command import run_command
from tests.support.stacks import ROOT, STACKS
from tests.support.waiting import HANG_S, eventually

pytestmark = [pytest.mark.e2e, pytest.mark.integration]

# `NIGHTLIGHT_TEST_PICTURES=2000 make ...` shows it for more.
PICTURES = int(os.environ.get("NIGHTLIGHT_TEST_PICTURES", "15"))
# Profiles that one viewer asks for: fewer than a stranger is shown in an hour.
BATCH = 100
LOG = logging.getLogger("tests")
BANDS = ("unknown", "under_13", "age_13_15", "age_16_17", "adult")


@pytest.fixture(params=sorted(STACKS))
def own(request, tmp_path_factory):
    """A stack of its own: it is restarted, and its policy is changed."""
    settings = {"NIGHTLIGHT_POLICY_POLL_S": "0.2", "NIGHTLIGHT_POLICY_COUNTER_FLUSH_S": "0.2"}
    with STACKS[request.param](tmp_path_factory.mktemp(request.param), paused=True, **settings) as started:
        yield started


def pack(folder, old, new):
    shutil.copytree(ROOT / "policies", folder)
    shutil.rmtree(folder / "cases")
    text = (folder / "tiers.yaml").read_text()
    assert old in text
    (folder / "tiers.yaml").write_text(text.replace(old, new))
    return compile_folder(folder)


def rows(stack):
    """Which recipe each rendition of a shown picture was made by, by its path."""
    from sqlalchemy import select

    from nightlight.catalogue.policy_schema import recipes
    from nightlight.catalogue.schema import images, renditions

    query = select(renditions.c.name, renditions.c.tier, recipes.c.fields)
    query = query.join(recipes, recipes.c.digest == renditions.c.recipe)
    query = query.join(images, images.c.image_id == renditions.c.image_id).where(images.c.state == "ready")
    with stack.catalogue.reading() as tx:
        return {row.name: (row.tier, row.fields["visible_watermark"]) for row in tx.connection.execute(query)}


def decide_all(client, profiles):
    time.sleep(len(profiles) / 400)  # of thousands, looking takes as long as rendering
    LOG.info("pictures: %s", client.policy_progress()[:1])  # what a failure is explained by
    asked = [(profile, "stranger") for profile in profiles]
    batches = {f"viewer-{start}": asked[start : start + BATCH] for start in range(0, len(asked), BATCH)}
    return [
        decision
        for viewer, batch in batches.items()
        for decision in client.decide("peer", "profile", batch, viewer_id=viewer)
    ]


class Strangers:
    """What strangers get of everybody from now on, look by look: a rendition of ``tiny``, or nothing."""

    def __init__(self, stack, client, profiles):
        self._stack, self._client, self._profiles = stack, client, profiles
        self._placeholder = client.decide("peer", "profile", [("nobody", "stranger")])[0].url.split("?")[0]
        self._made_by = rows(stack)
        self.seen = Counter()

    def look(self):
        """Assert that whatever they get at this moment is strong; return it, and whether everybody is shown."""
        decisions = decide_all(self._client, self._profiles)
        self._made_by.update(rows(self._stack))  # with those that were replaced since: whoever is given one is seen
        now = Counter()
        for decision in decisions:
            path = decision.url.split("?")[0]
            name = path.rsplit("/", 1)[-1].split(".")[0]
            now["placeholder" if path == self._placeholder else self._made_by[name]] += 1
        LOG.info("strangers were given %s", dict(now))
        assert set(now) <= {"placeholder", ("tiny", "strong")}
        self.seen.update(now)
        return decisions, "placeholder" not in now


def test_pictures_follow_the_policy_though_workers_are_killed_and_nobody_is_shown_more_meanwhile(own, tmp_path):
    """From ``soft`` to ``strong`` in the tier of strangers: whatever they get from then on is strong, or nothing."""
    publisher = SigningKey.read(own.folder / "keys/publisher.private.jwk.json")
    stronger = pack(tmp_path / "stronger", "visible_watermark: soft", "visible_watermark: strong")
    with own.client() as client:
        profiles = [f"p-{number}" for number in range(PICTURES)]
        images = []
        for number, profile in enumerate(profiles):
            client.declare(
                profile, band=BANDS[number % len(BANDS)], assurance="verified", region="eu", choice="connections"
            )
            if number:
                images.append(client.upload(profile, pictures.jpeg(400, 300, seed=number)).image_id)
                continue
            images.append(paused.pause(own, client, profile).image_id)  # one that stops whoever renders it
            with paused.releasing(own):
                assert client.wait(images[0]).state == "ready"
        assert {client.wait(image, timeout_s=HANG_S + PICTURES).state for image in images} == {"ready"}
        strangers = Strangers(own, client, profiles)
        client.activate(build_bundle(stronger, client.policy_status()["highest_version"] + 1, publisher))
        strangers.look()
        eventually(lambda: paused.decoders(own))  # a picture is in the middle of being rendered again
        strangers.look()
        own.children["worker"].kill()
        own.children["worker"].wait()
        strangers.look()
        own.start_worker()
        with paused.releasing(own):
            eventually(lambda: strangers.look()[1], seconds=HANG_S + PICTURES)
            eventually(lambda: client.policy_progress()[0]["state"] == "done", seconds=HANG_S + PICTURES)
            decisions, _ = strangers.look()
            (run, *_) = client.policy_progress()
            assert {watermark for tier, watermark in rows(own).values() if tier == "tiny"} == {"strong"}
            assert len(rows(own)) == 4 * PICTURES
            assert strangers.seen["tiny", "strong"] >= PICTURES
            assert run["failed"] == 0
            shown = {
                profile: client.fetch(decision.url).content
                for profile, decision in zip(profiles, decisions, strict=True)
            }
            assert {max(pictures.opened(data).size) for data in shown.values()} == {96}
            render_by_hand(own, profiles[1])


def render_by_hand(own, profile):
    again = ["rerender", "--profile", profile, "--tier", "tiny", "--json", "--wait-s", "300"]
    done = run_command(again, own.as_role("operator"))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["rendered"] == 1
    url = {"NIGHTLIGHT_URL": own.url, "NIGHTLIGHT_TOKEN": client_token(own)}
    finished = run_command(["policy", "progress"], url)
    assert finished.returncode == 0, finished.stderr
    assert "by hand" in finished.stdout


def client_token(stack):
    from nightlight.cli import key_commands

    return key_commands.token(stack.folder, scopes=["policy"], subject="tests", hours=1)


def test_a_candidate_that_is_rendered_first_leaves_no_gap(rollout_stack, tmp_path):
    publisher = SigningKey.read(rollout_stack.folder / "keys/publisher.private.jwk.json")
    stronger = pack(tmp_path / "stronger", "visible_watermark: soft", "visible_watermark: strong")
    with rollout_stack.client() as client:
        client.declare("p", band="age_13_15", assurance="verified", region="eu", choice="connections")
        assert client.wait(client.upload("p", pictures.jpeg(400, 300)).image_id).state == "ready"
        version = client.policy_status()["highest_version"] + 1
        data = build_bundle(stronger, version, publisher)

        def shown():
            (decision,) = client.decide("peer", "profile", [("p", "stranger")])
            name = decision.url.split("?")[0].rsplit("/", 1)[-1].split(".")[0]
            return rows(rollout_stack).get(name, ("placeholder",))[-1]

        assert shown() == "soft"
        client.candidate(data, render=True)
        assert client.policy_status()["candidate"]["rendered"]
        url = {"NIGHTLIGHT_URL": rollout_stack.url, "NIGHTLIGHT_TOKEN": client_token(rollout_stack)}
        watched = run_command(["policy", "progress", "--watch", "--begin-within", str(HANG_S)], url)
        assert watched.returncode == 0, watched.stderr
        assert "done     follows the policy" in watched.stdout
        assert ("tiny", "strong") in rows(rollout_stack).values()
        nothing = run_command(["policy", "progress", "--watch", "--begin-within", "1"], url)
        assert (nothing.returncode, nothing.stderr) == (4, "no run began within 1 s\n")
        assert shown() == "soft"
        client.activate(data)
        assert shown() == "strong"
        eventually(lambda: ("tiny", "soft") not in rows(rollout_stack).values())
        assert shown() == "strong"
