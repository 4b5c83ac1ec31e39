"""A folder of policy files to one checked pack, with every problem found along the way."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import ValidationError

from nightlight.policy.diagnostics import Diagnostics, SourcePosition
from nightlight.policy.messages import in_words
from nightlight.policy.models import (
    CasesDocument,
    ChecksDocument,
    Document,
    RetentionDocument,
    RulesDocument,
    TiersDocument,
    Vocabulary,
)
from nightlight.policy.validate import VocabularyValidator
from nightlight.policy.yaml_source import YamlSource, read_yaml

if TYPE_CHECKING:
    from nightlight.policy.yaml_source import Path_

AnyDocument = TypeVar("AnyDocument", bound=Document)
MAX_CASE_FILES = 100
_KINDS = ("vocabulary", "tiers", "rules", "retention", "checks")
# What may stand in a pack's folder beside its documents: generated schemas, and notes for people.
_BESIDE = frozenset({"schema", "CODEOWNERS"})
_NOTES = frozenset({".md", ".txt"})


@dataclass(frozen=True, slots=True)
class Pack:
    """A policy pack whose every word is known; conditions are still as written (groups not expanded)."""

    vocabulary: Vocabulary
    tiers: TiersDocument
    rules: RulesDocument
    retention: RetentionDocument
    checks: ChecksDocument
    cases: tuple[tuple[YamlSource, CasesDocument], ...]
    rules_source: YamlSource
    retention_source: YamlSource
    checks_source: YamlSource


def load(folder: Path) -> Pack:
    """Read the pack in ``folder``; raise PolicyProblems with everything that is wrong with it."""
    problems = Diagnostics()
    sources = {kind: read_yaml(folder / f"{kind}.yaml", problems) for kind in _KINDS}
    _refuse_unknown_files(folder, problems)
    case_files = sorted((folder / "cases").glob("*.yaml"))
    if len(case_files) > MAX_CASE_FILES:
        problems.add(SourcePosition("cases"), "file-too-large", f"holds more than {MAX_CASE_FILES} files")
    cases = [read_yaml(path, problems, name=f"cases/{path.name}") for path in case_files[:MAX_CASE_FILES]]
    return _pack(sources, cases, problems)


def _refuse_unknown_files(folder: Path, problems: Diagnostics) -> None:
    """Note every file that nobody reads: what stands in it would have no effect, and nobody would know."""
    names = [f"{kind}.yaml" for kind in _KINDS]
    places = ((folder, "", frozenset({*names, "cases", *_BESIDE})), (folder / "cases", "cases/", frozenset[str]()))
    for place, shown, known in places:
        for path in sorted(place.iterdir()) if place.is_dir() else ():
            case = place != folder and path.suffix == ".yaml" and path.is_file()
            if path.name.startswith(".") or path.name in known or case or path.suffix in _NOTES:
                continue
            what = "folder" if path.is_dir() else "file"
            where = (
                "cases end in .yaml and stand in cases/ itself" if shown else f"a pack has {', '.join(names)}, cases/"
            )
            message = f"no policy document is read from this {what}: {where}"
            problems.add(SourcePosition(f"{shown}{path.name}"), "unknown-file", message)


def load_documents(documents: Mapping[str, Any]) -> Pack:
    """Check a pack given as plain values, as a bundle holds them; raises like ``load``."""
    sources: dict[str, YamlSource | None] = {
        kind: YamlSource(f"{kind}.yaml", documents.get(kind), {}) for kind in _KINDS
    }
    cases = [
        YamlSource(str(plain["file"]), {key: value for key, value in plain.items() if key != "file"}, {})
        for plain in documents.get("cases", [])
    ]
    return _pack(sources, cases, Diagnostics())


def _pack(
    sources: Mapping[str, YamlSource | None], case_sources: Sequence[YamlSource | None], problems: Diagnostics
) -> Pack:
    vocabulary = _document(sources["vocabulary"], Vocabulary, problems)
    tiers = _document(sources["tiers"], TiersDocument, problems)
    rules = _document(sources["rules"], RulesDocument, problems)
    retention = _document(sources["retention"], RetentionDocument, problems)
    checks = _document(sources["checks"], ChecksDocument, problems)
    cases = [_document(source, CasesDocument, problems) for source in case_sources]
    problems.refuse()
    if not (vocabulary and tiers and rules and retention and checks):  # pragma: no cover - refuse() has raised
        raise AssertionError
    words = VocabularyValidator(vocabulary[1], problems)
    words.check_vocabulary(vocabulary[0])
    words.check_tiers(*tiers)
    words.check_rules(*rules)
    words.check_retention(*retention)
    words.check_checks(*checks)
    kept = [pair for pair in cases if pair]
    for source, document in kept:
        words.check_cases(source, document)
    problems.refuse()
    return Pack(
        vocabulary[1], tiers[1], rules[1], retention[1], checks[1], tuple(kept), rules[0], retention[0], checks[0]
    )


def _document(
    source: YamlSource | None, model: type[AnyDocument], problems: Diagnostics
) -> tuple[YamlSource, AnyDocument] | None:
    if source is None:
        return None
    try:
        return source, model.model_validate(source.value)
    except ValidationError as error:
        for item in error.errors(include_url=False):
            loc: Path_ = tuple(part for part in item["loc"] if part != "[key]")
            code = "unknown-key" if item["type"] == "extra_forbidden" else "wrong-value"
            problems.add(source.position(loc), code, in_words(item, loc, _fields(model, loc)))
        return None


def _fields(model: type[Document], loc: Path_) -> Iterable[str]:
    """Return the keys allowed where ``loc`` points: walk the model's annotations as far as they are models."""
    current: type[Document] = model
    for part in loc[:-1]:
        if not isinstance(part, str) or part not in current.model_fields:
            continue
        for candidate in _models(current.model_fields[part].annotation):
            current = candidate
    return list(current.model_fields)


def _models(annotation: object) -> Iterable[type[Document]]:
    if isinstance(annotation, type) and issubclass(annotation, Document):
        yield annotation
    for argument in getattr(annotation, "__args__", ()):
        yield from _models(argument)
