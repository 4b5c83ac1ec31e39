import mmap
import os

import pytest

from nightlight.imaging.shared_memory import KEPT_BYTES, SharedMemory


@pytest.fixture
def memory():
    area = SharedMemory("test")
    yield area
    area.close()


def seen_by_others(memory, size):
    """What a process that maps the same descriptor sees."""
    return bytes(mmap.mmap(memory.descriptor, size, prot=mmap.PROT_READ))


@pytest.mark.parametrize("size", [10, 4096, KEPT_BYTES, KEPT_BYTES + 1, 3 * KEPT_BYTES])
def test_what_is_written_is_seen_and_what_is_cleared_is_gone(memory, size):
    memory.view(size)[:] = b"x" * size
    assert seen_by_others(memory, size) == b"x" * size
    memory.clear()
    assert seen_by_others(memory, size) == bytes(size)


def test_each_view_begins_with_zeros_whatever_came_before(memory):
    for size in (100, 50, 2 * KEPT_BYTES, 10, KEPT_BYTES, 3 * KEPT_BYTES):
        view = memory.view(size)
        assert bytes(view) == bytes(size)
        view[:] = b"y" * size


def test_much_memory_is_given_back(memory):
    memory.view(4 * KEPT_BYTES)[:] = b"z" * (4 * KEPT_BYTES)
    memory.clear()
    assert os.fstat(memory.descriptor).st_blocks * 512 < KEPT_BYTES


def test_other_memory_shows_nothing_to_who_has_the_old(memory):
    memory.view(100)
    old = mmap.mmap(memory.descriptor, 100)
    memory.renew()
    memory.view(100)[:] = b"s" * 100
    assert old[:] == bytes(100)
