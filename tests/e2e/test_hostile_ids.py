"""Ids that are made to lead elsewhere: every method of every client, against a running service that has a victim."""

import asyncio
import inspect
from urllib.parse import quote

import httpx
import pytest
from sqlalchemy import select

from nightlight.catalogue.matching_schema import trace_jobs
from nightlight.catalogue.schema import audit, blocks, canaries, images, profiles
from nightlight.cli import key_commands
from nightlight_client import AsyncNightlightClient, NightlightClient, NightlightError
from nightlight_client.errors import InvalidId
from tests.support import pictures
from tests.support.hostile_ids import IDS, NOT_IDS, ODD_IDS, VERSIONS
from tests.support.waiting import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.integration]

GOOD = {
    "profile_id": "other", "viewer_id": "somebody", "image_id": "0" * 32, "trace_id": "0" * 32, "version": 1,
    "report_flag": "reported", "picture": b"x", "copy": b"x", "timeout_s": 0.1, "bundle": b"x", "permille": 0,
    "takedown_id": "0" * 32, "review_id": "0" * 32, "kind": "other", "reference": "case", "why": "wrong",
}  # fmt: skip
IDENTIFIERS = {
    "profile_id": NOT_IDS, "viewer_id": NOT_IDS, "image_id": IDS, "trace_id": IDS, "takedown_id": IDS, "review_id": IDS, "version": VERSIONS,
}  # fmt: skip
# Methods that take ids in another way: each has a test of its own below, or takes none.
APART = {"decide", "explain", "views", "fetch", "report", "feed", "policy_counters", "policy_bundle", "trace"}
NO_IDS = {
    "check",
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
def stack_and_client(embedded_stack):
    with embedded_stack.client() as client:
        client.declare("victim", band="adult", assurance="verified")
        client.declare("other", band="adult", assurance="verified")
        client.wait(client.upload("victim", pictures.jpeg(300, 300)).image_id)
        yield embedded_stack, client


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

    send = client._own.send

    def noted(attempt, headers):
        sent.append(attempt.request.target.encode())
        return send(attempt, headers)

    client._own.send = noted
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
                except NightlightError as error:
                    outcomes.append(error)
        return outcomes

    return asyncio.run(go())


def _outcome(call):
    try:
        return call()
    except NightlightError as error:
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
            assert not isinstance(hostile, str) or not 1 <= len(hostile) <= 256 or not _encodes(hostile)
        else:
            assert (answer[0].profile_id, answer[0].fallback) == (hostile, False)
    sent.clear()
    hostile = [hostile_id for hostile_id in NOT_IDS if hostile_id is not None and hostile_id != ""]
    for name in ("viewer_id", "network"):
        outcomes = called(
            stack, kind, sent, [("decide", {**asked, "items": [], name: hostile_id}) for hostile_id in hostile]
        )
        assert all(isinstance(answer, InvalidId) for answer in outcomes)
    assert sent == []


def _encodes(text):
    """Whether JSON can carry a text: not half of a surrogate pair."""
    return text == text.encode(errors="ignore").decode()


def test_hostile_words_elsewhere_touch_nothing(stack_and_client, untouched):
    stack, _ = stack_and_client
    sent = []
    outcomes = called(
        stack, NightlightClient, sent,
        [
            call
            for hostile in IDS
            if isinstance(hostile, str) and _encodes(hostile)
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


def test_odd_ids_reach_their_own_profile_alone(stack_and_client):
    """All that is done to a profile is done to it and to no other, whichever client is told its id, and by raw HTTP."""
    stack, client = stack_and_client
    with httpx.Client(base_url=stack.url, headers={"Authorization": f"Bearer {_token(stack)}"}) as raw:
        for odd in ODD_IDS:
            client.declare(odd, band="adult", assurance="verified")
            client.set_report_flag(odd, "reported")
            client.deactivate(odd)
            client.reactivate(odd)
            client.block(odd, "victim")
            client.unblock(odd, "victim")
            client.block("other", odd)
            # As every byte that has to be is encoded, and as every byte is.
            for path in (quote(odd, safe=""), "".join(f"%{byte:02x}" for byte in odd.encode())):
                request = raw.build_request("POST", "/")
                request.url = request.url.copy_with(raw_path=f"/v1/profiles/{path}/revocations".encode())
                assert raw.send(request).status_code == 204, odd
            (decision,) = client.decide("peer", "list", [(odd, "stranger")], viewer_id=odd)
            assert (decision.profile_id, decision.fallback) == (odd, False)
    with stack.catalogue.reading() as tx:
        live = {odd for odd in ODD_IDS if tx.profiles.get(odd).state == "live"}
        assert (live, tx.profiles.get("victim").state) == (set(ODD_IDS), "live")
        assert tx.profiles.get("victim").report_flag == "clear"
    asyncio.run(_deleted(stack, ODD_IDS))

    def left():
        with stack.catalogue.reading() as tx:
            return [odd for odd in ODD_IDS if tx.profiles.get(odd) is not None]

    eventually(lambda: not left())  # the rows go too
    with stack.catalogue.reading() as tx:
        assert (tx.profiles.get("victim").state, tx.profiles.get("other").state) == ("live", "live")


async def _deleted(stack, profile_ids):
    async with AsyncNightlightClient(stack.url, token=_token(stack)) as client:
        for profile_id in profile_ids:
            await client.delete_profile(profile_id)


def _token(stack):
    return key_commands.token(stack.folder, scopes=None, subject="odd", hours=1)


def test_the_service_itself_takes_no_id_in_disguise(stack_and_client, untouched):
    """Whatever a client of another make sends: paths as they are, and paths that are encoded once or twice."""
    stack, _ = stack_and_client
    with httpx.Client(base_url=stack.url, headers={"Authorization": f"Bearer {_token(stack)}"}) as raw:
        for hostile in ("..", "%2e%2e", ".%2E", "victim%00", "victim%0A", "victim%E2%80%8B", "%ED%A0%80", "%ff",
                        "%C0%AE%C0%AE", "v" * 257, "%E2%80%AEvictim", ""):  # fmt: skip
            for method, path in (
                ("DELETE", f"/v1/profiles/{hostile}"), ("POST", f"/v1/profiles/{hostile}/revocations"),
                ("DELETE", f"/v1/blocks/{hostile}/victim"), ("DELETE", f"/v1/images/{hostile}"),
                ("DELETE", f"/v1/traces/{hostile}"),
            ):  # fmt: skip
                request = raw.build_request(method, "/")
                request.url = request.url.copy_with(raw_path=path.encode())
                assert raw.send(request).status_code in {404, 405, 422}, (method, path)


@pytest.mark.parametrize(
    "encoded", ["victim%2Fimage", "victim%2fdeactivation", "zz%2F..%2Fvictim", "%2Fvictim", "victim%2F"]
)
def test_an_encoded_slash_is_a_part_of_an_id_and_no_step_to_another_route(stack_and_client, untouched, encoded):
    stack, _ = stack_and_client
    with httpx.Client(base_url=stack.url, headers={"Authorization": f"Bearer {_token(stack)}"}) as raw:
        for method, path in (("DELETE", f"/v1/profiles/{encoded}"), ("PUT", f"/v1/profiles/{encoded}/deactivation")):
            request = raw.build_request(method, "/")
            request.url = request.url.copy_with(raw_path=path.encode())
            assert raw.send(request).status_code in {204, 404}, path
