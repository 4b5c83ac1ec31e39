"""Tracing on a real catalogue: numbers that come late, an index that lost its end, and one that another process holds."""

import os
from datetime import UTC, datetime

import numpy as np
import pytest
from sqlalchemy import insert

from nightlight.catalogue.tables import images, profiles, rendition_hashes, renditions
from nightlight.errors import Conflict
from nightlight.flows.trace import Trace
from nightlight.matching.index import HashIndex
from nightlight.matching.pdq import CANONICAL, pdq

pytestmark = pytest.mark.integration

NOW = datetime(2026, 11, 1, tzinfo=UTC)


def luma(seed):
    """A picture with enough in it for a hash, another one for every seed."""
    rough = np.random.default_rng(seed).integers(0, 256, (16, 16), dtype=np.uint8)
    return np.kron(rough, np.ones((CANONICAL // 16, CANONICAL // 16), np.uint8))


@pytest.fixture
def published(catalogue, request):
    """Write a rendition with a hash under a number of the test's choosing, as its transaction would when it ends."""
    prefix = f"{abs(hash(request.node.nodeid)) % 10**8}"

    def write(number, seed):
        name = f"{prefix}-{number}"
        with catalogue.transaction() as tx:
            run = tx.connection.execute
            run(insert(profiles).values(
                profile_id=name, state="live", band="adult", assurance="verified", region="eu", choice="everyone",
                hold="clear", asserted_at=NOW, generation=1, uploads=1, created_at=NOW))  # fmt: skip
            run(insert(images).values(
                image_id=name, profile_id=name, sequence=1, state="ready", original_key=name, original_bytes=1,
                format="jpeg", width=1, height=1, band="adult", released=False, created_at=NOW))  # fmt: skip
            run(insert(renditions).values(
                name=name, image_id=name, tier="full", generation=1, recipe="r", format="webp", bytes=1, width=1,
                height=1, sha256="", created_at=NOW))  # fmt: skip
            hash_ = bytes(pdq(luma(seed)).hashes[0])
            run(insert(rendition_hashes).values(hash_id=number, name=name, hash=hash_, quality=100))
        return name

    return write


@pytest.fixture
def found(catalogue, tmp_path):
    def trace(seed):
        made = Trace(catalogue, tmp_path / "index", lambda _: [luma(seed)], lambda: NOW)
        return [one.image_id for one in made.trace(b"a copy", actor="t").found]

    return trace


def test_a_hash_whose_number_comes_after_a_higher_one_is_found_too(published, found):
    """Two pictures are published at once: the one that took its number first ends last."""
    later = published(900_002, 1)
    assert found(1) == [later]
    earlier = published(900_001, 2)
    assert found(2) == [earlier]
    assert found(1) == [later]


def test_an_index_that_lost_the_end_of_its_log_takes_it_in_again(published, found, tmp_path):
    first, second = published(910_001, 3), published(910_002, 4)
    assert found(4) == [second]
    log = tmp_path / "index/added.log"
    os.truncate(log, log.stat().st_size - 10)
    assert found(4) == [second]
    assert found(3) == [first]


def test_looking_again_adds_nothing_twice(published, found, tmp_path):
    published(920_001, 5)
    found(5)
    size = (tmp_path / "index/added.log").stat().st_size
    found(5)
    assert (tmp_path / "index/added.log").stat().st_size == size


def test_while_another_process_writes_to_the_index_it_is_neither_searched_nor_taken_away(published, found, tmp_path):
    name = published(930_001, 6)
    assert found(6) == [name]
    with HashIndex(tmp_path / "index", write=True):
        with pytest.raises(Conflict):
            found(6)
        with pytest.raises(Conflict):
            HashIndex.discard(tmp_path / "index")
    assert found(6) == [name]
