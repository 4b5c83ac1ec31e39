"""False matches among photographs of different people: each whole in all eight turns against every other's.

A folder for each person, of whom one photograph is taken. Pairs within the limit are named: whether they are one
picture under two names is for eyes.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from nightlight.flows.pictures.notices import WHOLE_WITHIN
from nightlight.imaging.match_squares import SIDE, square_luma
from nightlight.matching.pdq import LEAST_QUALITY, pdq

_ROWS = 256


def hashed_wholes(folder):
    """Return the names of photographs that have enough in them, and their eight hashes each, uint64 (n, 8, 4)."""
    names, hashes = [], []
    for path in sorted(min(person.glob("*.jpg")) for person in folder.iterdir() if person.is_dir()):
        hashed = pdq(square_luma(Image.open(path).convert("L"), SIDE))
        if hashed.quality >= LEAST_QUALITY:
            names.append(path.name)
            hashes.append(hashed.hashes)
    return names, np.ascontiguousarray(np.stack(hashes)).view(np.uint64)


def false_pairs(folder):
    """Return how many hashes of different people were compared, the distances' histogram, and the pairs within reach."""
    names, hashes = hashed_wholes(folder)
    upright, histogram, near = hashes[:, 0], np.zeros(257, np.int64), []
    for begin in range(0, len(names), _ROWS):
        rows = hashes[begin : begin + _ROWS]
        others = begin + np.arange(len(rows))[:, None] != np.arange(len(names))
        for turn in range(rows.shape[1]):
            bits = np.zeros((len(rows), len(names)), np.uint16)
            for word in range(upright.shape[1]):
                bits += np.bitwise_count(rows[:, turn, word, None] ^ upright[:, word])
            histogram += np.bincount(bits[others], minlength=257)
            for row, other in zip(*np.nonzero((bits <= WHOLE_WITHIN) & others), strict=True):
                near.append((int(bits[row, other]), *sorted((names[begin + row], names[other]))))
    return int(histogram.sum()), histogram, sorted(set(near))


def independent_bits(histogram):
    """Return of how many independent fair bits a distance's spread would be: Daugman's degrees of freedom (2003)."""
    bits = np.arange(len(histogram))
    mean = (bits * histogram).sum() / histogram.sum()
    return 256**2 / 4 / (((bits - mean) ** 2 * histogram).sum() / histogram.sum())
