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
# Who is public, whatever happens: an adult's own choice, and nobody else. Ages must not be told apart by an emergency.
PUBLIC = {"subject_age": "adult", "choice": "everyone"}


def emergency_pack(active: Bundle, when: Mapping[str, Sequence[str]], *, tier: str, why: str) -> Compiled:
    """Return the active pack with one rule more: at most ``tier`` for ``when``, but for profiles that are public.

    Raises PolicyRefused for a word that the pack does not have, where an emergency is under way already, and where the
    pack does not say who is public.
    """
    rules: dict[str, Any] = dict(active.documents["rules"])
    if any(rule["id"] == RULE for rule in rules["rules"]):
        raise PolicyRefused("an emergency is under way already: roll it back first, or wait until it lapses")
    words = active.documents["vocabulary"]["attributes"]
    if any(word not in words.get(name, ()) for name, word in PUBLIC.items()):
        raise PolicyRefused("this pack does not say who is public (subject_age adult, choice everyone): write the rule")
    rule = {
        "id": RULE,
        "why": why,
        "when": {name: list(listed) for name, listed in when.items()},
        "unless": PUBLIC,
        "at_most": {"tier": tier},
    }
    rules["rules"] = [*rules["rules"], rule]
    # Examples of the ordinary policy do not hold now; checks do.
    return compile_documents({**active.documents, "rules": rules, "cases": []})
