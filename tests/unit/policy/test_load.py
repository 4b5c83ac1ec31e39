import shutil

import pytest

from nightlight.policy.compile import compile_folder
from nightlight.policy.diagnostics import InvalidPolicy
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
    with pytest.raises(InvalidPolicy) as refused:
        compile_folder(pack)
    return refused.value.problems


def test_the_place_is_the_line_and_column_of_the_word(pack):
    lines = (pack / "rules.yaml").read_text().splitlines()
    line = next(number for number, text in enumerate(lines) if "when: {relation: blocked}" in text)
    change(pack, "rules.yaml", "when: {relation: blocked}", "when: {relation: blokced}")
    (problem,) = problems(pack)
    assert (problem.position.line, problem.position.column) == (line + 1, lines[line].index("blocked}") + 1)


def test_all_mistakes_are_told_at_once_in_order(pack):
    change(pack, "rules.yaml", "when: {relation: self}", "when: {relation: sefl}")
    change(pack, "rules.yaml", "when: {relation: blocked}", "when: {relation: blokced}")
    change(pack, "checks.yaml", "tier_at_most: tiny", "tier_at_most: teeny")
    listed = problems(pack)
    assert len(listed) == 3
    assert list(listed) == sorted(listed)


def test_a_missing_file_is_named(pack):
    (pack / "checks.yaml").unlink()
    (problem,) = problems(pack)
    assert (problem.position.file, problem.code) == ("checks.yaml", "file-missing")


def test_a_space_that_is_too_large_is_refused(pack):
    words = ", ".join(f"w{number}" for number in range(40))
    for case in (pack / "cases").glob("*.yaml"):
        case.unlink()
    change(pack, "vocabulary.yaml", "context: [profile,", f"context: [{words}, profile,")
    listed = problems(pack)
    assert listed[0].code == "too-many-combinations"
    assert "2,649,600" in listed[0].message
