"""``nightlight policy comply``: how a pack meets what laws, codes and bills ask, clause by clause."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from nightlight.cli.output import counted
from nightlight.cli.policy_compare import compiled_of
from nightlight.cli.policy_options import Folder, JsonFlag, refused, today_utc

if TYPE_CHECKING:
    from nightlight.policy.comply import ClauseAnswer, ComplianceReport
    from nightlight.policy.regime_models import RegimeDocument

# Some clause that is in force is not met; 1 and 2 are problems and misuse.
EXIT_UNMET = 3


def comply(
    folder: Folder,
    on: Annotated[
        datetime | None, typer.Option("--on", formats=["%Y-%m-%d"], help="The day; today (UTC) if left out.")
    ] = None,
    regime: Annotated[list[str] | None, typer.Option("--regime", help="Only this regime; may be repeated.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Say how a pack meets what laws, codes and bills ask, clause by clause, over every combination.

    It proves the pack's own checks, and is not reviewed by counsel. A clause whose date is not known counts as if it
    were in force. Exits 0 if every clause in force is met, 3 if some are not.
    Examples: `nightlight policy comply policies`, and for one regime on another day
    `nightlight policy comply policies --on 2027-01-01 --regime us-vt-kids-code`
    """
    from nightlight.policy.comply import comply as run
    from nightlight.policy.diagnostics import InvalidPolicy

    day = on.date() if on is not None else today_utc()
    try:
        with compiled_of(str(folder)) as compiled:
            report = run(compiled, day, regime or ())
    except InvalidPolicy as error:
        refused(error, as_json=as_json)
    if as_json:
        typer.echo(json.dumps(report.to_json(), indent=2))
    else:
        typer.echo("\n".join(report_lines(report)))
    if report.unmet:
        raise typer.Exit(EXIT_UNMET)


def report_lines(report: ComplianceReport) -> list[str]:
    """Return the report in lines for a person."""
    from nightlight.policy.comply import NOT_REVIEWED
    from nightlight.policy.regimes import Force

    lines = []
    for regime, answers in report.regimes:
        lines += _regime_lines(regime)
        for answer in answers:
            lines += _clause_lines(answer)
        lines.append("")
    proved = [answer for answer in report.answers if not answer.duty]
    met = sum(answer.failure is None for answer in proved)
    later = sum(answer.force is Force.LATER for answer in report.answers)
    lines.append(
        f"on {report.day}: {counted(len(report.answers), 'clause')} of {counted(len(report.regimes), 'regime')}; "
        f"{len(proved)} are proved over {report.combinations:,} combinations: {met} met, {len(proved) - met} not; "
        f"{len(report.answers) - len(proved)} are the platform's own duty; {later} begin later"
    )
    lines.append(f"policy digest {report.digest}; {NOT_REVIEWED}")
    return lines


def _regime_lines(regime: RegimeDocument) -> list[str]:
    where = "; ".join(f"{attribute} {' or '.join(words)}" for attribute, words in regime.where.items())
    article = [f"  article: {regime.article}"] if regime.article and regime.article not in regime.source else []
    return [f"{regime.regime} ({where})", f"  source: {regime.source}", *article, f"  how sure: {regime.sure}"]


def _clause_lines(answer: ClauseAnswer) -> list[str]:
    bound, clause = answer.bound, answer.bound.clause
    if answer.duty:
        verdict = "the platform's own duty"
    elif answer.failure is None:
        verdict = f"met: check '{bound.proved_by}' holds over {answer.combinations:,} combinations"
    else:
        verdict = f"NOT MET: check '{bound.proved_by}' fails in {answer.failure.count:,} combinations"
    article = f" ({clause.article})" if clause.article and clause.article not in clause.asks else ""
    lines = [f"  {clause.id} [{_force_text(answer)}] {verdict}", f"    asks: {clause.asks}{article}"]
    if clause.reading:
        lines.append(f"    read as: {clause.reading}")
    if clause.duty:
        lines.append(f"    duty: {clause.duty}")
    if answer.failure is not None:
        lines += [f"    fails: {summary.text} ({summary.count:,})" for summary in answer.failure.summaries]
        lines.append(f"    bound by {', '.join(answer.failure.rules)}")
    return lines


def _force_text(answer: ClauseAnswer) -> str:
    """Return whether a clause is in force, with the date on which that begins or ended."""
    from nightlight.policy.regimes import Force

    begins, until = answer.bound.begins, answer.bound.until
    texts = {
        Force.ASKED: f"in force since {begins}",
        Force.LATER: f"begins {begins}",
        Force.ENDED: f"ended {until}",
        Force.UNDATED: "no date known",
    }
    return texts[answer.force]


def register(app: typer.Typer) -> None:
    """Add this command to ``nightlight policy``."""
    app.command()(comply)
