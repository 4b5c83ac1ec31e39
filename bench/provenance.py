"""What provenance costs: bytes added and CPU of a signature, by tier and by form; what is left of render throughput.

A signature here is all of it: the manifest, its compression, its place in the picture, and the reading back.

python bench/provenance.py
"""

from __future__ import annotations

import io
import logging
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from nightlight import one_thread  # noqa: F401 - before numpy is imported

# isort: split

import numpy as np
import structlog
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1]))

from nightlight.catalogue.profiles import Declaration
from nightlight.imaging.face import FaceDetector
from nightlight.imaging.invisible_watermark import InvisibleWatermarkWriter
from nightlight.imaging.pipeline import Pipeline
from nightlight.imaging.probe import UploadCaps
from nightlight.imaging.recipe import build_recipes
from nightlight.imaging.sandbox import Sandbox
from nightlight.imaging.visible_watermark import VisibleWatermark
from nightlight.policy.compile import compile_folder
from nightlight.provenance.certificates import CertificateChain, SigningAlgorithm, create_development_chain
from nightlight.provenance.manifest import ManifestClaims
from nightlight.provenance.signing import ManifestSigner, SigningCredential
from nightlight.store.local import LocalStore
from tests.support import pictures
from tests.support.databases import catalogue_on
from tests.support.flow_container import Clock, FlowContainer, Switch

ROOT = Path(__file__).parents[1]
FORMS = {"image/jpeg": "JPEG", "image/png": "PNG", "image/webp": "WEBP", "image/avif": "AVIF"}
CLAIMS = ManifestClaims(0x00FACE00BEEF, bytes(range(32)), visible_watermark=True)
NUMBER, RENDERS = 0x00FACE00BEEF, 30


def now():
    return datetime.now(UTC)


def credentials(folder: Path) -> dict[str, ManifestSigner]:
    signers = {}
    for algorithm in SigningAlgorithm:
        here = folder / algorithm
        create_development_chain(here, algorithm, now())
        signers[algorithm.value] = ManifestSigner(
            SigningCredential.read(here / "chain.pem", here / "leaf.key.pem", here / "root.pem"), now
        )
    # A key that is kept elsewhere, less the way there: the library pads what it signs by 10 kB.
    key = serialization.load_pem_private_key((here / "leaf.key.pem").read_bytes(), None)
    root = (here / "root.pem").read_text()
    chain = CertificateChain.read(here / "chain.pem")
    signers["es256, callback"] = ManifestSigner(
        SigningCredential(chain, sign=lambda data: key.sign(data, ec.ECDSA(hashes.SHA256())), anchors=root), now
    )
    return signers


def cpu_ms(call, times=60):
    taken = []
    for _ in range(times):
        begin = time.process_time()
        call()
        taken.append(1000 * (time.process_time() - begin))
    return statistics.median(taken)


def by_form(signers: dict[str, ManifestSigner]) -> None:
    pixels = np.random.default_rng(1).integers(0, 255, (24, 24, 3)).astype("uint8")
    print(f"{'signed by':>16} {'form':>12} {'embedded: bytes':>16} {'CPU ms':>7} {'beside: bytes':>14} {'CPU ms':>7}")
    for name, signer in signers.items():
        for media_type, form in FORMS.items():
            file = io.BytesIO()
            Image.fromarray(pixels).resize((320, 320)).save(file, form, quality=60)
            data, row = file.getvalue(), []
            for embed in (True, False):
                signed_file = signer.sign(data, media_type, CLAIMS, embed=embed)
                size = len(signed_file.data) - len(data) if embed else len(signed_file.manifest)
                row += [size, cpu_ms(lambda e=embed, d=data, m=media_type, s=signer: s.sign(d, m, CLAIMS, embed=e))]
            print(f"{name:>16} {media_type:>12} {row[0]:>16,} {row[1]:>7.2f} {row[2]:>14,} {row[3]:>7.2f}")


def by_tier(signers: dict[str, ManifestSigner], asked: tuple, pipeline: Pipeline) -> None:
    without = [replace(recipe, provenance="none") for recipe in asked]
    picture = pictures.photograph("astronaut.png")
    numbers = {recipe.tier: NUMBER for recipe in asked}

    def rendered(wanted):
        return pipeline.render(picture, wanted, watermark_ids=numbers).renditions

    bare = {rendition.recipe.tier: rendition.data for rendition in rendered(without)}
    print(f"\n{'tier':>8} {'form':>9} {'bytes':>8} {'added':>6} {'beside':>7}  CPU ms by {', '.join(signers)}")
    for rendition in rendered(asked):
        tier, embed = rendition.recipe.tier, rendition.recipe.provenance == "embedded"
        signed_files = {
            name: signer.sign(rendition.data, "image/webp", CLAIMS, embed=embed) for name, signer in signers.items()
        }
        first = signed_files["ed25519"]
        taken = [
            cpu_ms(lambda s=signer, d=rendition.data, e=embed: s.sign(d, "image/webp", CLAIMS, embed=e))
            for signer in signers.values()
        ]
        print(
            f"{tier:>8} {rendition.recipe.provenance:>9} {len(bare[tier]):>8,} {len(first.data) - len(bare[tier]):>6,} "
            f"{0 if embed else len(first.manifest):>7,}  {'  '.join(f'{ms:.2f}' for ms in taken)}"
        )

    def signed():
        for rendition in rendered(asked):
            embed = rendition.recipe.provenance == "embedded"
            signers["ed25519"].sign(rendition.data, "image/webp", CLAIMS, embed=embed)

    plain, whole = [], []
    for _ in range(25):
        plain.append(cpu_ms(lambda: rendered(without), 1))
        whole.append(cpu_ms(signed, 1))
    before, after = statistics.median(plain), statistics.median(whole)
    print(
        f"\na portrait of 512 pixels through {len(asked)} tiers: {before:.1f} ms of CPU, signed {after:.1f}: "
        f"{before / after:.2f} of the throughput"
    )


def whole_renders(asked: tuple, pipeline: Pipeline) -> None:
    """Print what a render takes from its message to its publication, in SQLite and folders, signed and not by turns."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    without = tuple(replace(recipe, provenance="none") for recipe in asked)
    table, picture, taken = compile_folder(ROOT / "policies").table, pictures.photograph("astronaut.png"), {}
    with tempfile.TemporaryDirectory() as text, catalogue_on("sqlite", Path(text)) as catalogue:
        stores = [Switch(LocalStore(Path(text) / name)) for name in ("originals", "renditions")]
        for store in stores:
            store.ready()

        def draw(data, wanted, _crop, numbers):
            return pipeline.render(data, wanted, watermark_ids=numbers).renditions

        services = FlowContainer(catalogue, *stores, Clock(), [], table, asked, draw)
        for number in range(2 * RENDERS):
            services.recipes, who = (asked, without)[number % 2], f"profile-{number}"
            declared = Declaration("adult", "verified", "eu", "everyone")
            services.declare.declare(who, declared, follow_band=False, actor="bench")
            services.upload(who, picture)
            begin = time.perf_counter(), time.process_time()
            if services.deliver() != ["ready"]:
                sys.exit("the render did not end well")
            ended = time.perf_counter(), time.process_time()
            taken.setdefault(number % 2, []).append([1000 * (b - a) for a, b in zip(begin, ended, strict=True)])
    signed, plain = (
        [statistics.median(stage_times) for stage_times in zip(*taken[kind], strict=True)] for kind in (0, 1)
    )
    print(
        f"a whole render: {plain[0]:.1f} ms ({plain[1]:.1f} of CPU), signed {signed[0]:.1f} ({signed[1]:.1f}): "
        f"{plain[0] / signed[0]:.2f} of the throughput ({plain[1] / signed[1]:.2f} by CPU)"
    )


def main() -> None:
    with tempfile.TemporaryDirectory() as text, Sandbox() as sandbox:
        signers = credentials(Path(text))
        by_form(signers)
        pipeline = Pipeline(
            UploadCaps(), sandbox, FaceDetector(), VisibleWatermark(), InvisibleWatermarkWriter(bytes(range(32)))
        )
        table = compile_folder(ROOT / "policies").table
        asked = build_recipes(table.tiers, order=("none", *table.tiers))
        by_tier(signers, asked, pipeline)
        whole_renders(asked, pipeline)


if __name__ == "__main__":
    main()
