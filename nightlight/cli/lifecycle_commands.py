"""``nightlight lifecycle``: what buckets do by themselves, from retention.yaml."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nightlight.cli import lifecycle_looks
from nightlight.cli.exit_codes import DIFFERENCES, DONE
from nightlight.cli.lifecycle_output import Buckets, effects, end_failed, for_each, plan_values, print_plan
from nightlight.cli.output import (
    JsonFlag,
    WaitOption,
    YesFlag,
    logged_settings,
    print_json,
    print_table,
    say,
    wait_for_workers,
)
from nightlight.settings import Settings
from nightlight_core.errors import InvalidInput

if TYPE_CHECKING:
    from nightlight.flows.retention.lifecycle_objects import RuleEffect
    from nightlight.retention.lifecycle_plan import LifecyclePlan

app = typer.Typer(
    help="Lifecycle rules of the buckets, from retention.yaml. Settings come from NIGHTLIGHT_* as for a worker; the "
    "identity of NIGHTLIGHT_STORE_ACCESS_KEY_ID, or of NIGHTLIGHT_RETENTION_LIFECYCLE_TARGETS, must be one that may "
    "read and change the buckets' rules. It is also who the audit log names.",
    no_args_is_help=True,
)
lifecycle_looks.register(app)

BucketName = Annotated[str, typer.Argument(metavar="BUCKET", help="The bucket.")]
CountFlag = Annotated[bool, typer.Option("--count/--no-count", help="Count the objects that rules are about.")]


@app.command("plan")
def plan_(
    bucket: Buckets = None,
    count: CountFlag = True,
    out: Annotated[Path | None, typer.Option(help="Save the plan to this file, for `apply FILE`.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Show what `apply` would do: rules added, changed and removed, whom they are about, and rules of somebody else.

    Exits with 2 if there is something to do. Example: `nightlight lifecycle plan --out review.json`
    """
    from nightlight.retention.plan_file import write_plans
    from nightlight.wiring.bucket_lifecycle import lifecycle

    with lifecycle(logged_settings()) as flow:
        plans = [flow.plan(name) for name in bucket or flow.buckets]
        touched = {plan.bucket: effects(flow, plan, count=count) for plan in plans}
        now = flow.clock()
    values = [plan_values(plan, touched[plan.bucket]) for plan in plans]
    if out is not None:
        write_plans(out, list(zip(plans, values, strict=True)), now)
    if as_json:
        print_json(values)
    else:
        for plan in plans:
            print_plan(plan, touched[plan.bucket])
    raise typer.Exit(DIFFERENCES if any(plan.changes for plan in plans) else DONE)


@app.command()
def apply(
    saved: Annotated[Path | None, typer.Argument(metavar="[FILE]", help="A plan that `plan --out` saved.")] = None,
    bucket: Buckets = None,
    count: CountFlag = True,
    yes: YesFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Make the buckets' rules what the policy says. Rules of somebody else stay; a failure leaves all as it was.

    A saved plan is applied without a question, and only to the state that it was made for. An error of one bucket does
    not stop the others. Example: `nightlight lifecycle apply review.json`
    """
    from nightlight.retention.plan_file import read_digests, refuse_stale
    from nightlight.wiring.bucket_lifecycle import lifecycle

    _refuse_silent_question(as_json=as_json, yes=yes or saved is not None)
    digests = read_digests(saved) if saved is not None else {}
    if saved is not None and bucket:
        raise InvalidInput("a saved plan names its buckets; leave --bucket out")
    with lifecycle(logged_settings()) as flow:
        plans: dict[str, LifecyclePlan] = {}
        for name, digest in digests.items():  # all of them, before the first is applied
            plans[name] = flow.plan(name)
            refuse_stale(plans[name], digest)

        def apply_to(name: str) -> dict[str, Any]:
            plan = plans[name] if name in plans else flow.plan(name)
            touched = effects(flow, plan, count=count and name not in plans)
            _confirmed(plan, touched, f"Apply this to {name}?", yes=yes or name in plans, as_json=as_json)
            result = flow.apply(plan)
            if not as_json and result.changes:
                say(f"{name}: applied ({result.changes} changes); `nightlight lifecycle undo {name}` takes it back")
            return {**plan_values(plan, touched), "snapshot": result.snapshot_id}

        results, failed = for_each(digests or bucket or flow.buckets, apply_to)
    _end(results, failed=failed, as_json=as_json)


@app.command()
def undo(
    bucket: BucketName,
    to: Annotated[int | None, typer.Option(help="Back to this snapshot of `history`; to the last without it.")] = None,
    yes: YesFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Take our rules back to what they were before the last `apply`, after showing what that changes.

    Rules of somebody else stay as they are now: what its owner has removed meanwhile is not brought back.
    Example: `nightlight lifecycle undo nightlight-originals --to 12`
    """
    from nightlight.wiring.bucket_lifecycle import lifecycle

    _refuse_silent_question(as_json=as_json, yes=yes)
    with lifecycle(logged_settings()) as flow:
        plan = flow.plan_undo(bucket, to=to)
        _confirmed(plan, [], f"Take {bucket} back to this?", yes=yes, as_json=as_json)
        result = flow.undo(plan)
    if as_json:
        print_json({**plan_values(plan, []), "snapshot": result.snapshot_id})
    else:
        say(f"{bucket}: as it was before snapshot {result.snapshot_id} ({result.changes} changes)")


@app.command()
def history(bucket: BucketName, as_json: JsonFlag = False) -> None:
    """Show what `undo --to` can go back to, the newest first. Example: `nightlight lifecycle history my-bucket`."""
    from nightlight.wiring.bucket_lifecycle import lifecycle

    with lifecycle(logged_settings()) as flow:
        snapshots = flow.history(bucket)
    if as_json:
        values = [{"snapshot": s.snapshot_id, "taken_at": s.taken_at.isoformat(), "rules": s.rules} for s in snapshots]
        print_json(values)
        return
    rows = [(s.snapshot_id, f"{s.taken_at:%Y-%m-%d %H:%M:%S}", len(s.rules), len(s.ours)) for s in snapshots]
    print_table(("snapshot", "taken", "rules", "of them ours"), rows)


@app.command("import")
def import_(
    bucket: BucketName,
    rule: Annotated[str, typer.Argument(metavar="RULE", help="The id of a rule of somebody else's.")],
    yes: YesFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Take a rule of somebody else's over, as it is: from now on it is ours, and the bucket is not touched.

    The next `plan` makes it what the policy says, or removes it where the policy has no rule of that name.
    Example: `nightlight lifecycle import nightlight-originals old-cleanup --yes`
    """
    from nightlight.retention.lifecycle_drift import in_words
    from nightlight.wiring.bucket_lifecycle import lifecycle

    _refuse_silent_question(as_json=as_json, yes=yes)
    with lifecycle(logged_settings()) as flow:
        foreign_rule = flow.foreign(bucket, rule)
        wanted = {each.rule_id: each for each in flow.wanted(bucket)}.get(rule)
        then = f"becomes {in_words(wanted)}" if wanted is not None else "is removed: the policy has no such rule"
        if not as_json:
            say(f"{bucket}: {rule} is {in_words(foreign_rule)}; with the next `apply` it {then}")
        if not yes and not typer.confirm(f"Take {rule} over?"):
            raise typer.Abort
        flow.adopt(bucket, foreign_rule)
    if as_json:
        print_json({"bucket": bucket, "rule": rule, "is": in_words(foreign_rule), "wanted": in_words(wanted)})


@app.command()
def render(
    form: Annotated[str, typer.Argument(help="terraform, cloudformation or json.")],
    bucket: Buckets = None,
    policy: Annotated[Path | None, typer.Option(help="The pack's folder; the setting's without it.")] = None,
) -> None:
    """Write the rules of a pack for another tool to put. It needs no database, no key and no store.

    Foreign rules are not among them: those tools replace all. What does not converge on a server is said on standard
    error. Example: `nightlight lifecycle render terraform --policy policies > lifecycle.tf`
    """
    from nightlight.retention.exports import EXPORT_FORMATS, warnings
    from nightlight.wiring.bucket_lifecycle import offline_rules
    from nightlight_core.errors import NotFound

    if form not in EXPORT_FORMATS:
        raise InvalidInput(f"form must be one of {', '.join(EXPORT_FORMATS)}")
    settings = Settings()
    rules = offline_rules(settings, policy)
    unknown = sorted(set(bucket or ()) - set(rules))
    if unknown:
        raise NotFound(f"no bucket '{unknown[0]}'; there are {', '.join(rules)}")
    for sentence in warnings(form, settings.store.server.value):
        typer.echo(f"warning: {sentence}", err=True)
    typer.echo(EXPORT_FORMATS[form]({name: rules[name] for name in bucket or rules}))


@app.command()
def retag(
    wait_s: WaitOption = 3600.0,
) -> None:
    """Have every object tagged by its state: those from before there were tags, or after a bucket was restored.

    An object is written again for it, so its days begin then. Exits with 2 if the workers were not done in time.
    Example: `nightlight lifecycle retag`
    """
    from nightlight.wiring.retention import open_retention_tags

    with open_retention_tags(logged_settings()) as flow:
        queued = sum(flow.ask_all())
        left = wait_for_workers("tagging", queued, flow.waiting, wait_s)
    typer.echo(f"{queued:,} images queued, {left:,} still to be tagged")
    raise typer.Exit(DIFFERENCES if left and wait_s else DONE)


def _refuse_silent_question(*, as_json: bool, yes: bool) -> None:
    if as_json and not yes:
        raise InvalidInput("--json asks no question: add --yes, or give a saved plan to `apply`")


def _confirmed(plan: LifecyclePlan, touched: list[RuleEffect], question: str, *, yes: bool, as_json: bool) -> None:
    """Show a plan and ask; raise typer.Abort if the answer is no. A plan without changes asks nothing."""
    if not as_json:
        print_plan(plan, touched)
    if plan.changes and not yes and not typer.confirm(question):
        raise typer.Abort


def _end(results: list[dict[str, Any]], *, failed: bool, as_json: bool) -> None:
    if as_json:
        print_json(results)
    if failed:
        end_failed(results, as_json=as_json)
