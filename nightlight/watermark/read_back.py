"""Reads back a watermark that was just written, from what the encoder left.

The payload is known. So what a detector reads is compared with the known codeword, which takes a hundredth of the time
of decoding. A watermark that agrees with its codeword by CERTAIN is one that
a detector reads: docs/watermark.md has the evidence. Every other one is decoded as a detector would decode it, and so
is a sample of those that agree.
"""

from __future__ import annotations

import zlib

import numpy as np

from nightlight.watermark import error_correction
from nightlight.watermark.carriers import read_carriers, reduced_luma, stretch_to_square
from nightlight.watermark.codeword import codeword
from nightlight.watermark.lattice import correlation, gather_bits, likeliest_stretch, soft_bits
from nightlight.watermark.layout import CANONICAL, CELLS, Layout
from nightlight.watermark.payload import Payload, bits_to_payload, payload_size

# Of 7,592 copies of photographs, encoded and damaged, 4,734 did not decode, and those agreed by 0.593 at the most.
CERTAIN = 0.7
# One rendition of so many is decoded whatever it agrees by, chosen by its payload.
SAMPLE = 64
_EVERYWHERE = np.ones(CELLS * CELLS, np.bool_)


def agreement(pixels: np.ndarray, payload: Payload, layout: Layout) -> float:
    """Return how well ``payload`` reads back from a rendition's pixels; 0 where it does not.

    ``pixels``: uint8 (side, side, 3), RGB, or their luma, uint8 (side, side). At 0.5 half of all readings fail.
    """
    ratios = read_ratios(pixels, payload, layout)
    score = correlation(ratios, codeword(payload, layout))
    known = score >= CERTAIN and not sampled(payload)
    return score if known or decodes(ratios, payload, layout) else 0.0


def read_ratios(pixels: np.ndarray, payload: Payload, layout: Layout) -> np.ndarray:
    """Return the log-likelihood ratio of each coded bit, float32 (RATE * n,), read as a detector reads a whole copy.

    ``pixels`` are a rendition's, uint8 (side, side, 3), or their luma, uint8 (side, side). Of the payload only its
    length is used.
    """
    values = read_carriers(stretch_to_square(reduced_luma(pixels, CANONICAL)), layout)
    stretch = likeliest_stretch(values, layout, _EVERYWHERE)
    ratios = soft_bits(values, layout, stretch, _EVERYWHERE)
    return gather_bits(ratios, layout, payload_size(short=payload.short), short=payload.short)


def decodes(ratios: np.ndarray, payload: Payload, layout: Layout) -> bool:
    """Say whether the ratios are decoded to ``payload`` by whoever does not know it."""
    return bits_to_payload(error_correction.decode(ratios), layout.key, short=payload.short) == payload


def sampled(payload: Payload) -> bool:
    """Say whether a rendition is decoded whatever it agrees by: one in SAMPLE, always the same ones."""
    return zlib.crc32(f"{payload.rendition} {payload.variant}".encode()) % SAMPLE == 0
