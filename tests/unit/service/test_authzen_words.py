"""AuthZEN's bodies and words: what fits, what does not, and what it means here."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from nightlight.settings import Settings
from nightlight.wiring.decision_parts import check_foreign_words
from nightlight_core.decisions.quotas import Requester
from nightlight_core.errors import SettingsRefused
from service.authzen_bodies import Fault, read_batch
from service.authzen_words import ForeignVocabulary, Question, Questions
from tests.support import authzen_scenarios

WORDS = ForeignVocabulary(
    {"user": "signed_out", "member": "adult"}, {"profile": "stranger", "friend": "connection"}, {"view": "profile", "list": "list"}
)  # fmt: skip
SUBJECT, ACTION = {"type": "user", "id": "v"}, {"name": "view"}
RESOURCE = {"type": "profile", "id": "p"}
ATTRIBUTES = {"viewer": ("adult", "signed_out"), "relation": ("stranger",), "context": ("profile", "list")}


def question(evaluation, **defaults):
    (item,) = read_batch(json.dumps({**defaults, "evaluations": [evaluation]}).encode())[1]
    return Questions(WORDS, defaults, "pep").question(item)


@pytest.mark.parametrize(
    ("changed", "viewer", "context", "relation"),
    [
        ({}, "signed_out", "profile", "stranger"),
        ({"subject": {**SUBJECT, "type": "member"}}, "adult", "profile", "stranger"),
        ({"subject": {**SUBJECT, "properties": {"viewer": "peer", "role": 5}}}, "peer", "profile", "stranger"),
        ({"subject": {**SUBJECT, "properties": None}}, "signed_out", "profile", "stranger"),
        ({"action": {"name": "list"}}, "signed_out", "list", "stranger"),
        ({"action": {"name": "list", "properties": {"x": []}}}, "signed_out", "list", "stranger"),
        ({"context": {"context": "message", "time": 7}}, "signed_out", "message", "stranger"),
        ({"action": {"name": "list"}, "context": {"context": None}}, "signed_out", "list", "stranger"),
        ({"resource": {**RESOURCE, "type": "friend"}}, "signed_out", "profile", "connection"),
        ({"resource": {**RESOURCE, "properties": {"relation": "self"}}}, "signed_out", "profile", "self"),
    ],
)
def test_what_an_evaluation_means(changed, viewer, context, relation):
    whole = {"subject": SUBJECT, "action": ACTION, "resource": RESOURCE}
    for asked in (question({**whole, **changed}), question(changed, **whole)):
        assert asked.asked == (viewer, context, Requester("v", None, "pep"))
        assert (asked.claim.profile_id, asked.claim.relation, asked.claim.proof) == ("p", relation, None)


def test_an_entity_is_inherited_whole_and_never_in_parts():
    defaults = {
        "subject": {**SUBJECT, "properties": {"viewer": "peer", "network": "n"}},
        "action": {"name": "list"},
        "resource": {**RESOURCE, "properties": {"relation": "self", "proof": "x"}},
    }
    assert question({}, **defaults).asked == ("peer", "list", Requester("v", "n", "pep"))
    other = question({"subject": {"type": "user", "id": "w"}, "resource": {"type": "profile", "id": "q"}}, **defaults)
    assert other.asked == ("signed_out", "list", Requester("w", None, "pep"))
    assert other.claim == ("q", "stranger", None, None)


@pytest.mark.parametrize(
    ("evaluation", "status", "pointer"),
    [
        ({"action": ACTION, "resource": RESOURCE}, 400, "/subject"),
        ({"subject": SUBJECT, "resource": RESOURCE}, 400, "/action"),
        ({"subject": SUBJECT, "action": ACTION}, 400, "/resource"),
        ({"subject": {**SUBJECT, "type": "robot"}, "action": ACTION, "resource": RESOURCE}, 404, "/subject/type"),
        ({"subject": SUBJECT, "action": {"name": "delete"}, "resource": RESOURCE}, 404, "/action/name"),
        ({"subject": SUBJECT, "action": ACTION, "resource": {**RESOURCE, "type": "x"}}, 404, "/resource/type"),
    ],
)
def test_what_cannot_be_asked(evaluation, status, pointer):
    fault = question(evaluation)
    assert isinstance(fault, Fault)
    assert (fault.status, fault.pointer) == (status, pointer)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["subject", "resource", "type", "id", "properties"]), inner, max_size=4),
)  # fmt: skip


@settings(max_examples=300)
@given(st.lists(JSON, max_size=5))
def test_whatever_stands_among_the_evaluations_leaves_the_others_as_they_are(anything):
    good = {"resource": RESOURCE}
    evaluations = [item for each in anything for item in (good, each)] + [good]
    defaults, read, semantic = read_batch(
        json.dumps({"subject": SUBJECT, "action": ACTION, "evaluations": evaluations})
    )
    questions = Questions(WORDS, defaults, "pep")
    asked = [questions.question(item) for item in read]
    assert len(asked) == len(evaluations)
    assert all(isinstance(item, Question) and item.claim.profile_id == "p" for item in asked[::2])
    assert semantic == "execute_all"


@settings(max_examples=300)
@given(JSON)
def test_any_json_is_read_or_refused(anything):
    try:
        defaults, read, _ = read_batch(json.dumps(anything))
    except ValidationError:
        return
    assert Questions(WORDS, defaults, "pep").question({}) is not None
    assert read == []


def test_words_that_the_policy_lacks_stop_the_start(monkeypatch):
    check_foreign_words(Settings().authzen, {**ATTRIBUTES})
    for variable, words, attribute in (
        ("SUBJECT_TYPES", {"user": "friend"}, "viewer"),
        ("RESOURCE_TYPES", {"avatar": "nephew"}, "relation"),
        ("ACTIONS", {"read": "moon"}, "context"),
    ):
        with monkeypatch.context() as patch:
            patch.setenv(f"NIGHTLIGHT_AUTHZEN_{variable}", json.dumps(words))
            with pytest.raises(SettingsRefused, match=f"NIGHTLIGHT_AUTHZEN_{variable}: the policy has no {attribute}"):
                check_foreign_words(Settings().authzen, ATTRIBUTES)


@pytest.mark.parametrize(
    "value", ["{}", "[]", "5", "x", '{"": "profile"}', '{"view": ""}', '{"view": "Profile"}', '{"view": ["list"]}',
              json.dumps({f"a{n}": "list" for n in range(33)}), json.dumps({"a" * 257: "list"})],
)  # fmt: skip
def test_settings_that_are_no_words_are_refused(monkeypatch, value):
    monkeypatch.setenv("NIGHTLIGHT_AUTHZEN_ACTIONS", value)
    with pytest.raises((SettingsRefused, ValueError)):
        Settings()


@pytest.mark.parametrize(
    ("url", "good"),
    [
        ("https://pdp.example.com", True), ("https://pdp.example.com:8443/a/b", True), ("http://127.0.0.1:8080", True),
        ("http://localhost", True), ("http://pdp.example.com", False), ("https://pdp.example.com/", False),
        ("https://u:p@pdp.example.com", False), ("https://pdp.example.com?x", False), ("https://pdp.example.com#x", False),
        ("ftp://pdp.example.com", False), ("https://", False), ("https://pdp.example.com\n", False), ("", False),
    ],
)  # fmt: skip
def test_a_public_url_is_https_or_of_this_machine(monkeypatch, url, good):
    monkeypatch.setenv("NIGHTLIGHT_SERVICE_PUBLIC_URL", url)
    if good:
        assert Settings().service.public_url == url
    else:
        with pytest.raises(SettingsRefused):
            Settings()


def test_the_page_has_the_table_of_scenarios_as_it_is():
    page = authzen_scenarios.PAGE.read_text("utf-8")
    assert authzen_scenarios.BEGIN in page
    assert page == authzen_scenarios.page(), "run python -m tests.support.authzen_scenarios --write"
