"""Pictures that other projects' users have reported: each goes through the sandbox as its manifest says.

``EXPECTED`` has an entry for each line; what it holds checks the frame, or the refusal.
"""

import csv
import os
from pathlib import Path

import numpy as np
import pytest

from nightlight.imaging.formats import Format
from nightlight.imaging.probe import UploadCaps, probe
from nightlight_core.errors import ImageRefused
from tests.conftest import ROOT

pytestmark = pytest.mark.integration

REPORTED = Path(os.environ.get("NIGHTLIGHT_REPORTED", ROOT.parent / "shared" / "reported"))
WHITE = (255, 255, 255)
CAPS = UploadCaps(formats=frozenset(Format))

if (REPORTED / "manifest.csv").exists():
    with (REPORTED / "manifest.csv").open(newline="") as manifest:
        FILES = [row["file"] for row in csv.DictReader(manifest)]
else:
    FILES = []

needs_reported = pytest.mark.skipif(not FILES, reason=f"no reported pictures at {REPORTED}; set NIGHTLIGHT_REPORTED")


class Decoded:
    """What the sandbox makes of one file, at up to ``edge`` pixels: its frame, or the error that it is refused with."""

    def __init__(self, sandbox, name, data=None, edge=1024):
        self.sandbox, self.edge = sandbox, edge
        self.data = data or (REPORTED / name).read_bytes()
        self.frame = self.error = None
        try:
            self.frame = sandbox.frame(self.data, probe(self.data, CAPS, edge=edge), edge=edge)
        except ImageRefused as error:
            self.error = error

    def again(self, data):
        """The frame of other data."""
        return Decoded(self.sandbox, "", data, self.edge).frame


def shown(width, height):
    """Decoded, at its size."""

    def check(decoded):
        assert decoded.error is None
        assert decoded.frame.size == (width, height)

    return check


def as_with_an_end(decoded):
    """Decoded to the same pixels as with the mark that ends a JPEG."""
    shown(480, 360)(decoded)
    assert decoded.frame.tobytes() == decoded.again(decoded.data + b"\xff\xd9").tobytes()


def as_without_its_trailer(decoded):
    """Decoded to the same pixels as the same picture without what a maker put behind its scan."""
    shown(480, 360)(decoded)
    picture = decoded.data[: decoded.data.index(b"ftypmp42") - 4]
    assert decoded.frame.tobytes() == decoded.again(picture + b"\xff\xd9").tobytes()


def filled_at_the_bottom(decoded):
    """Decoded, and the rows that did not arrive are of the colour of the last that did."""
    rows = np.asarray(decoded.frame).astype(int)
    assert decoded.frame.size == (480, 360)
    assert (rows[-20:] == rows[-1, 0]).all()
    assert abs(rows[330].mean(axis=0) - rows[-1, 0]).max() < 16


def truncated(decoded):
    """Refused with how much of it arrived."""
    assert decoded.error.code == "truncated_image"
    assert "% of the rows arrived" in str(decoded.error)


def framed_by_white(decoded):
    """Decoded, and what its frame does not cover is white."""
    shown(480, 360)(decoded)
    pixels = decoded.frame.load()
    assert [pixels[at] for at in ((0, 0), (479, 0), (0, 359), (479, 359), (60, 40))] == [WHITE] * 5
    assert pixels[240, 180] != WHITE


def small_on_a_large_screen(decoded):
    """Decoded: a frame of 480 x 360 at the corner of 4000 x 3000."""
    shown(1365, 1024)(decoded)
    pixels = decoded.frame.load()
    assert pixels[10, 10] != WHITE
    assert [pixels[at] for at in ((200, 60), (60, 200), (1364, 1023))] == [WHITE] * 3


def with_white(decoded):
    """Decoded, with what is transparent on white."""
    shown(480, 360)(decoded)
    assert (np.asarray(decoded.frame) == 255).all(axis=2).mean() > 0.05


EXPECTED = {
    "jpg_no_eoi.jpg": as_with_an_end,
    "samsung_no_eoi_trailer.jpg": as_without_its_trailer,
    "jpg_95pct.jpg": filled_at_the_bottom,
    "gif_trunc.gif": truncated,
    "jpg_garbage2_before_dqt.jpg": shown(480, 360),
    "png_badcrc_tEXt.png": shown(480, 360),
    "png_badcrc_pHYs.png": shown(480, 360),
    "png_icc_1.3MB.png": shown(480, 360),
    "png_itxt_2MB.png": shown(480, 360),
    "png_iccp_badmethod.png": shown(480, 360),
    "gif_ls0.gif": shown(480, 360),
    "gif_ls_4000.gif": small_on_a_large_screen,
    "gif_offset_first.gif": framed_by_white,
    "png_1bit_tRNS.png": with_white,
    "xmp_jpg_only6.jpg": shown(480, 360),
}


@needs_reported
@pytest.mark.parametrize("name", [name for name in FILES if name in EXPECTED])
def test_each_reported_picture_is_dealt_with_as_its_manifest_says(name, sandbox):
    EXPECTED[name](Decoded(sandbox, name))
    assert sandbox.alive
