"""Lifecycle rules on the real S3 server: applied, expired, drifted, undone; nobody else's are touched."""

import json
import re
import shutil
import time
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from nightlight.catalogue.schema import audit
from nightlight.flows.retention.manage_lifecycle import ManageLifecycle
from nightlight.policy.compile import compile_folder
from nightlight.retention.bucket_client import BucketClient
from nightlight.retention.lifecycle_plan import PlanStep
from nightlight.retention.lifecycle_rule import read_rule
from nightlight.retention.wanted_rules import PrefixRules
from nightlight.store.interface import STATE_TAG
from nightlight_core.errors import LifecycleRefused, NotFound
from tests.conftest import ROOT
from tests.support.buckets import bucket_pair
from tests.support.databases import catalogue_at
from tests.support.waiting import eventually

pytestmark = pytest.mark.integration

# A day of the test server's, which rounds to none.
DAY = timedelta(seconds=5)
FOREIGN = {"ID": "logs", "Status": "Enabled", "Filter": {"Prefix": "logs/"}, "Expiration": {"Days": 300}}


@pytest.fixture
def pair():
    with bucket_pair() as opened:
        yield opened


@pytest.fixture
def pack(tmp_path):
    """A policy under which everything but a picture in use is kept for a day."""
    shutil.copytree(ROOT / "policies", tmp_path / "p")
    path = tmp_path / "p/retention.yaml"
    path.write_text(path.read_text().replace("keep_days: 30", "keep_days: 1").replace("keep_days: 7", "keep_days: 1"))
    return tmp_path / "p"


@pytest.fixture
def flow(pair, pack, tmp_path):
    with catalogue_at(f"sqlite:///{tmp_path / 'c.sqlite3'}") as catalogue:
        buckets = {name: BucketClient(pair.owner, name) for name in (pair.originals, pair.renditions)}
        prefixes = {pair.originals: PrefixRules((("found/", "found-copies", 2),))}
        compiled = {"now": compile_folder(pack).retention}
        manager = ManageLifecycle(catalogue, buckets, prefixes, lambda: compiled["now"], lambda: datetime.now(UTC), DAY)
        yield manager, compiled


def put(pair, key, state=None):
    tags = {"Tagging": f"{STATE_TAG}={state}"} if state else {}
    pair.owner.put_object(Bucket=pair.originals, Key=key, Body=b"x" * 100, **tags)


def keys(pair):
    return {item["Key"] for item in pair.owner.list_objects_v2(Bucket=pair.originals).get("Contents", [])}


def live(pair):
    return {raw["ID"]: read_rule(raw) for raw in BucketClient(pair.owner, pair.originals).rules()}


def test_what_is_replaced_is_deleted_by_the_server_itself_and_nothing_else(flow, pair):
    lifecycle, _ = flow
    BucketClient(pair.owner, pair.originals).put([FOREIGN])
    for key, state in [("o/live", None), ("o/replaced", "replaced"), ("o/closed", "account_closed"), ("logs/1", None)]:
        put(pair, key, state)
    plan = lifecycle.plan(pair.originals)
    assert {action.rule_id for action in plan.actions if action.step is PlanStep.FOREIGN} == {"logs"}
    touched = {rule.rule_id: rule for rule in lifecycle.touched(plan)}
    assert (touched["nightlight-replaced"].objects, touched["nightlight-replaced"].bytes) == (1, 100)
    assert touched["nightlight-live"].objects == 4
    lifecycle.apply(plan, actor="t")
    rules = live(pair)
    assert rules["logs"] == read_rule(FOREIGN)
    assert {name for name in rules if name != "logs"} == {rule.rule_id for rule in plan.ours}
    assert all(rules[rule.rule_id] == rule for rule in plan.ours)
    assert lifecycle.plan(pair.originals).changes == []
    assert lifecycle.drift(pair.originals) == []
    eventually(lambda: keys(pair) == {"o/live", "logs/1"})
    put(pair, "o/later", "replaced")
    eventually(lambda: "o/later" not in keys(pair))  # the server has gone by all rules since
    assert keys(pair) == {"o/live", "logs/1"}


def test_the_rule_about_everything_deletes_nothing_before_the_rule_of_its_state(flow, pair, pack):
    """S3 goes by the earlier of two rules, so that of every object has the days of the longest state."""
    lifecycle, compiled = flow
    path = pack / "retention.yaml"
    path.write_text(path.read_text().replace("keep_days: 3650", "keep_days: 1"))
    compiled["now"] = compile_folder(pack).retention
    lifecycle.apply(lifecycle.plan(pair.originals), actor="t")
    rules = live(pair)
    days = {
        name: rules[f"nightlight-{name}"].expire_days for name in ("live", "quarantined", "deactivated", "replaced")
    }
    assert days == {"live": 365, "quarantined": 365, "deactivated": 180, "replaced": 1}
    for key, state in [("o/evidence", "quarantined"), ("o/deactivated", None), ("o/replaced", "replaced")]:
        put(pair, key, state)
    eventually(lambda: "o/replaced" not in keys(pair))
    put(pair, "o/later", "replaced")
    eventually(lambda: "o/later" not in keys(pair))  # the server has gone by all rules since
    assert keys(pair) == {"o/evidence", "o/deactivated"}


def test_an_object_that_outlived_its_rule_is_told_of(flow, pair):
    lifecycle, _ = flow
    lifecycle.apply(lifecycle.plan(pair.originals), actor="t")
    rules = BucketClient(pair.owner, pair.originals)
    rules.put([{**raw, "Status": "Disabled"} for raw in rules.rules()])  # so that the server deletes nothing
    for key, state in [("o/live", None), ("o/late", "replaced"), ("found/late", None)]:
        put(pair, key, state)

    def late_in(days):
        day = timedelta(days=1)  # a whole one: no machine is so slow that it goes by in between
        looking = ManageLifecycle(
            lifecycle.catalogue, lifecycle.buckets, lifecycle.prefixes, lifecycle.retention,
            lambda: datetime.now(UTC) + days * day, day,
        )  # fmt: skip
        return looking.late(pair.originals)

    assert list(late_in(0)) == []
    late = {late_object.key: late_object.rule_id for late_object in late_in(5)}
    assert late == {"o/late": "nightlight-replaced", "found/late": "nightlight-found-copies"}
    assert len(lifecycle.drift(pair.originals)) == len(lifecycle.wanted(pair.originals))


def test_what_changed_between_plan_and_apply_is_refused(flow, pair, pack):
    lifecycle, compiled = flow
    plan = lifecycle.plan(pair.originals)
    BucketClient(pair.owner, pair.originals).put([FOREIGN])
    with pytest.raises(LifecycleRefused, match="plan again"):
        lifecycle.apply(plan, actor="t")
    assert set(live(pair)) == {"logs"}
    plan = lifecycle.plan(pair.originals)
    path = pack / "retention.yaml"
    path.write_text(path.read_text().replace("keep_days: 3650", "keep_days: 3000"))
    compiled["now"] = compile_folder(pack).retention
    with pytest.raises(LifecycleRefused, match="policy has changed"):
        lifecycle.apply(plan, actor="t")
    assert set(live(pair)) == {"logs"}
    lifecycle.apply(lifecycle.plan(pair.originals), actor="t")
    assert live(pair)["nightlight-live"].expire_days == 3000


def test_a_shorter_time_is_shown_and_a_rule_that_is_wanted_no_more_goes(flow, pair, pack):
    lifecycle, compiled = flow
    lifecycle.apply(lifecycle.plan(pair.originals), actor="t")
    path = pack / "retention.yaml"
    path.write_text(path.read_text().replace("keep_days: 3650", "keep_days: 400"))
    compiled["now"] = compile_folder(pack).retention
    plan = lifecycle.plan(pair.originals)
    (change,) = plan.changes
    assert (change.step, change.notes) == (PlanStep.CHANGE, ("deletes after 400 days, until now 3650",))
    lifecycle.apply(plan, actor="t")
    lifecycle.prefixes[pair.originals] = PrefixRules()
    plan = lifecycle.plan(pair.originals)
    assert [(change.step, change.rule_id) for change in plan.changes] == [(PlanStep.REMOVE, "nightlight-found-copies")]
    lifecycle.apply(plan, actor="t")
    assert "nightlight-found-copies" not in live(pair)


def test_drift_names_what_somebody_did(flow, pair):
    lifecycle, _ = flow
    assert [entry.sentence() for entry in lifecycle.drift(pair.originals)] == ["nothing was applied yet"]
    lifecycle.apply(lifecycle.plan(pair.originals), actor="t")
    bucket = BucketClient(pair.owner, pair.originals)
    rules = bucket.rules()
    bucket.put([raw for raw in rules if raw["ID"] != "nightlight-live"])
    (entry,) = lifecycle.drift(pair.originals)
    assert (entry.rule, entry.change, entry.ours) == ("nightlight-live", "removed", True)
    plan = lifecycle.plan(pair.originals)
    assert [(change.rule_id, change.step) for change in plan.changes] == [("nightlight-live", PlanStep.ADD)]
    lifecycle.apply(plan, actor="t")
    assert lifecycle.drift(pair.originals) == []
    bucket.put([*bucket.rules(), FOREIGN])
    (entry,) = lifecycle.drift(pair.originals)
    assert (entry.rule, entry.change, entry.ours, entry.before) == ("logs", "added", False, None)
    assert entry.after == "under logs/: deleted 300 days after it was written"
    lifecycle.apply(lifecycle.plan(pair.originals))  # nothing to do: what is there counts as applied
    assert lifecycle.drift(pair.originals) == []


def undo(lifecycle, name, **to):
    return lifecycle.undo(lifecycle.plan_undo(name, **to))


def test_undo_takes_ours_back_and_leaves_theirs_as_they_are(flow, pair):
    lifecycle, _ = flow
    with pytest.raises(NotFound):
        lifecycle.plan_undo(pair.originals)
    bucket = BucketClient(pair.owner, pair.originals)
    bucket.put([FOREIGN, {**FOREIGN, "ID": "older"}])
    lifecycle.apply(lifecycle.plan(pair.originals))
    assert len(live(pair)) > 2
    # Their owner removes one of theirs and adds another: neither is touched.
    bucket.put([{**FOREIGN, "ID": "newer"}, *(raw for raw in bucket.rules() if raw["ID"] != "older")])
    undo(lifecycle, pair.originals)
    assert live(pair).keys() == {"logs", "newer"}
    with pytest.raises(NotFound):
        lifecycle.plan_undo(pair.originals)


def test_undo_is_refused_where_somebody_changed_ours_or_the_state_since_the_preview(flow, pair):
    lifecycle, _ = flow
    lifecycle.apply(lifecycle.plan(pair.originals))
    bucket = BucketClient(pair.owner, pair.originals)
    applied = bucket.rules()
    bucket.put(applied[1:])
    with pytest.raises(LifecycleRefused, match="drift"):
        lifecycle.plan_undo(pair.originals)
    bucket.put(applied)
    plan = lifecycle.plan_undo(pair.originals)
    bucket.put([FOREIGN, *applied])
    with pytest.raises(LifecycleRefused, match="meanwhile"):
        lifecycle.undo(plan)
    assert len(live(pair)) == len(applied) + 1


def test_undo_to_a_snapshot_and_what_changed_nothing_makes_none(flow, pair, pack):
    lifecycle, compiled = flow
    first = lifecycle.apply(lifecycle.plan(pair.originals))
    assert lifecycle.apply(lifecycle.plan(pair.originals)).snapshot_id is None
    for days in (3000, 2000):
        path = pack / "retention.yaml"
        path.write_text(re.sub("keep_days: [0-9]{4}", f"keep_days: {days}", path.read_text()))
        compiled["now"] = compile_folder(pack).retention
        lifecycle.apply(lifecycle.plan(pair.originals))
        lifecycle.apply(lifecycle.plan(pair.originals))
    snapshots = lifecycle.history(pair.originals)
    assert [len(snapshot.rules) > 0 for snapshot in snapshots] == [True, True, False]
    assert snapshots[-1].snapshot_id == first.snapshot_id
    undo(lifecycle, pair.originals, to=snapshots[1].snapshot_id)
    assert live(pair)["nightlight-live"].expire_days == 3650
    assert [each.snapshot_id for each in lifecycle.history(pair.originals)] == [first.snapshot_id]
    with pytest.raises(NotFound):
        lifecycle.plan_undo(pair.originals, to=10**6)


def test_from_nothing_and_back_to_nothing(flow, pair):
    lifecycle, _ = flow
    lifecycle.apply(lifecycle.plan(pair.renditions), actor="t")
    assert BucketClient(pair.owner, pair.renditions).rules() != []
    undo(lifecycle, pair.renditions)
    assert BucketClient(pair.owner, pair.renditions).rules() == []


def test_the_audit_log_names_bucket_rule_before_after_and_who_by_the_servers_word(flow, pair):
    lifecycle, _ = flow
    bucket = BucketClient(pair.owner, pair.originals)
    bucket.put([{**FOREIGN, "ID": "nightlight-live"}])
    lifecycle.apply(lifecycle.plan(pair.originals))
    undo(lifecycle, pair.originals)
    who = f"s3:{pair.owner.list_buckets()['Owner']['ID']}"
    with lifecycle.catalogue.reading() as tx:
        lines = tx.connection.execute(select(audit.c.event, audit.c.actor, audit.c.detail)).all()
    assert {line.actor for line in lines} == {who}
    (changed,) = [
        line.detail for line in lines
        if line.event == "lifecycle.applied_rule" and line.detail["rule"] == "nightlight-live"
    ]  # fmt: skip
    assert (changed["bucket"], changed["step"], changed["by"]) == (pair.originals, "change", who)
    assert read_rule(json.loads(changed["before"])).expire_days == 300
    assert read_rule(json.loads(changed["after"])).expire_days == 3650
    added = {line.detail["rule"]: line.detail for line in lines if line.event == "lifecycle.applied_rule"}
    assert added["nightlight-replaced"]["before"] == "none"
    undone = {line.detail["rule"]: line.detail for line in lines if line.event == "lifecycle.undone_rule"}
    assert undone["nightlight-replaced"]["after"] == "none"


def test_a_rule_of_somebody_elses_is_taken_over_as_it_is(flow, pair):
    lifecycle, _ = flow
    bucket = BucketClient(pair.owner, pair.originals)
    bucket.put([FOREIGN])
    lifecycle.apply(lifecycle.plan(pair.originals))
    foreign_rule = lifecycle.foreign(pair.originals, "logs")
    lifecycle.adopt(pair.originals, foreign_rule)
    assert lifecycle.drift(pair.originals) == []
    (change,) = lifecycle.plan(pair.originals).changes
    assert (change.rule_id, change.step) == ("logs", PlanStep.REMOVE)
    with pytest.raises(LifecycleRefused, match="already"):
        lifecycle.foreign(pair.originals, "logs")
    with pytest.raises(NotFound):
        lifecycle.foreign(pair.originals, "none")
    lifecycle.apply(lifecycle.plan(pair.originals))
    assert "logs" not in live(pair)


def test_what_a_foreign_rule_deletes_sooner_is_counted_and_the_vault_is_looked_at_too(flow, pair):
    lifecycle, _ = flow
    lifecycle.buckets[pair.vault] = BucketClient(pair.owner, pair.vault)
    lifecycle.prefixes[pair.vault] = PrefixRules(forever=True)
    theirs = {"ID": "theirs", "Status": "Enabled", "Filter": {"Prefix": "o/"}, "Expiration": {"Days": 300}}
    for name in (pair.originals, pair.vault):
        BucketClient(pair.owner, name).put([theirs])
    for key, state in [("o/live", None), ("o/replaced", "replaced"), ("o/evidence", "quarantined"), ("p/1", None)]:
        put(pair, key, state)
    plan = lifecycle.plan(pair.originals)
    (effect,) = [each for each in lifecycle.touched(plan) if each.sooner]
    # What is tagged `replaced` goes after a day by our own rule.
    assert (effect.rule_id, effect.objects, effect.bytes, effect.counted) == ("theirs", 2, 200, True)
    (foreign_rule,) = [action for action in lifecycle.plan(pair.vault).actions if action.sooner]
    assert "DELETES SOONER than the vault (until its hold ends): under o/" in foreign_rule.notes[0]
    lifecycle.apply(lifecycle.plan(pair.vault))
    assert {raw["ID"] for raw in BucketClient(pair.owner, pair.vault).rules()} == {"theirs", "nightlight-uploads"}


def test_a_server_that_drops_a_filter_without_a_word_is_caught_before_the_rule_is_on(flow, pair):
    """This one does: a rule that is about large objects only would be about everything."""
    lifecycle, _ = flow
    bucket = BucketClient(pair.owner, pair.originals)
    bucket.put([FOREIGN])
    put(pair, "o/small")
    by_size = {
        "ID": "large",
        "Status": "Enabled",
        "Filter": {"ObjectSizeGreaterThan": 10**6},
        "Expiration": {"Days": 1},
    }
    before = bucket.rules()
    with pytest.raises(LifecycleRefused, match="did not keep large"):
        lifecycle._put(bucket, before, [FOREIGN, by_size], {"large"})
    assert live(pair) == {"logs": read_rule(FOREIGN)}
    bucket.put([FOREIGN, {"ID": "gone", "Status": "Enabled", "Filter": {"Prefix": "gone/"}, "Expiration": {"Days": 1}}])
    put(pair, "gone/1")
    eventually(lambda: "gone/1" not in keys(pair))  # the server has gone by all rules since
    assert keys(pair) == {"o/small"}


def test_who_may_not_change_rules_is_told_so(flow, pair):
    from nightlight_core.errors import StoreDenied
    from tests.support.buckets import infra_buckets
    from tests.support.services import S3_SERVICE, identity

    lifecycle, _ = flow
    service = infra_buckets.client(pair.endpoint, *identity(S3_SERVICE))
    lifecycle.buckets[pair.originals] = BucketClient(service, pair.originals)
    with pytest.raises(StoreDenied):
        lifecycle.plan(pair.originals)
    with pytest.raises(NotFound):
        lifecycle.plan("another")


def test_a_thousand_rules(flow, pair, record_property):
    lifecycle, _ = flow
    ours = len(lifecycle.wanted(pair.renditions))
    many = [{**FOREIGN, "ID": f"r{n:04}", "Filter": {"Prefix": f"logs/{n:04}/"}} for n in range(1000 - ours)]
    bucket = BucketClient(pair.owner, pair.renditions)
    bucket.put(many)
    begin = time.monotonic()
    plan = lifecycle.plan(pair.renditions)
    record_property("plan_s", time.monotonic() - begin)
    lifecycle.apply(plan, actor="t")
    begin = time.monotonic()
    assert lifecycle.drift(pair.renditions) == []
    record_property("drift_s", time.monotonic() - begin)
    assert len(bucket.rules()) == 1000
    bucket.put(bucket.rules()[1:])
    assert len(lifecycle.drift(pair.renditions)) == 1
