"""What a render costs, stage by stage, beside libjpeg-turbo's bare scaled decode and sharp, in the same run.

CPU milliseconds are medians over RUNS, of the thread's own clock, since machines are noisy; memory is the
peak resident size of a stage above the idle process, from a process of its own. Nothing here decides a test.

    python bench/imaging.py [--runs N] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path

import numpy as np
import simplejpeg
from PIL import Image, features
from rich.console import Console
from rich.table import Table

from nightlight.imaging.pipeline import Stages, render
from nightlight.imaging.recipe import recipes
from nightlight.policy.compile import compile_folder

HERE = Path(__file__).parent
CAPS = {"max_pixels": 50_000_000, "max_side": 16_384}
PICTURES = {"12 megapixels (4000 x 3000)": (4000, 3000), "1080 pixels (1080 x 1080)": (1080, 1080)}
STAGES = ("probe", "decode", "shrink", "normalise", "resize", "mark", "encode")


def photograph(width: int, height: int) -> bytes:
    """A JPEG (quality 90, 4:2:0) from a real photograph, enlarged, with a sensor's worth of grain."""
    source = Path(find_spec("skimage").origin).parent / "data" / "astronaut.png"
    enlarged = Image.open(source).convert("RGB").resize((width, height), Image.Resampling.BICUBIC)
    grain = np.random.default_rng(1).normal(0, 3, (height, width, 1))
    pixels = np.clip(np.asarray(enlarged, dtype=np.float32) + grain, 0, 255).astype(np.uint8)
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def ours(data, wanted, runs):
    """Median CPU milliseconds of each stage, and the whole's."""
    rounds = []
    for _ in range(runs + 1):
        stages = Stages()
        begin = time.thread_time_ns()
        render(data, wanted, **CAPS, stages=stages)
        rounds.append({**stages.ms, "all": (time.thread_time_ns() - begin) / 1e6})
    return {stage: statistics.median(one[stage] for one in rounds[1:]) for stage in (*STAGES, "all")}


def bare_decode(data, edge, runs):
    """Median CPU milliseconds of libjpeg-turbo's decode at the scale that our draft picks."""
    height, width, *_ = simplejpeg.decode_jpeg_header(data)
    factor = edge / min(width, height)
    least = {"min_height": int(height * factor), "min_width": int(width * factor), "min_factor": 1}
    times = []
    for _ in range(runs + 1):
        begin = time.thread_time_ns()
        simplejpeg.decode_jpeg(data, "RGB", **least)
        times.append((time.thread_time_ns() - begin) / 1e6)
    return statistics.median(times[1:])


def plain_pillow(data, wanted, runs):
    """Median CPU milliseconds of the obvious way: decode whole, and resize from the whole for every size."""
    times = []
    for _ in range(runs + 1):
        begin = time.thread_time_ns()
        image = Image.open(BytesIO(data)).convert("RGB")
        side = min(image.size)
        for recipe in wanted:
            edge = min(recipe.edge, side)
            small = image.crop((0, 0, side, side)).resize((edge, edge), Image.Resampling.LANCZOS)
            small.save(BytesIO(), "WEBP", quality=recipe.quality, method=recipe.effort)
        times.append((time.thread_time_ns() - begin) / 1e6)
    return statistics.median(times[1:])


def sharp(path, wanted, runs):
    """What sharp takes for the same sizes; None (with a word) where node or the package is missing."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        return None, "node and npm are not installed"
    if not (HERE / "node_modules" / "sharp").exists():
        done = subprocess.run(
            [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
            cwd=HERE,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            return None, f"npm ci failed: {done.stderr.strip().splitlines()[-1:]}"
    asked = json.dumps([{"edge": r.edge, "quality": r.quality, "effort": r.effort} for r in wanted])
    done = subprocess.run(
        [node, "sharp_peer.js", str(path), str(runs), asked], cwd=HERE, capture_output=True, text=True, check=True
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    found = {
        way: statistics.median(one["cpu_ms"] for one in lines if one.get("way") == way)
        for way in ("separate", "cascade")
    }
    return {**found, "peak_mb": lines[-1]["peak_kb"] / 1024}, ""


MEASURE_MEMORY = "--measure-memory"


def measure_memory(path):
    """In a process of its own: peak resident megabytes of each stage above the idle process."""
    status, clear = Path("/proc/self/status"), Path("/proc/self/clear_refs")

    def megabytes(field):
        line = next(line for line in status.read_text().splitlines() if line.startswith(field))
        return int(line.split()[1]) / 1024

    class Peaks(Stages):
        @contextmanager
        def stage(self, name):
            clear.write_text("5")  # resets VmHWM, the peak
            yield
            self.ms[name] = max(self.ms.get(name, 0.0), megabytes("VmHWM:") - idle)

    wanted = policy_recipes()
    small = BytesIO()
    Image.new("RGB", (64, 64)).save(small, "JPEG")
    render(small.getvalue(), wanted, **CAPS)  # every lazy import and table is in place
    data = Path(path).read_bytes()
    idle = megabytes("VmRSS:")
    peaks = Peaks()
    render(data, wanted, **CAPS, stages=peaks)
    print(json.dumps({**peaks.ms, "all": max(peaks.ms.values()), "idle": idle}))


def memory(path):
    if not Path("/proc/self/clear_refs").exists():
        return dict.fromkeys((*STAGES, "all", "idle"), float("nan"))
    command = [sys.executable, __file__, MEASURE_MEMORY, str(path)]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def policy_recipes():
    table = compile_folder(HERE.parent / "policies").table
    return recipes({name: tier.model_dump() for name, tier in table.tiers.items()})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=15, help="runs of each thing measured (default 15)")
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    options = parser.parse_args()
    console = Console(width=110)
    wanted = policy_recipes()
    console.print(
        f"Python {platform.python_version()}, libjpeg-turbo {features.version('libjpeg_turbo')}, WebP "
        f"{features.version('webp')}; renditions {', '.join(f'{r.tier} {r.edge}' for r in wanted)}; medians of {options.runs}"
    )
    report = {}
    for title, size in PICTURES.items():
        with console.status(f"measuring {title} ..."):
            report[title] = one_picture(console, title, photograph(*size), wanted, options.runs)
    if options.json:
        options.json.write_text(json.dumps(report, indent=2) + "\n")


def one_picture(console, title, data, wanted, runs):
    with tempfile.NamedTemporaryFile(suffix=".jpg") as file:
        file.write(data)
        file.flush()
        cpu, peak = ours(data, wanted, runs), memory(file.name)
        peer, why_not = sharp(file.name, wanted, runs)
    bare = bare_decode(data, wanted[0].edge, runs)
    plain = plain_pillow(data, wanted, runs)
    table = Table(title=f"{title}, {len(data) / 1e6:.1f} MB")
    for name in ("stage", "CPU ms", "peak MB above idle"):
        table.add_column(name, justify="left" if name == "stage" else "right")
    for stage in (*STAGES, "all"):
        if stage == "all":
            table.add_section()
        table.add_row(stage, f"{cpu[stage]:.2f}", f"{peak[stage]:.1f}")
    console.print(table)
    pixels = sum(cpu[stage] for stage in ("probe", "decode", "shrink", "normalise", "resize", "mark"))
    console.print(f"libjpeg-turbo's bare scaled decode {bare:.1f} ms; our decode is {cpu['decode'] / bare:.2f} of it,")
    console.print(
        f"  all our steps but encoding {pixels:.1f} ms, {pixels / bare:.2f} of it; with encoding {cpu['all'] / bare:.2f}"
    )
    console.print(
        f"plain Pillow (whole decode, each size from it) {plain:.1f} ms; we take {cpu['all'] / plain:.2f} of it"
    )
    if peer:
        console.print(
            f"sharp, one pipeline a size {peer['separate']:.1f} ms, cascade {peer['cascade']:.1f} ms, peak {peer['peak_mb']:.0f} MB "
            f"in all (ours {peak['idle'] + peak['all']:.0f} MB in all);"
        )
        console.print(
            f"  we take {cpu['all'] / peer['separate']:.2f} of its documented way and {cpu['all'] / peer['cascade']:.2f} of its cascade, mark included\n"
        )
    else:
        console.print(f"sharp: not measured, {why_not}\n")
    return {"cpu_ms": cpu, "peak_mb": peak, "bare_decode_ms": bare, "plain_pillow_ms": plain, "sharp": peer}


if __name__ == "__main__":
    if sys.argv[1:2] == [MEASURE_MEMORY]:
        measure_memory(sys.argv[2])
    else:
        main()
