"""``nightlight policy``: check, test, prove, compare, explain and roll out policy packs."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.table import Table as RichTable

from nightlight.errors import PolicyRefused

if TYPE_CHECKING:
    from nightlight.policy.compile import Compiled
    from nightlight.policy.diff import Difference
    from nightlight.policy.problems import PolicyProblems

app = typer.Typer(help="Check, prove, compare, explain and roll out policy packs.", no_args_is_help=True)

Folder = Annotated[Path, typer.Argument(help="The policy pack.")]
JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
DEFAULT = Path("policies")

# Exit statuses of `diff`, so that a script can tell them apart; 1 and 2 are problems and misuse.
EXIT_CLOSES = 3
EXIT_OPENS = 4
# git answers within this, or something is wrong with the repository.
_GIT_SECONDS = 30


def console() -> Console:
    """Return a console that does not cut lines in a log or a pipe."""
    made = Console(highlight=False, soft_wrap=True)
    if not made.is_terminal:
        made.width = 120
    return made


@app.command()
def check(
    folder: Folder = DEFAULT,
    as_json: JsonFlag = False,
    minors: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Share of minors on the platform, for what parity costs.")
    ] = 0.2,
) -> None:
    """Load, compile and prove a pack: every problem as file:line:column, every check over every combination.

    Exits 1 if anything is wrong. Example: `nightlight policy check policies`
    """
    from nightlight.imaging.recipe import recipes
    from nightlight.policy.cases import try_cases
    from nightlight.policy.mutate import redundant
    from nightlight.policy.problems import PolicyProblems
    from nightlight.policy.prove import prove

    try:
        compiled = _compiled(folder)
        recipes({name: tier.model_dump() for name, tier in compiled.table.tiers.items()})
    except PolicyProblems as error:
        _refused(error, as_json=as_json)
    failures, idle = prove(compiled), redundant(compiled)
    pack = compiled.pack
    wrong = [f"{source.place(path)}: {message}" for source, path, message in try_cases(pack.cases, compiled.table)]
    checks = len(pack.checks.always) + len(pack.checks.compare) + len(pack.checks.same)
    cases = sum(len(document.cases) for _, document in pack.cases)
    if as_json:
        answer = {
            "ok": not failures and not wrong,
            "digest": compiled.table.digest,
            "combinations": len(compiled.table),
            "rules": len(pack.rules.rules),
            "checks": checks,
            "cases": cases,
            "redundant_rules": idle,
            "parity": parity_cost(compiled, minors),
            "failed_cases": wrong,
            "failures": [
                {
                    "check": failure.check,
                    "place": str(failure.place),
                    "count": failure.count,
                    "sentences": [{"text": s.text, "count": s.count} for s in failure.sentences],
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
        verdict = f"{len(failures)} checks and {len(wrong)} cases fail" if failures or wrong else "all right"
        for line in _parity_lines(compiled, minors):
            typer.echo(line)
        counts = f"{len(pack.rules.rules)} rules, {len(compiled.table):,} combinations, {checks} checks, {cases} cases"
        typer.echo(f"{counts}: {verdict}")
        typer.echo(f"policy digest {compiled.table.digest}")
    if failures or wrong:
        raise typer.Exit(1)


@app.command("test")
def run_tests(
    folder: Folder = DEFAULT,
    junit: Annotated[Path | None, typer.Option(help="Write JUnit XML here, for CI.")] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Name every case.")] = False,
) -> None:
    """Try the cases of a pack; a list of words in a case stands for one case each. Exits 1 if any fails.

    Example: `nightlight policy test policies --junit cases.xml`
    """
    from nightlight.policy.cases import junit as junit_xml
    from nightlight.policy.cases import run_cases
    from nightlight.policy.compile import compile_pack
    from nightlight.policy.load import load
    from nightlight.policy.problems import PolicyProblems

    try:
        pack = load(folder)
        compiled = compile_pack(pack)
    except PolicyProblems as error:
        _refused(error, as_json=False)
    results = list(run_cases(pack.cases, compiled.table))
    out = console()
    for file in dict.fromkeys(result.file for result in results):
        group = [result for result in results if result.file == file]
        if verbose:
            for result in group:
                mark = "[red]FAILED[/]" if result.failures else "[green]PASSED[/]"
                out.print(f"{file}:{result.line} {result.name} {mark}")
        else:
            marks = "".join("[red]F[/]" if result.failures else "[green].[/]" for result in group)
            out.print(f"{file} {marks}")
    failed = [result for result in results if result.failures]
    for result in failed:
        out.print(f"\n[red]{result.file}:{result.line}: {result.name}[/]", markup=True)
        out.print("    " + ", ".join(f"{name}={word}" for name, word in result.given.items()))
        for _, message in result.failures:
            out.print(f"    {message}", markup=False)
    out.print(f"\n{len(results) - len(failed)} passed, {len(failed)} failed")
    if junit is not None:
        junit.write_text(junit_xml(results), "utf-8")
    if failed:
        raise typer.Exit(1)


@app.command()
def mutate(folder: Folder = DEFAULT, as_json: JsonFlag = False) -> None:
    """Delete and loosen every rule in turn; tell every mistake that opens something and no check would catch.

    Exits 1 if there is any. Example: `nightlight policy mutate policies`
    """
    from nightlight.policy.mutate import mutate as run
    from nightlight.policy.problems import PolicyProblems

    try:
        report = run(_compiled(folder))
    except PolicyProblems as error:
        _refused(error, as_json=as_json)
    if as_json:
        survivors = [
            {
                "rule": survivor.rule,
                "change": survivor.change,
                "count": survivor.count,
                "sentences": [sentence.text for sentence in survivor.sentences],
            }
            for survivor in report.survivors
        ]
        answer = {"mutants": report.mutants, "opening": report.opening, "survivors": survivors}
        typer.echo(json.dumps(answer, indent=2))
    else:
        for survivor in report.survivors:
            typer.echo(
                f"rule '{survivor.rule}', {survivor.change}: opens {survivor.count:,} combinations, no check fails"
            )
            for sentence in survivor.sentences:
                typer.echo(f"    {sentence.text} ({sentence.count:,})")
        typer.echo(
            f"{report.mutants} mutants, {report.opening} of them open something, "
            f"{report.opening - len(report.survivors)} caught by a check, {len(report.survivors)} not"
        )
    if report.survivors:
        raise typer.Exit(1)


@app.command()
def diff(
    old: Annotated[str, typer.Argument(help="A folder, a bundle, or a git revision such as main:policies.")],
    new: Annotated[str, typer.Argument(help="A folder, a bundle, or a git revision.")],
    as_json: JsonFlag = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print a table for a pull request.")] = False,
    weights: Annotated[
        Path | None, typer.Option(help="Counters from `nightlight policy counters`: adds views a day.")
    ] = None,
) -> None:
    """Say what changes for whom, in few sentences, OPENS first.

    Exits 0 if nothing changes, 3 if things only close, 4 if anything opens.
    Example: `nightlight policy diff main:policies policies`
    """
    from nightlight.policy.diff import diff as compare
    from nightlight.policy.diff import markdown as as_markdown
    from nightlight.policy.problems import PolicyProblems
    from nightlight.policy.weights import read_weights

    try:
        with compiled_of(old) as before, compiled_of(new) as after:
            difference = compare(before, after, read_weights(weights) if weights else None)
    except PolicyProblems as error:
        _refused(error, as_json=as_json)
    if as_json:
        typer.echo(json.dumps(difference.to_json(), indent=2))
    elif markdown:
        typer.echo(as_markdown(difference), nl=False)
    else:
        print_difference(console(), difference)
    if difference.opens:
        raise typer.Exit(EXIT_OPENS)
    if not difference.same:
        raise typer.Exit(EXIT_CLOSES)


@app.command()
def explain(
    inputs: Annotated[list[str] | None, typer.Argument(help="attribute=word; what is left out shows least.")] = None,
    folder: Annotated[Path, typer.Option("--policy", help="The policy pack.")] = DEFAULT,
    as_json: JsonFlag = False,
) -> None:
    """Say what one combination gives, which rules applied, what each capped and which bound.

    Example: `nightlight policy explain subject_age=age_13_15 relation=stranger region=eu`
    """
    from nightlight.policy.explain import explain as run
    from nightlight.policy.problems import PolicyProblems

    try:
        explained = run(_compiled(folder), dict(_pair(text) for text in inputs or []))
    except PolicyProblems as error:
        _refused(error, as_json=as_json)
    outcome = explained.outcome
    if as_json:
        typer.echo(json.dumps(explained.to_json(), indent=2))
        return
    out = console()
    for name, word in explained.given.items():
        note = "  (missing: read as the word that shows least)" if name in explained.filled else ""
        out.print(f"  {name:<12} {word}{note}", markup=False)
    table = RichTable(title="Rules that applied; the lowest of each column wins")
    for title in ("rule", "tier", "cache_s", "per_hour", "why"):
        table.add_column(title, overflow="fold")
    for applied in explained.applied:
        cells = []
        for field in ("tier", "cache_s", "per_hour"):
            value = applied.caps.get(field)
            cells.append("" if value is None else f"[bold]{value}[/] *" if field in applied.binds else str(value))
        table.add_row(applied.rule, *cells, applied.why)
    out.print(table)
    out.print(f"{outcome.tier}, cached {outcome.cache_s} s, {outcome.per_hour} an hour; bound by {outcome.rule}")


@app.command()
def schema(
    folder: Folder = DEFAULT,
    only_check: Annotated[bool, typer.Option("--check", help="Write nothing; exit 1 if any is out of date.")] = False,
) -> None:
    """Write JSON Schemas that hold the vocabulary, so that an editor completes and checks words.

    Example: `nightlight policy schema policies`
    """
    from nightlight.policy.load import load
    from nightlight.policy.problems import PolicyProblems
    from nightlight.policy.schema import schemas, text_of, write

    try:
        vocabulary = load(folder).vocabulary
    except PolicyProblems as error:
        _refused(error, as_json=False)
    if not only_check:
        for path in write(vocabulary, folder / "schema"):
            typer.echo(str(path))
        return
    stale = []
    for name, made in schemas(vocabulary).items():
        path = folder / "schema" / f"{name}.json"
        if not path.exists() or path.read_text("utf-8") != text_of(made):
            stale.append(path)
    for path in stale:
        typer.echo(f"{path} is out of date; run `nightlight policy schema {folder}`", err=True)
    if stale:
        raise typer.Exit(1)


def print_difference(out: Console, difference: Difference) -> None:
    """Print a difference for a person."""
    if difference.same:
        out.print("nothing changes for anybody")
        return
    colours = {"OPENS": "bold red", "CLOSES": "green", "CHANGES": "yellow"}
    for title, changes in (
        ("Who may see what", difference.outcomes),
        ("What tiers look like", difference.recipes),
        ("How long things are kept", difference.retention),
    ):
        if changes:
            out.print(f"[bold]{title}[/]")
        for change in changes:
            kind = change.kind.value
            out.print(f"  [{colours[kind]}]{kind}[/]{str(change)[len(kind) :]}")
    for line in difference.checks:
        out.print(f"  [bold red]CHECKS[/]  {line}")
    verdict = "something opens: safety must approve" if difference.opens else "nothing opens"
    out.print(f"{verdict}; difference {difference.digest}")


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
    told = ", ".join(f"{float(share):.0%} -> {likely:.0%}" for share, likely in cost.items())
    return [f"parity: with {minors:.0%} minors, a covered picture is a minor's, by adults who stay covered: {told}"]


def _compiled(folder: Path) -> Compiled:
    """Compile without trying the cases: what a pack means can be asked even if a case says otherwise."""
    from nightlight.policy.compile import compile_pack
    from nightlight.policy.load import load

    return compile_pack(load(folder))


def _refused(error: PolicyProblems, *, as_json: bool) -> NoReturn:
    if as_json:
        found: list[dict[str, Any]] = [
            {
                "file": problem.place.file,
                "line": problem.place.line,
                "column": problem.place.column,
                "code": problem.code,
                "message": problem.message,
            }
            for problem in error.problems
        ]
        typer.echo(json.dumps({"ok": False, "problems": found}, indent=2))
    else:
        typer.echo(str(error), err=True)
        typer.echo(f"{len(error.problems)} problem(s); see docs/policy/errors.md", err=True)
    raise typer.Exit(1) from None


def _pair(text: str) -> tuple[str, str]:
    name, equals, word = text.partition("=")
    if not equals:
        message = f"'{text}' is not attribute=word"
        raise PolicyRefused(message)
    return name.strip(), word.strip()


@contextmanager
def compiled_of(name: str) -> Iterator[Compiled]:
    """Give the compiled pack of a folder, a bundle or a git revision.

    A bundle is compared by what it says, whoever signed it; activation is where signatures count.
    """
    if Path(name).is_file():
        from nightlight.policy.bundle import read_unverified
        from nightlight.policy.compile import compile_bundle

        yield compile_bundle(read_unverified(Path(name).read_bytes()))
        return
    with _source(name) as folder:
        yield _compiled(folder)


@contextmanager
def _source(name: str) -> Iterator[Path]:
    """Give the folder that ``name`` is, or that it names in a git revision, unpacked for as long as needed."""
    if Path(name).is_dir():
        yield Path(name)
        return
    revision, colon, path = name.partition(":")
    if not colon:
        message = f"'{name}' is neither a folder nor a git revision such as main:policies"
        raise PolicyRefused(message)
    with tempfile.TemporaryDirectory() as temporary:
        target = Path(temporary)
        for file in _git("ls-tree", "-r", "--name-only", f"{revision}:{path.strip('/')}").decode().splitlines():
            if file.endswith(".yaml"):
                (target / file).parent.mkdir(parents=True, exist_ok=True)
                (target / file).write_bytes(_git("show", f"{revision}:{path.strip('/')}/{file}"))
        yield target


def _git(*arguments: str) -> bytes:
    try:
        done = subprocess.run(  # noqa: S603 - git itself, with arguments and no shell
            ["git", "--no-pager", *arguments],  # noqa: S607 - found on the PATH, as every tool of the developer is
            capture_output=True,
            check=True,
            timeout=_GIT_SECONDS,
        )
    except (OSError, subprocess.SubprocessError) as error:
        told = getattr(error, "stderr", b"") or str(error).encode()
        raise PolicyRefused(f"git {arguments[0]}: {told.decode(errors='replace').strip()}") from error
    return done.stdout
