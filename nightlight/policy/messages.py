"""What is wrong with a value, in the words of whoever edits the file: never a type of the implementation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from nightlight.policy.diagnostics import did_you_mean

if TYPE_CHECKING:
    from nightlight.policy.yaml_source import Path_

# By the kind of mistake that the model found; in braces what it was compared with.
_SENTENCES: Mapping[str, str] = {
    "missing": "is missing",
    "int_type": "must be a whole number, written without quotes, point or underscore",
    "int_parsing": "must be a whole number, written without quotes, point or underscore",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number such as 0.05",
    "float_parsing": "must be a number such as 0.05",
    "bool_type": "must be true or false",
    "string_type": "must be a word or text; put it in quotes if it is a number",
    "string_too_short": "must not be empty",
    "string_too_long": "is too long: at most {max_length} characters",
    "literal_error": "must be {expected}",
    "enum": "must be {expected}",
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "too_short": "must have at least {min_length} entries",
    "too_long": "must have at most {max_length} entries",
    "tuple_type": "must be a list: [a, b], or a line with - for each entry",
    "list_type": "must be a list: [a, b], or a line with - for each entry",
    "dict_type": "must be pairs of a key and a value: {{a: b}}",
    "single_value": "must be a single value",
    "calendar_date": "must be a date that exists",
    "model_type": "must be pairs of a key and a value: {{a: b}}",
    "model_attributes_type": "must be pairs of a key and a value: {{a: b}}",
}
_PATTERNS = {
    "^[a-z][a-z0-9_]{0,31}$": "a word begins with a small letter and has small letters, digits and _, at most 32",
    "^[a-z][a-z0-9-]{0,63}$": "an id begins with a small letter and has small letters, digits and -, at most 64",
    "^20[0-9]{2}-[0-9]{2}(-[0-9]{2})?$": "a date is written 2027-01-31, or 2027-01 where the day is not known",
    "^20[0-9]{2}-[0-9]{2}-[0-9]{2}$": "a day is written 2027-01-31",
}


def in_words(error: Mapping[str, Any], path: Path_, known: Iterable[str]) -> str:
    """Return one mistake, as pydantic describes it, for an editor; ``known`` are the keys that may stand there."""
    name, kind = _named(path), error["type"]
    if kind == "extra_forbidden":
        return f"'{path[-1]}' is not a key here{did_you_mean(str(path[-1]), known)}"
    if kind == "string_pattern_mismatch":
        return f"{name}: {_PATTERNS.get(error['ctx']['pattern'], 'is written in another way')}; this is {_shown(error)}"
    sentence = _SENTENCES.get(kind)
    if sentence is None:
        return f"{name}: {_shown(error)} cannot stand here"
    text = f"{name} {sentence.format(**error.get('ctx', {}))}"
    return text if kind in {"missing", "too_short", "too_long"} else f"{text}, not {_shown(error)}"


def _named(path: Path_) -> str:
    """Return the key that a place is under, and which entry of a list it is, counted from one."""
    entry = f" {path[-1] + 1}" if path and isinstance(path[-1], int) else ""
    return next((part for part in reversed(path) if isinstance(part, str)), "the file") + entry


def _shown(error: Mapping[str, Any]) -> str:
    value = error.get("input")
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "pairs of a key and a value"
    if isinstance(value, list | tuple):
        return "a list"
    text = str(value)
    return f"'{text[:40]}{'...' if len(text) > 40 else ''}'" if isinstance(value, str) else text  # noqa: PLR2004 - a line
