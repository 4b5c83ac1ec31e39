"""What calls into a C library need: the library that a Python module is linked to, and the address of bytes.

Pillow and pillow-heif decode a picture whole, and copy it. The libraries under them can scale, crop, or hand out a
part. So the decoders of this package call those libraries themselves: the very files that the modules have loaded
already. No other library is ever opened, and none is searched for by name.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType


class _PyBuffer(ctypes.Structure):
    """``Py_buffer`` of Python's C API."""

    _fields_ = (
        ("buf", ctypes.c_void_p),
        ("obj", ctypes.c_void_p),
        ("len", ctypes.c_ssize_t),
        ("itemsize", ctypes.c_ssize_t),
        ("readonly", ctypes.c_int),
        ("ndim", ctypes.c_int),
        ("format", ctypes.c_char_p),
        ("shape", ctypes.c_void_p),
        ("strides", ctypes.c_void_p),
        ("suboffsets", ctypes.c_void_p),
        ("internal", ctypes.c_void_p),
    )


_get_buffer = ctypes.pythonapi.PyObject_GetBuffer
_get_buffer.argtypes = (ctypes.py_object, ctypes.POINTER(_PyBuffer), ctypes.c_int)
_get_buffer.restype = ctypes.c_int
_release_buffer = ctypes.pythonapi.PyBuffer_Release
_release_buffer.argtypes = (ctypes.POINTER(_PyBuffer),)
_release_buffer.restype = None


def linked_library(module: ModuleType) -> ctypes.CDLL:
    """Return the symbols of a compiled module and of every library that it is linked to. Raises OSError."""
    return ctypes.CDLL(module.__file__)


@contextmanager
def address(data: memoryview) -> Iterator[tuple[int, int]]:
    """Yield the address and the number of contiguous bytes, which may be read-only."""
    view = _PyBuffer()
    _get_buffer(data, ctypes.byref(view), 0)  # raises BufferError by itself
    try:
        yield view.buf or 0, view.len
    finally:
        _release_buffer(ctypes.byref(view))
