"""Processes that no end-to-end test starts do their whole work under their roles too: imports, and operators' commands."""

import hashlib
import json
from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError
from typer.testing import CliRunner

from nightlight.catalogue import migrate, takedowns
from nightlight.catalogue.engine import Catalogue
from nightlight.catalogue.events import SET_ASIDE
from nightlight.catalogue.lifecycles import AppliedRules
from nightlight.cli.main import app
from nightlight.flows.exports.requests import RequestExport
from nightlight.flows.imports.backfill import Backfill
from nightlight.flows.imports.notifications import ImportNotifications
from nightlight.flows.pictures.deactivate import DeactivateProfile
from nightlight.flows.pictures.delete import DeletePictures
from nightlight.flows.retention.expiry import Expiry
from nightlight.flows.retention.remove_rows import RemoveErasedRows
from nightlight.flows.retention.retention_sweep import Sweep
from nightlight.flows.takedowns.requests import Notice, PlaceTakedowns
from nightlight.flows.takedowns.review import ReviewSoftened
from nightlight.jobs.runner import JobRunner
from nightlight.policy.compile import compile_folder
from nightlight.settings.pictures import UploadSettings
from nightlight.settings.process import WorkerSettings
from nightlight.settings.storage import ExportSettings
from nightlight.store.event_notifications import ObjectEvent
from nightlight.store.key_template import KeyTemplate
from nightlight.store.source_buckets import SourceKey
from nightlight_core.clock import system_clock
from tests.conftest import ROOT
from tests.integration.test_edge_revocation import rendition_of
from tests.support.databases import postgres_database, roles_of
from tests.support.flow_container import HASHER

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def database():
    with postgres_database() as url:
        catalogue = Catalogue(url)
        migrate.upgrade(catalogue.engine)
        catalogue.close()
        yield url


@pytest.fixture(scope="module")
def roles(database):
    with roles_of(database) as urls:
        yield urls


@pytest.fixture
def under(roles):
    """A catalogue under a role."""
    opened = []

    def open_(role):
        opened.append(Catalogue(roles[role]))
        return opened[-1]

    yield open_
    for container in opened:
        container.close()


def notice(number):
    return ObjectEvent("avatars", f"u-{number}.jpg", removed=False, etag="e", event_id=f"m{number}")


def test_imports_are_queued_as_they_are_notified(under):
    catalogue = under("imports")
    migrate.check_current(catalogue.engine)
    notifications = ImportNotifications(catalogue, {"avatars": KeyTemplate("{profile}.jpg")}, system_clock)
    assert notifications.record([notice(1), notice(2)]).queued == 2
    assert notifications.record([notice(2), notice(3)]).queued == 1


def test_a_backfill_is_begun_walked_and_read(under, database):
    catalogue = under("operator")
    flow = Backfill(catalogue, system_clock)
    template = KeyTemplate("{profile}.jpg")
    bulk_import = flow.begin("s3://avatars/", template, actor="tests")
    pages = [([SourceKey("u-1.jpg", "e"), SourceKey("u-1/x.png", "e")], {"after": "u-1/x.png"})]
    (counts,) = flow.walk(bulk_import.import_id, "avatars", template, lambda _: iter(pages))
    assert counts.unmatched == 1
    outcome = flow.outcome(bulk_import.import_id)
    assert (outcome.run.import_id, outcome.run.left_out["reasons"]) == (bulk_import.import_id, {"other_form": 1})
    assert flow.outcomes()
    flow.waiting(bulk_import.import_id)
    flow.denied(bulk_import.import_id)


@pytest.mark.parametrize("role", ["service", "worker", "operator"])
def test_a_profile_that_is_deleted_is_forgotten_in_what_imports_left_out(under, database, role):
    """Whoever deletes it may write just that."""
    flow = Backfill(under("operator"), system_clock)
    template = KeyTemplate("{profile}.jpg")
    begun = flow.begin(f"s3://avatars-of-{role}/", template, actor="tests")
    pages = [([SourceKey(f"p-{role}@example.com/x.png", "e"), SourceKey("other.png", "e")], {"after": "x"})]
    list(flow.walk(begun.import_id, "avatars", template, lambda _: iter(pages)))
    with under(role).transaction() as tx:
        tx.imports.forget_profile(f"p-{role}@example.com")
    summary = flow.outcome(begun.import_id).run.left_out
    assert ([entry[0] for entry in summary["first"]], summary["reasons"]) == (["other.png"], {"other_form": 2})


def test_lifecycle_rules_are_written_down_and_taken_back(under):
    catalogue, now = under("operator"), system_clock()
    with catalogue.transaction() as tx:
        tx.lifecycles.lock("b", now)
        tx.lifecycles.snapshot("b", [{"ID": "theirs"}], [], now)
        tx.lifecycles.write(AppliedRules("b", [{"ID": "mine"}], "seen", now, "tests"))
        tx.audit.append("lifecycle.applied", now=now, actor="tests")
    with catalogue.transaction() as tx:
        assert tx.lifecycles.applied("b").rules == [{"ID": "mine"}]
        tx.lifecycles.drop_snapshots("b", tx.lifecycles.snapshots("b")[0].snapshot_id)


def run(monkeypatch, roles, *arguments):
    for name, value in {
        "NIGHTLIGHT_CATALOGUE_URL": roles["operator"], "NIGHTLIGHT_POLICY_DIR": str(ROOT / "policies"), "COLUMNS": "200",
        "NIGHTLIGHT_DELIVERY_NAME_KEY": "bmlnaHRsaWdodG5pZ2h0bGlnaHRuaWdodGxpZ2h0bmlnaHQ=",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    return CliRunner().invoke(app, list(arguments))


def test_the_commands_of_operators_find_what_they_need(roles, database, monkeypatch, tmp_path):
    owner = Catalogue(database)
    rendition_of(owner, "p-erased", "c" * 32)
    owner.close()
    (tmp_path / "page.csv").write_text("ab" * 32)
    (tmp_path / "key").write_text(json.dumps({"kid": "test", "d": "A" * 43}))
    for name, value in {
        "LISTS_DIR": str(tmp_path),
        "IMPORT_FORMATS": '["csv"]',
        "EXPORT_LISTS": '["notices:other"]',
    }.items():
        monkeypatch.setenv(f"NIGHTLIGHT_MATCHING_{name}", value)
    for command, codes in (
        (("report", "--no-buckets", "--json"), {0}),
        (("abuse-signals", "report"), {0}),
        (("lists", "report"), {0}),
        (("lists", "import", "members", str(tmp_path / "page.csv")), {0}),
        (("lists", "export", "notices:other", "--out", str(tmp_path / "out.csv"), "--key", str(tmp_path / "key")), {0}),
        (("hold", "list"), {0}),
        (("erase", "p-erased", "--yes", "--wait-s", "0"), {0, 2}),
        (("sweep", "--wait-s", "0", "--json"), {0, 2}),
    ):
        result = run(monkeypatch, roles, *command)
        failure = f"{command}: {result.output} {result.exception!r}"
        assert "InsufficientPrivilege" not in failure, failure
        assert "permission denied" not in failure, failure
        assert result.exit_code in codes, failure


def test_what_an_erasure_by_an_operator_left_is_a_deleted_profile(database):
    owner = Catalogue(database)
    with owner.reading() as tx:
        query = text("SELECT state FROM profiles WHERE profile_id = 'p-erased'")
        assert tx.connection.execute(query).scalar_one() == "deleted"
    owner.close()


def test_a_worker_deletes_a_deactivated_account_whose_days_are_over_and_cannot_read_who_was_blocked(under, database):
    owner, now = Catalogue(database), system_clock()
    rendition_of(owner, "p-deactivated", "d" * 32)
    with owner.transaction() as tx:
        tx.blocks.add("p-deactivated", "mallory", now)
        tx.proof_revocations.add("p-deactivated", now)
        tx.profiles.set_report_flag("p-deactivated", "clear")
        tx.profiles.deactivate("p-deactivated", now - timedelta(days=1000))
    catalogue = under("worker")
    retention = compile_folder(ROOT / "policies").retention
    runner = JobRunner(catalogue, WorkerSettings(), system_clock)
    rows = RemoveErasedRows(runner, HASHER, None, 400, lambda: 100)
    sweep = Sweep(runner, DeletePictures(catalogue, system_clock), lambda: retention, tuple, 30, rows.leftovers)
    assert sweep.batch()["accounts"] == 1
    with owner.reading() as tx:
        for table, rows in (("blocks", 0), ("proof_revocations", 0)):
            query = text(f"SELECT count(*) FROM {table} WHERE profile_id = 'p-deactivated'")
            assert tx.connection.execute(query).scalar_one() == rows
        assert tx.profiles.get("p-deactivated").state == "deleted"
    owner.close()


def test_the_service_deactivates_and_reactivates(under, database):
    owner = Catalogue(database)
    rendition_of(owner, "p-away", "e" * 32)
    flow = DeactivateProfile(under("service"), system_clock)
    flow.deactivate("p-away", actor="t")
    flow.reactivate("p-away", actor="t")
    with owner.reading() as tx:
        assert tx.profiles.get("p-away").state == "live"
    owner.close()


def test_exports_are_asked_for_expire_and_go_with_the_profile(under, database):
    owner = Catalogue(database)
    for name, image_id in (("p-export", "a1" * 16), ("p-export-2", "a2" * 16), ("p-export-3", "a3" * 16)):
        rendition_of(owner, name, image_id)
    asking = RequestExport(under("service"), None, ExportSettings(), system_clock)
    for name in ("p-export", "p-export-2", "p-export-3"):
        asking.ask(name, seal_to=None, actor="t")
    asking.remove("p-export", actor="t")
    DeletePictures(under("operator"), system_clock).profile("p-export-2", actor="t")
    Expiry(under("schedule"), 24, 30, lambda: system_clock() + timedelta(days=2), HASHER).run_once()
    with owner.reading() as tx:
        query = text("SELECT profile_id, state FROM exports ORDER BY profile_id")
        rows = [tuple(row) for row in tx.connection.execute(query)]
    assert rows == [("", "deleted"), ("p-export", "deleted"), ("p-export-3", "deleted")]
    with pytest.raises(ProgrammingError), under("service").transaction() as tx:
        tx.exports.set("x" * 32, finished_at=system_clock())
    owner.close()


def test_softened_pictures_are_asked_for_expire_and_go_with_the_image(under, database):
    owner, now = Catalogue(database), system_clock()
    names = ["b1" * 16, "b2" * 16, "b3" * 16]
    image_ids = [hashlib.sha256(name.encode()).hexdigest()[:32] for name in names]
    for number, name in enumerate(names):
        rendition_of(owner, f"p-review-{number}", name)
    placing = PlaceTakedowns(under("service"), None, UploadSettings(), lambda: 48.0, system_clock, per_hour=2)
    notice = placing.of_image(image_ids[0], Notice("other", "r"), actor="t").takedown_id
    with owner.transaction() as tx:
        tx.takedowns.set(notice, state=takedowns.IN_FORCE)
        for image_id in image_ids:
            tx.takedown_matches.add(image_id, [(takedowns.LIST, notice, 1)], now)
    asking = ReviewSoftened(under("service"), None, system_clock)
    assert len(asking.ask(notice, actor="t").waiting) == 3
    DeletePictures(under("operator"), system_clock).image(image_ids[1], actor="t")
    DeletePictures(under("service"), system_clock).image(image_ids[2], actor="t")
    with owner.reading() as tx:
        assert [row.image_id for row in tx.takedown_reviews.of_notice(notice)] == [image_ids[0]]
    Expiry(under("schedule"), 24, 30, lambda: system_clock() + timedelta(hours=2), HASHER).run_once()
    with owner.reading() as tx:
        assert tx.takedown_reviews.of_notice(notice) == []
        (row,) = tx.connection.execute(
            text("SELECT review_id FROM takedown_reviews WHERE image_id = :i"), {"i": image_ids[0]}
        )
    with under("worker").transaction() as tx:
        tx.takedown_reviews.set(row.review_id, made_at=now)
        tx.events.add_about_notice(notice, now, kind=SET_ASIDE)
        tx.takedown_reviews.drop(row.review_id)
    with pytest.raises(ProgrammingError), under("service").transaction() as tx:
        tx.takedown_reviews.set("x" * 32, made_at=now)
    owner.close()
