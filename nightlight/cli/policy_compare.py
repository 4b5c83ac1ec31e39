"""``nightlight policy``: compare two packs, and explain one combination."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table as RichTable

from nightlight.cli.files import read_bytes
from nightlight.cli.policy_options import (
    JsonFlag,
    OnOption,
    PolicyOption,
    compiled_folder,
    console,
    on_day,
    refused,
    today_utc,
)
from nightlight_core.errors import PolicyRefused
from nightlight_core.policy.table import NONE_TIER

if TYPE_CHECKING:
    from nightlight.policy.changes import Difference
    from nightlight.policy.compile import Compiled
    from nightlight_core.policy.table import Outcome

# Exit statuses of `diff`, so that a script can tell them apart; 1 and 2 are problems and misuse.
EXIT_CLOSES = 3
EXIT_OPENS = 4
WasOption = Annotated[
    list[str] | None,
    typer.Option("--was", help="A word that is written otherwise now: new=old, or old=new+new where it was split."),
]
# git answers within this, or something is wrong with the repository.
_GIT_SECONDS = 30


def diff(
    old: Annotated[str, typer.Argument(help="A folder, a bundle, or a git revision such as main:policies.")],
    new: Annotated[str, typer.Argument(help="A folder, a bundle, or a git revision.")],
    as_json: JsonFlag = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print a table for a pull request.")] = False,
    traffic: Annotated[
        Path | None, typer.Option(help="Counters from `nightlight policy counters`: adds views a day.")
    ] = None,
    was: WasOption = None,
    on: OnOption = None,
) -> None:
    """Say what changes for whom, in few sentences, OPENS first; from today on, or on the day of `--on` alone.

    Exits 0 if nothing changes, 3 if nothing of it needs the safety team, 4 if something does.
    Examples: `nightlight policy diff main:policies policies`, and with a word that was split:
    `nightlight policy diff main:policies policies --was age_16_17=age_16+age_17`
    """
    from nightlight.policy.alignment import parse_renamed, replaced_words
    from nightlight.policy.diagnostics import InvalidPolicy
    from nightlight.policy.diff import diff as compare
    from nightlight.policy.diff_report import markdown as as_markdown
    from nightlight.policy.traffic import read_traffic

    try:
        with compiled_of(old) as before, compiled_of(new) as after:
            counts = read_traffic(traffic) if traffic else None
            renamed = [*parse_renamed(was or ()), *replaced_words(before, after)]
            sides = on_day(before, on), on_day(after, on)
            difference = compare(*sides, counts, renamed=renamed, today=today_utc())
    except InvalidPolicy as error:
        refused(error, as_json=as_json)
    if as_json:
        day = {} if on is None else {"on": on.date().isoformat()}
        typer.echo(json.dumps({**difference.to_json(), **day}, indent=2))
    elif markdown:
        typer.echo(as_markdown(difference), nl=False)
    else:
        if on is not None:
            typer.echo(f"on {on.date().isoformat()}, whatever changes on other days:")
        print_difference(console(), difference)
    if difference.opens:
        raise typer.Exit(EXIT_OPENS)
    if not difference.same:
        raise typer.Exit(EXIT_CLOSES)


def explain(
    folder: PolicyOption,
    inputs: Annotated[
        list[str] | None, typer.Argument(help="attribute=word; what is left out leaves a range of answers.")
    ] = None,
    as_json: JsonFlag = False,
    on: OnOption = None,
) -> None:
    """Say what one combination gives, which rules applied, what each capped and which bound.

    By the rules of today, or of the day of `--on`. Where inputs are left out: the least and the most that is shown, and
    which of them decide.
    Example: `nightlight policy explain subject_age=age_13_15 relation=stranger region=eu`
    """
    from rich.markup import escape

    from nightlight.policy.diagnostics import InvalidPolicy
    from nightlight.policy.explain import explain as run

    try:
        compiled, day = compiled_folder(folder), (on.date() if on else today_utc()).isoformat()
        explained = run(compiled.on(day), dict(_pair(text) for text in inputs or []))
    except InvalidPolicy as error:
        refused(error, as_json=as_json)
    if as_json:
        typer.echo(json.dumps({**explained.to_json(), "on": day}, indent=2))
        return
    out = console()
    _print_day(out, day, compiled)
    for name, word in explained.given.items():
        out.print(f"  {name:<12} {word}", markup=False)
    table = RichTable(title="Rules that apply; the lowest of each column wins")
    for title in ("rule", "tier", "cache_s", "per_hour", "capture", "why"):
        table.add_column(title, overflow="fold")
    for applied in explained.applied:
        cells = []
        for field in ("tier", "cache_s", "per_hour", "capture"):
            value = applied.caps.get(field)
            cells.append("" if value is None else f"[bold]{value}[/] *" if field in applied.binds else str(value))
        table.add_row(applied.rule + ("" if applied.always else " (for some)"), *cells, escape(applied.why))
    out.print(table)
    if explained.least.rank == explained.most.rank:
        out.print(f"{_outcome_text(explained.least)}; bound by {explained.least.rule}", markup=False)
    else:
        out.print(f"between {_outcome_text(explained.least)} and {_outcome_text(explained.most)}", markup=False)
    for deciding in explained.deciding:
        out.print(f"  {deciding.attribute} decides:", markup=False)
        for word, (least, most) in deciding.words.items():
            text = _outcome_text(least)
            out.print(
                f"    {word:<12} {text if least.rank == most.rank else f'{text} to {_outcome_text(most)}'}",
                markup=False,
            )


def _print_day(out: Console, day: str, compiled: Compiled) -> None:
    if compiled.days:
        out.print(f"on {day}; the policy changes by itself on {', '.join(compiled.days)}", markup=False)


def _outcome_text(outcome: Outcome) -> str:
    if outcome.tier == NONE_TIER:
        return outcome.tier
    return f"{outcome.tier}, {outcome.cache_s} s, {outcome.per_hour}/h, capture {outcome.capture}"


def print_difference(out: Console, difference: Difference) -> None:
    """Print a difference for a person."""
    from rich.markup import escape

    from nightlight.policy.changes import LISTS, SECTIONS

    if difference.same:
        out.print("nothing changes for anybody")
        return
    colours = {"OPENS": "bold red", "CLOSES": "green", "CHANGES": "yellow"}
    for name, title in SECTIONS.items():
        changes = getattr(difference, name)
        if changes:
            out.print(f"[bold]{title}[/]")
        for change in changes:
            kind = change.kind.value
            out.print(f"  [{colours[kind]}]{kind}[/]{escape(str(change)[len(kind) :])}")
    for name, title in LISTS.items():
        for line in getattr(difference, name):
            out.print(f"  [{'bold red' if name == 'checks' else 'yellow'}]{title.upper():<7}[/] {escape(line)}")
    if difference.forecast is not None:
        out.print(f"  {difference.forecast}", markup=False)
    verdict = "safety must approve" if difference.opens else "nothing opens"
    out.print(f"{verdict}; difference {difference.digest}")


def _pair(text: str) -> tuple[str, str]:
    name, equals, word = text.partition("=")
    if not equals:
        raise PolicyRefused(f"'{text}' is not attribute=word")
    return name.strip(), word.strip()


@contextmanager
def compiled_of(name: str) -> Iterator[Compiled]:
    """Give the compiled pack of a folder, a bundle or a git revision.

    A bundle is compared by what it says, whoever signed it; activation is where signatures count.
    """
    if Path(name).is_file():
        from nightlight.policy.compile import compile_bundle
        from nightlight_core.policy.bundle import MAX_BYTES, read_unverified

        yield compile_bundle(read_unverified(read_bytes(Path(name), MAX_BYTES)))
        return
    with _source(name) as folder:
        yield compiled_folder(folder)


def version_of(name: str) -> int:
    """Return the version of a bundle; raise PolicyRefused where a folder or revision has none."""
    from nightlight_core.policy.bundle import MAX_BYTES, read_unverified

    if not Path(name).is_file():
        raise PolicyRefused(f"{name} is no bundle, so say with --version which version the approval is for")
    return read_unverified(read_bytes(Path(name), MAX_BYTES)).version


@contextmanager
def _source(name: str) -> Iterator[Path]:
    """Give the folder that ``name`` is, or that it names in a git revision, unpacked for as long as needed."""
    if Path(name).is_dir():
        yield Path(name)
        return
    revision, colon, path = name.partition(":")
    if not colon:
        raise PolicyRefused(f"'{name}' is neither a folder nor a git revision such as main:policies")
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
        output = getattr(error, "stderr", b"") or str(error).encode()
        raise PolicyRefused(f"git {arguments[0]}: {output.decode(errors='replace').strip()}") from error
    return done.stdout


def register(app: typer.Typer) -> None:
    """Add these commands to ``nightlight policy``."""
    for command in (diff, explain):
        app.command()(command)
