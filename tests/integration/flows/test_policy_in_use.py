"""Which policy a process decides by, over a real database: what is broken changes nothing."""

import json
import shutil
import threading
from datetime import UTC, date, datetime

import pytest
from sqlalchemy import update

from nightlight.catalogue.policy_schema import policy_bundles
from nightlight.delivery.access_tokens import generate_key
from nightlight.flows.decisions.counters import DecisionCounter, difference
from nightlight.flows.policies.policy_holder import PolicyHolder
from nightlight.flows.policies.rollout import Rollout
from nightlight.policy.bundle_writer import build_bundle
from nightlight.policy.compile import compile_pack
from nightlight.policy.diff import diff
from nightlight.policy.load import load
from nightlight.policy.signing import SigningKey, approval_subject, approve
from nightlight_core.decisions.answers import Answer
from nightlight_core.errors import CatalogueUnavailable, PolicyRefused, PolicyRejected
from nightlight_core.policy.public_keys import PublicKeys
from tests.conftest import ROOT

pytestmark = pytest.mark.integration

NOW = datetime(2026, 11, 22, tzinfo=UTC)


@pytest.fixture(scope="module")
def key(tmp_path_factory):
    path = tmp_path_factory.mktemp("keys") / "key.json"
    path.write_text(json.dumps(generate_key()[0]))
    return SigningKey.read(path)


@pytest.fixture(scope="module")
def stricter(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pack") / "p"
    shutil.copytree(ROOT / "policies", folder)
    text = (folder / "rules.yaml").read_text()
    (folder / "rules.yaml").write_text(text.replace("per_hour: 120", "per_hour: 30"))
    shutil.rmtree(folder / "cases")
    return compile_pack(load(folder))


def in_use(catalogue, folder, key):
    return PolicyHolder(catalogue, folder, key.public_keys, poll_s=0, share_key=bytes(32))


def activate(catalogue, version, data, **more):
    with catalogue.transaction() as tx:
        tx.policies.add_bundle(version, "d", data, NOW)
        state = tx.policies.state(lock=True)
        tx.policies.change(state, NOW, highest_version=version, active_version=version, **more)


def test_the_folder_counts_until_a_bundle_is_active(fresh, compiled, stricter, key):
    policy = in_use(fresh, compiled, key)
    assert policy.current().table is compiled.table
    activate(fresh, 3, build_bundle(stricter, 3, key))
    view = policy.current()
    assert (view.version, view.table.digest) == (3, stricter.table.digest)
    assert in_use(fresh, compiled, key).current().version == 3


def test_a_bundle_that_an_earlier_release_built_decides_on_and_forbids_capture(fresh, compiled):
    bundles = ROOT / "tests/unit/policy/bundles"
    publisher = PublicKeys.read(bundles / "bundle-2.jwks.json")
    policy = PolicyHolder(fresh, compiled, publisher, poll_s=0, share_key=bytes(32))
    activate(fresh, 3, (bundles / "bundle-2.json").read_bytes())
    view = policy.current()
    given = {"subject_age": "adult", "relation": "self", "region": "eu", "choice": "everyone"}
    outcome = view.table.decide(given)
    assert (view.version, outcome.tier, outcome.capture) == (3, "full", "forbid")
    assert view.table.decide({**given, "subject_age": "age_13_17", "relation": "stranger"}).tier == "tiny"


@pytest.mark.parametrize("broken", ["garbage", "signed by another", "another version", "missing"])
def test_a_bundle_that_cannot_be_verified_changes_nothing_and_stops_a_start(
    fresh, compiled, stricter, key, tmp_path, broken
):
    policy = in_use(fresh, compiled, key)
    activate(fresh, 1, build_bundle(stricter, 1, key))
    assert policy.current().version == 1
    path = tmp_path / "other.json"
    path.write_text(json.dumps(generate_key()[0]))
    data = {
        "garbage": b"garbage",
        "signed by another": build_bundle(compiled, 2, SigningKey.read(path)),
        "another version": build_bundle(compiled, 9, key),
        "missing": b"",
    }[broken]
    if broken == "missing":
        with fresh.transaction() as tx:
            tx.policies.change(tx.policies.state(lock=True), NOW, active_version=2)
    else:
        activate(fresh, 2, data)
    view = policy.current()
    assert (view.version, view.table.digest) == (1, stricter.table.digest)
    with pytest.raises(PolicyRefused):
        in_use(fresh, compiled, key)


def test_a_candidate_that_cannot_be_verified_does_not_hold_the_active_policy_back(fresh, compiled, stricter, key):
    policy = in_use(fresh, compiled, key)
    with fresh.transaction() as tx:
        tx.policies.add_bundle(2, "d", b"garbage", NOW)
    activate(fresh, 1, build_bundle(stricter, 1, key), candidate_version=2, candidate_permille=500)
    for view in (policy.current(), in_use(fresh, compiled, key).current()):
        assert (view.version, view.candidate, view.permille) == (1, None, 0)
        assert view.table.digest == stricter.table.digest


def test_an_older_version_is_not_taken_back(fresh, compiled, stricter, key):
    activate(fresh, 5, build_bundle(stricter, 5, key))
    policy = in_use(fresh, compiled, key)
    assert policy.current().version == 5
    activate(fresh, 4, build_bundle(compiled, 4, key))
    assert policy.current().version == 5


def test_a_catalogue_that_is_away_leaves_the_last_good_policy(fresh, compiled, stricter, key, monkeypatch):
    activate(fresh, 1, build_bundle(stricter, 1, key))
    policy = in_use(fresh, compiled, key)

    def away():
        raise CatalogueUnavailable("away")

    monkeypatch.setattr(type(fresh), "reading", lambda _self: away())
    assert policy.current().table.digest == stricter.table.digest


def test_a_bundle_that_is_changed_in_the_database_is_noticed_at_the_next_start(fresh, compiled, stricter, key):
    activate(fresh, 1, build_bundle(stricter, 1, key))
    with fresh.transaction() as tx:
        tx.connection.execute(update(policy_bundles).values(data=build_bundle(stricter, 1, key)[:-20]))
    with pytest.raises(PolicyRefused):
        in_use(fresh, compiled, key)


def test_counts_add_up_over_processes_and_survive_an_outage(fresh, compiled, monkeypatch):
    counters = [DecisionCounter(fresh, lambda: NOW, flush_s=60) for _ in range(4)]
    cell = ",".join(compiled.space.given((2, 4, 4, 2, 1, 0, 1, 0)).values())
    opens, same = (difference(7, (32, 60, 30), would) for would in ((128, 60, 30), (32, 60, 30)))
    assert (opens, same) == ("would_open:7", None)

    def work(counter):
        for number in range(50):
            counter.count([Answer(0, (), None, "", (cell, opens if number % 2 else same), ())])
            if number % 10 == 0:
                counter.flush()

    threads = [threading.Thread(target=work, args=(counter,)) for counter in counters]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    transaction = type(fresh).transaction

    def away(_self):
        raise CatalogueUnavailable("away")

    monkeypatch.setattr(type(fresh), "transaction", away)
    counters[0].flush()
    monkeypatch.setattr(type(fresh), "transaction", transaction)
    for counter in counters:
        counter.flush()
        counter.flush()
    with fresh.reading() as tx:
        decided, days = tx.policies.counts("decided", date.min)
        opened, _ = tx.policies.counts("would_open:7", date.min)
    assert list(decided.values()) == [200]
    assert list(opened.values()) == [100]
    assert days == 1


def test_two_first_changes_at_once_do_not_both_happen(fresh):
    from nightlight_core.errors import Conflict

    with fresh.reading() as tx:
        state = tx.policies.state()
    with fresh.transaction() as tx:
        tx.policies.change(state, NOW, highest_version=1, active_version=None)
    with pytest.raises(Conflict), fresh.transaction() as tx:
        tx.policies.change(state, NOW, highest_version=1, active_version=None)


def test_the_key_that_signed_a_bundle_cannot_approve_it(fresh, compiled, stricter, key):
    activate(fresh, 1, build_bundle(stricter, 1, key))
    policy = in_use(fresh, compiled, key)
    trusted = key.public_keys
    rollout = Rollout(fresh, policy, trusted, trusted, 1, lambda: NOW)
    wanted = approval_subject(diff(stricter, compiled), 2)
    approval = approve(wanted, key, expires_at=int(NOW.timestamp()) + 60)
    with pytest.raises(PolicyRejected, match="two teams, two keys"):
        rollout.activate(build_bundle(compiled, 2, key), approval, actor="t")
    assert policy.refresh().version == 1
