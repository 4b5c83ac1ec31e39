"""Other policy engines holding the same rules, for bench/policy.py; each is imported where it is asked."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

from nightlight.policy.compile import compile_pack
from nightlight.policy.load import load

PACK = Path(__file__).parents[1] / "policies"


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
            "  - {id: all, why: w, at_most: {tier: full, capture: allow, cache_s: 300, per_hour: 600}}\n"
            f"  - {{id: minors, why: w, when: {{{attribute}: {value}, relation: stranger}}, at_most: {{tier: none}}}}\n"
        )
        (folder / "rules.yaml").write_text(rules)
        compiled = compile_pack(load(folder))
        others = {
            "assurance": "verified",
            "region": "eu",
            "viewer": "adult",
            "context": "profile",
            "choice": "everyone",
            "report_flag": "clear",
        }
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
