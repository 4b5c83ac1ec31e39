"""The bundle of an emergency: what is active, and one rule that hides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nightlight.policy.compile import compile_documents
from nightlight_core.errors import PolicyRefused

if TYPE_CHECKING:
    from nightlight.policy.compile import Compiled
    from nightlight_core.policy.bundle import Bundle

RULE = "emergency"
# The attribute by which people say that they are public.
_CHOICE = "choice"


def emergency_pack(active: Bundle, when: Mapping[str, Sequence[str]], *, tier: str, why: str) -> Compiled:
    """Return the active pack with one rule more: at most ``tier`` for ``when``, but for profiles that are public.

    Raises PolicyRefused for a word that the pack does not have, where an emergency is under way already, and where the
    pack does not say who is public.
    """
    rules: dict[str, Any] = dict(active.documents["rules"])
    if any(rule["id"] == RULE for rule in rules["rules"]):
        raise PolicyRefused("an emergency is under way already: roll it back first, or wait until it lapses")
    rule = {
        "id": RULE,
        "why": why,
        "when": {name: list(listed) for name, listed in when.items()},
        "unless": _public(active.documents),
        "at_most": {"tier": tier},
    }
    rules["rules"] = [*rules["rules"], rule]
    # Examples of the ordinary policy do not hold now; checks do.
    return compile_documents({**active.documents, "rules": rules, "cases": []})


def _public(documents: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return who is public: what the pack's rules leave out by people's own choice. Nobody else may be told apart.

    Where rules leave out more and fewer, those are the fewest. Raises PolicyRefused where no condition is within all.
    """
    rules = documents["rules"]["rules"]
    conditions: list[Mapping[str, Any]] = [rule["unless"] for rule in rules if _CHOICE in rule.get("unless", {})]
    groups = documents["vocabulary"].get("groups", {})
    for condition in conditions:
        if all(_within(condition, other, groups) for other in conditions):
            return condition
    message = (
        "the rules of this pack do not say who is public (unless: {..., choice: everyone}): write the rule yourself"
    )
    raise PolicyRefused(message)


def _within(inner: Mapping[str, Any], outer: Mapping[str, Any], groups: Mapping[str, Any]) -> bool:
    """Say whether whoever meets one condition meets the other."""

    def words(condition: Mapping[str, Any], name: str) -> set[str]:
        listed = [condition[name]] if isinstance(condition[name], str) else condition[name]
        return {plain for word in listed for plain in groups.get(name, {}).get(word, (word,))}

    return all(name in inner and words(inner, name) <= words(outer, name) for name in outer)
