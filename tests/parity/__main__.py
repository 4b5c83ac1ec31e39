"""``make parity``: try to tell minors from adults by all that an outsider sees; exit 1 if it can be done.

python -m tests.parity [--profiles N] [--responses N] [--json FILE]
"""

import argparse
import json
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
from tests.parity.flip import declare, flipped, placeholder_of
from tests.parity.guess import guessed, timed
from tests.parity.observe import OUTSIDERS, Observer
from tests.support.stacks import Embedded

MOST_AUC, LEAST_CHANCE = 0.51, 0.002
MINORS = ("under_13", "age_13_15", "age_16_17")
# Quotas are another matter: here nobody must run into one.
_SETTINGS = {"NIGHTLIGHT_QUOTAS_PROFILES_PER_HOUR": "1000000", "NIGHTLIGHT_DELIVERY_REVOCATION_POLL_S": "0.05"}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profiles", type=int, default=60)
    parser.add_argument("--responses", type=int, default=20_000, help="of each class, at least 10,000 count")
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
        guess, decision, picture = _guess(console, client, observer, profile_ids, asked.responses)
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
    told = not differences and guess.upper <= MOST_AUC and chance > LEAST_CHANCE
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


def _guess(console, client, observer, profile_ids, responses):
    """Look at every profile as an adult's and as a minor's, by turns, until there are enough of both."""
    random = np.random.default_rng(7)
    placeholder = placeholder_of(client)
    looks, minor, groups = [], [], []
    times = {"decision_s": [], "picture_s": []}
    rounds = max(4, -(-2 * responses // (len(profile_ids) * 60)) // 2 * 2)
    each = -(-2 * responses // (len(profile_ids) * rounds))
    order = random.permutation(len(profile_ids))
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("looking", total=rounds * each)
        for number in range(rounds):
            # Half are minors in the even rounds, the others in the odd ones: each profile is both equally often.
            as_minor = {profile_ids[one] for one in order[number % 2 :: 2]}
            for profile_id in profile_ids:
                band = MINORS[int(random.integers(3))] if profile_id in as_minor else "adult"
                declare(client, profile_id, band, placeholder)
            for _ in range(each):
                outsider = OUTSIDERS[int(random.integers(3))]
                pair = {True: [], False: []}
                for at in random.permutation(len(profile_ids)):
                    profile_id = profile_ids[at]
                    look = observer.look(profile_id, *outsider)
                    looks.append(look)
                    minor.append(profile_id in as_minor)
                    groups.append(at)
                    pair[profile_id in as_minor].append(look)
                for name, found in times.items():
                    found += [
                        (getattr(one, name), getattr(other, name))
                        for one, other in zip(pair[True], pair[False], strict=False)
                    ]
                progress.advance(task)
    result = guessed(looks, np.array(minor), np.array(groups))
    return result, timed(times["decision_s"]), timed(times["picture_s"])


if __name__ == "__main__":
    sys.exit(main())
