"""The policy that decides goes from one date to the next by the clock, and nothing is read for it."""

import json
from datetime import UTC, datetime, timedelta
from itertools import count
from types import SimpleNamespace

import pytest
from sqlalchemy import select

from nightlight.catalogue.schema import audit
from nightlight.delivery.access_tokens import generate_key
from nightlight.flows.policies.emergency import EmergencyPolicy
from nightlight.flows.policies.policy_holder import PolicyHolder
from nightlight.flows.policies.policy_reader import PolicyReader
from nightlight.flows.policies.rollout import Rollout
from nightlight.policy.bundle_writer import build_bundle
from nightlight.policy.compile import compile_bundle
from nightlight.policy.diff import diff
from nightlight.policy.emergency import emergency_pack
from nightlight.policy.signing import SigningKey, approval_subject, approve
from nightlight_core.decisions.profile_views import ProfileView
from nightlight_core.errors import CatalogueUnavailable, InvalidInput, PolicyRejected
from nightlight_core.policy.bundle import open_bundle
from tests.support.flow_container import Clock
from tests.unit.policy.conftest import Edited
from tests.unit.policy.test_dates import STRANGER, rule

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("packs_once")]

MIDNIGHT = datetime(2027, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    for name in ("publisher", "safety"):
        (folder / name).write_text(json.dumps(generate_key()[0]))
    return {name: SigningKey.read(folder / name) for name in ("publisher", "safety")}


@pytest.fixture(scope="module")
def packs(tmp_path_factory):
    """The default pack with a rule that begins, one that ends, and one that always holds."""
    folder = tmp_path_factory.mktemp("packs")
    rules = {"begins": {"from_": "2027-01-01"}, "ends": {"until": "2026-12-31"}, "always": {}}
    return SimpleNamespace(
        **{name: Edited(folder / name).add("rules.yaml", rule(**dates)).compiled() for name, dates in rules.items()}
    )


@pytest.fixture
def world(fresh, compiled, keys):
    clock = Clock(MIDNIGHT - timedelta(days=3))
    trusted = {name: key.public_keys for name, key in keys.items()}

    def holder():
        return PolicyHolder(fresh, compiled, trusted["publisher"], poll_s=0, share_key=bytes(32), clock=clock)

    policy = holder()
    rollout = Rollout(fresh, policy, trusted["publisher"], trusted["safety"], 1, clock)
    return SimpleNamespace(
        catalogue=fresh, rollout=rollout, clock=clock, policy=policy, keys=keys, holder=holder, versions=count(1),
        emergency=EmergencyPolicy(rollout), reader=PolicyReader(fresh, policy, 1, lambda: None, clock),
    )  # fmt: skip


def activate(world, pack, approval=None):
    version = next(world.versions)
    world.rollout.activate(build_bundle(pack, version, world.keys["publisher"]), approval, actor="t")
    return version


def approval(world, old, new, version):
    subject = approval_subject(diff(old, new, today=world.clock().date()), version)
    return approve(subject, world.keys["safety"], expires_at=int(world.clock().timestamp()) + 3600)


def shown(policy, view=None):
    active = policy.current()
    return (active.table if view is None else active.table_for(view)).decide(STRANGER).tier


def test_a_closing_begins_at_midnight_in_every_process_without_the_catalogue(world, packs, monkeypatch):
    activate(world, packs.begins)  # nobody approves
    other = world.holder()
    policies = world.policy, other
    before = [policy.current() for policy in policies]

    def away(_self):
        raise CatalogueUnavailable("away")

    monkeypatch.setattr(type(world.catalogue), "reading", away)
    world.clock.now = MIDNIGHT - timedelta(microseconds=1)
    assert [policy.current() for policy in policies] == before
    assert [shown(policy) for policy in policies] == ["tiny", "tiny"]
    world.clock.now = MIDNIGHT
    assert [policy.known.table.decide(STRANGER).tier for policy in policies] == ["none", "none"]
    after = [policy.current() for policy in policies]
    assert [view.digest for view in after] == [packs.begins.digest] * 2
    # Whoever keeps answers by the policy keeps none of the day before; within the day it is the same policy.
    assert all(now is not then for now, then in zip(after, before, strict=True))
    assert [policy.current() for policy in policies] == after
    world.clock.forward(days=400)
    assert [policy.current() for policy in policies] == after


def test_what_decided_until_midnight_is_what_counts_as_before(world, packs, compiled):
    activate(world, packs.begins)
    view = ProfileView("p")
    assert world.policy.current().earlier_for(view).same_as(compiled.table)
    world.clock.now = MIDNIGHT
    active = world.policy.current()
    assert active.earlier_for(view) is packs_table(active, "")
    assert [table.digest for table in active.earlier] == [compiled.table.digest, compiled.table.digest]


def packs_table(active, day):
    return active.whole.on(day).table


def test_what_a_pack_was_before_it_was_active_counts_for_nothing(world, packs, compiled):
    world.clock.now = MIDNIGHT + timedelta(hours=1)
    activate(world, packs.begins)
    active = world.policy.current()
    assert shown(world.policy) == "none"
    assert active.before_date is None
    assert active.earlier_for(ProfileView("p")) is active.previous.table
    assert world.holder().current().before_date is None


def test_a_clock_that_is_set_back_a_little_opens_nothing_again(world, packs):
    activate(world, packs.begins)
    world.clock.now = MIDNIGHT
    assert shown(world.policy) == "none"
    for seconds in (0.001, 1, 60, 3600):
        world.clock.now = MIDNIGHT - timedelta(seconds=seconds)
        assert shown(world.policy) == "none"
    activate(world, packs.begins)  # nor does a change that is made meanwhile
    assert shown(world.policy) == "none"
    world.clock.now = MIDNIGHT - timedelta(seconds=3601)  # what was so far ahead was wrong
    assert shown(world.policy) == "tiny"
    world.clock.now = MIDNIGHT
    assert shown(world.policy) == "none"


def test_an_end_that_opens_is_refused_until_safety_has_signed_for_that_date(world, packs, compiled):
    version = next(world.versions)
    data = build_bundle(packs.ends, version, world.keys["publisher"])
    with pytest.raises(PolicyRejected, match="OPENS   from 2027-01-01: "):
        world.rollout.activate(data, None, actor="t")
    for wrong in (packs.always, packs.begins):
        with pytest.raises(PolicyRejected, match="the approval is for"):
            world.rollout.activate(data, approval(world, compiled, wrong, version), actor="t")
    world.rollout.activate(data, approval(world, compiled, packs.ends, version), actor="t")
    assert shown(world.policy) == "none"
    world.clock.now = MIDNIGHT
    assert shown(world.policy) == "tiny"
    status = world.reader.status()["active"]
    assert (status["digest"], status["dates"]) == (packs.ends.digest, ["2027-01-01"])
    with world.catalogue.reading() as tx:
        (detail,) = tx.connection.execute(select(audit.c.detail).where(audit.c.event == "policy.activated")).scalars()
    assert (detail["dates"], detail["opens"]) == ("2027-01-01", 1)


def test_an_approval_for_a_date_is_none_for_today(world, packs, compiled):
    """What was to open on a day opens at once on it: that is another change, and safety looks again."""
    activate(world, packs.always)
    world.clock.now = MIDNIGHT - timedelta(minutes=1)
    signed = approval(world, packs.always, packs.ends, 2)
    world.clock.now = MIDNIGHT
    data = build_bundle(packs.ends, 2, world.keys["publisher"])
    with pytest.raises(PolicyRejected, match="the approval is for difference"):
        world.rollout.activate(data, signed, actor="t")
    with pytest.raises(PolicyRejected, match="OPENS   subject_age"):
        world.rollout.activate(data, None, actor="t")
    world.rollout.activate(data, approval(world, packs.always, packs.ends, 2), actor="t")


def test_the_folders_own_pack_has_dates_too(fresh, packs, keys):
    clock = Clock(MIDNIGHT - timedelta(seconds=1))
    policy = PolicyHolder(
        fresh, packs.begins, keys["publisher"].public_keys, poll_s=0, share_key=bytes(32), clock=clock
    )
    assert shown(policy) == "tiny"
    clock.now = MIDNIGHT
    assert shown(policy) == "none"


def test_a_candidate_goes_by_its_own_dates(world, packs, compiled):
    activate(world, compiled)
    version = next(world.versions)
    data = build_bundle(packs.begins, version, world.keys["publisher"])
    world.rollout.candidate(data, None, permille=500, actor="t")
    policy = world.policy.current()
    chosen, other = (
        next(view for n in range(100) if policy.chosen((view := ProfileView(f"p{n}")).profile_id) is wanted)
        for wanted in (True, False)
    )
    assert (shown(world.policy, chosen), shown(world.policy, other)) == ("tiny", "tiny")
    world.clock.now = MIDNIGHT
    assert (shown(world.policy, chosen), shown(world.policy, other)) == ("none", "tiny")
    assert world.reader.status()["candidate"]["digest"] == packs.begins.digest
    now = world.policy.current()
    assert now.earlier_for(chosen) is now.table
    # URLs that the candidate gave until midnight may still work: what is taken from somebody is taken there too.
    assert now.earlier[-1] is now.whole_candidate.on("2026-12-31").table
    assert now.earlier_for(other) is now.previous.table


def test_what_a_candidate_had_before_its_date_took_nothing_while_it_was_only_watched(world, packs, compiled):
    activate(world, compiled)
    data = build_bundle(packs.begins, next(world.versions), world.keys["publisher"])
    world.rollout.candidate(data, None, permille=0, actor="t")
    world.clock.now = MIDNIGHT
    now = world.policy.current()
    assert now.earlier == (now.previous.table,)


def test_an_emergency_hides_on_every_date_and_what_comes_back_has_its_dates(world, packs):
    activate(world, packs.begins)
    active = open_bundle(world.reader.bundle()[1], world.keys["publisher"].public_keys)
    closed = emergency_pack(active, {"relation": ["outsider"], "region": ["eu"]}, tier="none", why="t")
    first, second = (next(world.versions) for _ in range(2))
    data = build_bundle(closed, first, world.keys["publisher"])
    back = build_bundle(compile_bundle(active), second, world.keys["publisher"])
    world.emergency.activate(data, back, until=MIDNIGHT + timedelta(days=1), actor="t")
    assert shown(world.policy) == "none"
    world.clock.now = MIDNIGHT
    assert shown(world.policy) == "none"
    elsewhere = {**STRANGER, "context": "profile"}
    assert world.policy.current().table.decide(elsewhere).tier == "none"
    world.clock.forward(days=1)
    assert world.emergency.lapse_due()
    assert world.policy.current().digest == packs.begins.digest
    assert (shown(world.policy), world.policy.current().table.decide(elsewhere).tier) == ("none", "tiny")


def test_an_emergency_that_would_bring_other_dates_back_is_refused(world, packs, tmp_path):
    activate(world, packs.begins)
    active = open_bundle(world.reader.bundle()[1], world.keys["publisher"].public_keys)
    closed = emergency_pack(active, {"relation": ["outsider"], "region": ["eu"]}, tier="none", why="t")
    later = Edited(tmp_path / "later").add("rules.yaml", rule(from_="2027-01-02")).compiled()
    data = build_bundle(closed, next(world.versions), world.keys["publisher"])
    back = build_bundle(later, next(world.versions), world.keys["publisher"])
    with pytest.raises(PolicyRejected, match="not what is active now"):
        world.emergency.activate(data, back, until=MIDNIGHT, actor="t")


def test_explanations_are_of_now_or_of_a_day(world, packs):
    activate(world, packs.begins)
    assert world.reader.explain(STRANGER).most.tier == "tiny"
    assert world.reader.explain(STRANGER, "2027-01-01").most.rule == "quiet-lists"
    world.clock.now = MIDNIGHT
    assert world.reader.explain(STRANGER).most.tier == "none"
    assert world.reader.explain(STRANGER, "2026-12-31").most.tier == "tiny"
    for wrong in ("2027-1-1", "2027-02-30", "soon", ""):
        with pytest.raises(InvalidInput):
            world.reader.explain(STRANGER, wrong)
