import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightlight.policy.diagnostics import Diagnostics
from nightlight.policy.yaml_source import MAX_BYTES, parse_yaml, read_yaml


def values(text):
    problems = Diagnostics()
    source = parse_yaml(text, "x.yaml", problems)
    return (source.value if source else None), [problem.code for problem in problems.entries]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"),
        ("yes", "yes"),
        ("on", "on"),
        ("13_15", "13_15"),
        ("0o17", "0o17"),
        ("017", "017"),
        ("0x1f", "0x1f"),
        ("1e3", "1e3"),
        ("1.0", "1.0"),
        ("+5", "+5"),
        ("-5", "-5"),
        ("2026-11-22", "2026-11-22"),
        ("12:30:45", "12:30:45"),
        ("True", "True"),
        ("true", True),
        ("false", False),
        ("null", None),
        ("~", None),
        ("'5'", "5"),
        ('"true"', "true"),
        ("0", 0),
        ("86400", 86400),
        ("99999999999", "99999999999"),
    ],
)
def test_a_scalar_means_what_it_looks_like(text, value):
    assert values(f"a: {text}") == ({"a": value}, [])


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("a: 1\na: 2", "yaml-duplicate-key"),
        ("a: {b: 1, b: 1}", "yaml-duplicate-key"),
        ("a: &x 1\nb: *x", "yaml-anchor"),
        ("a: *x", "yaml-anchor"),
        ("&x a: 1", "yaml-key"),
        ("a: &x {b: 1}\nc: {<<: *x}", "yaml-anchor"),
        ("c: {<<: {b: 1}}", "yaml-key"),
        ("a: !!python/object:os.system x", "yaml-tag"),
        ("a: !!int '5'", "yaml-tag"),
        ("1: a", "yaml-key"),
        ("true: a", "yaml-key"),
        ("? [a]\n: b", "yaml-key"),
        ("a: 1\n---\nb: 2", "yaml-documents"),
        ("a: [", "yaml-syntax"),
        ("a: b: c", "yaml-syntax"),
        ("\ta: 1", "yaml-syntax"),
        ("a: \x07", "yaml-syntax"),
        ("[" * 13 + "]" * 13, "yaml-depth"),
        ("[" * 100_000, "yaml-depth"),
        ("[" + "1," * 50_001 + "]", "yaml-size"),
    ],
)
def test_what_yaml_allows_and_we_do_not(text, code):
    value, codes = values(text)
    assert value is None
    assert code in codes


def test_places_count_from_one():
    source = parse_yaml("a:\n  - b: 1\n    c: 2\n", "x.yaml", Diagnostics())
    assert str(source.position(("a", 0, "c"))) == "x.yaml:3:8"
    assert str(source.position(("a", 0, "not there"))) == "x.yaml:2:5"


def test_a_file_that_is_missing_too_large_or_not_text(tmp_path):
    problems = Diagnostics()
    assert read_yaml(tmp_path / "none.yaml", problems) is None
    (tmp_path / "large.yaml").write_bytes(b"#" * (MAX_BYTES + 1))
    assert read_yaml(tmp_path / "large.yaml", problems) is None
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    assert read_yaml(tmp_path / "binary.yaml", problems) is None
    assert [problem.code for problem in problems.entries] == ["file-missing", "file-too-large", "yaml-syntax"]


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused_never_worse(text):
    problems = Diagnostics()
    source = parse_yaml(text, "x.yaml", problems)
    assert (source is None) == bool(problems.entries)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("- id: a\n\twhy: b", "with spaces, not with a tab"),
        ("rules:\n  - id: a\n   why: b", "does not begin below the lines that it belongs to"),
        ("- id: a\n     why: b", "begins too far to the right, or a text with a colon is not in quotes"),
        ("- why: nothing: at all", "begins too far to the right, or a text with a colon is not in quotes"),
        ("a: {b: c\nd: e", "a bracket or a brace of the line before is not closed"),
        ("a: [b, c\nd: e", "a bracket or a brace of the line before is not closed"),
    ],
)
def test_what_is_no_yaml_is_told_with_what_an_editor_did(text, hint):
    problems = Diagnostics()
    assert parse_yaml(text, "x.yaml", problems) is None
    assert hint in problems.entries[0].message
