"""Files of picture test suites: what the sandbox makes of each, beside what Chromium shows.

``--folder FOLDER`` runs this over every picture below FOLDER. A folder directly below it is a suite.
Chromium reads no HEIC; there heif-convert is the measure. Chromium does not turn a WebP; here it is turned as we turn it.
"""

import os
from collections import Counter, defaultdict
from dataclasses import asdict, dataclass
from io import BytesIO

import numpy as np
from PIL import Image
from rich.progress import track
from rich.table import Table

from nightlight.imaging import crop, normalise
from nightlight.imaging.decoders import available_formats, open_upload
from nightlight.imaging.decoders.shrink import FILTER, GAP
from nightlight.imaging.probe import UploadCaps, probe, sniff
from nightlight.imaging.sandbox import Sandbox
from nightlight_core.errors import DecoderDied, ImageRefused, UnsupportedFormat
from tests.colour import browser, peers

# A decode at full size for most files, and one that the decoder itself makes smaller.
EDGES = (1024, 320)
BOUND, HDR_BOUND, WHITE = 3.0, 10.0, 255
BATCH, LARGEST = 48, 64_000_000
OUTCOMES = ("both", "differs", "refused", "cut off", "limit", "ours alone", "neither", "died")


@dataclass(frozen=True)
class Row:
    """What became of a file. ``outcome``: one of OUTCOMES. ``error``: the larger mean difference, of 255.

    ``refused``: shown by Chromium, and not by us. ``cut off`` and ``limit``: the same, since less than 90 % of the rows
    arrived, or since a limit forbids it. ``differs``: shown by both, with another size or beyond the bound; of a file
    that was cut off the rest is filled here and empty there.
    """

    suite: str
    file: str
    format: str
    outcome: str
    error: float | None = None
    detail: str = ""


def pictures_below(folder):
    """Return (suite, path) of every file below a folder that begins like a picture."""
    pictures = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and path.stat().st_size <= LARGEST):
        with path.open("rb") as file:
            try:
                sniff(file.read(256))
            except UnsupportedFormat:
                continue
        parts = path.relative_to(folder).parts
        pictures.append((parts[0] if len(parts) > 1 else "", path))
    return pictures


def compare(folder):
    """Return a Row for every picture below a folder."""
    rows, files = [], pictures_below(folder)
    with Sandbox() as sandbox:
        for first in track(range(0, len(files), BATCH), "suites"):
            batch = files[first : first + BATCH]
            uploads = [path.read_bytes() for _, path in batch]
            for (suite, path), data, shown in zip(batch, uploads, browser.show(uploads), strict=True):
                rows.append(_row(sandbox, suite, os.fsdecode(path.name), data, shown))
    return rows


def _row(sandbox, suite, name, data, shown):
    format_ = sniff(data)
    row = lambda *fields: Row(suite, name, str(format_), *fields)  # noqa: E731 - three fields are the same in each
    try:
        header = probe(data, UploadCaps(formats=available_formats()), edge=EDGES[0])
        frames = [np.asarray(sandbox.frame(data, header, edge=edge)) for edge in EDGES]
    except DecoderDied as error:
        return row("died", None, str(error))
    except ImageRefused as error:
        outcome = {"truncated_image": "cut off", "image_too_large": "limit", "image_too_complex": "limit"}
        if shown is None or shown.blank:
            return row("neither", None, f"{error.code}: {error}")
        return row(outcome.get(error.code, "refused"), None, f"{error.code}: {error}")
    reference = _reference(data, header, shown)
    if reference is None or (shown and shown.blank and frames[0].min() < WHITE):
        return row("ours alone", None, "")
    expected = [_framed(reference, edge) for edge in EDGES]
    pairs = [*zip(frames, expected, strict=True)]
    if any(frame.shape != wanted.shape for frame, wanted in pairs):
        return row("differs", None, f"{frames[0].shape[1::-1]} pixels, Chromium {expected[0].shape[1::-1]}")
    error = round(max(float(np.abs(frame.astype(int) - wanted).mean()) for frame, wanted in pairs), 2)
    within = error <= (HDR_BOUND if header.cicp and header.cicp[1] in (16, 18) else BOUND)
    return row("both" if within else "differs", error, "")


def _reference(data, header, shown):
    """Return the pixels to compare with as a picture: Chromium's, or of a HEIC heif-convert's; None without any."""
    if header.format == "heic":
        pixels = peers.decode("heif-convert", data, "HEIC", (0, 0)) if "heif-convert" in peers.installed() else None
        return None if pixels is None else Image.fromarray(pixels)
    if shown is None:
        return None
    image = Image.fromarray(shown.pixels)
    if header.format == "webp":
        image = normalise.upright(image, open_upload(BytesIO(data), header).orientation)
    return image


def _framed(image, edge):
    """Return the part and the size of a picture that a frame has."""
    box = crop.frame_window(image.size, crop.UPRIGHT, None)
    return np.asarray(image.resize(crop.fitted_size(box, edge), FILTER, box=box, reducing_gap=GAP)).astype(int)


def tables(rows):
    """Return a table of suites and formats by outcome, and one of every file that is not shown alike."""
    counts = defaultdict(Counter)
    for row in rows:
        counts[row.suite][row.outcome] += 1
        counts[f"all {row.format}"][row.outcome] += 1
        counts["all"][row.outcome] += 1
    summary = Table("suite", *OUTCOMES)
    for name, outcomes in counts.items():
        summary.add_row(name, *(str(outcomes[outcome] or "") for outcome in OUTCOMES))
    single = Table("suite", "file", "outcome", "error", "detail")
    for row in rows:
        if row.outcome not in ("both", "neither", "cut off"):
            single.add_row(row.suite, row.file, row.outcome, "" if row.error is None else str(row.error), row.detail)
    return summary, single


def as_json(rows):
    return [asdict(row) for row in rows]
