"""The lifecycle rules that the policy's retention comes to.

A bucket knows when an object was written and how it is tagged, not whose it is: of a state's days the most that any age
and region is given are written into its rule. It is the net under the sweep, which knows each object's own day.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nightlight.retention.lifecycle_rule import LifecycleRule, Transition, refuse_invalid
from nightlight.store.interface import STATE_TAG
from nightlight_core.errors import LifecycleRefused

if TYPE_CHECKING:
    from nightlight.policy.retention import RetentionTable

OURS = "nightlight-"
# What retention.yaml calls a picture in use, and one that is to be erased.
LIVE, ERASED = "live", "erasure_asked"
# What a takedown notice names. No object is tagged so: it says by when the notice is to be carried out.
TAKEDOWN = "takedown_asked"
# Where a policy does not say: TAKE IT DOWN Act, Pub. L. 119-12, sec. 3(a)(3), 47 U.S.C. 223a.
TAKEDOWN_HOURS = 48.0
# What it calls lines of the audit log about images that are gone: no object. How long they are kept by a pack that does
# not say so.
AUDIT, AUDIT_DAYS = "erasure_audit", 100
_UPLOAD_DAYS = 1


@dataclass(frozen=True, slots=True)
class PrefixRules:
    """Keys with days of their own: (prefix, name of the rule, days); and moves of what is live."""

    named: tuple[tuple[str, str, int], ...] = ()
    moves: tuple[Transition, ...] = ()


def wanted_rules(table: RetentionTable, prefixes: PrefixRules) -> list[LifecycleRule]:
    """Return the rules of one bucket, in order of their ids; raise LifecycleRefused where the policy cannot be one."""
    states = tuple(word for word in table.space.attributes.get("state", ()) if word not in {TAKEDOWN, AUDIT})
    if LIVE not in states or ERASED not in states:
        raise LifecycleRefused(f"retention.yaml does not say how long '{LIVE}' and '{ERASED}' are kept")
    rules = [
        LifecycleRule(f"{OURS}uploads", abort_upload_days=_UPLOAD_DAYS),
        LifecycleRule(f"{OURS}versions", noncurrent_days=most_days(table, ERASED)),
        LifecycleRule(f"{OURS}markers", drop_delete_markers=True),
    ]
    for state in states:
        tags = () if state == LIVE else ((STATE_TAG, state),)
        moves = prefixes.moves if state == LIVE else ()
        name = f"{OURS}{state.replace('_', '-')}"
        # The rule of what is live is about every object, whatever its tag.
        days = max(most_days(table, word) for word in (states if state == LIVE else (state,)))
        rules.append(LifecycleRule(name, tags=tags, expire_days=days, moves=moves))
    rules += [LifecycleRule(f"{OURS}{name}", prefix=prefix, expire_days=days) for prefix, name, days in prefixes.named]
    for rule in rules:
        refuse_invalid(rule)
    return sorted(rules, key=lambda entry: entry.rule_id)


def most_days(table: RetentionTable, state: str) -> int:
    """Return the most days that anything in a state is kept."""
    axis = list(table.space.attributes).index("state")
    return int(table.days.take(table.space.attributes["state"].index(state), axis=axis).max())


def takedown_hours(table: RetentionTable) -> float:
    """Return the hours within which a takedown notice is to be carried out."""
    states = table.space.attributes.get("state", ())
    return most_days(table, TAKEDOWN) * 24.0 if TAKEDOWN in states else TAKEDOWN_HOURS


def audit_days(table: RetentionTable) -> int:
    """Return how many days lines of the audit log about images that are gone are kept."""
    return most_days(table, AUDIT) if AUDIT in table.space.attributes.get("state", ()) else AUDIT_DAYS
