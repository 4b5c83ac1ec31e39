"""Memory that this process shares with the sandbox's helper, and with no other process."""

from __future__ import annotations

import ctypes
import mmap
import os
import tempfile

# Bytes that stay allocated between pictures: an ordinary upload, or the pixels that phones' pictures are handed over
# with, 2016 x 1512 x 3.
KEPT_BYTES = 9_200_000


class SharedMemory:
    """Anonymous memory, mapped in this process; it grows when more is asked for.

    The bytes of one picture are wiped before the next one comes, so that no child ever maps another's.
    """

    def __init__(self, name: str) -> None:
        """Create it with no size yet; ``name`` is what a list of the process's descriptors shows."""
        self._name = name
        self._map: mmap.mmap | None = None
        self._used = 0
        self.descriptor = _anonymous(name)

    def renew(self) -> None:
        """Replace it by new memory; a process that still maps the old memory sees nothing of the new."""
        self.close()
        self._used = 0
        self.descriptor = _anonymous(self._name)

    def view(self, size: int) -> memoryview:
        """Return ``size`` bytes of it, all zero."""
        self.clear()
        if self._map is None or len(self._map) < size:
            if self._map is not None:
                self._map = None  # views of it may exist; it is freed with the last of them
            os.ftruncate(self.descriptor, size)
            self._map = mmap.mmap(self.descriptor, size)
        self._used = size
        return memoryview(self._map)[:size]

    def clear(self) -> None:
        """Wipe the bytes that were used; large ones are given back to the system, which zeroes them."""
        if self._map is not None and self._used > KEPT_BYTES and hasattr(mmap, "MADV_REMOVE"):
            self._map.madvise(mmap.MADV_REMOVE, 0, self._used)
        elif self._map is not None:
            ctypes.memset(ctypes.addressof(ctypes.c_char.from_buffer(self._map)), 0, self._used)
        self._used = 0

    def close(self) -> None:
        """Release it."""
        self._map = None
        os.close(self.descriptor)


def _anonymous(name: str) -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create(f"nightlight-{name}")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
