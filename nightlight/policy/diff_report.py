"""A difference as a table for a pull request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nightlight.policy.changes import LISTS, SECTIONS

if TYPE_CHECKING:
    from nightlight.policy.changes import Change, Difference


def markdown(difference: Difference) -> str:
    """Return the difference in Markdown."""
    if difference.same:
        return "### Policy: nothing changes for anybody\n"
    verdict = "**safety must approve**" if difference.opens else "nothing opens"
    lines = [f"### Policy: {verdict}", ""]
    for name, title in SECTIONS.items():
        changes: tuple[Change, ...] = getattr(difference, name)
        if changes:
            lines += [f"#### {title}", "", "| | where | before | after | weaker | combinations | views a day |"]
            lines.append("| --- | --- | --- | --- | --- | ---: | ---: |")
            lines += [_row(change) for change in changes]
            lines.append("")
    for name, title in LISTS.items():
        if entries := getattr(difference, name):
            lines += [f"#### {title}", "", *(f"- {_escaped(entry)}" for entry in entries), ""]
    if difference.forecast is not None:
        lines += [f"Rendering: {difference.forecast}.", ""]
    lines.append(
        f"`{difference.old_digest[:12]}` to `{difference.new_digest[:12]}`, difference `{difference.digest[:12]}`"
    )
    return "\n".join(lines) + "\n"


def _row(change: Change) -> str:
    views = "" if change.views_a_day is None else f"{change.views_a_day:,.0f}"
    kind = f"**{change.kind.value}**" + (" (safety)" if change.safety and change.kind.value != "OPENS" else "")
    weaker = ", ".join(change.fields) if change.kind.value == "OPENS" else ""
    cells = (change.place, change.before, change.after, weaker)
    return f"| {kind} | {' | '.join(map(_escaped, cells))} | {change.count:,} | {views} |"


def _escaped(text: str) -> str:
    """Return text that ends no cell and starts no markup."""
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
