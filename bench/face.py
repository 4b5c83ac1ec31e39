"""How well people are found again by the renditions that a policy makes of their pictures: the strongest attacker that a
laptop has.

Some people are enrolled by one photograph each. Other photographs of half of them are rendered by the policy's tiers, and
the attacker says who is who. At the threshold at which one comparison in a hundred between different people passes, the
share of people who are found is the rate of re-identification. The attackers, weakest first:

    off the shelf       a recogniser as it is published; its scores standardised by enrolled person and by probe
    softened gallery    the same, with the enrolled photographs put through the tier too
    fitted              models fitted to the tier on other people's pictures, and all of them fused
    several pictures    all fused, with ten pictures of one person
    same photograph     whoever has the photograph from elsewhere looks for it among the renditions, or their BlurHashes

Every attacker is given the face's landmarks from the full photograph, which is more than a real one has.

Photographs are yours: a folder with a folder for each person, as Labeled Faces in the Wild is laid out; adults only.
Without one, the few portraits inside installed packages show the way; the output says that they prove nothing.

examples:

    make bench-face                                             the portraits of packages, a minute
    make bench-face ARGS="--faces ~/lfw --quick"                120 people, some minutes
    make bench-face ARGS="--faces ~/lfw --json f.json --plot f.svg"    500 people, some 15 minutes of one core
    make bench-face ARGS="--faces ~/lfw --policy my-policies"   the tiers of another policy
"""

from __future__ import annotations

import argparse
import json
import logging
from pathlib import Path

from nightlight import one_thread  # noqa: F401 - before numpy is imported

# isort: split

import face_attackers as attackers
import face_hash
import face_plot
import face_recognisers as recognisers
import numpy as np
import structlog
from face_sets import FaceFinder, Product, copy_of, from_folder, from_packages
from face_statistics import cosine, fused, rates, standardised
from rich.console import Console
from rich.progress import track
from rich.table import Table

from nightlight.imaging.recipe import build_recipes
from nightlight.policy.compile import compile_folder
from nightlight_core.policy.tier import CLAIMS

HERE = Path(__file__).parent
HASH = "BlurHash"
# Tested, enrolled and fitting people.
SIZES, QUICK = (500, 1000, 1200), (120, 240, 300)
# dlib's network takes a tenth of a second for a face: it is given so many pairs.
DLIB_PAIRS = 100
# Which attackers a claim is about.
CLAIMED = dict(zip(CLAIMS, ("off the shelf", "fitted"), strict=True))


def progress(steps, description):
    return track(steps, description=description, transient=True)


def render(product, parts):
    """Render every photograph: those that are tested by all tiers, the others by those that are searched or fitted to."""
    needed = {recipe.tier for recipe in product.recipes if recipe.face_px or recipe.preview}
    tested = {id(probe) for probe in parts.probes}
    for photograph in progress(parts.all, "rendering"):
        product.render(photograph, None if id(photograph) in tested else needed)


def described(recogniser, faces, what):
    return np.stack([recogniser.describe(face) for face in progress(list(faces), f"{recogniser.name}: {what}")])


class Measured:
    """The rows of the report, as they come."""

    def __init__(self):
        self.rows = []

    def add(self, tier, attacker, name, scores, mates):
        self.rows.append({"tier": tier, "attacker": attacker, "name": name, "rates": rates(scores, mates)})


def off_the_shelf(measured, parts, networks, recipes):
    """Measure recognisers as they are; return the vectors of the enrolled photographs, clear and by tier, for fusing."""
    clear, shown, softened = {}, {}, {}
    for network in networks:
        few = DLIB_PAIRS if isinstance(network, recognisers.DlibResNet) else None
        probes, enrolled = parts.probes[:few], parts.enrolled[:few]
        clear[network.name] = described(network, (one.clear() for one in enrolled), "clear")
        for recipe in recipes:
            tier = recipe.tier
            shown[network.name, tier] = described(network, (one.seen(tier) for one in probes), tier)
            scores = cosine(shown[network.name, tier], clear[network.name])
            measured.add(tier, "off the shelf", network.name, standardised(scores), parts.mates[:few])
            if recipe.face_px and few is None:
                softened[network.name, tier] = described(
                    network, (one.seen(tier) for one in enrolled), f"softened, {tier}"
                )
                scores = cosine(shown[network.name, tier], softened[network.name, tier])
                measured.add(tier, "softened gallery", network.name, standardised(scores), parts.mates)
    return clear, shown, softened


def fitted(measured, parts, networks, tiers, vectors):
    """Fit models to each tier on other people, and measure each of them, and all fused, on one picture and on several."""
    clear, shown, softened = vectors
    networks = [network for network in networks if not isinstance(network, recognisers.DlibResNet)]
    people = np.array([one.person for one in parts.fitting])
    targets = [described(network, (one.clear() for one in parts.fitting), "fitting") for network in networks]
    names = [network.name for network in networks]
    extra = [one for each in parts.several.values() for one in each]
    for tier in progress(tiers, "fitting"):
        rows = {
            part: np.stack([attackers.pixels(one.seen(tier)) for one in photographs])
            for part, photographs in (("fit", parts.fitting), ("probes", parts.probes), ("enrolled", parts.enrolled))
        }
        models = attackers.Fitted(rows["fit"], people, targets)
        enrolled_clear = [clear[name] for name in names]
        scores = models.scores(rows["probes"], rows["enrolled"], enrolled_clear)
        for name, each in scores.items():
            measured.add(tier, "fitted", name, standardised(each), parts.mates)
        for name in names:
            scores[name] = cosine(shown[name, tier], softened[name, tier])
        measured.add(tier, "fitted", "all fused", fused(*scores.values()), parts.mates)
        if extra:
            several(measured, parts, tier, models, networks, (rows["enrolled"], enrolled_clear, softened))


def several(measured, parts, tier, models, networks, enrolled):
    """Measure all fused with several pictures of a person, beside one picture of the same people."""
    rows, clear, softened = enrolled
    extra = [one for each in parts.several.values() for one in each]
    scores = models.scores(np.stack([attackers.pixels(one.seen(tier)) for one in extra]), rows, clear)
    for network in networks:
        vectors = described(network, (one.seen(tier) for one in extra), f"several, {tier}")
        scores[network.name] = cosine(vectors, softened[network.name, tier])
    count = len(extra) // len(parts.several)
    places, scores = np.array(list(parts.several)), fused(*scores.values())
    for size in (1, count):
        groups = [np.arange(size) + first for first in range(0, len(extra), count)]
        name = f"{size} of {len(places)} people"
        measured.add(tier, "several pictures", name, attackers.together(scores, groups), places)


def by_hash(measured, parts):
    """Fit the LDA to BlurHashes, which everybody is shown: another photograph of the person, by the hash alone."""
    people = np.array([one.person for one in parts.fitting])
    rows = {
        part: np.stack([face_hash.picture(one.blurhash) for one in photographs])
        for part, photographs in (("fit", parts.fitting), ("probes", parts.probes), ("enrolled", parts.enrolled))
    }
    models = attackers.Fitted(rows["fit"], people, [])
    scores = models.scores(rows["probes"], rows["enrolled"], [])["LDA"]
    measured.add(HASH, "fitted", "LDA", standardised(scores), parts.mates)


def same_photograph(measured, parts, product, tier):
    """Look for copies of the probes' own photographs among the renditions of all, and among their BlurHashes."""
    library = parts.all
    pictures = np.stack([attackers.looked_for(one.renditions[tier][0]) for one in library])
    hashes = np.stack([face_hash.picture(one.blurhash) for one in library])
    for name, cropped in (("encoded again", False), ("cropped otherwise", True)):
        copies = [copy_of(one, cropped=cropped) for one in parts.probes]
        for one in progress(copies, f"copies, {name}"):
            product.render(one, {tier})
        queries = np.stack([attackers.looked_for(one.renditions[tier][0]) for one in copies])
        measured.add(tier, "same photograph", name, attackers.nearness(queries, pictures), parts.mates)
        queries = np.stack([face_hash.picture(one.blurhash) for one in copies])
        measured.add(HASH, "same photograph", name, attackers.nearness(queries, hashes), parts.mates)


def measure(parts, product, networks, console):
    """Return the rows of the report."""
    measured = Measured()
    budgeted = [recipe.tier for recipe in product.recipes if recipe.face_px]
    vectors = off_the_shelf(measured, parts, networks, product.recipes)
    if len({one.person for one in parts.fitting}) >= attackers.LEAST_FITTING:
        fitted(measured, parts, networks, budgeted, vectors)
        by_hash(measured, parts)
    else:
        console.print(f"fewer than {attackers.LEAST_FITTING} other people with two photographs: no model is fitted")
    preview = next(recipe.tier for recipe in product.recipes if recipe.preview)
    same_photograph(measured, parts, product, preview)
    return measured.rows


def shown(console, rows):
    table = Table(title="share of people who are found again, in percent, with 95 % intervals")
    for title in ("tier", "attacker", "", "people", "among", "at 1 % false matches", "at 0.1 %", "found first"):
        table.add_column(title, justify="left" if title in {"tier", "attacker", ""} else "right")
    before = None
    for row in rows:
        result = row["rates"]
        if before not in {None, row["tier"]}:
            table.add_section()
        before = row["tier"]
        table.add_row(
            row["tier"],
            row["attacker"],
            row["name"],
            str(result.at_1_percent.count),
            f"{result.enrolled:,}",
            percent(result.at_1_percent),
            percent(result.at_01_percent),
            percent(result.first),
        )
    console.print(table)


def percent(found):
    return f"{100 * found.share:.1f} ({100 * found.low:.1f}-{100 * found.high:.1f})"


def judged(rows, tiers):
    """Yield for each claim of each tier what the strongest attacker that it names came to."""
    for tier, recipe in tiers.items():
        for claim, attacker in CLAIMED.items():
            limit = getattr(recipe, claim)
            results = [row["rates"] for row in rows if (row["tier"], row["attacker"]) == (tier, attacker)]
            if limit is None or not results:
                continue
            worst = max(results, key=lambda result: result.at_1_percent.share)
            if not worst.enough:
                verdict = "too few faces to say"
            elif worst.at_1_percent.high <= limit:
                verdict = "met, upper bound and all"
            else:
                verdict = "not met" if worst.at_1_percent.low > limit else "within the interval"
            yield {
                "tier": tier,
                "claim": claim,
                "at_most": limit,
                "found": percent(worst.at_1_percent),
                "verdict": verdict,
            }


def parsed():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=Path, help="folder with a folder of photographs for each person")
    parser.add_argument(
        "--policy", type=Path, default=HERE.parent / "policies", help="policy pack (default: the default)"
    )
    parser.add_argument("--quick", action="store_true", help=f"{QUICK[0]} tested people, without dlib's slow network")
    parser.add_argument("--seed", type=int, default=1, help="of the lot that gives out the parts (default 1)")
    parser.add_argument("--plot", type=Path, help="draw the attackers into this PNG or SVG file")
    parser.add_argument(
        "--curve", type=Path, help="draw what was measured by face budget (face_evidence.csv) into this file"
    )
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    return parser.parse_args()


def main():
    options = parsed()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    console = Console(width=130, highlight=False)
    table = compile_folder(options.policy).table
    product = Product(build_recipes(table.tiers, order=("none", *table.tiers)))
    if options.curve:
        face_plot.curve(options.curve, HERE / "face_evidence.csv", product.recipes)
    finder, sizes = FaceFinder(), QUICK if options.quick else SIZES
    parts = (
        from_folder(options.faces, finder, sizes, options.seed, progress) if options.faces else from_packages(finder)
    )
    if len(parts.probes) < 2:
        raise SystemExit("fewer than two people have two photographs with a face that is found")
    console.print(
        f"{len(parts.probes)} people tested, {len(parts.enrolled):,} enrolled, {len(parts.fitting):,} photographs of "
        f"{len({one.person for one in parts.fitting}):,} others to fit models on"
    )
    networks = recognisers.available(console) + ([] if options.quick else [recognisers.DlibResNet()])
    render(product, parts)
    rows = measure(parts, product, networks, console)
    shown(console, rows)
    verdicts = list(judged(rows, table.tiers))
    for each in verdicts:
        console.print(f"{each['tier']}, {each['claim']} {each['at_most']}: {each['found']} %: {each['verdict']}")
    if not options.faces:
        console.print("These are the portraits of packages, each beside a changed copy of itself: they prove nothing.")
    if options.plot:
        face_plot.attackers(options.plot, rows, table.tiers, CLAIMED)
    if options.json:
        report = [row | {"rates": row["rates"].as_json()} for row in rows]
        options.json.write_text(json.dumps({"rows": report, "claims": verdicts}, indent=2) + "\n")


if __name__ == "__main__":
    main()
