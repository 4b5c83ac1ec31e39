"""Ids that are made to lead elsewhere: every method of every client, against a running service that has a victim."""

import asyncio
import inspect

import httpx
import pytest
from sqlalchemy import select

from nightlight.catalogue.matching_schema import trace_jobs
from nightlight.catalogue.schema import audit, blocks, canaries, images, profiles
from nightlight.cli import key_commands
from nightlight_client import AsyncNightlightClient, NightlightClient, Problem
from nightlight_client.models import InvalidId
from tests.support import pictures
from tests.support.hostile_ids import IDS, VERSIONS
from tests.support.stacks import Embedded

pytestmark = [pytest.mark.e2e, pytest.mark.integration]

GOOD = {
    "profile_id": "other", "viewer_id": "somebody", "image_id": "0" * 32, "trace_id": "0" * 32, "version": 1,
    "report_flag": "reported", "picture": b"x", "copy": b"x", "timeout_s": 0.1, "bundle": b"x", "permille": 0,
}  # fmt: skip
IDENTIFIERS = {"profile_id": IDS, "viewer_id": IDS, "image_id": IDS, "trace_id": IDS, "version": VERSIONS}
# Methods that take ids in another way: each has a test of its own below, or takes none.
APART = {"decide", "explain", "views", "fetch", "report", "feed", "policy_counters", "policy_bundle", "trace"}
NO_IDS = {
    "close", "send", "policy_status", "policy_progress", "activate", "candidate", "withdraw_candidate", "emergency",
    "explain_policy", "delegated_keys",
}  # fmt: skip


def methods(client):
    return {name: method for name, method in inspect.getmembers(client, inspect.isfunction) if not name.startswith("_")}


def calls():
    """(client, method, parameter) for each id that a method takes; a method that nobody thought of fails here."""
    cases = []
    for client in (NightlightClient, AsyncNightlightClient):
        for name, method in methods(client).items():
            taken = [
                parameter_name
                for parameter_name in inspect.signature(method).parameters
                if parameter_name in IDENTIFIERS
            ]
            assert taken or name in APART | NO_IDS, f"{client.__name__}.{name} takes ids that no test here tries"
            cases += [(client, name, parameter_name) for parameter_name in taken if name not in APART]
    return cases


@pytest.fixture(scope="module")
def stack_and_client(tmp_path_factory):
    with Embedded(tmp_path_factory.mktemp("hostile")) as stack, stack.client() as client:
        client.declare("victim", band="adult", assurance="verified")
        client.declare("other", band="adult", assurance="verified")
        client.wait(client.upload("victim", pictures.jpeg(300, 300)).image_id)
        yield stack, client


@pytest.fixture
def untouched(stack_and_client):
    """Whatever a test does, the tables are as they were."""
    stack, _ = stack_and_client

    def rows():
        kept = (profiles, images, blocks, canaries, trace_jobs, audit)
        with stack.catalogue.engine.connect() as connection:
            return {table.name: connection.execute(select(table)).all() for table in kept}

    before = rows()
    yield
    assert rows() == before


def opened(stack, kind, sent):
    token = key_commands.token(stack.folder, scopes=None, subject="hostile", hours=1)
    client = kind(stack.url, token=token, relation_keys=key_commands.relation_keys(stack.folder))

    def note(request):
        sent.append(request.url.raw_path)

    async def note_later(request):
        note(request)

    client._transport.http.event_hooks["request"].append(note_later if kind is AsyncNightlightClient else note)
    return client


def called(stack, kind, sent, calls_):
    """What (method, arguments) return or raise, one after another, of one client; what is sent is put on ``sent``."""
    client = opened(stack, kind, sent)
    if kind is NightlightClient:
        with client:
            return [_outcome(lambda call=call: getattr(client, call[0])(**call[1])) for call in calls_]

    async def go():
        outcomes = []
        async with client:
            for name, arguments in calls_:
                try:
                    outcomes.append(await getattr(client, name)(**arguments))
                except (Problem, httpx.HTTPError, httpx.InvalidURL) as error:
                    outcomes.append(error)
        return outcomes

    return asyncio.run(go())


def _outcome(call):
    try:
        return call()
    except (Problem, httpx.HTTPError, httpx.InvalidURL) as error:
        return error


@pytest.mark.parametrize(
    ("kind", "name", "parameter"), calls(), ids=lambda value: value if isinstance(value, str) else value.__name__
)
def test_an_id_that_the_service_would_refuse_is_sent_nowhere(stack_and_client, untouched, kind, name, parameter):
    stack, _ = stack_and_client
    sent = []
    required = {
        parameter_name: GOOD.get(parameter_name)
        for parameter_name, parameter_kind in inspect.signature(getattr(kind, name)).parameters.items()
        if parameter_name != "self"
        and parameter_kind.default is parameter_kind.empty
        and parameter_kind.kind is not parameter_kind.VAR_KEYWORD
    }
    words = {"band": "adult", "assurance": "verified"} if name == "declare" else {}
    hostile = IDENTIFIERS[parameter]
    outcomes = called(
        stack, kind, sent, [(name, {**required, **words, parameter: hostile_id}) for hostile_id in hostile]
    )
    assert [
        hostile_id for hostile_id, answer in zip(hostile, outcomes, strict=True) if not isinstance(answer, InvalidId)
    ] == []
    assert sent == []


@pytest.mark.parametrize("kind", [NightlightClient, AsyncNightlightClient])
def test_hostile_ids_in_a_question_are_answered_or_refused_and_touch_nothing(stack_and_client, untouched, kind):
    stack, _ = stack_and_client
    sent = []
    asked = {"viewer": "peer", "context": "list", "viewer_id": "me", "budget_s": 5.0}
    outcomes = called(
        stack, kind, sent, [("decide", {**asked, "items": [(hostile_id, "connection")]}) for hostile_id in IDS]
    )
    for hostile, answer in zip(IDS, outcomes, strict=True):
        if isinstance(answer, InvalidId):
            assert not isinstance(hostile, str) or not 1 <= len(hostile) <= 128 or "\ud800" in hostile
        else:
            assert (answer[0].profile_id, answer[0].fallback) == (hostile, False)
    sent.clear()
    hostile = [hostile_id for hostile_id in IDS if hostile_id is not None and hostile_id != ""]
    for name in ("viewer_id", "network"):
        outcomes = called(
            stack, kind, sent, [("decide", {**asked, "items": [], name: hostile_id}) for hostile_id in hostile]
        )
        assert all(isinstance(answer, InvalidId) for answer in outcomes)
    assert sent == []


def test_hostile_words_elsewhere_touch_nothing(stack_and_client, untouched):
    stack, _ = stack_and_client
    sent = []
    outcomes = called(
        stack, NightlightClient, sent,
        [
            call
            for hostile in IDS
            if isinstance(hostile, str) and "\ud800" not in hostile
            for call in (
                ("views", {"profile_ids": [hostile]}),
                ("feed", {"after": hostile}),
                ("policy_counters", {"days": hostile}),
                ("explain", {"viewer": "peer", "context": "list", "items": [(hostile, "connection")], "viewer_id": "me"}),
                ("report", {"counts": {hostile: 1}, "abuse_signals": []}),
                ("explain_policy", {"given": {"region": hostile}}),
                ("set_report_flag", {"profile_id": "other", "report_flag": hostile}),
            )
        ],
    )  # fmt: skip
    assert len(outcomes) > 200
    allowed = ("/v1/feed", "/v1/policy/counters", "/v1/policy/explain", "/v1/explain", "/v1/profiles/other/report-flag")
    assert {path.split(b"?")[0].decode() for path in sent} <= {*allowed, "/v1/feed/profiles", "/v1/feed/report"}


@pytest.mark.parametrize("kind", [NightlightClient, AsyncNightlightClient])
def test_an_idempotency_key_that_no_header_can_carry_is_sent_nowhere(stack_and_client, untouched, kind):
    stack, _ = stack_and_client
    sent = []
    hostile = ["", "a\nb", "a\r\nX: y", "k" * 201, "k" * 10_000, "\u00e9", "\x00", " a", 7, b"k"]
    arguments = {"profile_id": "other", "picture": b"x"}
    outcomes = called(stack, kind, sent, [("upload", {**arguments, "idempotency_key": key}) for key in hostile])
    assert all(isinstance(answer, InvalidId) for answer in outcomes)
    assert sent == []


@pytest.mark.parametrize("good", ["a", "A1._~-", "v" * 128, "9", "a..b", "a.-~_"])
def test_ids_that_are_good_reach_their_own_profile(stack_and_client, good):
    stack, client = stack_and_client
    client.declare(good, band="adult", assurance="verified")
    with stack.catalogue.reading() as tx:
        assert tx.profiles.get(good).state == "live"
    client.block(good, good[:-1] + "z")
    client.unblock(good, good[:-1] + "z")
    client.revoke(good)
    client.delete_profile(good)
    with stack.catalogue.reading() as tx:
        assert tx.profiles.get(good).state == "deleted"
        assert tx.profiles.get("victim").state == "live"


def test_the_service_itself_takes_no_id_in_disguise(stack_and_client, untouched):
    """Whatever a client of another make sends: paths as they are, and paths that are encoded once or twice."""
    stack, _ = stack_and_client
    token = key_commands.token(stack.folder, scopes=None, subject="raw", hours=1)
    with httpx.Client(base_url=stack.url, headers={"Authorization": f"Bearer {token}"}) as raw:
        for hostile in ("zz%2F..%2Fvictim", "%2e%2e%2fprofiles%2fvictim", "victim%2F", "victim%00", "victim%0A", "%20victim",
                        "zz%252F..%252Fvictim", "victim%23", "victim%3Fx", "victim;x"):  # fmt: skip
            for method, path in (
                ("DELETE", f"/v1/profiles/{hostile}"), ("POST", f"/v1/profiles/{hostile}/revocations"),
                ("DELETE", f"/v1/blocks/{hostile}/victim"), ("DELETE", f"/v1/images/{hostile}"),
                ("DELETE", f"/v1/traces/{hostile}"),
            ):  # fmt: skip
                request = raw.build_request(method, "/")
                request.url = request.url.copy_with(raw_path=path.encode())
                assert raw.send(request).status_code in {404, 405, 422}, (method, path)
