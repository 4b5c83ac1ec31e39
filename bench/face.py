"""How well a recogniser still finds people by the renditions that a policy makes of their pictures.

For pairs of photographs of one person, the first is rendered by the policy's tiers and enlarged as an attacker
would; a recogniser compares it with the second. Accepted at a threshold at which one comparison in a hundred
between different people passes, the share of pairs that are accepted is the rate of re-identification (TAR at
1 % FAR), with its 95 % interval (Clopper and Pearson, 1934). The attacker is given more than a real one has: the
face's exact place and landmarks from the full picture, and a threshold set for the very tier.

The recogniser is dlib's ResNet with its five landmarks, which come inside packages. Photographs are yours:
a folder with a folder for each person, as Labeled Faces in the Wild is laid out; adults only. Without one, the
few portraits inside installed packages are used, each paired with a changed copy of itself: that shows the way, and
the interval says how little it proves.

    python bench/face.py [--faces FOLDER] [--policy FOLDER] [--pairs N] [--plot FILE] [--json FILE]
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import random
from dataclasses import dataclass, replace
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path

from nightlight import one_thread  # noqa: F401 - before numpy is imported

# isort: split

import dlib
import numpy as np
from PIL import Image, ImageEnhance, ImageFilter
from rich.console import Console
from rich.progress import track
from rich.table import Table
from scipy.stats import beta

from nightlight.imaging.face import FaceDetector
from nightlight.imaging.invisible_watermark import InvisibleWatermarkWriter
from nightlight.imaging.pipeline import Pipeline
from nightlight.imaging.probe import UploadCaps
from nightlight.imaging.recipe import build_recipes
from nightlight.imaging.visible_watermark import VisibleWatermark
from nightlight.policy.compile import compile_folder
from tests.support.in_process import InProcessDecoder

HERE = Path(__file__).parent
FAR = 0.01
# Comparisons between different people from which a threshold for one in a hundred is taken; with fewer, the
# distance that dlib's authors recommend stands in for it, and no claim is judged.
ENOUGH = 1000
# Pairs from which a curve is worth drawing.
FEW = 30
RECOMMENDED = 0.6
BUDGETS = (3, 4, 5, 6, 8, 10, 12, 16, 24, 32, 48)
SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}
CHIP = 150  # the network's input, in pixels


def models():
    folder = Path(find_spec("face_recognition_models").origin).parent / "models"
    return (
        dlib.get_frontal_face_detector(),
        dlib.shape_predictor(str(folder / "shape_predictor_5_face_landmarks.dat")),
        dlib.face_recognition_model_v1(str(folder / "dlib_face_recognition_resnet_model_v1.dat")),
    )


@dataclass
class Photograph:
    """One face: the picture, and its five landmarks in the picture's pixels, float64 (5, 2)."""

    person: str
    data: bytes
    picture: Image.Image
    landmarks: np.ndarray


class Recogniser:
    """dlib's ResNet: 128 numbers for an aligned face; the nearer, the more alike."""

    def __init__(self):
        self.detect, self.predict, self.network = models()

    def photograph(self, person, data):
        """Return the photograph, or None where its one largest face is not found."""
        picture = Image.open(BytesIO(data)).convert("RGB")
        factor = min(1.0, 1000 / max(picture.size))
        picture = picture.resize((round(picture.width * factor), round(picture.height * factor)))
        pixels = np.asarray(picture)
        boxes = self.detect(pixels, 1)
        if not boxes:
            return None
        shape = self.predict(pixels, max(boxes, key=lambda box: box.area()))
        landmarks = np.array([(part.x, part.y) for part in shape.parts()], dtype=float)
        buffer = BytesIO()
        picture.save(buffer, "JPEG", quality=95)
        return Photograph(person, buffer.getvalue(), picture, landmarks)

    def describe(self, picture, landmarks):
        points = dlib.points([dlib.point(round(x), round(y)) for x, y in landmarks])
        box = dlib.rectangle(*(int(value) for value in (*landmarks.min(axis=0), *landmarks.max(axis=0))))
        shape = dlib.full_object_detection(box, points)
        chip = dlib.get_face_chip(np.asarray(picture), shape, CHIP)
        return np.array(self.network.compute_face_descriptor(chip))


ATTACKS = {
    "bicubic": lambda image, size: image.resize((size, size), Image.Resampling.BICUBIC),
    "Lanczos, sharpened": lambda image, size: image.resize((size, size), Image.Resampling.LANCZOS).filter(
        ImageFilter.UnsharpMask(radius=size / 100, percent=150, threshold=0)
    ),
}


def attacked(pipeline, photograph, wanted):
    """Yield (tier, attack, picture, landmarks) for every rendition, enlarged to the square's own size or more."""
    rendered = pipeline.render(photograph.data, wanted)
    left, top, right, _ = rendered.square
    side = right - left
    scale = rendered.frame.width / photograph.picture.width
    inside = photograph.landmarks * scale - (left, top)
    size = max(side, 600)
    for rendition in rendered.renditions:
        small = Image.open(BytesIO(rendition.data)).convert("RGB")
        for name, enlarge in ATTACKS.items():
            yield rendition.recipe.tier, name, enlarge(small, size), inside * (size / side)


def interval(hits, count):
    """Return the 95 % interval of a share, by Clopper and Pearson."""
    low = beta.ppf(0.025, hits, count - hits + 1) if hits else 0.0
    high = beta.ppf(0.975, hits + 1, count - hits) if hits < count else 1.0
    return float(low), float(high)


def rates(probes, gallery, partners):
    """Return hits and pairs: probes (by photograph) against their partners, at FAR among all others."""
    people = [photograph.person for photograph in gallery]
    full = np.stack([photograph.full for photograph in gallery])
    genuine, impostor = [], []
    for index, vector in probes.items():
        distances = np.linalg.norm(full - vector, axis=1)
        genuine += [distances[partner] for partner in partners[index]]
        impostor += [distance for other, distance in enumerate(distances) if people[other] != people[index]]
    threshold = np.quantile(impostor, FAR) if len(impostor) >= ENOUGH else RECOMMENDED
    return int((np.array(genuine) <= threshold).sum()), len(genuine), len(impostor)


def from_folder(folder, recogniser, pairs, seed):
    """Return photographs and, for each that is rendered, its partners; at most ``pairs`` pairs, people drawn by lot."""
    people = [entry for entry in sorted(folder.iterdir()) if entry.is_dir()]
    random.Random(seed).shuffle(people)
    gallery, partners = [], {}
    for person in track(people, description="finding faces", transient=True):
        files = sorted(file for file in person.iterdir() if file.suffix.lower() in SUFFIXES)[:4]
        if len(partners) >= pairs and len(gallery) >= 2 * pairs:
            break
        photographs = [
            photograph for file in files if (photograph := recogniser.photograph(person.name, file.read_bytes()))
        ]
        first = len(gallery)
        gallery += photographs
        if len(photographs) > 1 and len(partners) < pairs:
            partners[first] = list(range(first + 1, first + len(photographs)))
    return gallery, partners


def from_packages(recogniser):
    """Return the portraits inside packages, each paired with a copy that is turned, darker and flipped."""
    sources = {
        "astronaut": Path(find_spec("skimage").origin).parent / "data/astronaut.png",
        "camera": Path(find_spec("skimage").origin).parent / "data/camera.png",
        "hopper": Path(find_spec("matplotlib").origin).parent / "mpl-data/sample_data/grace_hopper.jpg",
    }
    gallery, partners = [], {}
    for person, path in sources.items():
        original = Image.open(path).convert("RGB")
        changed = ImageEnhance.Brightness(original.rotate(6, Image.Resampling.BICUBIC)).enhance(0.8)
        buffers = []
        for image in (original, changed.transpose(Image.Transpose.FLIP_LEFT_RIGHT)):
            buffer = BytesIO()
            image.save(buffer, "PNG")
            buffers.append(recogniser.photograph(person, buffer.getvalue()))
        if all(buffers):
            partners[len(gallery)] = [len(gallery) + 1]
            gallery += buffers
    return gallery, partners


def measured(recogniser, gallery, partners, wanted):
    """Return, for each tier and attack, (hits, pairs, impostors)."""
    pipeline = Pipeline(
        UploadCaps(), InProcessDecoder(), FaceDetector(), VisibleWatermark(), InvisibleWatermarkWriter(bytes(range(32)))
    )
    for photograph in gallery:
        photograph.full = recogniser.describe(photograph.picture, photograph.landmarks)
    probes = {}
    for index in track(partners, description="rendering and comparing", transient=True):
        for tier, attack, picture, landmarks in attacked(pipeline, gallery[index], wanted):
            probes.setdefault((tier, attack), {})[index] = recogniser.describe(picture, landmarks)
    return {key: rates(vectors, gallery, partners) for key, vectors in probes.items()}


def judged(claim, low, high, impostors):
    if impostors < ENOUGH:
        return "too few faces to say"
    if high <= claim:
        return "met, upper bound and all"
    return "not met" if low > claim else "within the interval"


def evidence():
    """Return what was measured before on Labeled Faces in the Wild: (face_px, rate, low, high) in percent."""
    by_kind = {}
    with (HERE / "face_evidence.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            if row["kind"] in {"png", "webp"}:
                figures = [float(row[name]) for name in ("face_px", "tar_percent", "low", "high")]
                by_kind.setdefault((row["recogniser"], row["kind"]), []).append(figures)
    return by_kind


def plot(path, curve, tiers, count):
    import matplotlib as mpl

    mpl.use("svg" if path.suffix == ".svg" else "agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(9.5, 4.5), constrained_layout=True)
    for (recogniser, kind), points in evidence().items():
        widths = [width for width, *_ in points]
        (line,) = axes.plot(widths, [rate for _, rate, *_ in points], marker=".", label=f"{recogniser}, {kind}")
        axes.fill_between(
            widths, [low for *_, low, _ in points], [high for *_, high in points], alpha=0.15, color=line.get_color()
        )
    if count >= FEW:
        for attack in ATTACKS:
            shares = [100 * curve[budget, attack][0] / curve[budget, attack][1] for budget in BUDGETS]
            low = [interval(*curve[budget, attack][:2]) for budget in BUDGETS]
            axes.plot(BUDGETS, shares, marker="o", linestyle="--", label=f"this run, {attack}")
            axes.fill_between(BUDGETS, [100 * a for a, _ in low], [100 * b for _, b in low], alpha=0.15)
    for tier in tiers:
        if tier.face_px:
            axes.axvline(tier.face_px, color="grey", linestyle=":")
            axes.annotate(tier.tier, (tier.face_px, 101), ha="center", annotation_clip=False)
    axes.set(
        xscale="log", xlabel="face budget, pixels across the face", ylabel="re-identified at 1 % FAR, %", ylim=(0, 100)
    )
    axes.set_xticks(BUDGETS, [str(budget) for budget in BUDGETS])
    axes.axhline(5, color="green", linewidth=0.8)
    this_run = f"this run: {count} pairs" if count >= FEW else f"this run's {count} pairs are too few to draw"
    axes.minorticks_off()
    axes.legend(
        title=f"bands: 95 % intervals;\n{this_run}", loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize="small"
    )
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=Path, help="folder with a folder of photographs for each person")
    parser.add_argument("--policy", type=Path, default=HERE.parent / "policies")
    parser.add_argument("--pairs", type=int, default=500, help="people whose pictures are rendered (default 500)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--plot", type=Path, help="draw the curve into this PNG or SVG file")
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    options = parser.parse_args()
    console = Console(width=110, highlight=False)
    recogniser = Recogniser()
    if options.faces:
        gallery, partners = from_folder(options.faces, recogniser, options.pairs, options.seed)
    else:
        gallery, partners = from_packages(recogniser)
    if not partners:
        parser.error("nobody has two photographs with a face that is found")
    pairs = sum(len(partner_rows) for partner_rows in partners.values())
    console.print(
        f"{len(gallery)} photographs of {len({photograph.person for photograph in gallery})} people, {pairs} pairs"
    )
    table = compile_folder(options.policy).table
    tiers = build_recipes(table.tiers, order=("none", *table.tiers))
    tiny = min(tiers, key=lambda tier: tier.edge)
    ladder = [replace(tiny, tier=str(budget), face_px=budget, preview=False) for budget in BUDGETS]
    rates_of = measured(recogniser, gallery, partners, [*tiers, *ladder])
    shown = Table(title="re-identified at 1 % false matches")
    for title in ("tier", "attack", "pairs", "share", "95 % interval", "claim"):
        shown.add_column(title)
    report = []
    for tier, attack in itertools.product(tiers, ATTACKS):
        hits, count, impostors = rates_of[tier.tier, attack]
        low, high = interval(hits, count)
        claim = table.tiers[tier.tier].reidentification_at_most
        verdict = "" if claim is None else f"{100 * claim:g} %: {judged(claim, low, high, impostors)}"
        shown.add_row(
            tier.tier,
            attack,
            str(count),
            f"{100 * hits / count:.1f} %",
            f"{100 * low:.1f} to {100 * high:.1f} %",
            verdict,
        )
        report.append(
            {
                "tier": tier.tier,
                "attack": attack,
                "hits": hits,
                "pairs": count,
                "impostors": impostors,
                "low": low,
                "high": high,
                "claim": claim,
            }
        )
    console.print(shown)
    curve = {(budget, attack): rates_of[str(budget), attack] for budget in BUDGETS for attack in ATTACKS}
    for attack in ATTACKS:
        console.print(
            f"{attack}: "
            + ", ".join(
                f"{budget} px {100 * curve[budget, attack][0] / curve[budget, attack][1]:.0f} %" for budget in BUDGETS
            )
        )
    if options.plot:
        plot(options.plot, curve, tiers, pairs)
    if options.json:
        options.json.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
