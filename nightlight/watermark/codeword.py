"""The coded bits of a payload, with its keyed check."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from nightlight.watermark import error_correction
from nightlight.watermark.payload import payload_to_bits

if TYPE_CHECKING:
    import numpy as np

    from nightlight.watermark.layout import Layout
    from nightlight.watermark.payload import Payload


@lru_cache(maxsize=8)
def codeword(payload: Payload, layout: Layout) -> np.ndarray:
    """Return the coded bits, uint8 (RATE * n,), of a payload; the last few are kept, for writing and reading back."""
    coded = error_correction.encode(payload_to_bits(payload, layout.key))
    coded.flags.writeable = False
    return coded
