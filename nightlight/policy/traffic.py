"""How often each combination was decided, as exported from production: counts, and no identities.

The file is JSON: ``{"format": "policy-traffic/1", "days": 7.0, "attributes": ["subject_age", ...],
"cells": {"adult,self,...": 12345, ...}}``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nightlight_core.errors import PolicyRefused
from nightlight_core.files import read_text

if TYPE_CHECKING:
    from pathlib import Path

    from nightlight.policy.combinations import CombinationSpace

FORMAT = "policy-traffic/1"
MAX_BYTES = 50_000_000


@dataclass(frozen=True, slots=True)
class Traffic:
    """Counts by combination over some days."""

    days: float
    attributes: tuple[str, ...]
    cells: dict[tuple[str, ...], int]

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

    def to_json(self) -> dict[str, Any]:
        """Return the traffic as the file holds them."""
        cells = {",".join(words): count for words, count in sorted(self.cells.items())}
        return {"format": FORMAT, "days": self.days, "attributes": list(self.attributes), "cells": cells}


def read_traffic(path: Path) -> Traffic:
    """Return the traffic in a file; raise PolicyRefused if it is not one."""
    try:
        plain = json.loads(read_text(path, most=MAX_BYTES))
        attributes = tuple(str(name) for name in plain["attributes"])
        cells = {tuple(str(key).split(",")): int(count) for key, count in plain["cells"].items()}
        traffic = Traffic(float(plain["days"]), attributes, cells)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        message = (
            f"{path} does not hold traffic ({type(error).__name__}); export them with `nightlight policy counters`"
        )
        raise PolicyRefused(message) from error
    wrong = any(len(words) != len(traffic.attributes) for words in traffic.cells)
    if plain.get("format") != FORMAT or traffic.days <= 0 or wrong or any(n < 0 for n in traffic.cells.values()):
        raise PolicyRefused(f"{path} does not hold traffic of the form {FORMAT}")
    return traffic
