import shutil

import pytest

from nightlight.policy.compile import compile_folder
from nightlight.policy.problems import PolicyProblems
from tests.conftest import ROOT


@pytest.fixture
def pack(tmp_path):
    shutil.copytree(ROOT / "policies", tmp_path / "policies")
    return tmp_path / "policies"


def change(pack, file, old, new):
    path = pack / file
    text = path.read_text()
    assert text.count(old) >= 1, (file, old)
    path.write_text(text.replace(old, new, 1))


def problems(pack):
    with pytest.raises(PolicyProblems) as refused:
        compile_folder(pack)
    return refused.value.problems


# One mistake of each kind: (file, what stands there, what somebody wrote instead, code, part of the message).
MISTAKES = [
    ("rules.yaml", "when: {relation: blocked}", "when: {relation: blokced}", "unknown-word", "did you mean 'blocked'?"),
    ("rules.yaml", "when: {relation: blocked}", "when: {relatoin: blocked}", "unknown-attribute", "did you mean 'relation'?"),
    ("rules.yaml", "at_most: {tier: none}", "at_most: {tier: nothing}", "unknown-word", "is not a value of tier"),
    ("rules.yaml", "per_hour: 120", "per_hour: 121", "unknown-word", "is not a value of per_hour"),
    ("rules.yaml", "cache_s: 300,", "cache_s: 5m,", "wrong-value", "integer"),
    ("rules.yaml", "at_most: {tier: none}", "at_most: {}", "empty-ceiling", "limits nothing"),
    ("rules.yaml", "id: blocked", "id: owner", "duplicate-id", "'owner'"),
    ("rules.yaml", "id: blocked", "id: Blocked!", "wrong-value", "string should match"),
    ("rules.yaml", "    why: a block is absolute\n", "", "wrong-value", "field required"),
    ("rules.yaml", "unless: {relation: self}", "unles: {relation: self}", "unknown-key", "did you mean 'unless'?"),
    ("rules.yaml", "format: policy/1", "format: policy/2", "wrong-value", "policy/1"),
    ("rules.yaml", "pack: default", "pack: default\npack: other", "yaml-duplicate-key", "twice"),
    ("rules.yaml", "subject_age: protected, relation: [connection, guardian]", "subject_age: 13_15, relation: [connection]", "unknown-word", "age_13_15"),
    ("rules.yaml", "when: {hold: reported}", "when: {hold: no}", "unknown-word", "'no' is not a word of hold"),
    ("rules.yaml", "when: {relation: self}", "when: {relation: true}", "wrong-value", "valid"),
    ("rules.yaml", "when: {relation: self}", "when: {relation: []}", "wrong-value", "at least 1"),
    ("rules.yaml", "when: {relation: blocked}", "when: {relation: blocked", "yaml-syntax", "is not YAML"),
    ("rules.yaml", "when: {relation: self}", "when: {relation: guardian}", "gap", "no rule limits tier"),
    ("vocabulary.yaml", "[unknown, under_13, age_13_15, age_16_17, adult]\n", "[unknown, adult, adult]\n", "duplicate-word", "subject_age"),
    ("vocabulary.yaml", "outsider: [mutual, stranger]", "stranger: [mutual, stranger]", "duplicate-word", "name of a word"),
    ("vocabulary.yaml", "relation: {outsider", "relatives: {outsider", "unknown-attribute", "relatives"),
    ("vocabulary.yaml", "tier: [none, tiny", "tier: [tiny, none", "outcome-order", "first tier must be 'none'"),
    ("vocabulary.yaml", "cache_s: [0, 60, 300", "cache_s: [0, 300, 60", "outcome-order", "rise"),
    ("tiers.yaml", "  low: ", "  lo: ", "unknown-word", "did you mean 'low'?"),
    ("tiers.yaml", "edge: 128", "edge: 4096", "wrong-value", "less than or equal to 2048"),
    ("tiers.yaml", "edge: 320", "edge: 100", "outcome-order", "smaller edge"),
    ("tiers.yaml", "quality: 60", "qualty: 60", "unknown-key", "did you mean 'quality'?"),
    ("retention.yaml", "state: live", "state: alive", "unknown-word", "did you mean 'live'?"),
    ("retention.yaml", "keep_days: 7", "keep_days: 0", "wrong-value", "greater than or equal to 1"),
    ("checks.yaml", "tier_at_most: tiny", "tier_at_most: teeny", "unknown-word", "did you mean 'tiny'?"),
    ("checks.yaml", "along: choice", "along: chioce", "unknown-attribute", "did you mean 'choice'?"),
    ("checks.yaml", "id: blocked-none", "id: outsider-tiny", "duplicate-id", "two checks"),
    ("cases/outsiders.yaml", "region: eu, viewer: adult", "viewer: adult", "case-incomplete", "region"),
    ("cases/outsiders.yaml", "because: outsider}", "because: somebody-else}", "case-failed", "expected because somebody-else"),
    ("cases/outsiders.yaml", "expect: {tier: tiny", "expect: {tier: full", "case-failed", "expected tier full, got tiny"),
]  # fmt: skip


@pytest.mark.parametrize(("file", "old", "new", "code", "message"), MISTAKES)
def test_each_mistake_is_found_with_its_place_and_a_hint(pack, file, old, new, code, message):
    change(pack, file, old, new)
    found = problems(pack)
    hits = [problem for problem in found if problem.code == code and message in problem.message]
    assert hits, [str(problem) for problem in found]
    if code != "gap":
        assert hits[0].place.file == file
        assert hits[0].place.line > 1 or hits[0].place.column >= 1


def test_the_place_is_the_line_and_column_of_the_word(pack):
    lines = (pack / "rules.yaml").read_text().splitlines()
    line = next(number for number, text in enumerate(lines) if "when: {relation: blocked}" in text)
    change(pack, "rules.yaml", "when: {relation: blocked}", "when: {relation: blokced}")
    (found,) = problems(pack)
    assert (found.place.line, found.place.column) == (line + 1, lines[line].index("blocked}") + 1)


def test_all_mistakes_are_told_at_once_in_order(pack):
    change(pack, "rules.yaml", "when: {relation: self}", "when: {relation: sefl}")
    change(pack, "rules.yaml", "when: {relation: blocked}", "when: {relation: blokced}")
    change(pack, "checks.yaml", "tier_at_most: tiny", "tier_at_most: teeny")
    found = problems(pack)
    assert len(found) == 3
    assert list(found) == sorted(found)


def test_a_missing_file_is_named(pack):
    (pack / "checks.yaml").unlink()
    (found,) = problems(pack)
    assert (found.place.file, found.code) == ("checks.yaml", "file-missing")


def test_a_space_that_is_too_large_is_refused(pack):
    words = ", ".join(f"w{number}" for number in range(60))
    for case in (pack / "cases").glob("*.yaml"):
        case.unlink()
    change(pack, "vocabulary.yaml", "  hold: [", f"  extra: [{words}]\n  hold: [")
    found = problems(pack)
    assert found[0].code == "too-many-combinations"
    assert "2,332,800" in found[0].message
