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

from rich.console import Console
from rich.table import Table

from nightlight.policy.compile import compile_folder, compile_pack
from nightlight.policy.diff import diff
from nightlight.policy.load import load
from nightlight.policy.mutate import mutate
from nightlight.policy.prove import prove

ROOT = Path(__file__).parents[1]
PACK = ROOT / "policies"
LARGE = "  device: [phone, tablet, desktop, watch, car]\n"


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


def own_costs(console):
    table = Table(title="Load, prove, compare")
    for name in ("what", "combinations", "CPU s", "peak MB"):
        table.add_column(name, justify="left" if name == "what" else "right")
    with tempfile.TemporaryDirectory() as temporary:
        large = Path(temporary) / "large"
        shutil.copytree(PACK, large)
        text = (large / "vocabulary.yaml").read_text()
        (large / "vocabulary.yaml").write_text(text.replace("  hold: [", LARGE + "  hold: [", 1))
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
        for title, action, compiled in (
            ("load and compile, warm", lambda: compile_folder(PACK), small),
            ("prove", lambda: prove(small), small),
            ("prove, a large pack", lambda: prove(big), big),
            ("mutate", lambda: mutate(small), small),
            ("diff of an edit", lambda: diff(small, compile_pack(load(edited))), small),
        ):
            seconds, _ = cpu(action)
            table.add_row(title, f"{len(compiled.table):,}", f"{seconds:.3f}", "")
        other = compile_pack(load(edited))
        seconds, _ = cpu(lambda: diff(small, other))
        table.add_row("diff of two compiled packs", f"{len(small.table):,}", f"{seconds:.3f}", "")
    console.print(table)


# --- the same rules in other engines --------------------------------------------------------------------------


class Rules:
    """The default pack's rules with groups written out: (limit of the tier, when, unless), most protective first."""

    def __init__(self, compiled):
        self.space = compiled.space
        self.tiers = compiled.pack.vocabulary.outcomes.tier
        self.attributes = list(self.space.attributes)
        self.rules = []
        for rule, limits in zip(compiled.pack.rules.rules, compiled.limits, strict=True):
            if "tier" in limits:
                plain = [
                    {n: sorted(self.space.words(n, w)) for n, w in part.items()} for part in (rule.when, rule.unless)
                ]
                self.rules.append((limits["tier"], *plain))
        self.rules.sort(key=lambda rule: rule[0])


def cel(rules):
    import cel as engine

    def clause(condition):
        return " && ".join(f"{name} in {json.dumps(words)}" for name, words in condition.items()) or "true"

    def whole(rule):
        _, when, unless = rule
        return f"({clause(when)}" + (f" && !({clause(unless)})" if unless else "") + ")"

    text = "-1"
    for rank in sorted({rule[0] for rule in rules.rules}, reverse=True):
        conditions = " || ".join(whole(rule) for rule in rules.rules if rule[0] == rank)
        text = f"({conditions}) ? {rank} : ({text})"
    program = engine.compile(text)
    return program.execute


def rego(rules):
    from regopy import Input, Interpreter

    lines = ["package nightlight", "import rego.v1"]
    for number, (rank, when, unless) in enumerate(rules.rules):
        body = [f"input.{name} in {json.dumps(words)}" for name, words in when.items()]
        if unless:
            inner = "; ".join(f"input.{name} in {json.dumps(words)}" for name, words in unless.items())
            lines.append(f"except_{number} if {{ {inner} }}")
            body.append(f"not except_{number}")
        lines.append(f"caps contains {rank} if {{ {'; '.join(body) or 'true'} }}")
    lines.append("tier := min(caps)")
    interpreter = Interpreter()
    interpreter.add_module("nightlight", "\n".join(lines))
    bundle = interpreter.build(None, ["nightlight/tier"])

    def decide(given):
        interpreter.set_input_term(json.dumps(given)) if not hasattr(
            interpreter, "set_input"
        ) else interpreter.set_input(Input(given))
        output = interpreter.query_bundle_entrypoint(bundle, "nightlight/tier")
        return int(json.loads(str(output))["expressions"][0])

    return decide


def cedar(rules):
    """Cedar answers yes or no, so a tier is asked for in one batch: is each of them allowed?"""
    import cedarpy

    def clause(condition):
        parts = []
        for name, words in condition.items():
            parts.append("(" + " || ".join(f'context.{name} == "{word}"' for word in words) + ")")
        return " && ".join(parts) or "true"

    policies = ["permit(principal, action, resource);"]
    for rank, when, unless in rules.rules:
        above = [f'Action::"{tier}"' for tier in rules.tiers[rank + 1 :]]
        if above:
            tail = f" unless {{ {clause(unless)} }}" if unless else ""
            policies.append(
                f"forbid(principal, action in [{', '.join(above)}], resource) when {{ {clause(when)} }}{tail};"
            )
    parsed = cedarpy.PolicySet.from_str("\n".join(policies))
    entities = cedarpy.Entities.from_json_str("[]")
    shown = rules.tiers[1:]

    def decide(given):
        requests = [
            {"principal": 'User::"v"', "action": f'Action::"{tier}"', "resource": 'Picture::"p"', "context": given}
            for tier in shown
        ]
        answers = cedarpy.is_authorized_batch(requests, parsed, entities)
        return sum(answer.allowed for answer in answers)

    return decide


def casbin(rules):
    """Casbin answers yes or no too: each tier is asked for, from the largest down."""
    import casbin as engine
    from casbin.model import Model

    model = Model()
    model.load_model_from_text(
        "[request_definition]\nr = sub, act\n[policy_definition]\np = rule, act, eft\n"
        "[policy_effect]\ne = some(where (p.eft == allow)) && !some(where (p.eft == deny))\n"
        "[matchers]\nm = r.act == p.act && eval(p.rule)\n"
    )
    enforcer = engine.Enforcer(model)

    def clause(condition):
        return (
            " && ".join(
                "(" + " || ".join(f"r.sub.{name} == '{word}'" for word in words) + ")"
                for name, words in condition.items()
            )
            or "true"
        )

    for tier in rules.tiers[1:]:
        enforcer.add_policy("r.sub.relation != ''", tier, "allow")
    for rank, when, unless in rules.rules:
        text = clause(when) + (f" && !({clause(unless)})" if unless else "")
        for tier in rules.tiers[rank + 1 :]:
            enforcer.add_policy(text, tier, "deny")

    class Subject:
        def __init__(self, given):
            self.__dict__.update(given)

    def decide(given):
        subject = Subject(given)
        for rank in range(len(rules.tiers) - 1, 0, -1):
            if enforcer.enforce(subject, rules.tiers[rank]):
                return rank
        return 0

    return decide


ENGINES = {"common-expression-language": cel, "regopy": rego, "cedarpy": cedar, "casbin": casbin}
RETURNS_A_TIER = {"common-expression-language", "regopy"}


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
    decide = compiled.table.decide
    seconds, _ = cpu(lambda: [decide(given) for given in possible])
    ours = len(possible) / seconds
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


# --- what happens when something is misspelt --------------------------------------------------------------------

GIVEN = {"subject_age": "age_13_15", "relation": "stranger"}
MISTAKES = {
    "nothing wrong": ("subject_age", "age_13_15", GIVEN),
    "attribute misspelt in the rule": ("subject_aeg", "age_13_15", GIVEN),
    "value misspelt in the rule": ("subject_age", "age_13_51", GIVEN),
    "input missing": ("subject_age", "age_13_15", {"relation": "stranger"}),
    "unknown value in the input": ("subject_age", "age_13_15", {**GIVEN, "subject_age": "13-15"}),
}


def nightlight_shaped(attribute, value, given):
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for name in ("vocabulary", "tiers", "retention", "checks"):
            shutil.copy(PACK / f"{name}.yaml", folder)
        (folder / "checks.yaml").write_text("format: policy/1\n")
        rules = (
            "format: policy/1\npack: p\nversion: '1'\nrules:\n"
            "  - {id: all, why: w, at_most: {tier: full, cache_s: 300, per_hour: 600}}\n"
            f"  - {{id: minors, why: w, when: {{{attribute}: {value}, relation: stranger}}, at_most: {{tier: none}}}}\n"
        )
        (folder / "rules.yaml").write_text(rules)
        compiled = compile_pack(load(folder))
        others = {"region": "eu", "viewer": "adult", "context": "profile", "choice": "everyone", "hold": "clear"}
        return compiled.table.decide({**others, **given}).tier != "none"


def cel_shaped(attribute, value, given):
    import cel as engine

    return not engine.compile(f"{attribute} == '{value}' && relation == 'stranger'").execute(given)


def rego_shaped(attribute, value, given):
    from regopy import Input, Interpreter

    interpreter = Interpreter()
    interpreter.add_module(
        "p",
        f'package p\nimport rego.v1\ndeny if {{ input.{attribute} == "{value}"; input.relation == "stranger" }}\n'
        "default allow := false\nallow if { not deny }\n",
    )
    bundle = interpreter.build(None, ["p/allow"])
    interpreter.set_input(Input(given))
    return bool(json.loads(str(interpreter.query_bundle_entrypoint(bundle, "p/allow")))["expressions"][0])


def cedar_shaped(attribute, value, given):
    import cedarpy

    text = (
        "permit(principal, action, resource);\n"
        f'forbid(principal, action, resource) when {{ context.{attribute} == "{value}" && context.relation == "stranger" }};'
    )
    request = {"principal": 'User::"v"', "action": 'Action::"see"', "resource": 'Picture::"p"', "context": given}
    return cedarpy.is_authorized(request, text, []).allowed


def casbin_shaped(attribute, value, given):
    import casbin as engine
    from casbin.model import Model

    model = Model()
    model.load_model_from_text(
        "[request_definition]\nr = sub\n[policy_definition]\np = rule, eft\n"
        "[policy_effect]\ne = !some(where (p.eft == deny))\n[matchers]\nm = eval(p.rule)\n"
    )
    enforcer = engine.Enforcer(model)
    enforcer.add_policy(f"r.sub.{attribute} == '{value}' && r.sub.relation == 'stranger'", "deny")
    subject = type("Subject", (), {})()
    subject.__dict__.update(given)
    return enforcer.enforce(subject)


SHAPED = {
    "nightlight": nightlight_shaped,
    "cedarpy": cedar_shaped,
    "regopy": rego_shaped,
    "casbin": casbin_shaped,
    "common-expression-language": cel_shaped,
}


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
                said = (
                    "refused at start" if type(error).__name__ == "PolicyProblems" else f"error: {type(error).__name__}"
                )
                row.append(said)
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
