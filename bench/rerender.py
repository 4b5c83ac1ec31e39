"""How long an upload takes to be ready while all pictures are rendered again, and how fast that goes.

A whole Nightlight, embedded or on the real services, is given pictures; then one uploads again and again, alone and
while a stronger watermark has every picture rendered anew.

    python bench/rerender.py [--pictures N] [--uploads N] [--every S] [--stack embedded|scale]
"""

import argparse
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from nightlight import one_thread  # noqa: F401 - before numpy is imported

# isort: split

from nightlight.policy.bundle_writer import build_bundle
from nightlight.policy.compile import compile_folder
from nightlight.policy.signing import SigningKey
from tests.support import pictures
from tests.support.stacks import ROOT, STACKS


def time_to_ready(client, count, every_s, seed):
    """Upload ``count`` pictures, one each ``every_s`` seconds; return the seconds that each took to be ready."""
    took = []
    for number in range(count):
        begin = time.monotonic()
        profile = f"later-{seed}-{number}"
        client.declare(profile, band="adult", assurance="verified", region="eu")
        image = client.wait(client.upload(profile, pictures.jpeg(800, 600, seed=seed + number)).image_id)
        if image.state != "ready":
            raise SystemExit(f"a picture ended as {image.state}")
        took.append(time.monotonic() - begin)
        time.sleep(max(0.0, every_s - took[-1]))
    return took


def main():
    """Print one line for each of the two."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pictures", type=int, default=200)
    parser.add_argument("--uploads", type=int, default=15)
    parser.add_argument("--every", type=float, default=2.0)
    parser.add_argument("--stack", choices=sorted(STACKS), default="embedded")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "stack").mkdir()
        with STACKS[args.stack](folder / "stack", NIGHTLIGHT_POLICY_POLL_S="0.2") as stack, stack.client() as client:
            images = []
            for number in range(args.pictures):
                client.declare(f"p-{number}", band="age_13_15", assurance="verified", region="eu")
                images.append(client.upload(f"p-{number}", pictures.jpeg(800, 600, seed=number)).image_id)
            for image in images:
                client.wait(image)
            alone = time_to_ready(client, args.uploads, args.every, 10_000)
            shutil.copytree(ROOT / "policies", folder / "pack", ignore=shutil.ignore_patterns("cases"))
            tiers = folder / "pack/tiers.yaml"
            tiers.write_text(tiers.read_text().replace("visible_watermark: soft", "visible_watermark: strong"))
            key = SigningKey.read(stack.folder / "keys/publisher.private.jwk.json")
            data = build_bundle(compile_folder(folder / "pack"), client.policy_status()["highest_version"] + 1, key)
            begin = time.monotonic()
            client.activate(data)
            beside = time_to_ready(client, args.uploads, args.every, 20_000)
            while (run := client.policy_progress()[0])["state"] != "done" or run["rendered"] < args.pictures:
                time.sleep(0.5)
            took = time.monotonic() - begin
    before, meanwhile = statistics.median(alone), statistics.median(beside)
    ratio = f"{meanwhile / before:.2f} times"
    print(f"time to ready, median of {args.uploads}: {before:.2f} s alone, {meanwhile:.2f} s beside, {ratio}")
    print(f"the slowest: {max(alone):.2f} s, {max(beside):.2f} s")
    print(f"{run['rendered']:,} pictures rendered again in {took:.0f} s: {run['rendered'] / took:.1f} a second")


if __name__ == "__main__":
    main()
