"""One lifecycle rule of a bucket by what it means, whatever order or form it is written in.

Source: Amazon S3 API, LifecycleRule; what Ceph RGW and MinIO know of it is a part of that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from nightlight_core.errors import LifecycleRefused

MOST_RULES = 1000
# Storage classes that can be read at once, and the least days after which S3 moves there.
LEAST_DAYS = {"STANDARD_IA": 30, "ONEZONE_IA": 30, "INTELLIGENT_TIERING": 1, "GLACIER_IR": 1}


@dataclass(frozen=True, slots=True)
class Transition:
    """A transition to another storage class."""

    days: int | None
    date: str | None
    storage_class: str


@dataclass(frozen=True, slots=True)
class LifecycleRule:
    """A rule's meaning. None is for what it does not say; sizes are in bytes, dates as ``YYYY-MM-DD``.

    ``unknown`` holds what this release does not know of: such a rule is never made, and never changed.
    """

    rule_id: str
    enabled: bool = True
    prefix: str = ""
    tags: tuple[tuple[str, str], ...] = ()
    larger_than: int | None = None
    smaller_than: int | None = None
    expire_days: int | None = None
    expire_date: str | None = None
    drop_delete_markers: bool = False
    noncurrent_days: int | None = None
    noncurrent_keep: int | None = None
    abort_upload_days: int | None = None
    moves: tuple[Transition, ...] = ()
    noncurrent_moves: tuple[Transition, ...] = ()
    unknown: tuple[str, ...] = ()

    def matches(self, key: str, tags: Mapping[str, str], size: int) -> bool:
        """Say whether a rule is about an object."""
        return (
            key.startswith(self.prefix)
            and all(tags.get(name) == value for name, value in self.tags)
            and (self.larger_than is None or size > self.larger_than)
            and (self.smaller_than is None or size < self.smaller_than)
        )

    def about(self) -> str:
        """Return which objects it is about, in words."""
        words = [f"under {self.prefix}"] if self.prefix else []
        words += [f"tagged {name}={value}" for name, value in self.tags]
        words += [f"larger than {self.larger_than:,} bytes"] if self.larger_than is not None else []
        words += [f"smaller than {self.smaller_than:,} bytes"] if self.smaller_than is not None else []
        return " and ".join(words) or "everything"

    def does(self) -> str:
        """Return what it does, in words."""
        words = []
        if self.expire_days is not None:
            words.append(f"deleted {_days(self.expire_days)} after it was written")
        if self.expire_date is not None:
            words.append(f"deleted on {self.expire_date}")
        if self.noncurrent_days is not None:
            kept = f", but for the newest {self.noncurrent_keep}" if self.noncurrent_keep else ""
            words.append(f"earlier versions deleted {_days(self.noncurrent_days)} after they were replaced{kept}")
        if self.drop_delete_markers:
            words.append("delete markers without versions dropped")
        if self.abort_upload_days is not None:
            words.append(f"unfinished uploads dropped after {_days(self.abort_upload_days)}")
        words += [f"moved to {move.storage_class} after {move.days or move.date}" for move in self.moves]
        words += [f"earlier versions moved to {move.storage_class}" for move in self.noncurrent_moves]
        words += [f"something that this release does not know ({name})" for name in self.unknown]
        return "; ".join(words) or "nothing"


_KNOWN = {
    "ID", "Status", "Prefix", "Filter", "Expiration", "NoncurrentVersionExpiration", "AbortIncompleteMultipartUpload",
    "Transitions", "NoncurrentVersionTransitions",
}  # fmt: skip
_KNOWN_FILTER = {"Prefix", "Tag", "And", "ObjectSizeGreaterThan", "ObjectSizeLessThan"}
_KNOWN_AND = {"Prefix", "Tags", "ObjectSizeGreaterThan", "ObjectSizeLessThan"}


def read_rule(raw: Mapping[str, Any]) -> LifecycleRule:
    """Return the meaning of a rule as boto3 gives it."""
    rule_filter = raw.get("Filter") or {}
    both = rule_filter.get("And") or {}
    tags = [rule_filter["Tag"]] if "Tag" in rule_filter else both.get("Tags", [])
    expiration = raw.get("Expiration") or {}
    noncurrent = raw.get("NoncurrentVersionExpiration") or {}
    upload = raw.get("AbortIncompleteMultipartUpload") or {}
    unknown = [*(raw.keys() - _KNOWN), *(rule_filter.keys() - _KNOWN_FILTER), *(both.keys() - _KNOWN_AND)]
    return LifecycleRule(
        rule_id=str(raw.get("ID", "")),
        enabled=raw.get("Status") == "Enabled",
        prefix=raw.get("Prefix") or rule_filter.get("Prefix") or both.get("Prefix") or "",
        tags=tuple(sorted((tag["Key"], tag["Value"]) for tag in tags)),
        larger_than=_either(rule_filter, both, "ObjectSizeGreaterThan"),
        smaller_than=_either(rule_filter, both, "ObjectSizeLessThan"),
        expire_days=expiration.get("Days"),
        expire_date=_date(expiration.get("Date")),
        drop_delete_markers=bool(expiration.get("ExpiredObjectDeleteMarker", False)),
        noncurrent_days=noncurrent.get("NoncurrentDays"),
        noncurrent_keep=noncurrent.get("NewerNoncurrentVersions") or None,
        abort_upload_days=upload.get("DaysAfterInitiation"),
        moves=_moves(raw.get("Transitions") or [], "Days"),
        noncurrent_moves=_moves(raw.get("NoncurrentVersionTransitions") or [], "NoncurrentDays"),
        unknown=tuple(sorted(unknown)),
    )


def write_rule(rule: LifecycleRule) -> dict[str, Any]:
    """Return a rule as boto3 takes it."""
    raw: dict[str, Any] = {
        "ID": rule.rule_id,
        "Status": "Enabled" if rule.enabled else "Disabled",
        "Filter": _filter(rule),
    }
    expiration: dict[str, Any] = {}
    if rule.expire_days is not None:
        expiration["Days"] = rule.expire_days
    if rule.drop_delete_markers:
        expiration["ExpiredObjectDeleteMarker"] = True
    if expiration:
        raw["Expiration"] = expiration
    if rule.noncurrent_days is not None:
        raw["NoncurrentVersionExpiration"] = {"NoncurrentDays": rule.noncurrent_days}
    if rule.abort_upload_days is not None:
        raw["AbortIncompleteMultipartUpload"] = {"DaysAfterInitiation": rule.abort_upload_days}
    if rule.moves:
        raw["Transitions"] = [{"Days": move.days, "StorageClass": move.storage_class} for move in rule.moves]
    return raw


def refuse_invalid(rule: LifecycleRule) -> None:
    """Raise LifecycleRefused for a rule of ours that S3 would not take, or would take for another."""
    days = (rule.expire_days, rule.noncurrent_days, rule.abort_upload_days)
    wrong = None
    if any(number is not None and number < 1 for number in days):
        wrong = "days are whole numbers from 1"
    elif rule.tags and (rule.abort_upload_days is not None or rule.drop_delete_markers):
        wrong = "a filter by tags cannot be about unfinished uploads or delete markers: they have no tags"
    elif rule.drop_delete_markers and rule.expire_days is not None:
        wrong = "delete markers are dropped by a rule of their own"
    elif all(number is None for number in days) and not rule.drop_delete_markers:
        wrong = "it does nothing"
    elif any(_wrong_move(number, rule.expire_days) for number in rule.moves):
        wrong = (
            f"a move is to {', '.join(LEAST_DAYS)}, which are read at once, after S3's least days and before deletion"
        )
    elif rule.expire_date is not None or rule.noncurrent_keep or rule.noncurrent_moves or rule.unknown:
        wrong = "it asks for what the policy cannot say"
    elif rule.larger_than is not None or rule.smaller_than is not None:
        wrong = "Ceph drops filters by size without a word, and the rule is then about everything"
    if wrong is not None:
        raise LifecycleRefused(f"rule {rule.rule_id}: {wrong}")


def _wrong_move(move: Transition, expire_days: int | None) -> bool:
    least = LEAST_DAYS.get(move.storage_class)
    after = move.days
    return least is None or after is None or after < least or (expire_days is not None and after >= expire_days)


def _filter(rule: LifecycleRule) -> dict[str, Any]:
    tags = [{"Key": name, "Value": value} for name, value in rule.tags]
    if len(tags) > 1 or (tags and rule.prefix):
        return {"And": {**({"Prefix": rule.prefix} if rule.prefix else {}), "Tags": tags}}
    return {"Tag": tags[0]} if tags else {"Prefix": rule.prefix}


def _either(rule_filter: Mapping[str, Any], both: Mapping[str, Any], name: str) -> int | None:
    value = rule_filter.get(name, both.get(name))
    return int(value) if value is not None else None


def _date(value: object) -> str | None:
    if isinstance(value, datetime):
        return value.date().isoformat()
    return str(value)[:10] if value else None


def _moves(raw: list[Mapping[str, Any]], days: str) -> tuple[Transition, ...]:
    transitions = [
        Transition(entry.get(days), _date(entry.get("Date")), str(entry.get("StorageClass", ""))) for entry in raw
    ]
    return tuple(sorted(transitions, key=lambda entry: (entry.days or 0, entry.storage_class)))


def _days(count: int) -> str:
    return "1 day" if count == 1 else f"{count:,} days"
