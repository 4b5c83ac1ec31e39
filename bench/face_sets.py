"""Photographs of people, what the product makes of them, and who plays which part.

A folder has a folder for each person, as Labeled Faces in the Wild is laid out. Adults only: nothing here knows an age.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path

import dlib
import numpy as np
from PIL import Image, ImageEnhance

from nightlight.imaging.face import FaceDetector
from nightlight.imaging.invisible_watermark import InvisibleWatermarkWriter
from nightlight.imaging.pipeline import Pipeline
from nightlight.imaging.probe import UploadCaps
from nightlight.imaging.visible_watermark import VisibleWatermark
from tests.support.in_process import InProcessDecoder

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}
# A photograph is measured at no more than this: recognisers see 112 to 150 pixels of a face.
LONGEST_SIDE = 1000
# Pictures of one person that are fused, and one more to enrol.
SEVERAL = 10
# Fitting takes no more pictures of one person than this: a few people of a set have hundreds.
MOST_OF_ONE = 4


@dataclass(frozen=True)
class Face:
    """A face in some picture: pixels, uint8 (height, width, 3), and 68 landmarks in its pixels, float64 (68, 2)."""

    pixels: np.ndarray
    points: np.ndarray


@dataclass
class Photograph:
    """An upload with one face that is found. ``renditions``: (bytes, scale, left, top) by tier, as the product made them."""

    person: str
    data: bytes
    points: np.ndarray
    renditions: dict[str, tuple[bytes, float, float, float]] = field(default_factory=dict)
    blurhash: str = ""

    def clear(self):
        return Face(_pixels(self.data), self.points)

    def seen(self, tier):
        """Return the face as a viewer of the tier has it; its landmarks are those of the upload, moved along."""
        data, scale, left, top = self.renditions[tier]
        return Face(_pixels(data), self.points * scale - (left, top))


@dataclass(frozen=True)
class Parts:
    """Who plays which part.

    Each of ``probes`` shows the person of the same place in ``enrolled``, which goes on with other people. ``several``
    has more pictures of a few of the probes' people, by place. ``fitting`` are other people's, to fit models on.
    """

    probes: list[Photograph]
    enrolled: list[Photograph]
    several: dict[int, list[Photograph]]
    fitting: list[Photograph]

    @property
    def mates(self):
        return np.arange(len(self.probes))

    @property
    def all(self):
        """Return every photograph once, the probes first."""
        more = (one for each in self.several.values() for one in each)
        return list({id(one): one for one in (*self.probes, *self.enrolled, *self.fitting, *more)}.values())


class FaceFinder:
    """dlib's detector and its 68 landmarks, on the full photograph: more than a real attacker has."""

    def __init__(self):
        models = Path(find_spec("face_recognition_models").origin).parent / "models"
        self.detect = dlib.get_frontal_face_detector()
        self.predict = dlib.shape_predictor(str(models / "shape_predictor_68_face_landmarks.dat"))

    def photograph(self, person, data):
        """Return the photograph, or None where no face is found."""
        picture = Image.open(BytesIO(data)).convert("RGB")
        if max(picture.size) > LONGEST_SIDE:
            picture.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
            data = _encoded(picture)
        pixels = np.asarray(picture)
        boxes = self.detect(pixels, 0) or self.detect(pixels, 1)
        if not boxes:
            return None
        middle = dlib.point(picture.width // 2, picture.height // 2)
        # Research sets put the person they name in the middle; strangers stand beside.
        box = max(boxes, key=lambda box: (box.contains(middle), box.area()))
        points = np.array([(part.x, part.y) for part in self.predict(pixels, box).parts()], dtype=float)
        return Photograph(person, data, points)


class Product:
    """The product's own pipeline, in this process."""

    def __init__(self, recipes):
        self.recipes = recipes
        self.pipeline = Pipeline(
            UploadCaps(),
            InProcessDecoder(),
            FaceDetector(),
            VisibleWatermark(),
            InvisibleWatermarkWriter(bytes(range(32))),
        )

    def render(self, photograph, tiers=None):
        """Make the renditions of all tiers, or as an attacker would those of some; keep them with the photograph.

        An attacker has the programs, and not the keys: what he makes has no invisible watermark.
        """
        wanted = self.recipes
        if tiers is not None:
            wanted = [replace(one, invisible_watermark="none", variants=1) for one in wanted if one.tier in tiers]
        result = self.pipeline.render(photograph.data, wanted)
        left, top, right, _ = result.square
        width = Image.open(BytesIO(photograph.data)).width
        for rendition in result.renditions:
            shown = rendition.width / (right - left)
            scale = result.frame.width / width * shown
            photograph.renditions[rendition.recipe.tier] = (rendition.data, scale, left * shown, top * shown)
            photograph.blurhash = rendition.blurhash or photograph.blurhash


def from_folder(folder, finder, sizes, seed, progress):
    """Return the Parts of a folder of people; ``sizes`` are (tested, enrolled, fitting) people at most."""
    tested, enrolled, fitting = sizes
    files = {
        person.name: sorted(file for file in person.iterdir() if file.suffix.lower() in SUFFIXES)
        for person in sorted(folder.iterdir())
        if person.is_dir()
    }
    lot = random.Random(seed)
    people = sorted(files)
    lot.shuffle(people)
    for name in people:
        lot.shuffle(files[name])
    # First those of whom there are many pictures, as many as are fused; then those with two; then those with one.
    many = [name for name in people if len(files[name]) > SEVERAL][: max(1, tested // 16)]
    rest = [name for name in people if len(files[name]) > 1 and name not in set(many)]
    pairs = (many + rest)[:tested]
    others = [name for name in people if len(files[name]) == 1][: enrolled - len(pairs)]
    models = rest[tested - len(many) :][:fitting]
    many_of = set(many)
    wanted = [
        *((name, 1 + SEVERAL if name in many_of else 2) for name in pairs),
        *((name, 1) for name in others),
        *((name, MOST_OF_ONE) for name in models),
    ]
    found = {
        name: [each for file in files[name][:most] if (each := finder.photograph(name, file.read_bytes()))]
        for name, most in progress(wanted, "finding faces")
    }
    pairs = [name for name in pairs if len(found[name]) > 1]
    return Parts(
        probes=[found[name][1] for name in pairs],
        enrolled=[found[name][0] for name in (*pairs, *others) if found[name]],
        several={place: found[name][1:] for place, name in enumerate(pairs) if len(found[name]) == 1 + SEVERAL},
        fitting=[each for name in models if len(found[name]) > 1 for each in found[name]],
    )


def from_packages(finder):
    """Return the portraits inside packages, each paired with a copy that is turned, darker and flipped."""
    folder = Path(find_spec("skimage").origin).parent / "data"
    sources = {
        "astronaut": folder / "astronaut.png",
        "camera": folder / "camera.png",
        "hopper": Path(find_spec("matplotlib").origin).parent / "mpl-data/sample_data/grace_hopper.jpg",
    }
    pairs = []
    for person, path in sources.items():
        original = Image.open(path).convert("RGB")
        changed = ImageEnhance.Brightness(original.rotate(6, Image.Resampling.BICUBIC)).enhance(0.8)
        flipped = changed.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        pair = [finder.photograph(person, _encoded(each)) for each in (original, flipped)]
        if all(pair):
            pairs.append(pair)
    return Parts([second for _, second in pairs], [first for first, _ in pairs], {}, [])


def copy_of(photograph, *, cropped):
    """Return the photograph as it was put elsewhere: smaller and encoded again, or with other edges too."""
    picture = Image.open(BytesIO(photograph.data)).convert("RGB")
    width, height = picture.size
    if cropped:
        picture = picture.crop((round(0.1 * width), round(0.04 * height), width, round(0.94 * height)))
    picture = picture.resize((round(picture.width * 0.8), round(picture.height * 0.8)), Image.Resampling.LANCZOS)
    return Photograph(photograph.person, _encoded(picture, 75), photograph.points)


def _encoded(picture, quality=95):
    buffer = BytesIO()
    picture.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def _pixels(data):
    return np.asarray(Image.open(BytesIO(data)).convert("RGB"))
