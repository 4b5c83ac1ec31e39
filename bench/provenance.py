"""What provenance costs: bytes added and CPU of a signature, by form and algorithm; and what is left of render throughput.

python bench/provenance.py
"""

from __future__ import annotations

import io
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1]))

from nightlight.imaging.cage import Cage
from nightlight.imaging.face import FaceDetector
from nightlight.imaging.hidden import HiddenMark
from nightlight.imaging.mark import Design
from nightlight.imaging.pipeline import Pipeline
from nightlight.imaging.probe import Caps
from nightlight.imaging.recipe import recipes
from nightlight.policy.compile import compile_folder
from nightlight.provenance.certificates import Algorithm, init
from nightlight.provenance.manifest import Said
from nightlight.provenance.optout import with_opt_out
from nightlight.provenance.signing import Credential, Signing
from tests.support import pictures

ROOT = Path(__file__).parents[1]
FORMS = {"image/jpeg": "JPEG", "image/png": "PNG", "image/webp": "WEBP", "image/avif": "AVIF"}
SAID = Said(0x00FACE00BEEF, bytes(32), visible_mark=True)
ASKED = {"tiny": False, "low": False, "medium": True, "full": True}


def now():
    return datetime.now(UTC)


def signing(folder: Path, algorithm: Algorithm) -> Signing:
    init(folder, algorithm, now())
    return Signing(Credential.read(folder / "chain.pem", folder / "leaf.key.pem", folder / "root.pem"), now)


def cpu_ms(call, times=40):
    taken = []
    for _ in range(times):
        begin = time.process_time()
        call()
        taken.append(1000 * (time.process_time() - begin))
    return statistics.median(taken)


def main() -> None:
    with tempfile.TemporaryDirectory() as text:
        signers = {algorithm: signing(Path(text) / algorithm, algorithm) for algorithm in Algorithm}
        pixels = np.random.default_rng(1).integers(0, 255, (24, 24, 3)).astype("uint8")
        print(
            f"{'signed by':>10} {'form':>12} {'embedded: bytes':>16} {'CPU ms':>7} {'beside: bytes':>14} {'CPU ms':>7}"
        )
        for algorithm, signer in signers.items():
            for media_type, form in FORMS.items():
                file = io.BytesIO()
                Image.fromarray(pixels).resize((320, 320)).save(file, form, quality=60)
                data, row = file.getvalue(), []
                for embed in (True, False):
                    made = signer.sign(data, media_type, SAID, embed=embed)
                    size = len(made.data) - len(data) if embed else len(made.manifest)
                    row += [size, cpu_ms(lambda e=embed, d=data, m=media_type, s=signer: s.sign(d, m, SAID, embed=e))]
                print(f"{algorithm:>10} {media_type:>12} {row[0]:>16,} {row[1]:>7.2f} {row[2]:>14,} {row[3]:>7.2f}")
        table = compile_folder(ROOT / "policies").table
        asked = recipes({name: tier.model_dump() for name, tier in table.tiers.items()}, order=("none", *table.tiers))
        picture = pictures.photograph("astronaut.png")
        with Cage() as cage:
            pipeline = Pipeline(Caps(), cage, FaceDetector(), Design(), HiddenMark(bytes(range(32))))
            numbers = {one.tier: 0x00FACE00BEEF for one in asked}

            def plain():
                return pipeline.render(picture, asked, numbers=numbers).renditions

            def signed():
                for made in plain():
                    embed, data = ASKED[made.recipe.tier], made.data
                    if embed:
                        data = with_opt_out(data, "image/webp", width=made.width, height=made.height)
                    signers[Algorithm.ED25519].sign(data, "image/webp", SAID, embed=embed)

            plain(), signed()
            bare, whole = [], []
            for _ in range(15):
                bare.append(cpu_ms(plain, 1))
                whole.append(cpu_ms(signed, 1))
        without, with_ = statistics.median(bare), statistics.median(whole)
        print(
            f"a portrait of 512 pixels through four tiers: {without:.1f} ms of CPU, signed {with_:.1f}; throughput {without / with_:.2f} of that without"
        )


if __name__ == "__main__":
    main()
