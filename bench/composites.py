"""How much detail a rendition keeps across a face that is easily missed: large, changed, beside small clear ones.

Composites (``bench/composite_kinds.py``) are rendered by the pipeline as uploads are. Where their faces lie is known, so
the detail across each face that shows in the square can be counted: of the face's whole width where at least a fifth of
it shows, the part that shows. ``before`` is what the first pass alone would have left, on the same pictures.

Photographs are yours: a folder with a folder for each person, as Labeled Faces in the Wild is laid out; adults only. One
photograph a person is used. People are halved by a hash of their names: thresholds are chosen on one half and reported
on the other. Without a folder the two portraits inside packages are used, which proves little.

``--no-face FOLDER`` takes pictures without a face, and says how many of them are believed to have none.

    python bench/composites.py [--faces FOLDER] [--no-face FOLDER] [--count N] [--half 1|2] [--sheet FILE] [--json FILE]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import random
import statistics
import time
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path

from nightlight import one_thread  # noqa: F401 - before numpy is imported

# isort: split

from PIL import Image, ImageDraw
from rich.console import Console
from rich.progress import track
from rich.table import Table

from bench.composite_kinds import KINDS, Composite, Portrait, compose, ground
from nightlight.imaging import face_budget
from nightlight.imaging.face import FaceDetector, FaceSearch, widest_face_px
from nightlight.imaging.pipeline import Pipeline
from nightlight.imaging.probe import UploadCaps, probe
from nightlight.imaging.recipe import Recipe
from nightlight.imaging.visible_watermark import VisibleWatermark
from tests.support.in_process import InProcessDecoder

# The outsider tier of the default policy, without its marks: they only hide more.
TIER = Recipe("tiny", 96, face_px=5)
# More than this across a true face is a miss: a quarter over the budget.
LIMIT_PX = 1.25 * 5
# A photograph's face is taken to be where CenterFace sees it, alone, upright and in the middle; CenterFace's boxes are
# 0.93 as wide as the face from ear to ear.
CERTAIN, BOX_TO_FACE = 0.6, 0.93
SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}
PACKAGED = {"skimage": "data/astronaut.png", "matplotlib": "mpl-data/sample_data/grace_hopper.jpg"}
CELL = 220
# What was measured is written so often, in composites.
SAVE_EVERY = 32


@dataclass(frozen=True, slots=True)
class Outcome:
    """One composite: the most detail across a face of it that shows, in pixels, now and by the first pass alone."""

    kind: str
    seed: int
    detail_px: float
    before_px: float
    least_share: float
    large_shown: bool


def first_photographs(folder: Path, half: int) -> list[Path]:
    """Return one photograph of each person of a half (1 or 2)."""
    people = sorted(path for path in folder.iterdir() if path.is_dir())
    kept = [path for path in people if hashlib.sha256(path.name.encode()).digest()[0] % 2 == half - 1]
    return [min(path for path in person.iterdir() if path.suffix.lower() in SUFFIXES) for person in kept]


def packaged() -> list[Path]:
    """Return the portraits that come inside installed packages."""
    files = [(find_spec(package), file) for package, file in PACKAGED.items()]
    return [Path(spec.origin).parent / file for spec, file in files if spec and spec.origin]


def portraits(paths: list[Path], detector: FaceDetector, most: int) -> list[Portrait]:
    """Return up to ``most`` photographs whose one clear face is known."""
    kept: list[Portrait] = []
    for path in track(paths, "photographs", transient=True):
        image = Image.open(path).convert("RGB")
        face = detector.largest(image)
        if face is None or face.confidence < CERTAIN or face.width < 0.15 * min(image.size):
            continue
        middle = face.left + face.width / 2, face.top + face.height / 2
        kept.append(Portrait(image, *middle, face.width / BOX_TO_FACE))
        if len(kept) == most:
            break
    return kept


def measure(composite: Composite, seed: int, pipeline: Pipeline) -> Outcome:
    """Render a composite and count the detail across its faces."""
    buffer = BytesIO()
    composite.picture.save(buffer, "JPEG", quality=92)
    data = buffer.getvalue()
    rendered = pipeline.render(data, [TIER])
    (rendition,) = rendered.renditions
    left, top, right, _ = rendered.square
    side = right - left
    part = pipeline.kept_region(data, probe(data, pipeline.caps, edge=rendition.width), None)
    scale = min(rendered.frame.size) / min(composite.picture.size)
    offset = (part.left, part.top) if part else (0, 0)
    before = face_budget.grid_side(side, widest_face_px(FaceSearch(rendered.search.faces), side), TIER.face_px)
    at = left / scale + offset[0], top / scale + offset[1]
    widths = [face.shown_px(*at, side / scale) * scale / side for face in composite.faces]
    widest = max(widths)
    return Outcome(
        composite.kind,
        seed,
        rendition.grid * widest,
        min(before, rendition.width) * widest,
        rendered.search.least_share,
        widths[0] > 0,
    )


def sheet(outcomes: list[Outcome], faces: list[Portrait], path: Path, columns: int = 6) -> None:
    """Save the composites with the most detail across a face as a picture."""
    worst = sorted(outcomes, key=lambda outcome: -outcome.detail_px)[: 3 * columns]
    paper = Image.new("RGB", (columns * CELL, -(-len(worst) // columns) * (CELL + 20)), (250, 250, 248))
    pen = ImageDraw.Draw(paper)
    for number, outcome in enumerate(worst):
        picture = compose(outcome.kind, faces, outcome.seed).picture
        picture.thumbnail((CELL - 8, CELL - 8))
        left, top = number % columns * CELL, number // columns * (CELL + 20)
        paper.paste(picture, (left, top))
        pen.text((left, top + CELL - 4), f"{outcome.kind}: {outcome.detail_px:.1f} px", (30, 30, 30))
    paper.save(path)


def no_faces(folder: Path, detector: FaceDetector) -> dict[str, int]:
    """Count the pictures of a folder, and those of which both networks say that they have no face."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    verdicts = [
        detector.find(Image.open(path).convert("RGB")).no_face for path in track(paths, "no face", transient=True)
    ]
    return {"pictures": len(verdicts), "no_face": sum(verdicts)}


def seen_as_none(faces: list[Portrait], first: int, count: int, detector: FaceDetector) -> dict[str, int]:
    """Count pictures of one face, changed as the composites are, that are believed to have none."""
    kinds = [kind for kind in KINDS if kind != "long picture"]
    missed = 0
    for number in track(range(first, first + count), "single faces", transient=True):
        picture = compose(kinds[number % len(kinds)], faces, 10_000_000 + number, small=0).picture
        missed += detector.find(picture).no_face
    return {"pictures": count, "no_face": missed}


def ordinary(faces: list[Portrait], count: int, detector: FaceDetector) -> dict[str, dict[str, float]]:
    """Return what the further looks cost pictures in which nothing was missed, in pixels of the tier's grid.

    Portraits as they are; one as half a body, and four as one picture: every face is about a fifth as wide as the
    square.
    """
    grids: dict[str, list[tuple[int, int]]] = {}
    for number in track(range(count), "ordinary pictures", transient=True):
        people = [faces[(4 * number + place) % len(faces)].image for place in range(4)]
        four, half = Image.new("RGB", (500, 500)), ground((500, 500), faces, random.Random(number))
        for place, portrait in enumerate(people):
            four.paste(portrait.resize((250, 250), Image.Resampling.BICUBIC), (place % 2 * 250, place // 2 * 250))
        half.paste(people[0].resize((250, 250), Image.Resampling.BICUBIC), (125, 250))
        for name, picture in (("portrait", people[0]), ("half body", half), ("four portraits", four)):
            search, side = detector.find(picture), min(picture.size)
            widths = widest_face_px(FaceSearch(search.faces), side), widest_face_px(search, side)
            grid = tuple(face_budget.grid_side(side, width, TIER.face_px) for width in widths)
            grids.setdefault(name, []).append(grid)
    medians = {name: [statistics.median(column) for column in zip(*rows, strict=True)] for name, rows in grids.items()}
    return {
        name: {"before": medians[name][0], "now": medians[name][1], "same": sum(a == b for a, b in rows) / len(rows)}
        for name, rows in grids.items()
    }


def cost(detector: FaceDetector, picture: Image.Image, runs: int = 30) -> dict[str, float]:
    """Return the CPU milliseconds of the first pass alone and of the whole search, medians of one run."""
    times: dict[str, list[float]] = {"first_pass_ms": [], "search_ms": []}
    for _ in range(runs):
        for name, search in (("first_pass_ms", detector.largest), ("search_ms", detector.find)):
            begin = time.thread_time_ns()
            search(picture)
            times[name].append((time.thread_time_ns() - begin) / 1e6)
    return {name: statistics.median(values) for name, values in times.items()}


def wilson(hits: int, count: int) -> tuple[float, float]:
    """Return the 95 % interval of a share (Wilson, 1927)."""
    z = 1.96
    middle = (hits + z * z / 2) / (count + z * z)
    half = z / (count + z * z) * math.sqrt(hits * (count - hits) / count + z * z / 4)
    return max(0.0, middle - half), min(1.0, middle + half)


def show(console: Console, outcomes: list[Outcome]) -> None:
    """Print each kind's misses, now and by the first pass alone, and the whole with its interval."""
    table = Table(title=f"more than {LIMIT_PX:g} px across a face that shows")
    for name in ("kind", "composites", "first pass alone", "now", "most now, px"):
        table.add_column(name, justify="left" if name == "kind" else "right")
    for kind in [*KINDS, "all"]:
        rows = [outcome for outcome in outcomes if kind in (outcome.kind, "all")]
        if rows:
            before, now = (sum(getattr(row, name) > LIMIT_PX for row in rows) for name in ("before_px", "detail_px"))
            table.add_row(kind, str(len(rows)), str(before), str(now), f"{max(row.detail_px for row in rows):.1f}")
    console.print(table)
    missed = sum(outcome.detail_px > LIMIT_PX for outcome in outcomes)
    low, high = wilson(missed, len(outcomes))
    console.print(f"{missed} of {len(outcomes)}: {missed / len(outcomes):.2%} ({low:.2%} to {high:.2%})")


def main() -> None:
    """Compose, render, count and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=Path, help="a folder with a folder of photographs for each person; adults only")
    parser.add_argument("--no-face", type=Path, help="a folder of pictures without a face")
    parser.add_argument("--count", type=int, default=160)
    parser.add_argument("--first", type=int, default=0, help="the number of the first composite; each has its own seed")
    parser.add_argument("--people", type=int, default=1000)
    parser.add_argument("--half", type=int, choices=(1, 2), default=2)
    parser.add_argument("--sheet", type=Path, help="save the worst cases as a picture")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    console = Console()
    detector = FaceDetector()
    pipeline = Pipeline(UploadCaps(), InProcessDecoder(), detector, VisibleWatermark())
    paths = first_photographs(options.faces, options.half) if options.faces else packaged()
    faces = portraits(paths, detector, options.people)
    console.print(f"{len(faces)} faces; half {options.half}" if options.faces else "two packaged faces: no evidence")
    kinds = list(KINDS)
    outcomes = []
    for number in track(range(options.first, options.first + options.count), "composites", transient=True):
        seed = options.half * 1_000_000 + number
        outcomes.append(measure(compose(kinds[number % len(kinds)], faces, seed), seed, pipeline))
        if options.json and len(outcomes) % SAVE_EVERY == 0:
            options.json.write_text(json.dumps({"outcomes": [asdict(outcome) for outcome in outcomes]}) + "\n")
    show(console, outcomes)
    result = {"outcomes": [asdict(outcome) for outcome in outcomes], "cost": cost(detector, faces[0].image)}
    long = [outcome.large_shown for outcome in outcomes if outcome.kind == "long picture"]
    console.print(f"long pictures whose large face shows: {sum(long)} of {len(long)}")
    result["single_faces"] = seen_as_none(faces, options.first, options.count, detector)
    result["ordinary"] = ordinary(faces, options.count // 16, detector)
    if options.no_face:
        result["no_face"] = no_faces(options.no_face, detector)
    console.print({name: value for name, value in result.items() if name != "outcomes"})
    if options.sheet:
        sheet(outcomes, faces, options.sheet)
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
