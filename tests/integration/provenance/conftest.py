"""Certificates, pictures, and what is signed with them."""

import io
from datetime import UTC, datetime

import brotli
import numpy as np
import pytest
from PIL import Image

from nightlight.provenance.certificates import SigningAlgorithm, create_development_chain
from nightlight.provenance.manifest import ManifestClaims
from nightlight.provenance.signing import SigningCredential

MEDIA_TYPES = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp", "AVIF": "image/avif"}
CLAIMS = ManifestClaims(watermark=0x0123456789ABCD, hash=bytes(range(32)), visible_watermark=True)


def now():
    return datetime.now(UTC)


@pytest.fixture(scope="module", params=list(SigningAlgorithm))
def folder(request, tmp_path_factory):
    keys_folder = tmp_path_factory.mktemp(request.param)
    create_development_chain(keys_folder, request.param, now())
    return keys_folder


@pytest.fixture(scope="module")
def credential(folder):
    return SigningCredential.read(folder / "chain.pem", folder / "leaf.key.pem", folder / "root.pem")


@pytest.fixture(scope="module")
def root(folder):
    return (folder / "root.pem").read_text()


def picture(form, seed=1):
    pixels = np.random.default_rng(seed).integers(0, 255, (24, 24, 3)).astype("uint8")
    file = io.BytesIO()
    Image.fromarray(pixels).resize((320, 320)).save(file, form, quality=60)
    return file.getvalue()


def unpacked(manifest):
    """A manifest as text may be looked for in it: compressed ones are one Brotli box."""
    at = manifest.find(b"brob")
    return manifest if at < 0 else brotli.decompress(manifest[at + 4 :])
