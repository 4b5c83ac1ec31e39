"""The outside corpus: hostile, metadata-laden and odd images. Its manifest says what a correct system does."""

import csv
import json
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from nightlight.errors import CorruptImage, ImageRefused, UnsupportedFormat
from nightlight.imaging.pipeline import render
from tests.conftest import ROOT
from tests.support.services import missing_tool

pytestmark = pytest.mark.integration

CORPUS = Path(os.environ.get("NIGHTLIGHT_CORPUS", ROOT.parent / "shared" / "corpus"))
CAPS = {"max_pixels": 50_000_000, "max_side": 16_384}

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


def must_be_refused(must):
    return must.startswith(("reject cleanly", "415: "))


def may_be_either(must):
    return must.startswith(("either", "415 ", "415 or"))


@needs_corpus
@pytest.mark.parametrize("name", ENTRIES)
def test_each_image_is_decoded_or_refused_as_the_manifest_says(name, all_recipes):
    must = ENTRIES[name]
    data = (CORPUS / name).read_bytes()
    if must_be_refused(must):
        with pytest.raises(ImageRefused):
            render(data, all_recipes, **CAPS)
        return
    try:
        made = render(data, all_recipes, **CAPS)
    except (UnsupportedFormat, CorruptImage):
        assert may_be_either(must), must
        return
    assert len(made) == len(all_recipes)


@needs_corpus
def test_exiftool_finds_structure_and_nothing_else_in_any_rendition(tmp_path, all_recipes):
    if shutil.which("exiftool") is None:
        missing_tool("exiftool (Debian: libimage-exiftool-perl)")
    decoded = 0
    for name in ENTRIES:
        try:
            made = render((CORPUS / name).read_bytes(), all_recipes, **CAPS)
        except ImageRefused:
            continue
        decoded += 1
        for rendition in made:
            (tmp_path / f"{name}.{rendition.recipe.tier}.webp").write_bytes(rendition.data)
    assert decoded >= 45
    command = ["exiftool", "-json", "-G1", "-a", "-u", "-ee", str(tmp_path)]
    found = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    assert len(found) == decoded * len(all_recipes)
    for tags in found:
        assert set(tags) <= STRUCTURAL, (tags["SourceFile"], set(tags) - STRUCTURAL)


@needs_corpus
@pytest.mark.parametrize("name", [name for name in ENTRIES if name.startswith(("bomb", "truncated", "malformed"))])
def test_hostile_images_are_dealt_with_in_two_seconds_and_256_megabytes_more_than_an_idle_worker(name):
    """In a process of its own, under a limit on processor seconds; its peak is compared with doing nothing."""
    code = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from nightlight.errors import ImageRefused\n"
        "from nightlight.imaging.pipeline import render\n"
        "from nightlight.imaging.recipe import Recipe\n"
        "before = resource.getrusage(resource.RUSAGE_SELF)\n"
        "try:\n"
        "    render(Path(sys.argv[1]).read_bytes(), [Recipe(tier='t', edge=64)], max_pixels=50_000_000, max_side=16_384)\n"
        "except ImageRefused:\n"
        "    pass\n"
        "after = resource.getrusage(resource.RUSAGE_SELF)\n"
        "print(after.ru_utime - before.ru_utime, after.ru_maxrss - before.ru_maxrss)\n"
    )

    def limit():
        resource.setrlimit(resource.RLIMIT_CPU, (10, 10))

    done = subprocess.run(
        [sys.executable, "-c", code, str(CORPUS / name)],
        capture_output=True, text=True, check=False, timeout=60, preexec_fn=limit,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    seconds, kilobytes = map(float, done.stdout.split())
    assert seconds < 2
    assert kilobytes < 256 * 1024


@needs_corpus
def test_pixels_come_upright_whatever_their_orientation(all_recipes):
    from tests.support import pictures

    landscapes = sorted(name for name in ENTRIES if "orient__Landscape" in name)
    shown = [pictures.opened(render((CORPUS / name).read_bytes(), all_recipes, **CAPS)[1].data) for name in landscapes]
    assert len(shown) >= 2
    for other in shown[1:]:
        # Files of one scene in different orientations, each drawn with its number: alike, not equal.
        assert pictures.psnr(shown[0], other) > 12
