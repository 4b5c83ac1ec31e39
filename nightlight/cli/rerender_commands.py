"""``nightlight rerender``: pictures rendered again by hand."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from nightlight.cli.exit_codes import DIFFERENCES, DONE
from nightlight.cli.output import JsonFlag, WaitOption, local_actor, logged_settings, print_json, wait_for_workers


def rerender(
    tier: Annotated[list[str] | None, typer.Option(help="A tier, and again for more; else every tier.")] = None,
    profile: Annotated[str | None, typer.Option(help="The pictures of one profile; else of every profile.")] = None,
    watermark_key: Annotated[
        str | None, typer.Option(help="What was watermarked with this key, by its id, and no longer should be.")
    ] = None,
    missing: Annotated[bool, typer.Option("--missing", help="What has no object in the bucket of renditions.")] = False,
    every: Annotated[bool, typer.Option("--every", help="Every picture that is shown; it takes long.")] = False,
    wait_s: WaitOption = 0.0,
    as_json: JsonFlag = False,
) -> None:
    """Render pictures again: of a tier, of a profile, by an old watermark key, or that a bucket has lost.

    After a change of the policy or of the visible watermark nothing needs to be done by hand: pictures follow. The
    work goes on where it was if workers are restarted; `nightlight policy progress` says how far it is. Exits with 2
    if the workers were not done in time: they go on.

    Examples: `nightlight rerender --tier tiny --watermark-key old`, `nightlight rerender --missing --wait-s 600`
    """
    from nightlight.catalogue.clock import shared_clock
    from nightlight.flows.pictures.rerender_runs import RerenderRuns
    from nightlight.wiring.components import open_catalogue
    from nightlight_core.clock import system_clock
    from nightlight_core.errors import InvalidInput

    if not (tier or profile or watermark_key or missing or every):
        raise InvalidInput("say what: --tier, --profile, --watermark-key, --missing or --every")
    scope: dict[str, Any] = {"tiers": tier, "profile_id": profile, "watermark_key": watermark_key, "missing": missing}
    scope = {name: value for name, value in scope.items() if value}
    if not watermark_key and not missing:
        scope["force"] = True
    with open_catalogue(logged_settings()) as catalogue:
        runs = RerenderRuns(catalogue, shared_clock(catalogue, system_clock))
        begun = runs.begin(scope, actor=local_actor())

        def left() -> int:
            states = {item.run.rerender_id: item.run.state for item in runs.progress(limit=1000)}
            return int(states.get(begun.rerender_id) == "running")

        waiting = wait_for_workers("rendering", 1, left, wait_s) if wait_s else left()
        (own,) = [item for item in runs.progress(limit=1000) if item.run.rerender_id == begun.rerender_id]
    if as_json:
        print_json(own.to_json())
    else:
        typer.echo(f"{own.run.state}: {own.run.rendered:,} rendered again, {own.run.failed:,} failed")
    raise typer.Exit(DIFFERENCES if waiting and wait_s else DONE)
