"""AuthZEN's certification scenarios (github.com/openid/authzen, certification/), in Nightlight's words.

The fixture is the one that the scenarios ask for, as far as identifiers go: users `alice` and `bob`, records `record-1`
and `record-2`, actions `read` and `write`. SETTINGS make users viewers, records profiles, and actions places. A policy of
Nightlight has closed lists of words, so that its `properties` are its own: `viewer` and `relation` stand for `role` and
`status`, and there is nothing for `soft`. LEVEL says which scenarios differ so.

python -m tests.support.authzen_scenarios --write      write the table into docs/api/authzen.md
"""

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[2] / "docs/api/authzen.md"
BEGIN, END = "<!-- scenarios: made by tests/support/authzen_scenarios.py -->", "<!-- scenarios end -->"

PUBLIC_URL = "https://pdp.example.com"
SETTINGS = {
    "NIGHTLIGHT_SERVICE_PUBLIC_URL": PUBLIC_URL,
    "NIGHTLIGHT_AUTHZEN_SUBJECT_TYPES": json.dumps({"user": "adult", "guest": "signed_out"}),
    "NIGHTLIGHT_AUTHZEN_RESOURCE_TYPES": json.dumps({"record": "connection"}),
    "NIGHTLIGHT_AUTHZEN_ACTIONS": json.dumps({"read": "profile", "write": "export"}),
}
# The platform's social graph, as its callback answers: (viewer, profile) of connections.
CONNECTIONS = {("alice", "record-1")}

CORE, PROPERTIES = "Core", "Properties"
ANY = "true or false"
ALICE, BOB = {"type": "user", "id": "alice"}, {"type": "user", "id": "bob"}
USERS, RECORDS = {"type": "user"}, {"type": "record"}
READ, WRITE = {"name": "read"}, {"name": "write"}
RECORD_1, RECORD_2 = {"type": "record", "id": "record-1"}, {"type": "record", "id": "record-2"}
CONTEXT = {"time": "2026-12-01T12:00:00Z", "ip": "192.0.2.1"}
EVALUATION, EVALUATIONS = "evaluation", "evaluations"
SUBJECT, RESOURCE, ACTION = "search/subject", "search/resource", "search/action"


@dataclass(frozen=True)
class Scenario:
    """One request and what has to come back.

    ``expected`` is a decision, a list of decisions, ids or names that must be among the results (a set), all of them (a
    tuple), or None where only the status counts. ``content`` is sent as it is in place of ``body``.
    """

    number: str
    level: str
    what: str
    path: str
    body: Any
    expected: Any = None
    status: int = 200
    content: bytes | None = None
    headers: dict[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})


def request_of(subject=None, action=None, resource=None, **others):
    members = {"subject": subject, "action": action, "resource": resource, **others}
    return {name: value for name, value in members.items() if value is not None}


def with_(entity, **properties):
    return {**entity, "properties": properties}


def _basic():
    level = "Basic Core"
    plain = request_of(ALICE, READ, RECORD_1)
    yield Scenario("2.2.1", level, "a permitted request", EVALUATION, plain, True)
    yield Scenario("2.2.2", level, "a denied request", EVALUATION, request_of(BOB, WRITE, RECORD_1), False)
    yield Scenario("2.2.3", level, "a context that no rule reads", EVALUATION, {**plain, "context": CONTEXT}, True)
    extra = request_of(with_(ALICE, department="Sales", role="manager"), {**READ, "properties": {"method": "GET"}}, with_(RECORD_1, owner="bob", status="active"))  # fmt: skip
    yield Scenario("2.2.8", level, "properties that no rule reads", EVALUATION, extra, True)
    unknown = {**plain, "foo": "bar", "futureField": {"nested": True}}
    yield Scenario("2.2.9", level, "members that nobody knows", EVALUATION, unknown, True)
    yield Scenario(
        "2.2 rule 2", level, "the owner's friend writes", EVALUATION, request_of(ALICE, WRITE, RECORD_1), True
    )
    yield Scenario("2.2 rule 3", level, "a stranger reads", EVALUATION, request_of(BOB, READ, RECORD_1), True)
    for name in ("subject", "action", "resource"):
        body = {key: value for key, value in plain.items() if key != name}
        yield Scenario("2.4.1", level, f"no `{name}`", EVALUATION, body, status=400)
    for name, entity in (("type", {"id": "alice"}), ("id", {"type": "user"})):
        yield Scenario("2.4.2", level, f"no `subject.{name}`", EVALUATION, {**plain, "subject": entity}, status=400)
    for name, entity in (("type", {"id": "record-1"}), ("id", {"type": "record"})):
        yield Scenario("2.4.2", level, f"no `resource.{name}`", EVALUATION, {**plain, "resource": entity}, status=400)
    yield Scenario("2.4.2", level, "no `action.name`", EVALUATION, {**plain, "action": {}}, status=400)
    text = {"Content-Type": "text/plain"}
    yield Scenario("2.4.3", level, "another content type", EVALUATION, plain, status=400, headers=text)
    yield Scenario("2.4.3", level, "a relative of JSON", EVALUATION, plain, status=400, headers={"Content-Type": "application/ld+json"})  # fmt: skip
    yield Scenario("2.4.3", level, "no content type", EVALUATION, plain, status=400, headers={})
    yield Scenario("2.4.4", level, "malformed JSON", EVALUATION, None, status=400, content=b'{"subject": ')
    yield Scenario("2.4.5", level, "an empty body", EVALUATION, None, status=400, content=b"")
    yield Scenario("2.4.6", level, "a subject that is text", EVALUATION, {**plain, "subject": "alice"}, status=400)
    number = {**plain, "action": {"name": 123}}
    yield Scenario("2.4.6", level, "an action whose name is a number", EVALUATION, number, status=400)


def _basic_properties():
    level = "Basic Properties"
    archived, guest = with_(RECORD_1, relation="stranger"), {"type": "guest", "id": "bob"}
    yield Scenario(
        "2.2.4", level, "denied by a resource's property", EVALUATION, request_of(ALICE, WRITE, archived), False
    )
    yield Scenario(
        "2.2.5", level, "denied without a subject's property", EVALUATION, request_of(guest, READ, RECORD_1), False
    )
    admin = with_(guest, viewer="adult")
    yield Scenario(
        "2.2.5", level, "permitted by a subject's property", EVALUATION, request_of(admin, READ, RECORD_1), True
    )


def _batch():
    level = "Batch Core"
    both = request_of(ALICE, READ, evaluations=[{"resource": RECORD_1}, {"resource": RECORD_2}])
    yield Scenario("3.2.1", level, "two resources", EVALUATIONS, both, [True, ANY])
    actions = request_of(BOB, None, RECORD_1, evaluations=[{"action": READ}, {"action": WRITE}])
    yield Scenario("3.2.2", level, "two actions, in their order", EVALUATIONS, actions, [True, False])
    whole = {"evaluations": [request_of(ALICE, READ, RECORD_1), request_of(BOB, WRITE, RECORD_1)]}
    yield Scenario("3.2.5", level, "without defaults", EVALUATIONS, whole, [True, False])
    placed = {**both, "context": CONTEXT}
    placed["evaluations"] = [{"resource": RECORD_1}, {"resource": RECORD_2, "context": {**CONTEXT, "source": "batch"}}]
    yield Scenario("3.2.6", level, "an inherited context, and another", EVALUATIONS, placed, [True, ANY])
    missing = request_of(
        ALICE, READ, evaluations=[{"resource": RECORD_1}, {}], options={"evaluations_semantic": "execute_all"}
    )
    yield Scenario("3.4.1", level, "one evaluation lacks its resource", EVALUATIONS, missing, [True, False])
    plain = request_of(ALICE, READ, RECORD_1)
    yield Scenario("3.4.2", level, "no `evaluations`", EVALUATIONS, plain, True)
    yield Scenario("3.4.3", level, "empty `evaluations`", EVALUATIONS, {**plain, "evaluations": []}, True)
    level = "Batch Properties"
    archived = with_(RECORD_1, relation="stranger")
    mixed = request_of(
        ALICE, WRITE, evaluations=[{"resource": with_(RECORD_1, relation="connection")}, {"resource": archived}]
    )
    yield Scenario("3.2.3", level, "a property of each resource", EVALUATIONS, mixed, [True, False])
    guest = {"type": "guest", "id": "bob"}
    people = request_of(
        None, READ, RECORD_1, evaluations=[{"subject": guest}, {"subject": with_(guest, viewer="adult")}]
    )
    yield Scenario("3.2.4", level, "a property of each subject", EVALUATIONS, people, [False, True])
    default = request_of(ALICE, WRITE, RECORD_1, evaluations=[{}, {"resource": archived}])
    yield Scenario("3.2.7", level, "whole entities are inherited or replaced", EVALUATIONS, default, [True, False])


def _search():
    level = "Search Core"
    readers = request_of(USERS, READ, RECORD_1)
    yield Scenario("4.2.1", level, "who may read", SUBJECT, readers, {"alice", "bob"})
    yield Scenario("4.2.2", level, "with a context", SUBJECT, {**readers, "context": CONTEXT}, {"alice", "bob"})
    yield Scenario(
        "4.2.3", level, "a subject's id is ignored", SUBJECT, request_of(ALICE, READ, RECORD_1), {"alice", "bob"}
    )
    read = request_of(ALICE, READ, RECORDS)
    yield Scenario("4.3.1", level, "what may be read", RESOURCE, read, {"record-1"})
    yield Scenario("4.3.2", level, "with a context", RESOURCE, {**read, "context": CONTEXT}, {"record-1"})
    yield Scenario(
        "4.3.3", level, "a resource's id is ignored", RESOURCE, request_of(ALICE, READ, RECORD_2), {"record-1"}
    )
    allowed = request_of(ALICE, None, RECORD_1)
    yield Scenario("4.4.1", level, "what may be done", ACTION, allowed, {"read", "write"})
    yield Scenario("4.4.2", level, "with a context", ACTION, {**allowed, "context": CONTEXT}, {"read", "write"})
    yield Scenario("4.5.1", level, "a page of one", SUBJECT, {**readers, "page": {"limit": 1}}, {"alice"})
    yield Scenario(
        "4.6.1", level, "an unknown subject", ACTION, request_of({"type": "user", "id": "nobody"}, None, RECORD_1), ()
    )
    yield Scenario(
        "4.6.1", level, "an unknown subject", RESOURCE, request_of({"type": "user", "id": "nobody"}, READ, RECORDS), ()
    )
    yield Scenario(
        "4.6.1", level, "an unknown resource", SUBJECT, request_of(USERS, READ, {"type": "record", "id": "none"}), ()
    )
    ship = {"type": "spaceship", "id": "1"}
    yield Scenario(
        "4.6.2", level, "an unknown type of subject", SUBJECT, request_of({"type": "spaceship"}, READ, RECORD_1), ()
    )
    yield Scenario(
        "4.6.2", level, "an unknown type of resource", RESOURCE, request_of(ALICE, READ, {"type": "spaceship"}), ()
    )
    yield Scenario("4.6.2", level, "an unknown type of subject", ACTION, request_of(ship, None, RECORD_1), ())
    yield Scenario("4.6", level, "an unknown action", RESOURCE, request_of(ALICE, {"name": "launch"}, RECORDS), ())
    for path, body, lacks in (
        (SUBJECT, request_of(USERS, None, RECORD_1), "`action`"), (RESOURCE, request_of(None, READ, RECORDS), "`subject`"),
        (ACTION, request_of(ALICE), "`resource`"),
    ):  # fmt: skip
        yield Scenario("4.7.1", level, f"no {lacks}", path, body, status=400)
    for path, body, lacks in (
        (SUBJECT, request_of(USERS, READ, RECORDS), "`resource.id`"), (RESOURCE, request_of(USERS, READ, RECORDS), "`subject.id`"),
        (ACTION, request_of(USERS, None, RECORD_1), "`subject.id`"),
    ):  # fmt: skip
        yield Scenario("4.7.2", level, f"no {lacks}", path, body, status=400)
    level = "Search Properties"
    blocked = with_(RECORD_1, relation="blocked")
    yield Scenario("4.2.4", level, "by a resource's property", SUBJECT, request_of(USERS, READ, blocked), ())
    guest = {"type": "guest", "id": "bob"}
    yield Scenario("4.3.4", level, "without a subject's property", RESOURCE, request_of(guest, READ, RECORDS), ())
    admin = with_(guest, viewer="adult")
    yield Scenario("4.3.4", level, "by a subject's property", RESOURCE, request_of(admin, READ, RECORDS), {"record-1"})
    stranger = request_of(ALICE, None, with_(RECORD_1, relation="stranger"))
    yield Scenario("4.4.3", level, "by a resource's property", ACTION, stranger, ("read",))


SCENARIOS = (*_basic(), *_basic_properties(), *_batch(), *_search())
# What is no single request has a test of its own: (number, level, what, test).
APART = (
    ("2.2.6, 2.2.7", "Basic Properties", "an action's properties", "none: no decision here depends on them"),
    ("2.3", "Basic Core", "`decision` is a boolean, `context` an object", "in every scenario"),
    ("2.5.1", "Basic Core", "`X-Request-ID` comes back as it was sent", "test_a_request_id_comes_back"),
    ("2.5.2", "Basic Core", "no `X-Request-ID`", "in every scenario"),
    ("2.6", "Basic Core", "the same decision each time", "test_the_same_request_is_decided_alike"),
    ("3.3", "Batch Core", "as many answers, in order, no `decision` beside them", "in every scenario"),
    ("4.5.2, 4.5.3", "Search Core", "page by page, to an empty `next_token`", "test_pages_lead_to_the_end"),
    ("5", "all", "`application/json` both ways", "in every scenario"),
    ("6", "Discovery", "the metadata", "test_the_metadata_say_where_everything_is"),
)


def table():
    lines = ["| scenario | level | request | endpoint | expected | tested |", "| --- | --- | --- | --- | --- | --- |"]
    lines += [
        f"| {item.number} | {item.level} | {item.what} | `{item.path}` | {_words(item)} | test_a_scenario |"
        for item in SCENARIOS
    ]
    lines += [f"| {number} | {level} | {what} | | | {tested} |" for number, level, what, tested in APART]
    return "\n".join(lines)


def _words(scenario):
    expected = scenario.expected
    if expected is None:
        return str(scenario.status)
    if isinstance(expected, list):
        return ", ".join(str(item).lower() for item in expected)
    if isinstance(expected, set):
        return f"at least {', '.join(sorted(expected))}"
    if isinstance(expected, tuple):
        return f"exactly {', '.join(expected)}" if expected else "no results"
    return str(expected).lower()


def page():
    before, _, rest = PAGE.read_text("utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{table()}\n\n{END}{after}"


if __name__ == "__main__" and "--write" in sys.argv:
    PAGE.write_text(page(), "utf-8")
