"""False matches among photographs of different people: each whole in all eight turns against every other's.

A folder for each person. Pairs within the limit are named: whether they are one picture under two names is for eyes.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from nightlight.flows.pictures.notices import WHOLE_WITHIN
from nightlight.imaging.match_squares import SIDE, square_luma
from nightlight.matching.pdq import LEAST_QUALITY, pdq

_ROWS = 256


def hashed_wholes(folder):
    """Return the paths of photographs that have enough in them, and their eight hashes each, uint64 (n, 8, 4)."""
    paths, hashes = [], []
    for path in sorted(folder.glob("*/*.jpg")):
        hashed = pdq(square_luma(Image.open(path).convert("L"), SIDE))
        if hashed.quality >= LEAST_QUALITY:
            paths.append(path)
            hashes.append(hashed.hashes)
    return paths, np.ascontiguousarray(np.stack(hashes)).view(np.uint64)


def false_pairs(folder):
    """Return how many hashes of different people were compared, the distances' histogram, and the pairs within reach."""
    paths, hashes = hashed_wholes(folder)
    people = np.unique([path.parent.name for path in paths], return_inverse=True)[1]
    upright, histogram, near = hashes[:, 0], np.zeros(257, np.int64), []
    for begin in range(0, len(paths), _ROWS):
        rows = hashes[begin : begin + _ROWS]
        others = people[begin : begin + _ROWS, None] != people
        for turn in range(rows.shape[1]):
            bits = np.zeros((len(rows), len(paths)), np.uint16)
            for word in range(upright.shape[1]):
                bits += np.bitwise_count(rows[:, turn, word, None] ^ upright[:, word])
            histogram += np.bincount(bits[others], minlength=257)
            for row, other in zip(*np.nonzero((bits <= WHOLE_WITHIN) & others), strict=True):
                pair = sorted((paths[begin + row].name, paths[other].name))
                near.append((int(bits[row, other]), *pair))
    return int(histogram.sum()), histogram, sorted(set(near))
