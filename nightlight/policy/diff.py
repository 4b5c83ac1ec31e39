"""What changes between two packs, for everybody: whatever is shown, made, kept, checked or said otherwise than before.

::

    outcomes   what each viewer is shown of each profile, field by field, recipes included  (diff_outcomes)
    recipes    the tiers, as they are written  (diff_recipes)
    words      impossible combinations, assurance, and the order of words
    retention  how long things are kept
    checks     checks, regimes and clauses that were there: taken out, or changed from what to what  (diff_documents)
    cases      examples that were there: taken out, or changed from what to what  (diff_documents)

A weaker field anywhere OPENS, and needs the safety team; so do a check, a clause, an impossible combination or a word
that changed, and whatever destroys earlier or keeps minors' pictures longer (``Change.safety``).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from nightlight.policy.alignment import Renamed, align
from nightlight.policy.changes import Change, ChangeKind, Difference, ordered
from nightlight.policy.diff_documents import changed_cases, changed_checks, changed_words, check_meanings
from nightlight.policy.diff_outcomes import changed_outcomes
from nightlight.policy.diff_recipes import changed_recipes
from nightlight.policy.forecast import forecast
from nightlight.policy.summarise import summarise

if TYPE_CHECKING:
    from datetime import date

    from nightlight.policy.alignment import Alignment
    from nightlight.policy.compile import Compiled
    from nightlight.policy.traffic import Traffic


def diff(
    old: Compiled,
    new: Compiled,
    traffic: Traffic | None = None,
    *,
    renamed: Sequence[Renamed] = (),
    today: date | None = None,
) -> Difference:
    """Return what differs from ``old`` to ``new``, from ``today`` (UTC) on; on all dates if none is given.

    ``traffic`` adds views a day to each sentence, and to those of retention the number of objects. ``renamed`` says
    which words belong together although they are written otherwise; raises PolicyRefused where the packs have no such
    words.
    """
    alignment = align(old.space, new.space, renamed)
    day = today.isoformat() if today is not None else ""
    return Difference(
        old.digest,
        new.digest,
        _digest_of(check_meanings(old)),
        _digest_of(check_meanings(new)),
        tuple(changed_outcomes(old, new, alignment, traffic, day)),
        tuple(changed_recipes(old, new)),
        tuple(_words(old, new, alignment)),
        tuple(_retention(old, new, renamed, traffic)),
        tuple(changed_checks(old, new)),
        tuple(changed_cases(old, new)),
        forecast(old.on(day), new.on(day), alignment, traffic),
    )


def _digest_of(meaning: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(meaning, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _words(old: Compiled, new: Compiled, alignment: Alignment) -> list[Change]:
    """Return the changes of impossible combinations and of words that change answers without being rules."""
    changes = [Change(ChangeKind.CHANGES, *words, 1, safety=True) for words in changed_words(old, new)]
    before, after = alignment.before(old.impossible, 0), alignment.after(new.impossible, 0)
    known = alignment.known()
    nothing = np.zeros(alignment.space.shape, dtype=np.bool_)
    for cells, texts in (
        (known & ~before & after, ("can occur", "declared impossible")),
        (known & before & ~after, ("declared impossible", "can occur")),
    ):
        if cells.any():
            changes += [
                Change(ChangeKind.CHANGES, sentence.text, *texts, sentence.count, safety=True)
                for sentence in summarise(alignment.space, cells, impossible=nothing)
            ]
    return ordered(changes)


def _retention(old: Compiled, new: Compiled, renamed: Sequence[Renamed], traffic: Traffic | None) -> list[Change]:
    """Return what is kept longer or shorter: the first keeps minors' pictures, the second destroys earlier."""
    spaces = old.retention.space, new.retention.space
    words = {word for space in spaces for listed in space.attributes.values() for word in listed}
    fitting = [mapping for mapping in renamed if {*mapping.old, *mapping.new} <= words]
    alignment = align(*spaces, fitting)
    before, after = alignment.before(old.retention.days, 0), alignment.after(new.retention.days, 0)
    objects = traffic.objects_over(alignment) if traffic else None
    changes = []
    nothing = np.zeros(alignment.space.shape, dtype=np.bool_)
    pairs = np.unique(np.stack([before[before != after], after[before != after]], axis=1), axis=0)
    for left, right in pairs:
        kind = ChangeKind.OPENS if right > left else ChangeKind.CLOSES
        cells = (before == left) & (after == right)
        for sentence in summarise(alignment.space, cells, impossible=nothing):
            change = Change(kind, sentence.text, f"kept {left} days", f"kept {right} days", sentence.count)
            touched = None if objects is None else round(objects[cells & alignment.space.region(sentence.words)].sum())
            changes.append(replace(change, objects=touched, fields=("keep_days",), safety=True))
    return ordered(changes)
