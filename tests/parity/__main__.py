"""``make parity``: try to tell minors from adults by all that an outsider sees; exit 1 if it can be done.

python -m tests.parity [--profiles N] [--responses N] [--seed N] [--looks FILE] [--json FILE]
"""

import argparse
import json
import pickle
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import Progress

from nightlight.cli import keys
from nightlight.cli.scrapers import drawn
from tests.parity.crowd import crowd
from tests.parity.flip import flipped
from tests.parity.guess import guessed, timed
from tests.parity.observe import OUTSIDERS, Observer
from tests.support.stacks import Embedded

MOST_AUC, LEAST_CHANCE = 0.51, 0.002
MINORS = ("under_13", "age_13_15", "age_16_17")
# Quotas are another matter: here nobody must run into one.
_SETTINGS = {"NIGHTLIGHT_QUOTAS_PROFILES_PER_HOUR": "1000000", "NIGHTLIGHT_DELIVERY_FEED_POLL_S": "0.05"}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profiles", type=int, default=60)
    parser.add_argument("--responses", type=int, default=40_000, help="of each class")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--looks", type=Path, help="write what was seen, with labels, for whoever wants to learn more")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    console = Console()
    with (
        tempfile.TemporaryDirectory() as folder,
        Embedded(Path(folder), **_SETTINGS) as stack,
        stack.client() as client,
    ):
        observer = Observer(stack, keys.token(stack.folder, scopes=["decide"], subject="parity", hours=2))
        profile_ids = [f"parity-{number}" for number in range(asked.profiles)]
        for profile_id in profile_ids:
            client.declare(profile_id, band="adult", assurance="verified", region="eu", choice="connections")
        images = [client.upload(profile_id, drawn(profile_id)) for profile_id in profile_ids]
        if {client.wait(image.image_id).state for image in images} != {"ready"}:
            raise SystemExit("not every picture became ready")
        begin = time.monotonic()
        differences = list(flipped(client, observer, profile_ids))
        looked = len(profile_ids) * len(OUTSIDERS) * 5
        console.print(f"(a) {looked} looks at {len(profile_ids)} profiles under five ages: {len(differences)} differ")
        for one in differences[:10]:
            console.print(f"    {one}")
        guess, decision, picture = _guess(console, stack, client, observer, profile_ids, asked)
        console.print(
            f"(b) {guess.responses} responses: AUC {guess.auc:.4f}, at most {guess.upper:.4f} ({MOST_AUC} allowed), by chance "
            f"with p = {guess.auc_by_chance:.3f}; at one false alarm in a thousand {guess.found} minors named, by chance so "
            f"many with p = {guess.found_by_chance:.3f}"
        )
        for what, (minor, adult, p) in (("decision", decision), ("picture", picture)):
            console.print(f"(c) {what}: minors {1000 * minor:.3f} ms, adults {1000 * adult:.3f} ms, p = {p:.3f}")
        console.print(f"{time.monotonic() - begin:.0f} s")
        observer.close()
    chance = min(guess.auc_by_chance, guess.found_by_chance)
    told = bool(not differences and guess.upper <= MOST_AUC and chance > LEAST_CHANCE)
    if asked.json:
        figures = {
            "differences": len(differences),
            **asdict(guess),
            "decision": decision,
            "picture": picture,
            "held": told,
        }
        asked.json.write_text(json.dumps(figures, indent=1) + "\n", "utf-8")
    console.print("nobody can be told apart" if told else "[red]ages can be told apart")
    return 0 if told else 1


def _guess(console, stack, client, observer, profile_ids, asked):
    """Look once at each of a crowd, minors and adults by turns; return what a classifier and a clock tell."""
    random, responses = np.random.default_rng(asked.seed), asked.responses
    decisions = client.decide("peer", "profile", [(profile_id, "stranger") for profile_id in profile_ids])
    pool = [(client.fetch(one.url).content, one.blurhash) for one in decisions]
    minor = np.tile([True, False], responses)
    bands = [MINORS[int(random.integers(3))] if one else "adult" for one in minor]
    # Two and two have the same picture; which of the pair is the minor's says nothing of the picture.
    pool = [one for one in pool for _ in range(2)]
    looks = []
    with Progress(console=console, transient=True) as progress:
        making = progress.add_task("making a crowd", total=len(bands))
        for made in crowd(stack, pool, bands):
            progress.update(making, completed=made)
        looking = progress.add_task("looking", total=len(bands))
        for pair in range(responses):
            outsider = OUTSIDERS[int(random.integers(3))]
            both = dict.fromkeys(random.permutation([2 * pair, 2 * pair + 1]))
            for number in both:
                both[number] = observer.look(f"crowd-{number:06d}", *outsider)
            looks += [both[2 * pair], both[2 * pair + 1]]
            progress.advance(looking, 2)
    # Profiles with one picture belong together: a picture that was learned must not be met again.
    groups = (np.arange(len(bands)) // 2) % len(profile_ids)
    if asked.looks:
        asked.looks.write_bytes(
            pickle.dumps(([look.loose for look in looks], [look.exact for look in looks], minor, groups))
        )
    result = guessed(looks, minor, groups, seed=asked.seed)
    times = {
        name: [(getattr(looks[at], name), getattr(looks[at + 1], name)) for at in range(0, len(looks), 2)]
        for name in ("decision_s", "picture_s")
    }
    return result, timed(times["decision_s"]), timed(times["picture_s"])


if __name__ == "__main__":
    sys.exit(main())
