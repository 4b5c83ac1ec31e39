"""(b) A classifier that is given everything an outsider sees, and (c) how long it took; both on pairs of ages."""

import math
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm, rankdata, wilcoxon


@dataclass(frozen=True)
class Guessed:
    """How well minors were told from adults: the area under the ROC curve, its upper bound (one-sided, 97.5 %, responses
    taken as independent), how many minors were named where one adult in a thousand was; and for both how likely so much
    is by chance, found by permuting who of a pair with the same picture is the minor."""

    responses: int
    auc: float
    upper: float
    auc_by_chance: float
    found: int
    found_by_chance: float


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


def guessed(looks, minor, groups, *, seed=0):
    """Learn on some profiles and judge on others; ``minor`` bool (n,), ``groups`` the profile of each look."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.model_selection import GroupKFold, cross_val_predict

    model = HistGradientBoostingClassifier(max_iter=120, random_state=seed)
    made = features(looks)
    scores = cross_val_predict(model, made, minor, groups=groups, cv=GroupKFold(5), method="predict_proba")[:, 1]
    return judged(scores, minor, np.arange(len(minor)) // 2)


def judged(scores, minor, groups, *, permutations=1000):
    """Return what scores, higher for whoever looks like a minor, tell apart.

    Labels are permuted within ``groups``, all at once in each: what is seen many times over counts once.
    """
    minors, adults = int(minor.sum()), int((~minor).sum())
    ranks = rankdata(scores)
    auc, found = _told(scores, ranks, minor)
    random = np.random.default_rng(11)
    _, group = np.unique(groups, return_inverse=True)
    chance = [_told(scores, ranks, minor ^ (random.random(group.max() + 1) < 0.5)[group]) for _ in range(permutations)]
    auc_by_chance = (1 + sum(other >= auc for other, _ in chance)) / (1 + permutations)
    found_by_chance = (1 + sum(other >= found for _, other in chance)) / (1 + permutations)
    # Hanley and McNeil, Radiology 143, 1982.
    first, second = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    variance = (auc * (1 - auc) + (minors - 1) * (first - auc**2) + (adults - 1) * (second - auc**2)) / (
        minors * adults
    )
    return Guessed(len(scores), auc, auc + norm.ppf(0.975) * math.sqrt(variance), auc_by_chance, found, found_by_chance)


def _told(scores, ranks, minor):
    """Return the area under the curve, whichever way round, and the minors above all but a thousandth of the adults."""
    minors, adults = int(minor.sum()), int((~minor).sum())
    auc = (ranks[minor].sum() - minors * (minors + 1) / 2) / (minors * adults)
    threshold = np.partition(scores[~minor], -max(1, adults // 1000))[-max(1, adults // 1000)]
    return max(auc, 1 - auc), int((scores[minor] > threshold).sum())


def timed(pairs):
    """Return (median of minors, median of adults, p of no difference) of paired times in seconds, (n, 2)."""
    pairs = np.asarray(pairs)
    return (
        float(np.median(pairs[:, 0])),
        float(np.median(pairs[:, 1])),
        float(wilcoxon(pairs[:, 0], pairs[:, 1]).pvalue),
    )
