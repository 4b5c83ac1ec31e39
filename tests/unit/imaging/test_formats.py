"""The table of upload formats: each entry is complete, and its parts agree with each other and with Pillow."""

import dataclasses
import tomllib
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from nightlight.imaging.decoded_frame import make_frame
from nightlight.imaging.decoders import available_formats
from nightlight.imaging.formats import FORMATS, USUAL, Format
from nightlight.imaging.header import Header
from nightlight.imaging.probe import UploadCaps, decode_bytes, decode_s, probe, sniff, upload_caps
from nightlight.settings.pictures import UploadSettings
from tests.support import pictures

CAPS = UploadCaps(formats=frozenset(Format))
SAMPLES = pictures.of_every_format(301, 203)
ROOT = Path(__file__).parents[3]

every_format = pytest.mark.parametrize("name", Format)


def test_every_format_has_an_entry_and_a_sample():
    assert set(FORMATS) == set(Format) == set(SAMPLES)


@every_format
def test_an_entry_leaves_nothing_out(name):
    entry = FORMATS[name]
    for field in dataclasses.fields(entry):
        if field.name == "pillow" and all(isinstance(sample, bytes) for sample in entry.warm_up):
            continue  # no decoder of Pillow's, but one of ours
        assert field.name in OPTIONAL or getattr(entry, field.name), f"{name}: {field.name} is empty"
    assert bool(entry.extra) == (entry.register is not None), f"{name}: an extra has a decoder to register"


OPTIONAL = {"sample_bits", "scales", "exact_size", "threads", "extra", "register"}


def test_no_two_formats_share_an_estimate_or_a_decoder():
    for part in ("pillow", "memory", "time", "is_magic"):
        values = [getattr(entry, part) for entry in FORMATS.values()]
        assert len(set(values)) == len(values), f"two formats have the same {part}"


@every_format
def test_a_format_without_an_entry_has_no_estimate(name, monkeypatch):
    header = Header(name, 640, 480)
    monkeypatch.delitem(FORMATS, name)
    for estimate in (lambda: decode_bytes(header, edge=320), lambda: decode_s(header, 1_000)):
        with pytest.raises(KeyError):
            estimate()


@every_format
def test_a_sample_is_recognised_by_its_magic_alone(name):
    assert sniff(SAMPLES[name]) is name
    assert [other for other, entry in FORMATS.items() if entry.is_magic(SAMPLES[name][:64])] == [name]


@every_format
def test_the_header_reader_gives_the_size_and_the_format(name):
    header = probe(SAMPLES[name], CAPS)
    slack = 1 if FORMATS[name].exact_size else 64  # the size as coded, in whole blocks
    assert header.format is name
    assert 0 <= header.width - 301 < slack
    assert 0 <= header.height - 203 < slack


@every_format
def test_the_decoder_is_installed_and_makes_the_frame(name):
    assert name in available_formats()
    Image.init()
    assert set(FORMATS[name].pillow) <= set(Image.OPEN)
    frame = make_frame(BytesIO(SAMPLES[name]), probe(SAMPLES[name], CAPS), edge=101)
    assert (frame.mode, min(frame.size)) == ("RGB", 101)


@every_format
def test_the_estimates_grow_with_the_picture(name):
    small, large = Header(name, 800, 600), Header(name, 8_000, 6_000)
    assert 0 < decode_bytes(small, edge=320) < decode_bytes(large, edge=320)
    assert 0 < decode_s(small, 10_000) < decode_s(large, 10_000)


def test_an_optional_format_is_accepted_only_where_its_setting_is_on():
    optional = {name: entry.extra for name, entry in FORMATS.items() if entry.extra}
    assert set(Format) - USUAL == set(optional)
    off = dict.fromkeys(optional.values(), False)
    assert upload_caps(UploadSettings(**off)).formats == USUAL
    for name, extra in optional.items():
        assert UploadSettings.model_fields[extra].annotation is bool
        assert upload_caps(UploadSettings(**{**off, extra: True})).formats == USUAL | {name}


def test_a_phones_heic_is_accepted_unless_it_is_turned_off():
    assert Format.HEIC in upload_caps(UploadSettings()).formats


def test_every_extra_is_an_optional_dependency():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert {entry.extra for entry in FORMATS.values() if entry.extra} <= set(extras)
