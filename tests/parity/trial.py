"""One trial of (b) and (c): a crowd with fresh names, each profile looked at once, minors and adults by turns."""

from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import kstest, norm

from tests.parity.crowd import crowd
from tests.parity.guess import Guessed, features, guessed, timed
from tests.parity.observe import OUTSIDERS

MINORS = ("under_13", "age_13_15", "age_16_17")


@dataclass(frozen=True)
class Trial:
    """What a classifier and a clock told: (median of minors, of adults, in seconds, p) for each kind of request."""

    seed: int
    guess: Guessed
    decision: tuple[float, float, float]
    picture: tuple[float, float, float]


def pictures_of(client, profile_ids):
    """Return (bytes, BlurHash) of each profile's picture as outsiders see it."""
    decisions = client.decide("peer", "profile", [(profile_id, "stranger") for profile_id in profile_ids])
    return [(client.fetch(decision.url).content, decision.blurhash) for decision in decisions]


def trial(stack, observer, pictures, responses, seed, progress, keep=None):
    """Look once at each of ``2 * responses`` profiles; hand looks, labels, pairs and pictures to ``keep``."""
    random = np.random.default_rng(seed)
    minor = np.tile([True, False], responses)
    bands = [MINORS[int(random.integers(3))] if is_minor else "adult" for is_minor in minor]
    # Two and two have the same picture; which of the pair is the minor's says nothing of the picture.
    pool = [picture for picture in pictures for _ in range(2)]
    looks = []
    making = progress.add_task("making a crowd", total=len(bands))
    for count in crowd(stack, pool, bands):
        progress.update(making, completed=count)
    looking = progress.add_task("looking", total=len(bands))
    for pair in range(responses):
        outsider = OUTSIDERS[int(random.integers(3))]
        both = dict.fromkeys(random.permutation([2 * pair, 2 * pair + 1]))
        for number in both:
            both[number] = _shown(observer.look(f"crowd-{number:06d}", *outsider), pool[number % len(pool)][0])
        looks += [both[2 * pair], both[2 * pair + 1]]
        progress.advance(looking, 2)
    pairs = np.arange(len(bands)) // 2
    # Profiles with one picture belong together: a picture that was learned must not be met again.
    picture = pairs % len(pictures)
    if keep is not None:
        keep(looks, minor, pairs, picture)
    times = {
        name: [(getattr(looks[at], name), getattr(looks[at + 1], name)) for at in range(0, len(looks), 2)]
        for name in ("decision_s", "picture_s")
    }
    guess = guessed(features(looks), minor, pairs, picture, seed=seed)
    return Trial(seed, guess, timed(times["decision_s"]), timed(times["picture_s"]))


def _shown(look, picture):
    """Return a look without its bytes; a trial in which everybody is shown the placeholder would tell nothing."""
    if look.data != picture:
        raise SystemExit("an outsider is not shown the picture that the profile has")
    return replace(look, data=b"")


def together(trials):
    """Return what many trials say as one.

    (mean area under the curve, its standard error, p of so large a mean, p of so uneven a distribution of p).
    Without a signal p is spread evenly between 0 and 1 (Kolmogorov-Smirnov), whatever the number of responses.
    """
    auc = float(np.mean([trial.guess.auc for trial in trials]))
    error = float(np.sqrt(np.sum([trial.guess.error**2 for trial in trials]))) / len(trials)
    uneven = float(kstest([trial.guess.auc_by_chance for trial in trials], "uniform").pvalue)
    return auc, error, float(norm.sf((auc - 0.5) / error)), uneven


def spread(values, bins=10):
    """Return a row of text for each tenth of 0 to 1: how many of the values lie in it."""
    counts, edges = np.histogram(values, bins=bins, range=(0, 1))
    rows = zip(counts, edges[:-1], edges[1:], strict=True)
    return [f"{low:.1f} to {high:.1f}  {'#' * count}" for count, low, high in rows]
