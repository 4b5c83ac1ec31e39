"""``make parity-over-time``: watch profiles of every band for months; exit 1 if their ages can be told.

python -m tests.parity.over_time [--scripts N] [--everyone N] [--seed N] [--json FILE]
"""

import argparse
import json
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from rich.console import Console

from tests.parity.guess import Guessed, guessed
from tests.parity.lives import BANDS, DAYS, lives, scripts
from tests.parity.traces import difference
from tests.parity.watching import Watching
from tests.parity.world import World

LEAST_CHANCE = 0.002
# With fewer there is nothing to learn from.
LEAST_SCRIPTS = 20


@dataclass(frozen=True)
class Watched:
    """What was seen of every life, by script: (script, lives, records), the control first; and how records differ."""

    groups: list
    differences: list

    @property
    def begun(self):
        """How many profiles began in each band."""
        return Counter(life.bands[0] for _, led, _ in self.groups for life in led)

    @property
    def looks(self):
        return sum(len(record.looks) for _, _, records in self.groups for record in records)


def watched(drawn, seed, *, leak=None, report=lambda _: None):
    """Lead the lives of scripts in a world of their own, and compare each with its control."""
    led = [(script, lives(script, seed)) for script in drawn]
    with World() as world:
        watching = Watching(world, [(script, life) for script, several in led for life in several], seed, leak)
        records = watching.run(report)
    groups = [(script, several, [records[life.profile_id] for life in several]) for script, several in led]
    differences = [
        difference(several[0].profile_id, group[0], life.profile_id, record)
        for _, several, group in groups
        for life, record in zip(several[1:], group[1:], strict=True)
    ]
    return Watched(groups, [entry for entry in differences if entry is not None])


def judged_over_time(groups, labels_of, *, seed=0, **options):
    """What a classifier that is given all looks of a moment tells of ``told_by``: (life) -> a label for each moment.

    It is given how each look differs from the others of its script and moment, so that it cannot tell by what happens to
    all of them. By chance: whose history of labels is whose, among the lives of one script. That is exact: these lives
    differ in what is said of their ages alone, and are looked at in random order. If nothing of that can be seen, each of
    their records may as well be another's. So a life of which nothing is said at a moment is swapped with others too: a
    time that tells who was just declared tells a little of whose age has just changed.
    """
    rows, labels, script, blocks = [], [], [], []
    words = {}
    for number, (_, led, records) in enumerate(groups):
        begin = len(rows)
        for life, record in zip(led, records, strict=True):
            rows += _rows(record, words)
            labels += labels_of(life)
        script += [number] * (len(rows) - begin)
        blocks.append(np.arange(begin, len(rows)).reshape(len(led), len(DAYS)))
    rows, labels, script = np.array(rows, np.float64), np.array(labels, bool), np.array(script)
    for block in blocks:
        rows[block] -= rows[block].mean(0)

    def swap(random):
        other = np.empty_like(labels)
        for block in blocks:
            other[block] = labels[block[random.permutation(len(block))]]
        return other

    return guessed(rows, labels, script, script, seed=seed, swap=swap, **options)


def _rows(record, words):
    """Numbers for everything that was seen at each moment, times too: (moments, d)."""
    rows = [[] for _ in DAYS]
    for look in record.looks:
        row = rows[look.moment]
        row += [words.setdefault((key, value), len(words)) for key, value in look.seen.items()]
        for value in look.loose.values():
            row += value if isinstance(value, list) else [value]
    return rows


LABELS = {
    "who is a minor": lambda life: [band != "adult" for band in life.bands],
    "whose age has just changed": lambda life: list(life.changed),
    "of whom something was just said": lambda life: [assertion is not None for assertion in life.assertions],
}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scripts", type=int, default=200, help="each is led by a profile that begins in each band")
    parser.add_argument("--everyone", type=int, default=20, help="of minors whose choice is everyone, as well")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    console, begin = Console(highlight=False), time.monotonic()
    drawn = scripts(options.scripts, options.everyone, options.seed)
    seen = watched(drawn, options.seed, report=lambda moment: console.print(f"moment {moment + 1} of {len(DAYS)}"))
    begun = ", ".join(f"{seen.begun[band]} {band}" for band in BANDS)
    changes = sum(sum(life.changed) for _, led, _ in seen.groups for life in led)
    console.print(f"{sum(seen.begun.values())} profiles ({begun}), {changes} changes of age, {seen.looks} looks")
    console.print(f"{len(seen.differences)} records differ from that of the profile whose age never changes")
    for record in seen.differences[:10]:
        console.print(f"    {record}", markup=False)
    for (when, field), count in Counter((record.when, record.fields[0][0]) for record in seen.differences).most_common(
        10
    ):
        console.print(f"    {count} first {when}, in {field}")
    guesses: dict[str, Guessed] = {}
    for what, labels_of in LABELS.items() if options.scripts >= LEAST_SCRIPTS else ():
        guess = guesses[what] = judged_over_time(seen.groups, labels_of, seed=options.seed)
        console.print(
            f"{what}: {guess.responses} moments judged, AUC {guess.auc:.4f} ({guess.lower:.4f} to {guess.upper:.4f}), "
            f"{guess.expected:.4f} by chance, p = {guess.auc_by_chance:.3f}; at one false alarm in a thousand p = "
            f"{guess.found_by_chance:.3f}"
        )
    by_chance = [p for guess in guesses.values() for p in (guess.auc_by_chance, guess.found_by_chance)]
    held = not seen.differences and all(p > LEAST_CHANCE for p in by_chance)
    console.print(f"{time.monotonic() - begin:.0f} s")
    if options.json:
        figures = {"differences": len(seen.differences), "begun": seen.begun, "changes": changes, "looks": seen.looks}
        figures |= {"guesses": {what: asdict(guess) for what, guess in guesses.items()}, "held": held}
        options.json.write_text(json.dumps(figures, indent=1) + "\n", "utf-8")
    console.print("nobody can be told apart" if held else "[red]ages can be told apart")
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
