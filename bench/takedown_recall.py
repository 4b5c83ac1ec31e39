"""Recall of takedown notices on a folder of photographs, through the product's own hashing, rendering and reading.

Two ways are measured, since a picture leaks in two:

``upload``  somebody uploads an altered copy of a picture, and the notice names the picture. The hashes of the notice's
            picture (its parts, its windows) have to be near to a view of the copy.
``found``   an altered copy of a rendition is found elsewhere, and is sent in with the notice. The hashes of its parts
            have to be near to a view of the original, or its invisible watermark has to name the image.

The windows of a found copy are left out: they could only find more. Windows of the notice's picture are tried from the
likeliest on, and no further than the first that is near, which changes nothing of what is found.
"""

from __future__ import annotations

import base64
import json
import os
import zlib
from dataclasses import dataclass, field
from functools import cached_property
from io import BytesIO
from pathlib import Path

import numpy as np
from face_statistics import wilson
from PIL import Image
from rich.table import Table
from takedown_copies import COPIES, CUT, CUT_KEPT, cut_share, photographs

from nightlight.flows.pictures.notices import MIRRORED, UPRIGHT, WHOLE_WITHIN, WINDOW_WITHIN
from nightlight.imaging.crop import kept_box
from nightlight.imaging.face import crop_face
from nightlight.imaging.match_squares import SIDE, candidate_lumas, square_luma
from nightlight.imaging.notice_views import windows
from nightlight.imaging.probe import probe
from nightlight.imaging.recipe import build_recipes
from nightlight.imaging.renderer import Renderer
from nightlight.matching.pdq import LEAST_QUALITY, distance, pdq
from nightlight.policy.compile import compile_folder
from nightlight.settings import Settings

ATTACKS = ("JPEG 50", "half size", CUT, "mirrored", "with text", "screenshot", "screenshot, not enlarged")
WAYS = {"upload": ("hash",), "found": ("hash", "watermark", "both")}
# The likeliest windows, which are tried before faces are searched for: those are found by a network.
_FIRST = 12
_POLICIES = Path(__file__).parents[1] / "policies"


@dataclass(frozen=True)
class Product:
    """What a worker is made of: its renderer with a watermark's key, and the recipe of the tier that leaks."""

    tier: str
    renderer: Renderer = field(default_factory=lambda: Renderer(_settings()))

    @cached_property
    def recipes(self):
        table = compile_folder(_POLICIES).table
        return build_recipes(table.tiers, order=("none", *table.tiers))

    def frame(self, data):
        """Return the frame that is hashed of a file, as ``Renderer.notice_lumas`` has it."""
        pipeline = self.renderer._built()  # noqa: SLF001 - its public way makes a thousand windows, and most are not needed
        header = probe(data, pipeline.caps, edge=SIDE)
        return pipeline.decoder.frame(data, header, edge=SIDE, region=pipeline.kept_region(data, header, None))

    def frame_of(self, picture):
        """Return the frame of a picture that is uploaded without loss: of a small one, itself."""
        return picture if min(picture.size) <= SIDE else self.frame(_file(picture))

    def shown(self, frame):
        """Return the box that is shown of a frame, likewise."""
        faces = self.renderer._built().find_faces(frame).faces  # noqa: SLF001 - likewise
        return kept_box(*frame.size, crop_face(faces))

    def rendition(self, data, number):
        """Return the picture of the tier's rendition, its invisible watermark carrying ``number``."""
        recipe = next(recipe for recipe in self.recipes if recipe.tier == self.tier)
        renditions, _, _ = self.renderer.render(data, [recipe], None, {self.tier: number})
        return Image.open(BytesIO(renditions[0].data)).convert("RGB")

    def names(self, data, number):
        """Say whether the invisible watermark of a found copy names the rendition with this number."""
        sides = sorted({recipe.edge for recipe in self.recipes if recipe.invisible_watermark != "none"})
        read = self.renderer.detect(self.renderer.decode_copy(data).pixels, sides).detection
        if read is None:
            return False
        return read.payload.rendition == (number & 0xFFFF if read.payload.short else number)


def _settings():
    os.environ["NIGHTLIGHT_INVISIBLE_WATERMARK_KEYS"] = f"b1:{base64.b64encode(bytes(range(32))).decode()}"
    return Settings()


def _hashed(lumas):
    """Return the eight hashes of each luma that is worth it, uint8 (n, 8, 32)."""
    hashed = [picture.hashes for picture in map(pdq, lumas) if picture.quality >= LEAST_QUALITY]
    return np.stack(hashed) if hashed else np.zeros((0, 8, 32), np.uint8)


def _near(queries, views):
    """Return the least distance of hashes, uint8 (n, 32), from views, uint8 (m, 32); 256 where there are none."""
    return int(distance(queries[:, None], views[None]).min()) if len(queries) and len(views) else 256


def _windows_near(frame, shown, views, likely, most=None):
    """Say whether a window of a frame is near to a view; ``likely`` is where the copy was cut from, in shares."""
    grey, full = frame.convert("L"), (0, 0, *frame.size)
    boxes = [window for box in dict.fromkeys((full, shown)) for window in windows(box)]
    target = np.array(likely) * np.array(frame.size * 2)
    for box in sorted(boxes, key=lambda box: float(np.abs(np.array(box) - target).max()))[:most]:
        hashes = _hashed([square_luma(grey.crop(box), SIDE)])
        if len(hashes) and _near(hashes[0][[UPRIGHT, MIRRORED]], views) <= WINDOW_WITHIN:
            return True
    return False


def _upload_is_near(product, frame, own, copy, likely):
    """Say whether a notice's picture finds an upload; squares around faces are tried where the rest is not near."""
    full = (0, 0, *frame.size)
    views = _hashed(candidate_lumas(copy))[:, UPRIGHT]
    if _near(own, views) <= WHOLE_WITHIN or _windows_near(frame, full, views, likely, most=_FIRST):
        return True
    shown = product.shown(frame)
    own = np.concatenate((own, _hashed(candidate_lumas(frame, shown)).reshape(-1, 32)))
    views = _hashed(candidate_lumas(copy, product.shown(copy)))[:, UPRIGHT]
    return _near(own, views) <= WHOLE_WITHIN or _windows_near(frame, shown, views, likely)


def _copy_is_near(product, frame, own, copy):
    """Say whether the parts of a found copy find an upload, likewise."""
    if _near(own, _hashed(candidate_lumas(copy))[:, UPRIGHT]) <= WHOLE_WITHIN:
        return True
    own = _hashed(candidate_lumas(frame, product.shown(frame))).reshape(-1, 32)
    return _near(own, _hashed(candidate_lumas(copy, product.shown(copy)))[:, UPRIGHT]) <= WHOLE_WITHIN


def _file(picture):
    buffer = BytesIO()
    picture.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def judge(product, name, data, picture, ways):
    """Return, for each way and attack, by what an altered copy of a photograph was found."""
    seed = zlib.crc32(name.encode())
    frame = product.frame(data)
    own = _hashed(candidate_lumas(frame)).reshape(-1, 32)  # all turns, so that those of copies need none
    rows = {way: {} for way in ways}
    if "upload" in ways:
        for attack in ATTACKS:
            copy = product.frame_of(COPIES[attack](picture, np.random.default_rng(seed)))
            likely = cut_share(CUT_KEPT, np.random.default_rng(seed)) if attack == CUT else (0, 0, 1, 1)
            rows["upload"][attack] = {"hash": _upload_is_near(product, frame, own, copy, likely)}
    if "found" in ways:
        number = seed << 24 | 0xABCDEF
        leaked = product.rendition(data, number)
        for attack in ATTACKS:
            copy = _file(COPIES[attack](leaked, np.random.default_rng(seed)))
            by_hash, by_watermark = _copy_is_near(product, frame, own, product.frame(copy)), product.names(copy, number)
            rows["found"][attack] = {"hash": by_hash, "watermark": by_watermark, "both": by_hash or by_watermark}
    return rows


def chosen(folder, first, most):
    """Yield (name, file, picture) of the packaged photographs, then of one photograph of each folder, in a fixed order.

    Where the folder has no folders, of each photograph.
    """
    packaged = [(name, None, picture) for name, picture in photographs()]
    inner = sorted(path for path in folder.iterdir() if path.is_dir())
    files = [min(path.glob("*.jpg"), default=None) for path in inner] if inner else sorted(folder.glob("*.jpg"))
    files = [path for path in files if path is not None]
    order = np.random.default_rng(11).permutation(len(files))
    listed = [*packaged, *((files[place].name, files[place], None) for place in order)]
    for name, path, picture in listed[first : first + most]:
        if path is None:
            yield name, _file(picture), picture
        else:
            data = path.read_bytes()
            yield name, data, Image.open(BytesIO(data)).convert("RGB")


def recall_of(folder, first, most, tier, ways, rows_file):
    """Judge photographs, and add a line for each to ``rows_file``; return all of its lines."""
    product = Product(tier)
    known = [json.loads(line) for line in rows_file.read_text("utf-8").splitlines()] if rows_file.exists() else []
    names = {row["name"] for row in known}
    with rows_file.open("a", encoding="utf-8") as file:
        for name, data, picture in chosen(folder, first, most):
            if name not in names:
                known.append({"name": name, "tier": tier, **judge(product, name, data, picture, ways)})
                file.write(json.dumps(known[-1]) + "\n")
                file.flush()
    product.renderer.close()
    return known


def recall_table(rows, tier):
    """Return the table of a run, and its figures."""
    table = Table("way", "copy", "by", "tried", "found", "share", "95 % interval (Wilson)", title=f"rendition: {tier}")
    figures = {}
    for way, attack, kind in [
        (way, attack, kind) for way, kinds in WAYS.items() for attack in ATTACKS for kind in kinds
    ]:
        judged = [row[way][attack][kind] for row in rows if way in row]
        if judged:
            low, high = wilson(sum(judged), len(judged))
            figures[f"{way}, {attack}, {kind}"] = {"tried": len(judged), "found": sum(judged), "low": low, "high": high}
            counts = f"{len(judged):,}", f"{sum(judged):,}", f"{sum(judged) / len(judged):.4f}"
            table.add_row(way, attack, kind, *counts, f"{low:.4f} to {high:.4f}")
    return table, figures
