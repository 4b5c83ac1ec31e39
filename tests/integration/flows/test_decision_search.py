"""Searches over more accounts than one call looks at, on both databases; and what they leave alone."""

from contextlib import contextmanager
from types import SimpleNamespace

import pytest
from sqlalchemy import event, insert

from bench.profiles import fill
from nightlight.catalogue.schema import blocks, canaries
from nightlight.flows.decisions.change_feed import ChangeFeedPoller
from nightlight.flows.decisions.search import MOST, DecisionSearch, PageBounds
from nightlight.policy.compile import compile_folder
from nightlight_core.clock import system_clock
from nightlight_core.decisions.abuse_signals import AbuseSignalBuffer
from nightlight_core.decisions.answers import AnswerBuilder
from nightlight_core.decisions.engine import DecisionEngine
from nightlight_core.decisions.profile_views import ProfileViewCache
from nightlight_core.decisions.quotas import Requester
from nightlight_core.decisions.rate_limiter import RateLimiter
from nightlight_core.decisions.relation_resolver import Claim, RelationResolver
from nightlight_core.decisions.url_signing import HmacUrlSigner
from nightlight_core.errors import CatalogueUnavailable, InvalidInput
from nightlight_core.keyring import KeyRing
from tests.support.databases import catalogue_on
from tests.support.stacks import ROOT

pytestmark = pytest.mark.integration

COUNT = 2 * MOST + 203
CANARY, BLOCKED, CELEBRITY = "p-7", "p-11", "p-13"
EVERYBODY = {f"p-{number}" for number in range(COUNT)} - {CANARY}


class _Nothing:
    """Fails whoever takes of quotas or counts."""

    in_process = True

    def allow(self, *_args, **_named):
        pytest.fail("a search took of quotas")

    def count(self, *_):
        pytest.fail("a search was counted")


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def catalogue(request, tmp_path_factory):
    with catalogue_on(request.param, tmp_path_factory.mktemp("search")) as opened:
        fill(opened, COUNT, compile_folder(ROOT / "policies").table.tiers)
        now = system_clock()
        with opened.engine.begin() as connection:
            connection.execute(insert(canaries).values(profile_id=CANARY, created_at=now))
            rows = [{"profile_id": BLOCKED, "viewer_id": "p-1", "created_at": now}]
            # More than are kept in memory: these are asked for.
            rows += [{"profile_id": CELEBRITY, "viewer_id": f"p-{n}", "created_at": now} for n in range(20, COUNT, 1)]
            connection.execute(insert(blocks), rows)
        yield opened


@pytest.fixture
def search(catalogue):
    table = compile_folder(ROOT / "policies").table
    active = SimpleNamespace(
        table=table, table_for=lambda _: table, earlier_for=lambda _: None, tally=lambda *_: ("cell", None)
    )
    views = ProfileViewCache(most=10**6, stale_s=60)
    feed = ChangeFeedPoller(catalogue, views, picture_bytes=0, assertion_days=30, poll_s=1)
    builder = AnswerBuilder(HmacUrlSigner(KeyRing({"k1": bytes(32)}), ""), bytes(32), "/a/p.webp", 300)
    engine = DecisionEngine(
        builder,
        RelationResolver({}, None, 5),
        RateLimiter(_Nothing(), 1),
        AbuseSignalBuffer(most=10),
        _Nothing(),
        lambda: system_clock().timestamp(),
    )
    return DecisionSearch(SimpleNamespace(current=lambda: active), feed, engine)


def who(viewer_id="p-1"):
    return Requester(viewer_id, None, "t")


def all_pages(find, limit=MOST):
    results, after, pages = [], "", 0
    while after is not None:
        page = find(PageBounds(after, limit))
        assert len(page.ids) <= limit
        results, after, pages = results + page.ids, page.after, pages + 1
    assert len(set(results)) == len(results)
    return results, pages


@contextmanager
def statements(catalogue):
    """The number of statements, as a list of one."""
    count = [0]

    def counted(*_):
        count[0] += 1

    event.listen(catalogue.engine, "before_cursor_execute", counted)
    try:
        yield count
    finally:
        event.remove(catalogue.engine, "before_cursor_execute", counted)


def test_all_profiles_are_found_page_by_page_but_for_canaries_and_who_blocks(search):
    results, pages = all_pages(lambda bounds: search.profiles("adult", "profile", "stranger", who(), bounds))
    assert set(results) == EVERYBODY - {BLOCKED}
    assert pages == 3
    again, pages = all_pages(lambda bounds: search.profiles("adult", "profile", "stranger", who(), bounds), limit=100)
    assert again == results
    assert pages == (len(results) + 99) // 100
    # Nothing of it is kept: whoever is asked for often stays in memory.
    assert len(search.change_feed.views) == 0


def test_where_nothing_is_shown_the_pages_are_empty_and_lead_to_the_end(search):
    assert all_pages(lambda bounds: search.profiles("adult", "export", "stranger", who(), bounds)) == ([], 3)


def test_viewers_are_all_accounts_but_for_the_blocked(search):
    def viewers(profile_id, context="profile"):
        return lambda bounds: search.viewers("adult", context, Claim(profile_id, "stranger"), who(None), bounds)

    assert set(all_pages(viewers("p-2"))[0]) == EVERYBODY
    assert set(all_pages(viewers(BLOCKED))[0]) == EVERYBODY - {"p-1"}
    assert set(all_pages(viewers(CELEBRITY))[0]) == {f"p-{number}" for number in range(20)} - {CANARY}
    for nobody in (CANARY, "not-there", "a\x00b", ""):
        assert all_pages(viewers(nobody)) == ([], 1)
    assert all_pages(viewers("p-2", "export")) == ([], 1)


def test_a_claim_of_more_than_a_stranger_finds_no_more_viewers(search):
    claim = Claim("p-2", "self", "a proof of one viewer")
    assert search.viewers("adult", "export", claim, who(None), PageBounds("", MOST)).ids == []


def test_who_is_no_account_finds_nothing(search):
    for viewer_id in (CANARY, "not-there", ".."):
        assert search.profiles("adult", "profile", "stranger", who(viewer_id), PageBounds("", MOST)) == ([], None)
        assert search.contexts("adult", ["profile"], Claim("p-2", "stranger"), who(viewer_id)) == set()
    assert search.contexts("adult", ["profile", "export", "list"], Claim("p-2", "stranger"), who()) == {
        "profile",
        "list",
    }
    assert search.contexts("adult", ["profile"], Claim(CANARY, "stranger"), who()) == set()
    assert search.contexts("adult", ["profile"], Claim(BLOCKED, "stranger"), who()) == set()


def test_words_that_the_policy_does_not_know_are_refused_whoever_asks(search):
    for viewer_id in ("p-1", "not-there"):
        with pytest.raises(InvalidInput):
            search.profiles("friend", "profile", "stranger", who(viewer_id), PageBounds("", MOST))
        with pytest.raises(InvalidInput):
            search.contexts("adult", ["moon"], Claim("p-2", "stranger"), who(viewer_id))


def test_a_page_takes_a_few_statements_whatever_is_found(search, catalogue):
    counts = set()
    for context in ("profile", "export"):
        for profile_id in ("p-2", "not-there"):
            search.change_feed.poll()
            with statements(catalogue) as count:
                search.profiles("adult", context, "stranger", who(), PageBounds("", MOST))
                search.viewers("adult", "profile", Claim(profile_id, "stranger"), who(None), PageBounds("", MOST))
            counts.add(count[0])
    assert max(counts) <= 16  # on SQLite every reading is two


def test_without_the_catalogue_there_is_no_answer_rather_than_an_empty_one(search, catalogue, monkeypatch):
    @contextmanager
    def away(**_):
        raise CatalogueUnavailable
        yield

    monkeypatch.setattr(catalogue, "reading", away)
    for find in (
        lambda: search.profiles("adult", "profile", "stranger", who(), PageBounds("", MOST)),
        lambda: search.viewers("adult", "profile", Claim("p-2", "stranger"), who(None), PageBounds("", MOST)),
        lambda: search.contexts("adult", ["profile"], Claim("p-2", "stranger"), who()),
    ):
        with pytest.raises(CatalogueUnavailable):
            find()
