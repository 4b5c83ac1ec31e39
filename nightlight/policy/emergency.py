"""The bundle of an emergency: what is active, and one rule that hides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nightlight.policy.checks import failed_checks
from nightlight.policy.compile import compile_documents
from nightlight_core.decisions.inputs import INPUTS
from nightlight_core.errors import PolicyRefused

if TYPE_CHECKING:
    from datetime import date

    from nightlight.policy.compile import Compiled
    from nightlight_core.policy.bundle import Bundle

RULE = "emergency"
# The attribute by which people say that they are public, and the one by which minors are told from adults.
_CHOICE, _AGE = "choice", "subject_age"
# The group of ages that are no adults'.
_PROTECTED = "protected"


def emergency_pack(
    active: Bundle,
    when: Mapping[str, Sequence[str]],
    *,
    tier: str,
    why: str,
    days: tuple[date, date] | None = None,
) -> Compiled:
    """Return the active pack with one rule more: at most ``tier`` for ``when``, but for profiles that are public.

    ``days`` are the first and the last day of the emergency (UTC): rules that hold on none of them do not say who is
    public. Without it every rule does. Raises PolicyRefused for a word that the pack does not have, where an emergency
    is under way already, and where the pack does not say who is public.
    """
    rules: dict[str, Any] = dict(active.documents["rules"])
    if any(rule["id"] == RULE for rule in rules["rules"]):
        raise PolicyRefused("an emergency is under way already: roll it back first, or wait until it lapses")
    rule = {
        "id": RULE,
        "why": why,
        "when": {name: list(listed) for name, listed in when.items()},
        "at_most": {"tier": tier},
    }
    public = _public(active.documents, days)
    adults = _adults(public, active.documents["vocabulary"])
    # Where ages must not differ even in what they choose, adults alone cannot be left out: then nobody is.
    for unless in (adults,) if adults == public else (adults, {}):
        with_emergency = {**rules, "rules": [*rules["rules"], {**rule, "unless": unless}]}
        # Examples of the ordinary policy do not hold now; checks do.
        closed = compile_documents({**active.documents, "rules": with_emergency, "cases": []})
        if adults == public or not failed_checks(closed):
            break
    return closed


def _public(documents: Mapping[str, Any], days: tuple[date, date] | None) -> Mapping[str, Any]:
    """Return who is public: whom the pack's rules leave out by their own choice.

    Where rules leave out more and fewer, those are the fewest. Raises PolicyRefused where no condition is within all.
    """
    rules = [rule for rule in documents["rules"]["rules"] if days is None or _holds_within(rule, days)]
    conditions: list[Mapping[str, Any]] = [rule["unless"] for rule in rules if _CHOICE in rule.get("unless", {})]
    groups = documents["vocabulary"].get("groups", {})
    for condition in conditions:
        if all(_within(condition, other, groups) for other in conditions):
            return condition
    message = (
        "the rules of this pack do not say who is public (unless: {..., choice: everyone}): write the rule yourself"
    )
    raise PolicyRefused(message)


def _holds_within(rule: Mapping[str, Any], days: tuple[date, date]) -> bool:
    first, last = (day.isoformat() for day in days)
    return str(rule.get("from", last)) <= last and str(rule.get("until", first)) >= first


def _adults(public: Mapping[str, Any], vocabulary: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return who of the public is no minor: a minor's choice makes no minor public. The same where none of them is.

    Minors are who is in the pack's group of protected ages. Without that group nobody knows: then those are public
    whose age the rules name, or nobody.
    """
    ages, groups = vocabulary["attributes"].get(_AGE, ()), vocabulary.get("groups", {})
    protected = groups.get(_AGE, {}).get(_PROTECTED)
    if protected is None:
        return public if _AGE in public else {}
    named = _words(public, _AGE, groups) if _AGE in public else {*ages}
    adults = [age for age in ages if age in named and age not in {*protected, INPUTS[_AGE]}]
    if _AGE in public and named == {*adults}:
        return public
    return {**public, _AGE: adults} if adults else {}


def _words(condition: Mapping[str, Any], name: str, groups: Mapping[str, Any]) -> set[str]:
    listed = [condition[name]] if isinstance(condition[name], str) else condition[name]
    return {plain for word in listed for plain in groups.get(name, {}).get(word, (word,))}


def _within(inner: Mapping[str, Any], outer: Mapping[str, Any], groups: Mapping[str, Any]) -> bool:
    """Say whether whoever meets one condition meets the other."""
    return all(name in inner and _words(inner, name, groups) <= _words(outer, name, groups) for name in outer)
