"""``nightlight buckets``: what buckets must be like, and who may do what with them."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, NoReturn

import typer

from nightlight.cli.output import JsonFlag, YesFlag, print_json, print_table
from nightlight.retention.bucket_policies import IDENTITIES, WORKER, identity_policy
from nightlight.retention.posture import Finding, PostureState
from nightlight.settings import Settings
from nightlight_core.errors import InvalidInput

app = typer.Typer(
    help="What buckets must be like: closed to the public, versioned, encrypted, over TLS, by least privilege, without "
    "CORS, logged. Settings come from NIGHTLIGHT_*; the identity must be one that may read and change the buckets.",
    no_args_is_help=True,
)
DIFFERS = 2
LIMITED = 3
Buckets = Annotated[
    list[str] | None, typer.Option("--bucket", help="originals, renditions, exports or vault; again for another.")
]


@app.command()
def check(
    bucket: Buckets = None,
    as_json: JsonFlag = False,
    identity: Annotated[
        str | None,
        typer.Option(
            help="service, worker or keeper: with this process's own key, try on probe objects what that identity must "
            "not be able to do, and what it must."
        ),
    ] = None,
    elsewhere: Annotated[
        str | None,
        typer.Option(help="With --identity: a bucket of somebody else that it may write to, to try to copy into."),
    ] = None,
) -> None:
    """Show how buckets stand, by the key of who owns them; or try what an identity can do, by its own key.

    Exits with 0 if all is as it should be; with 2 if a bucket has drifted, something forbidden was done or something
    needed was refused; with 3 if all that is wrong is what no policy of this server refuses and sealing covers.

    Examples: `nightlight buckets check --json`, `nightlight buckets check --identity service`
    """
    from nightlight.wiring.retention import posture

    if identity is not None:
        _tried(identity, elsewhere, as_json=as_json)
    if elsewhere is not None:
        raise InvalidInput("--elsewhere is for --identity")
    flow = posture(Settings())
    _end([finding for name in flow.chosen(bucket) for finding in flow.check(name)], as_json=as_json)


@app.command()
def fix(
    bucket: Buckets = None,
    yes: YesFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Mend what has drifted, read it back, and show how buckets stand then. Example: `nightlight buckets fix --yes`."""
    from nightlight.wiring.retention import posture

    flow = posture(Settings())
    chosen = flow.chosen(bucket)
    before = [finding for name in chosen for finding in flow.check(name)]
    wrong = [finding for finding in before if finding.state is PostureState.DRIFT]
    if wrong and not as_json:
        _print(wrong)
    if wrong and not yes and not typer.confirm(f"Mend {len(wrong)} aspects?"):
        raise typer.Exit(1)
    _end([finding for name in chosen for finding in flow.fix(name)], as_json=as_json)


@app.command()
def policy(identity: Annotated[str, typer.Argument(help="service, worker or keeper.")]) -> None:
    """Print the policy to attach to an identity: what it needs and nothing else.

    Example: `nightlight buckets policy service > service-policy.json`
    """
    from nightlight.wiring.retention import bucket_names

    if identity not in IDENTITIES:
        raise InvalidInput(f"an identity is {', '.join(IDENTITIES)}, not {identity!r}")
    print_json(identity_policy(identity, bucket_names(Settings())))


def _tried(identity: str, elsewhere: str | None, *, as_json: bool) -> NoReturn:
    """Try as an identity, show what came of it, and end."""
    from nightlight.retention.access_probe import ProbeOutcome
    from nightlight.wiring.originals import sealed_from
    from nightlight.wiring.retention import probe

    settings = Settings()
    report, sealed = probe(settings, identity, elsewhere).run(), sealed_from(settings, identity)
    if as_json:
        tried = [asdict(result) for result in report.results]
        print_json({"identity": identity, "sealed": sealed, "tried": tried, "left": report.left})
    else:
        rows = [(row.bucket, row.what, row.outcome.value, row.answer, row.remedy) for row in report.results]
        print_table(("bucket", "tried", "came of it", "answer", "what to do"), rows)
        what = "What is put into the vault" if identity == WORKER else "What is put into the bucket of originals"
        typer.echo(f"{what} is {'sealed' if sealed else 'not sealed'}.")
        for where in report.left:
            typer.echo(f"Left for the workers' or the keeper's probe, or the lifecycle rules, to clear: {where}")
    limits = bool(report.in_bucket(ProbeOutcome.LIMIT))
    wrong = bool(report.in_bucket(ProbeOutcome.DONE, ProbeOutcome.MISSING, ProbeOutcome.UNCLEAR)) or (
        limits and not sealed
    )
    raise typer.Exit(DIFFERS if wrong else LIMITED if limits else 0)


def _end(findings: list[Finding], *, as_json: bool) -> None:
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        _print(findings)
    raise typer.Exit(DIFFERS if any(finding.state is PostureState.DRIFT for finding in findings) else 0)


def _print(findings: list[Finding]) -> None:
    rows = [
        (row.bucket, row.aspect, row.state.value, row.actual, row.expected if row.state is not PostureState.OK else "")
        for row in findings
    ]
    print_table(("bucket", "what", "state", "is", "should be"), rows)
