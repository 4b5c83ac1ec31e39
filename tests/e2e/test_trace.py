"""A leaked copy, taken over HTTP and changed, back to its rendition by the command."""

import json
from io import BytesIO
from pathlib import Path

import httpx
import pytest
from PIL import Image, ImageFilter, ImageOps
from sqlalchemy import delete, insert, select

from nightlight.catalogue.schema import audit, renditions
from nightlight.matching.index import HashIndex
from nightlight.matching.segment import KEY_BYTES
from tests.support import pictures
from tests.support.command import run_command
from tests.support.waiting import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.integration]


@pytest.fixture(scope="module", autouse=True)
def index(stack, tmp_path_factory):
    """A folder of the test's own for the index."""
    path = tmp_path_factory.mktemp("traces") / "index"
    stack.change(NIGHTLIGHT_MATCHING_INDEX_DIR=str(path))
    return path


def nightlight(stack, *arguments):
    return run_command(["trace", *arguments], stack.as_role("operator"))


def trace_results(stack, *paths):
    done = nightlight(stack, *paths, "--json")
    assert done.returncode in {0, 2}, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def leak(stack, client):
    """A photograph that no other test uploads, and its medium rendition as a connection gets it."""
    client.declare("leaky", band="age_16_17", assurance="verified", region="eu")
    image = client.wait(client.upload("leaky", pictures.photograph("rocket.jpg")).image_id)
    assert image.state == "ready"
    (decision,) = client.decide("peer", "profile", [("leaky", "connection")])
    return image, pictures.opened(httpx.get(decision.url).content).convert("RGB")


CHANGES = {
    "re-encoded": lambda image: pictures.encoded(image, "JPEG", quality=50),
    "half its size": lambda image: pictures.encoded(image.resize((160, 160)), "WEBP", quality=60),
    "mirrored": lambda image: pictures.encoded(ImageOps.mirror(image), "JPEG", quality=80),
    "turned": lambda image: pictures.encoded(image.transpose(Image.Transpose.ROTATE_90), "PNG"),
    "brighter": lambda image: pictures.encoded(image.point(lambda value: min(255, int(value * 1.2))), "JPEG"),
    "on a wide page": lambda image: pictures.encoded(ImageOps.pad(image, (480, 320), color="white"), "PNG"),
}


@pytest.fixture(scope="module")
def changed(stack, leak, tmp_path_factory):
    """What the command says of each changed copy; one call, since each starts a sandbox."""
    folder = tmp_path_factory.mktemp("changed")
    for change, make in CHANGES.items():
        (folder / change).write_bytes(make(leak[1]))
    return {Path(answer["file"]).name: answer for answer in trace_results(stack, folder)}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_copy_leads_back_to_its_rendition(leak, changed, change):
    image, answer = leak[0], changed[change]
    # A hash knows the picture; the invisible watermark says which of its tiers a copy was.
    first = answer["origins"][0]
    assert (first["image_id"], first["profile_id"]) == (image.image_id, "leaky")
    assert first["distance"] <= 31
    assert first["published_at"]
    assert first["shown_until"] is None
    mark = answer["watermark"]
    if mark is None:  # a quarter of its pixels, encoded hard: the mark is read from most pictures, the hash from all
        assert change == "half its size"
        return
    assert (first["by"], first["tier"]) == ("watermark+hash", "medium")
    assert mark["agreement"] > 0.5
    assert mark["chance"] < 1e-6
    assert mark["doubt"] is None
    assert mark["mirrored"] == (change == "mirrored")


# What no hash bears: for these there is the invisible watermark alone.
CROPS = {
    "cropped": lambda image: pictures.encoded(image.crop((20, 30, 270, 280)), "JPEG", quality=80),
    "a mirrored screenshot of a part": lambda image: pictures.encoded(
        ImageOps.mirror(image.crop((10, 20, 300, 310)).resize((212, 212), Image.Resampling.BICUBIC)), "JPEG", quality=80
    ),
    "turned by four degrees": lambda image: pictures.encoded(image.rotate(4, Image.Resampling.BICUBIC), "WEBP"),
}


def test_parts_of_a_copy_lead_back_by_their_invisible_watermark(stack, leak, tmp_path):
    """Each is read from more than nine pictures in ten (docs/watermark.md); what this one says differs in every run."""
    image, shown = leak
    for number, change in enumerate(CROPS.values()):
        (tmp_path / f"{number}.bin").write_bytes(change(shown))
    first = [answer["origins"][0] for answer in trace_results(stack, tmp_path) if answer["origins"]]
    assert len(first) >= 2
    for origin in first:
        assert (origin["image_id"], origin["tier"], origin["variant"]) == (image.image_id, "medium", 0)
        assert origin["by"].startswith("watermark")


@pytest.mark.parametrize(("relation", "tier"), [("stranger", "tiny"), ("connection", "medium")])
def test_what_read_back_when_it_was_rendered_is_read_by_whoever_finds_it(stack, client, leak, tmp_path, relation, tier):
    from sqlalchemy import select

    from nightlight.catalogue.schema import renditions

    image, _ = leak
    (decision,) = client.decide("peer", "profile", [("leaky", relation)])
    path = tmp_path / "found.webp"
    path.write_bytes(httpx.get(decision.url).content)
    (answer,) = trace_results(stack, path)
    with stack.catalogue.reading() as tx:
        query = select(renditions).where(renditions.c.image_id == image.image_id, renditions.c.tier == tier)
        (row,) = tx.connection.execute(query)
    # Of what an outsider sees so little is left that its mark, `best_effort`, does not read back from every picture.
    assert (answer["watermark"] is None) == (row.watermark_agreement is None) or tier == "tiny"
    if row.watermark_agreement is None or answer["watermark"] is None:
        return
    assert answer["watermark"]["short"] == (tier == "tiny")
    assert answer["watermark"]["number"] == (row.short_watermark if tier == "tiny" else row.watermark)
    assert (answer["origins"][0]["image_id"], answer["origins"][0]["tier"]) == (image.image_id, tier)


def test_a_mark_that_was_copied_onto_another_picture_is_doubted(stack, leak, tmp_path):
    import numpy as np

    _, shown = leak
    # What a forger can do without the key: take away what a denoiser would, and put that on another picture.
    marked = np.asarray(shown, np.float32)
    other = np.asarray(Image.open(BytesIO(pictures.photograph("coffee.png"))).resize((320, 320)), np.float32)
    blurred = np.asarray(shown.filter(ImageFilter.GaussianBlur(6)), np.float32)
    calm = np.asarray(Image.fromarray(other.astype(np.uint8)).filter(ImageFilter.GaussianBlur(6)), np.float32)
    path = tmp_path / "forged.png"
    path.write_bytes(
        pictures.encoded(Image.fromarray(np.clip(calm + marked - blurred, 0, 255).astype(np.uint8)), "PNG")
    )
    (answer,) = trace_results(stack, path)
    assert answer["watermark"] is None or "copied" in answer["watermark"]["doubt"]


def test_a_folder_gives_a_line_for_each_match_and_says_what_it_could_not_read(stack, leak, tmp_path):
    image, shown = leak
    (tmp_path / "a.jpg").write_bytes(CHANGES["re-encoded"](shown))
    (tmp_path / "b.png").write_bytes(pictures.photograph("coffee.png"))
    (tmp_path / "c.txt").write_text("no picture")
    (tmp_path / "d.png").write_bytes(pictures.encoded(Image.new("RGB", (300, 300), "white"), "PNG"))
    (tmp_path / "e.png").write_bytes(pictures.encoded(Image.new("RGB", (3, 2)), "PNG"))
    lines = tmp_path / "matches.csv"
    done = nightlight(stack, tmp_path, "--csv", lines, "--json")
    answers = {Path(answer["file"]).name: answer for answer in json.loads(done.stdout)}
    assert answers["a.jpg"]["origins"]
    assert "This file is not a picture of a kind that can be used here" in answers["c.txt"]["error"]
    for nothing in ("b.png", "d.png", "e.png"):
        assert answers[nothing]["origins"] == []
        assert answers[nothing]["error"] is None
    assert answers["d.png"]["quality"] == 0
    first, *rest = lines.read_text().splitlines()
    assert first == "file,by,distance,image_id,profile_id,tier,variant,state,published_at,shown_until"
    assert any(image.image_id in line for line in rest)


@pytest.fixture
def two_variants(stack, leak):
    """The catalogue says that the leaked picture's tier has another variant, which somebody else was given."""
    image, _ = leak
    variant_rows = (renditions.c.image_id == image.image_id) & (renditions.c.tier == "medium")
    with stack.catalogue.transaction() as tx:
        row = tx.connection.execute(select(renditions).where(variant_rows)).one()
        other = {**row._mapping, "name": f"{row.name[:-5]}other", "variant": 1}
        tx.connection.execute(insert(renditions).values(**other))
    yield
    with stack.catalogue.transaction() as tx:
        tx.connection.execute(delete(renditions).where(variant_rows, renditions.c.variant == 1))


def test_a_tier_with_one_variant_accuses_nobody(stack, leak, tmp_path):
    path, viewers = tmp_path / "found.jpg", tmp_path / "viewers.txt"
    path.write_bytes(CHANGES["re-encoded"](leak[1]))
    viewers.write_text("viewer-1\n")
    report = json.loads(nightlight(stack, path, "--accuse", viewers, "--false-accusation", "0.5", "--json").stdout)
    assert (report["pictures"], report["accused"]) == (0, [])


@pytest.mark.usefixtures("two_variants")
def test_an_accusation_needs_enough_pictures_and_says_how_many_there_were(stack, leak, tmp_path):
    _, shown = leak
    path, viewers = tmp_path / "found.jpg", tmp_path / "viewers.txt"
    path.write_bytes(CHANGES["re-encoded"](shown))
    viewers.write_text("\n".join(f"viewer-{number}" for number in range(1000)) + "\n\nviewer-1\n")
    done = nightlight(stack, path, "--accuse", viewers, "--json")
    report = json.loads(done.stdout)
    assert (report["viewers"], report["pictures"], report["accused"], report["agreements_needed"]) == (
        1000,
        1,
        [],
        None,
    )
    viewers.write_text("viewer-1\n")
    report = json.loads(nightlight(stack, path, "--accuse", viewers, "--false-accusation", "0.5", "--json").stdout)
    assert report["agreements_needed"] == 1
    assert {accused_viewer["viewer"] for accused_viewer in report["accused"]} <= {"viewer-1"}
    assert "more pictures are needed" in nightlight(stack, path, "--accuse", viewers).stdout
    assert nightlight(stack, path, "--accuse", tmp_path / "nobody").returncode != 0


def test_a_name_that_looks_like_markup_is_a_name(stack, tmp_path):
    path = tmp_path / "[" / "red].txt"  # which reads as the end of something red
    path.parent.mkdir()
    path.write_text("no picture")
    done = nightlight(stack, path)
    assert done.returncode == 2, done.stderr
    assert f"{path}: This file is not a picture of a kind that can be used here" in done.stdout


def test_who_asked_is_in_the_audit_log_and_the_copy_is_not_kept(stack, leak, tmp_path):
    path = tmp_path / "found.jpg"
    path.write_bytes(CHANGES["re-encoded"](leak[1]))
    (answer,) = trace_results(stack, path)
    with stack.catalogue.reading() as tx:
        rows = tx.connection.execute(select(audit).where(audit.c.event == "trace.asked")).all()
    assert any(row.detail == {"sha256": answer["sha256"]} and row.actor.startswith("cli:") for row in rows)


def test_an_index_that_was_harmed_is_made_again(stack, leak, tmp_path, index):
    path = tmp_path / "found.jpg"
    path.write_bytes(CHANGES["re-encoded"](leak[1]))
    assert nightlight(stack, "--rebuild").returncode == 0
    (index / "manifest.json").write_text("{")
    assert trace_results(stack, path)[0]["origins"]


def test_an_index_of_another_time_is_made_again(stack, leak, tmp_path, index):
    """As after a restore: the numbers are there, and stand for other hashes."""
    path = tmp_path / "found.jpg"
    path.write_bytes(CHANGES["re-encoded"](leak[1]))
    (before,) = trace_results(stack, path)
    with stack.catalogue.reading() as tx:
        rows = tx.rendition_hashes.after(0, limit=1000)
    HashIndex.discard(index)
    with HashIndex(index, write=True) as wrong:
        wrong.extend([(rows[at - 1][0].to_bytes(KEY_BYTES, "big"), row[1]) for at, row in enumerate(rows)])
    assert trace_results(stack, path)[0]["origins"] == before["origins"]


def test_an_erased_picture_leads_nowhere(stack, client, tmp_path):
    client.declare("gone", band="age_16_17", assurance="verified", region="eu")
    image = client.wait(client.upload("gone", pictures.photograph("retina.jpg"), crop=(100, 100, 1200, 1200)).image_id)
    (decision,) = client.decide("peer", "profile", [("gone", "connection")])
    path = tmp_path / "found.webp"
    path.write_bytes(httpx.get(decision.url).content)
    assert trace_results(stack, path)[0]["origins"][0]["image_id"] == image.image_id
    client.delete_image(image.image_id)

    def erased():
        with stack.catalogue.reading() as tx:
            return "image.erased" in [entry.event for entry in tx.audit.of_image(image.image_id)] or None

    eventually(erased)
    assert trace_results(stack, path)[0]["origins"] == []
    with stack.catalogue.reading() as tx:
        left = tx.images.get(image.image_id)
        hashed = tx.rendition_hashes.origins([number for number, _ in tx.rendition_hashes.after(0, limit=10_000)])
    assert (left.blurhash, left.crop) == (None, None)
    assert image.image_id not in {origin.image_id for origin in hashed.values()}


@pytest.mark.parametrize(
    ("arguments", "message"), [((), "name a file or a folder"), (("/nowhere.jpg",), "there is no such file")]
)
def test_what_cannot_be_searched_for_is_one_line_and_exit_1(stack, arguments, message):
    done = nightlight(stack, *arguments)
    assert done.returncode == 1
    assert message in done.stderr
