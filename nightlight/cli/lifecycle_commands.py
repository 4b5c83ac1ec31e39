"""``nightlight lifecycle``: what buckets do by themselves, from retention.yaml."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import TextColumn, TimeElapsedColumn

from nightlight.cli.output import (
    ActorOption,
    JsonFlag,
    WaitOption,
    YesFlag,
    print_json,
    print_table,
    progress,
    say,
    wait_for_workers,
)
from nightlight.retention.lifecycle_plan import LifecyclePlan, PlanStep
from nightlight.settings import Settings

if TYPE_CHECKING:
    from nightlight.flows.retention.manage_lifecycle import ManageLifecycle, OverdueObject, RuleEffect

app = typer.Typer(
    help="Lifecycle rules of the buckets, from retention.yaml. Settings come from NIGHTLIGHT_* as for a worker; the "
    "identity of NIGHTLIGHT_STORE_ACCESS_KEY_ID must be one that may read and change the buckets' rules.",
    no_args_is_help=True,
)
DIFFERS = 2
_MARKS = {PlanStep.ADD: "+", PlanStep.CHANGE: "~", PlanStep.REMOVE: "-", PlanStep.KEEP: " ", PlanStep.FOREIGN: "?"}

Buckets = Annotated[
    list[str] | None, typer.Option("--bucket", help="Only this bucket (again for another); both by default.")
]
CountFlag = Annotated[bool, typer.Option("--count/--no-count", help="Count the objects that rules are about.")]


@app.command("plan")
def plan_(bucket: Buckets = None, count: CountFlag = True, as_json: JsonFlag = False) -> None:
    """Show what `apply` would do: rules added, changed and removed, whom they are about, and rules of somebody else.

    Exits with 2 if there is something to do. Example: `nightlight lifecycle plan --no-count`
    """
    from nightlight.wiring.retention import lifecycle

    with lifecycle(Settings()) as flow:
        plans = [flow.plan(name) for name in bucket or flow.buckets]
        touched = {plan.bucket: _touched(flow, plan) if count else [] for plan in plans}
    if as_json:
        print_json([_plain(plan, touched[plan.bucket]) for plan in plans])
    else:
        for plan in plans:
            _print(plan, touched[plan.bucket])
    raise typer.Exit(DIFFERS if any(plan.changes for plan in plans) else 0)


@app.command()
def apply(
    bucket: Buckets = None,
    count: CountFlag = True,
    yes: YesFlag = False,
    actor: ActorOption = "operator",
) -> None:
    """Make the buckets' rules what the policy says. Rules of somebody else stay; a failure leaves all as it was.

    Example: `nightlight lifecycle apply --bucket nightlight-originals --yes`
    """
    from nightlight.wiring.retention import lifecycle

    with lifecycle(Settings()) as flow:
        for name in bucket or flow.buckets:
            plan = flow.plan(name)
            _print(plan, _touched(flow, plan) if count else [])
            if not plan.changes:
                flow.apply(plan, actor=actor)  # so that what is there counts as applied
                continue
            if not yes and not typer.confirm(f"Apply this to {name}?"):
                raise typer.Exit(1)
            flow.apply(plan, actor=actor)
            typer.echo(f"{name}: applied ({len(plan.changes)} changes); `nightlight lifecycle undo` takes it back")


@app.command()
def undo(
    bucket: Annotated[str, typer.Argument(help="The bucket.")],
    actor: ActorOption = "operator",
) -> None:
    """Restore the rules that a bucket had before the last `apply`.

    Example: `nightlight lifecycle undo nightlight-originals`
    """
    from nightlight.wiring.retention import lifecycle

    with lifecycle(Settings()) as flow:
        flow.undo(bucket, actor=actor)
    typer.echo(f"{bucket}: as it was before")


@app.command()
def drift(bucket: Buckets = None, as_json: JsonFlag = False) -> None:
    """Say what has changed in the buckets' rules since `apply`; exits with 2 if something has.

    Example: `nightlight lifecycle drift --json`
    """
    from nightlight.wiring.retention import lifecycle

    with lifecycle(Settings()) as flow:
        sentences_by_bucket = {name: flow.drift(name) for name in bucket or flow.buckets}
    if as_json:
        print_json(sentences_by_bucket)
    else:
        for name, sentences in sentences_by_bucket.items():
            for sentence in sentences or ["as it was applied"]:
                typer.echo(f"{name}: {sentence}")
    raise typer.Exit(DIFFERS if any(sentences_by_bucket.values()) else 0)


@app.command()
def verify(
    bucket: Buckets = None,
    most: Annotated[int, typer.Option(min=1, help="List so many at most.")] = 100,
    as_json: JsonFlag = False,
) -> None:
    """List objects that outlived their rule by more than two days; exits with 2 if there are any.

    Example: `nightlight lifecycle verify --bucket nightlight-renditions`
    """
    from nightlight.wiring.retention import lifecycle

    with lifecycle(Settings()) as flow:
        late: list[OverdueObject] = []
        count = 0
        for name in bucket or flow.buckets:
            with _progress(f"{name}: objects") as advance:
                for overdue in flow.late(name, advance):
                    count += 1
                    if len(late) < most:
                        late.append(overdue)
    if as_json:
        print_json({"late": count, "objects": [overdue._asdict() for overdue in late]})
    elif late:
        rows = [(*row[:3], f"{row.written_at:%Y-%m-%d}", f"{row.due_at:%Y-%m-%d}") for row in late]
        title = f"{count:,} objects outlived their rule"
        print_table(("bucket", "key", "rule", "written", "due"), rows, title=title)
    else:
        typer.echo("no object outlived its rule")
    raise typer.Exit(DIFFERS if count else 0)


@app.command()
def render(
    form: Annotated[str, typer.Argument(help="terraform, cloudformation or json.")], bucket: Buckets = None
) -> None:
    """Write the rules of the policy for another tool to put. Foreign rules are not among them: those tools replace all.

    Example: `nightlight lifecycle render terraform > lifecycle.tf`
    """
    from nightlight.retention.exports import EXPORT_FORMATS
    from nightlight.wiring.retention import lifecycle
    from nightlight_core.errors import InvalidInput

    if form not in EXPORT_FORMATS:
        raise InvalidInput(f"form must be one of {', '.join(EXPORT_FORMATS)}")
    with lifecycle(Settings()) as flow:
        typer.echo(EXPORT_FORMATS[form]({name: flow.wanted(name) for name in bucket or flow.buckets}))


def _touched(flow: ManageLifecycle, plan: LifecyclePlan) -> list[RuleEffect]:
    with _progress(f"{plan.bucket}: objects") as advance:
        return flow.touched(plan, advance)


@contextmanager
def _progress(what: str) -> Iterator[Any]:
    columns = (TextColumn("{task.description} {task.completed:,}"), TimeElapsedColumn())
    with progress(*columns) as bar:
        task = bar.add_task(what, total=None)
        yield lambda count: bar.update(task, completed=count)


def _print(plan: LifecyclePlan, touched: list[RuleEffect]) -> None:
    counts = {entry.rule_id: entry for entry in touched}
    say(f"{plan.bucket}: {len(plan.changes)} changes")
    for entry in plan.actions:
        rule = entry.after if entry.step is not PlanStep.REMOVE else entry.present
        if rule is None:  # pragma: no cover - every action has one of the two
            continue
        state = "" if rule.enabled else " (disabled)"
        say(f"  {_MARKS[entry.step]} {entry.rule_id}{state}: {rule.about()} is {rule.does()}")
        if entry.step is PlanStep.CHANGE and entry.present is not None:
            say(f"      until now: {entry.present.about()} is {entry.present.does()}")
        for note in entry.notes:
            say(f"      ! {note}")
        if (effect := counts.get(entry.rule_id)) is not None:
            text = f"{effect.objects:,} objects, {effect.bytes:,} bytes; {effect.at_once:,} of them are deleted at once"
            say(f"      {text if effect.counted else 'not counted: too many objects to ask for tags'}")
    if any(entry.step is PlanStep.FOREIGN for entry in plan.actions):
        say("  ? is somebody else's, and stays")


def _plain(plan: LifecyclePlan, touched: list[RuleEffect]) -> dict[str, Any]:
    return {
        "bucket": plan.bucket,
        "changes": len(plan.changes),
        "seen": plan.fingerprint,
        "actions": [{**asdict(change), "step": str(change.step)} for change in plan.actions],
        "touched": [effect._asdict() for effect in touched],
    }


@app.command()
def retag(
    wait_s: WaitOption = 3600.0,
) -> None:
    """Have every object tagged by its state: those from before there were tags, or after a bucket was restored.

    An object is written again for it, so its days begin then. Exits with 2 if the workers were not done in time.
    Example: `nightlight lifecycle retag`
    """
    from nightlight.wiring.retention import open_retention_tags

    with open_retention_tags(Settings()) as flow:
        queued = sum(flow.ask_all())
        left = wait_for_workers("tagging", queued, flow.waiting, wait_s)
    typer.echo(f"{queued:,} images queued, {left:,} still to be tagged")
    raise typer.Exit(DIFFERS if left and wait_s else 0)
