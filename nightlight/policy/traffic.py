"""How often each combination was decided, and how many objects are kept, as exported from production.

Counts, and no identities. The file is JSON: ``{"format": "policy-traffic/1", "days": 7.0, "attributes":
["subject_age", ...], "cells": {"adult,self,...": 12345, ...}, "kept_by": ["state", "subject_age", "region"], "kept":
{"live,adult,uk": 9876, ...}, "pictures": 5000, "pictures_a_second": 5.8}``; what follows the cells may be absent.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from nightlight_core.errors import PolicyRefused
from nightlight_core.files import read_text

if TYPE_CHECKING:
    from pathlib import Path

    from nightlight.policy.alignment import Alignment
    from nightlight.policy.combinations import CombinationSpace

FORMAT = "policy-traffic/1"
MAX_BYTES = 50_000_000
# What objects are counted by, and what they were counted by before.
KEPT_BY = ("state", "subject_age", "region")
_KEPT_BY_BEFORE = ("state", "subject_age")


@dataclass(frozen=True, slots=True)
class Traffic:
    """Counts by combination over some days.

    ``kept`` has the number of objects in the buckets by the words of ``kept_by``: by state, as retention.yaml names it,
    by subject_age and by region. ``pictures`` is how many pictures are shown, ``pictures_a_second`` how fast they were
    rendered again last.
    """

    days: float
    attributes: tuple[str, ...]
    cells: dict[tuple[str, ...], int]
    kept: dict[tuple[str, ...], int] = field(default_factory=dict)
    pictures: int | None = None
    pictures_a_second: float | None = None
    kept_by: tuple[str, ...] = KEPT_BY

    def over(self, space: CombinationSpace) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Return views a day over ``space``; combinations that it does not have are left out."""
        views = np.zeros(space.shape, dtype=np.float64)
        for words, count in self.cells.items():
            given = dict(zip(self.attributes, words, strict=True))
            try:
                views[space.position(given)] += count / self.days
            except (KeyError, ValueError):
                continue
        return views

    def objects_over(self, alignment: Alignment) -> np.ndarray[Any, np.dtype[np.float64]] | None:
        """Return the numbers of objects over the common space of two retention tables.

        A word is the old table's, or the new one's where the old one does not have it. Objects of a word that stands
        twice are shared out, and so are those of an attribute that they are not counted by. Returns None where they are
        not counted by an attribute of the old table.
        """
        if not self.kept or not set(alignment.old.attributes) <= {*self.kept_by}:
            return None
        objects = np.zeros(alignment.space.shape, dtype=np.float64)
        for words, count in self.kept.items():
            given = dict(zip(self.kept_by, words, strict=True))
            share: np.ndarray[Any, np.dtype[np.float64]] = np.array(float(count))
            for name, pairs in alignment.pairs.items():
                side = 0 if any(before == given.get(name) for before, _ in pairs) else 1
                fits = np.array([name not in given or pair[side] == given[name] for pair in pairs], dtype=np.float64)
                share = np.multiply.outer(share, fits / max(fits.sum(), 1))
            objects += share
        return objects

    def to_json(self) -> dict[str, Any]:
        """Return the traffic as the file holds them."""
        cells = {",".join(words): count for words, count in sorted(self.cells.items())}
        kept = {",".join(words): count for words, count in sorted(self.kept.items())}
        head = {"format": FORMAT, "days": self.days, "attributes": list(self.attributes)}
        rendered = {"pictures": self.pictures, "pictures_a_second": self.pictures_a_second}
        return {**head, "cells": cells, "kept_by": list(self.kept_by), "kept": kept, **rendered}


def read_traffic(path: Path) -> Traffic:
    """Return the traffic in a file; raise PolicyRefused if it is not one."""
    try:
        plain = json.loads(read_text(path, most=MAX_BYTES))
        attributes = tuple(str(name) for name in plain["attributes"])
        cells = {tuple(str(key).split(",")): int(count) for key, count in plain["cells"].items()}
        kept = {tuple(str(key).split(",")): int(count) for key, count in plain.get("kept", {}).items()}
        kept_by = tuple(str(name) for name in plain.get("kept_by", _KEPT_BY_BEFORE))
        pictures, rate = plain.get("pictures"), plain.get("pictures_a_second")
        traffic = Traffic(
            float(plain["days"]),
            attributes,
            cells,
            kept,
            None if pictures is None else int(pictures),
            None if rate is None else float(rate),
            kept_by,
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        message = (
            f"{path} does not hold traffic ({type(error).__name__}); export them with `nightlight policy counters`"
        )
        raise PolicyRefused(message) from error
    wrong = any(len(words) != len(traffic.attributes) for words in traffic.cells)
    wrong = wrong or any(len(words) != len(traffic.kept_by) for words in traffic.kept)
    negative = any(count < 0 for counts in (traffic.cells, traffic.kept) for count in counts.values())
    if plain.get("format") != FORMAT or traffic.days <= 0 or wrong or negative:
        raise PolicyRefused(f"{path} does not hold traffic of the form {FORMAT}")
    return traffic
