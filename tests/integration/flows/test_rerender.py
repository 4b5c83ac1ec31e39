"""Pictures follow the policy: what is shown at each moment, from an edit until they are rendered again."""

from datetime import timedelta

import pytest

from nightlight.flows.pictures.rerender import Rerender
from nightlight.jobs import kinds
from tests.support import pictures
from tests.support.rerender_world import CLEARER, World

pytestmark = pytest.mark.integration


@pytest.fixture
def world(services, tmp_path):
    return World(services, tmp_path)


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
