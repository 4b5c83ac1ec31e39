"""PNGs that browsers show although a chunk is damaged, unknown, out of its place, or larger than it should be."""

import struct
import zlib

import numpy as np
import pytest

from nightlight.imaging.probe import UploadCaps, probe
from nightlight_core.errors import CorruptImage, ImageTooComplex, TruncatedImage
from tests.support import hostile, odd, pictures
from tests.support.hostile import chunk

PICTURE = pictures.encoded(pictures.gradient(64, 48), "PNG")
GAMMA = (b"gAMA", struct.pack(">I", 45_455))
PACKED = zlib.compress(bytes(2_000_000), 9)
EXIF = odd.orientation_exif(6)


def split_pixels(data):
    """A PNG whose pixels come in two parts, with text between them."""
    chunks = odd.png_chunks(data)
    at = next(index for index, (kind, _) in enumerate(chunks) if kind == b"IDAT")
    body = chunks[at][1]
    return odd.png_of([*chunks[:at], (b"IDAT", body[:99]), (b"tEXt", b"a\0b"), (b"IDAT", body[99:]), *chunks[at + 1 :]])


@pytest.mark.parametrize(
    "data",
    [
        *(
            odd.png_with(odd.bad(kind, b"a\0b"))
            for kind in (b"tEXt", b"zTXt", b"pHYs", b"tIME", b"iCCP", b"gAMA", b"tRNS")
        ),
        odd.png_with((b"prVt", b"x" * 500), (b"zzZz", b""), (b"\1\2\3\4", b"?")),
        odd.png_with(
            (b"gAMA", b"1"), (b"cHRM", b"2"), (b"pHYs", b"3"), (b"tRNS", b"45"), (b"sRGB", b""), (b"bKGD", b"6")
        ),
        odd.png_with(GAMMA, GAMMA, (b"tIME", b""), (b"tIME", b"")),
        odd.png_with((b"PLTE", b"abcdefg"), before=b"IEND"),
        odd.png_with((b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + PACKED), (b"zTXt", b"k\0\0" + PACKED)),
        odd.png_with((b"tEXt", b"k\0" + b"text " * 400_000)),
        odd.png_with((b"acTL", b"\0\0"), (b"fcTL", b"no frame")),
        split_pixels(PICTURE),
        PICTURE[:-12],
        PICTURE + b"trailer",
        odd.png_of([odd.bad(*part) if part[0] == b"IDAT" else part for part in odd.png_chunks(PICTURE)]),
    ],
)
def test_a_chunk_that_is_not_as_it_should_be_goes_and_the_picture_stays(data):
    assert np.array_equal(odd.frame(data), odd.frame(PICTURE))


@pytest.mark.parametrize(
    ("profile", "note"),
    [
        (b"name\0\0" + zlib.compress(bytes(1 << 20) + b"x", 9), ("profile_ignored", 0, 1 << 20)),
        (b"name\0\0" + PACKED[:40], None),
        (b"name\0\7" + zlib.compress(b"profile"), ("profile_ignored", 0, 0)),
        (b"name\0\0no deflate", ("profile_ignored", 0, 0)),
        (b"\0\0" + zlib.compress(b"profile"), ("profile_ignored", 0, 0)),
        (b"n" * 90, ("profile_ignored", 0, 0)),
    ],
)
def test_a_profile_that_cannot_be_used_is_ignored_and_the_log_says_so(profile, note):
    data = odd.png_with((b"iCCP", profile), before=b"IDAT")
    assert np.array_equal(odd.frame(data), odd.frame(PICTURE))
    assert odd.notes_of(data) == ([note] if note else [])


def test_the_first_of_two_profiles_is_used():
    profiles = [(b"iCCP", b"n\0\0" + zlib.compress(text)) for text in (b"first", b"second")]
    assert odd.opened(odd.png_with(*profiles)).icc_profile == b"first"
    assert odd.opened(odd.png_with(odd.bad(*profiles[0]), profiles[1])).icc_profile == b"second"


@pytest.mark.parametrize(
    ("data", "orientation"),
    [
        (odd.png_with((b"eXIf", EXIF)), 6),
        (odd.png_with((b"eXIf", odd.orientation_exif(6, order="<"))), 6),
        (odd.png_with(odd.bad(b"eXIf", EXIF)), 1),
        (odd.png_with((b"eXIf", b"Exif\0\0" + EXIF)), 1),  # as a JPEG has it: Chromium does not read it
        (odd.png_with((b"eXIf", EXIF), before=b"IEND"), 1),  # nor behind the pixels
        (odd.png_with((b"eXIf", EXIF[:9])), 1),
        (odd.png_with((b"tEXt", b"Raw profile type exif\0" + EXIF.hex().encode())), 1),
    ],
)
def test_exif_turns_a_picture_as_browsers_turn_it(data, orientation):
    assert odd.opened(data).orientation == orientation


GREY_DEPTHS = [(0, 1), (0, 2), (0, 4), (0, 8), (0, 16)]


@pytest.mark.parametrize(("colour_type", "depth"), [*GREY_DEPTHS, (2, 8), (2, 16)])
def test_the_transparent_colour_is_white_in_every_depth(colour_type, depth):
    values = odd.samples(60, 40, colour_type, depth)
    key = values[11, 7]
    data = odd.raw_png(values, colour_type, depth, (b"tRNS", struct.pack(f">{len(key)}H", *key)))
    clear = (values == key).all(axis=2)
    expected = odd.frame(odd.raw_png(values, colour_type, depth))
    expected[clear] = 255
    assert clear.any()
    assert np.array_equal(odd.frame(data), expected)


def test_sixteen_bits_are_compared_to_the_last():
    values = np.full((20, 30, 1), 0x1234)
    values[5:9] = 0x1235
    shown = odd.frame(odd.raw_png(values, 0, 16, (b"tRNS", b"\x12\x34")))
    assert (shown[5:9] == 0x12).all()
    assert (np.delete(shown, slice(5, 9), axis=0) == 255).all()


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
@pytest.mark.parametrize("alpha", [b"\0", b"\0\x80", b"\0" * 256, b"\0" + b"\xff" * 255])
def test_alpha_of_a_palette_may_be_shorter_or_longer_than_it(depth, alpha):
    values = odd.samples(60, 40, 3, depth)
    colours = np.random.default_rng(1).integers(0, 256, (1 << depth, 3))
    palette = (b"PLTE", colours.astype(np.uint8).tobytes())
    opacity = np.full(256, 255)
    opacity[: min(256, len(alpha))] = list(alpha[:256])
    share = opacity[values[:, :, 0]][..., None] / 255
    expected = colours[values[:, :, 0]] * share + 255 * (1 - share)
    assert abs(odd.frame(odd.raw_png(values, 3, depth, palette, (b"tRNS", alpha))) - expected).max() <= 2


@pytest.mark.parametrize("colours", [[9, 8, 7], [9, 8, 7, 1, 2, 3, 4]])
def test_a_palette_may_be_short_of_colours_and_its_last_is_repeated(colours):
    values = odd.samples(60, 40, 3, 4)
    shown = odd.frame(odd.raw_png(values, 3, 4, (b"PLTE", bytes(colours))))
    last = colours[: len(colours) // 3 * 3][-3:]
    assert (shown[values[:, :, 0] >= len(colours) // 3] == last).all()


@pytest.mark.parametrize("extra", [[], [odd.bad(b"PLTE", bytes(48))]])
def test_a_picture_without_the_palette_that_it_needs_is_refused(extra):
    with pytest.raises(CorruptImage, match="palette"):
        odd.frame(odd.raw_png(odd.samples(60, 40, 3, 4), 3, 4, *extra))


def animated(*, default_is_first, place=(8, 4, 16, 12), control=(2, 0), kind=b"acTL"):
    """An animation of a small red frame over the picture; red is its first frame if the picture is none."""
    left, top, width, height = place
    fctl = struct.pack(">IIIII", 0, width, height, left, top) + struct.pack(">HHBB", 0, 10, 0, 0)
    whole = struct.pack(">IIIII", 0, 64, 48, 0, 0) + struct.pack(">HHBB", 0, 10, 0, 0)
    red = zlib.compress((b"\0" + b"\xff\0\0" * width) * height)
    chunks = odd.png_chunks(PICTURE)
    first = [(b"fcTL", whole)] if default_is_first else []
    frames = [(b"fcTL", fctl), (b"fdAT", bytes(4) + red), (b"fcTL", whole), (b"fdAT", bytes(4) + b"damaged")]
    return odd.png_of([chunks[0], (kind, struct.pack(">II", *control)), *first, *chunks[1:-1], *frames, chunks[-1]])


def test_the_picture_of_an_animation_is_shown_where_it_is_the_first_frame():
    assert np.array_equal(odd.frame(animated(default_is_first=True)), odd.frame(PICTURE))


def test_the_first_frame_is_shown_in_its_place_where_the_picture_is_none():
    shown = odd.frame(animated(default_is_first=False))
    expected = np.full((48, 64, 3), 255)
    expected[4:16, 8:24] = (255, 0, 0)
    assert np.array_equal(shown, expected)


@pytest.mark.parametrize("options", [{"control": (0, 0)}, {"kind": b"prVt"}])
def test_the_picture_is_shown_where_the_animation_is_none(options):
    assert np.array_equal(odd.frame(animated(default_is_first=False, **options)), odd.frame(PICTURE))


def test_a_frame_that_does_not_fit_the_picture_is_none():
    chunks = odd.png_chunks(animated(default_is_first=False, place=(60, 4, 16, 12)))
    shown = odd.frame(odd.png_of([*chunks[:-3], chunks[-1]]))  # without the second frame
    assert np.array_equal(shown, odd.frame(PICTURE))


@pytest.mark.parametrize("interlaced", [False, True])
def test_a_picture_of_which_nine_tenths_of_the_rows_arrived_is_filled(interlaced):
    data = pictures.png(pictures.gradient(200, 160), interlaced=interlaced)
    cut = data[: int(len(data) * 0.96)]
    shown, whole = odd.frame(cut), odd.frame(data)
    ((word, arrived, rows),) = odd.notes_of(cut)
    assert (word, rows) == ("rows_missing", 160)
    assert 144 <= arrived < 160
    same = (shown == whole).all(axis=(1, 2))
    assert same.sum() >= arrived
    for row in np.flatnonzero(~same):
        assert abs(shown[row, 0] - whole[row - 1 if interlaced else arrived - 1].mean(axis=0)).max() <= 1


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_a_picture_of_which_less_arrived_is_refused_with_how_much(interlaced, share):
    data = pictures.png(pictures.gradient(200, 160), interlaced=interlaced)
    with pytest.raises(TruncatedImage, match=r"png: \d+ % of the rows arrived"):
        odd.frame(data[: int(len(data) * share)])
    with pytest.raises(TruncatedImage, match="0 % of the rows arrived"):
        odd.frame(data[:45])


@pytest.mark.parametrize(("share", "shown"), [(0.97, True), (0.5, False)])
def test_damaged_data_count_as_missing_from_there_on(share, shown):
    data = bytearray(pictures.png(pictures.gradient(200, 160)))
    at = int(len(data) * share)
    data[at : at + 40] = b"\xff" * 40
    if shown:
        assert odd.notes_of(bytes(data))[0][0] == "rows_missing"
        return
    with pytest.raises(CorruptImage, match="damaged"):
        odd.frame(bytes(data))


def test_data_are_unpacked_no_further_than_the_rows_that_the_header_states():
    """The rows are followed by forty megabytes of zeros."""
    rows = b"".join(b"\0" + row.tobytes() for row in np.asarray(pictures.gradient(64, 48)))
    bomb = zlib.compress(rows + bytes(40_000_000), 9)
    chunks = [(kind, bomb if kind == b"IDAT" else body) for kind, body in odd.png_chunks(PICTURE) if kind != b"iCCP"]
    assert np.array_equal(odd.frame(odd.png_of(chunks)), odd.frame(PICTURE))


@pytest.mark.parametrize("kind", [b"prVt", b"tEXt", b"tRNS", b"eXIf", b"iCCP", b"fcTL", b"acTL"])
def test_a_million_small_chunks_are_refused_from_the_header(kind):
    with pytest.raises(ImageTooComplex):
        probe(hostile.png_chunks(1_000_000, kind=kind, payload=b"x"), UploadCaps())


@pytest.mark.parametrize("field", [(24, 3), (25, 5), (26, 1), (27, 1), (28, 2)])
def test_a_header_that_no_decoder_takes_is_refused_at_the_upload(field):
    ihdr = bytearray(odd.png_chunks(PICTURE)[0][1])
    ihdr[field[0] - 16] = field[1]
    with pytest.raises(CorruptImage):
        probe(odd.png_of([chunk(b"IHDR", bytes(ihdr)), *odd.png_chunks(PICTURE)[1:]]), UploadCaps())


@pytest.mark.parametrize(("width", "height"), [(1, 1), (7, 5), (64, 48), (300, 200)])
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("interlaced", [False, True])
def test_a_wrong_checksum_of_the_data_alone_loses_no_row(width, height, bits, interlaced):
    data = pictures.png(pictures.gradient(width, height), bits=bits, interlaced=interlaced)
    chunks = odd.png_chunks(data)
    (at,) = (index for index, (kind, _) in enumerate(chunks) if kind == b"IDAT")
    body = chunks[at][1]
    chunks[at] = (b"IDAT", body[:-1] + bytes((body[-1] ^ 1,)))
    assert np.array_equal(odd.frame(odd.png_of(chunks)), odd.frame(data))
    assert odd.notes_of(odd.png_of(chunks)) == []


@pytest.mark.parametrize("colour_type", [0, 2])
def test_a_transparent_colour_may_be_longer_than_it_should(colour_type):
    values = odd.samples(32, 24, colour_type, 8)
    key = b"".join(bytes((0, int(value))) for value in values[3, 4])
    longer = odd.frame(odd.raw_png(values, colour_type, 8, (b"tRNS", key + b"\0\0")))
    assert np.array_equal(longer, odd.frame(odd.raw_png(values, colour_type, 8, (b"tRNS", key))))
    assert (longer[3, 4] == 255).all()


def test_more_alpha_than_a_palette_can_have_is_none():
    values, palette = odd.samples(32, 24, 3, 8), bytes(range(256)) * 3
    plain = odd.frame(odd.raw_png(values, 3, 8, (b"PLTE", palette)))
    assert np.array_equal(odd.frame(odd.raw_png(values, 3, 8, (b"PLTE", palette), (b"tRNS", bytes(257)))), plain)
