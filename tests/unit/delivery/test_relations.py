import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightlight_core.decisions.relation_proofs import MAX_LIFE_S, MAX_PROOF, UNPROVEN, issue_proof, verify_proof
from nightlight_core.decisions.relation_resolver import Claim, RelationResolver

KEYS = {"r2": b"2" * 32, "r1": b"1" * 32}
NOW = 1_800_000_000
WHO = ("viewer-1", "profile-1", "connection")


def good(proof, who=WHO, *, keys=KEYS, now=NOW, leeway_s=0):
    return verify_proof(keys, proof, *who, now=now, leeway_s=leeway_s)


def test_a_proof_holds_for_its_viewer_profile_and_relation_alone():
    proof = issue_proof(KEYS, *WHO, now=NOW)
    assert len(proof) <= MAX_PROOF
    assert good(proof)
    for other in (("viewer-2", *WHO[1:]), ("viewer-1", "profile-2", "connection"), (*WHO[:2], "self")):
        assert not good(proof, other)


def test_keys_rotate_and_one_that_is_gone_proves_nothing():
    old = issue_proof({"r1": KEYS["r1"]}, *WHO, now=NOW)
    assert good(old)
    assert not good(old, keys={"r2": KEYS["r2"]})
    assert not good(old, keys={})
    assert not good(old.replace("r1", "r2"))


@pytest.mark.parametrize(
    ("later", "leeway_s", "wanted"),
    [
        (299, 0, True),
        (300, 0, False),
        (300, 30, True),
        (330, 30, False),
        (1200, 30, False),
        (-1200, 30, False),
        (-30, 30, True),
        (-31, 30, False),
        (-1, 0, False),
    ],
)
def test_it_lives_as_long_as_it_says(later, leeway_s, wanted):
    assert good(issue_proof(KEYS, *WHO, now=NOW), now=NOW + later, leeway_s=leeway_s) is wanted


def test_one_that_was_made_to_last_is_none():
    assert good(issue_proof(KEYS, *WHO, now=NOW, life_s=MAX_LIFE_S))
    assert not good(issue_proof(KEYS, *WHO, now=NOW + 1, life_s=MAX_LIFE_S))
    for life_s in (0, MAX_LIFE_S + 1):
        with pytest.raises(ValueError, match="lives 1 to 3600"):
            issue_proof(KEYS, *WHO, now=NOW, life_s=life_s)


@given(st.text(max_size=70))
def test_nothing_else_is_a_proof(text):
    assert not good(text)


@given(st.integers(0, 40), st.characters(min_codepoint=33, max_codepoint=126))
def test_one_character_changed_is_another_proof(at, character):
    proof = issue_proof(KEYS, *WHO, now=NOW)
    at = min(at, len(proof) - 2)  # the last of 22 characters has bits that stand for nothing
    changed = proof[:at] + character + proof[at + 1 :]
    assert good(changed) is (changed == proof)


class Graph:
    """A provider whose mind is made up."""

    def __init__(self, answers):
        self.answers, self.asked = answers, []

    def confirm(self, viewer_id, claims):
        self.asked.append((viewer_id, list(claims)))
        return [self.answers.get(claim, False) for claim in claims]


def resolved(resolver, viewer_id, *claims, blocked=(), revoked=None):
    return [
        (claim.relation, claim.because)
        for claim in resolver.resolve(viewer_id, claims, set(blocked), now=NOW, revoked=[revoked or {}] * len(claims))
    ]


def test_what_makes_less_of_a_relation_needs_nothing():
    resolver = RelationResolver({}, None, 0)
    for word in UNPROVEN:
        assert resolved(resolver, None, Claim("p", word)) == [(word, "own word")]


@pytest.mark.parametrize("word", ["self", "guardian", "connection", "mutual", "Stranger", "owner", "", "blocked "])
def test_what_makes_more_of_it_or_anything_else_is_a_stranger_without_proof(word):
    resolver = RelationResolver(KEYS, None, 0)
    assert resolved(resolver, "v", Claim("p", word)) == [("stranger", "no proof")]
    assert resolved(resolver, None, Claim("p", word, issue_proof(KEYS, "v", "p", word, now=NOW))) == [
        ("stranger", "no viewer_id to prove it for")
    ]


def test_a_block_wins_over_every_proof():
    resolver = RelationResolver(KEYS, Graph({("p", "connection"): True}), 0)
    proof = issue_proof(KEYS, "v", "p", "connection", now=NOW)
    assert resolved(resolver, "v", Claim("p", "connection", proof), Claim("q", "stranger"), blocked={"p"}) == [
        ("blocked", "block"), ("stranger", "own word")
    ]  # fmt: skip


def test_the_provider_is_asked_once_and_only_of_what_nothing_else_settles():
    graph = Graph({("a", "connection"): True, ("b", "guardian"): False})
    resolver = RelationResolver(KEYS, graph, 0)
    proof = issue_proof(KEYS, "v", "c", "self", now=NOW)
    forged = issue_proof({"r2": b"x" * 32}, "v", "a", "connection", now=NOW)
    claims = (
        Claim("a", "connection"), Claim("b", "guardian"), Claim("c", "self", proof), Claim("d", "stranger"),
        Claim("a", "connection", forged),
    )  # fmt: skip
    assert resolved(resolver, "v", *claims) == [
        ("connection", "provider"),
        ("stranger", "the provider does not confirm it"),
        ("self", "proof"),
        ("stranger", "own word"),
        ("stranger", "the proof is not good for this"),
    ]
    assert graph.asked == [("v", [("a", "connection"), ("b", "guardian")])]


@pytest.mark.parametrize("who", ["v", ""])
@pytest.mark.parametrize(
    ("issued", "leeway_s", "counts"),
    [
        (-1, 0, False),  # before
        (0, 0, False),  # in the same second: it may have come before
        (1, 0, True),
        (5, 5, False),  # by a clock that ran ahead it may have come before too
        (6, 5, True),
        (-600, 5, False),
        (-3500, 0, False),
    ],
)
def test_a_proof_that_was_issued_before_its_pair_or_profile_was_revoked_counts_for_nothing(
    who, issued, leeway_s, counts
):
    resolver = RelationResolver(KEYS, None, leeway_s)
    at = NOW - 10
    proof = issue_proof(KEYS, "v", "p", "connection", now=at + issued, life_s=MAX_LIFE_S)
    wanted = ("connection", "proof") if counts else ("stranger", "the proof was issued before it was revoked")
    assert resolved(resolver, "v", Claim("p", "connection", proof), revoked={who: at}) == [wanted]


def test_the_later_of_two_revocations_counts_and_anothers_does_not():
    resolver = RelationResolver(KEYS, None, 0)
    proof = issue_proof(KEYS, "v", "p", "connection", now=NOW - 5)
    relation_after = lambda revoked: resolved(resolver, "v", Claim("p", "connection", proof), revoked=revoked)[0][0]  # noqa: E731
    assert relation_after({"": NOW - 9, "v": NOW - 8, "other": NOW}) == "connection"
    assert relation_after({"": NOW - 9, "v": NOW - 3}) == "stranger"
    assert relation_after({"": NOW - 3, "v": NOW - 9}) == "stranger"


def test_one_that_is_issued_ahead_of_its_time_is_none_whatever_was_revoked():
    resolver = RelationResolver(KEYS, None, 5)
    for ahead, wanted in ((5, "connection"), (6, "stranger"), (3000, "stranger")):
        proof = issue_proof(KEYS, "v", "p", "connection", now=NOW + ahead, life_s=600)
        assert resolved(resolver, "v", Claim("p", "connection", proof))[0][0] == wanted


def test_one_in_the_form_of_before_is_none():
    """It does not say when it was issued."""
    import base64
    import hmac

    expiry = NOW + 300
    digest = hmac.digest(KEYS["r2"], f"relation\nviewer-1\nprofile-1\nconnection\n{expiry}".encode(), "sha256")
    signature = base64.urlsafe_b64encode(digest[:16]).rstrip(b"=").decode()
    assert not good(f"r2.{expiry}.{signature}")
    assert not good(f"r2.{NOW}.{expiry}.{signature}")


@pytest.mark.parametrize("who", [("v\nx", "p", "self"), ("v", "p\nself", "self"), ("v", "p", "self\n1")])
def test_nothing_is_proved_of_what_could_be_read_as_another(who):
    with pytest.raises(ValueError, match="line's end"):
        issue_proof(KEYS, *who, now=NOW)


def test_times_that_are_moved_are_no_times():
    proof = issue_proof(KEYS, *WHO, now=NOW - 100)
    for issued, expiry in ((NOW, NOW + 200), (NOW - 100, NOW + 3000), (NOW - 1, NOW + 200)):
        assert not good(f"{proof[:3]}{issued}.{expiry}{proof[24:]}")
    assert not good(proof[:3] + "-" + proof[4:])
    assert not good(proof.replace(str(NOW - 100), "+" + str(NOW - 100)[1:]))
