"""The commands, each a thin shell over one module."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

import nightlight
from nightlight.cli import (
    abuse_signal_commands,
    bucket_commands,
    edge_commands,
    hash_list_commands,
    hold_commands,
    init_command,
    lifecycle_commands,
    policy_commands,
    policy_compare,
    policy_comply,
    policy_emergency,
    policy_init,
    policy_options,
    policy_progress,
    policy_rollout,
    project,
    provenance_commands,
    receipt_commands,
    takedown_commands,
    webhook_commands,
)
from nightlight.cli.backfill_commands import backfill
from nightlight.cli.erase_commands import erase
from nightlight.cli.exit_codes import run
from nightlight.cli.export_commands import export
from nightlight.cli.output import JsonFlag
from nightlight.cli.report_commands import report
from nightlight.cli.rerender_commands import rerender
from nightlight.cli.restore_commands import purge_restored, resume
from nightlight.cli.rotate_command import rotate
from nightlight.cli.serve_command import serve
from nightlight.cli.status_command import status
from nightlight.cli.sweep_commands import sweep

app = typer.Typer(
    help="Protects minors' profile pictures: uploads in, policy-decided low-resolution renditions out.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    add_completion=False,
)
keys_app = typer.Typer(help="Keys and tokens for development; rotation of keys.", no_args_is_help=True)
catalogue_app = typer.Typer(help="The SQL catalogue.", no_args_is_help=True)
init_command.register(app)
app.command()(serve)
policy_init.register(policy_commands.app)
policy_compare.register(policy_commands.app)
policy_comply.register(policy_commands.app)
policy_rollout.register(policy_commands.app)
policy_progress.register(policy_commands.app)
policy_emergency.register(policy_commands.app)
app.add_typer(policy_commands.app, name="policy")
app.add_typer(hash_list_commands.app, name="lists")
app.add_typer(abuse_signal_commands.app, name="abuse-signals")
app.add_typer(lifecycle_commands.app, name="lifecycle")
app.add_typer(receipt_commands.app, name="receipt")
app.add_typer(hold_commands.app, name="hold")
app.add_typer(takedown_commands.app, name="takedown")
app.add_typer(webhook_commands.app, name="webhooks")
app.add_typer(bucket_commands.app, name="buckets")
app.add_typer(provenance_commands.app, name="provenance")
app.add_typer(edge_commands.app, name="edge")
app.command()(erase)
app.command()(export)
catalogue_app.command()(purge_restored)
catalogue_app.command()(resume)
app.command()(backfill)
app.command()(status)
app.command()(sweep)
app.command()(rerender)
app.command()(report)
keys_app.command()(rotate)
app.add_typer(keys_app, name="keys")
app.add_typer(catalogue_app, name="catalogue")


@app.callback()
def _in_a_project(context: typer.Context) -> None:
    if context.invoked_subcommand not in project.WITHOUT:
        project.load_settings()


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(nightlight.__version__)


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for the contact sheet and the demo's data.")] = Path("demo"),
    stay: Annotated[bool, typer.Option("--serve", help="Stay up afterwards and print URLs to open.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Upload real photographs for profiles of several ages and show what every kind of viewer gets.

    Example: `nightlight demo --serve`
    """
    from nightlight.cli import demo as demonstration

    raise typer.Exit(demonstration.run(out, stay=stay, as_json=as_json))


@app.command()
def render(
    picture: Annotated[Path, typer.Argument(help="A JPEG, PNG, WebP, AVIF, GIF or HEIC file.")],
    policy_dir: policy_options.PolicyOption,
    out: Annotated[Path, typer.Option(help="Folder for the renditions, a contact sheet and a report.")] = Path("out"),
    crop: Annotated[str | None, typer.Option(help="The owner's crop: left,top,width,height in pixels.")] = None,
    patterns: Annotated[
        bool, typer.Option("--patterns", help="Also draw each pattern of the visible watermark, on a sheet of its own.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Make every tier of a policy from one picture, and show what a face keeps of its detail.

    Example: `nightlight render portrait.jpg --policy policies --out out`
    """
    from nightlight.cli import render_commands

    render_commands.run(picture, policy_dir, out, crop=crop, patterns=patterns, as_json=as_json)


@app.command()
def trace(
    files: Annotated[list[Path] | None, typer.Argument(help="Found copies: image files, or folders of them.")] = None,
    rebuild: Annotated[bool, typer.Option("--rebuild", help="Make the index again from the catalogue first.")] = False,
    csv_file: Annotated[Path | None, typer.Option("--csv", help="Write a line for each match to this file.")] = None,
    accuse: Annotated[
        Path | None,
        typer.Option(
            help="File of viewers, one id a line: say whose variants agree with these copies. Full watermarks only."
        ),
    ] = None,
    false_accusation: Annotated[
        float, typer.Option(min=1e-12, max=0.5, help="Most probability that anybody innocent is named at all.")
    ] = 1e-3,
    as_json: JsonFlag = False,
) -> None:
    """Say which renditions found copies were made from, by invisible watermark and perceptual hash. For investigators.

    The watermark survives cropping, screenshots and mirroring, and names one tier and variant. A hash names the
    picture. Everything asked is in the audit log. Settings come from NIGHTLIGHT_* as for a worker. Exits with 2 if
    nothing at all was found.

    Examples: `nightlight trace found.jpg --json`, `nightlight trace leak/ --csv found.csv --accuse viewers.txt`
    """
    from nightlight.cli import trace_commands

    raise typer.Exit(
        trace_commands.run(
            files or [],
            rebuild=rebuild,
            csv_file=csv_file,
            viewers_file=accuse,
            false_accusation=false_accusation,
            as_json=as_json,
        )
    )


@keys_app.command("init")
def keys_init(
    data_dir: Annotated[Path, typer.Option(envvar="NIGHTLIGHT_DATA_DIR", help="Folder to make `keys/` in.")] = Path(
        "var"
    ),
) -> None:
    """Make a set of keys for development, unless there is one: service tokens, URL signatures, names.

    Example: `nightlight keys init --data-dir var`
    """
    from nightlight.cli.key_commands import init

    typer.echo(f"keys in {init(data_dir)}")


@keys_app.command("token")
def keys_token(
    data_dir: Annotated[
        Path, typer.Option(envvar="NIGHTLIGHT_DATA_DIR", help="Folder that `keys init` made `keys/` in.")
    ] = Path("var"),
    scope: Annotated[list[str] | None, typer.Option(help="Scope; repeat for several. All by default.")] = None,
    subject: Annotated[str, typer.Option(help="Who the token is for.")] = "developer",
    hours: Annotated[
        float,
        typer.Option(
            min=0.01, max=24 * 366, help="Hours it is valid for; at most what NIGHTLIGHT_AUTH_MAX_LIFE_S allows."
        ),
    ] = 12,
) -> None:
    """Print a bearer token for development.

    One deployment serves one platform: a token with the scope `ingest` may change or delete every profile of it.

    Example: `curl -H "Authorization: Bearer $(nightlight keys token --scope decide)" ...`
    """
    from nightlight.cli.key_commands import token

    typer.echo(token(data_dir, scopes=scope, subject=subject, hours=hours))


@keys_app.command("seal")
def keys_seal(
    key_id: Annotated[str, typer.Option(help="Two lower-case letters or digits.")] = "s1",
    vault: Annotated[
        bool,
        typer.Option("--vault", help="For the vault: the public one for the workers, the private one for its keeper."),
    ] = False,
) -> None:
    """Print a new pair of keys for sealing originals: the public one for the service, the private one for the workers.

    Examples: `nightlight keys seal --key-id s2`, `nightlight keys seal --vault --key-id v1`
    """
    from nightlight.store.sealing import generate_seal_keys

    private, public = generate_seal_keys()
    typer.echo(f"NIGHTLIGHT_STORE_{'VAULT_' if vault else ''}SEAL_PUBLIC_KEY={key_id}:{public}")
    typer.echo(f"NIGHTLIGHT_STORE_SEAL_PRIVATE_KEYS={key_id}:{private}")


@catalogue_app.command("upgrade")
def catalogue_upgrade() -> None:
    """Bring the database that NIGHTLIGHT_CATALOGUE_URL names to this release's schema.

    Example: `NIGHTLIGHT_CATALOGUE_URL=postgresql+psycopg://... nightlight catalogue upgrade`
    """
    from nightlight.catalogue.migrate import upgrade
    from nightlight.settings import Settings
    from nightlight.wiring.components import build_catalogue

    catalogue = build_catalogue(Settings())
    upgrade(catalogue.engine)
    catalogue.close()
    typer.echo("the catalogue is up to date")


@catalogue_app.command("downgrade")
def catalogue_downgrade(
    yes: Annotated[bool, typer.Option("--yes", help="Do it: what the newest migration added is dropped.")] = False,
) -> None:
    """Take the newest migration back, with everything that was written to what it added.

    It is not needed to go back to the release before: its processes work with an expanded schema. Stop every process of
    the newer release first.

    Example: `NIGHTLIGHT_CATALOGUE_URL=postgresql+psycopg://... nightlight catalogue downgrade --yes`
    """
    from nightlight.catalogue.migrate import downgrade
    from nightlight.settings import Settings
    from nightlight.wiring.components import build_catalogue
    from nightlight_core.errors import InvalidInput

    if not yes:
        raise InvalidInput("what the newest migration added would be dropped, with its data: say --yes")
    catalogue = build_catalogue(Settings())
    revision = downgrade(catalogue.engine)
    catalogue.close()
    typer.echo(f"the catalogue is at {revision}")


@catalogue_app.command("grants")
def catalogue_grants(
    apply: Annotated[
        bool, typer.Option("--apply", help="Run it on the database that NIGHTLIGHT_CATALOGUE_URL names.")
    ] = False,
    prefix: Annotated[str, typer.Option(help="What the names of the roles begin with.")] = "nightlight",
) -> None:
    """Print the SQL that gives each kind of process a PostgreSQL role with no more than its work needs.

    Run it as who migrates, after every `upgrade`. The roles cannot log in until you say so.

    Example: `nightlight catalogue grants | psql ...`, then `ALTER ROLE nightlight_service LOGIN PASSWORD '...'`
    """
    from nightlight.catalogue import sql_roles
    from nightlight.settings import Settings
    from nightlight.wiring.components import build_catalogue

    if not apply:
        for statement in sql_roles.grant_statements(prefix):
            typer.echo(f"{statement};")
        return
    catalogue = build_catalogue(Settings())
    done = sql_roles.apply_grants(catalogue.engine, prefix)
    catalogue.close()
    kept = "the schema is of a newer release: the roles keep what that one gave them"
    typer.echo(f"the roles of {prefix} have what their work needs" if done else kept)


def main() -> None:
    """Run the command line; what its exit status means is in exit_codes."""
    sys.exit(run(app, sys.argv[1:]))
