"""How often a score finds people again, with intervals. Pure numpy: scores come in, shares go out.

Scores are float64 (probes, enrolled): the higher, the more alike. ``mates`` gives for each probe the column of the
same person, and every other column counts as another person's.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

# One false match in a hundred comparisons between different people: what claims are made at. The second rate is what a
# search among many people needs.
FALSE_MATCHES = 0.01
FEW_FALSE_MATCHES = 0.001
# Comparisons between different people from which a threshold for one in a hundred is worth its name.
ENOUGH = 1000
# The 97.5th percentile of the standard normal distribution: intervals are of 95 %.
Z = 1.959963984540054


@dataclass(frozen=True)
class Found:
    """How many of ``count`` probes were found, and the limits of the 95 % interval of their share."""

    hits: int
    count: int
    low: float
    high: float

    @property
    def share(self):
        return self.hits / self.count


@dataclass(frozen=True)
class Rates:
    """One attacker on one tier: found at 1 % and at 0.1 % false matches, and found first among all enrolled."""

    at_1_percent: Found
    at_01_percent: Found
    first: Found
    enrolled: int
    others: int

    @property
    def enough(self):
        """Return whether there are comparisons enough to judge a claim by."""
        return self.others >= ENOUGH

    def as_json(self):
        return asdict(self)


def wilson(hits, count):
    """Return the (low, high) of the 95 % interval of a share (Wilson, 1927)."""
    if not count:
        return 0.0, 1.0
    share, square = hits / count, Z * Z / count
    middle = (share + square / 2) / (1 + square)
    half = Z / (1 + square) * (share * (1 - share) / count + square / (4 * count)) ** 0.5
    return max(0.0, middle - half), min(1.0, middle + half)


def found(hits, count):
    return Found(int(hits), int(count), *wilson(int(hits), int(count)))


def standardised(scores):
    """Return the scores with mean 0 and deviation 1 for each enrolled person, then for each probe.

    Some people's pictures score high against everybody's (Auckenthaler and others, "Score normalization", 2000): whoever
    holds many pictures can take that away, without knowing who anybody is.
    """
    for axis in (0, 1):
        if scores.shape[axis] > 1:
            deviation = scores.std(axis=axis, keepdims=True)
            scores = (scores - scores.mean(axis=axis, keepdims=True)) / np.where(deviation > 0, deviation, 1)
    return scores


def rates(scores, mates):
    """Return the Rates of scores; the threshold is the one at which so many different pairs pass."""
    rows = np.arange(len(mates))
    genuine = scores[rows, mates]
    different = np.ones(scores.shape, dtype=bool)
    different[rows, mates] = False
    others = scores[different]
    if not others.size:
        raise ValueError("no two people to tell apart")
    at = [
        found((genuine > np.quantile(others, 1 - share)).sum(), len(mates))
        for share in (FALSE_MATCHES, FEW_FALSE_MATCHES)
    ]
    # An equal score of somebody else counts against the attacker's mate: a constant score finds nobody.
    above = (np.where(different, scores, -np.inf) >= genuine[:, None]).sum(axis=1)
    return Rates(*at, found((above == 0).sum(), len(mates)), scores.shape[1], int(others.size))


def fused(*scores):
    """Return the mean of several standardised scores of the same probes."""
    return standardised(np.mean([standardised(each) for each in scores], axis=0))


def cosine(probes, enrolled):
    """Return the cosines of two lists of vectors, float64 (probes, enrolled)."""
    return unit(probes) @ unit(enrolled).T


def unit(vectors):
    vectors = np.asarray(vectors, dtype=np.float64)
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
