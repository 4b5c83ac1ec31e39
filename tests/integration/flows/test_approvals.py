"""Approvals that were used, withdrawn, or are for something else; and the way back from what only closed."""

import json
import shutil
from datetime import timedelta
from itertools import count
from types import SimpleNamespace

import pytest

from nightlight.catalogue import images
from nightlight.catalogue.images import ImageRow
from nightlight.catalogue.profiles import Declaration
from nightlight.delivery.access_tokens import generate_key
from nightlight.flows.policies import approval as approval_flow
from nightlight.flows.policies.policy_holder import PolicyHolder
from nightlight.flows.policies.policy_reader import PolicyReader
from nightlight.flows.policies.rollout import Rollout
from nightlight.policy.bundle_writer import build_bundle
from nightlight.policy.compile import compile_pack
from nightlight.policy.load import load
from nightlight.policy.signing import SigningKey, approval_subject, approve
from nightlight_core.errors import PolicyConflict, PolicyRejected
from nightlight_core.ids import ProfileId, new_image_id, new_original_key
from tests.conftest import ROOT
from tests.support.flow_container import START, Clock

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("packs_once")]


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
def services(fresh, compiled, keys):
    clock = Clock()
    trusted = {name: key.public_keys for name, key in keys.items()}
    policy = PolicyHolder(fresh, compiled, trusted["publisher"], poll_s=0, share_key=bytes(32))
    rollout = Rollout(fresh, policy, trusted["publisher"], trusted["safety"], 1, clock)
    reader = PolicyReader(fresh, policy, 1, lambda: None, clock)
    return SimpleNamespace(
        rollout=rollout, reader=reader, clock=clock, policy=policy, keys=keys, catalogue=fresh, versions=count(1)
    )


def activate(services, compiled, approval=None):
    """Activate a pack under the next version; return the version."""
    version = next(services.versions)
    services.rollout.activate(build_bundle(compiled, version, services.keys["publisher"]), approval, actor="t")
    assert services.policy.current().version == version
    return version


def approval(services, old, new, version, **more):
    expires_at = int(services.clock().timestamp()) + more.get("life_s", 3600)
    return approve(
        approval_subject(approval_flow.diff(old, new), version), services.keys["safety"], expires_at=expires_at
    )


def refused(services, compiled, signed_approval=None, error=PolicyRejected):
    """Try to activate under the next version, and to stage: neither is done."""
    version = next(services.versions)
    data = build_bundle(compiled, version, services.keys["publisher"])
    before = services.reader.status()
    with pytest.raises(error):
        services.rollout.candidate(data, signed_approval, permille=10, actor="t")
    with pytest.raises(error):
        services.rollout.activate(data, signed_approval, actor="t")
    assert services.reader.status() == before


def test_an_approval_of_a_version_that_was_used_is_spent(services, packs):
    activate(services, packs.least)
    signed_approval = approval(services, packs.least, packs.open, 2)
    activate(services, packs.open, signed_approval)
    activate(services, packs.least)  # safety takes it back
    refused(services, packs.open, signed_approval)
    with pytest.raises(PolicyConflict):
        services.rollout.activate(build_bundle(packs.open, 2, services.keys["publisher"]), signed_approval, actor="t")


@pytest.mark.parametrize("how", ["candidate", "version"])
def test_an_approval_of_a_version_that_was_withdrawn_is_spent(services, packs, how):
    activate(services, packs.least)
    version = next(services.versions)
    signed_approval = approval(services, packs.least, packs.open, version)
    data = build_bundle(packs.open, version, services.keys["publisher"])
    services.rollout.candidate(data, signed_approval, permille=100, actor="t")
    services.rollout.candidate(data, signed_approval, permille=200, actor="t")  # so long it is in use it counts
    services.rollout.withdraw(actor="t") if how == "candidate" else services.rollout.withdraw_version(
        version, actor="t"
    )
    assert services.reader.status()["candidate"] is None
    for act in (
        services.rollout.activate,
        lambda *given, **named: services.rollout.candidate(*given, permille=5, **named),
    ):
        with pytest.raises(PolicyConflict, match="withdrawn"):
            act(data, signed_approval, actor="t")
    refused(services, packs.open, signed_approval)


def test_a_version_may_be_withdrawn_before_it_is_used_and_the_active_one_may_not(services, packs):
    active = activate(services, packs.least)
    signed_approval = approval(services, packs.least, packs.open, 2)
    services.rollout.withdraw_version(2, actor="t")
    services.rollout.withdraw_version(2, actor="t")
    with pytest.raises(PolicyConflict, match="withdrawn"):
        services.rollout.activate(build_bundle(packs.open, 2, services.keys["publisher"]), signed_approval, actor="t")
    with pytest.raises(PolicyConflict, match="is active"):
        services.rollout.withdraw_version(active, actor="t")


def test_a_staged_version_is_activated_with_the_approval_that_it_was_staged_with(services, packs):
    activate(services, packs.least)
    signed_approval = approval(services, packs.least, packs.open, 2)
    data = build_bundle(packs.open, 2, services.keys["publisher"])
    services.rollout.candidate(data, None, permille=0, actor="t")
    services.rollout.candidate(data, signed_approval, permille=100, actor="t")
    services.rollout.activate(data, signed_approval, actor="t")
    assert services.policy.current().version == 2


@pytest.mark.parametrize("wrong", ["version", "base", "expired", "too long"])
def test_an_approval_is_for_one_version_over_one_base_for_a_while(services, packs, wrong):
    activate(services, packs.least)
    if wrong == "version":
        signed_approval = approval(services, packs.least, packs.open, 3)
    elif wrong == "base":
        signed_approval = approval(services, packs.less, packs.open, 2)
    elif wrong == "expired":
        signed_approval = approval(services, packs.least, packs.open, 2, life_s=60)
        services.clock.forward(seconds=60)
    else:
        signed_approval = approval(services, packs.least, packs.open, 2, life_s=31 * 86_400)
    refused(services, packs.open, signed_approval)


def test_what_only_closed_may_be_undone_by_one_person(services, packs):
    activate(services, packs.open)
    activate(services, packs.less)
    services.clock.forward(days=7)
    activate(services, packs.open)


def test_and_no_later_than_after_a_week(services, packs):
    activate(services, packs.open)
    activate(services, packs.less)
    services.clock.forward(days=7, seconds=1)
    refused(services, packs.open)


def test_nor_by_a_clock_that_went_back(services, packs):
    activate(services, packs.open)
    activate(services, packs.less)
    services.clock.forward(seconds=-1)
    refused(services, packs.open)


def test_a_candidate_in_between_makes_it_no_younger(services, packs):
    activate(services, packs.open)
    activate(services, packs.less)
    services.clock.forward(days=6)
    services.rollout.candidate(
        build_bundle(packs.least, next(services.versions), services.keys["publisher"]), None, permille=0, actor="t"
    )
    services.rollout.withdraw(actor="t")
    services.clock.forward(days=2)
    refused(services, packs.open)


def test_only_the_one_that_was_active_immediately_before_comes_back_so(services, packs):
    activate(services, packs.open)
    activate(services, packs.less)
    activate(services, packs.least)
    refused(services, packs.open)
    activate(services, packs.less)
    refused(services, packs.open)


def test_what_was_taken_back_comes_back_with_a_new_approval_only(services, packs):
    """Opened with an approval, taken back by a rollback: the undoing of that is no undoing of a closing."""
    activate(services, packs.less)
    activate(services, packs.open, approval(services, packs.less, packs.open, 2))
    activate(services, packs.less)
    refused(services, packs.open)
    version = next(services.versions)
    services.rollout.activate(
        build_bundle(packs.open, version, services.keys["publisher"]),
        approval(services, packs.less, packs.open, version),
        actor="t",
    )


def test_what_was_withdrawn_meanwhile_does_not_come_back_so(services, packs):
    opened = activate(services, packs.open)
    activate(services, packs.less)
    services.rollout.withdraw_version(opened, actor="t")
    refused(services, packs.open)


def test_what_also_opened_something_is_not_undone_so(services, packs, tmp_path):
    """The one before is more open in one thing and less in another: the change did not only close."""
    mixed = pack(
        tmp_path / "mixed",
        ("rules.yaml", "tier: medium, cache_s: 300, per_hour: 600}", "tier: medium, cache_s: 300, per_hour: 120}"),
    )
    activate(services, packs.less)
    activate(services, mixed, approval(services, packs.less, mixed, 2))
    refused(services, packs.less)


def test_something_that_is_nearly_the_one_before_needs_an_approval(services, packs, tmp_path):
    activate(services, packs.open)
    activate(services, packs.least)
    refused(services, packs.less)  # opens less than the one before did, but it is another
    fewer = pack(
        tmp_path / "fewer",
        ("checks.yaml", "  - {id: doubt-is-youth, along: subject_age, never_more_open: [unknown, under_13]}\n", ""),
    )
    refused(services, fewer)  # decides the same, and is checked by less


def test_the_folder_is_no_bundle_to_come_back_to(services, packs):
    activate(services, packs.less)
    refused(services, packs.open)


def test_an_activation_of_before_this_was_kept_has_no_way_back(services, packs):
    activate(services, packs.open)
    activate(services, packs.less)
    with services.catalogue.transaction() as tx:
        tx.connection.exec_driver_sql("UPDATE policy_state SET activated_at = NULL")
    refused(services, packs.open)


def test_days_are_counted_from_the_clock_of_the_service(services, packs):
    activate(services, packs.open)
    services.clock.forward(days=100)
    activate(services, packs.less)
    services.clock.now += timedelta(days=6)
    activate(services, packs.open)


def test_pictures_deleted_earlier_need_an_approval_and_the_refusal_says_how_many_objects(services, tmp_path):
    with services.catalogue.transaction() as tx:
        for number, state in enumerate((images.READY, images.READY, images.SUPERSEDED)):
            owner = ProfileId(f"owner-{number}")
            tx.profiles.declare(owner, Declaration("age_13_15", "verified", "eu", "connections"), START)
            tx.images.add(
                ImageRow(new_image_id(), owner, 1, state, None, new_original_key(), 9, "jpeg", 4, 3, "age_13_15", "age_13_15", START, None)
            )  # fmt: skip
    version = next(services.versions)
    shorter = pack(tmp_path / "pack", ("retention.yaml", "keep_days: 3650", "keep_days: 1"))
    data = build_bundle(shorter, version, services.keys["publisher"])
    with pytest.raises(PolicyRejected, match=r"kept 3650 days -> kept 1 days .*, 2 objects"):
        services.rollout.activate(data, None, actor="t")
    longer = pack(tmp_path / "longer", ("retention.yaml", "keep_days: 7}", "keep_days: 20}"))
    data = build_bundle(longer, version, services.keys["publisher"])
    with pytest.raises(PolicyRejected, match=r"OPENS .*kept 7 days -> kept 20 days .*, 1 objects"):
        services.rollout.activate(data, None, actor="t")


def test_what_a_candidate_would_open_counts_recipes(services, packs, tmp_path):
    bare = pack(
        tmp_path / "pack",
        ("tiers.yaml", "visible_watermark: soft, ", ""),
        ("checks.yaml", "visible_watermark: at_least soft, ", ""),
    )
    stronger = pack(tmp_path / "stronger", ("tiers.yaml", "visible_watermark: soft", "visible_watermark: clear"))
    given = {
        "subject_age": "age_13_15",
        "assurance": "verified",
        "relation": "stranger",
        "viewer": "adult",
        "region": "uk",
        "context": "profile",
    }
    inputs = {**given, "choice": "everyone", "report_flag": "clear"}
    kinds = []
    for candidate in (bare, stronger):
        data = build_bundle(candidate, next(services.versions), services.keys["publisher"])
        services.rollout.candidate(data, None, permille=0, actor="t")
        view = services.policy.current()
        kinds.append(view.tally(inputs, view.table.decide(inputs), None)[1].partition(":")[0])
    assert kinds == ["would_open", "would_close"]


def test_policies_that_mean_something_else_are_not_compared_to_see_whether_one_is_the_other(compiled, monkeypatch):
    less = SimpleNamespace(digest="another")
    monkeypatch.setattr(approval_flow, "diff", lambda *_args, **_kwargs: pytest.fail("they were compared"))
    assert not approval_flow.restores_previous(compiled, less)
    assert not approval_flow.restores_previous(None, compiled)


@pytest.mark.parametrize("how", ["activate", "candidate"])
def test_what_was_compared_with_another_policy_does_not_come_into_use(services, packs, monkeypatch, how):
    """A comparison takes seconds, outside of the transaction: what is active meanwhile is looked at again inside."""
    activate(services, packs.open)
    compare = Rollout.compare

    def overtaken(rollout, new):
        compared = compare(rollout, new)
        monkeypatch.setattr(Rollout, "compare", compare)
        activate(services, packs.less)
        return compared

    monkeypatch.setattr(Rollout, "compare", overtaken)
    data = build_bundle(packs.least, 99, services.keys["publisher"])
    with pytest.raises(PolicyConflict, match="changed at this moment"):
        if how == "activate":
            services.rollout.activate(data, None, actor="t")
        else:
            services.rollout.candidate(data, None, permille=10, actor="t")
    assert services.policy.current().table.digest == packs.less.table.digest
