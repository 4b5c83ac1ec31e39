"""AVIF and HEIC that browsers show although their boxes are odd, or something follows or is missing."""

import struct

import numpy as np
import pytest

from nightlight.imaging.probe import UploadCaps, probe
from nightlight_core.errors import CorruptImage, TruncatedImage, UnsupportedFormat
from tests.support import odd, phone_pictures, pictures

PICTURE = pictures.gradient(96, 64)
AVIF = pictures.encoded(PICTURE, "AVIF", quality=90)
RGBA = PICTURE.convert("RGBA")
RGBA.putalpha(200)
ALPHA = pictures.encoded(RGBA, "AVIF", quality=90)


def box(kind, payload):
    return struct.pack(">I4s", 8 + len(payload), kind) + payload


def grown(data, path, more):
    """A file with bytes more at the end of a box that no item's place comes behind, but in ``mdat``."""
    _, end = phone_pictures.find(data, *path)
    parts = bytearray(data[:end] + more + data[end:])
    for depth in range(1, len(path) + 1):
        start, _ = phone_pictures.find(data, *path[:depth])
        parts[start : start + 4] = struct.pack(">I", struct.unpack(">I", data[start : start + 4])[0] + len(more))
    return phone_pictures._moved(bytes(parts), data, len(more))


def with_a_list_for_each_item(data):
    """A file whose associations stand in one ``ipma`` for each item, as encoders of 2019 wrote them."""
    start, end = phone_pictures.find(data, b"meta", b"iprp", b"ipma")
    head, at, lists = data[start + 8 : start + 12], start + 16, b""
    assert not data[start + 8]
    assert not data[start + 11] & 1
    for _ in range(struct.unpack(">I", data[start + 12 : start + 16])[0]):
        entry = data[at : at + 3 + data[at + 2]]
        lists += box(b"ipma", head + struct.pack(">I", 1) + entry)
        at += len(entry)
    more = lists[end - start :]
    data = grown(data, (b"meta", b"iprp"), more)
    return data[:start] + lists + data[start + len(lists) :]


def entries(data):
    """Where the associations of the picture and of its alpha begin: number, count and indices; the first is its size."""
    start, _ = phone_pictures.find(data, b"meta", b"iprp", b"ipma")
    return start + 16, start + 19 + data[start + 18]


def place_of(data, entry, index):
    """Where an item's list of properties has one."""
    return next(at for at in range(entry + 3, entry + 3 + data[entry + 2]) if data[at] & 0x7F == index & 0x7F)


def test_a_list_of_properties_for_each_item_is_read():
    data = with_a_list_for_each_item(ALPHA)
    assert data.count(b"ipma") == 2
    assert np.array_equal(odd.frame(data), odd.frame(ALPHA))


def test_a_group_of_items_that_cannot_be_read_is_passed_over():
    data = grown(AVIF, (b"meta",), box(b"grpl", struct.pack(">I4s", 400, b"altr") + bytes(8)))
    assert np.array_equal(odd.frame(data), odd.frame(AVIF))


def test_an_item_that_is_not_shown_may_be_larger():
    """Alpha becomes a picture of another kind, a gain map say, larger than the primary item."""
    data = phone_pictures.with_property(ALPHA, b"ispe", struct.pack(">III", 0, 400, 300))
    first, second = entries(data)
    size, larger = data[first + 3], data[first + 2 + data[first + 2]]
    parts = bytearray(data.replace(b"auxiliary:alpha", b"auxiliary:other"))
    parts[first + 2 + data[first + 2]] = size
    parts[place_of(data, second, size)] = larger
    opaque = ALPHA.replace(b"auxiliary:alpha", b"auxiliary:other")
    assert np.array_equal(odd.frame(bytes(parts)), odd.frame(opaque))


def test_data_that_state_more_than_the_boxes_are_not_decoded():
    with pytest.raises(CorruptImage):
        odd.frame(phone_pictures.with_ispe(AVIF, 48, 32))


def test_alpha_without_a_size_has_that_of_the_picture():
    first, second = entries(ALPHA)
    data = bytearray(ALPHA)
    data[place_of(ALPHA, second, ALPHA[first + 3])] = data[second + 2 + data[second + 2]]  # another of its own, twice
    header = probe(bytes(data), UploadCaps())
    assert header.alpha
    assert header.coded == 2 * 96 * 64


@pytest.mark.parametrize("trailer", [b"x" * 999, bytes(3), b"\0\1\0\0more", struct.pack(">I4s", 1 << 30, b"free")])
@pytest.mark.parametrize("data", [AVIF, pictures.heic(image=PICTURE)], ids=["avif", "heic"])
def test_what_follows_the_last_box_is_passed_over(data, trailer):
    assert np.array_equal(odd.frame(data + trailer), odd.frame(data))


@pytest.mark.parametrize("data", [AVIF, pictures.heic(image=PICTURE)], ids=["avif", "heic"])
@pytest.mark.parametrize("share", [0.2, 0.5, 0.9, 0.99])
def test_a_file_that_was_cut_off_is_refused_as_such(data, share):
    with pytest.raises(TruncatedImage):
        odd.frame(data[: int(len(data) * share)])


def test_the_first_frame_of_a_sequence_is_shown_where_its_still_picture_is_missing():
    data = pictures.encoded(PICTURE, "AVIF", quality=90, save_all=True, append_images=[PICTURE.rotate(180)])
    start, _ = phone_pictures.find(data, b"meta", b"pitm")
    data = data[: start + 12] + b"\0\7" + data[start + 14 :]
    assert abs(odd.frame(data) - np.asarray(PICTURE).astype(int)).mean() < 4


def test_a_sequence_without_a_still_picture_is_no_format_of_ours():
    track = box(b"trak", box(b"tkhd", bytes(76) + struct.pack(">II", 96 << 16, 64 << 16)))
    data = box(b"ftyp", b"hevc\0\0\0\0hevcmsf1") + box(b"moov", track)
    with pytest.raises(UnsupportedFormat, match="without a still picture"):
        odd.opened(data)
