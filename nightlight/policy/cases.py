"""Cases: examples with the expected answer. A list of words in ``given`` stands for one case each."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from nightlight.policy.dates import when_text
from nightlight.policy.models import Outcomes

if TYPE_CHECKING:
    from nightlight.policy.compile import Compiled
    from nightlight.policy.models import Case, CasesDocument
    from nightlight.policy.yaml_source import Path_, YamlSource

CaseFiles = Sequence[tuple["YamlSource", "CasesDocument"]]
MAX_EXPANDED = 10_000


@dataclass(frozen=True, slots=True)
class CaseResult:
    """One combination of one case; ``failures`` is empty where the answer is the one expected."""

    file: str
    line: int
    name: str
    given: dict[str, str]
    failures: tuple[tuple[Path_, str], ...]


def expand(case: Case) -> Iterator[dict[str, str]]:
    """Yield every combination that a case stands for."""
    names = list(case.given)
    for words in itertools.product(*case.given.values()):
        yield dict(zip(names, words, strict=True))


def cases_on(files: CaseFiles, day: str | None) -> CaseFiles:
    """Return the cases that speak of a day: those of that day and those of every day; all cases where it is None."""
    if day is None:
        return files
    chosen = [tuple(case for case in document.cases if case.on in {None, day}) for _, document in files]
    return [
        (source, document.model_copy(update={"cases": cases}))
        for (source, document), cases in zip(files, chosen, strict=True)
    ]


def run_cases(files: CaseFiles, compiled: Compiled) -> Iterator[CaseResult]:
    """Yield the result of every combination of every case, on its day or on all dates of the pack.

    Where several rules give the tier, a case may name any of them in ``because``.
    """
    for source, document in files:
        for index, case in enumerate(document.cases):
            path: Path_ = ("cases", index)
            several = any(len(words) > 1 for words in case.given.values())
            for period in compiled.periods if case.on is None else [compiled.on(case.on)]:
                for given in expand(case):
                    name = case.name
                    if several:
                        listed = (given[attribute] for attribute, words in case.given.items() if len(words) > 1)
                        name = f"{case.name} [{'-'.join(listed)}]"
                    name += when_text(period.begins) if case.on is None else f" on {case.on}"
                    failures = _failures(case, given, period, (*path, "expect"))
                    yield CaseResult(source.file, source.position(path).line, name, given, failures)


def _failures(case: Case, given: Mapping[str, str], compiled: Compiled, path: Path_) -> tuple[tuple[Path_, str], ...]:
    """Return what a combination is answered otherwise than a case expects."""
    outcome = compiled.table.decide(given)
    rules = _rules(compiled, given, outcome.rule)
    bound = " and ".join(f"'{rule}'" for rule in rules)
    got = {field: getattr(outcome, field) for field in Outcomes.model_fields}
    return tuple(
        ((*path, field), f"expected {field} {value}, got {got.get(field, rules[0])} (bound by {bound})")
        for field, value in case.expect.model_dump(exclude_none=True).items()
        if (value not in rules if field == "because" else got[field] != value)
    )


def _rules(compiled: Compiled, given: Mapping[str, str], first: str) -> list[str]:
    """Return the rules that give a combination's tier, the one that the table names first."""
    position = compiled.space.position(given)
    if compiled.impossible[position]:
        return [first]
    rules = compiled.pack.rules.rules
    bound = [
        rules[number].id for number in compiled.applied(position) if "tier" in compiled.bound_fields(number, position)
    ]
    return [first, *(rule for rule in bound if rule != first)]


def try_cases(files: CaseFiles, compiled: Compiled) -> Iterator[tuple[YamlSource, Path_, str]]:
    """Yield (source, path, message) for every expectation that is not met."""
    sources = {source.file: source for source, _ in files}
    for result in run_cases(files, compiled):
        for path, message in result.failures:
            yield sources[result.file], path, f"case '{result.name}': {message}"


def junit(results: Sequence[CaseResult]) -> str:
    """Return the results as JUnit XML, one suite a file."""
    root = ET.Element("testsuites", name="policy cases")
    for file, group in itertools.groupby(results, key=lambda result: result.file):
        listed = list(group)
        failed = sum(bool(result.failures) for result in listed)
        suite = ET.SubElement(root, "testsuite", name=file, tests=str(len(listed)), failures=str(failed))
        for result in listed:
            element = ET.SubElement(
                suite, "testcase", classname=file, name=result.name, file=file, line=str(result.line)
            )
            if result.failures:
                text = "; ".join(message for _, message in result.failures)
                ET.SubElement(element, "failure", message=text).text = str(result.given)
    ET.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"
