"""Which variant of a tier a viewer gets, and which viewers a set of leaked variants speaks against.

Two variants of a rendition differ in their invisible watermark alone. Which one a viewer gets is a keyed function of
viewer and image, so that nobody can choose, and everybody who collects many pictures holds a sequence that is almost
surely theirs alone: for each picture an innocent viewer was given the leaked variant with probability one half,
independently, because the function is a keyed hash.

So the number of agreements of an innocent viewer over n pictures is binomial (n, 1/2), and over N viewers the
probability that anyone innocent is accused at all is at most N P(B >= k): the union bound, without any further
assumption. ``accuse`` names a viewer only where that is under ``false_accusation``. A viewer who mixes pictures with
others agrees less often; with c who take turns each agrees in (1 + 1/c) / 2 of the pictures, so two are found with some
three times as many pictures as one, and a large group is not found: it is never the wrong ones who are.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from nightlight_core.decisions.variants import VARIANTS, length_prefixed, variant_drawn


@dataclass(frozen=True, slots=True)
class LeakedRendition:
    """One leaked rendition: its image, and the variant that its invisible watermark says."""

    image_id: str
    variant: int


@dataclass(frozen=True, slots=True)
class AccusedViewer:
    """A viewer whose variants agree with a leak more often than chance lets anyone innocent.

    ``chance`` bounds the probability that anybody innocent, of all who were looked at, agrees so often.
    """

    viewer: str
    agreements: int
    pictures: int
    chance: float


def least_agreements(pictures: int, viewers: int, false_accusation: float) -> int | None:
    """Return how many agreements of ``pictures`` accuse one of ``viewers``; None where not even all of them would."""
    least = None
    for agreements in range(pictures, -1, -1):
        if _chance(agreements, pictures, viewers) > false_accusation:
            break
        least = agreements
    return least


def accuse(
    key: bytes, leaked: Sequence[LeakedRendition], viewers: Iterable[str], *, false_accusation: float = 1e-3
) -> tuple[list[AccusedViewer], int]:
    """Return the viewers who are accused, the most agreements first, and among how many was looked.

    ``false_accusation`` bounds the probability that anybody innocent is named at all. Several copies of one image
    count once, and say nothing where they disagree: then more than one leaked it.
    """
    by_image: dict[str, set[int]] = {}
    for leak in leaked:
        by_image.setdefault(leak.image_id, set()).add(leak.variant)
    # Many viewers meet the same images: what is the same of each message is made once.
    clear = [
        (length_prefixed(image_id), variants.copy().pop())
        for image_id, variants in by_image.items()
        if len(variants) == 1
    ]
    scores = {}
    for viewer in viewers:
        head = length_prefixed("variant", viewer)
        scores[viewer] = sum(variant_drawn(key, head + tail, VARIANTS) == variant for tail, variant in clear)
    least = least_agreements(len(clear), len(scores), false_accusation)
    accused = [
        AccusedViewer(viewer, score, len(clear), _chance(score, len(clear), len(scores)))
        for viewer, score in scores.items()
        if least is not None and score >= least
    ]
    return sorted(accused, key=lambda leak: (-leak.agreements, leak.viewer)), len(scores)


def accuse_by_keys(
    keys: Sequence[bytes], leaked: Sequence[LeakedRendition], viewers: Sequence[str], *, false_accusation: float = 1e-3
) -> tuple[list[AccusedViewer], int]:
    """Return the same where variants were chosen by several keys, one after the other.

    Each key is tried with its part of ``false_accusation`` (the union bound again): copies of before a rotation and
    after it speak for themselves.
    """
    by_viewer: dict[str, AccusedViewer] = {}
    considered = 0
    for key in keys:
        accused, considered = accuse(key, leaked, viewers, false_accusation=false_accusation / len(keys))
        for viewer in accused:
            by_all = replace(viewer, chance=min(1.0, viewer.chance * len(keys)))
            by_viewer[viewer.viewer] = min(by_viewer.get(viewer.viewer, by_all), by_all, key=lambda leak: leak.chance)
    return sorted(by_viewer.values(), key=lambda leak: (-leak.agreements, leak.viewer)), considered


def _chance(agreements: int, pictures: int, viewers: int) -> float:
    """Return the union bound on any of ``viewers`` agreeing so often by chance; exact sums of whole numbers."""
    tail = sum(math.comb(pictures, count) for count in range(agreements, pictures + 1))
    return min(1.0, viewers * float(tail / 2**pictures))
