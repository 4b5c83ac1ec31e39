"""How plans, drift and their effects are shown, and how one bucket's error leaves the others their answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import TextColumn, TimeElapsedColumn

from nightlight.cli.exit_codes import ERROR
from nightlight.cli.output import counted, progress, say
from nightlight.retention.lifecycle_plan import LifecyclePlan, PlanStep
from nightlight_core.errors import NightlightError

if TYPE_CHECKING:
    from nightlight.flows.retention.lifecycle_objects import RuleEffect
    from nightlight.flows.retention.manage_lifecycle import ManageLifecycle

Buckets = Annotated[list[str] | None, typer.Option("--bucket", help="Only this bucket (again for another).")]
_MARKS = {PlanStep.ADD: "+", PlanStep.CHANGE: "~", PlanStep.REMOVE: "-", PlanStep.KEEP: " ", PlanStep.FOREIGN: "?"}


def for_each(buckets: Iterable[str], do: Callable[[str], dict[str, Any]]) -> tuple[list[dict[str, Any]], bool]:
    """Return what came of each bucket, and whether any failed: an error of one does not hide the others."""
    results, failed = [], False
    for name in buckets:
        try:
            results.append({"bucket": name, **do(name)})
        except NightlightError as error:
            failed = True
            failure = {"code": error.code, "message": str(error), "retryable": error.retryable}
            results.append({"bucket": name, "error": failure})
    return results, failed


def end_failed(results: list[dict[str, Any]], *, as_json: bool) -> None:
    """Tell of the buckets that failed, unless they are in the JSON already, and exit with 1."""
    for result in results:
        if "error" in result and not as_json:
            typer.echo(f"nightlight: {result['bucket']}: {result['error']['message']}", err=True)
    raise typer.Exit(ERROR)


def effects(flow: ManageLifecycle, plan: LifecyclePlan, *, count: bool) -> list[RuleEffect]:
    """Return what the rules of a plan are about, with a line of progress meanwhile; nothing if not asked for."""
    if not count:
        return []
    with progress_line(f"{plan.bucket}: objects") as advance:
        return flow.touched(plan, advance)


@contextmanager
def progress_line(what: str) -> Iterator[Any]:
    """Show how many objects were looked at."""
    columns = (TextColumn("{task.description} {task.completed:,}"), TimeElapsedColumn())
    with progress(*columns) as bar:
        task = bar.add_task(what, total=None)
        yield lambda count: bar.update(task, completed=count)


def print_plan(plan: LifecyclePlan, touched: list[RuleEffect]) -> None:
    """Print what is done to each rule, what it is about, and what is to be known of it."""
    counts = {entry.rule_id: entry for entry in touched}
    say(f"{plan.bucket}: {counted(len(plan.changes), 'change')}")
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
            say(f"      {_effect(effect)}")
    if any(entry.step is PlanStep.FOREIGN for entry in plan.actions):
        say("  ? is somebody else's, and stays")


def plan_values(plan: LifecyclePlan, touched: list[RuleEffect]) -> dict[str, Any]:
    """Return a plan in plain values."""
    return {
        "bucket": plan.bucket,
        "changes": len(plan.changes),
        "seen": plan.fingerprint,
        "digest": plan.digest,
        "snapshot": plan.snapshot_id,
        "actions": [{**asdict(change), "step": str(change.step)} for change in plan.actions],
        "touched": [effect._asdict() for effect in touched],
    }


def _effect(effect: RuleEffect) -> str:
    if not effect.counted:
        return "not counted: too many objects to ask for tags"
    what = f"{counted(effect.objects, 'object')}, {effect.bytes:,} bytes"
    if effect.sooner:
        return f"{what} are deleted sooner, {effect.at_once:,} of them at once"
    return f"{what}; {effect.at_once:,} of them are deleted at once"
