"""(b) A classifier that is given everything an outsider sees, and (c) how long it took; both on pairs of ages.

::

    learn    on parts that come before; a picture, and so a pair of profiles, is in one part alone
    score    the next part, by what was learned without it
    judge    within each part: how often a minor scores above an adult
    chance   the same after swapping who is the minor in whole pairs, a thousand times

Nobody is scored by a model that learned from the scored: in the usual cross-validation two folds each judge the other,
what they happen to have in common is counted twice, and by swapping labels afterwards chance looks smaller than it is.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm, rankdata, wilcoxon

PARTS = 5


@dataclass(frozen=True)
class Guessed:
    """How well minors were told from adults, over the parts that were judged.

    ``auc`` is the area under the ROC curve and ``error`` its standard error, whole pairs taken as one; ``lower`` and
    ``upper`` bound it, 95 % two-sided. ``named`` says how many minors were named where one adult in a thousand was. By
    chance: the share of swapped labels that tell as much or more; ``expected`` is the area that they give on average.
    """

    responses: int
    auc: float
    error: float
    expected: float
    auc_by_chance: float
    named: int
    found_by_chance: float

    @property
    def lower(self):
        return self.auc - norm.ppf(0.975) * self.error

    @property
    def upper(self):
        return self.auc + norm.ppf(0.975) * self.error


def features(looks):
    """What a classifier is given: numbers for everything that was seen, (n, d)."""
    words = {}
    rows = []
    for look in looks:
        loose = look.loose
        exact = [words.setdefault((at, value), len(words)) for at, value in enumerate(look.exact)]
        rows.append([
            loose["left"], loose["expires_mod"], loose["bytes"], loose["answer_bytes"], *loose["name"],
            *loose["signature"], *exact,
        ])  # fmt: skip
    return np.array(rows, np.float32)


def boosted(columns, minor, seed):
    """Learn from features, (n, d), and labels, (n,); return what scores other features."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    model = HistGradientBoostingClassifier(max_iter=120, random_state=seed).fit(columns, minor)
    return lambda others: model.predict_proba(others)[:, 1]


def linear(columns, minor, _seed):
    """Learn likewise by least squares: for where scikit-learn is not."""
    coefficients = np.linalg.lstsq(np.c_[columns, np.ones(len(columns))], minor.astype(float), rcond=None)[0]
    return lambda others: np.c_[others, np.ones(len(others))] @ coefficients


def guessed(columns, minor, pairs, pictures, *, seed=0, learn=boosted, swap=None, permutations=1000):
    """Learn on some profiles and judge on others.

    ``made`` are features, (n, d); ``minor`` is bool, ``pairs`` and ``pictures`` the pair of profiles and the picture of
    each row, all (n,). A pair has one picture. ``swap`` is as ``judged`` has it.
    """
    random = np.random.default_rng(seed)
    names, picture = np.unique(pictures, return_inverse=True)
    parts = random.permutation(np.arange(len(names)) % PARTS)[picture]
    if len(set(zip(pairs, parts, strict=True))) != len(set(pairs)):
        raise ValueError("a pair with two pictures would be learned from and judged")
    scores = np.zeros(len(minor))
    for part in range(1, PARTS):
        score = learn(columns[parts < part], minor[parts < part], seed)
        scores[parts == part] = score(columns[parts == part])
    later = parts > 0
    swapped = (lambda random: swap(random)[later]) if swap is not None else None
    return judged(scores[later], minor[later], pairs[later], parts[later], swap=swapped, permutations=permutations)


def judged(scores, minor, pairs, parts=None, *, swap=None, permutations=1000):
    """Return what scores, higher for whoever looks like a minor, tell apart.

    ``swap`` gives other labels that chance could have given as well, from a source of randomness. Without it labels are
    swapped within whole ``pairs``: all looks at a profile, and at its twin, count as one. Scores are compared within
    ``parts`` alone, where there are several.
    """
    parts = np.zeros(len(scores), int) if parts is None else parts
    _, pair = np.unique(pairs, return_inverse=True)
    if swap is None:
        swap = lambda random: minor ^ (random.random(pair.max() + 1) < 0.5)[pair]  # noqa: E731 - one line, one use
    inside = [(_Part(scores[parts == part]), parts == part) for part in np.unique(parts)]
    auc = float(np.mean([part.rates(minor[rows])[0] for part, rows in inside]))
    hits = sum(part.rates(minor[rows])[1] for part, rows in inside)
    error = math.sqrt(sum(part.variance(minor[rows], pair[rows]) for part, rows in inside)) / len(inside)
    random = np.random.default_rng(11)
    other = (swap(random) for _ in range(permutations))
    swapped = np.array([[part.rates(labels[rows]) for part, rows in inside] for labels in other])
    aucs, founds = swapped[:, :, 0].mean(1), swapped[:, :, 1].sum(1)
    return Guessed(
        responses=len(scores),
        auc=auc,
        error=error,
        expected=float(aucs.mean()),
        auc_by_chance=float((1 + (aucs >= auc - 1e-12).sum()) / (1 + permutations)),
        named=int(hits),
        found_by_chance=float((1 + (founds >= hits).sum()) / (1 + permutations)),
    )


class _Part:
    """Looks that one model scored."""

    def __init__(self, scores):
        self.scores, self.ranks = scores, rankdata(scores)

    def rates(self, minor):
        """Return the area under the curve, and the minors above all but a thousandth of the adults."""
        minors, adults = int(minor.sum()), int((~minor).sum())
        auc = (self.ranks[minor].sum() - minors * (minors + 1) / 2) / (minors * adults)
        others = self.scores[~minor]
        threshold = np.partition(others, -max(1, adults // 1000))[-max(1, adults // 1000)]
        return auc, int((self.scores[minor] > threshold).sum())

    def variance(self, minor, pair):
        """Return the variance of the area, looks of one pair being alike (Obuchowski, Biometrics 53, 1997)."""
        auc = self.rates(minor)[0]
        minors, adults = int(minor.sum()), int((~minor).sum())
        above = np.zeros(len(minor))
        above[minor] = (self.ranks[minor] - rankdata(self.scores[minor])) / adults - auc
        above[~minor] = 1 - (self.ranks[~minor] - rankdata(self.scores[~minor])) / minors - auc
        above /= np.where(minor, minors, adults)
        return float((np.bincount(pair, above) ** 2).sum())


def timed(pairs):
    """Return (median of minors, median of adults, p of no difference) of paired times in seconds, (n, 2)."""
    pairs = np.asarray(pairs)
    return (
        float(np.median(pairs[:, 0])),
        float(np.median(pairs[:, 1])),
        float(wilcoxon(pairs[:, 0], pairs[:, 1]).pvalue),
    )
