"""``nightlight serve``: everything on this machine, in a project folder or with a data folder alone."""

from __future__ import annotations

import os
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated

import typer

from nightlight.cli.project import refuse_lost_keys
from nightlight.settings.process import Deployment
from nightlight_core.errors import SettingsRefused


def serve(
    data_dir: Annotated[
        Path, typer.Option(envvar="NIGHTLIGHT_DATA_DIR", help="Where files, keys and the catalogue are kept.")
    ] = Path("var"),
    port: Annotated[
        int,
        typer.Option(
            min=0, max=65535, envvar="NIGHTLIGHT_SERVICE_PORT", help="Port of the service; 0 picks a free one."
        ),
    ] = 8080,
    host: Annotated[
        str,
        typer.Option(
            envvar="NIGHTLIGHT_SERVICE_HOST", help="Address to listen on; 0.0.0.0 lets other machines reach the API."
        ),
    ] = "127.0.0.1",
    workers: Annotated[int, typer.Option(min=1, help="Child processes that render.")] = 2,
) -> None:
    """Run everything on this machine: service, worker, schedule and a private queue. Ctrl-C stops it all.

    In a folder that `nightlight init` made, its `.env` says where everything is. Keys are made where there are none.

    Examples: `nightlight serve`, `nightlight serve --port 8080 --data-dir var`
    """
    from nightlight.cli.embedded import EmbeddedStack

    if os.environ.get("NIGHTLIGHT_DEPLOYMENT", Deployment.EMBEDDED) == Deployment.SCALE:
        raise SettingsRefused(
            "NIGHTLIGHT_DEPLOYMENT is scale, and `nightlight serve` is the embedded deployment; start the real "
            "services with `docker compose up --detach --wait`, or make another folder with `nightlight init`"
        )
    refuse_lost_keys(data_dir)
    with EmbeddedStack(data_dir, port=port, host=host, workers=workers) as stack:
        typer.echo(f"Nightlight listens on {stack.url}  (OpenAPI page: {stack.url}/docs)")
        if not _is_loopback(host):
            typer.echo(
                f"Other machines may reach it, by {host}: the API is for your backend alone, so mind who they are."
            )
        typer.echo(f"A token for all scopes: nightlight keys token --data-dir {data_dir}")
        stack.wait()


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
