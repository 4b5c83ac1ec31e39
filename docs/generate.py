"""Write the reference pages that are made from the code, or check that they are up to date.

python docs/generate.py            write docs/reference/*
python docs/generate.py --check    exit 1 and name each page that differs from what would be written
"""

from __future__ import annotations

import inspect
import json
import sys
import textwrap
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

from nightlight import one_thread  # noqa: F401 - before numpy is imported

# isort: split

import typer.main
from pydantic import SecretStr

from nightlight.catalogue.image_states import (
    DELETE,
    LISTED,
    ORIGINAL_MISSING,
    STATES,
    TAKEDOWN,
    TRANSITIONS,
    WORKER_CRASHED,
)
from nightlight.catalogue.images import FAILED, QUARANTINED, RECEIVING, REJECTED
from nightlight.cli import exit_codes
from nightlight.cli.main import app as command_line
from nightlight.flows.exports import document as export_document
from nightlight.flows.pictures.change_state import FOLLOWED_BY
from nightlight.imaging.formats import FORMATS
from nightlight.imaging.probe import upload_caps
from nightlight.imaging.upload_limits import megapixels
from nightlight.policy.load import load
from nightlight.retention.bucket_policies import BUCKETS, IDENTITIES, S3ServerKind, bucket_policy, identity_policy
from nightlight.settings import CONCERNS, Settings
from nightlight.settings.default_policies import default_policies
from nightlight.settings.pictures import UploadSettings
from nightlight_core import errors
from service.app import create_app

if TYPE_CHECKING:
    from click import Command, Group

    from nightlight.wiring.service_container import ServiceContainer

HERE = Path(__file__).parent / "reference"
LINE = 120
NOTE = "<!-- Made by docs/generate.py; change the code, then run `make docs`. -->\n"


def settings_page() -> str:
    """Return the page of every NIGHTLIGHT_* variable."""
    lines = ["# Settings", "", NOTE, inspect.getdoc(sys.modules["nightlight.settings"]) or "", ""]
    for concern in CONCERNS.values():
        lines += [f"## {concern.__name__}", "", inspect.getdoc(concern) or "", ""]
        lines += ["| variable | default | what it is |", "| --- | --- | --- |"]
        prefix = str(concern.model_config.get("env_prefix", ""))
        for name, field in concern.model_fields.items():
            secret = SecretStr in getattr(field.annotation, "__args__", ())
            value = field.get_default(call_default_factory=True)
            default = "unset" if value is None else f"`{value}`"
            text = " ".join((field.description or "").split()) + (" *Secret.*" if secret else "")
            lines.append(f"| `{prefix}{name.upper()}` | {default} | {text.replace('|', chr(92) + '|')} |")
        lines.append("")
    return "\n".join(lines)


def errors_page() -> str:
    """Return the page of every error code that the API answers with."""
    lines = ["# Error codes", "", NOTE]
    lines += [
        "Every error is `application/problem+json` (RFC 9457) with `type`, `title`, `status`, `code` and `detail`,",
        "and `errors` with JSON pointers where parts of a body are at fault. `code` is stable.",
        "",
        "| code | HTTP | try again? | what it means | what the caller is told |",
        "| --- | --- | --- | --- | --- |",
    ]
    classes = (kind for _, kind in inspect.getmembers(errors, inspect.isclass))
    kinds = [kind for kind in classes if issubclass(kind, errors.NightlightError)]
    for kind in sorted(kinds, key=lambda kind: (kind.status, kind.code)):
        meaning = (inspect.getdoc(kind) or "").splitlines()[0]
        again = "yes" if kind.retryable else "no"
        lines.append(f"| `{kind.code}` | {kind.status} | {again} | {meaning} | {kind.public} |")
    return "\n".join([*lines, ""])


def openapi_page() -> str:
    """Return the OpenAPI document of the service."""
    services = cast("ServiceContainer", SimpleNamespace(settings=Settings(), close=lambda: None))
    return json.dumps(create_app(services).openapi(), indent=2) + "\n"


def states_page() -> str:
    """Return the page of an image's states and of the ways between them."""
    meanings = [f"| `{state}` | {meaning} |" for state, meaning in STATES.items()]
    arrows = [
        f"  {source} --> {transition.target}: {transition.name}"
        for transition in TRANSITIONS.values()
        if transition is not DELETE
        for source in transition.sources
    ]
    rows = []
    for transition in TRANSITIONS.values():
        kind = FOLLOWED_BY.get(transition)
        sources = "any other" if transition is DELETE else ", ".join(f"`{source}`" for source in transition.sources)
        rows.append(
            f"| `{transition.name}` | {transition.when} | {sources} | `{transition.target}` | `{transition.event}` "
            f"| {f'`{kind.name}`' if kind else ''} |"
        )
    rejections = sorted(f"`{kind.code}`" for kind in (errors.ImageRefused, *errors.ImageRefused.__subclasses__()))
    return "\n".join(
        [
            *("# The states of an image", "", NOTE),
            "An image has one state at a time. A change of state is one transaction: the state, a line in the audit",
            "log, and the job that must follow. A transition from a state that is not its own is refused.",
            "",
            *("```mermaid", "stateDiagram-v2", f"  [*] --> {RECEIVING}", *arrows, "```", ""),
            f"`{DELETE.name}` leads from every other state to `{DELETE.target}`; the diagram leaves it out.",
            "",
            *("| state | meaning |", "| --- | --- |", *meanings, ""),
            "| transition | when | from | to | audit event | then a job |",
            *("| --- | --- | --- | --- | --- | --- |", *rows, ""),
            "## Reasons",
            "",
            "`GET /v1/images/{image_id}` answers with the `reason` of these states:",
            "",
            "| state | reason | what happened |",
            "| --- | --- | --- |",
            f"| `{REJECTED}` | {', '.join(rejections)} | an error code (errors.md): it is no picture |",
            f"| `{FAILED}` | `{WORKER_CRASHED}` | workers died over it, again and again |",
            f"| `{FAILED}` | `{errors.DecoderTooSlow.code}` | it takes longer to decode than a decoder may |",
            f"| `{FAILED}` | `decoder_` and a signal | decoders were killed over it, again and again |",
            f"| `{FAILED}` | `{errors.ManifestRefused.code}` | its manifest cannot be signed |",
            f"| `{FAILED}` | `{ORIGINAL_MISSING}` | its original is not in the store |",
            f"| `{QUARANTINED}` | `{LISTED}` | it matched a hash list |",
            f"| `{QUARANTINED}` | `{TAKEDOWN}` | it is a copy of what a takedown notice names |",
            "",
        ]
    )


def cli_page() -> str:
    """Return the page of the command line."""
    root = cast("Group", typer.main.get_command(command_line))
    lines = ["# The `nightlight` command", "", NOTE]
    lines += _command("nightlight", root)
    return "\n".join(lines)


def exit_codes_page() -> str:
    """Return the page of exit codes: what 0, 1 and 2 mean, and of which command 2 says what."""
    rows = [f"| `nightlight {command}` | {meaning} |" for command, meaning in sorted(exit_codes.DIFFERENCES_OF.items())]
    others = [
        f"| `nightlight {command}` | {status} | {meaning} |"
        for command, statuses in sorted(exit_codes.OTHER_STATUSES.items())
        for status, meaning in statuses.items()
    ]
    return "\n".join(
        [
            *("# Exit codes", "", NOTE),
            "Every command of `nightlight` ends with one of three numbers. They mean the same everywhere.",
            "",
            "| exit code | meaning |",
            "| --- | --- |",
            "| 0 | There is nothing to do, or it was done. |",
            "| 1 | An error: no such bucket, denied, not reachable, wrong arguments, a refused pack, or a no. |",
            "| 2 | No error, and something is not as it should be: the table below says what. |",
            "",
            "With `--json` an error is JSON on standard output, and nothing is on standard error:",
            "",
            "```json",
            '{"error": {"code": "store_denied", "message": "...", "retryable": false}}',
            "```",
            "",
            "`code` is one of [the error codes](errors.md), or `arguments`, `file` or `aborted`. `lifecycle apply` and",
            "`lifecycle drift` answer with an entry for each bucket. A bucket that failed has `error` in it, and",
            "the others have their answers.",
            "",
            *("## What 2 says", "", "| command | exits with 2 if |", "| --- | --- |", *rows, ""),
            *("## Other exit codes", "", "These commands tell several kinds of difference apart.", ""),
            *("| command | exit code | meaning |", "| --- | --- | --- |", *others, ""),
        ]
    )


def _command(name: str, command: Command) -> list[str]:
    lines = [f"## `{name}`", "", inspect.cleandoc(command.help or ""), ""]
    rows = []
    for parameter in command.params:
        names = ", ".join(f"`{option}`" for option in (*parameter.opts, *parameter.secondary_opts))
        text = getattr(parameter, "help", "") or ""
        plain = parameter.default not in (None, False) and not callable(parameter.default)
        default = parameter.default if plain else ""
        if names != "`--help`":
            rows.append(f"| {names} | {f'`{default}`' if default != '' else ''} | {text} |")
    if rows:
        lines += ["| option | default | what it is |", "| --- | --- | --- |", *rows, ""]
    for child_name, child in sorted(getattr(command, "commands", {}).items()):
        lines += _command(f"{name} {child_name}", child)
    return lines


def regimes_page() -> str:
    """Return the page of regimes: its prose as it stands, and the table of the default pack's clauses."""
    text = (HERE / "../policy/regimes.md").read_text("utf-8")
    start, end = text.index("<!-- regimes:"), text.index("<!-- end of regimes -->")
    start = text.index("\n", start) + 1
    lines = []
    for _, regime in load(default_policies()).regimes:
        where = ", ".join(f"`{word}`" for words in regime.where.values() for word in words)
        article = f", {regime.article}" if regime.article and regime.article not in regime.source else ""
        since = f"from {regime.begins}" if regime.begins else "no date known"
        facts = f"{regime.source}{article}; {where}; {since}. How sure: {regime.sure}."
        lines += [f"### `{regime.regime}`", "", *textwrap.wrap(facts, LINE, break_on_hyphens=False), ""]
        lines += ["| clause | asks | read as | bound to |", "| --- | --- | --- | --- |"]
        for clause in regime.clauses:
            check = f"check `{clause.check or f'{regime.regime}/{clause.id}'}`"
            bound = f"the platform's duty: {clause.duty}" if clause.duty else check
            cells = (f"`{clause.id}`", clause.asks, clause.reading or "", bound)
            lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
        lines.append("")
    return text[:start] + "\n".join(["", *lines]) + text[end:]


def policy_file(identity: str) -> str:
    """Return what to attach to an identity, with the buckets' names left open."""
    return json.dumps(identity_policy(identity, _blanks(BUCKETS)), indent=2) + "\n"


def bucket_policy_file(bucket: str) -> str:
    """Return the policy of a bucket, with names and identities left open."""
    policy = bucket_policy(bucket, _blanks(BUCKETS), _blanks(IDENTITIES), tls_only=True, server=S3ServerKind.AWS)
    return json.dumps(policy, indent=2) + "\n"


def _blanks(names: tuple[str, ...]) -> dict[str, str]:
    return {name: f"${{{name.upper()}}}" for name in names}


def uploads_page() -> str:
    """Return the page of what an upload may be, by the settings that stand without any other."""
    limits = UploadSettings.model_construct()
    caps = upload_caps(limits)
    sides = sorted({min(caps.max_side, FORMATS[name].max_side) for name in caps.formats})
    sizes = [
        f"An upload has at most {limits.max_bytes / 1e6:g} MB. A side of a JPEG has at most {sides[-1]:,} pixels, and",
        f"a side of any other picture {sides[0]:,}. The table shows the largest picture of each kind that passes, with",
        "sides of 4 and 3. What bounds most kinds is the memory and the processor time that decoding takes. A refusal",
        "names what was too much, and the limit.",
    ]
    lines = ["# Limits of uploads", "", NOTE, *sizes, "", "| kind | megapixels |", "| --- | ---: |"]
    lines += [f"| {kind} | {pixels:g} |" for kind, pixels in megapixels(caps).items()]
    return "\n".join([*lines, ""])


PAGES = {
    "settings.md": settings_page,
    "errors.md": errors_page,
    "states.md": states_page,
    "uploads.md": uploads_page,
    "openapi.json": openapi_page,
    "cli.md": cli_page,
    "export.schema.json": lambda: json.dumps(export_document.schema(), indent=2) + "\n",
    "exit-codes.md": exit_codes_page,
    "../policy/regimes.md": regimes_page,
    **{f"../../infra/s3/{identity}-policy.json": partial(policy_file, identity) for identity in IDENTITIES},
    **{f"../../infra/s3/{bucket}-bucket-policy.json": partial(bucket_policy_file, bucket) for bucket in BUCKETS},
}


def main() -> int:
    """Write the pages, or compare them with ``--check``."""
    check = sys.argv[1:] == ["--check"]
    HERE.mkdir(exist_ok=True)
    stale = []
    for name, make in PAGES.items():
        text, path = make(), HERE / name
        if check:
            if not path.exists() or path.read_text("utf-8") != text:
                stale.append(name)
        else:
            path.write_text(text, "utf-8")
    for name in stale:
        print(f"docs/reference/{name} is out of date; run `make docs`", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
