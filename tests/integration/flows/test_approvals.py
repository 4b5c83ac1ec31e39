"""Approvals that were used, withdrawn, or are for something else; and the way back from what only closed."""

import json
import shutil
from datetime import timedelta
from itertools import count
from types import SimpleNamespace

import pytest

from nightlight.delivery.access_tokens import generate_key
from nightlight.flows.policies.active_policy import PolicyHolder
from nightlight.flows.policies.rollout import Rollout
from nightlight.policy.bundle_writer import build_bundle
from nightlight.policy.compile import compile_pack
from nightlight.policy.diff import diff
from nightlight.policy.load import load
from nightlight.policy.signing import SigningKey, approval_subject, approve
from nightlight_core.errors import PolicyConflict, PolicyRejected
from tests.conftest import ROOT
from tests.support.house import Clock

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    for name in ("publisher", "safety"):
        (folder / name).write_text(json.dumps(generate_key()[0]))
    return {name: SigningKey.read(folder / name) for name in ("publisher", "safety")}


def pack(folder, *changes):
    shutil.copytree(ROOT / "policies", folder)
    for file, old, new in changes:
        text = (folder / file).read_text()
        assert old in text
        (folder / file).write_text(text.replace(old, new))
    shutil.rmtree(folder / "cases")
    return compile_pack(load(folder))


@pytest.fixture(scope="module")
def packs(tmp_path_factory):
    """Packs, each of which only closes something of the one before."""
    folder = tmp_path_factory.mktemp("packs")
    less = ("rules.yaml", "tier: tiny, cache_s: 3600, per_hour: 120}", "tier: tiny, cache_s: 3600, per_hour: 30}")
    least = ("rules.yaml", "tier: medium, cache_s: 300, per_hour: 600}", "tier: medium, cache_s: 300, per_hour: 120}")
    return SimpleNamespace(
        open=pack(folder / "open"), less=pack(folder / "less", less), least=pack(folder / "least", less, least)
    )


@pytest.fixture
def house(fresh, compiled, keys):
    clock = Clock()
    trusted = {name: key.public_keys for name, key in keys.items()}
    policy = PolicyHolder(fresh, compiled, trusted["publisher"], poll_s=0, share_key=bytes(32))
    rollout = Rollout(fresh, policy, trusted["publisher"], trusted["safety"], 1, lambda: None, clock)
    return SimpleNamespace(rollout=rollout, clock=clock, policy=policy, keys=keys, catalogue=fresh, versions=count(1))


def activate(house, compiled, approval=None):
    """Activate a pack under the next version; return the version."""
    version = next(house.versions)
    house.rollout.activate(build_bundle(compiled, version, house.keys["publisher"]), approval, actor="t")
    assert house.policy.current().version == version
    return version


def approval(house, old, new, version, **more):
    expires_at = int(house.clock().timestamp()) + more.get("life_s", 3600)
    return approve(approval_subject(diff(old, new), version), house.keys["safety"], expires_at=expires_at)


def refused(house, compiled, said=None, error=PolicyRejected):
    """Try to activate under the next version, and to stage: neither is done."""
    version = next(house.versions)
    data = build_bundle(compiled, version, house.keys["publisher"])
    before = house.rollout.status()
    with pytest.raises(error):
        house.rollout.candidate(data, said, permille=10, actor="t")
    with pytest.raises(error):
        house.rollout.activate(data, said, actor="t")
    assert house.rollout.status() == before


def test_an_approval_of_a_version_that_was_used_is_spent(house, packs):
    activate(house, packs.least)
    said = approval(house, packs.least, packs.open, 2)
    activate(house, packs.open, said)
    activate(house, packs.least)  # safety takes it back
    refused(house, packs.open, said)
    with pytest.raises(PolicyConflict):
        house.rollout.activate(build_bundle(packs.open, 2, house.keys["publisher"]), said, actor="t")


@pytest.mark.parametrize("how", ["candidate", "version"])
def test_an_approval_of_a_version_that_was_withdrawn_is_spent(house, packs, how):
    activate(house, packs.least)
    version = next(house.versions)
    said = approval(house, packs.least, packs.open, version)
    data = build_bundle(packs.open, version, house.keys["publisher"])
    house.rollout.candidate(data, said, permille=100, actor="t")
    house.rollout.candidate(data, said, permille=200, actor="t")  # so long it is in use it counts
    house.rollout.withdraw(actor="t") if how == "candidate" else house.rollout.withdraw_version(version, actor="t")
    assert house.rollout.status()["candidate"] is None
    for act in (house.rollout.activate, lambda *given, **named: house.rollout.candidate(*given, permille=5, **named)):
        with pytest.raises(PolicyConflict, match="withdrawn"):
            act(data, said, actor="t")
    refused(house, packs.open, said)


def test_a_version_may_be_withdrawn_before_it_is_used_and_the_active_one_may_not(house, packs):
    active = activate(house, packs.least)
    said = approval(house, packs.least, packs.open, 2)
    house.rollout.withdraw_version(2, actor="t")
    house.rollout.withdraw_version(2, actor="t")
    with pytest.raises(PolicyConflict, match="withdrawn"):
        house.rollout.activate(build_bundle(packs.open, 2, house.keys["publisher"]), said, actor="t")
    with pytest.raises(PolicyConflict, match="is active"):
        house.rollout.withdraw_version(active, actor="t")


def test_a_staged_version_is_activated_with_the_approval_that_it_was_staged_with(house, packs):
    activate(house, packs.least)
    said = approval(house, packs.least, packs.open, 2)
    data = build_bundle(packs.open, 2, house.keys["publisher"])
    house.rollout.candidate(data, None, permille=0, actor="t")
    house.rollout.candidate(data, said, permille=100, actor="t")
    house.rollout.activate(data, said, actor="t")
    assert house.policy.current().version == 2


@pytest.mark.parametrize("wrong", ["version", "base", "expired", "too long"])
def test_an_approval_is_for_one_version_over_one_base_for_a_while(house, packs, wrong):
    activate(house, packs.least)
    if wrong == "version":
        said = approval(house, packs.least, packs.open, 3)
    elif wrong == "base":
        said = approval(house, packs.less, packs.open, 2)
    elif wrong == "expired":
        said = approval(house, packs.least, packs.open, 2, life_s=60)
        house.clock.forward(seconds=60)
    else:
        said = approval(house, packs.least, packs.open, 2, life_s=31 * 86_400)
    refused(house, packs.open, said)


def test_what_only_closed_may_be_undone_by_one_person(house, packs):
    activate(house, packs.open)
    activate(house, packs.less)
    house.clock.forward(days=7)
    activate(house, packs.open)


def test_and_no_later_than_after_a_week(house, packs):
    activate(house, packs.open)
    activate(house, packs.less)
    house.clock.forward(days=7, seconds=1)
    refused(house, packs.open)


def test_nor_by_a_clock_that_went_back(house, packs):
    activate(house, packs.open)
    activate(house, packs.less)
    house.clock.forward(seconds=-1)
    refused(house, packs.open)


def test_a_candidate_in_between_makes_it_no_younger(house, packs):
    activate(house, packs.open)
    activate(house, packs.less)
    house.clock.forward(days=6)
    house.rollout.candidate(
        build_bundle(packs.least, next(house.versions), house.keys["publisher"]), None, permille=0, actor="t"
    )
    house.rollout.withdraw(actor="t")
    house.clock.forward(days=2)
    refused(house, packs.open)


def test_only_the_one_that_was_active_immediately_before_comes_back_so(house, packs):
    activate(house, packs.open)
    activate(house, packs.less)
    activate(house, packs.least)
    refused(house, packs.open)
    activate(house, packs.less)
    refused(house, packs.open)


def test_what_was_taken_back_comes_back_with_a_new_approval_only(house, packs):
    """Opened with an approval, taken back by a rollback: the undoing of that is no undoing of a closing."""
    activate(house, packs.less)
    activate(house, packs.open, approval(house, packs.less, packs.open, 2))
    activate(house, packs.less)
    refused(house, packs.open)
    version = next(house.versions)
    house.rollout.activate(
        build_bundle(packs.open, version, house.keys["publisher"]),
        approval(house, packs.less, packs.open, version),
        actor="t",
    )


def test_what_was_withdrawn_meanwhile_does_not_come_back_so(house, packs):
    opened = activate(house, packs.open)
    activate(house, packs.less)
    house.rollout.withdraw_version(opened, actor="t")
    refused(house, packs.open)


def test_what_also_opened_something_is_not_undone_so(house, packs, tmp_path):
    """The one before is more open in one thing and less in another: the change did not only close."""
    mixed = pack(
        tmp_path / "mixed",
        ("rules.yaml", "tier: medium, cache_s: 300, per_hour: 600}", "tier: medium, cache_s: 300, per_hour: 120}"),
    )
    activate(house, packs.less)
    activate(house, mixed, approval(house, packs.less, mixed, 2))
    refused(house, packs.less)


def test_something_that_is_nearly_the_one_before_needs_an_approval(house, packs, tmp_path):
    activate(house, packs.open)
    activate(house, packs.least)
    refused(house, packs.less)  # opens less than the one before did, but it is another
    fewer = pack(
        tmp_path / "fewer",
        ("checks.yaml", "  - {id: doubt-is-youth, along: subject_age, never_more_open: [unknown, age_16_17]}\n", ""),
    )
    refused(house, fewer)  # decides the same, and is checked by less


def test_the_folder_is_no_bundle_to_come_back_to(house, packs):
    activate(house, packs.less)
    refused(house, packs.open)


def test_an_activation_of_before_this_was_kept_has_no_way_back(house, packs):
    activate(house, packs.open)
    activate(house, packs.less)
    with house.catalogue.transaction() as tx:
        tx.connection.exec_driver_sql("UPDATE policy_state SET activated_at = NULL")
    refused(house, packs.open)


def test_days_are_counted_from_the_clock_of_the_service(house, packs):
    activate(house, packs.open)
    house.clock.forward(days=100)
    activate(house, packs.less)
    house.clock.now += timedelta(days=6)
    activate(house, packs.open)
