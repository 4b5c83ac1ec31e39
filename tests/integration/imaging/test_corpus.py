"""The outside corpus: hostile, metadata-laden and odd images. Its manifest says what a correct system does."""

import contextlib
import csv
import json
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from nightlight.imaging.formats import Format
from nightlight.imaging.probe import probe
from nightlight_core.errors import CorruptImage, ImageRefused, ImageTooComplex, UnsupportedFormat
from tests.conftest import ROOT
from tests.support.services import missing_tool

pytestmark = pytest.mark.integration

CORPUS = Path(os.environ.get("NIGHTLIGHT_CORPUS", ROOT.parent / "shared" / "corpus"))

if (CORPUS / "manifest.csv").exists():
    with (CORPUS / "manifest.csv").open(newline="") as manifest:
        ENTRIES = {row["file"]: row["must"] for row in csv.DictReader(manifest)}
else:
    ENTRIES = {}

needs_corpus = pytest.mark.skipif(not ENTRIES, reason=f"no corpus at {CORPUS}; set NIGHTLIGHT_CORPUS")

# What exiftool may find in a rendition: where the file lies, what kind it is, and the picture's own structure.
STRUCTURAL = {
    "SourceFile", "ExifTool:ExifToolVersion", "System:FileName", "System:Directory", "System:FileSize",
    "System:FileModifyDate", "System:FileAccessDate", "System:FileInodeChangeDate", "System:FilePermissions",
    "File:FileType", "File:FileTypeExtension", "File:MIMEType", "RIFF:VP8Version", "RIFF:ImageWidth",
    "RIFF:ImageHeight", "RIFF:HorizontalScale", "RIFF:VerticalScale", "Composite:ImageSize", "Composite:Megapixels",
}  # fmt: skip
# And what we say ourselves, in tiers whose pictures carry their manifests.
OPT_OUT = {"RIFF:WebP_Flags", "XMP-plus:DataMining"}


# Text of a PNG is not unpacked, so that there is nothing to refuse.
HARMLESS = {"bomb__pillow__png_decompression_dos.png"}


def must_be_refused(must):
    return must.startswith(("reject cleanly", "415: "))


def may_be_either(must):
    return must.startswith(("either", "415 ", "415 or"))


@pytest.fixture(scope="module")
def rendered(all_recipes, render):
    """Every rendition of an image of the corpus, made once; raises what its render raised."""
    kept = {}

    def renditions_of(name):
        if name not in kept:
            try:
                kept[name] = render((CORPUS / name).read_bytes(), all_recipes)
            except ImageRefused as error:
                kept[name] = error
        if isinstance(kept[name], ImageRefused):
            raise kept[name]
        return kept[name]

    return renditions_of


@needs_corpus
@pytest.mark.parametrize("name", ENTRIES)
def test_each_image_is_decoded_or_refused_as_the_manifest_says(name, all_recipes, rendered):
    must = ENTRIES[name]
    if must_be_refused(must) and name not in HARMLESS:
        with pytest.raises(ImageRefused):
            rendered(name)
        return
    try:
        renditions = rendered(name)
    except (UnsupportedFormat, CorruptImage, ImageTooComplex):
        assert may_be_either(must), must
        return
    assert len(renditions) == len(all_recipes)


@needs_corpus
def test_exiftool_finds_structure_and_nothing_else_in_any_rendition(tmp_path, all_recipes, rendered):
    if shutil.which("exiftool") is None:
        missing_tool("exiftool (Debian: libimage-exiftool-perl)")
    decoded = 0
    for name in ENTRIES:
        try:
            renditions = rendered(name)
        except ImageRefused:
            continue
        decoded += 1
        for rendition in renditions:
            (tmp_path / f"{name}.{rendition.recipe.tier}.webp").write_bytes(rendition.data)
    assert decoded >= 45
    command = ["exiftool", "-json", "-G1", "-a", "-u", "-ee", str(tmp_path)]
    reports = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    assert len(reports) == decoded * len(all_recipes)
    opted_out = 0
    for tags in reports:
        if set(tags) >= OPT_OUT:
            assert "PROHIBITED" in tags["XMP-plus:DataMining"].upper()
            opted_out += 1
        assert set(tags) <= STRUCTURAL | OPT_OUT, (tags["SourceFile"], set(tags) - STRUCTURAL)
    assert opted_out == decoded * sum(recipe.provenance == "embedded" for recipe in all_recipes)


@needs_corpus
@pytest.mark.parametrize("name", [name for name in ENTRIES if name.startswith(("bomb", "truncated", "malformed"))])
def test_hostile_images_are_dealt_with_in_the_time_and_with_the_memory_that_is_let(name, sandbox, caps):
    """A decoder that takes more processor time than is let is killed: that would be DecoderDied."""
    data = (CORPUS / name).read_bytes()
    with contextlib.suppress(ImageRefused):
        sandbox.frame(data, probe(data, caps, edge=64), edge=64)
    assert sandbox.peak_kb < 160_000
    assert sandbox.pid is None or sandbox.alive


@needs_corpus
@pytest.mark.parametrize("name", [name for name in ENTRIES if name.startswith("heic") or name.endswith(".heic")])
def test_heic_is_decoded_in_the_sandbox_where_it_is_accepted(name, sandbox, caps):
    data = (CORPUS / name).read_bytes()
    accepting = replace(caps, formats=frozenset(Format))
    if must_be_refused(ENTRIES[name]):
        with pytest.raises(ImageRefused):
            sandbox.frame(data, probe(data, accepting), edge=320)
        return
    frame = sandbox.frame(data, probe(data, accepting), edge=320)
    assert 1 <= min(frame.size) <= 320
    assert frame.info == {}


@needs_corpus
def test_pixels_come_upright_whatever_their_orientation(rendered):
    from tests.support import pictures

    landscapes = sorted(name for name in ENTRIES if "orient__Landscape" in name)
    shown = [pictures.opened(rendered(name)[1].data) for name in landscapes]
    assert len(shown) >= 2
    for other in shown[1:]:
        # Files of one scene in different orientations, each drawn with its number: alike, not equal.
        assert pictures.psnr(shown[0], other) > 12
