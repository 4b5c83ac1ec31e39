"""(b) A classifier that is given everything an outsider sees, and (c) how long it took; both on pairs of ages."""

import math
from dataclasses import dataclass

import numpy as np
from scipy.stats import binom, norm, wilcoxon


@dataclass(frozen=True)
class Guessed:
    """How well minors were told from adults: the area under the ROC curve, its upper bound (one-sided, 97.5 %), how
    many minors were named where one adult in a thousand was, and how likely so many are by chance."""

    responses: int
    auc: float
    upper: float
    found: int
    by_chance: float


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
    return judged(scores, minor)


def judged(scores, minor):
    """Return what scores, higher for whoever looks like a minor, tell apart."""
    from sklearn.metrics import roc_auc_score

    minors, adults = int(minor.sum()), int((~minor).sum())
    auc = float(roc_auc_score(minor, scores))
    auc = max(auc, 1 - auc)  # telling them apart the wrong way round is telling them apart
    # Hanley and McNeil, Radiology 143, 1982.
    first, second = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    variance = (auc * (1 - auc) + (minors - 1) * (first - auc**2) + (adults - 1) * (second - auc**2)) / (
        minors * adults
    )
    threshold = np.sort(scores[~minor])[-max(1, adults // 1000)]
    found = int((scores[minor] > threshold).sum())
    by_chance = float(binom.sf(found - 1, minors, 0.001)) if found else 1.0
    return Guessed(len(scores), auc, auc + norm.ppf(0.975) * math.sqrt(variance), found, by_chance)


def timed(pairs):
    """Return (median of minors, median of adults, p of no difference) of paired times in seconds, (n, 2)."""
    pairs = np.asarray(pairs)
    return (
        float(np.median(pairs[:, 0])),
        float(np.median(pairs[:, 1])),
        float(wilcoxon(pairs[:, 0], pairs[:, 1]).pvalue),
    )
