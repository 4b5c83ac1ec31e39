"""The demonstration: real photographs, several ages, every kind of viewer, over HTTP from end to end."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib import util
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from nightlight.cli import key_commands
from nightlight.cli.embedded import EmbeddedStack
from nightlight.cli.output import print_json
from nightlight.imaging.contact_sheet import contact_sheet, picture_size
from nightlight.provenance.certificates import ROOT_FILE
from nightlight.provenance.verify import ManifestState, verify_manifest
from nightlight_client import NightlightClient
from nightlight_core.errors import SettingsRefused
from nightlight_core.files import private_folder

SHEET = "contact-sheet.png"
_PLACEHOLDER_EDGE = 128
# In a log or a pipe the table is not cut at 80 columns.
_PLAIN_WIDTH = 110


@dataclass(frozen=True, slots=True)
class Person:
    """A profile of the demonstration; the photograph comes with scikit-image and shows no minor."""

    profile_id: str
    photograph: str
    band: str
    choice: str
    region: str = "eu"


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who looks: the column's title, and what the platform says of them."""

    title: str
    relation: str
    viewer: str


@dataclass(frozen=True, slots=True)
class Cell:
    """What one viewer got of one profile, as it came over HTTP."""

    profile_id: str
    band: str
    viewer: str
    tier: str
    rule: str
    width: int
    height: int
    bytes: int
    cache_s: int
    shows: str
    manifest: str


PEOPLE = (
    Person("ada", "astronaut.png", "under_13", "connections"),
    Person("ben", "chelsea.png", "age_13_15", "everyone"),
    Person("cleo", "coffee.png", "age_16_17", "connections"),
    Person("dan", "camera.png", "unknown", "everyone"),
    Person("eve", "rocket.jpg", "adult", "connections"),
    Person("fay", "clock_motion.png", "adult", "everyone"),
    Person("gus", "coins.png", "age_13_15", "hidden"),
)
VIEWERS = (
    Viewer("self", "self", "peer"),
    Viewer("connection", "connection", "peer"),
    Viewer("stranger", "stranger", "adult"),
    Viewer("signed out", "stranger", "signed_out"),
    Viewer("blocked", "blocked", "adult"),
)


def run(out: Path, *, stay: bool, as_json: bool) -> int:
    """Run the demonstration into ``out``; return 0 if everything that arrived was what the policy says."""
    console = Console(stderr=as_json)
    if not console.is_terminal:
        console.width = _PLAIN_WIDTH
    started = time.monotonic()
    data_dir = out / "data"
    shutil.rmtree(data_dir, ignore_errors=True)
    private_folder(data_dir)
    photographs = _photographs()
    console.print("Nightlight demonstration: starting service, worker, schedule and a private queue ...")
    with EmbeddedStack(data_dir, quiet=True) as stack:
        token = key_commands.token(data_dir, scopes=None, subject="demo", hours=1)
        with NightlightClient(
            stack.url, token=token, relation_keys=key_commands.relation_keys(data_dir), viewer_id="demo-viewer"
        ) as client:
            _upload(client, photographs, console)
            cells, pictures, urls, wrong = _look(client, data_dir)
        sheet = out / SHEET
        sheet.write_bytes(_sheet(cells, pictures))
        if as_json:
            print_json({"cells": [asdict(cell) for cell in cells], "sheet": str(sheet)})
        else:
            console.print(_table(cells))
        for line in wrong:
            console.print(f"[red]WRONG[/red] {line}")
        console.print(f"{len(cells)} URLs fetched over HTTP and checked, {len(wrong)} wrong.")
        console.print(f"Contact sheet: {sheet}    {time.monotonic() - started:.1f} s in all")
        if stay:
            console.print(
                f"\nOpenAPI page: {stack.url}/docs\nHealth: {stack.url}/readyz   Metrics: {stack.url}/metrics"
            )
            console.print("Pictures to open (they expire):")
            for label, url in urls:
                console.print(f"  {label:<22} {url}", soft_wrap=True, highlight=False)
            console.print("Ctrl-C stops everything.")
            stack.wait()
    return 1 if wrong else 0


def _photographs() -> dict[str, bytes]:
    """Return the photographs by file name, read from scikit-image's packaged data."""
    spec = util.find_spec("skimage")
    if spec is None or spec.origin is None:
        raise SettingsRefused("the demonstration's photographs come with the extra: pip install 'nightlight[demo]'")
    folder = Path(spec.origin).parent / "data"
    return {person.photograph: (folder / person.photograph).read_bytes() for person in PEOPLE}


def _upload(client: NightlightClient, photographs: dict[str, bytes], console: Console) -> None:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        uploading = progress.add_task("uploading", total=len(PEOPLE))
        rendering = progress.add_task("rendering", total=len(PEOPLE))
        images = []
        for person in PEOPLE:
            client.declare(
                person.profile_id, band=person.band, assurance="verified", region=person.region, choice=person.choice
            )
            images.append(client.upload(person.profile_id, photographs[person.photograph]))
            progress.advance(uploading)
        for image in images:
            done = client.wait(image.image_id)
            if done.state != "ready":
                raise SettingsRefused(f"the image of {done.profile_id} is {done.state}: {done.reason}")
            progress.advance(rendering)


def _look(client: NightlightClient, data_dir: Path) -> tuple[list[Cell], list[bytes], list[tuple[str, str]], list[str]]:
    """Ask, fetch and check every combination of profile and viewer."""
    root = (data_dir / "keys" / key_commands.PROVENANCE / ROOT_FILE).read_text("ascii")
    cells: dict[tuple[str, str], tuple[Cell, bytes, str]] = {}
    wrong: list[str] = []
    for viewer in VIEWERS:
        items = [(person.profile_id, viewer.relation) for person in PEOPLE]
        decisions = client.decide(viewer.viewer, "profile", items)
        reasons = client.explain(viewer.viewer, "profile", items)["items"]
        for person, decision, reason in zip(PEOPLE, decisions, reasons, strict=True):
            label = f"{person.profile_id} seen by {viewer.title}"
            response = client.fetch(decision.url)
            if response.status != 200:  # noqa: PLR2004 - OK
                wrong.append(f"{label}: status {response.status}")
                continue
            width, height = picture_size(response.content)
            allowed = reason["edge"] or _PLACEHOLDER_EDGE
            if max(width, height) > allowed:
                wrong.append(f"{label}: {width} x {height} pixels, {allowed} allowed")
            cell = Cell(
                profile_id=person.profile_id,
                band=person.band,
                viewer=viewer.title,
                tier=reason["tier"],
                rule=reason["rule"],
                width=width,
                height=height,
                bytes=len(response.content),
                cache_s=reason["cache_s"],
                shows=reason["shows"],
                manifest=verify_manifest(response.content, response.headers["content-type"], anchors=root).state,
            )
            if cell.manifest not in {ManifestState.TRUSTED, ManifestState.NONE}:
                wrong.append(f"{label}: the manifest in the picture is {cell.manifest}")
            cells[person.profile_id, viewer.title] = (cell, response.content, decision.url)
    in_order = [
        cells[key] for person in PEOPLE for viewer in VIEWERS if (key := (person.profile_id, viewer.title)) in cells
    ]
    urls = [(f"{cell.profile_id} / {cell.viewer}", url) for cell, _, url in in_order if cell.shows == "rendition"]
    return [cell for cell, _, _ in in_order], [data for _, data, _ in in_order], urls, wrong


def _sheet(cells: Sequence[Cell], pictures: Sequence[bytes]) -> bytes:
    rows = []
    for person in PEOPLE:
        shown = [
            (data, f"{cell.tier}, {cell.width} px, {cell.bytes} B" if cell.shows == "rendition" else "placeholder")
            for cell, data in zip(cells, pictures, strict=True)
            if cell.profile_id == person.profile_id
        ]
        rows.append((f"{person.profile_id}: {person.band}", f"chose {person.choice}\nregion {person.region}", shown))
    return contact_sheet("Who sees what", [viewer.title for viewer in VIEWERS], rows)


def _table(cells: Sequence[Cell]) -> Table:
    table = Table(title="What each viewer gets")
    for name in ("profile", "band", "viewer", "tier", "size", "bytes", "cache s", "manifest", "bound by"):
        table.add_column(name, justify="right" if name in {"size", "bytes", "cache s"} else "left", no_wrap=True)
    last = ""
    for cell in cells:
        first = cell.profile_id != last
        if first and last:
            table.add_section()
        last = cell.profile_id
        shows = cell.shows == "rendition"
        table.add_row(
            cell.profile_id if first else "",
            cell.band if first else "",
            cell.viewer,
            cell.tier if shows else "placeholder",
            f"{cell.width}x{cell.height}",
            str(cell.bytes),
            str(cell.cache_s),
            "" if cell.manifest == ManifestState.NONE else cell.manifest,
            cell.rule,
        )
    return table
