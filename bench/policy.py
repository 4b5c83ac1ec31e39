"""What a policy costs to load, prove, compare and ask, beside other engines holding the same rules.

    python bench/policy.py             speeds; engines checked equal on a sample of combinations
    python bench/policy.py --full      checked on every combination that can occur (casbin: some ten minutes)
    python bench/policy.py --fail-open what each engine answers when a rule or an input is misspelt or missing

CPU time, medians. The other engines are in infra/requirements/bench.txt; those that are not installed are
left out with a word. Nothing here decides a test.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from nightlight import one_thread  # noqa: F401 - before numpy is imported

# isort: split

from engines import ENGINES, MISTAKES, RETURNS_A_TIER, SHAPED, Rules
from rich.console import Console
from rich.table import Table

from nightlight.delivery.access_tokens import generate_key
from nightlight.policy.bundle_writer import build_bundle
from nightlight.policy.checks import failed_checks
from nightlight.policy.compile import compile_bundle, compile_folder, compile_pack
from nightlight.policy.diff import diff
from nightlight.policy.load import load
from nightlight.policy.mutate import mutate
from nightlight.policy.signing import SigningKey
from nightlight_core.policy.bundle import read_unverified

ROOT = Path(__file__).parents[1]
PACK = ROOT / "policies"
# Of what a pack for every country of the world would have: nearly two million combinations.
LARGE = (
    ("my, other]", f"my, other, {', '.join(f'r_{number}' for number in range(60))}]"),
    ("context: [", "context: [comments, "),
)


def cpu(action, runs=5):
    times = []
    for _ in range(runs):
        begin = time.process_time()
        result = action()
        times.append(time.process_time() - begin)
    return statistics.median(times), result


# --- ours ---------------------------------------------------------------------------------------------------


def cold(folder):
    """CPU seconds and peak MB of `nightlight policy check` in a process of its own."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    code = (
        "import sys; from nightlight.cli import main; sys.argv = ['nightlight', 'policy', 'check', sys.argv[1]]\n"
        "try: main()\n"
        "finally:\n"
        "    import pathlib; line = [l for l in pathlib.Path('/proc/self/status').read_text().splitlines() if 'VmHWM' in l]\n"
        "    print('PEAK', line[0].split()[1])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    peak = int(done.stdout.split("PEAK")[1]) / 1024
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, peak


def with_dates(folder):
    """Write the default pack with rules that begin on 16 days, and return its folder."""
    shutil.copytree(PACK, folder)
    regions = [region for region in compile_folder(PACK).space.attributes["region"] if region != "unknown"]
    days = [f"2027-{month:02}-{day:02}" for month in range(1, 9) for day in (1, 15)]
    with (folder / "rules.yaml").open("a") as rules:
        for number, day in enumerate(days):
            rules.write(
                f"\n  - id: dated-{number}\n    why: a bench\n    from: {day}\n"
                f"    when: {{region: {regions[number % len(regions)]}, relation: outsider, "
                f"context: {'message' if number < len(regions) else 'list'}}}\n"
                "    unless: {subject_age: adult, assurance: assured, choice: everyone}\n    at_most: {tier: none}\n"
            )
    return folder


def own_costs(console):
    table = Table(title="Load, prove, compare")
    for name in ("what", "combinations", "CPU s", "peak MB"):
        table.add_column(name, justify="left" if name == "what" else "right")
    with tempfile.TemporaryDirectory() as temporary:
        large = Path(temporary) / "large"
        shutil.copytree(PACK, large)
        text = (large / "vocabulary.yaml").read_text()
        for old, new in LARGE:
            text = text.replace(old, new, 1)
        (large / "vocabulary.yaml").write_text(text)
        shutil.rmtree(large / "cases")
        edited = Path(temporary) / "edited"
        shutil.copytree(PACK, edited)
        text = (edited / "rules.yaml").read_text()
        text = text.replace(
            "when: {region: [us_ca, unknown], relation: outsider}", "when: {region: us_ca, relation: outsider}"
        )
        (edited / "rules.yaml").write_text(text)
        shutil.rmtree(edited / "cases")
        small, big = compile_folder(PACK), compile_pack(load(large))
        for title, folder, compiled in (("cold `policy check`", PACK, small), ("the same, a large pack", large, big)):
            seconds, peak = cold(folder)
            table.add_row(title, f"{len(compiled.table):,}", f"{seconds:.2f}", f"{peak:.0f}")
        (Path(temporary) / "key").write_text(json.dumps(generate_key()[0]))
        key = SigningKey.read(Path(temporary) / "key")
        bundles = [build_bundle(compiled, 1, key) for compiled in (small, big)]
        dated = compile_folder(with_dates(Path(temporary) / "dated"))
        data = build_bundle(dated, 1, key)

        def activated():
            bundle = read_unverified(data)
            return failed_checks(new := compile_bundle(bundle)), diff(small, new)

        for title, action, compiled in (
            (f"read, compile, prove and compare {len(dated.days)} dates", activated, dated),
            ("load and compile, warm", lambda: compile_folder(PACK), small),
            ("prove", lambda: failed_checks(small), small),
            ("prove, a large pack", lambda: failed_checks(big), big),
            ("mutate", lambda: mutate(small), small),
            ("diff of an edit", lambda: diff(small, compile_pack(load(edited))), small),
            ("load a bundle", lambda: read_unverified(bundles[0]), small),
            (f"the same, a large one ({len(bundles[1]):,} bytes)", lambda: read_unverified(bundles[1]), big),
        ):
            seconds, _ = cpu(action)
            table.add_row(title, f"{len(compiled.table):,}", f"{seconds:.3f}", "")
        other = compile_pack(load(edited))
        seconds, _ = cpu(lambda: diff(small, other))
        table.add_row("diff of two compiled packs", f"{len(small.table):,}", f"{seconds:.3f}", "")
    console.print(table)


def peers(console, *, full):
    compiled = compile_folder(PACK)
    rules = Rules(compiled)
    names = list(compiled.space.attributes)
    possible = [
        given
        for words in itertools.product(*compiled.space.attributes.values())
        if compiled.table.decide(given := dict(zip(names, words, strict=True))).rule != "impossible"
    ]
    generator = random.Random(1)
    sample = generator.sample(possible, 1000)
    table = Table(title=f"One decision, {len(rules.rules)} rules that cap the tier, one core")
    for name in ("engine", "decisions a second", "Nightlight is", "equal on", "can return a tier"):
        table.add_column(name, justify="left" if name == "engine" else "right")
    decide, asked = compiled.table.decide, generator.sample(possible, 10_000)  # as many as a processor keeps near
    seconds, _ = cpu(lambda: [decide(given) for given in asked], runs=15)
    ours = len(asked) / seconds
    table.add_row("nightlight", f"{ours:,.0f}", "1", f"{len(possible):,}", "yes")
    for name, build in ENGINES.items():
        try:
            ask = build(rules)
        except ImportError:
            console.print(f"{name}: not installed (pip install --require-hashes -r infra/requirements/bench.txt)")
            continue
        checked = possible if full else (sample if name != "casbin" else sample[:100])
        wrong = 0
        with console.status(f"{name}: {len(checked):,} combinations ..."):
            for given in checked:
                wrong += rules.tiers[ask(given)] != decide(given).tier
        timed = sample[:200] if name != "casbin" else sample[:20]
        seconds, _ = cpu(lambda ask=ask, timed=timed: [ask(given) for given in timed], runs=3)
        speed = len(timed) / seconds
        equal = f"{len(checked):,}" if not wrong else f"[red]{wrong} differ[/]"
        table.add_row(
            name,
            f"{speed:,.0f}",
            f"{ours / speed:,.0f} times",
            equal,
            "yes" if name in RETURNS_A_TIER else "no, asked for each",
        )
    console.print(table)


def fail_open(console):
    table = Table(title="A deny-shaped rule hides a 13-year-old from a stranger. Is the picture shown?")
    table.add_column("mistake")
    for engine in SHAPED:
        table.add_column(engine)
    for mistake, (attribute, value, given) in MISTAKES.items():
        row = []
        for ask in SHAPED.values():
            try:
                row.append("[red]shown[/]" if ask(attribute, value, given) else "hidden")
            except ImportError:
                row.append("not installed")
            except Exception as error:  # noqa: BLE001 - whatever an engine raises is its answer
                verdicts = (
                    "refused at start" if type(error).__name__ == "InvalidPolicy" else f"error: {type(error).__name__}"
                )
                row.append(verdicts)
        table.add_row(mistake, *row)
    console.print(table)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="compare the engines on every combination that can occur")
    parser.add_argument("--fail-open", action="store_true", help="only the table of mistakes")
    options = parser.parse_args()
    console = Console(width=130)
    if not options.fail_open:
        own_costs(console)
        peers(console, full=options.full)
    fail_open(console)


if __name__ == "__main__":
    main()
