"""What decoding takes of memory, by kind of picture, beside what ``probe.decode_bytes`` reckons from the header.

Each picture goes through the real sandbox; the figure is the child's peak resident size above that of a child that
decodes a picture of 16 pixels.

    PYTHONPATH=. python bench/memory.py [--megapixels N]
"""

from __future__ import annotations

import argparse
import contextlib
import math
import threading
from dataclasses import replace
from io import BytesIO
from pathlib import Path

from nightlight import one_thread  # noqa: F401 - before numpy is imported

# isort: split

import numpy as np
from PIL import Image, ImageFile
from rich.console import Console
from rich.table import Table

from nightlight.imaging.decoders import available_formats
from nightlight.imaging.formats import Format
from nightlight.imaging.probe import UploadCaps, decode_bytes, probe
from nightlight.imaging.sandbox import Sandbox, SandboxLimits
from nightlight.imaging.upload_limits import most_pixels
from nightlight_core.errors import NightlightError
from tests.support.phone_pictures import heic_grid
from tests.support.pictures import jxl

EDGE = 1024
TILE = 512
# Of the smooth pictures below, for the estimate of CPU time.
BYTES_A_PIXEL = 0.3
Image.MAX_IMAGE_PIXELS = None
ImageFile.MAXBLOCK = 1 << 26  # room for the encoder to write a large rough JPEG in one go


def picture(width, height):
    tile = np.random.default_rng(5).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    rough = np.tile(tile, (height // 64 + 1, width // 64 + 1, 1))[:height, :width]
    return Image.fromarray(rough)


def kinds(image):
    faded = image.convert("RGBA")
    faded.putalpha(Image.linear_gradient("L").resize(image.size))
    wide = Image.fromarray(np.asarray(image.convert("L"), dtype=np.uint16) * 257)
    yield "JPEG", image, "JPEG", {"quality": 85}
    yield "JPEG 4:4:4 progressive", image, "JPEG", {"quality": 85, "progressive": True, "subsampling": 0}
    yield "JPEG 4:2:0 progressive", image, "JPEG", {"quality": 85, "progressive": True}
    yield "JPEG grey", image.convert("L"), "JPEG", {}
    yield "JPEG CMYK", image.convert("CMYK"), "JPEG", {}
    yield "PNG RGB", image, "PNG", {"compress_level": 1}
    yield "PNG RGBA", image.convert("RGBA"), "PNG", {"compress_level": 1}
    yield "PNG RGB with a transparent colour", image, "PNG", {"compress_level": 1, "transparency": (1, 2, 3)}
    yield "PNG palette", image.quantize(64), "PNG", {"compress_level": 1}
    yield "PNG grey", image.convert("L"), "PNG", {"compress_level": 1}
    yield "PNG grey and alpha", image.convert("LA"), "PNG", {"compress_level": 1}
    yield "PNG grey, 16 bits", wide, "PNG", {"compress_level": 1}
    yield "GIF", image.quantize(64), "GIF", {}
    yield "WebP", image, "WEBP", {"quality": 80, "method": 0}
    yield "WebP with alpha", faded, "WEBP", {"quality": 80, "method": 0}
    yield "WebP lossless", image, "WEBP", {"lossless": True, "quality": 0, "method": 0}
    yield "AVIF 4:2:0", image, "AVIF", {"quality": 60, "speed": 10}
    yield "AVIF 4:4:4 with alpha", faded, "AVIF", {"quality": 60, "speed": 10, "subsampling": "4:4:4"}
    if Format.HEIC in available_formats():
        preset = {"quality": 60, "enc_params": {"preset": "ultrafast"}}
        yield "HEIC in tiles", image, "tiles", {}
        yield "HEIC", image, "HEIF", preset
        yield "HEIC 4:4:4", image, "HEIF", {**preset, "chroma": 444}
    if Format.JXL in available_formats():
        yield "JPEG XL", image, "jxl", {"distance": 1.0}
        yield "JPEG XL lossless", image, "jxl", {"distance": 0, "effort": 1}
        yield "JPEG XL with alpha", faded, "jxl", {"distance": 1.0}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megapixels", type=float, default=6.0)
    parser.add_argument("--only", default="", help="kinds with this word in their name")
    options = parser.parse_args()
    side = int((options.megapixels * 1e6) ** 0.5) // TILE * TILE
    image = picture(side, side)
    anything = UploadCaps(max_decode_bytes=10**12, formats=frozenset(Format))
    table = Table(title=f"{side} x {side} pixels")
    for title in ("kind", "bytes a pixel", "reckoned", "of the reckoning"):
        table.add_column(title, justify="left" if title == "kind" else "right")
    with Sandbox(SandboxLimits(memory_bytes=2_000_000_000)) as sandbox:
        buffer = BytesIO()
        picture(16, 16).save(buffer, "JPEG")
        sandbox.frame(buffer.getvalue(), probe(buffer.getvalue(), anything), edge=EDGE)
        idle = sandbox.peak_kb
        for name, frame, format_, how in (kind for kind in kinds(image) if options.only in kind[0]):
            data = file_of(frame, format_, how)
            header = probe(data, anything, edge=EDGE)
            try:
                sandbox.frame(data, header, edge=EDGE)
            except NightlightError as error:
                table.add_row(name, str(error), "", "")
                continue
            taken = (sandbox.peak_kb - idle) * 1024
            reckoned = decode_bytes(header, edge=EDGE)
            pixels = side * side
            table.add_row(name, f"{taken / pixels:.1f}", f"{reckoned / pixels:.1f}", f"{taken / reckoned:.2f}")
    console = Console(width=100, highlight=False)
    console.print(table)
    console.print(f"an idle child: {idle / 1024:.0f} MB")
    dearest(console, options.only)


def dearest(console, only):
    """For each kind the largest picture that the usual caps allow: helper and decoder together, at their most."""
    caps = UploadCaps(formats=frozenset(Format))
    table = Table(title="the largest square that is allowed, shared pages counted once (PSS)")
    for title in ("kind", "pixels", "helper and decoder, MB", "CPU, s", "estimated, s"):
        table.add_column(title, justify="left" if title == "kind" else "right")
    with Sandbox(SandboxLimits(wall_s=300.0)) as sandbox:
        for name in [name for name, *_ in kinds(picture(64, 64)) if only in name]:
            side = largest(name, caps)
            data = encoded(name, side)
            header = probe(data, UploadCaps(formats=frozenset(Format), max_decode_bytes=10**12), edge=EDGE)
            with Watch(sandbox) as watch:
                try:
                    sandbox.frame(data, probe(data, caps, edge=EDGE), edge=EDGE)
                except NightlightError as error:
                    console.print(f"{name}, {side} x {side}, {len(data)} bytes: {error}")
            cpu, estimate = f"{sandbox.cpu_s:.1f}", f"{header.decode_s:.1f}"
            table.add_row(name, f"{side * side / 1e6:.1f} M", f"{watch.most:.0f}", cpu, estimate)
    console.print(table)


def encoded(name, side):
    """A large picture that is smooth but for a grain of eight pixels."""
    grain = np.asarray(picture(side // 8 + 1, side // 8 + 1), dtype=np.int16) // 8
    ramp = np.asarray(Image.radial_gradient("L").resize((side // 8 + 1, side // 8 + 1)), dtype=np.int16)
    small = Image.fromarray(np.clip(ramp[..., None] + grain - 16, 0, 255).astype(np.uint8))
    image = small.resize((side, side), Image.Resampling.BILINEAR)
    return file_of(*next(rest for kind, *rest in kinds(image) if kind == name))


def file_of(frame, format_, how):
    if format_ == "tiles":
        return heic_grid(frame, tile=TILE)
    if format_ == "jxl":
        return jxl(frame, **how)
    buffer = BytesIO()
    frame.save(buffer, format_, **how)
    return buffer.getvalue()


def largest(name, caps):
    """Return the largest side whose header passes: from what a small picture of the kind says of itself."""
    sample = probe(encoded(name, TILE * 2), caps, edge=EDGE)
    side = math.isqrt(most_pixels(sample, BYTES_A_PIXEL, caps, edge=EDGE)) - 1
    while decode_bytes(replace(sample, width=side, height=side, coded=side * side), edge=EDGE) > caps.max_decode_bytes:
        side -= 16  # a square may be reduced where a picture of 4 by 3 is not
    side -= side // 200  # a large file says a little more of itself than the small one
    return side // TILE * TILE if name == "HEIC in tiles" else side


def pss(pid):
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("Pss:")).split()[1]) / 1024


class Watch:
    """Looks every few milliseconds how much memory the helper and its child have between them."""

    def __init__(self, sandbox):
        self.sandbox, self.most = sandbox, 0.0
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.look)

    def look(self):
        while not self.stop.is_set():
            with contextlib.suppress(OSError, StopIteration):
                children = Path(f"/proc/{self.sandbox.pid}/task/{self.sandbox.pid}/children").read_text().split()
                self.most = max(self.most, sum(pss(pid) for pid in (self.sandbox.pid, *children)))
            self.stop.wait(0.003)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()


if __name__ == "__main__":
    main()
