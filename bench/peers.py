"""What others take for the same sizes from the same file, each in a process of its own.

python bench/peers.py NAME FILE RUNS RECIPES(JSON)   # prints medians as JSON; used by bench/imaging.py
"""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
import time
from io import BytesIO
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent
PIP = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes", "-r"]


def median_ms(run, runs):
    """Median processor milliseconds of a call, the process's threads all counted."""
    times = []
    for _ in range(runs + 1):
        begin = time.process_time_ns()
        run()
        times.append((time.process_time_ns() - begin) / 1e6)
    return statistics.median(times[1:])


def pillow(data, wanted):
    """The obvious way: decode the whole, and resize from the whole for every size."""
    from PIL import Image

    image = Image.open(BytesIO(data)).convert("RGB")
    side = min(image.size)
    for edge in wanted:
        image.crop((0, 0, side, side)).resize((min(edge, side),) * 2, Image.Resampling.LANCZOS)


def vips_separate(data, wanted):
    import pyvips

    for edge in wanted:
        pyvips.Image.thumbnail_buffer(data, edge, height=edge, crop="centre").write_to_memory()


def vips_cascade(data, wanted):
    import pyvips

    image = pyvips.Image.thumbnail_buffer(data, wanted[0], height=wanted[0], crop="centre").copy_memory()
    for edge in wanted[1:]:
        image = image.thumbnail_image(edge).copy_memory()


def simplejpeg_and_opencv(data, wanted):
    """libjpeg-turbo through simplejpeg at the scale that serves the largest, then OpenCV's area averages."""
    import cv2
    import simplejpeg

    cv2.setNumThreads(1)
    height, width, *_ = simplejpeg.decode_jpeg_header(data)
    factor = wanted[0] / min(width, height)
    pixels = simplejpeg.decode_jpeg(
        data, "RGB", min_height=int(height * factor), min_width=int(width * factor), min_factor=1
    )
    side = min(pixels.shape[:2])
    image = pixels[:side, :side]
    for edge in wanted:
        image = cv2.resize(image, (edge, edge), interpolation=cv2.INTER_AREA)


def opencv(data, wanted):
    """OpenCV alone: its decoder reduces by 2, 4 or 8 as well."""
    import cv2
    import numpy as np

    cv2.setNumThreads(1)
    reduced = {1: cv2.IMREAD_COLOR, 2: cv2.IMREAD_REDUCED_COLOR_2, 4: cv2.IMREAD_REDUCED_COLOR_4}
    from PIL import Image

    side = min(Image.open(BytesIO(data)).size)
    scale = max(scale for scale in reduced if side / scale >= wanted[0] or scale == 1)
    image = cv2.imdecode(np.frombuffer(data, np.uint8), reduced[scale])
    side = min(image.shape[:2])
    image = image[:side, :side]
    for edge in wanted:
        image = cv2.resize(image, (edge, edge), interpolation=cv2.INTER_AREA)


def thumbor(data, wanted):
    """thumbor's own engine, as its handlers use it: load, crop, resize; one load a size."""
    from thumbor.config import Config
    from thumbor.context import Context, RequestParameters
    from thumbor.engines.pil import Engine

    for edge in wanted:
        context = Context(config=Config())
        context.request = RequestParameters(width=edge, height=edge)
        engine = Engine(context)
        engine.load(data, ".jpg")
        side = min(engine.size)
        engine.crop(0, 0, side, side)
        engine.resize(edge, edge)


HERE_TOO = {
    "plain Pillow": pillow,
    "pyvips, a size at a time": vips_separate,
    "pyvips, cascade": vips_cascade,
    "simplejpeg and OpenCV": simplejpeg_and_opencv,
    "OpenCV": opencv,
    "thumbor's engine": thumbor,
}


def vips_separate_encoded(data, wanted):
    import pyvips

    for size in wanted:
        image = pyvips.Image.thumbnail_buffer(data, size["edge"], height=size["edge"], crop="centre")
        image.webpsave_buffer(Q=size["quality"], effort=size["effort"])


def vips_cascade_encoded(data, wanted):
    import pyvips

    image = pyvips.Image.thumbnail_buffer(
        data, wanted[0]["edge"], height=wanted[0]["edge"], crop="centre"
    ).copy_memory()
    for size in wanted:
        image = image.thumbnail_image(size["edge"]).copy_memory() if size is not wanted[0] else image
        image.webpsave_buffer(Q=size["quality"], effort=size["effort"])


def thumbor_encoded(data, wanted):
    """As its handlers do it; the effort is its own."""
    from thumbor.config import Config
    from thumbor.context import Context, RequestParameters
    from thumbor.engines.pil import Engine

    for size in wanted:
        context = Context(config=Config())
        context.request = RequestParameters(width=size["edge"], height=size["edge"])
        engine = Engine(context)
        engine.load(data, ".jpg")
        side = min(engine.size)
        engine.crop(0, 0, side, side)
        engine.resize(size["edge"], size["edge"])
        engine.read(".webp", size["quality"])


ENCODING = {
    "pyvips, a size at a time, encoded": vips_separate_encoded,
    "pyvips, cascade, encoded": vips_cascade_encoded,
    "thumbor's engine, encoded": thumbor_encoded,
}


def ask(name, path, runs, wanted):
    """Run one of HERE_TOO or ENCODING in a process of its own; return its milliseconds and peak megabytes, or why not."""
    python = sys.executable
    if name.startswith("thumbor"):
        python, why = _own_environment("thumbor", "bench-thumbor.txt")
        if why:
            return None, why
    command = [python, str(HERE / "peers.py"), name, str(path), str(runs), json.dumps(wanted)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return None, done.stderr.strip().splitlines()[-1]
    return json.loads(done.stdout), ""


def _own_environment(name, lock):
    folder = ROOT / ".venv" / f"bench-{name}"
    python = folder / "bin/python"
    if not (folder / ".installed").exists():
        steps = (
            [sys.executable, "-m", "venv", str(folder)],
            [str(python), *PIP, str(ROOT / "infra/requirements" / lock)],
        )
        for step in steps:
            done = subprocess.run(step, capture_output=True, text=True, check=False)
            if done.returncode:
                return "", done.stderr.strip().splitlines()[-1]
        (folder / ".installed").touch()
    return str(python), ""


def sharp(path, runs, asked):
    """What sharp takes; None (with a word) where node or the package is missing."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        return None, "node and npm are not installed"
    if not (HERE / "node_modules" / "sharp").exists():
        command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        done = subprocess.run(command, cwd=HERE, capture_output=True, text=True, check=False)
        if done.returncode:
            return None, f"npm ci failed: {done.stderr.strip().splitlines()[-1:]}"
    command = [node, "sharp_peer.js", str(path), str(runs), json.dumps(asked)]
    done = subprocess.run(command, cwd=HERE, capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    ways = dict.fromkeys(line["way"] for line in lines if "way" in line)
    cpu_ms = {way: statistics.median(line["cpu_ms"] for line in lines if line.get("way") == way) for way in ways}
    return {**cpu_ms, "peak_mb": lines[-1]["peak_kb"] / 1024}, ""


def main():
    name, path, runs, wanted = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), json.loads(sys.argv[4])
    data = path.read_bytes()
    cpu_ms = median_ms(lambda: (HERE_TOO | ENCODING)[name](data, wanted), runs)
    status = Path("/proc/self/status")
    peak = [line for line in status.read_text().splitlines() if line.startswith("VmHWM")] if status.exists() else []
    print(json.dumps({"cpu_ms": cpu_ms, "peak_mb": int(peak[0].split()[1]) / 1024 if peak else None}))


if __name__ == "__main__":
    main()
