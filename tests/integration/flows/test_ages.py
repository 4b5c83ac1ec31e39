"""What a change of age does to pictures that are there: nothing opens without its owner, and no outsider sees it."""

import itertools
import shutil
from types import SimpleNamespace

import pytest

from nightlight.catalogue.profiles import Declaration
from nightlight.delivery.object_names import ObjectNames
from nightlight.delivery.purge import EdgePurge
from nightlight.flows.decisions.change_feed import ChangeFeedPoller
from nightlight.flows.pictures.delete import DeletePictures
from nightlight.flows.pictures.revoke import RotateNames
from nightlight.flows.retention.retention_sweep import Sweep
from nightlight.jobs.runner import JobRunner
from nightlight.policy.compile import compile_pack
from nightlight.policy.load import load
from nightlight_core.decisions.answers import evaluate, shown_renditions
from nightlight_core.decisions.profile_views import ProfileViewCache
from tests.conftest import ROOT

pytestmark = pytest.mark.integration
ADULT, OLDER, YOUNGER, CHILD, UNKNOWN = "adult", "age_16_17", "age_13_15", "under_13", "unknown"
BANDS = (UNKNOWN, CHILD, YOUNGER, OLDER, ADULT)
UPLOAD, LAPSE, SWEEP = "upload", "lapse", "sweep"
OPEN, PROTECTED, LEAST = ("full", "medium"), ("medium", "tiny"), ("tiny", "tiny")


def released(band, assurance="verified"):
    return band, assurance, True


def unvouched(band):
    return band, "none", False


@pytest.fixture
def person(services, request):
    """A profile whose owner chose to be public, where ages alone decide, and what is done to it."""
    return Person(services, f"a-{abs(hash(request.node.nodeid)) % 10**12}")


class Person:
    def __init__(self, services, name, choice="everyone"):
        self.services, self.name, self.choice, self.image = services, name, choice, None
        work = JobRunner(services.catalogue, services.limits, services.clock)
        nothing = SimpleNamespace(space=SimpleNamespace(attributes={}))
        tables = lambda: (services.table,)  # noqa: E731
        self.sweep = Sweep(
            work, DeletePictures(services.catalogue, services.clock), lambda: nothing, tables, 30, lambda: 0
        )
        self.rename = RotateNames(
            work, services.renditions, ObjectNames(bytes(32)), EdgePurge(None, token=None, timeout_s=1)
        )
        self.change_feed = ChangeFeedPoller(
            services.catalogue, ProfileViewCache(most=100, stale_s=1), picture_bytes=1, assertion_days=30, poll_s=1
        )

    def do(self, step):
        if step == UPLOAD:
            self.image = self.services.upload(self.name).image_id
            self.deliver()
        elif step == LAPSE:
            self.services.clock.forward(days=31)
        elif step == SWEEP:
            self.sweep._lapse()
        else:
            band, assurance, follow = step if isinstance(step, tuple) else (step, "verified", False)
            declaration = Declaration(band, assurance, "eu", self.choice)
            self.services.declare.declare(self.name, declaration, follow_band=follow, actor="t")

    def deliver(self):
        self.services.relay.run_once()
        sent, self.services.sent[:] = list(self.services.sent), []
        run = {"nightlight.render": self.services.render.run, "nightlight.rotate_names": self.rename.run}
        return [run[task](job_id, redelivered=False) for task, job_id in sent if task in run]

    def given(self, relation, viewer="peer", context="profile"):
        """The tier that a viewer is given, and the paths of its renditions that are available."""
        (view,) = self.change_feed.read([self.name])
        policy = SimpleNamespace(
            table=self.services.table, table_for=lambda _: self.services.table, earlier_for=lambda _: None
        )
        evaluation = evaluate(policy, (viewer, context, relation), view, int(self.services.clock().timestamp()))
        paths = [rendition.path for rendition in shown_renditions(policy, evaluation, view)]
        return evaluation.outcome.tier, paths

    def seen(self):
        return self.given("connection")[0], self.given("stranger")[0]


HISTORIES = {
    "an adult, corrected to a minor, then an adult": ([ADULT, UPLOAD, YOUNGER, ADULT], PROTECTED),
    "the same, and the owner's word": ([ADULT, UPLOAD, YOUNGER, ADULT, released(ADULT)], OPEN),
    "corrected before it was rendered": ([ADULT, UPLOAD, CHILD, ADULT], LEAST),
    "a release before the birthday": ([OLDER, UPLOAD, released(OLDER), ADULT], PROTECTED),
    "a release on the birthday": ([OLDER, UPLOAD, released(ADULT)], OPEN),
    "a release at the birthday, said again without it": ([OLDER, UPLOAD, released(ADULT), ADULT, ADULT], OPEN),
    "a release that a correction takes back": ([OLDER, UPLOAD, released(ADULT), OLDER, ADULT], PROTECTED),
    "one taken back, to the youngest of before": ([CHILD, UPLOAD, released(ADULT), OLDER, ADULT], LEAST),
    "one of another step taken back": ([CHILD, UPLOAD, released(OLDER), released(ADULT), OLDER], LEAST),
    "a release step by step": ([CHILD, UPLOAD, released(YOUNGER), OLDER, released(ADULT)], OPEN),
    "one at a step counts up to it": ([CHILD, UPLOAD, released(YOUNGER), ADULT], PROTECTED),
    "a correction and a release in one": ([ADULT, UPLOAD, released(YOUNGER), ADULT], PROTECTED),
    "a release that nobody vouches for": ([OLDER, UPLOAD, released(ADULT, "none"), ADULT], PROTECTED),
    "a release at an unknown age": ([OLDER, UPLOAD, released(UNKNOWN), ADULT], LEAST),
    "an adult by their own word alone": ([(ADULT, "self_declared", False), UPLOAD], ("full", "tiny")),
    "the same, assured afterwards": ([(ADULT, "self_declared", False), UPLOAD, ADULT], OPEN),
    "an adult who is assured no more": ([ADULT, UPLOAD, (ADULT, "self_declared", False)], ("full", "tiny")),
    "an estimate": ([ADULT, UPLOAD, (ADULT, "estimated", False)], OPEN),
    "a lapse": ([ADULT, UPLOAD, LAPSE, ADULT], OPEN),
    "a lapse, while it lasts": ([ADULT, UPLOAD, LAPSE], LEAST),
    "a lapse that was swept": ([ADULT, UPLOAD, LAPSE, SWEEP, ADULT], OPEN),
    "a lapse of a minor, then an adult": ([OLDER, UPLOAD, LAPSE, SWEEP, ADULT], PROTECTED),
    "a lapse after a release": ([OLDER, UPLOAD, released(ADULT), LAPSE, SWEEP, ADULT], OPEN),
    "a correction after a lapse": ([ADULT, UPLOAD, LAPSE, SWEEP, YOUNGER, ADULT], PROTECTED),
    "a correction after a release and a lapse": (
        [OLDER, UPLOAD, released(ADULT), LAPSE, SWEEP, OLDER, ADULT],
        PROTECTED,
    ),
    "an upload during a lapse": ([ADULT, LAPSE, SWEEP, UPLOAD, ADULT], OPEN),
    "an upload during a minor's lapse": ([OLDER, LAPSE, SWEEP, UPLOAD, ADULT], PROTECTED),
    "an upload that nobody vouches for": ([unvouched(ADULT), UPLOAD, ADULT], LEAST),
    "nobody vouches for a while": ([ADULT, UPLOAD, unvouched(ADULT), ADULT], OPEN),
    "a correction that nobody vouches for": ([ADULT, UPLOAD, unvouched(YOUNGER), ADULT], PROTECTED),
    "asserted to be unknown": ([ADULT, UPLOAD, UNKNOWN, ADULT], LEAST),
    "a picture from after the correction": ([ADULT, YOUNGER, ADULT, UPLOAD], OPEN),
    "growing up without a word": ([CHILD, UPLOAD, YOUNGER, OLDER, ADULT], LEAST),
}


@pytest.mark.parametrize("history", HISTORIES)
def test_nothing_opens_but_by_its_owners_word_at_the_new_age(person, history):
    steps, wanted = HISTORIES[history]
    for step in steps:
        person.do(step)
    assert person.seen() == wanted


def test_a_correction_counts_for_what_is_being_received_or_rendered(person):
    person.do(ADULT)
    person.services.upload(person.name)  # accepted, and not yet rendered
    drawing = person.services.draw

    def corrected_meanwhile(*asked):
        person.do(YOUNGER)
        return drawing(*asked)

    person.services.draw = corrected_meanwhile
    assert person.deliver() == ["ready"]
    person.services.draw = drawing
    person.do(ADULT)
    assert person.seen() == PROTECTED


def test_a_band_that_the_vocabulary_lost_shows_nothing(person, monkeypatch):
    person.do(OLDER)
    person.do(UPLOAD)
    with person.services.catalogue.transaction() as tx:
        tx.images.lower_ceiling(person.name, "age_17", looser=(OLDER,))
    person.do(ADULT)
    assert person.seen() == ("none", "none")


@pytest.mark.parametrize(("first", "then"), list(itertools.permutations(BANDS, 2)))
def test_no_change_of_age_is_seen_by_an_outsider_whose_picture_stays_what_it_was(services, first, then, request):
    person = Person(services, f"o-{abs(hash(request.node.nodeid)) % 10**12}", choice="connections")
    watched = list(itertools.product(("stranger", "mutual"), ("peer", "adult", "unverified"), ("profile", "list")))
    for step in (first, UPLOAD):
        person.do(step)
    before = [person.given(*viewer) for viewer in watched]
    assert {(tier, len(paths)) for tier, paths in before} == {("tiny", 1)}
    # Corrected, asserted again, lapsed, swept, released: there is no moment at which it is another, or none.
    for step in (then, then, first, released(then), LAPSE, SWEEP, then, unvouched(then), then):
        person.do(step)
        assert [person.given(*viewer) for viewer in watched] == before, step
        person.deliver()
        assert [person.given(*viewer) for viewer in watched] == before, step


def test_what_is_taken_from_connections_gets_another_name_and_is_not_shown_before(person):
    person.do(released(ADULT))
    person.do(UPLOAD)
    tier, (full,) = person.given("connection")
    assert tier == "full"
    public = person.given("stranger")
    assert public[0] == "medium"
    person.do(OLDER)
    assert person.given("connection")[0] == "medium"
    tier, meanwhile = person.given("self")
    assert tier == "full"
    assert meanwhile not in ([full], public[1], [])  # the owner waits for the new name, and sees a lower tier till then
    assert person.deliver() == ["rotated"]
    assert person.given("self")[1] != [full]
    assert len(person.given("self")[1]) == 1
    assert person.given("connection")[1] != public[1]  # strangers may not keep it
    assert person.given("stranger")[0] == "tiny"


def test_a_lapse_takes_what_an_adult_s_connections_had_and_nothing_else(services, request):
    person = Person(services, f"l-{abs(hash(request.node.nodeid)) % 10**12}", choice="connections")
    for step in (ADULT, UPLOAD):
        person.do(step)
    before = {relation: person.given(relation) for relation in ("self", "stranger")}
    for step in (LAPSE, SWEEP):
        person.do(step)
    assert set(person.deliver()) == {"rotated"}  # the sweep lapses profiles of other tests too
    assert person.given("stranger") == before["stranger"]
    assert person.given("self")[1] != before["self"][1]
    assert person.given("connection") == ("tiny", before["stranger"][1])


def test_what_an_earlier_policy_gave_is_taken_too_and_nothing_that_outsiders_have(person, tmp_path):
    """A policy that only closes came in between; URLs of the one before may work for a day."""
    person.do(released(ADULT))
    person.do(UPLOAD)
    medium = person.given("stranger")
    assert medium[0] == "medium"
    shutil.copytree(ROOT / "policies", tmp_path / "p", ignore=shutil.ignore_patterns("cases"))
    rules = (tmp_path / "p/rules.yaml").read_text()
    public = "when: {relation: outsider}\n    at_most: {tier: medium,"
    assert rules.count(public) == 1
    (tmp_path / "p/rules.yaml").write_text(rules.replace(public, public.replace("medium", "low")))
    before, person.services.table = person.services.table, compile_pack(load(tmp_path / "p")).table
    object.__setattr__(person.services.declare, "earlier", lambda: (before,))
    assert person.given("stranger")[0] == "low"
    person.do(OLDER)
    with person.services.catalogue.reading() as tx:
        revoked = tx.revocations.names()
        tiers = {row.tier for row in tx.images.renditions(person.image) if row.name in revoked}
    assert tiers >= {"medium", "low"}
    assert "tiny" not in tiers


@pytest.mark.parametrize("asserted", [ADULT, YOUNGER])
def test_what_nobody_asserted_lapses_unseen_whatever_was_said(services, asserted, request):
    """Read as unknown all along, so that nothing is taken from anybody on the day of the lapse."""
    person = Person(services, f"u-{abs(hash(request.node.nodeid)) % 10**12}")
    for step in (ADULT, UPLOAD, unvouched(asserted)):
        person.do(step)
    person.deliver()
    before = person.given("stranger")
    for step in (LAPSE, SWEEP):
        person.do(step)
        assert person.given("stranger") == before
    assert person.deliver() == []
