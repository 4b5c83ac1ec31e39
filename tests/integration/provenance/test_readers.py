"""What is signed, read by others: c2pa-ts, written in TypeScript from the specification, and the web's own reader."""

import io
import json
import shutil
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from nightlight.imaging.encode import OPT_OUT, encode
from nightlight.provenance.signing import ManifestSigner
from tests.integration.provenance.conftest import CLAIMS, MEDIA_TYPES, now, picture
from tests.support import pictures
from tests.support.services import missing_tool, node_in

pytestmark = pytest.mark.integration
HERE = Path(__file__).parent
LABELS = {"c2pa.actions.v2", "cawg.training-mining", "c2pa.training-mining", "c2pa.soft-binding"}


@pytest.fixture(scope="module")
def read(folder):
    """Files to what each reader says of them."""
    node = node_in(HERE)

    def call(*files):
        ran = subprocess.run(
            [node, "read.mjs", folder / "root.pem", *files], cwd=HERE, capture_output=True, text=True, check=True
        )
        return [json.loads(line) for line in ran.stdout.splitlines()]

    return call


def test_every_form_is_trusted_in_a_browser_and_valid_to_who_wrote_by_the_specification(read, credential, tmp_path):
    signing, files = ManifestSigner(credential, now), []
    for form, media_type in MEDIA_TYPES.items():
        files.append(tmp_path / f"whole.{media_type[6:]}")
        files[-1].write_bytes(signing.sign(picture(form), media_type, CLAIMS, embed=True).data)
    for verdict in read(*files):
        assert verdict["web"]["state"] == "Trusted"
        assert set(verdict["web"]["labels"]) >= LABELS
        assert verdict["independent"]["valid"]
        codes = verdict["independent"]["codes"]
        assert "claimSignature.validated" in codes
        assert {"assertion.dataHash.match", "assertion.bmffHash.match"} & set(codes)


def test_both_see_what_was_changed(read, credential, tmp_path):
    files = []
    for form in ("JPEG", "WEBP"):
        data = picture(form)
        altered = bytearray(ManifestSigner(credential, now).sign(data, MEDIA_TYPES[form], CLAIMS, embed=True).data)
        altered[altered.rindex(data[-40:-20]) + 5] ^= 1
        files.append(tmp_path / f"changed.{form.lower()}")
        files[-1].write_bytes(altered)
        files.append(tmp_path / f"bare.{form.lower()}")
        files[-1].write_bytes(data)
    changed_jpeg, bare_jpeg, changed_webp, bare_webp = read(*files)
    for verdict in (changed_jpeg, changed_webp):
        assert verdict["web"]["state"] == "Invalid"
        assert "assertion.dataHash.mismatch" in verdict["independent"]["codes"]
    for verdict in (bare_jpeg, bare_webp):
        assert verdict["independent"]["codes"] == ["none"]


@pytest.mark.parametrize("form", ["webp", "jpeg", "avif"])
def test_the_opt_out_is_read_by_others_and_changes_no_pixel(form, tmp_path):
    exiftool = shutil.which("exiftool")
    if exiftool is None:
        missing_tool("exiftool")
    image = pictures.gradient(33, 31)
    bare = encode(image, format=form, quality=80, effort=2)
    encoded = encode(image, format=form, quality=80, effort=2, opt_out=True)
    assert Image.open(io.BytesIO(encoded)).tobytes() == Image.open(io.BytesIO(bare)).tobytes()
    assert encoded.count(OPT_OUT) == 1
    assert len(encoded) - len(bare) < len(OPT_OUT) + 120
    path = tmp_path / f"x.{form}"
    path.write_bytes(encoded)
    command = [exiftool, "-json", "-validate", "-DataMining", str(path)]
    report = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)[0]
    assert "PROHIBITED" in report["DataMining"].upper()
