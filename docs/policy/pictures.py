"""Pictures of the default pack for the guide: who sees what, and how ceilings meet. Drawn from the compiled pack.

python docs/policy/pictures.py
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from nightlight import one_thread  # noqa: F401 - before numpy is imported

# isort: split

from nightlight.policy.compile import compile_folder
from nightlight.policy.explain import explain

if TYPE_CHECKING:
    from nightlight.policy.compile import Compiled

ROOT = Path(__file__).parents[2]
IMAGES = Path(__file__).parent / "images"

# What the pictures say nothing else about.
USUAL = {
    "assurance": "verified",
    "region": "eu",
    "viewer": "adult",
    "context": "profile",
    "choice": "connections",
    "report_flag": "clear",
}
VIEWERS = {
    "the owner": {"relation": "self"},
    "a guardian": {"relation": "guardian"},
    "a connection whose age is assured": {"relation": "connection"},
    "a connection whose age is not assured": {"relation": "connection", "viewer": "unverified"},
    "a stranger whose age is assured": {"relation": "stranger"},
    "a stranger whose age is not assured": {"relation": "stranger", "viewer": "unverified"},
    "somebody who is not signed in": {"relation": "stranger", "viewer": "signed_out"},
    "somebody who is blocked": {"relation": "blocked"},
}
STRANGER = {"subject_age": "age_13_15", "relation": "stranger", "region": "in", "viewer": "peer"}

# From nothing to everything; each with a text that is dark or light enough to be read on it.
COLOURS = {
    "none": ("#2d3142", "#ffffff"),
    "tiny": ("#4f6d9b", "#ffffff"),
    "low": ("#8fb3d9", "#10131c"),
    "medium": ("#cfe3f5", "#10131c"),
    "full": ("#fff3c4", "#10131c"),
}
CELL, ROW, LABEL, TOP = 108, 30, 300, 58
FONT = 'font-family="sans-serif" font-size="14"'


def grid(title: str, columns: Sequence[str], rows: Sequence[tuple[str, Sequence[str]]]) -> str:
    """Return a table as SVG: a title, the columns' names, and rows of tiers, with "" for an empty cell."""
    width, height = LABEL + CELL * len(columns) + 12, TOP + ROW * len(rows) + 12
    size = f'width="{width}" height="{height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" {size} {FONT}>',
        f'<rect {size} fill="#ffffff"/>',
        _text(12, 22, title, weight="bold"),
    ]
    parts += [_text(LABEL + CELL * place + CELL // 2, 46, name, anchor="middle") for place, name in enumerate(columns)]
    for number, (label, tiers) in enumerate(rows):
        top = TOP + ROW * number
        parts.append(_text(12, top + 19, label))
        for place, tier in enumerate(tiers):
            if tier:
                fill, ink = COLOURS[tier]
                left = LABEL + CELL * place
                parts.append(
                    f'<rect x="{left}" y="{top}" width="{CELL - 3}" height="{ROW - 3}" rx="3" fill="{fill}" '
                    'stroke="#9aa3b5"/>'
                )
                parts.append(_text(left + CELL // 2 - 1, top + 19, tier, anchor="middle", fill=ink))
    return "\n".join([*parts, "</svg>", ""])


def _text(left: int, base: int, text: str, *, anchor: str = "start", fill: str = "#10131c", weight: str = "") -> str:
    bold = f' font-weight="{weight}"' if weight else ""
    return f'<text x="{left}" y="{base}" text-anchor="{anchor}" fill="{fill}"{bold}>{escape(text)}</text>'


def tier(compiled: Compiled, **words: str) -> str:
    """Return what a combination is shown; an attribute that nobody names here has its last word."""
    last = {name: listed[-1] for name, listed in compiled.space.attributes.items()}
    return compiled.table.decide({**last, **USUAL, **words}).tier


def who_sees_what(compiled: Compiled) -> str:
    """Return the grid of viewers by ages, for a profile page in the EU."""
    ages = compiled.space.attributes["subject_age"]
    columns = [{"subject_age": age} for age in ages] + [{"subject_age": "adult", "choice": "everyone"}]
    rows = [(viewer, [tier(compiled, **column, **words) for column in columns]) for viewer, words in VIEWERS.items()]
    title = "A profile page in the EU; the age is assured; the owner chose connections, in the last column everyone"
    return grid(title, [*ages, "public adult"], rows)


def strangers_by_region(compiled: Compiled) -> str:
    """Return the grid of regions by contexts, for strangers and profiles that are not public.

    Raises ValueError if it depends on the age: then the picture would have to say so.
    """
    ages, contexts = compiled.space.attributes["subject_age"], compiled.space.attributes["context"]
    rows = []
    for region in compiled.space.attributes["region"]:
        words = {"relation": "stranger", "region": region}
        tiers = [{tier(compiled, subject_age=age, context=context, **words) for age in ages} for context in contexts]
        if any(len(by_age) > 1 for by_age in tiers):
            raise ValueError(f"{region}: strangers see ages apart")
        rows.append((region, [by_age.pop() for by_age in tiers]))
    return grid("What an adult stranger sees of a profile that is not public, whatever its age", contexts, rows)


def ceilings(compiled: Compiled) -> str:
    """Return the grid of the rules that apply to one combination, each filled up to its ceiling."""
    tiers = compiled.pack.vocabulary.outcomes.tier
    last = {name: listed[-1] for name, listed in compiled.space.attributes.items()}
    explained = explain(compiled, {**last, **USUAL, **STRANGER})
    caps = [(f"rule {rule.rule}", str(rule.caps["tier"])) for rule in explained.applied if "tier" in rule.caps]
    rows = [(name, tiers[: tiers.index(cap) + 1]) for name, cap in [*caps, ("what is shown", explained.most.tier)]]
    return grid("A stranger looks at somebody of 13 to 15 in India: the lowest ceiling wins", [""] * len(tiers), rows)


DRAWINGS = {"who-sees-what": who_sees_what, "strangers-by-region": strangers_by_region, "ceilings": ceilings}


def main() -> None:
    """Draw every picture of the guide."""
    IMAGES.mkdir(exist_ok=True)
    compiled = compile_folder(ROOT / "policies")
    for name, draw in DRAWINGS.items():
        (IMAGES / f"{name}.svg").write_text(draw(compiled), "utf-8")


if __name__ == "__main__":
    main()
