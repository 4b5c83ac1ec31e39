"""The lifecycle rules that the policy's retention comes to.

A bucket knows when an object was written and how it is tagged, not whose it is: of a state's days the most that any age
and region is given are written into its rule. It is the net under the sweep, which knows each object's own day. Of two
rules about one object, no rule deletes it sooner than the other keeps it: the rule about everything has the days of the
longest one, and any other pair is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nightlight.retention.lifecycle_conflicts import refused_pairs
from nightlight.retention.lifecycle_rule import LifecycleRule, Transition, refuse_invalid
from nightlight.store.interface import STATE_TAG
from nightlight_core.errors import LifecycleRefused

if TYPE_CHECKING:
    from nightlight.policy.retention import RetentionTable

OURS = "nightlight-"
# What retention.yaml calls a picture in use, and one that is to be erased.
LIVE, ERASED = "live", "erasure_asked"
# What no object is in: within how many days a takedown notice is carried out, and how long the audit log keeps lines
# about images that are gone. A pack that lacks the words has the default pack's days.
TAKEDOWN, TAKEDOWN_HOURS = "takedown_asked", 48.0
AUDIT, AUDIT_DAYS = "erasure_audit", 100
_UPLOAD_DAYS = 1


@dataclass(frozen=True, slots=True)
class PrefixRules:
    """Keys with days of their own: (prefix, name of the rule, days); and moves of what is live.

    ``forever`` is for the vault: what is there stays until a person ends its hold, so no rule deletes it.
    """

    named: tuple[tuple[str, str, int], ...] = ()
    moves: tuple[Transition, ...] = ()
    forever: bool = False


def wanted_rules(table: RetentionTable, prefixes: PrefixRules) -> list[LifecycleRule]:
    """Return the rules of one bucket, in order of their ids; raise LifecycleRefused where the policy cannot be one."""
    uploads = LifecycleRule(f"{OURS}uploads", abort_upload_days=_UPLOAD_DAYS)
    if prefixes.forever:
        return [uploads]
    states = tuple(word for word in table.space.attributes.get("state", ()) if word not in {TAKEDOWN, AUDIT})
    if LIVE not in states or ERASED not in states:
        raise LifecycleRefused(f"retention.yaml does not say how long '{LIVE}' and '{ERASED}' are kept")
    rules = [
        uploads,
        LifecycleRule(f"{OURS}versions", noncurrent_days=most_days(table, ERASED)),
        LifecycleRule(f"{OURS}markers", drop_delete_markers=True),
    ]
    named = [LifecycleRule(f"{OURS}{name}", prefix=prefix, expire_days=days) for prefix, name, days in prefixes.named]
    for state in states:
        tags = () if state == LIVE else ((STATE_TAG, state),)
        moves = prefixes.moves if state == LIVE else ()
        name = f"{OURS}{state.replace('_', '-')}"
        days = _longest(table, states, named) if state == LIVE else most_days(table, state)
        rules.append(LifecycleRule(name, tags=tags, expire_days=days, moves=moves))
    rules += named
    for rule in rules:
        refuse_invalid(rule)
    for sooner, keeper in refused_pairs(rules, [rule.prefix for rule in named]):
        message = f"rule {sooner.rule_id} deletes after {sooner.expire_days} days what {keeper.rule_id} keeps for "
        raise LifecycleRefused(f"{message}{keeper.expire_days}")
    return sorted(rules, key=lambda entry: entry.rule_id)


def most_days(table: RetentionTable, state: str) -> int:
    """Return the most days that anything in a state is kept."""
    axis = list(table.space.attributes).index("state")
    return int(table.days.take(table.space.attributes["state"].index(state), axis=axis).max())


def takedown_hours(table: RetentionTable) -> float:
    """Return the hours within which a takedown notice is to be carried out: the fewest of any region and band."""
    states = table.space.attributes.get("state", ())
    return table.keep_days({"state": TAKEDOWN}) * 24.0 if TAKEDOWN in states else TAKEDOWN_HOURS


def audit_days(table: RetentionTable) -> int:
    """Return how many days lines of the audit log about images that are gone are kept."""
    return most_days(table, AUDIT) if AUDIT in table.space.attributes.get("state", ()) else AUDIT_DAYS


def _longest(table: RetentionTable, states: tuple[str, ...], named: list[LifecycleRule]) -> int:
    """Return the days of the rule about everything: it is about tagged objects and about every prefix, too."""
    return max(*(most_days(table, state) for state in states), *(rule.expire_days or 0 for rule in named))
