"""Pictures whose colours were reported as wrong: Display P3 by numbers, in the real sandbox."""

import os
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from nightlight.imaging.colour_convert import icc_profile
from nightlight.imaging.colour_space import PRIMARIES, ColourSpace
from nightlight.imaging.probe import UploadCaps, probe
from nightlight.imaging.sandbox import Sandbox
from tests.conftest import ROOT

pytestmark = pytest.mark.integration

REPORTED = Path(os.environ.get("NIGHTLIGHT_REPORTED", ROOT.parent / "shared" / "reported"))
P3 = ColourSpace(PRIMARIES[12], 13.0)


@pytest.mark.skipif(not REPORTED.is_dir(), reason=f"no reported pictures at {REPORTED}; set NIGHTLIGHT_REPORTED")
@pytest.mark.parametrize("name", ["png_cicp_p3.png", "avif_cicp_p3.avif"])
def test_display_p3_by_numbers_is_what_its_profile_would_make_of_it(name):
    data = (REPORTED / name).read_bytes()
    header = probe(data, UploadCaps())
    assert header.cicp is not None
    assert header.cicp[:2] == (12, 13)
    with Image.open(BytesIO(data)) as image:
        stored = image.convert("RGB")
    srgb = ImageCms.createProfile("sRGB")
    wanted = np.asarray(ImageCms.profileToProfile(stored, BytesIO(icc_profile(P3)), srgb), dtype=np.int16)
    with Sandbox() as sandbox:
        shown = np.asarray(sandbox.frame(data, header, edge=4096), dtype=np.int16)
    assert shown.shape == wanted.shape
    assert np.abs(shown - wanted).mean() < 1
    assert np.abs(wanted - np.asarray(stored)).mean() > 1  # the two differ, so that the test can fail
