"""``nightlight report``: the transparency report of a period, as a page, a table and data."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nightlight.cli.output import logged_settings, print_json, write_csv

if TYPE_CHECKING:
    from nightlight.flows.report import TransparencyReport

_DAYS = 90


def report(
    since: Annotated[datetime | None, typer.Option(help="The first day (UTC); 90 days before --until.")] = None,
    until: Annotated[datetime | None, typer.Option(help="The day after the last (UTC); tomorrow by default.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for report.html, report.csv and report.json.")] = Path("report"),
    takedown_hours: Annotated[
        float | None, typer.Option(min=0.01, help="Deadline of takedowns, in hours; the policy's by default.")
    ] = None,
    threshold: Annotated[int | None, typer.Option(min=1, help="Counts below it are not told; the setting's.")] = None,
    buckets: Annotated[bool, typer.Option("--buckets/--no-buckets", help="Look at the buckets for drift.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON and write nothing.")] = False,
) -> None:
    """Write the transparency report: decisions by tier and age band, openings, erasures, takedowns, drift, failures.

    The page needs the extra `nightlight[report]`. Settings come from NIGHTLIGHT_* as for `nightlight lifecycle`.
    Example: `nightlight report --since 2026-10-01 --until 2027-01-01 --out q4`
    """
    from nightlight.wiring.bucket_lifecycle import open_report

    tomorrow = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    end = until.replace(tzinfo=UTC) if until is not None else tomorrow
    begin = since.replace(tzinfo=UTC) if since is not None else end - timedelta(days=_DAYS)
    with open_report(logged_settings(), threshold=threshold, buckets=buckets) as flow:
        transparency = flow.make(begin, end, hours=takedown_hours)
    if as_json:
        print_json(plain(transparency))
        return
    from nightlight.cli.report_page import page

    out.mkdir(parents=True, exist_ok=True)
    (out / "report.json").write_text(json.dumps(plain(transparency), indent=2) + "\n", "utf-8")
    write_csv(out / "report.csv", ("section", "what", "value"), rows(transparency))
    (out / "report.html").write_text(page(transparency), "utf-8")
    typer.echo(f"{out / 'report.html'}, report.csv and report.json")


def plain(transparency: TransparencyReport) -> dict[str, Any]:
    """Return a report in plain values."""
    values = asdict(transparency)
    values["days"] = {day.isoformat(): count for day, count in transparency.days.items()}
    values["cells"] = [cell._asdict() for cell in transparency.cells]
    values |= {name: getattr(transparency, name)._asdict() for name in ("erasures", "takedowns")}
    values |= {name: getattr(transparency, name).isoformat() for name in ("since", "until", "made_at")}
    return values


def rows(transparency: TransparencyReport) -> Iterator[tuple[str, str, Any]]:
    """Yield (section, what, value) of a report; a value that is not told is empty, as it is null in JSON."""
    yield "period", "since", transparency.since.date().isoformat()
    yield "period", "until", transparency.until.date().isoformat()
    yield "decisions", "all", transparency.decisions
    for cell in transparency.cells:
        yield "decisions by tier and band", f"{cell.tier} {cell.band}", cell.decisions
    yield "decisions by tier and band", "withheld", transparency.withheld
    yield "decisions", "share about an unknown age", transparency.unknown_share
    for day, count in transparency.days.items():
        yield "decisions by day", day.isoformat(), count
    for opened in transparency.opens:
        yield "opens approved", opened["at"], str(opened.get("approved_by", ""))
    for name, times in (("erasures", transparency.erasures), ("takedowns", transparency.takedowns)):
        for what, value in times._asdict().items():
            yield name, what, value
    yield "erasures", "receipts", transparency.receipts
    for section in ("notices", "holds", "swept", "uploads", "failures"):
        for what, value in getattr(transparency, section).items():
            yield section, what, value
    for where, sentences in transparency.drift.items():
        for sentence in sentences or ["none"]:
            yield "drift", where, sentence
