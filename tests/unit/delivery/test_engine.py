"""The engine decides from whatever views it is given: it counts, limits and reports alike for every caller."""

from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit

import pytest

from nightlight.policy.compile import compile_folder
from nightlight_core.decisions.abuse_signals import CANARY, MANY_PROFILES, AbuseSignal, AbuseSignalBuffer
from nightlight_core.decisions.answers import AnswerBuilder
from nightlight_core.decisions.engine import DecisionEngine, DecisionRequest, FoundViews, blocked_by
from nightlight_core.decisions.profile_views import AvailableRendition, ProfileView
from nightlight_core.decisions.quotas import InProcess, Limits, Requester
from nightlight_core.decisions.rate_limiter import RateLimiter
from nightlight_core.decisions.relation_resolver import Claim, RelationResolver
from nightlight_core.decisions.url_signing import HmacUrlSigner, RingDayKeys
from nightlight_core.errors import InvalidInput, QuotasUnavailable
from nightlight_core.keyring import KeyRing
from nightlight_core.policy.table import Table
from tests.support.stacks import ROOT

NOW = 1_800_000_000
PLACEHOLDER = "/a/placeholder.webp"
RECIPES = {name: recipe.pixels for name, recipe in compile_folder(ROOT / "policies").table.tiers.items()}


class Quotas:
    """Quotas that do not answer."""

    in_process = True

    def allow(self, *_args, **_named):
        raise QuotasUnavailable("away")


class Tallies:
    def __init__(self):
        self.counted = []

    def count(self, answers):
        self.counted += answers


class Signals(AbuseSignalBuffer):
    def __init__(self):
        super().__init__(most=10)
        self.unavailable = []

    def quotas_unavailable(self, pictures, detail):
        self.unavailable.append((pictures, detail))


class Views:
    """A source that knows these views, or cannot tell."""

    def __init__(self, *views, strangers_only=False):
        self.views, self.strangers_only, self.asked = views, strangers_only, []

    def find(self, viewer_id, profile_ids):
        self.asked.append((viewer_id, profile_ids))
        if not self.views:
            return None
        return FoundViews(self.views, blocked_by(viewer_id, self.views), self.strangers_only)


@pytest.fixture(scope="module")
def policy():
    table = compile_folder(ROOT / "policies").table
    return SimpleNamespace(
        table=table, table_for=lambda _: table, earlier_for=lambda _: None, tally=lambda *_: ("cell", None)
    )


def engine(quotas=None, profiles_per_hour=1000):
    builder = AnswerBuilder(HmacUrlSigner(KeyRing({"k1": bytes(32)}), ""), bytes(32), PLACEHOLDER, 300)
    relations = RelationResolver({}, None, 5, vouches=True)
    limiter = RateLimiter(quotas or InProcess(Limits(10**6, 10**6)), profiles_per_hour)
    return DecisionEngine(builder, relations, limiter, Signals(), Tallies(), lambda: NOW + 0.5)


def view(profile_id="p", **changes):
    available = {
        tier: (AvailableRendition(f"/a/{tier}.webp", recipe.edge, recipe),) for tier, recipe in RECIPES.items()
    }
    fields = {
        "known": True,
        "band": "age_13_15",
        "band_expires_at": NOW + 10**6,
        "assurance": "verified",
        "region": "eu",
        "choice": "connections",
    }
    fields |= {"report_flag": "clear", "image_id": "i" * 32, "available": available, **changes}
    return ProfileView(profile_id, **fields)


def request(*claims, viewer="peer", context="profile", viewer_id="v", at_most=None):
    requester = Requester(viewer_id, "net", "t")
    return DecisionRequest(viewer, context, [Claim(*claim) for claim in claims], requester, at_most)


def paths(decisions):
    return [decision.url.split("?")[0] for decision in decisions]


def test_after_a_key_has_changed_nobody_sees_of_whom_an_answer_was_kept(policy):
    """A profile that was written since is answered anew at once; so are all others."""
    ring = RingDayKeys(KeyRing({"k1": bytes(32)}))
    builder = AnswerBuilder(HmacUrlSigner(ring, ""), bytes(32), PLACEHOLDER, 300)

    def keys_of(*views):
        answers = builder.answers(policy, "peer", "profile", views, ["connection"] * len(views), now=NOW)
        return [parse_qs(urlsplit(answer.decisions[0].url).query)["k"][0] for answer in answers]

    kept, written = view("kept"), view("written")
    assert keys_of(kept, written) == ["k1", "k1"]
    ring.use(KeyRing({"k2": bytes([2]) * 32, "k1": bytes(32)}))
    builder.renew()
    rewritten = view("written", choice="everyone")
    builder.answer_again(written, rewritten, now=NOW)
    assert keys_of(kept, rewritten) == ["k2", "k2"]


def test_a_source_that_cannot_tell_leaves_no_trace(policy):
    decides, source = engine(), Views()
    assert decides.decide(policy, request(("p", "stranger")), source) is None
    assert decides.explain(policy, request(("p", "stranger")), source) is None
    assert source.asked == [("v", ["p"])] * 2
    assert decides.tallies.counted == []


@pytest.mark.parametrize("change", [{"viewer": "friend"}, {"context": "nowhere"}])
def test_words_are_checked_before_views_are_looked_for(policy, change):
    source = Views(view())
    for call in (engine().decide, engine().explain):
        with pytest.raises(InvalidInput):
            call(policy, request(("p", "stranger"), **change), source)
        with pytest.raises(InvalidInput):
            call(policy, request(*[("p", "stranger")] * 501), source)
    assert source.asked == []


def test_relations_that_may_be_out_of_date_make_strangers_of_all_but_the_blocked(policy):
    blocking = view("q", blocked=frozenset({"v"}))
    claims = ("p", "connection"), ("q", "connection"), ("p", "blocked")
    asked = request(*claims)
    fresh, stale = Views(view(), blocking, view()), Views(view(), blocking, view(), strangers_only=True)
    connection, blocked, own_word = paths(engine().decide(policy, asked, fresh))
    stranger = paths(engine().decide(policy, request(("p", "stranger")), Views(view())))[0]
    assert connection != stranger
    assert blocked == PLACEHOLDER
    assert paths(engine().decide(policy, asked, stale)) == [stranger, PLACEHOLDER, own_word]
    explained = engine().explain(policy, asked, stale)
    assert [item.inputs["relation"] for item in explained] == ["stranger", "blocked", "blocked"]
    assert explained[0].claimed == "connection"


def test_everything_is_counted_once_and_explaining_counts_nothing(policy):
    decides = engine()
    decides.decide(policy, request(("p", "stranger"), ("q", "stranger")), Views(view("p"), view("q")))
    decides.explain(policy, request(("p", "stranger")), Views(view()))
    assert [answer.tally for answer in decides.tallies.counted] == [("cell", None)] * 2


def test_while_quotas_do_not_answer_no_picture_is_given_and_that_is_told(policy):
    decides = engine(Quotas())
    (decision,) = decides.decide(policy, request(("p", "stranger")), Views(view()))
    assert (paths([decision]), decision.shows_picture) == ([PLACEHOLDER], False)
    assert decides.signals.unavailable == [(1, "away")]
    assert decides.signals.drain() == []


AGES = ("unknown", "under_13", "age_13_15", "age_16_17", "adult")


def captures(policy, relation, quotas=None, **changes):
    """Return what is said of capture for a viewer of this relation, for a profile of each age."""
    views = [view(age, band=age, **changes) for age in AGES]
    asked = request(*[(age, relation) for age in AGES])
    decisions = engine(quotas).decide(policy, asked, Views(*views))
    return {decision.profile_id: decision.capture for decision in decisions}


def test_outsiders_are_told_the_same_of_capture_for_every_age_and_of_the_placeholder_always(policy):
    forbidden = dict.fromkeys(AGES, "forbid")
    for relation in ("stranger", "mutual", "blocked"):
        assert captures(policy, relation) == forbidden
    assert captures(policy, "stranger", choice="everyone") == {**forbidden, "adult": "allow"}
    for nothing in ({"available": {}}, {"report_flag": "reported"}, {"quotas": Quotas()}):
        assert captures(policy, "connection", choice="everyone", **nothing) == forbidden


def test_contacts_are_told_not_to_capture_minors_and_everybody_may_capture_themselves(policy):
    forbidden = dict.fromkeys(AGES, "forbid")
    assert captures(policy, "self") == dict.fromkeys(AGES, "allow")
    assert captures(policy, "connection") == captures(policy, "guardian") == {**forbidden, "adult": "allow"}
    assert captures(policy, "connection", effective_ceiling="age_16_17") == forbidden


def test_an_explanation_says_what_the_policy_says_of_capture(policy):
    asked = request(("p", "connection"), ("q", "connection"), ("r", "connection"))
    views = Views(view(), view("q", band="adult", available={}), view("r", known=False))
    explained = engine().explain(policy, asked, views)
    assert [(why.capture, why.shows) for why in explained] == [
        ("forbid", "rendition"),
        ("allow", "placeholder"),
        ("forbid", "placeholder"),
    ]


def test_who_asks_for_too_many_profiles_or_for_a_canary_is_noted(policy):
    decides = engine(profiles_per_hour=1)
    canary = Views(view("p", canary=True), view("q"))
    decisions = decides.decide(policy, request(("p", "stranger"), ("q", "stranger")), canary)
    assert paths(decisions) == [PLACEHOLDER] * 2
    assert decides.signals.drain() == [
        AbuseSignal(kind, who, reason)
        for reason in (CANARY, MANY_PROFILES)
        for kind, who in (("viewer", "v"), ("network", "net"))
    ]


def test_nothing_is_asked_of_quotas_for_no_items(policy):
    decides = engine(Quotas())
    nothing = SimpleNamespace(find=lambda *_: FoundViews([], set()))
    assert decides.decide(policy, request(), nothing) == []
    assert decides.signals.unavailable == []


WORDS = ("none", "tiny", "low", "medium", "full")
EDGES = {f"/a/{tier}.webp": recipe.edge for tier, recipe in RECIPES.items()} | {PLACEHOLDER: 0}


@pytest.mark.parametrize("relation", ["self", "connection", "mutual", "stranger", "blocked"])
@pytest.mark.parametrize("band", ["age_13_15", "adult"])
def test_less_may_be_asked_for_than_the_policy_allows_and_never_more(policy, relation, band):
    views = Views(view(band=band, choice="everyone"))

    def edge(at_most=None, of_item=None):
        (path,) = paths(engine().decide(policy, request(("p", relation, None, of_item), at_most=at_most), views))
        return EDGES[path]

    allowed = edge()
    most = {None: 10**6, "none": 0} | {tier: recipe.edge for tier, recipe in RECIPES.items()}
    for at_most in (None, *WORDS):
        for of_item in (None, *WORDS):
            assert edge(at_most, of_item) == min(allowed, most[at_most], most[of_item])


@pytest.mark.parametrize("word", ["", "huge", "Tiny", "tiny ", "0", "x" * 32])
def test_a_tier_that_the_policy_does_not_have_is_refused_with_its_place(policy, word):
    views = Views(view(), view("q"))
    for asked, pointer in (
        (request(("p", "stranger"), ("q", "stranger"), at_most=word), "/at_most"),
        (request(("p", "stranger"), ("q", "stranger", None, word or "x")), "/items/1/at_most"),
    ):
        for decides in (engine().decide, engine().explain):
            with pytest.raises(InvalidInput) as refused:
                decides(policy, asked, views)
            assert refused.value.pointer == pointer


def test_what_binds_is_explained_and_what_was_kept_of_one_is_not_given_for_another(policy):
    views, decides = Views(view()), engine()
    (less,) = decides.explain(policy, request(("p", "self"), at_most="low"), views)
    assert (less.tier, less.rule, less.edge) == ("low", "asked-for-less", RECIPES["low"].edge)
    (as_is,) = decides.explain(policy, request(("p", "self"), at_most="full"), views)
    assert (as_is.tier, as_is.rule == "asked-for-less") == ("full", False)
    (nothing,) = decides.explain(policy, request(("p", "self"), at_most="none"), views)
    assert (nothing.tier, nothing.shows, nothing.capture) == ("none", "placeholder", "forbid")
    asked = (None, "low", None, "tiny", "low")
    shown = [paths(decides.decide(policy, request(("p", "self"), at_most=tier), views))[0] for tier in asked]
    assert shown == ["/a/full.webp", "/a/low.webp", "/a/full.webp", "/a/tiny.webp", "/a/low.webp"]


def test_a_tier_that_a_candidate_gives_nobody_shows_nothing(policy):
    table = policy.table
    without = Table(
        table.attributes,
        table.cells,
        tuple(outcome if outcome.tier != "low" else table.at_most(outcome, "tiny") for outcome in table.outcomes),
        {name: recipe for name, recipe in table.tiers.items() if name != "low"},
    )
    candidate = SimpleNamespace(
        table=table, table_for=lambda _: without, earlier_for=lambda _: None, tally=lambda *_: ("cell", None)
    )
    views = Views(view())
    assert paths(engine().decide(candidate, request(("p", "self"), at_most="low"), views)) == [PLACEHOLDER]
    assert paths(engine().decide(candidate, request(("p", "self"), at_most="tiny"), views)) == ["/a/tiny.webp"]
