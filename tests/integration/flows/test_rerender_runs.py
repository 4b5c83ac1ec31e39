"""Runs that render pictures again: by hand, in which order, beside each other, and by workers of different policies."""

from types import SimpleNamespace

import pytest

from nightlight.flows.pictures.rerender import Rerender
from nightlight.flows.pictures.rerender_runs import RerenderFeeder
from nightlight.jobs import kinds
from nightlight_core.errors import InvalidInput
from tests.support.rerender_world import CLEARER, World

pytestmark = pytest.mark.integration


@pytest.fixture
def world(services, tmp_path):
    return World(services, tmp_path)


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
