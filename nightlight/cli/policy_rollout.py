"""``nightlight policy``'s second half: build, approve, activate, watch, stage, roll back."""

from __future__ import annotations

import json
import logging
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nightlight.cli.files import read_bytes
from nightlight.cli.policy_compare import WasOption
from nightlight_core.errors import PolicyRefused, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from nightlight_client import NightlightClient

Url = Annotated[str, typer.Option(envvar="NIGHTLIGHT_URL", help="The service.")]
DEFAULT_URL = "http://127.0.0.1:8080"
TokenVariable = "NIGHTLIGHT_TOKEN"
ApprovalFile = Annotated[Path | None, typer.Option(help="What `policy approve` wrote, where the change opens.")]
BundleFile = Annotated[Path, typer.Argument(help="What `policy build` wrote.")]


def build(
    folder: Annotated[Path, typer.Argument(help="The policy pack.")],
    version: Annotated[int, typer.Option(min=1, help="A number above every version before.")],
    key: Annotated[Path, typer.Option(help="The publisher's private key (JWK).")],
    out: Annotated[Path, typer.Option(help="The file to write.")] = Path("policy.bundle"),
) -> None:
    """Write a pack as one signed file, if it is proved.

    Example: `nightlight policy build policies --version 12 --key publisher.private.jwk.json`
    """
    from nightlight.policy.bundle_writer import build_bundle
    from nightlight.policy.checks import failed_checks
    from nightlight.policy.compile import compile_folder
    from nightlight.policy.signing import SigningKey

    compiled = compile_folder(folder)
    failures = failed_checks(compiled)
    if failures:
        raise PolicyRefused("\n".join(str(failure) for failure in failures))
    data = build_bundle(compiled, version, SigningKey.read(key))
    out.write_bytes(data)
    typer.echo(f"{out}: version {version}, {len(data):,} bytes, digest {compiled.digest}")


def approve(  # noqa: PLR0913 - the options of a command line
    old: Annotated[str, typer.Argument(help="What is active: a bundle, a folder, or a git revision.")],
    new: Annotated[str, typer.Argument(help="What shall be: a bundle, a folder, or a git revision.")],
    key: Annotated[Path, typer.Option(help="The safety team's private key (JWK).")],
    out: Annotated[Path, typer.Option(help="The file to write.")] = Path("approval.json"),
    version: Annotated[
        int | None, typer.Option(min=1, help="The version that it is for; that of the bundle, if NEW is one.")
    ] = None,
    hours: Annotated[int, typer.Option(min=1, max=720, help="Hours until the approval expires.")] = 72,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    was: WasOption = None,
) -> None:
    """Show what would change and, if you agree, sign exactly that difference, for one version. For the safety team.

    With `--was` the difference is shown with words mapped, which is shorter; the whole of it is signed.
    Example: `nightlight policy approve active.bundle policy.bundle --key safety.private.jwk.json`
    """
    from nightlight.cli.policy_compare import compiled_of, print_difference, version_of
    from nightlight.cli.policy_options import console, today_utc
    from nightlight.policy.alignment import parse_renamed
    from nightlight.policy.diff import diff
    from nightlight.policy.signing import SigningKey, approval_subject
    from nightlight.policy.signing import approve as sign

    number = version if version is not None else version_of(new)
    signing = SigningKey.read(key)
    with compiled_of(old) as before, compiled_of(new) as after:
        today = today_utc()
        difference = diff(before, after, today=today)
        shown = diff(before, after, renamed=parse_renamed(was), today=today) if was else difference
    print_difference(console(), shown)
    if was:
        reasons = f"{len(difference.reasons())} sentences for the safety team, which `nightlight policy diff` shows"
        typer.echo(f"That is how it reads with --was. What is signed is all of it: {reasons}")
    if not yes:
        typer.confirm("Approve all of this?", abort=True)
    approved = sign(approval_subject(difference, number), signing, expires_at=int(time.time()) + hours * 3600)
    out.write_text(json.dumps(approved, indent=2) + "\n", "utf-8")
    typer.echo(f"{out}: approval of difference {difference.digest} for version {number}, for {hours} hours")


def activate(bundle: BundleFile, url: Url = DEFAULT_URL, approval: ApprovalFile = None) -> None:
    """Activate a bundle for everybody. The token comes from NIGHTLIGHT_TOKEN.

    Example: `nightlight policy activate policy.bundle --approval approval.json`
    """
    data, approved = _bundle(bundle), _approval(approval)
    _print_activation(call(url, lambda client: client.activate(data, approved)))


def shadow(bundle: BundleFile, url: Url = DEFAULT_URL) -> None:
    """Watch a candidate beside the active policy: it is counted what it would change, and changes nothing.

    Example: `nightlight policy shadow policy.bundle`
    """
    data = _bundle(bundle)
    _print_activation(call(url, lambda client: client.candidate(data)), verb="watched")


def stage(
    bundle: BundleFile,
    permille: Annotated[int, typer.Option(min=0, max=999, help="Thousandths of profiles; 0 with --render-first.")] = 0,
    url: Url = DEFAULT_URL,
    approval: ApprovalFile = None,
    render_first: Annotated[
        bool, typer.Option("--render-first", help="Render every picture by it now: its activation leaves no gap.")
    ] = False,
) -> None:
    """Let a candidate decide for a share of profiles, chosen by a keyed hash, or have pictures rendered by it first.

    Examples: `nightlight policy stage policy.bundle --permille 50 --approval approval.json`, and before an activation
    `nightlight policy stage policy.bundle --render-first` with `nightlight policy progress`
    """
    if not permille and not render_first:
        raise PolicyRefused("say --permille or --render-first; `nightlight policy shadow` only watches")
    data, approved = _bundle(bundle), _approval(approval)
    answer = call(url, lambda client: client.candidate(data, approved, permille=permille, render=render_first))
    verb = f"deciding for {permille} of 1000 profiles" if permille else "watched, and pictures are rendered by it"
    _print_activation(answer, verb=verb)


def withdraw(
    url: Url = DEFAULT_URL,
    version: Annotated[
        int | None, typer.Option(min=1, help="A version that shall never be active (again); else the candidate.")
    ] = None,
) -> None:
    """Take the candidate away, or withdraw a version: its approval is spent, and it comes back with a new one only.

    Example: `nightlight policy withdraw --version 12`
    """
    if version is not None:
        call(url, lambda client: client.withdraw_version(version))
        typer.echo(f"version {version} is withdrawn")
        return
    call(url, lambda client: client.withdraw_candidate())
    typer.echo("there is no candidate now")


def rollback(
    key: Annotated[Path, typer.Option(help="The publisher's private key (JWK).")],
    url: Url = DEFAULT_URL,
    approval: ApprovalFile = None,
) -> None:
    """Bring the policy before the active one back, under a new version. If that opens anything, safety approves.

    Example: `nightlight policy rollback --key publisher.private.jwk.json`
    """
    from nightlight.policy.bundle_writer import build_bundle
    from nightlight.policy.compile import compile_bundle
    from nightlight.policy.signing import SigningKey
    from nightlight_core.policy.bundle import open_bundle

    signing, approved = SigningKey.read(key), _approval(approval)
    status = call(url, lambda client: client.policy_status())
    previous = status["previous_version"]
    if previous is None:
        raise PolicyRefused("there is no bundle before the active one; build one from the pack that you want back")
    before = open_bundle(call(url, lambda client: client.policy_version(previous)), signing.public_keys, earlier=True)
    data = build_bundle(compile_bundle(before), status["highest_version"] + 1, signing)
    _print_activation(call(url, lambda client: client.activate(data, approved)), verb="brought back")


def status(url: Url = DEFAULT_URL) -> None:
    """Say which policy is active and which is a candidate, as JSON.

    Example: `nightlight policy status`
    """
    typer.echo(json.dumps(call(url, lambda client: client.policy_status()), indent=2))


def fetch(
    url: Url = DEFAULT_URL, out: Annotated[Path, typer.Option(help="The file to write.")] = Path("active.bundle")
) -> None:
    """Fetch the active bundle, to compare with or to approve against.

    Example: `nightlight policy fetch --out active.bundle`
    """
    number = call(url, lambda client: client.policy_status())["active"]["version"]
    if number is None:
        raise PolicyRefused("no bundle is active: the service decides by the pack in its folder")
    out.write_bytes(call(url, lambda client: client.policy_version(number)))
    typer.echo(f"{out}: version {number}")


def counters(
    url: Url = DEFAULT_URL,
    days: Annotated[int, typer.Option(min=1, max=366, help="How many days back.")] = 7,
    out: Annotated[Path | None, typer.Option(help="The file to write; standard output by default.")] = None,
) -> None:
    """Export how often each combination was decided, for `policy diff --traffic` and reports.

    Example: `nightlight policy counters --days 30 --out traffic.json`
    """
    text = json.dumps(call(url, lambda client: client.policy_counters(days)), indent=2)
    if out is None:
        typer.echo(text)
    else:
        out.write_text(text + "\n", "utf-8")
        typer.echo(str(out))


def register(app: typer.Typer) -> None:
    """Add these commands to ``nightlight policy``."""
    for command in (build, approve, activate, shadow, stage, withdraw, rollback, status, fetch, counters):
        app.command()(command)


def call(url: str, ask: Callable[[NightlightClient], Any], *, scope: str = "policy") -> Any:
    """Return what a client of the service answers; raise what its commands print as one line."""
    from nightlight_client import NightlightClient, Problem, ServiceUnreachable

    token = os.environ.get(TokenVariable)
    if not token:
        message = f"set {TokenVariable} to a token with the scope '{scope}' (for development: nightlight keys token)"
        raise PolicyRefused(message)
    logging.getLogger("nightlight_client").addHandler(logging.NullHandler())  # what it would say is said below
    try:
        with NightlightClient(url, token=token) as client:
            return ask(client)
    except Problem as problem:
        raise PolicyRefused(str(problem)) from problem
    except ServiceUnreachable as error:
        raise Unavailable(f"{url} does not answer: {error}") from error


def _bundle(path: Path) -> bytes:
    from nightlight_core.policy.bundle import MAX_BYTES

    return read_bytes(path, MAX_BYTES)


def _approval(path: Path | None) -> dict[str, str | int] | None:
    from nightlight.cli.files import read_json
    from nightlight.policy.signing import MAX_APPROVAL_BYTES

    if path is None:
        return None
    approval = read_json(path, MAX_APPROVAL_BYTES)
    if not isinstance(approval, dict):
        raise PolicyRefused(f"{path}: this is no approval; make one with `nightlight policy approve`")
    return approval


def _print_activation(answer: dict[str, Any], verb: str = "active") -> None:
    difference = answer["difference"]
    changes = len(difference["outcomes"]) + len(difference["recipes"]) + len(difference["retention"])
    typer.echo(f"version {answer['version']} is {verb}; digest {answer['digest']}; {changes} sentences of change")
