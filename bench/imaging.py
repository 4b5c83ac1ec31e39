"""What pictures cost: pixels only, the sandbox, faces, the whole render; beside other libraries in the same run.

CPU milliseconds are medians over RUNS, of the processes' own clocks, since machines are noisy; the sandbox's
helper and its children are counted. Memory is peak resident size. Nothing here decides a test.

    python bench/imaging.py [--runs N] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path

from nightlight import one_thread  # noqa: F401 - before numpy is imported

# isort: split

import numpy as np
import peers
import simplejpeg
from PIL import Image, features
from rich.console import Console
from rich.table import Table
from whole_render import numbers, whole

from nightlight.imaging.face import FaceDetector, FaceSearch
from nightlight.imaging.invisible_watermark import InvisibleWatermarkWriter
from nightlight.imaging.pipeline import Pipeline
from nightlight.imaging.probe import UploadCaps, probe
from nightlight.imaging.recipe import Recipe, build_recipes
from nightlight.imaging.sandbox import Sandbox
from nightlight.imaging.visible_watermark import VisibleWatermark
from nightlight.policy.compile import compile_folder
from tests.support.in_process import InProcessDecoder

HERE = Path(__file__).parent
PICTURES = {"12 megapixels (4000 x 3000)": (4000, 3000), "1080 pixels (1080 x 1080)": (1080, 1080)}
# The sizes of the comparison, and how they are encoded where they are.
SIZES = (640, 320, 96)
KEY = bytes(range(32))
PLAIN = [Recipe(f"s{edge}", edge, crop="centre", quality=75, effort=2) for edge in SIZES]
TICK_MS = 1000 / os.sysconf("SC_CLK_TCK")


class NoFaces:
    """Stands where the detector does when only pixels are measured."""

    def find(self, _frame):
        return FaceSearch()


def photograph(width, height):
    """A JPEG (quality 90, 4:2:0) from a real photograph, enlarged, with a sensor's worth of grain."""
    source = Path(find_spec("skimage").origin).parent / "data" / "astronaut.png"
    enlarged = Image.open(source).convert("RGB").resize((width, height), Image.Resampling.BICUBIC)
    grain = np.random.default_rng(1).normal(0, 3, (height, width, 1))
    pixels = np.clip(np.asarray(enlarged, dtype=np.float32) + grain, 0, 255).astype(np.uint8)
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def medians(pipeline, data, wanted, runs):
    """Median CPU milliseconds of each stage of this process, and of the whole call."""
    rounds = []
    for _ in range(runs + 1):
        begin = time.thread_time_ns()
        stages = pipeline.render(data, wanted).stages
        rounds.append({**stages, "call": (time.thread_time_ns() - begin) / 1e6})
    return {stage: statistics.median(stages.get(stage, 0.0) for stages in rounds[1:]) for stage in rounds[1]}


def helper_ticks(sandbox):
    """CPU milliseconds of the sandbox's helper and of all its children that have ended."""
    fields = Path(f"/proc/{sandbox.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return sum(int(field) for field in fields[11:15]) * TICK_MS


def bare_decode(data, edge, runs):
    """Median CPU milliseconds of libjpeg-turbo's decode at the scale that ours picks."""
    height, width, *_ = simplejpeg.decode_jpeg_header(data)
    factor = edge / min(width, height)
    least = {"min_height": int(height * factor), "min_width": int(width * factor), "min_factor": 1}
    return peers.median_ms(lambda: simplejpeg.decode_jpeg(data, "RGB", **least), runs)


def pixels_only(console, title, data, path, runs):
    """Decode and resize to SIZES: ours in this process, others in theirs."""
    bare = bare_decode(data, SIZES[0], runs)
    stages = medians(Pipeline(UploadCaps(), InProcessDecoder(), NoFaces(), VisibleWatermark()), data, PLAIN, runs)
    ours = stages["call"] - stages["encode"]
    rows = [("libjpeg-turbo, bare scaled decode", bare, None), ("ours", ours, None)]
    asked = [{"edge": r.edge, "quality": r.quality, "effort": r.effort} for r in PLAIN]
    sharp, why = peers.sharp(path, runs, asked)
    if sharp:
        rows += [("sharp, a size at a time", sharp["separate_pixels"], sharp["peak_mb"])]
        rows += [("sharp, cascade", sharp["cascade_pixels"], sharp["peak_mb"])]
    else:
        console.print(f"sharp: not measured, {why}")
    for name in peers.HERE_TOO:
        times, why = peers.ask(name, path, runs, SIZES)
        if times:
            rows.append((name, times["cpu_ms"], times["peak_mb"]))
        else:
            console.print(f"{name}: not measured, {why}")
    table = Table(title=f"{title}: pixels only, {', '.join(map(str, SIZES))} px")
    for name in ("who", "CPU ms", "ours is", "peak MB of its process"):
        table.add_column(name, justify="left" if name == "who" else "right")
    for name, ms, peak in rows:
        table.add_row(name, f"{ms:.1f}", f"{ours / ms:.2f} of it", f"{peak:.0f}" if peak else "")
    console.print(table)
    return {"ours": ours, "stages": stages, "sharp": sharp, "others": {name: ms for name, ms, _ in rows}}


def sandboxed(console, title, data, pixels, runs):
    """The same sizes with the sandbox, faces and both watermarks, not encoded; and what the sandbox alone adds."""
    header = probe(data, UploadCaps(), edge=SIZES[0])
    asked = {"quality": 75, "effort": 2, "visible_watermark": "clear", "invisible_watermark": "best_effort"}
    watermarked = [Recipe(r.tier, r.edge, **asked) for r in PLAIN]
    with Sandbox() as sandbox:
        detector = FaceDetector()
        pipeline = Pipeline(UploadCaps(), sandbox, detector, VisibleWatermark(), InvisibleWatermarkWriter(KEY))
        pipeline.render(data, watermarked)
        walls = {"inside": [], "outside": []}
        for _ in range(runs * 3):
            begin = time.perf_counter()
            sandbox.frame(data, header, edge=SIZES[0])
            walls["inside"].append((time.perf_counter() - begin) * 1e3)
            begin = time.perf_counter()
            InProcessDecoder().frame(data, header, edge=SIZES[0])
            walls["outside"].append((time.perf_counter() - begin) * 1e3)
        frame = sandbox.frame(data, header, edge=SIZES[0])
        face = peers.median_ms(lambda: detector.find(frame), runs)
        many = max(100, runs)
        before, begin = helper_ticks(sandbox), time.thread_time_ns()
        encoding = sum(pipeline.render(data, watermarked).stages["encode"] for _ in range(many))
        here = (time.thread_time_ns() - begin) / 1e6
        everything = (here - encoding + helper_ticks(sandbox) - before) / many
    wall = {where: statistics.median(times) for where, times in walls.items()}
    added = wall["inside"] - wall["outside"]
    console.print(
        f"[bold]{title}[/]: the sandbox adds {added:.1f} ms to a frame ({wall['inside']:.1f} against {wall['outside']:.1f} ms "
        f"of the clock); faces {face:.1f} ms; all but encoding, with sandbox, faces, visible and invisible watermark, {everything:.1f} ms of CPU"
    )
    if pixels["sharp"]:
        bare = pixels["sharp"]["separate_pixels"]
        console.print(f"  that is {everything / bare:.2f} of sharp's bare resize, {bare:.1f} ms\n")
    return {"sandbox_adds_wall_ms": added, "face_ms": face, "cpu_ms": everything}


def whole_by_policy(console, title, data, path, runs):
    """A render by the default policy, in the sandbox, beside others that make and encode the same sizes."""
    with Sandbox() as sandbox:
        pipeline = Pipeline(UploadCaps(), sandbox, FaceDetector(), VisibleWatermark(), InvisibleWatermarkWriter(KEY))
        return whole(console, title, data, path, runs, policy_recipes(), pipeline, sandbox)


CHILD = "--child"


def child(path, seconds, core):
    """Render one picture again and again for so long; print how many, and the most memory that it took.

    The process and its sandbox keep to one core: a child alone would otherwise borrow the other for its next fork.
    """
    if core != "any":
        os.sched_setaffinity(0, {int(core)})
    data = Path(path).read_bytes()
    wanted = policy_recipes()
    with Sandbox() as sandbox:
        pipeline = Pipeline(UploadCaps(), sandbox, FaceDetector(), VisibleWatermark(), InvisibleWatermarkWriter(KEY))
        marks = numbers(wanted)
        pipeline.render(data, wanted, watermark_ids=marks)
        print("ready", flush=True)
        sys.stdin.readline()
        end, count, peak = time.monotonic() + float(seconds), 0, 0
        while time.monotonic() < end:
            pipeline.render(data, wanted, watermark_ids=marks)
            count, peak = count + 1, max(peak, sandbox.peak_kb)
        helper = _status(sandbox.pid, "VmRSS")
    print(json.dumps({"count": count, "own": _status("self", "VmHWM"), "helper": helper, "decoder": peak / 1024}))


def _status(pid, field):
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1]) / 1024


def throughput(console, path, seconds=6):
    """Renders a second of one child and of two, each with its own sandbox."""
    rates = {}
    first, second = sorted(os.sched_getaffinity(0))[:2]
    for name, cores in {
        "one": [first],
        "two": [first, second],
        "one free": ["any"],
        "two free": ["any", "any"],
    }.items():
        started = [
            subprocess.Popen(
                [sys.executable, __file__, CHILD, str(path), str(seconds), str(core)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for core in cores
        ]
        for process in started:
            process.stdout.readline()
        for process in started:
            process.stdin.write("go\n")
            process.stdin.flush()
        answers = [json.loads(process.communicate()[0]) for process in started]
        rates[name] = sum(answer["count"] for answer in answers) / seconds
        memory = answers[0]
    console.print(
        f"1080 pixels, whole renders a second: one child on one core {rates['one']:.1f}, two on two {rates['two']:.1f}: "
        f"{rates['two'] / rates['one']:.2f} times (cores left free: {rates['one free']:.1f} and {rates['two free']:.1f}); peak MB: rendering process {memory['own']:.0f}, idle helper {memory['helper']:.0f}, decoder {memory['decoder']:.0f}"
    )
    return {**rates, **memory}


def policy_recipes():
    table = compile_folder(HERE.parent / "policies").table
    return build_recipes(table.tiers, order=("none", *table.tiers))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=15, help="runs of each thing measured (default 15)")
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    options = parser.parse_args()
    console = Console(width=118, highlight=False)
    console.print(
        f"Python {platform.python_version()}, Pillow {Image.__version__}, libjpeg-turbo {features.version('libjpeg_turbo')}, "
        f"WebP {features.version('webp')}; medians of {options.runs}; one BLAS thread"
    )
    report = {}
    for title, size in PICTURES.items():
        data = photograph(*size)
        with tempfile.NamedTemporaryFile(suffix=".jpg") as file:
            file.write(data)
            file.flush()
            pixels = pixels_only(console, f"{title}, {len(data) / 1e6:.1f} MB", data, file.name, options.runs)
            report[title] = {
                "pixels": pixels,
                "sandboxed": sandboxed(console, title, data, pixels, options.runs),
                "whole": whole_by_policy(console, title, data, file.name, options.runs),
            }
            if size[0] == size[1]:
                report["throughput"] = throughput(console, file.name)
    if options.json:
        options.json.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    if sys.argv[1:2] == [CHILD]:
        child(*sys.argv[2:])
    else:
        main()
