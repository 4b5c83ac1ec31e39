"""``nightlight policy``: check, test, mutate and describe policy packs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nightlight.cli.output import counted
from nightlight.cli.policy_options import Folder, JsonFlag, OnOption, compiled_folder, console, on_day, refused
from nightlight_core.errors import PolicyRefused
from nightlight_core.files import read_text

if TYPE_CHECKING:
    from nightlight.policy.compile import Compiled

app = typer.Typer(help="Check, prove, compare, explain and roll out policy packs.", no_args_is_help=True)


@app.command()
def check(
    folder: Folder,
    as_json: JsonFlag = False,
    on: OnOption = None,
    minors: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Share of minors on the platform, for what parity costs.")
    ] = 0.2,
) -> None:
    """Load, compile and prove a pack: every problem as file:line:column, every check over every combination.

    Where rules have dates, all of it is proved on every date, or on the day of `--on` alone.
    Exits 1 if anything is wrong. Example: `nightlight policy check policies`
    """
    from nightlight.imaging.recipe import build_recipes
    from nightlight.policy.cases import cases_on, try_cases
    from nightlight.policy.checks import failed_checks
    from nightlight.policy.diagnostics import InvalidPolicy
    from nightlight.policy.mutate import redundant

    try:
        compiled = on_day(compiled_folder(folder), on)
        build_recipes(compiled.table.tiers)
    except InvalidPolicy as error:
        refused(error, as_json=as_json)
    failures, idle = failed_checks(compiled), redundant(compiled)
    pack = compiled.pack
    day = None if on is None else on.date().isoformat()
    files = cases_on(pack.cases, day)
    wrong = [f"{source.position(path)}: {message}" for source, path, message in try_cases(files, compiled)]
    checks = len(compiled.checks)
    cases = sum(len(document.cases) for _, document in files)
    if as_json:
        answer = {
            "ok": not failures and not wrong,
            "digest": compiled.digest,
            "on": day,
            "dates": list(compiled.days),
            "combinations": len(compiled.table),
            "rules": len(pack.rules.rules),
            "checks": checks,
            "cases": cases,
            "regimes": len(pack.regimes),
            "redundant_rules": idle,
            "parity": parity_cost(compiled, minors),
            "failed_cases": wrong,
            "failures": [
                {
                    "check": failure.check,
                    "place": str(failure.position),
                    "count": failure.count,
                    "from": failure.begins or None,
                    "sentences": [{"text": s.text, "count": s.count} for s in failure.summaries],
                    "rules": failure.rules,
                }
                for failure in failures
            ],
        }
        typer.echo(json.dumps(answer, indent=2))
    else:
        for line in wrong:
            typer.echo(f"{line} [case-failed]")
        for failure in failures:
            typer.echo(str(failure))
        for rule in idle:
            typer.echo(f"warning: rule '{rule}' changes nothing that other rules do not do already [redundant-rule]")
        failing = f"{counted(len(failures), 'check')} and {counted(len(wrong), 'case')} fail"
        verdict = failing if failures or wrong else "all right"
        for line in _parity_lines(compiled, minors):
            typer.echo(line)
        rules, regimes = counted(len(pack.rules.rules), "rule"), counted(len(pack.regimes), "regime")
        counts = f"{rules}, {len(compiled.table):,} combinations, {counted(checks, 'check')}, {counted(cases, 'case')}"
        typer.echo(f"{counts}, {regimes}{f' on {day}' if day else ''}: {verdict}")
        if compiled.days:
            typer.echo(f"proved on all dates, of which each has a table of its own: {', '.join(compiled.days)}")
        typer.echo(f"policy digest {compiled.digest}")
    if failures or wrong:
        raise typer.Exit(1)


@app.command("test")
def run_tests(
    folder: Folder,
    junit: Annotated[Path | None, typer.Option(help="Write JUnit XML here, for CI.")] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Name every case.")] = False,
) -> None:
    """Try the cases of a pack; a list of words in a case stands for one case each. Exits 1 if any fails.

    Example: `nightlight policy test policies --junit cases.xml`
    """
    from rich.markup import escape

    from nightlight.policy.cases import junit as junit_xml
    from nightlight.policy.cases import run_cases
    from nightlight.policy.diagnostics import InvalidPolicy

    try:
        compiled = compiled_folder(folder)
    except InvalidPolicy as error:
        refused(error, as_json=False)
    results = list(run_cases(compiled.pack.cases, compiled))
    out = console()
    for file in dict.fromkeys(result.file for result in results):
        group = [result for result in results if result.file == file]
        if verbose:
            for result in group:
                mark = "[red]FAILED[/]" if result.failures else "[green]PASSED[/]"
                out.print(f"{escape(file)}:{result.line} {escape(result.name)} {mark}")
        else:
            marks = "".join("[red]F[/]" if result.failures else "[green].[/]" for result in group)
            out.print(f"{escape(file)} {marks}")
    failed = [result for result in results if result.failures]
    for result in failed:
        out.print(f"\n[red]{result.file}:{result.line}: {escape(result.name)}[/]")
        out.print("    " + ", ".join(f"{name}={word}" for name, word in result.given.items()), markup=False)
        for _, message in result.failures:
            out.print(f"    {message}", markup=False)
    out.print(f"\n{len(results) - len(failed)} passed, {len(failed)} failed")
    if junit is not None:
        junit.write_text(junit_xml(results), "utf-8")
    if failed:
        raise typer.Exit(1)


@app.command()
def mutate(folder: Folder, as_json: JsonFlag = False) -> None:
    """Delete and loosen every rule in turn; tell every mistake that opens something and no check would catch.

    The dates of rules are moved too: such a mistake is also caught by a case that says `on` which day.
    Exits 1 if there is any, or if the pack's own checks fail: then every mistake would seem to be caught.
    Example: `nightlight policy mutate policies`
    """
    from nightlight.policy.checks import failed_checks
    from nightlight.policy.dates import when_text
    from nightlight.policy.diagnostics import InvalidPolicy
    from nightlight.policy.mutate import mutate as run

    try:
        compiled = compiled_folder(folder)
        if failures := failed_checks(compiled):
            names = ", ".join(failure.check for failure in failures)
            message = f"mutants say nothing of a pack whose checks fail ({names}): see `nightlight policy check`"
            raise PolicyRefused(message)
        report = run(compiled)
    except InvalidPolicy as error:
        refused(error, as_json=as_json)
    if as_json:
        survivors = [
            {
                "rule": survivor.rule,
                "change": survivor.change,
                "count": survivor.count,
                "from": survivor.begins or None,
                "sentences": [summary.text for summary in survivor.summaries],
            }
            for survivor in report.survivors
        ]
        answer = {"mutants": report.mutants, "opening": report.opening, "survivors": survivors}
        typer.echo(json.dumps(answer, indent=2))
    else:
        for survivor in report.survivors:
            count = f"{survivor.count:,} combinations{when_text(survivor.begins)}"
            cases = " and no case of these days" if survivor.dated else ""
            typer.echo(f"rule '{survivor.rule}', {survivor.change}: opens {count}, no check fails{cases}")
            for summary in survivor.summaries:
                typer.echo(f"    {summary.text} ({summary.count:,})")
        typer.echo(
            f"{report.mutants} mutants, {report.opening} of them open something, "
            f"{report.opening - len(report.survivors)} caught by a check, {len(report.survivors)} not"
        )
    if report.survivors:
        raise typer.Exit(1)


@app.command()
def schema(
    folder: Annotated[Path, typer.Argument(help="The policy pack.")] = Path("policies"),
    only_check: Annotated[bool, typer.Option("--check", help="Write nothing; exit 1 if any is out of date.")] = False,
) -> None:
    """Write JSON Schemas that hold the vocabulary, so that an editor completes and checks words.

    Example: `nightlight policy schema policies`
    """
    from nightlight.policy.diagnostics import InvalidPolicy
    from nightlight.policy.load import load
    from nightlight.policy.schema import schema_text, schemas, write_schemas

    try:
        vocabulary = load(folder).vocabulary
    except InvalidPolicy as error:
        refused(error, as_json=False)
    if not only_check:
        for path in write_schemas(vocabulary, folder / "schema"):
            typer.echo(str(path))
        return
    stale = []
    for name, document in schemas(vocabulary).items():
        path = folder / "schema" / f"{name}.json"
        if not path.exists() or read_text(path) != schema_text(document):
            stale.append(path)
    for path in stale:
        typer.echo(f"{path} is out of date; run `nightlight policy schema {folder}`", err=True)
    if stale:
        raise typer.Exit(1)


def parity_cost(compiled: Compiled, minors: float) -> dict[str, float]:
    """Return, by the share of adults who stay covered, how likely a covered picture is a minor's.

    P(minor | covered) = p / (p + (1 - p) f); what some adults' choice to be public costs everybody else.
    Empty where no check of kind `same` speaks of age.
    """
    if not any(same.along == "subject_age" for same in compiled.pack.checks.same):
        return {}
    shares = (1.0, 0.8, 0.5, 0.2, 0.1)
    return {f"{share:.1f}": minors / (minors + (1 - minors) * share) if minors else 0.0 for share in shares}


def _parity_lines(compiled: Compiled, minors: float) -> list[str]:
    cost = parity_cost(compiled, minors)
    if not cost:
        return ["warning: no check of kind `same` keeps outsiders from telling who is a minor [no-parity]"]
    line = ", ".join(f"{float(share):.0%} -> {likely:.0%}" for share, likely in cost.items())
    return [f"parity: with {minors:.0%} minors, a covered picture is a minor's, by adults who stay covered: {line}"]
