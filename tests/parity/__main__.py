"""``make parity``: try to tell minors from adults by all that an outsider sees; exit 1 if it can be done.

python -m tests.parity [--profiles N] [--responses N] [--seed N] [--seeds N] [--looks FILE] [--json FILE]
python -m tests.parity.over_time [--scripts N] [--seed N] [--json FILE]
"""

import argparse
import json
import pickle
import sys
import tempfile
import time
from contextlib import closing, contextmanager
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.progress import Progress
from scipy.stats import combine_pvalues

from nightlight.cli import key_commands
from tests.parity.flip import flipped
from tests.parity.observe import OUTSIDERS, Observer
from tests.parity.trial import pictures_of, spread, together, trial
from tests.parity.uploads import has_face, upload_of
from tests.parity.world import World
from tests.support.stacks import Embedded

MOST_AUC, LEAST_CHANCE = 0.51, 0.002
# Of each class: one trial alone must see a hundredth of the area by itself, many do so together.
RESPONSES, RESPONSES_TOGETHER = 40_000, 3_000
# Quotas are another matter: here nobody must run into one.
_SETTINGS = {"NIGHTLIGHT_QUOTAS_PROFILES_PER_HOUR": "1000000", "NIGHTLIGHT_DELIVERY_FEED_POLL_S": "0.05"}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profiles", type=int, default=60)
    parser.add_argument(
        "--responses", type=int, help=f"of each class; {RESPONSES}, or {RESPONSES_TOGETHER} with several seeds"
    )
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--seeds", type=int, default=1, help="trials, each with keys, names and order of its own")
    parser.add_argument("--looks", type=Path, help="write what was seen first, with labels, for whoever wants to learn")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    responses = options.responses or (RESPONSES if options.seeds == 1 else RESPONSES_TOGETHER)
    console, begin = Console(), time.monotonic()
    trials = []
    with observed_stack() as (stack, client, observer):
        profile_ids = _profiles(client, options.profiles)
        differences = list(flipped(client, observer, profile_ids))
        looked = len(profile_ids) * len(OUTSIDERS) * 5
        faces = sum(map(has_face, range(options.profiles)))
        console.print(
            f"(a) {looked} looks at {len(profile_ids)} profiles, {faces} of them with a face, under five ages: "
            f"{len(differences)} differ"
        )
        for difference in differences[:10]:
            console.print(f"    {difference}")
        pictures = pictures_of(client, profile_ids)
        with Progress(console=console, transient=True) as progress:
            keep = _writer(options.looks) if options.looks else None
            trials.append(trial(stack, observer, pictures, responses, options.seed, progress, keep))
        _tell(console, trials[-1])
    for seed in range(options.seed + 1, options.seed + options.seeds):
        # Nothing is rendered again, so the service alone will do: in this process, which halves the cost of a look.
        with (
            World(ticking=True) as world,
            closing(Observer(world, world.token("decide"))) as observer,
            Progress(console=console, transient=True) as progress,
        ):
            trials.append(trial(world, observer, pictures, responses, seed, progress))
        _tell(console, trials[-1])
    console.print(f"{time.monotonic() - begin:.0f} s")
    held = bool(not differences and _judge(console, trials))
    if options.json:
        figures = {"differences": len(differences), "held": held, "trials": [asdict(run) for run in trials]}
        options.json.write_text(json.dumps(figures, indent=1) + "\n", "utf-8")
    console.print("nobody can be told apart" if held else "[red]ages can be told apart")
    return 0 if held else 1


@contextmanager
def observed_stack():
    """A whole Nightlight with keys of its own, a client of its platform, and an observer outside."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Embedded(Path(folder), **_SETTINGS) as stack,
        stack.client() as client,
    ):
        token = key_commands.token(stack.folder, scopes=["decide"], subject="parity", hours=2)
        with closing(Observer(stack, token)) as observer:
            yield stack, client, observer


def _profiles(client, count):
    profile_ids = [f"parity-{number}" for number in range(count)]
    for profile_id in profile_ids:
        client.declare(profile_id, band="adult", assurance="verified", region="eu", choice="connections")
    images = [client.upload(profile_id, upload_of(number, profile_id)) for number, profile_id in enumerate(profile_ids)]
    if {client.wait(image.image_id).state for image in images} != {"ready"}:
        raise SystemExit("not every picture became ready")
    return profile_ids


def _writer(path):
    def keep(looks, minor, pairs, pictures):
        seen = [look.loose for look in looks], [look.exact for look in looks]
        path.write_bytes(pickle.dumps((*seen, minor, pairs, pictures)))

    return keep


def _tell(console, run):
    guess = run.guess
    console.print(
        f"(b) seed {run.seed}: {guess.responses} responses judged: AUC {guess.auc:.4f} ({guess.lower:.4f} to "
        f"{guess.upper:.4f}), by chance with p = {guess.auc_by_chance:.3f}; at one false alarm in a thousand "
        f"{guess.named} minors named, by chance so many with p = {guess.found_by_chance:.3f}"
    )
    for what, (minor, adult, p) in (("decision", run.decision), ("picture", run.picture)):
        console.print(f"(c) {what}: minors {1000 * minor:.3f} ms, adults {1000 * adult:.3f} ms, p = {p:.3f}")


def _judge(console, trials):
    """Say whether nothing was seen: by the one trial, or by all together."""
    if len(trials) == 1:
        guess = trials[0].guess
        return guess.upper <= MOST_AUC and min(guess.auc_by_chance, guess.found_by_chance) > LEAST_CHANCE
    auc, error, by_chance, uneven = together(trials)
    console.print(
        f"{len(trials)} trials together: AUC {auc:.4f}, standard error {error:.4f}, by chance with p = {by_chance:.3f}; "
        f"p spread as evenly as by chance with p = {uneven:.3f} (Kolmogorov-Smirnov):"
    )
    for row in spread([run.guess.auc_by_chance for run in trials]):
        console.print(f"    {row}", highlight=False)
    named = float(combine_pvalues([run.guess.found_by_chance for run in trials]).pvalue)
    console.print(f"as many minors named at one false alarm in a thousand by chance with p = {named:.3f} (Fisher)")
    return auc + 1.96 * error <= MOST_AUC and min(by_chance, uneven, named) > LEAST_CHANCE


if __name__ == "__main__":
    sys.exit(main())
