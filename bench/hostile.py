"""What hostile pictures cost: the header's reader, the estimate, the decoder; and how long an honest one waits behind them.

Kinds are those of tests/support/hostile.py. The first table reads each header and, where it is let through or with
``--decode``, decodes it in the sandbox: CPU seconds beside the estimate. ``--behind`` runs a whole Nightlight on the real
services and uploads an honest picture, again and again, alone and behind a hundred of the dearest that pass.

    python bench/hostile.py [--decode] [--only WORD] [--behind [N]] [--runs N]
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from nightlight import one_thread  # noqa: F401 - before numpy is imported

# isort: split

from nightlight.imaging.decoders import available_formats
from nightlight.imaging.formats import Format
from nightlight.imaging.header import Header
from nightlight.imaging.probe import UploadCaps, probe, sniff
from nightlight.imaging.sandbox import Sandbox, SandboxLimits
from nightlight_client import Problem
from nightlight_core.errors import DecoderDied, ImageRefused
from tests.support import hostile, pictures

EDGE = 1024


def dearest():
    """Pictures that keep to every bound and cost as much as they may: {name: bytes}."""
    return {
        "jpeg, 15 scans of 12 megapixels": hostile.jpeg_scans(15),
        "jpeg, 60 scans of 3 megapixels": hostile.jpeg_scans(60, 2000, 1500),
        "jpeg, 90 scans of 2 megapixels": hostile.jpeg_scans(90, 1600, 1200),
        "png, 900 compressed profiles": hostile.png_bombs(900),
    }


def honest():
    """Ordinary pictures, to see that the estimate is right for them too: {name: bytes}."""
    picture = pictures.gradient(4032, 3024)
    return {
        "phone, baseline": pictures.encoded(picture, "JPEG", quality=90),
        "phone, progressive": pictures.encoded(picture, "JPEG", quality=90, progressive=True),
        "png, 9 megapixels": pictures.encoded(picture.crop((0, 0, 3000, 3000)), "PNG", compress_level=1),
        "webp, 5 megapixels": pictures.encoded(picture.crop((0, 0, 2400, 2200)), "WEBP", method=0),
        "avif, 5 megapixels": pictures.encoded(picture.crop((0, 0, 2400, 2200)), "AVIF", speed=9),
    }


def measure(name, data, sandbox, *, decode):
    """Print one line of the table."""
    caps = UploadCaps(formats=frozenset(Format))
    begin = time.thread_time()
    try:
        header = probe(data, caps, edge=EDGE)
        verdict, estimate = "passes", f"{header.decode_s:8.2f}"
    except ImageRefused as error:
        header, verdict, estimate = None, str(error), "        "
    spent = (time.thread_time() - begin) * 1000
    used = ""
    if header is not None or decode:
        header = header or Header(sniff(data), 64, 48, decode_s=60)
        try:
            sandbox.frame(data, header, edge=EDGE)
        except (ImageRefused, DecoderDied) as error:
            used = f"  ({str(error)[:40]})"
        used = f"{sandbox.cpu_s:7.2f}{used}"
    print(f"{name:46} {len(data) / 1e6:6.2f} {spent:9.1f} {estimate} {used or '       '}  {verdict[:58]}", flush=True)


def table(options):
    """Print what each kind costs."""
    available_formats()
    print(f"{'kind':46} {'MB':>6} {'header ms':>9} {'estimate':>8} {'CPU s':>7}  what the header's reader says")
    with Sandbox(SandboxLimits(cpu_s=60, wall_s=120.0)) as sandbox:
        for name, data in {**honest(), **dearest()}.items():
            if options.only in name:
                measure(name, data, sandbox, decode=True)
        for name, make in hostile.KINDS.items():
            if options.only in name:
                measure(name, make(), sandbox, decode=options.decode)


def ready_s(client, who, picture):
    """Return the seconds from an upload to the moment when it is ready."""
    begin = time.monotonic()
    image = client.upload(who, picture)
    while client.image(image.image_id).state == "pending":
        time.sleep(0.01)
    return time.monotonic() - begin


def behind(options):
    """Print how long an honest picture takes, alone and behind hostile ones; return whether twice is enough."""
    from tests.support.stacks import STACKS

    unhurried = {"NIGHTLIGHT_WORKER_TIME_LIMIT_S": "100", "NIGHTLIGHT_WORKER_LEASE_S": "101"}
    normal = {"NIGHTLIGHT_UPLOAD_MAX_DECODE_BYTES": "125000000", "NIGHTLIGHT_WORKER_DECODE_MEMORY_BYTES": "160000000"}
    kinds = list(dearest().values())
    refused = [make() for name, make in hostile.KINDS.items() if "fill" in name or "progressive scans" in name]
    with (
        tempfile.TemporaryDirectory(prefix="nightlight-hostile-") as folder,
        STACKS[options.on](Path(folder), **unhurried, **normal) as stack,
        stack.client() as client,
    ):
        for who in ("honest", "hostile"):
            client.declare(who, band="adult", assurance="verified", region="eu", choice="everyone")
        picture = pictures.jpeg(1080, 1080)
        for _ in range(4):  # every child of the worker has its parts
            ready_s(client, "honest", picture)
        alone = [ready_s(client, "honest", picture) for _ in range(options.runs)]
        sent = []
        turned_away = 0
        for number in range(options.behind):
            try:
                sent.append(client.upload("hostile", kinds[number % len(kinds)]).image_id)
            except Problem:
                turned_away += 1
            if number < 10:
                try:
                    client.upload("hostile", refused[number % len(refused)])
                except Problem:
                    turned_away += 1
        after = [ready_s(client, "honest", picture) for _ in range(options.runs)]
        left = sum(client.image(image_id).state == "pending" for image_id in sent)
    ratio = statistics.median(after) / statistics.median(alone)
    print(
        f"alone {[round(seconds, 2) for seconds in alone]}; behind, in order {[round(seconds, 2) for seconds in after]}"
    )
    print(
        f"{options.on}: an honest picture is ready after {statistics.median(alone):.2f} s (at most {max(alone):.2f}) alone, "
        f"and after {statistics.median(after):.2f} s (at most {max(after):.2f}) behind {len(sent)} hostile ones, of which "
        f"{left} still waited at the end, and {turned_away} that were refused: {ratio:.2f} times"
    )
    return ratio <= 2


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--decode", action="store_true", help="decode what is refused too, for up to 60 CPU s each")
    parser.add_argument("--only", default="", help="kinds whose name has this word in it")
    parser.add_argument("--behind", type=int, nargs="?", const=100, help="how many hostile pictures; no table then")
    parser.add_argument("--on", choices=("scale", "embedded"), default="scale")
    parser.add_argument("--runs", type=int, default=11)
    options = parser.parse_args()
    if options.behind is None:
        table(options)
        return
    sys.exit(0 if behind(options) else 1)


if __name__ == "__main__":
    main()
