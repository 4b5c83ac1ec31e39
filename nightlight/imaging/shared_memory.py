"""Memory that this process shares with the cage's helper, and with nobody else."""

from __future__ import annotations

import ctypes
import mmap
import os
import tempfile

# Bytes that stay in hand between pictures: an ordinary upload, or the pixels of an ordinary frame.
KEPT = 4_000_000


class SharedMemory:
    """Memory without a name in any folder, mapped here for good; it grows as it must.

    What a picture left is wiped before the next one comes: no child ever maps another one's bytes.
    """

    def __init__(self, name: str) -> None:
        """Make it, of no size yet; ``name`` is for people who look at a process's descriptors."""
        self._name = name
        self._map: mmap.mmap | None = None
        self._used = 0
        self.descriptor = _anonymous(name)

    def renew(self) -> None:
        """Take other memory: whoever has the old mapped sees nothing of what comes."""
        self.close()
        self._used = 0
        self.descriptor = _anonymous(self._name)

    def view(self, size: int) -> memoryview:
        """Return ``size`` bytes of it, all zero."""
        self.clear()
        if self._map is None or len(self._map) < size:
            if self._map is not None:
                self._map = None  # views of it may be about; it goes with the last of them
            os.ftruncate(self.descriptor, size)
            self._map = mmap.mmap(self.descriptor, size)
        self._used = size
        return memoryview(self._map)[:size]

    def clear(self) -> None:
        """Wipe what was used; what is large is given back to the system, which gives it out zeroed."""
        if self._map is not None and self._used > KEPT and hasattr(mmap, "MADV_REMOVE"):
            self._map.madvise(mmap.MADV_REMOVE, 0, self._used)
        elif self._map is not None:
            ctypes.memset(ctypes.addressof(ctypes.c_char.from_buffer(self._map)), 0, self._used)
        self._used = 0

    def close(self) -> None:
        """Let go of it."""
        self._map = None
        os.close(self.descriptor)


def _anonymous(name: str) -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create(f"nightlight-{name}")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
