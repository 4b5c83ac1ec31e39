"""What changes between two packs, for everybody: every combination, recipe and retention that differs.

The packs may have different vocabularies. They are laid over the union of both: a word that a pack does not
know gives ``none`` there, as it does when it is running; an attribute that it does not have does not matter.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np

from nightlight.policy.combinations import CombinationSpace
from nightlight.policy.compile import FIELDS
from nightlight.policy.summarise import summarise

if TYPE_CHECKING:
    from nightlight.policy.compile import Compiled
    from nightlight.policy.traffic import Traffic


class ChangeKind(StrEnum):
    """Which way a change goes: OPENS if anything of it shows more, keeps longer or marks less."""

    OPENS = "OPENS"
    CLOSES = "CLOSES"
    CHANGES = "CHANGES"


@dataclass(frozen=True, slots=True)
class Change:
    """One sentence: which way, where, from what to what, in how many combinations (and views a day)."""

    kind: ChangeKind
    where: str
    before: str
    after: str
    count: int
    views_a_day: float | None = None

    def __str__(self) -> str:
        """Return the line that a person reads."""
        views = "" if self.views_a_day is None else f", {self.views_a_day:,.0f} views a day"
        return f"{self.kind.value:<7} {self.where}: {self.before} -> {self.after} ({self.count:,} combinations{views})"


@dataclass(frozen=True, slots=True)
class Difference:
    """Everything that differs, OPENS first; ``digest`` is what a safety approval signs."""

    old_digest: str
    new_digest: str
    old_checks: str
    new_checks: str
    outcomes: tuple[Change, ...]
    recipes: tuple[Change, ...]
    retention: tuple[Change, ...]
    checks: tuple[str, ...]

    @property
    def changes(self) -> tuple[Change, ...]:
        """Return all changes of outcomes, recipes and retention."""
        return self.outcomes + self.recipes + self.retention

    @property
    def opens(self) -> bool:
        """Say whether anything opens, or a check was taken out or changed: then safety must approve."""
        return bool(self.checks) or any(change.kind is ChangeKind.OPENS for change in self.changes)

    @property
    def same(self) -> bool:
        """Say whether nothing differs."""
        return not self.changes and not self.checks

    @property
    def digest(self) -> str:
        """Return a SHA-256, in hexadecimal, of the whole difference, both policies' digests and what both check."""
        plain = json.dumps(self.to_json(with_digest=False), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(plain.encode()).hexdigest()

    def to_json(self, *, with_digest: bool = True) -> dict[str, Any]:
        """Return the difference as plain values."""
        plain: dict[str, Any] = {
            "old_digest": self.old_digest,
            "new_digest": self.new_digest,
            "old_checks": self.old_checks,
            "new_checks": self.new_checks,
            "opens": self.opens,
            "outcomes": [asdict(change) for change in self.outcomes],
            "recipes": [asdict(change) for change in self.recipes],
            "retention": [asdict(change) for change in self.retention],
            "checks": list(self.checks),
        }
        for change in (*plain["outcomes"], *plain["recipes"], *plain["retention"]):
            change.pop("views_a_day") if not with_digest else None
        return {**plain, "digest": self.digest} if with_digest else plain


def diff(old: Compiled, new: Compiled, traffic: Traffic | None = None) -> Difference:
    """Return what differs from ``old`` to ``new``; ``traffic`` adds views a day to each sentence."""
    return Difference(
        old.table.digest,
        new.table.digest,
        _digest_of(_checked(old)),
        _digest_of(_checked(new)),
        tuple(_outcomes(old, new, traffic)),
        tuple(_recipes(old, new)),
        tuple(_retention(old, new)),
        tuple(_checks(old, new)),
    )


def _ordered(changes: list[Change]) -> list[Change]:
    rank = {ChangeKind.OPENS: 0, ChangeKind.CLOSES: 1, ChangeKind.CHANGES: 2}
    return sorted(changes, key=lambda change: (rank[change.kind], -change.count, change.where))


def _union(old: CombinationSpace, new: CombinationSpace) -> CombinationSpace:
    attributes: dict[str, tuple[str, ...]] = {}
    for name in (*new.attributes, *(name for name in old.attributes if name not in new.attributes)):
        words = new.attributes.get(name, ())
        attributes[name] = (*words, *(word for word in old.attributes.get(name, ()) if word not in words))
    groups = {name: {**old.groups.get(name, {}), **new.groups.get(name, {})} for name in attributes}
    return CombinationSpace(attributes, groups)


def _laid_over(
    space: CombinationSpace, union: CombinationSpace, values: np.ndarray[Any, Any], missing: int
) -> np.ndarray[Any, Any]:
    """Return ``values`` over the union: ``missing`` for unknown words, repeated along unknown attributes."""
    order = [name for name in union.attributes if name in space.attributes]
    laid = np.transpose(values, [space.axis(name) for name in order])
    for number, (name, words) in enumerate(union.attributes.items()):
        if name not in space.attributes:
            laid = np.repeat(np.expand_dims(laid, number), len(words), axis=number)
            continue
        known = space.attributes[name]
        picked = np.take(laid, [known.index(word) if word in known else 0 for word in words], axis=number)
        unknown = [position for position, word in enumerate(words) if word not in known]
        np.moveaxis(picked, number, 0)[unknown] = missing
        laid = picked
    return laid


def _scale(old: Sequence[Any], new: Sequence[Any], *, numbers: bool) -> list[Any]:
    """Return one order, most protective first, that holds the values of both packs."""
    if numbers:
        return sorted({*old, *new})
    merged = list(new)
    for position, value in enumerate(old):
        if value not in merged:
            before = [merged.index(other) for other in old[:position] if other in merged]
            merged.insert(max(before, default=-1) + 1, value)
    return merged


def _outcomes(old: Compiled, new: Compiled, traffic: Traffic | None) -> list[Change]:
    union = _union(old.space, new.space)
    scales = {}
    sides: list[dict[str, np.ndarray[Any, Any]]] = [{}, {}]
    for field in FIELDS:
        values = [getattr(compiled.pack.vocabulary.outcomes, field) for compiled in (old, new)]
        scales[field] = _scale(*values, numbers=field != "tier")
        for side, compiled, own in zip(sides, (old, new), values, strict=True):
            mapped = np.array([scales[field].index(value) for value in own], dtype=np.uint8)[compiled.ranks[field]]
            side[field] = _laid_over(compiled.space, union, mapped, 0)
    impossible = _laid_over(old.space, union, old.impossible, 1) & _laid_over(new.space, union, new.impossible, 1)
    packed = [
        side["tier"].astype(np.uint32) << 16 | side["cache_s"].astype(np.uint32) << 8 | side["per_hour"]
        for side in sides
    ]
    counts = traffic.over(union) if traffic else None
    changes = []
    pairs = packed[0].astype(np.uint64) << np.uint64(32) | packed[1]
    differing = packed[0] != packed[1]
    for pair in np.unique(pairs[differing]):
        cells = differing & (pairs == pair)
        before, after = int(pair) >> 32, int(pair) & 0xFFFFFFFF
        kind = ChangeKind.OPENS if _any_higher(before, after) else ChangeKind.CLOSES
        for sentence in summarise(union, cells, impossible=impossible):
            views = None
            if counts is not None:
                inside = union.region(sentence.words) & cells
                views = float(counts[inside].sum())
            before_and_after = _sentence(scales, before), _sentence(scales, after)
            changes.append(Change(kind, sentence.text, *before_and_after, sentence.count, views))
    return _ordered(changes)


def _any_higher(before: int, after: int) -> bool:
    return any(after >> shift & 0xFF > before >> shift & 0xFF for shift in (16, 8, 0))


def _sentence(scales: Mapping[str, Sequence[Any]], packed: int) -> str:
    tier = scales["tier"][packed >> 16]
    if tier == "none":
        return "none"
    return f"{tier}, {scales['cache_s'][packed >> 8 & 0xFF]} s, {scales['per_hour'][packed & 0xFF]}/h"


# For recipe fields that are words, the order from most protective to most open.
_PROTECTIVE_ORDER = {
    "visible_watermark": ["strong", "clear", "faint", "none"],
    "invisible_watermark": ["required", "best_effort", "none"],
    "provenance": ["embedded", "sidecar", "none"],
}
# A mark that may cost less, and fewer variants: a leak is traced less well.
_LARGER_OPENS = frozenset({"edge", "face_px", "max_bytes", "quality", "reidentification_at_most", "psnr_at_least"})
_SMALLER_OPENS = frozenset({"variants"})


def _recipes(old: Compiled, new: Compiled) -> list[Change]:
    changes = []
    before, after = old.pack.tiers.tiers, new.pack.tiers.tiers
    for name in dict.fromkeys((*before, *after)):
        if name not in before or name not in after:
            before_and_after = ("no recipe", "a recipe") if name in after else ("a recipe", "no recipe")
            changes.append(Change(ChangeKind.CHANGES, f"tier {name}", *before_and_after, 1))
            continue
        left, right = before[name].model_dump(), after[name].model_dump()
        for field in left:
            if left[field] != right[field]:
                kind = _recipe_kind(field, left[field], right[field])
                changes.append(Change(kind, f"tier {name}, {field}", str(left[field]), str(right[field]), 1))
    return _ordered(changes)


def _recipe_kind(field: str, before: Any, after: Any) -> ChangeKind:
    if field in _LARGER_OPENS:
        unlimited = float("inf")
        left, right = (unlimited if value is None else value for value in (before, after))
        return ChangeKind.OPENS if right > left else ChangeKind.CLOSES
    if field in _SMALLER_OPENS:
        return ChangeKind.OPENS if after < before else ChangeKind.CLOSES
    order = _PROTECTIVE_ORDER.get(field)
    if order is None:
        return ChangeKind.CHANGES
    return ChangeKind.OPENS if order.index(after) > order.index(before) else ChangeKind.CLOSES


def _retention(old: Compiled, new: Compiled) -> list[Change]:
    union = _union(old.retention.space, new.retention.space)
    before = _laid_over(old.retention.space, union, old.retention.days, 0)
    after = _laid_over(new.retention.space, union, new.retention.days, 0)
    changes = []
    nothing = np.zeros(union.shape, dtype=np.bool_)
    pairs = np.unique(np.stack([before[before != after], after[before != after]], axis=1), axis=0)
    for left, right in pairs:
        kind = ChangeKind.OPENS if right > left else ChangeKind.CLOSES
        summaries = summarise(union, (before == left) & (after == right), impossible=nothing)
        before_and_after = f"kept {left} days", f"kept {right} days"
        changes += [Change(kind, sentence.text, *before_and_after, sentence.count) for sentence in summaries]
    return _ordered(changes)


def _checked(compiled: Compiled) -> dict[str, Any]:
    """Return what each check means, by its id: groups are written out, so that a changed group is a changed check."""
    meaning: dict[str, Any] = {}
    for kind in ("always", "compare", "same"):
        for check in getattr(compiled.pack.checks, kind):
            plain = check.model_dump(mode="json")
            for part in ("where", "unless"):
                condition = getattr(check, part)
                plain[part] = {name: sorted(compiled.space.words(name, words)) for name, words in condition.items()}
            meaning[check.id] = {"kind": kind, **plain}
    return meaning


def _digest_of(meaning: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(meaning, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _checks(old: Compiled, new: Compiled) -> list[str]:
    """Return what happened to checks that were there: a new check can only make things stricter."""
    before, after = _checked(old), _checked(new)
    gone = [f"check '{name}' was taken out" for name in before if name not in after]
    changed = [f"check '{name}' was changed" for name in before if name in after and before[name] != after[name]]
    return sorted(gone + changed)


def markdown(difference: Difference) -> str:
    """Return the difference for a pull request."""
    if difference.same:
        return "### Policy: nothing changes for anybody\n"
    verdict = "**this opens something: safety must approve**" if difference.opens else "nothing opens"
    lines = [f"### Policy: {verdict}", ""]
    for title, changes in (
        ("Who may see what", difference.outcomes),
        ("What tiers look like", difference.recipes),
        ("How long things are kept", difference.retention),
    ):
        if changes:
            lines += [f"#### {title}", "", "| | where | before | after | combinations | views a day |"]
            lines.append("| --- | --- | --- | --- | ---: | ---: |")
            for change in changes:
                views = "" if change.views_a_day is None else f"{change.views_a_day:,.0f}"
                cells = f"{change.where} | {change.before} | {change.after} | {change.count:,} | {views}"
                lines.append(f"| **{change.kind.value}** | {cells} |")
            lines.append("")
    if difference.checks:
        lines += ["#### Checks", "", *(f"- {line}" for line in difference.checks), ""]
    lines.append(
        f"`{difference.old_digest[:12]}` to `{difference.new_digest[:12]}`, difference `{difference.digest[:12]}`"
    )
    return "\n".join(lines) + "\n"
