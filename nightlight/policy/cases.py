"""Cases: examples with the expected answer. A list of words in ``given`` stands for one case each."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

if TYPE_CHECKING:
    from nightlight.policy.models import Case, CasesDocument
    from nightlight.policy.yaml_source import Path_, YamlSource
    from nightlight_core.policy.table import Table

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


def run_cases(files: CaseFiles, table: Table) -> Iterator[CaseResult]:
    """Yield the result of every combination of every case."""
    for source, document in files:
        for index, case in enumerate(document.cases):
            path: Path_ = ("cases", index)
            expected = case.expect.model_dump(exclude_none=True)
            several = any(len(words) > 1 for words in case.given.values())
            for given in expand(case):
                outcome = table.decide(given)
                got = {
                    "tier": outcome.tier,
                    "cache_s": outcome.cache_s,
                    "per_hour": outcome.per_hour,
                    "because": outcome.rule,
                }
                failures = tuple(
                    (
                        (*path, "expect", field),
                        f"expected {field} {value}, got {got[field]} (bound by '{outcome.rule}')",
                    )
                    for field, value in expected.items()
                    if got[field] != value
                )
                name = case.name
                if several:
                    listed = (given[attribute] for attribute, words in case.given.items() if len(words) > 1)
                    name = f"{case.name} [{'-'.join(listed)}]"
                yield CaseResult(source.file, source.position(path).line, name, given, failures)


def try_cases(files: CaseFiles, table: Table) -> Iterator[tuple[YamlSource, Path_, str]]:
    """Yield (source, path, message) for every expectation that is not met."""
    sources = {source.file: source for source, _ in files}
    for result in run_cases(files, table):
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
