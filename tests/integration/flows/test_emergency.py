"""An emergency hides at once with one key, opens nothing, and lapses to what was approved before."""

import json
from datetime import timedelta
from itertools import count
from types import SimpleNamespace

import pytest

from nightlight.delivery.access_tokens import generate_key
from nightlight.flows.policies.emergency import EmergencyPolicy
from nightlight.flows.policies.policy_holder import PolicyHolder
from nightlight.flows.policies.policy_reader import PolicyReader
from nightlight.flows.policies.rollout import Rollout
from nightlight.policy.bundle_writer import build_bundle
from nightlight.policy.compile import compile_bundle
from nightlight.policy.emergency import emergency_pack
from nightlight.policy.signing import SigningKey
from nightlight_core.errors import PolicyConflict, PolicyRefused, PolicyRejected
from nightlight_core.policy.bundle import open_bundle
from tests.support.flow_container import Clock
from tests.unit.policy.conftest import Edited

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("packs_once")]
GIVEN = {
    "assurance": "verified",
    "relation": "stranger",
    "region": "uk",
    "viewer": "peer",
    "context": "profile",
    "report_flag": "clear",
}


@pytest.fixture
def world(fresh, compiled, tmp_path):
    (tmp_path / "key").write_text(json.dumps(generate_key()[0]))
    key, clock = SigningKey.read(tmp_path / "key"), Clock()
    policy = PolicyHolder(fresh, compiled, key.public_keys, poll_s=0, share_key=bytes(32))
    rollout = Rollout(fresh, policy, key.public_keys, None, 1, clock)
    world = SimpleNamespace(
        rollout=rollout, emergency=EmergencyPolicy(rollout), clock=clock, key=key, policy=policy, versions=count(1),
        reader=PolicyReader(fresh, policy, 1, lambda: None, clock),
    )  # fmt: skip
    rollout.activate(build_bundle(compiled, next(world.versions), key), None, actor="t")
    return world


def active(world):
    return open_bundle(world.reader.bundle()[1], world.key.public_keys)


def begin(world, *, when=None, tier="none", hours=72, closed=None, after=None):
    bundle = active(world)
    closed = closed or emergency_pack(bundle, when or {"relation": ["outsider"], "region": ["uk"]}, tier=tier, why="t")
    numbers = next(world.versions), next(world.versions)
    data = build_bundle(closed, numbers[0], world.key)
    back = build_bundle(after or compile_bundle(bundle), numbers[1], world.key)
    world.emergency.activate(data, back, until=world.clock() + timedelta(hours=hours), actor="t")
    return numbers


def shown(world, **words):
    table = world.policy.current().table
    bands = table.attributes["subject_age"]
    return {band: table.decide({"choice": "connections", **GIVEN, **words, "subject_age": band}).tier for band in bands}


def test_everybody_who_is_not_public_is_hidden_whatever_their_age_and_it_lapses(world):
    before = world.policy.current().table.digest
    assert set(shown(world).values()) == {"tiny"}
    begin(world)
    assert set(shown(world).values()) == {"none"}
    assert shown(world, choice="everyone") == {**dict.fromkeys(shown(world), "none"), "adult": "medium"}
    assert set(shown(world, region="eu").values()) == {"tiny"}
    assert set(shown(world, relation="self").values()) == {"full"}
    assert world.reader.status()["emergency"]["restores"] == 1
    world.clock.forward(hours=71)
    assert not world.emergency.lapse_due()
    world.clock.forward(hours=2)
    assert world.emergency.lapse_due()
    assert not world.emergency.lapse_due()
    assert world.policy.current().table.digest == before
    assert world.policy.current().version == 3
    # What was before it is what counts as before now: pictures that wait to be rendered are not hidden by an emergency.
    assert world.policy.current().previous.table.digest == before
    assert world.reader.status()["emergency"] is None


def test_what_was_withdrawn_does_not_come_back(world):
    begin(world)
    world.rollout.withdraw_version(1, actor="safety")
    world.clock.forward(hours=100)
    assert not world.emergency.lapse_due()
    assert set(shown(world).values()) == {"none"}


def test_another_activation_ends_it(world, compiled):
    begin(world)
    world.rollout.activate(build_bundle(compiled, 10, world.key), None, actor="t")  # what only closed is undone
    assert set(shown(world).values()) == {"tiny"}
    # What was before it counts as before now, as where it lapses: nothing that waits to be rendered stays hidden.
    assert world.policy.current().previous.table.digest == compiled.table.digest
    world.clock.forward(hours=100)
    assert not world.emergency.lapse_due()
    assert world.policy.current().version == 10


def test_it_opens_nothing_and_brings_nothing_else_back(world, tmp_path):
    opened = Edited(tmp_path / "opened").without_cases()
    opened.change(
        "rules.yaml", "tier: tiny, cache_s: 3600, per_hour: 120}", "tier: tiny, cache_s: 3600, per_hour: 600}"
    )
    opened.change("checks.yaml", "per_hour_at_most: 120", "per_hour_at_most: 600")
    other = opened.compiled()
    with pytest.raises(PolicyRejected, match="an emergency only closes"):
        begin(world, closed=other)
    with pytest.raises(PolicyRejected, match="not what is active now"):
        begin(world, after=other)
    for hours in (-1, 0, 15 * 24):
        with pytest.raises(PolicyRejected, match="within 14 days"):
            begin(world, hours=hours)
    assert world.policy.current().version == 1
    begin(world)
    with pytest.raises(PolicyRefused, match="under way already"):
        begin(world)


def test_a_version_that_was_used_is_refused(world):
    closed = emergency_pack(active(world), {"relation": ["outsider"]}, tier="none", why="t")
    data = build_bundle(closed, 1, world.key)
    with pytest.raises(PolicyConflict):
        world.emergency.activate(
            data, build_bundle(compile_bundle(active(world)), 2, world.key),
            until=world.clock() + timedelta(hours=1), actor="t",
        )  # fmt: skip


def test_a_second_emergency_and_one_beside_a_staged_candidate_are_refused(world, tmp_path):
    begin(world)
    bundle = active(world)
    closed = emergency_pack_of(bundle)
    with pytest.raises(PolicyConflict, match="under way already"):
        begin(world, closed=closed)
    world.clock.forward(hours=100)
    assert world.emergency.lapse_due()
    less = Edited(tmp_path / "less").without_cases()
    less.change("rules.yaml", "tier: tiny, cache_s: 3600, per_hour: 120}", "tier: tiny, cache_s: 3600, per_hour: 30}")
    data = build_bundle(less.compiled(), next(world.versions), world.key)
    world.rollout.candidate(data, None, permille=500, actor="t")
    with pytest.raises(PolicyConflict, match="withdraw it first"):
        begin(world)


def emergency_pack_of(bundle):
    """The active pack, which is an emergency's, with another rule that only closes."""
    from nightlight.policy.compile import compile_documents

    rules = dict(bundle.documents["rules"])
    more = {"id": "more", "why": "t", "when": {"relation": ["outsider"], "region": ["us"]},
            "unless": {"subject_age": "adult", "assurance": "assured", "choice": "everyone"}, "at_most": {"tier": "none"}}  # fmt: skip
    rules["rules"] = [*rules["rules"], more]
    return compile_documents({**bundle.documents, "rules": rules})


def test_what_nobody_trusts_any_more_does_not_come_back(world, tmp_path):
    begin(world)
    (tmp_path / "other").write_text(json.dumps(generate_key()[0]))
    object.__setattr__(world.rollout, "publishers", SigningKey.read(tmp_path / "other").public_keys)
    world.clock.forward(hours=100)
    assert not world.emergency.lapse_due()
    assert world.policy.current().version == 2


def test_who_is_public_is_what_the_rules_of_the_pack_leave_out(world, tmp_path):
    """An age that nobody assured is not public, and stays as every other one."""
    begin(world)
    for assurance in ("none", "self_declared", "guardian_consent"):
        assert set(shown(world, choice="everyone", assurance=assurance).values()) == {"none"}
    documents = active(world).documents
    bare = [{**rule, "unless": {}} for rule in documents["rules"]["rules"] if rule["id"] != "emergency"]
    with pytest.raises(PolicyRefused, match="do not say who is public"):
        emergency_pack(
            SimpleNamespace(documents={**documents, "rules": {**documents["rules"], "rules": bare}}),
            {"relation": ["outsider"]},
            tier="none",
            why="t",
        )
