"""List every public name of the code, and check that each is a word that the field knows.

    python infra/dev/public_names.py            all names, one a line: kind, name, where
    python infra/dev/public_names.py --json     the same for machines
    python infra/dev/public_names.py --check    exit 1 where a private word is a public name, a public class name is
                                                used twice, the names of two modules differ by one letter, or a name
                                                of any kind says nothing, be it a local variable's or a test's

Public names are modules, classes, functions, methods, fields and constants without a leading underscore; settings,
metrics, log events and HTTP routes are what operators and platforms read. Everything is read from the syntax tree, so
nothing is imported.
"""

from __future__ import annotations

import argparse
import ast
import json
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PACKAGES = (
    "clients/python/nightlight_core", "clients/python/nightlight_client", "clients/django/nightlight_django",
    "nightlight", "service", "workers",
)  # fmt: skip
# Where no name of any kind may say nothing: local variables, parameters, attributes and private functions included.
READ = ("clients/python", "clients/django", "nightlight", "service", "workers", "tests", "bench", "docs", "infra")

# Words of which no public name may be made, and the word that takes their place.
PRIVATE = {
    "house": "services, container",
    "lend": "local evaluation", "lent": "delegated", "borrow": "local feed", "borrowed": "local feed",
    "gate": "rate limiter", "sighting": "abuse signal", "sightings": "abuse signals",
    "suspect": "abuse signal", "suspects": "abuse signals",
    "settle": "resolve", "settled": "resolved", "weigh": "evaluate", "weighed": "evaluation", "proves": "verify",
    "vouched": "expires", "offered": "available", "held_to": "ceiling band", "at_hand": "try_cached",
    "lean": "fast path", "patience": "client timeouts", "patient": "client timeouts", "forms": "multipart",
    "intake": "upload", "arrival": "import", "arrivals": "imports", "arrive": "notification", "arrived": "notification",
    "listen": "SQS consumer", "restate": "retention tags", "anew": "rotate names", "stray": "inconsistent",
    "traced": "trace result",
    "cage": "sandbox", "caged": "sandbox worker", "uncaged": "in process", "confine": "seccomp", "bell": "ready pipe",
    "mark": "watermark", "marks": "watermarks", "marked": "with a watermark",
    "hidden": "invisible watermark", "keeping": "retention", "giving": "delivery", "running": "process",
    "sentences": "summary", "weights": "traffic",
}  # fmt: skip
# Names that say nothing: a noun is in their place.
EMPTY = {"one", "made", "found", "told", "said", "mine", "there", "of", "house"}
# Fields and words that other people's formats prescribe, and words of everyday use: name, and where it is allowed.
ALLOWED = {
    "hidden": "a choice of the policy's vocabulary",
    "mark_published": "an act, of the outbox's",
}
# Names that Django looks for: classes inside others, and modules.
PRESCRIBED = {"Meta", "Command", "apps"}
_ROUTE = {"get", "put", "post", "delete", "head", "patch"}
_LOG = {"debug", "info", "warning", "error", "exception"}
_EVENT = re.compile(r"[a-z_]+\.[a-z_.]+")


class Name(NamedTuple):
    """A public name: its kind, itself, and the file and line where it is."""

    kind: str
    name: str
    where: str


def sources() -> Iterator[tuple[str, Path]]:
    """Return the dotted name and path of every module of the product."""
    for package in PACKAGES:
        folder = ROOT / package
        for path in sorted(folder.rglob("*.py")):
            if "versions" not in path.parts:
                parts = path.relative_to(folder.parent).with_suffix("").parts
                yield ".".join(part for part in parts if part != "__init__"), path


def names() -> list[Name]:
    """Return every public name of the product."""
    listed = []
    for module, path in sources():
        where = str(path.relative_to(ROOT))
        listed.append(Name("module", module, where))
        tree = ast.parse(path.read_text("utf-8"))
        listed += _definitions(tree, module, where)
        listed += _operators(tree, where)
    return listed


def _definitions(tree: ast.Module | ast.ClassDef, inside: str, where: str) -> Iterator[Name]:
    in_class = isinstance(tree, ast.ClassDef)
    for node in tree.body:
        at = f"{where}:{node.lineno}"
        if isinstance(node, ast.ClassDef) and _public(node.name):
            yield Name("class", node.name, at)
            yield from _definitions(node, node.name, where)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and _public(node.name):
            yield Name("method" if in_class else "function", node.name, at)
            arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            names = [argument.arg for argument in arguments if argument.arg not in {"self", "cls"}]
            yield from (Name("parameter", name, at) for name in names if _public(name))
        elif isinstance(node, ast.AnnAssign | ast.Assign):
            targets = [node.target] if isinstance(node, ast.AnnAssign) else node.targets
            kind = "setting" if inside.endswith("Settings") else "field" if in_class else "constant"
            yield from (Name(kind, target.id, at) for target in targets if _public(getattr(target, "id", "_")))


def _public(name: str) -> bool:
    return not name.startswith("_")


def _operators(tree: ast.Module, where: str) -> Iterator[Name]:
    """Return settings' prefixes, metrics, log and audit events, and routes."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not node.args:
            continue
        first = node.args[0]
        if not isinstance(first, ast.Constant) or not isinstance(first.value, str):
            continue
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        at = f"{where}:{node.lineno}"
        if called in {"Counter", "Gauge", "KnownGauge", "Histogram"}:
            yield Name("metric", first.value, at)
        elif called == "config" and where.startswith("nightlight/settings"):
            yield Name("settings prefix", first.value, at)
        elif called in _LOG | {"append"} and _EVENT.fullmatch(first.value):
            yield Name("event", first.value, at)
        elif called in _ROUTE and first.value.startswith("/"):
            yield Name("route", first.value, at)


def empty_names(tree: ast.Module, where: str) -> Iterator[Name]:
    """Yield every name bound in a module that says nothing, whatever binds it and however private it is.

    Keys of other people's formats are strings, so they are never among these.
    """
    for node in ast.walk(tree):
        for kind, name in _bound(node):
            if name.strip("_").lower() in EMPTY:
                yield Name(kind, name, f"{where}:{getattr(node, 'lineno', 1)}")


def _bound(node: ast.AST) -> Iterator[tuple[str, str]]:
    """Yield the kind and name of what a node binds."""
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
            yield "function", name
        case ast.ClassDef(name=name):
            yield "class", name
        case ast.arg(arg=name):
            yield "parameter", name
        case ast.Name(id=name, ctx=ast.Store()):
            yield "variable", name
        case ast.Attribute(attr=name, ctx=ast.Store()):
            yield "attribute", name
        case ast.alias(name=name, asname=alias):
            yield "import", alias or name.rsplit(".", 1)[-1]
        case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
            yield "variable", name
        case ast.MatchMapping(rest=str(name)):
            yield "variable", name


def empty_names_of_files() -> Iterator[str]:
    """Yield a sentence for each name that says nothing, and for each module that has such a name."""
    for folder in READ:
        for path in sorted((ROOT / folder).rglob("*.py")):
            where = path.relative_to(ROOT)
            if any(part.startswith(".") or part in {"node_modules", "var"} for part in where.parts):
                continue
            listed = [*empty_names(ast.parse(path.read_text("utf-8")), str(where))]
            listed += [Name("module", path.stem, str(where))] if path.stem.strip("_") in EMPTY else []
            yield from (f"{entry.where}: {entry.kind} {entry.name!r} says nothing; use a noun" for entry in listed)


def faults(listed: list[Name]) -> list[str]:
    """Return what is wrong with public names, one sentence each."""
    wrong = []
    for entry in listed:
        words = set(re.split(r"[^a-z]+", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", entry.name.rsplit(".", 1)[-1]).lower()))
        if entry.kind in {"event", "route", "metric"}:
            words = set(re.split(r"[^a-z]+", entry.name.lower()))
        wrong += [
            f"{entry.where}: {entry.kind} {entry.name!r} has the private word {word!r}; the field says {PRIVATE[word]}"
            for word in sorted(words & PRIVATE.keys())
            if entry.name.lower() not in ALLOWED
        ]
        lower = entry.name.rsplit(".", 1)[-1].lower()
        wrong += [
            f"{entry.where}: {entry.kind} {entry.name!r} is private; the field says {PRIVATE[phrase]}"
            for phrase in ("held_to", "at_hand")
            if phrase in lower
        ]
    return wrong + _classes_twice(listed) + _alike(listed)


def _classes_twice(listed: list[Name]) -> list[str]:
    places = defaultdict(list)
    for entry in listed:
        if entry.kind == "class" and entry.name not in PRESCRIBED:
            places[entry.name].append(entry.where)
    return [f"class {name} is defined {len(at)} times: {', '.join(at)}" for name, at in places.items() if len(at) > 1]


def _alike(listed: list[Name]) -> list[str]:
    """Return modules whose names differ by one letter: added, left out or another."""
    modules = defaultdict(list)
    for entry in listed:
        if entry.kind == "module" and entry.name.rsplit(".", 1)[-1] not in PRESCRIBED:
            modules[entry.name.rsplit(".", 1)[-1]].append(entry.name)
    stems = sorted(modules)
    return [
        f"modules {modules[left][0]} and {modules[right][0]} differ by one letter"
        for position, left in enumerate(stems)
        for right in stems[position + 1 :]
        if abs(len(left) - len(right)) <= 1 and _one_letter(left, right)
    ]


def _one_letter(left: str, right: str) -> bool:
    if len(left) == len(right):
        return sum(a != b for a, b in zip(left, right, strict=True)) == 1
    shorter, longer = sorted((left, right), key=len)
    return any(longer[:at] + longer[at + 1 :] == shorter for at in range(len(longer)))


def main() -> int:
    """Print the names, or check them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="exit 1 where a name is wrong")
    parser.add_argument("--json", action="store_true", help="one JSON array")
    options = parser.parse_args()
    listed = names()
    if options.check:
        wrong = [*faults(listed), *empty_names_of_files()]
        sys.stdout.writelines(f"{line}\n" for line in wrong)
        return 1 if wrong else 0
    if options.json:
        sys.stdout.write(json.dumps([entry._asdict() for entry in listed], indent=1) + "\n")
    else:
        sys.stdout.writelines(f"{entry.kind:16} {entry.name:60} {entry.where}\n" for entry in listed)
    return 0


if __name__ == "__main__":
    sys.exit(main())
