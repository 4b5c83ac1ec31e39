"""Mutants of real images against the sandboxed decoder: no dead helper, no hang, no growth, no answer but two.

Seeds are the corpus (``NIGHTLIGHT_CORPUS`` or ../shared/corpus, where it is) and pictures made here of every
format. A mutant is a seed with bits flipped, bytes set, ranges cut, doubled, moved or swapped with another seed's,
lengths and sizes set to odd numbers. What the decoder makes of it is a frame or a refusal; a decoder that dies is
written down with its mutant, and fails the run.

    python bench/fuzz.py [--mutants N] [--seconds N] [--seed N] [--keep FOLDER]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import time
from collections import Counter
from io import BytesIO
from pathlib import Path

from nightlight import one_thread  # noqa: F401 - before numpy is imported

# isort: split

import numpy as np
from PIL import Image
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from nightlight.imaging.decoders import available_formats
from nightlight.imaging.formats import Format
from nightlight.imaging.probe import UploadCaps, probe
from nightlight.imaging.sandbox import Sandbox, SandboxLimits
from nightlight_core.errors import DecoderDied, ImageRefused

CORPUS = Path(os.environ.get("NIGHTLIGHT_CORPUS", Path(__file__).parents[2] / "shared" / "corpus"))
ODD = (0, 1, 0x7F, 0x80, 0xFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
LIMITS = SandboxLimits(cpu_s=5, wall_s=8.0)
LARGEST_SEED = 400_000


def seeds():
    """Return (name, bytes): small pictures of every kind made here, and the corpus."""
    y, x = np.mgrid[0:48, 0:64]
    picture = Image.fromarray(np.stack([x * 4, y * 5, (x ^ y) * 3], axis=-1).astype(np.uint8))
    alpha = picture.convert("RGBA")
    alpha.putalpha(Image.linear_gradient("L").resize(picture.size))
    exif = Image.Exif()
    exif[0x0112] = 6
    frames = {"save_all": True, "append_images": [picture.rotate(90), picture.rotate(180)]}
    cases = [
        ("jpeg", picture, "JPEG", {"exif": exif}),
        ("jpeg progressive", picture, "JPEG", {"progressive": True, "subsampling": 0}),
        ("jpeg cmyk", picture.convert("CMYK"), "JPEG", {}),
        ("png", picture, "PNG", {"exif": exif}),
        ("png palette", picture.quantize(16), "PNG", {"transparency": 3}),
        ("png 16", Image.fromarray((x * 900).astype(np.uint16)), "PNG", {}),
        ("apng", picture, "PNG", frames),
        ("webp", picture, "WEBP", {"exif": exif}),
        ("webp lossless", alpha, "WEBP", {"lossless": True}),
        ("webp animated", picture, "WEBP", frames),
        ("avif", picture, "AVIF", {"exif": exif}),
        ("avif alpha", alpha, "AVIF", {}),
        ("gif", picture, "GIF", frames),
    ]
    if Format.HEIC in available_formats():
        cases += [("heic", picture, "HEIF", {}), ("heic alpha", alpha, "HEIF", {})]
    files = []
    for name, image, format_, options in cases:
        buffer = BytesIO()
        image.save(buffer, format_, **options)
        files.append((name, buffer.getvalue()))
    if Format.HEIC in available_formats():
        from tests.support.phone_pictures import heic_grid

        files.append(("heic in tiles", heic_grid(picture.resize((128, 128)), tile=64)))
    if Format.JXL in available_formats():
        from tests.support import jxl_files

        files += jxl_files.seeds(picture, alpha)
    if CORPUS.is_dir():
        corpus = (path for path in sorted(CORPUS.iterdir()) if path.suffix != ".csv")
        files += [(path.name, path.read_bytes()) for path in corpus if 0 < path.stat().st_size <= LARGEST_SEED]
    return files


def mutate(data, others, dice):
    """Return a mutant of ``data``; half of all changes fall in its first kilobyte, where the headers are."""
    mutant = bytearray(data)
    for _ in range(dice.choice((1, 1, 1, 2, 3, 5, 8))):
        if not mutant:
            break
        at = dice.randrange(min(len(mutant), 1024)) if dice.random() < 0.5 else dice.randrange(len(mutant))
        kind = dice.randrange(8)
        if kind == 0:
            mutant[at] ^= 1 << dice.randrange(8)
        elif kind == 1:
            mutant[at] = dice.randrange(256)
        elif kind == 2:
            size = dice.choice((1, 2, 4))
            mutant[at : at + size] = (dice.choice(ODD) & (256**size - 1)).to_bytes(size, dice.choice(("big", "little")))
        elif kind == 3:
            del mutant[at : at + dice.randrange(1, 200)]
        elif kind == 4:
            mutant[at:at] = mutant[at : at + dice.randrange(1, 200)] * dice.randrange(1, 4)
        elif kind == 5:
            del mutant[at:]
        elif kind == 6:
            other = dice.choice(others)[1]
            begin = dice.randrange(len(other))
            mutant[at:at] = other[begin : begin + dice.randrange(1, 500)]
        else:
            mutant[at : at + 8] = bytes(dice.randrange(256) for _ in range(8))
    return bytes(mutant)


def resident_mb():
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1024


def fuzz(console, options):
    dice = random.Random(options.seed)
    material = [(name, data) for name, data in seeds() if options.only in name]
    console.print(f"{len(material)} seeds, seed {options.seed}")
    caps = UploadCaps(formats=available_formats())
    ends, deaths, slowest, restarts = Counter(), [], (0.0, ""), 0
    columns = (TextColumn("mutants"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    began = time.monotonic()
    with Sandbox(LIMITS) as sandbox, Progress(*columns, console=console, transient=True) as progress:
        helper, early = sandbox.pid, 0.0
        for number in progress.track(range(options.mutants)):
            if time.monotonic() - began > options.seconds:
                break
            name, seed = dice.choice(material)
            mutant = mutate(seed, material, dice)
            begin = time.perf_counter()
            try:
                sandbox.frame(mutant, probe(mutant, caps, edge=320), edge=320)
                ends["a frame"] += 1
            except ImageRefused as error:
                ends[error.code] += 1
            except DecoderDied as error:
                ends[f"died: {error.how}"] += 1
                deaths.append((name, number, str(error)))
                if options.keep:
                    options.keep.mkdir(parents=True, exist_ok=True)
                    (options.keep / f"{options.seed}-{number}").write_bytes(mutant)
            slowest = max(slowest, (time.perf_counter() - begin, name))
            if sandbox.pid != helper:
                helper, restarts = sandbox.pid, restarts + 1
            if number == 500:
                early = resident_mb()
        growth = resident_mb() - early
        alive = sandbox.alive
    return {
        "mutants": sum(ends.values()),
        "ends": dict(ends.most_common()),
        "deaths": deaths,
        "helper_restarts": restarts,
        "helper_alive": alive,
        "slowest_s": round(slowest[0], 3),
        "slowest_seed": slowest[1],
        "growth_mb": round(growth, 1),
        "seconds": round(time.monotonic() - began, 1),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mutants", type=int, default=20_000)
    parser.add_argument("--seconds", type=float, default=900.0, help="stop after so long, whatever is left")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="seeds whose name has this in it")
    parser.add_argument("--keep", type=Path, help="folder for mutants over which a decoder died")
    options = parser.parse_args()
    console = Console(width=110, highlight=False)
    outcomes = fuzz(console, options)
    console.print_json(json.dumps(outcomes))
    sys.exit(1 if outcomes["deaths"] or not outcomes["helper_alive"] or outcomes["growth_mb"] > 20 else 0)


if __name__ == "__main__":
    main()
