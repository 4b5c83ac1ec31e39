"""Pictures follow the policy, over a real catalogue and real folders: found, rendered again, and shown at each moment."""

from datetime import timedelta
from types import SimpleNamespace

import pytest
from sqlalchemy import delete

from nightlight.catalogue.policy_schema import rerenders
from nightlight.catalogue.schema import images as images_table
from nightlight.delivery.object_names import ObjectNames
from nightlight.delivery.purge import EdgePurge
from nightlight.flows.decisions.change_feed import ChangeFeedPoller
from nightlight.flows.pictures.rerender import Rerender
from nightlight.flows.pictures.rerender_runs import RerenderFeeder, RerenderRuns
from nightlight.flows.pictures.revoke import RotateNames
from nightlight.imaging.recipe import build_recipes
from nightlight.jobs import kinds
from nightlight_core.decisions.answers import evaluate, shown_renditions
from nightlight_core.decisions.profile_views import ProfileViewCache
from nightlight_core.errors import InvalidInput
from tests.support import pictures
from tests.unit.policy.conftest import Edited

pytestmark = pytest.mark.integration


class World:
    """The flows, the policies of before and now, and what somebody is given."""

    def __init__(self, services, folder):
        self.services, self.folder, self.count = services, folder, 0
        self.before = self.now = services.table
        self.rerender = Rerender(services.render, lambda: services.recipes, pause=lambda _: None)
        names, edge = ObjectNames(bytes(32)), EdgePurge(None, token=None, timeout_s=1)
        self.rotate = RotateNames(services.render.runner, services.renditions, names, edge)
        self.feeder = RerenderFeeder(services.catalogue, services.clock, lambda: services.recipes)
        self.runs = RerenderRuns(services.catalogue, services.clock)
        self.change_feed = ChangeFeedPoller(
            services.catalogue, ProfileViewCache(most=9, stale_s=1), picture_bytes=1, assertion_days=30, poll_s=1
        )
        with services.catalogue.transaction() as tx:  # what earlier tests of this module left is shown no more
            tx.connection.execute(images_table.update().values(state="deleted"))
            tx.connection.execute(delete(rerenders))

    def edit(self, *changes):
        """Activate the default pack with (file, old, new) replaced."""
        self.count += 1
        edited = Edited(self.folder / str(self.count)).without_cases()
        for change in changes:
            edited.change(*change)
        self.before, self.now = self.now, edited.compiled().table
        self.services.recipes = build_recipes(self.now.tiers, order=("none", *self.now.tiers))
        self.services.clock.forward(seconds=60)

    def upload(self, profile_id):
        image_id = self.services.upload(profile_id, pictures.jpeg(size=(700, 500))).image_id
        assert self.deliver() == ["ready"]
        return image_id

    def deliver(self):
        """Publish what waits and run it, as the broker and a worker would."""
        self.services.relay.run_once()
        sent, self.services.sent[:] = list(self.services.sent), []
        run = {
            kinds.RENDER.task: self.services.render.run,
            kinds.RERENDER.task: self.rerender.run,
            kinds.ROTATE_NAMES.task: self.rotate.run,
        }
        return [run[task](job_id, redelivered=False) for task, job_id in sent if task in run]

    def follow(self):
        """Queue, render and clear until nothing is left; return how jobs ended."""
        endings = []
        for _ in range(20):
            self.feeder.look()
            more = self.deliver()
            endings += more
            if not more and self.runs.progress()[0].run.state == "done":
                return endings
        raise AssertionError("it does not end")

    def shown(self, profile_id, relation="connection", viewer="peer"):
        """The recipe of what somebody is given, None for the placeholder."""
        (view,) = self.change_feed.read([profile_id])
        earlier = self.before if self.before is not self.now else None
        policy = SimpleNamespace(table=self.now, table_for=lambda _: self.now, earlier_for=lambda _: earlier)
        moment = int(self.services.clock().timestamp())
        renditions = shown_renditions(policy, evaluate(policy, (viewer, "profile", relation), view, moment), view)
        return renditions[0].recipe if renditions else None

    def rows(self, image_id):
        with self.services.catalogue.reading() as tx:
            return sorted(tx.images.renditions(image_id), key=lambda row: (row.tier, row.recipe, row.variant))


@pytest.fixture
def world(services, tmp_path):
    return World(services, tmp_path)


CLEARER = ("tiers.yaml", "visible_watermark: soft", "visible_watermark: clear")


def test_a_stronger_watermark_takes_effect_at_once_and_pictures_follow(world, profile_id):
    image_id = world.upload(profile_id)
    assert world.follow() == []  # as it should be
    assert world.shown(profile_id, "stranger").visible_watermark == "soft"
    old = world.rows(image_id)
    world.edit(CLEARER)
    assert world.shown(profile_id, "stranger") is None  # nothing protects more than the lowest tier
    assert world.follow() == ["rerendered", "rotated"]
    assert world.shown(profile_id, "stranger").visible_watermark == "clear"
    new = world.rows(image_id)
    assert {row.tier for row in new} == {row.tier for row in old}
    changed = {row.tier for row, earlier in zip(new, old, strict=True) if row.name != earlier.name}
    assert changed == {"tiny"}
    assert [row.watermark for row in new] == [row.watermark for row in old]  # copies that leaked before lead back
    gone = next(row for row in old if row.tier == "tiny")
    keys = set(world.services.renditions.store.keys())
    assert not any(gone.name in key for key in keys)
    assert f"p/{gone.manifest}.c2pa" not in keys
    kept = {f"p/{row.manifest}.c2pa" for row in new} | {f"a/{row.name}.webp" for row in new}
    assert kept <= keys
    assert world.follow() == []


def test_a_lower_tier_is_shown_meanwhile(world, profile_id):
    world.upload(profile_id)
    world.edit(
        (
            "tiers.yaml",
            "medium: {edge: 320,  format: webp, quality: 78, effort: 3, visible_watermark: clear",
            "medium: {edge: 320,  format: webp, quality: 78, effort: 3, visible_watermark: strong",
        )
    )
    assert world.shown(profile_id).edge == 160
    world.follow()
    assert (world.shown(profile_id).edge, world.shown(profile_id).visible_watermark) == (320, "strong")


def test_what_only_looks_otherwise_is_shown_until_it_is_rendered_again(world, profile_id):
    image_id = world.upload(profile_id)
    world.edit(
        (
            "tiers.yaml",
            "medium: {edge: 320,  format: webp, quality: 78",
            "medium: {edge: 320,  format: webp, crop: centre, quality: 70",
        )
    )
    assert world.shown(profile_id).crop == "face"
    world.follow()
    assert world.shown(profile_id).crop == "centre"
    assert {row.recipe for row in world.rows(image_id)} == {recipe.digest for recipe in world.services.recipes}


def test_a_larger_tier_is_shown_once_it_is_rendered(world, profile_id):
    world.upload(profile_id)
    world.edit(("tiers.yaml", "tiny:   {edge: 96,   face_px: 5", "tiny:   {edge: 128,   face_px: 6"))
    assert (world.shown(profile_id, "stranger").edge, world.shown(profile_id, "stranger").face_px) == (96, 5)
    world.follow()
    assert (world.shown(profile_id, "stranger").edge, world.shown(profile_id, "stranger").face_px) == (128, 6)


def test_a_candidate_that_is_rendered_first_leaves_no_gap(world, profile_id):
    image_id = world.upload(profile_id)
    before, recipes = world.now, world.services.recipes
    world.edit(CLEARER)
    after, fresh = world.now, world.services.recipes
    world.before = world.now = before
    world.services.recipes = (*recipes, *(recipe for recipe in fresh if recipe not in recipes))
    world.follow()
    assert world.shown(profile_id, "stranger").visible_watermark == "soft"
    assert len([row for row in world.rows(image_id) if row.tier == "tiny"]) == 2
    world.before, world.now = before, after  # activated
    assert world.shown(profile_id, "stranger").visible_watermark == "clear"
    world.services.recipes = fresh
    world.services.clock.forward(seconds=60)
    world.follow()
    assert len([row for row in world.rows(image_id) if row.tier == "tiny"]) == 1
    assert world.shown(profile_id, "stranger").visible_watermark == "clear"


def test_a_worker_that_dies_in_the_middle_loses_nothing(world, profile_id, monkeypatch):
    image_id = world.upload(profile_id)
    world.edit(CLEARER)
    world.feeder.look()

    class Died(BaseException):
        """Nothing catches it, as nothing catches SIGKILL."""

    def die(*_args, **_named):
        raise Died

    monkeypatch.setattr(Rerender, "_switch", die)
    with pytest.raises(Died):
        world.deliver()
    monkeypatch.undo()
    assert world.shown(profile_id, "stranger") is None
    world.services.clock.forward(seconds=world.services.limits.lease_s + 700)
    world.services.reconciler.run_once()
    assert world.deliver()[0] == "rerendered"
    world.follow()
    assert world.shown(profile_id, "stranger").visible_watermark == "clear"
    assert len(world.rows(image_id)) == 4


def test_by_hand_for_a_tier_a_profile_a_key_and_what_is_missing(world, profile_id):
    image_id = world.upload(profile_id)
    world.follow()
    world.services.clock.forward(seconds=60)
    for scope, tiers, keys in (
        ({"tiers": ["tiny"], "force": True}, {"tiny"}, {}),
        ({"profile_id": profile_id, "force": True}, {"tiny", "low", "medium", "full"}, {}),
        ({"watermark_key": "k-old"}, {"low"}, {"low": "k-old"}),
        ({"watermark_key": "k-old"}, {"low", "medium"}, {"low": "k-old", "medium": None}),  # written down nowhere
        ({"missing": True}, {"medium"}, {}),
    ):
        before = {row.tier: row.name for row in world.rows(image_id)}
        with world.services.catalogue.transaction() as tx:
            from nightlight.catalogue.schema import renditions

            for tier, name in before.items():
                key = renditions.update().where(renditions.c.name == name).values(watermark_key=keys.get(tier, "k-new"))
                tx.connection.execute(key)
        if scope.get("missing"):
            world.services.renditions.store.delete(f"a/{before['medium']}.webp")
        world.runs.begin(scope, actor="t")
        world.follow()
        after = {row.tier: row.name for row in world.rows(image_id)}
        assert {tier for tier in after if after[tier] != before[tier]} == tiers, scope
        stored = set(world.services.renditions.store.keys())
        assert {f"a/{name}.webp" for name in after.values()} <= stored
        world.services.clock.forward(seconds=60)


def test_what_is_asked_for_most_comes_first_and_a_run_goes_on_where_it_was(world, services, monkeypatch):
    monkeypatch.setattr("nightlight.flows.pictures.rerender_runs.BATCH", 2)
    monkeypatch.setattr("nightlight.flows.pictures.rerender_runs.QUEUED", 2)
    from nightlight.catalogue.profiles import Declaration

    image_ids = {}
    for number in range(5):
        name = f"r-{services.catalogue.engine.dialect.name}-{number}"
        services.declare.declare(name, Declaration("adult", "verified", "eu", "everyone"), follow_band=False, actor="t")
        image_ids[world.upload(name)] = name
    world.follow()
    world.edit(CLEARER)
    wanted = max(image_ids)
    with services.catalogue.transaction() as tx:
        tx.rerenders.ask({wanted: 7, min(image_ids): 3})
    assert world.feeder.look() <= 4
    assert world.deliver()[0] == "rerendered"
    with services.catalogue.reading() as tx:
        done = [
            image_id
            for image_id in image_ids
            if {row.generation for row in tx.images.renditions(image_id)}
            and any(
                row.recipe == next(recipe.digest for recipe in services.recipes if recipe.tier == "tiny")
                for row in tx.images.renditions(image_id)
            )
        ]
    assert wanted in done
    world.follow()
    (progress, *_) = world.runs.progress()
    assert progress.run.state == "done"
    assert progress.run.rendered >= 5
    assert progress.run.failed == 0
    assert progress.to_json()["seconds_left"] == 0.0


def test_a_picture_that_cannot_be_rendered_again_is_counted_and_shown_as_both_policies_allow(world, profile_id):
    image_id = world.upload(profile_id)
    with world.services.catalogue.reading() as tx:
        key = tx.images.get(image_id).original_key
    world.services.originals.store.delete(key)
    world.edit(
        (
            "tiers.yaml",
            "medium: {edge: 320,  format: webp, quality: 78",
            "medium: {edge: 320,  format: webp, quality: 79",
        )
    )
    assert world.follow() == ["original_missing"]
    assert world.runs.progress()[0].run.failed == 1
    assert world.shown(profile_id).edge == 320


def test_a_picture_that_is_erased_meanwhile_leaves_nothing_behind(world, profile_id):
    image_id = world.upload(profile_id)
    world.edit(CLEARER)
    world.feeder.look()
    drawing = world.services.draw

    def erased_meanwhile(*asked):
        world.services.delete.image(image_id, actor="t")
        return drawing(*asked)

    world.services.draw = erased_meanwhile
    assert world.deliver() == ["gone"]
    world.services.clock.forward(days=1)
    world.services.reconciler.run_once()
    world.services.deliver()
    assert world.services.objects() == []


def test_uploads_keep_their_place(world, profile_id):
    pauses = []
    rerender = Rerender(world.services.render, lambda: world.services.recipes, pause=pauses.append)
    world.upload(profile_id)
    world.edit(CLEARER)
    world.feeder.look()
    world.services.upload(profile_id, pictures.jpeg())
    world.services.relay.run_once()
    (job_id,) = [job for task, job in world.services.sent if task == kinds.RERENDER.task]
    assert rerender.run(job_id, redelivered=False) == "rerendered"
    assert len(pauses) == 1
    assert pauses[0] > 0
    world.services.clock.forward(seconds=1)
    assert timedelta(0) < timedelta(seconds=pauses[0]) <= timedelta(seconds=5)


def test_back_and_forth_gives_names_that_were_never_given_out(world, profile_id):
    image_id = world.upload(profile_id)
    names = {row.name for row in world.rows(image_id)}
    default = ("tiers.yaml", "visible_watermark: soft", "visible_watermark: soft")
    for change in (CLEARER, default, CLEARER, default):
        world.edit(change)
        world.services.clock.forward(minutes=11)
        world.feeder.look()
        assert world.deliver() == ["rerendered"]  # the names of before are still being cleared
        now = {row.name for row in world.rows(image_id) if row.tier == "tiny"}
        assert not now & names
        names |= now
        world.follow()
    keys = set(world.services.renditions.store.keys())
    assert {f"a/{row.name}.webp" for row in world.rows(image_id)} <= keys
    assert {f"p/{row.manifest}.c2pa" for row in world.rows(image_id)} <= keys


def test_a_worker_that_has_not_heard_of_the_policy_of_now_leaves_it_to_others(world, profile_id):
    image_id = world.upload(profile_id)
    old = world.services.recipes
    world.edit(CLEARER)
    new = world.services.recipes
    world.feeder.look()
    late = Rerender(world.services.render, lambda: old, pause=lambda _: None)
    world.services.relay.run_once()
    ((_, job_id),) = [sent for sent in world.services.sent if sent[0] == kinds.RERENDER.task]
    assert late.run(job_id, redelivered=False) == "later"
    behind = RerenderFeeder(world.services.catalogue, world.services.clock, lambda: old)
    assert behind.look() == 0
    assert world.runs.progress()[0].run.looked_at == 1
    world.services.sent.clear()
    world.services.clock.forward(minutes=11)
    world.services.reconciler.run_once()
    world.follow()
    assert {row.recipe for row in world.rows(image_id)} == {recipe.digest for recipe in new}


def test_an_upload_that_was_rendered_by_the_recipes_of_before_follows(world, profile_id):
    world.upload(profile_id)
    world.follow()
    old = world.services.recipes
    world.edit(CLEARER)
    new = world.services.recipes
    world.follow()
    world.services.recipes = old  # this worker renders uploads by what it knows
    image_id = world.services.upload(profile_id, pictures.jpeg(600, 500)).image_id
    assert world.deliver() == ["ready"]
    world.services.recipes = new
    assert world.deliver()[0] == "rerendered"
    assert {row.recipe for row in world.rows(image_id)} == {recipe.digest for recipe in new}


def test_workers_that_want_different_things_stop_and_say_so(world, profile_id, monkeypatch):
    world.upload(profile_id)
    recipes = world.services.recipes
    world.edit(CLEARER)
    feeders = [
        RerenderFeeder(world.services.catalogue, world.services.clock, lambda wanted=wanted: wanted)
        for wanted in (recipes, world.services.recipes)
    ]
    logged = []
    log = SimpleNamespace(
        info=lambda *_args, **_named: None, error=lambda event, **named: logged.append((event, named))
    )
    monkeypatch.setattr("nightlight.flows.pictures.rerender_runs.logs.get", lambda _: log)
    for number in range(8):
        world.services.clock.forward(seconds=20)
        feeders[number % 2].look()
    with world.services.catalogue.reading() as tx:
        assert len(tx.rerenders.followed(limit=100)) == 3
    assert {event for event, _ in logged} == {"rerender.workers_differ"}


def test_two_runs_are_done_one_after_the_other_though_the_first_is_locked(world, profile_id):
    world.upload(profile_id)
    world.follow()
    world.services.clock.forward(seconds=60)
    first = world.runs.begin({"missing": True}, actor="t")
    world.services.clock.forward(seconds=1)
    world.runs.begin({"force": True}, actor="t")
    if world.services.catalogue.engine.dialect.name == "postgresql":
        with world.services.catalogue.transaction() as tx:
            assert tx.rerenders.under_way(lock=True).rerender_id == first.rerender_id
            with world.services.catalogue.transaction() as other:
                assert other.rerenders.under_way(lock=True) is None
    world.follow()
    by_id = {item.run.rerender_id: item.run for item in world.runs.progress()}
    assert by_id[first.rerender_id].rendered == 0
    assert min(run.state for run in by_id.values()) == "done"


@pytest.mark.parametrize("scope", [{"tiers": ["tyni"]}, {"watermark_key": "nobodys"}])
def test_a_tier_or_a_key_that_nothing_has_is_refused(world, profile_id, scope):
    world.upload(profile_id)
    with pytest.raises(InvalidInput):
        world.runs.begin(scope, actor="t")
