"""Tracing on a real catalogue: numbers that come late, an index that lost its end, and one that another process holds."""

import os
from datetime import UTC, datetime

import numpy as np
import pytest
from PIL import Image
from sqlalchemy import func, insert, select

from nightlight.catalogue.schema import images, profiles, rendition_hashes, renditions
from nightlight.flows.traces.search import TraceSearch
from nightlight.imaging.match_squares import square_luma
from nightlight.imaging.renderer import FoundCopy
from nightlight.matching.index import HashIndex
from nightlight.matching.pdq import CANONICAL, pdq
from nightlight.watermark.detect import Detector
from nightlight.watermark.embed import embed
from nightlight.watermark.layout import build_layout
from nightlight.watermark.payload import Payload
from nightlight_core.errors import Conflict
from tests.support.pictures import portrait

pytestmark = pytest.mark.integration
OWN_WATERMARKS = True

NOW = datetime(2026, 11, 1, tzinfo=UTC)


def luma(seed):
    """A picture with enough in it for a hash, another one for every seed."""
    rough = np.random.default_rng(seed).integers(0, 256, (16, 16), dtype=np.uint8)
    return np.kron(rough, np.ones((CANONICAL // 16, CANONICAL // 16), np.uint8))


@pytest.fixture
def published(catalogue, request):
    """Write a rendition with a hash under a number of the test's choosing, as its transaction would when it ends."""
    prefix = f"{abs(hash(request.node.nodeid)) % 10**8}"

    def write(number, seed, **watermark):
        name = f"{prefix}-{number}"
        with catalogue.transaction() as tx:
            run = tx.connection.execute
            run(insert(profiles).values(
                profile_id=name, state="live", band="adult", assurance="verified", region="eu", choice="everyone",
                report_flag="clear", asserted_at=NOW, generation=1, uploads=1, asserted_band="adult",
            created_at=NOW))  # fmt: skip
            run(insert(images).values(
                image_id=name, profile_id=name, sequence=1, state="ready", original_key=name, original_bytes=1,
                format="jpeg", width=1, height=1, band="adult", ceiling_band="adult", created_at=NOW))  # fmt: skip
            run(insert(renditions).values(
                name=name, image_id=name, tier="full", generation=1, recipe="r", format="webp", bytes=1, width=1,
                height=1, sha256="", created_at=NOW, **{"variant": 0, **watermark}))  # fmt: skip
            hash_ = bytes(pdq(luma(seed)).hashes[0])
            run(insert(rendition_hashes).values(hash_id=number, name=name, hash=hash_, quality=100))
        return name

    return write


@pytest.fixture
def search_copy(catalogue, tmp_path):
    def search(seed):
        look = FoundCopy(np.zeros((200, 200, 3), np.uint8), (luma(seed),))
        trace_search = TraceSearch(catalogue, tmp_path / "index", lambda _: look, Detector({}).detect, lambda: NOW)
        return [origin.image_id for origin in trace_search.trace(b"a copy", actor="t").origins]

    return search


def test_an_index_that_is_ahead_of_the_catalogue_is_made_again(published, search_copy, catalogue, tmp_path):
    """As after the catalogue was restored: new rows have numbers that the index has passed by far."""
    with catalogue.reading() as tx:
        newest = tx.connection.execute(select(func.max(rendition_hashes.c.hash_id))).scalar_one() or 0
    with HashIndex(tmp_path / "index", write=True) as index:
        index.extend([((newest + 10**6).to_bytes(16, "big"), bytes(pdq(luma(99)).hashes[0]))])
    origin = published(newest + 1, 31)
    assert search_copy(31) == [origin]


def test_a_hash_whose_number_comes_after_a_higher_one_is_found_too(published, search_copy):
    """Two pictures are published at once: the one that took its number first ends last."""
    later = published(900_002, 1)
    assert search_copy(1) == [later]
    earlier = published(900_001, 2)
    assert search_copy(2) == [earlier]
    assert search_copy(1) == [later]


def test_an_index_that_lost_the_end_of_its_log_takes_it_in_again(published, search_copy, tmp_path):
    first, second = published(910_001, 3), published(910_002, 4)
    assert search_copy(4) == [second]
    log = tmp_path / "index/added.log"
    os.truncate(log, log.stat().st_size - 10)
    assert search_copy(4) == [second]
    assert search_copy(3) == [first]


def test_looking_again_adds_nothing_twice(published, search_copy, tmp_path):
    published(920_001, 5)
    search_copy(5)
    size = (tmp_path / "index/added.log").stat().st_size
    search_copy(5)
    assert (tmp_path / "index/added.log").stat().st_size == size


def test_while_another_process_writes_to_the_index_it_is_neither_searched_nor_taken_away(
    published, search_copy, tmp_path
):
    name = published(930_001, 6)
    assert search_copy(6) == [name]
    with HashIndex(tmp_path / "index", write=True):
        with pytest.raises(Conflict):
            search_copy(6)
        with pytest.raises(Conflict):
            HashIndex.discard(tmp_path / "index")
    assert search_copy(6) == [name]


KEY = bytes(range(32))


@pytest.fixture
def trace_pixels(catalogue, tmp_path):
    """Trace a picture, uint8 (h, w, 3), with the real detector."""

    def search(pixels):
        look = FoundCopy(pixels, (square_luma(Image.fromarray(pixels), CANONICAL),))
        detect = Detector({"m1": KEY}, ()).detect
        return TraceSearch(catalogue, tmp_path / "index", lambda _: look, detect, lambda: NOW).trace(
            b"a copy", actor="t"
        )

    return search


def marked(number, variant=0, side=160):
    return embed(portrait(side), Payload(number, variant), build_layout(KEY)).pixels


def test_a_mark_names_its_rendition_and_its_variant(published, trace_pixels):
    published(970_001, 11, watermark=970_001, variant=0)
    second = published(970_002, 12, watermark=970_001, variant=1)
    answer = trace_pixels(marked(970_001, variant=1)[10:150, 5:145])
    assert [(origin.image_id, origin.variant, origin.by) for origin in answer.origins] == [(second, 1, "watermark")]
    assert (answer.watermark.number, answer.watermark.how, answer.watermark.doubt) == (970_001, "cropped", None)
    assert answer.present


def test_a_mark_of_what_was_erased_says_so(trace_pixels):
    answer = trace_pixels(marked(940_404))
    assert answer.origins == ()
    assert "erased, or is of another deployment" in answer.watermark.doubt


def test_a_mark_on_another_picture_than_the_one_that_was_marked_so_is_doubted(published, trace_pixels):
    """Whoever has a marked picture may copy its mark onto another: the mark says one thing, the hash another."""
    innocent = published(950_001, 13, watermark=950_001)
    answer = trace_pixels(marked(950_001))
    assert [(origin.image_id, origin.by) for origin in answer.origins] == [(innocent, "watermark")]
    assert answer.origins[0].distance > 90
    assert "copied onto it" in answer.watermark.doubt


def test_a_short_mark_is_one_of_several_unless_a_hash_says_which(published, trace_pixels):
    number = 0x00ABCD_0000_7777
    image_id = published(960_001, 14, watermark=number, short_watermark=0x7777)
    other = published(960_002, 15, watermark=0x7777, short_watermark=0x7777)
    answer = trace_pixels(marked(number, side=96))
    assert {origin.image_id for origin in answer.origins} == {image_id, other}
    assert "2 small renditions say this" in answer.watermark.doubt
