"""What a sandboxed decoder says is checked word by word and number by number."""

import json

import pytest
from structlog.testing import capture_logs

from nightlight.imaging.decode_notes import DecodeNote, NoteKind
from nightlight.imaging.decoded_frame import StageTimes
from nightlight.imaging.decoder_process import RESPONSE_HEAD_BYTES
from nightlight.imaging.formats import Format
from nightlight.imaging.header import Header
from nightlight.imaging.sandbox_response import read_frame
from nightlight_core.errors import DecoderDied, ImageTooLarge, TruncatedImage

HEADER = Header(Format.JPEG, 2, 1)


def read(**head):
    response = json.dumps({"width": 2, "height": 1, "stages": {}, **head}).encode().ljust(RESPONSE_HEAD_BYTES)
    return read_frame(memoryview(response + bytes(6)), HEADER, 2, StageTimes())


@pytest.mark.parametrize(
    ("note", "text"),
    [
        (DecodeNote(NoteKind.ROWS_MISSING, 335, 360), "335 of 360 rows arrived; the rest is filled"),
        (DecodeNote(NoteKind.SCANS_MISSING, 3, 41), "3 scans arrived whole, with 41 % of the coefficients"),
        (DecodeNote(NoteKind.PROFILE_IGNORED, 0, 1_048_576), "larger than 1048576 bytes"),
        (DecodeNote(NoteKind.PROFILE_IGNORED), "cannot be unpacked"),
    ],
)
def test_notes_are_logged_in_words(note, text):
    with capture_logs() as lines:
        read(notes=[note.as_list()])
    assert [(line["event"], line["code"], line["format"]) for line in lines] == [("image.noted", note.kind, "jpeg")]
    assert text in lines[0]["detail"]


@pytest.mark.parametrize(
    "notes",
    [[["of its own", 1, 2]], [["rows_missing", "1", 2]], [["rows_missing", -1, 2]], [["rows_missing", 1]], [7], {}],
)
def test_notes_that_no_decoder_writes_are_none(notes):
    with pytest.raises(DecoderDied):
        read(notes=notes)


def test_more_notes_than_there_can_be_are_left_out():
    with capture_logs() as lines:
        read(notes=[["rows_missing", 1, 2]] * 20)
    assert len(lines) == 8


@pytest.mark.parametrize(
    ("kind", "detail", "is_kept"),
    [
        (TruncatedImage, "jpeg: 63 % of the rows arrived", True),
        (ImageTooLarge, "png: more memory than is allowed", True),
        (TruncatedImage, "jpeg: 63 % of the rows arrived; write to somebody@example.org", False),
        (ImageTooLarge, "a decoder's own words", False),
    ],
)
def test_the_owner_is_told_no_word_of_a_decoders_own(kind, detail, is_kept):
    with pytest.raises(kind) as refused:
        read(refused=kind.code, detail=detail)
    assert refused.value.public_detail == (detail if is_kept else kind.public)


@pytest.mark.parametrize(("side", "edge", "size"), [(30, 24, 24), (24, 24, 24), (31, 24, None), (30, 12, None)])
def test_a_frame_may_be_larger_only_as_a_jpeg_is_handed_over_unshrunk(side, edge, size):
    response = json.dumps({"width": side, "height": side, "stages": {}}).encode().ljust(RESPONSE_HEAD_BYTES)
    given = memoryview(response + bytes(side * side * 3)), Header(Format.JPEG, 30, 30), edge, StageTimes()
    if size is None:
        with pytest.raises(DecoderDied):
            read_frame(*given)
    else:
        assert read_frame(*given).size == (size, size)
