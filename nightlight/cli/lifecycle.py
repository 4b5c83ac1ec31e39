"""``nightlight lifecycle``: what buckets do by themselves, from retention.yaml."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from nightlight.retention.lifecycle_plan import Action, Plan, Step
from nightlight.settings import Settings

if TYPE_CHECKING:
    from nightlight.flows.retention.lifecycle import Late, Lifecycle, Touched

app = typer.Typer(
    help="Lifecycle rules of the buckets, from retention.yaml. Settings come from NIGHTLIGHT_* as for a worker; the "
    "identity of NIGHTLIGHT_STORE_ACCESS_KEY_ID must be one that may read and change the buckets' rules.",
    no_args_is_help=True,
)
DIFFERS = 2
_LOOK_S = 0.2
_MARKS = {Step.ADD: "+", Step.CHANGE: "~", Step.REMOVE: "-", Step.KEEP: " ", Step.FOREIGN: "?"}

Buckets = Annotated[
    list[str] | None, typer.Option("--bucket", help="Only this bucket (again for another); both by default.")
]
JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
CountFlag = Annotated[bool, typer.Option("--count/--no-count", help="Count the objects that rules are about.")]


@app.command("plan")
def plan_(bucket: Buckets = None, count: CountFlag = True, as_json: JsonFlag = False) -> None:
    """Show what `apply` would do: rules added, changed and removed, whom they are about, and rules of somebody else.

    Exits with 2 if there is something to do. Example: `nightlight lifecycle plan --no-count`
    """
    from nightlight.wiring import lifecycle

    with lifecycle(Settings()) as flow:
        made = [flow.plan(name) for name in bucket or flow.buckets]
        touched = {one.bucket: _touched(flow, one) if count else [] for one in made}
    if as_json:
        typer.echo(json.dumps([_plain(one, touched[one.bucket]) for one in made], indent=2))
    else:
        for one in made:
            _print(one, touched[one.bucket])
    raise typer.Exit(DIFFERS if any(one.changes for one in made) else 0)


@app.command()
def apply(
    bucket: Buckets = None,
    count: CountFlag = True,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    actor: Annotated[str, typer.Option(help="Who does this, for the audit log.")] = "operator",
) -> None:
    """Make the buckets' rules what the policy says. Rules of somebody else stay; a failure leaves all as it was.

    Example: `nightlight lifecycle apply --bucket nightlight-originals --yes`
    """
    from nightlight.wiring import lifecycle

    with lifecycle(Settings()) as flow:
        for name in bucket or flow.buckets:
            made = flow.plan(name)
            _print(made, _touched(flow, made) if count else [])
            if not made.changes:
                flow.apply(made, actor=actor)  # so that what is there counts as applied
                continue
            if not yes and not typer.confirm(f"Apply this to {name}?"):
                raise typer.Exit(1)
            flow.apply(made, actor=actor)
            typer.echo(f"{name}: applied ({len(made.changes)} changes); `nightlight lifecycle undo` takes it back")


@app.command()
def undo(
    bucket: Annotated[str, typer.Argument(help="The bucket.")],
    actor: Annotated[str, typer.Option(help="Who does this, for the audit log.")] = "operator",
) -> None:
    """Put back the rules that a bucket had before the last `apply`.

    Example: `nightlight lifecycle undo nightlight-originals`
    """
    from nightlight.wiring import lifecycle

    with lifecycle(Settings()) as flow:
        flow.undo(bucket, actor=actor)
    typer.echo(f"{bucket}: as it was before")


@app.command()
def drift(bucket: Buckets = None, as_json: JsonFlag = False) -> None:
    """Say what has changed in the buckets' rules since `apply`; exits with 2 if something has.

    Example: `nightlight lifecycle drift --json`
    """
    from nightlight.wiring import lifecycle

    with lifecycle(Settings()) as flow:
        told = {name: flow.drift(name) for name in bucket or flow.buckets}
    if as_json:
        typer.echo(json.dumps(told, indent=2))
    else:
        for name, sentences in told.items():
            for sentence in sentences or ["as it was applied"]:
                typer.echo(f"{name}: {sentence}")
    raise typer.Exit(DIFFERS if any(told.values()) else 0)


@app.command()
def verify(
    bucket: Buckets = None,
    most: Annotated[int, typer.Option(min=1, help="List so many at most.")] = 100,
    as_json: JsonFlag = False,
) -> None:
    """List objects that outlived their rule by more than two days; exits with 2 if there are any.

    Example: `nightlight lifecycle verify --bucket nightlight-renditions`
    """
    from nightlight.wiring import lifecycle

    with lifecycle(Settings()) as flow:
        late: list[Late] = []
        count = 0
        for name in bucket or flow.buckets:
            with _progress(f"{name}: objects") as advance:
                for one in flow.late(name, advance):
                    count += 1
                    if len(late) < most:
                        late.append(one)
    if as_json:
        listed = [{**one._asdict(), "written_at": str(one.written_at), "due_at": str(one.due_at)} for one in late]
        typer.echo(json.dumps({"late": count, "objects": listed}, indent=2))
    elif late:
        table = Table("bucket", "key", "rule", "written", "due", title=f"{count:,} objects outlived their rule")
        for one in late:
            table.add_row(one.bucket, one.key, one.rule_id, f"{one.written_at:%Y-%m-%d}", f"{one.due_at:%Y-%m-%d}")
        Console(highlight=False).print(table)
    else:
        typer.echo("no object outlived its rule")
    raise typer.Exit(DIFFERS if count else 0)


@app.command()
def render(
    form: Annotated[str, typer.Argument(help="terraform, cloudformation or json.")],
    bucket: Buckets = None,
) -> None:
    """Write the rules of the policy for another tool to put. Foreign rules are not among them: those tools replace all.

    Example: `nightlight lifecycle render terraform > lifecycle.tf`
    """
    from nightlight.retention.exports import FORMS
    from nightlight.wiring import lifecycle
    from nightlight_core.errors import InvalidInput

    if form not in FORMS:
        message = f"form must be one of {', '.join(FORMS)}"
        raise InvalidInput(message)
    with lifecycle(Settings()) as flow:
        typer.echo(FORMS[form]({name: flow.wanted(name) for name in bucket or flow.buckets}))


def _touched(flow: Lifecycle, made: Plan) -> list[Touched]:
    with _progress(f"{made.bucket}: objects") as advance:
        return flow.touched(made, advance)


@contextmanager
def _progress(what: str) -> Iterator[Any]:
    columns = (TextColumn("{task.description} {task.completed:,}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda count: bar.update(task, completed=count)


def _print(made: Plan, touched: list[Touched]) -> None:
    console = Console(highlight=False, markup=False)
    counts = {one.rule_id: one for one in touched}
    console.print(f"{made.bucket}: {len(made.changes)} changes")
    for one in made.actions:
        rule = one.after if one.step is not Step.REMOVE else one.before
        if rule is None:  # pragma: no cover - every action has one of the two
            continue
        state = "" if rule.enabled else " (disabled)"
        console.print(f"  {_MARKS[one.step]} {one.rule_id}{state}: {rule.about()} is {rule.does()}", soft_wrap=True)
        if one.step is Step.CHANGE and one.before is not None:
            console.print(f"      until now: {one.before.about()} is {one.before.does()}", soft_wrap=True)
        for note in one.notes:
            console.print(f"      ! {note}", soft_wrap=True)
        if (found := counts.get(one.rule_id)) is not None:
            told = f"{found.objects:,} objects, {found.bytes:,} bytes; {found.at_once:,} of them are deleted at once"
            console.print(f"      {told if found.counted else 'not counted: too many objects to ask for tags'}")
    if any(one.step is Step.FOREIGN for one in made.actions):
        console.print("  ? is somebody else's, and stays")


def _plain(made: Plan, touched: list[Touched]) -> dict[str, Any]:
    def told(one: Action) -> dict[str, Any]:
        return {**asdict(one), "step": str(one.step)}

    return {
        "bucket": made.bucket,
        "changes": len(made.changes),
        "seen": made.seen,
        "actions": [told(one) for one in made.actions],
        "touched": [one._asdict() for one in touched],
    }


@app.command()
def tag(
    wait_s: Annotated[float, typer.Option(min=0, help="Seconds to wait for the workers; 0 does not.")] = 3600.0,
) -> None:
    """Have every object tagged by its state: those from before there were tags, or after a bucket was restored.

    An object is written anew for it, so its days begin then. Exits with 2 if the workers were not done in time.
    Example: `nightlight lifecycle tag`
    """
    from nightlight.wiring import retagging

    with retagging(Settings()) as flow:
        queued = sum(flow.ask_all())
        end, left = time.monotonic() + wait_s, flow.waiting()
        columns = (TextColumn("tagging"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("images", total=max(left, queued))
            while left and time.monotonic() < end:
                bar.update(task, completed=max(left, queued) - left)
                time.sleep(_LOOK_S)
                left = flow.waiting()
    typer.echo(f"{queued:,} images queued, {left:,} still to be tagged")
    raise typer.Exit(DIFFERS if left and wait_s else 0)
