"""``nightlight abuse-signals``: who looks like a scraper and why; canaries, which only a scraper asks for."""

from __future__ import annotations

from dataclasses import asdict
from io import BytesIO
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import track

from nightlight.cli.output import CsvFile, JsonFlag, logged_settings, plain, print_report
from nightlight.cli.policy_rollout import DEFAULT_URL, TokenVariable, Url
from nightlight.settings import Settings

if TYPE_CHECKING:
    import numpy as np

app = typer.Typer(help="Who looks like a scraper and why.", no_args_is_help=True)

_COLUMNS = ("kind", "who", "reason", "times", "first_at", "last_at")
_SIDE = 640


@app.command()
def report(
    hours: Annotated[float, typer.Option(min=0.01, max=8760, help="Seen within so many hours.")] = 24,
    csv_file: CsvFile = None,
    as_json: JsonFlag = False,
) -> None:
    """List viewers and networks that were over their quota, asked for very many profiles, or for a canary.

    Settings come from NIGHTLIGHT_* as for a service. Example: `nightlight abuse-signals report --hours 1 --json`
    """
    from nightlight.wiring.retention import open_abuse_report

    with open_abuse_report(logged_settings()) as watching:
        rows = [plain(asdict(signal)) for signal in watching.report(hours=hours)]
    print_report(_COLUMNS, rows, csv_file=csv_file, as_json=as_json, nothing="nobody")


@app.command()
def plant(
    profile_ids: Annotated[list[str], typer.Argument(help="Ids that look like those of your own accounts.")],
    url: Url = DEFAULT_URL,
    token: Annotated[str, typer.Option(envvar=TokenVariable, help="A token with `ingest` and `relate`.")] = "",
    band: Annotated[
        list[str] | None, typer.Option(help="An age band, and again for more; else every band of the policy pack here.")
    ] = None,
) -> None:
    """Make canaries of fresh ids: profiles of every age with drawn pictures, linked from nowhere.

    Whoever asks for one found its id by trying or by copying lists: `canary.seen` in the log, and in the report.
    Example: `nightlight abuse-signals plant u-7731840 u-7731999`
    """
    from nightlight_client import NightlightClient

    bands = band or _bands()
    with NightlightClient(url, token=token) as client:
        for number, profile_id in enumerate(track(profile_ids, "planting", transient=True)):
            age = bands[number % len(bands)]
            client.declare(profile_id, band=age, assurance="verified", region="eu", choice="everyone")
            client.wait(client.upload(profile_id, drawn(profile_id)).image_id)
            client.plant(profile_id)
    typer.echo(f"{len(profile_ids)} canaries; link them from nowhere")


def _bands() -> list[str]:
    """Return the age bands of the policy pack that this process would decide by."""
    from nightlight.policy.load import load

    return list(load(Settings().policy.folder).vocabulary.attributes["subject_age"])


def drawn(profile_id: str) -> bytes:
    """Return a PNG file of coloured discs, of nobody, another one for every id."""
    import zlib

    import numpy as np
    from PIL import Image

    random = np.random.default_rng(zlib.crc32(profile_id.encode()))
    down, across = np.mgrid[0:_SIDE, 0:_SIDE].astype(np.float32) / _SIDE
    pixels: np.ndarray = np.stack([across, down, 1 - across], 2) * random.uniform(60, 200, 3) + random.uniform(0, 55, 3)
    for _ in range(12):
        x, y, radius = random.uniform(0, 1, 3) * (1, 1, 0.3)
        inside = (across - x) ** 2 + (down - y) ** 2 < radius**2
        pixels[inside] = random.uniform(0, 255, 3)
    pixels += random.normal(0, 6, pixels.shape)
    buffer = BytesIO()
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()
