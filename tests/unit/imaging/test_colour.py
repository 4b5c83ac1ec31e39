"""Colours that a file names by numbers: what Chromium 156 shows of the same files, and what counts for nothing."""

import zlib
from io import BytesIO

import numpy as np
import pytest
from PIL import ImageCms

from nightlight.imaging import colour_space
from nightlight.imaging.colour_convert import _table, icc_profile, tone_mapped
from nightlight.imaging.colour_space import PRIMARIES, ColourSpace, decode_hlg, decode_pq, inverse, multiply, to_xyz
from nightlight.imaging.decoded_frame import make_frame
from nightlight.imaging.formats import Format
from nightlight.imaging.header import Header
from nightlight.imaging.normalise import _transform, prepare_colours, to_srgb
from nightlight.imaging.probe import UploadCaps, probe
from tests.support.coded_colours import P3, SRGB, chromaticities, cicp, gamma, png
from tests.support.pictures import encoded, gradient, opened

GREYS = (32, 64, 128, 192, 255)
RED = 128


def shown(*chunks):
    """The greys, and a red, of a PNG with these chunks, as the frame has them."""
    pixels = np.zeros((2, len(GREYS), 3), np.uint8)
    pixels[0] = np.array(GREYS, np.uint8)[:, None]
    pixels[1, :, 0] = RED
    data = png(np.repeat(np.repeat(pixels, 32, 0), 16, 1), *chunks)
    frame = np.asarray(make_frame(BytesIO(data), probe(data, UploadCaps()), edge=512))[16::32, 8::16]
    return tuple(int(value) for value in frame[0, :, 1]), tuple(int(value) for value in frame[1, 0])


# As Chromium 156 showed them, headless, on an sRGB canvas: greys, and the red.
CHROMIUM = {
    "plain": ((), GREYS, (128, 0, 0)),
    "P3": ((cicp(12, 13),), GREYS, (141, 0, 0)),
    "BT.2020": ((cicp(9, 1),), (20, 53, 121, 189, 255), (153, 0, 0)),
    "BT.709": ((cicp(1, 1),), (20, 54, 121, 189, 255), (121, 0, 0)),
    "gamma 2.2": ((cicp(1, 4),), (26, 62, 129, 193, 255), (129, 0, 0)),
    "gamma 2.8": ((cicp(1, 5),), (10, 40, 106, 179, 255), (106, 0, 0)),
    "SMPTE 240M": ((cicp(1, 7),), (50, 81, 141, 199, 255), (141, 0, 0)),
    "linear": ((cicp(1, 8),), (99, 137, 188, 225, 255), (188, 0, 0)),
    "SMPTE 428": ((cicp(1, 17),), (15, 48, 118, 191, 255), (118, 0, 0)),
    "PQ": ((cicp(9, 16),), (5, 30, 132, 255, 255), (167, 0, 0)),
    "PQ, BT.709": ((cicp(1, 16),), (5, 30, 132, 255, 255), (132, 0, 0)),
    "HLG": ((cicp(9, 18),), (14, 43, 99, 189, 255), (111, 0, 0)),
    "HLG, BT.709": ((cicp(1, 18),), (14, 43, 99, 189, 255), (86, 0, 0)),
    "BT.470M": ((cicp(4, 13),), GREYS, (153, 0, 0)),
    "BT.601": ((cicp(6, 13),), GREYS, (124, 12, 0)),
    "film": ((cicp(8, 13),), GREYS, (147, 0, 0)),
    "DCI": ((cicp(11, 13),), GREYS, (137, 0, 0)),
    "EBU": ((cicp(22, 13),), GREYS, (129, 13, 0)),
    "unknown primaries": ((cicp(2, 1),), GREYS, (128, 0, 0)),
    "unknown transfer": ((cicp(12, 2),), GREYS, (128, 0, 0)),
    "numbers of nothing": ((cicp(99, 99), gamma(100_000)), (99, 137, 188, 225, 255), (188, 0, 0)),
    "limited range": ((cicp(12, 13, full=0),), GREYS, (128, 0, 0)),
    "the first of two": ((cicp(12, 13), cicp(9, 13)), GREYS, (141, 0, 0)),
    "numbers before gamma": ((cicp(12, 13), gamma(100_000), chromaticities(SRGB)), GREYS, (141, 0, 0)),
    "gamma like that of sRGB": ((gamma(45_455),), GREYS, (128, 0, 0)),
    "gamma near that of sRGB": ((gamma(47_000),), GREYS, (128, 0, 0)),
    "gamma alone": ((gamma(100_000),), (99, 137, 188, 225, 255), (188, 0, 0)),
    "gamma 1.8": ((gamma(55_556),), (43, 81, 146, 203, 255), (146, 0, 0)),
    "gamma with chromaticities": ((gamma(45_455), chromaticities(P3)), (26, 62, 129, 193, 255), (142, 0, 0)),
    "chromaticities alone": ((chromaticities(P3),), GREYS, (128, 0, 0)),
    "sRGB before gamma": (((b"sRGB", b"\0"), gamma(100_000), chromaticities(P3)), GREYS, (128, 0, 0)),
    "gamma of 0": ((gamma(0), chromaticities(SRGB)), GREYS, (128, 0, 0)),
    "chromaticities of 0": ((gamma(45_455), chromaticities((0,) * 8)), GREYS, (128, 0, 0)),
    "chromaticities on a line": (
        (gamma(45_455), chromaticities((*SRGB[:4], *SRGB[2:4], *SRGB[6:]))), GREYS, (128, 0, 0),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CHROMIUM)
def test_colours_are_shown_as_a_browser_shows_them(name):
    chunks, greys, red = CHROMIUM[name]
    our_greys, our_red = shown(*chunks)
    most = 6 if name.startswith(("PQ", "HLG")) else 1
    assert our_greys == pytest.approx(greys, abs=most)
    assert our_red == pytest.approx(red, abs=most)


@pytest.mark.parametrize(
    "chunks",
    [
        (cicp(12, 13, matrix=1),),
        (gamma(45_455), chromaticities((31_270, 0, *SRGB[2:]))),
        (gamma(45_455), chromaticities((2**32 - 1,) * 8)),
        (gamma(45_455), chromaticities((*SRGB[:2], 164_000, 33_000, *SRGB[4:]))),
    ],
)
def test_what_is_impossible_counts_for_nothing(chunks):
    assert shown(*chunks) == (GREYS, (128, 0, 0))


def test_an_intent_that_nobody_knows_does_not_hide_the_gamma():
    assert shown((b"sRGB", b"\x09"), gamma(100_000)) == shown(gamma(100_000))


def test_chromaticities_that_span_a_gamut_beyond_what_eyes_see_are_followed():
    # As Chromium 156 showed them: the greys of light in proportion, whatever the primaries.
    greys, _ = shown(gamma(100_000), chromaticities((31_270, 32_900, 90_000, 90_000, *P3[4:])))
    assert greys == pytest.approx((99, 137, 188, 225, 255), abs=1)


@pytest.mark.parametrize(
    ("numbers", "read_as"),
    [
        ((12, 2), (12, 13)),
        ((2, 13), (1, 13)),
        ((9, 14), (9, 13)),
        ((6, 6), (6, 13)),
        ((1, 1), (1, 13)),
        ((9, 16), (9, 16)),
    ],
)
def test_nclx_without_a_curve_or_with_a_camera_s_is_read_with_that_of_srgb(numbers, read_as):
    header = Header(Format.AVIF, 8, 8)
    wanted = ColourSpace(PRIMARIES[read_as[0]], float(read_as[1]))
    assert colour_space.colours(header, (*numbers, 6), None)[1] == (None if read_as == (1, 13) else wanted)


@pytest.mark.parametrize("value", [1, 9_999, 20_000_000, 2**31, 2**32 - 1])
def test_any_gamma_is_a_curve(value):
    greys, _ = shown(gamma(value))
    assert list(greys) == sorted(greys)
    assert greys[-1] in {254, 255}


@pytest.mark.parametrize("format_", ["AVIF", "PNG"])
def test_a_profile_goes_before_gamma_and_numbers_before_a_profile_in_a_png(format_):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    data = encoded(opened(png(np.full((8, 8, 3), 99, np.uint8))).convert("RGB"), format_, icc_profile=profile)
    header = probe(data, UploadCaps())
    from dataclasses import replace

    p3 = ColourSpace(PRIMARIES[12], 13.0)
    assert colour_space.colours(replace(header, gamma=100_000), None, profile) == (profile, None)
    numbered = colour_space.colours(header, (12, 13, 0), profile)
    assert numbered == ((None, p3) if format_ == "PNG" else (profile, None))
    assert colour_space.colours(header, (12, 13, 0), None) == (None, p3)
    assert colour_space.colours(header, (1, 13, 0), None) == (None, None)


@pytest.mark.parametrize("spoilt", [b"", b"x" * 400, "longer", "unsigned"])
def test_a_profile_that_is_none_leaves_the_word_to_gamma(spoilt):
    profile = icc_profile(ColourSpace(PRIMARIES[12], 13.0))
    if spoilt == "longer":  # than the data that came
        spoilt = (len(profile) + 8).to_bytes(4) + profile[4:]
    elif spoilt == "unsigned":
        spoilt = profile.replace(b"acsp", b"none", 1)
    compressed = (b"iCCP", b"name\0\0" + zlib.compress(spoilt))
    assert shown(compressed, gamma(100_000)) == shown(gamma(100_000))
    assert shown(compressed) == shown()


def test_the_matrix_of_srgb_is_that_of_its_standard():
    # IEC 61966-2-1, from linear RGB to XYZ.
    wanted = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    assert np.array(to_xyz(PRIMARIES[1])) == pytest.approx(np.array(wanted), abs=1e-4)
    product = multiply(inverse(to_xyz(PRIMARIES[9])), to_xyz(PRIMARIES[9]))
    assert np.array(product) == pytest.approx(np.eye(3), abs=1e-9)


def test_pq_and_hlg_are_those_of_their_standards():
    # ITU-R BT.2408: 203 cd/m2 are 58 % of PQ and 75 % of HLG.
    assert decode_pq(0.5806) == pytest.approx(203, rel=0.01)
    assert decode_pq(0.0) == 0.0
    assert decode_pq(1.0) == pytest.approx(10_000)
    assert 1_000 * decode_hlg(0.75) ** 1.2 == pytest.approx(203, rel=0.01)
    assert decode_hlg(1.0) == pytest.approx(1.0, abs=1e-6)
    assert decode_hlg(0.5) == pytest.approx(1 / 12)


@pytest.mark.parametrize("transfer", [16.0, 18.0])
def test_brighter_stays_brighter_and_black_black(transfer):
    ramp = opened(png(np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, 2)))
    for number in PRIMARIES:
        values = np.asarray(tone_mapped(ramp.convert("RGB"), ColourSpace(PRIMARIES[number], transfer)))[0, :, 1]
        assert values[0] == 0
        assert values[-1] >= 254
        drops = np.maximum.accumulate(values.astype(int)) - values
        assert drops[:192].max() <= 6  # up to 1,000 cd/m2 of PQ: between the steps of the table
        assert drops.max() <= 16


@pytest.mark.parametrize("number", PRIMARIES)
def test_a_profile_of_ours_is_one_that_lcms_reads(number):
    profile = ImageCms.ImageCmsProfile(BytesIO(icc_profile(ColourSpace(PRIMARIES[number], 13.0))))
    assert profile.profile.xcolor_space.strip() == "RGB"


def test_a_profile_that_says_srgb_in_other_words_changes_no_pixel():
    picture = gradient(64, 48)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert to_srgb(picture, profile) is picture
    gamma_22 = icc_profile(ColourSpace(PRIMARIES[1], 4.0))  # near it, and not the same
    assert to_srgb(picture, gamma_22) is not picture
    assert np.abs(np.asarray(to_srgb(picture, gamma_22)).astype(int) - np.asarray(picture)).max() > 1


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_profile_of_other_channels_counts_for_nothing(mode):
    picture = gradient(64, 48).convert(mode)
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    assert np.array_equal(np.asarray(to_srgb(picture, lab)), np.asarray(picture.convert("RGB")))


def test_what_the_usual_spaces_need_is_made_beforehand():
    prepare_colours()
    for cached in (_table, _transform):
        before = cached.cache_info().misses
        prepare_colours()
        assert cached.cache_info().misses == before
