"""What changes between two packs beside the table: checks, regimes, cases and words, from what to what."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nightlight.policy.compile import Compiled
    from nightlight.policy.models import AlwaysLimits, CompareOrder, SameAlong


def check_meanings(compiled: Compiled) -> dict[str, Any]:
    """Return what each check, regime and clause means, by its name: groups are written out.

    So a changed group is a changed check. The names of checks are their ids; "regime x" and "clause x/y" are others'.
    """
    meanings: dict[str, Any] = {}
    for kind in ("always", "compare", "same"):
        for check in getattr(compiled.pack.checks, kind):
            meanings[check.id] = {"kind": kind, **_check_meaning(check, compiled)}
    for _, regime in compiled.pack.regimes:
        plain = regime.model_dump(
            mode="json", exclude={"format", "regime", "clauses"}, exclude_none=True, by_alias=True
        )
        meanings[f"regime {regime.regime}"] = {**plain, "where": _written_out(regime.where, compiled)}
        for clause in regime.clauses:
            exclude = {"id", "always", "compare", "same"}
            plain = clause.model_dump(mode="json", exclude=exclude, exclude_none=True, by_alias=True)
            if clause.own is not None:
                plain[clause.bindings[0]] = _check_meaning(clause.own, compiled)
            meanings[f"clause {regime.regime}/{clause.id}"] = plain
    return meanings


def _check_meaning(check: AlwaysLimits | CompareOrder | SameAlong, compiled: Compiled) -> dict[str, Any]:
    plain = check.model_dump(mode="json", exclude={"id"}, exclude_none=True)
    return {**plain, **{part: _written_out(getattr(check, part), compiled) for part in ("where", "unless")}}


def _written_out(condition: Mapping[str, Iterable[str]], compiled: Compiled) -> dict[str, list[str]]:
    return {name: sorted(compiled.space.words(name, words)) for name, words in condition.items()}


def changed_checks(old: Compiled, new: Compiled) -> list[str]:
    """Return what happened to checks, regimes and clauses that were there: a new one only makes things stricter."""
    before, after = check_meanings(old), check_meanings(new)
    lines = [
        f"{_named(name)} was taken out ({_text(meaning)})" for name, meaning in before.items() if name not in after
    ]
    for name, meaning in before.items():
        if name in after and after[name] != meaning:
            lines.append(f"{_named(name)} was changed: {'; '.join(_changes(meaning, after[name]))}")
    return sorted(lines)


def _named(name: str) -> str:
    """Return the name of a check, a regime or a clause as it is told."""
    kind, space, rest = name.partition(" ")
    return f"{kind} '{rest}'" if space else f"check '{name}'"


def changed_cases(old: Compiled, new: Compiled) -> list[str]:
    """Return what happened to cases that were there, by their names: taken out, narrowed, or expected otherwise."""
    before, after = _cases(old), _cases(new)
    lines = [f"case '{name}' was taken out" for name in before if name not in after]
    for name, case in before.items():
        if name in after and after[name] != case:
            lines.append(f"case '{name}' was changed: {'; '.join(_changes(case, after[name]))}")
    return sorted(lines)


def _cases(compiled: Compiled) -> dict[str, Any]:
    """Return the cases by name; those of one name are numbered."""
    named: dict[str, Any] = {}
    for _, document in compiled.pack.cases:
        for case in document.cases:
            name, number = case.name, 1
            while name in named:
                number += 1
                name = f"{case.name} ({number})"
            plain = case.model_dump(mode="json", exclude={"name"}, exclude_none=True)
            plain["given"] = {attribute: sorted(words) for attribute, words in case.given.items()}
            named[name] = plain
    return named


def _replaced(compiled: Compiled) -> dict[str, str]:
    """Return which words stand for each word of before, by ``attribute word``."""
    return {
        f"{attribute} {word}": " or ".join(words)
        for attribute, by_word in compiled.pack.vocabulary.replaced.items()
        for word, words in by_word.items()
    }


def changed_words(old: Compiled, new: Compiled) -> list[tuple[str, str, str]]:
    """Return (where, before, after) for words of the vocabulary that change answers without being rules.

    The order of an attribute's words counts: a picture is held to the most protective band that was asserted.
    """
    before, after = old.pack.vocabulary, new.pack.vocabulary
    changes = []
    if before.assurances != after.assurances and "assurance" not in {*before.attributes} & {*after.attributes}:
        changes.append(("assurance", _listed(before.assurances), _listed(after.assurances)))
    for name, words in after.attributes.items():
        kept = [word for word in before.attributes.get(name, ()) if word in words]
        if kept != [word for word in words if word in kept]:
            changes.append((f"{name}, order of words", _listed(before.attributes[name]), _listed(words)))
    tiers = [tier for tier in before.outcomes.tier if tier in after.outcomes.tier]
    if tiers != [tier for tier in after.outcomes.tier if tier in tiers]:
        changes.append(("tiers, order", _listed(before.outcomes.tier), _listed(after.outcomes.tier)))
    then, now = _replaced(old), _replaced(new)
    changes += [
        (f"{name}, which profiles may still have", then.get(name, "unknown"), now.get(name, "unknown"))
        for name in dict.fromkeys((*then, *now))
        if then.get(name) != now.get(name)
    ]
    return changes


def _listed(words: Iterable[str]) -> str:
    return ", ".join(words)


def _changes(before: Mapping[str, Any], after: Mapping[str, Any], path: str = "") -> list[str]:
    """Return ``field: before -> after`` for every field that differs, inner ones by themselves."""
    lines = []
    for key in dict.fromkeys((*before, *after)):
        left, right = before.get(key), after.get(key)
        if left == right:
            continue
        if isinstance(left, dict) and isinstance(right, dict):
            lines += _changes(left, right, f"{path}{key}.")
        else:
            lines.append(f"{path}{key}: {_text(left)} -> {_text(right)}")
    return lines


def _text(value: Any) -> str:
    if value is None or value in ({}, []):
        return "nothing"
    if isinstance(value, dict):
        return ", ".join(f"{key} {_text(inner)}" for key, inner in value.items() if inner not in ({}, []))
    if isinstance(value, list):
        return " or ".join(map(str, value))
    return str(value)
