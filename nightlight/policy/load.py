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
from nightlight.policy.regime_models import RegimeDocument
from nightlight.policy.validate import WordValidator
from nightlight.policy.validate_regimes import validate_regimes
from nightlight.policy.validate_tiers import validate_tiers
from nightlight.policy.validate_vocabulary import validate_vocabulary
from nightlight.policy.yaml_source import YamlSource, read_yaml

if TYPE_CHECKING:
    from nightlight.policy.yaml_source import Path_

AnyDocument = TypeVar("AnyDocument", bound=Document)
MAX_CASE_FILES = MAX_REGIME_FILES = 100
_KINDS = ("vocabulary", "tiers", "rules", "retention", "checks")
# Folders of documents of one kind each, and the most files that may stand in one.
_FOLDERS = {"cases": MAX_CASE_FILES, "regimes": MAX_REGIME_FILES}
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
    regimes: tuple[tuple[YamlSource, RegimeDocument], ...] = ()


def load(folder: Path) -> Pack:
    """Read the pack in ``folder``; raise InvalidPolicy with everything that is wrong with it."""
    problems = Diagnostics()
    sources = {kind: read_yaml(folder / f"{kind}.yaml", problems) for kind in _KINDS}
    _refuse_unknown_files(folder, problems)
    listed = {name: _listed(folder, name, most, problems) for name, most in _FOLDERS.items()}
    return _pack(sources, listed["cases"], listed["regimes"], problems)


def _listed(folder: Path, name: str, most: int, problems: Diagnostics) -> list[YamlSource | None]:
    """Read the files of one folder of a pack, in the order of their names."""
    files = sorted((folder / name).glob("*.yaml"))
    if len(files) > most:
        problems.add(SourcePosition(name), "file-too-large", f"holds more than {most} files")
    return [read_yaml(path, problems, name=f"{name}/{path.name}") for path in files[:most]]


def _refuse_unknown_files(folder: Path, problems: Diagnostics) -> None:
    """Note every file that nobody reads: what stands in it would have no effect, and nobody would know."""
    names = [f"{kind}.yaml" for kind in _KINDS]
    known = frozenset({*names, *_FOLDERS, *_BESIDE})
    pack = f"a pack has {', '.join(names)}, {' and '.join(f'{name}/' for name in _FOLDERS)}"
    _refuse_unknown(folder, "", known, pack, problems)
    for name in _FOLDERS:
        where = f"{name} end in .yaml and stand in {name}/ itself"
        _refuse_unknown(folder / name, f"{name}/", frozenset(), where, problems)


def _refuse_unknown(place: Path, shown: str, known: frozenset[str], where: str, problems: Diagnostics) -> None:
    for path in sorted(place.iterdir()) if place.is_dir() else ():
        document = bool(shown) and path.suffix == ".yaml" and path.is_file()
        if path.name.startswith(".") or path.name in known or document or path.suffix in _NOTES:
            continue
        what = "folder" if path.is_dir() else "file"
        message = f"no policy document is read from this {what}: {where}"
        problems.add(SourcePosition(f"{shown}{path.name}"), "unknown-file", message)


def load_documents(documents: Mapping[str, Any]) -> Pack:
    """Check a pack given as plain values, as a bundle holds them; raises like ``load``."""
    sources: dict[str, YamlSource | None] = {
        kind: YamlSource(f"{kind}.yaml", documents.get(kind), {}) for kind in _KINDS
    }
    listed = {name: [_entry(name, plain) for plain in documents.get(name, [])] for name in _FOLDERS}
    return _pack(sources, listed["cases"], listed["regimes"], Diagnostics())


def _entry(name: str, plain: Any) -> YamlSource:
    """Return one document of a folder, as a bundle holds it, with the file that it was read from."""
    if not isinstance(plain, dict):
        return YamlSource(name, plain, {})
    return YamlSource(str(plain.get("file", name)), {key: plain[key] for key in plain if key != "file"}, {})


def _pack(
    sources: Mapping[str, YamlSource | None],
    case_sources: Sequence[YamlSource | None],
    regime_sources: Sequence[YamlSource | None],
    problems: Diagnostics,
) -> Pack:
    vocabulary = _document(sources["vocabulary"], Vocabulary, problems)
    tiers = _document(sources["tiers"], TiersDocument, problems)
    rules = _document(sources["rules"], RulesDocument, problems)
    retention = _document(sources["retention"], RetentionDocument, problems)
    checks = _document(sources["checks"], ChecksDocument, problems)
    cases = [_document(source, CasesDocument, problems) for source in case_sources]
    regimes = [_document(source, RegimeDocument, problems) for source in regime_sources]
    problems.refuse()
    if not (vocabulary and tiers and rules and retention and checks):  # pragma: no cover - refuse() has raised
        raise AssertionError
    words = WordValidator(vocabulary[1], problems)
    validate_vocabulary(*vocabulary, words, problems)
    validate_tiers(*tiers, vocabulary[1], problems)
    words.check_rules(*rules)
    words.check_retention(*retention)
    words.check_checks(*checks)
    kept = [pair for pair in cases if pair]
    for source, document in kept:
        words.check_cases(source, document)
    bound = tuple(pair for pair in regimes if pair)
    validate_regimes(bound, checks[1], words, problems)
    problems.refuse()
    documents = vocabulary[1], tiers[1], rules[1], retention[1], checks[1]
    return Pack(*documents, tuple(kept), rules[0], retention[0], checks[0], bound)


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
    return [field.alias or name for name, field in current.model_fields.items()]


def _models(annotation: object) -> Iterable[type[Document]]:
    if isinstance(annotation, type) and issubclass(annotation, Document):
        yield annotation
    for argument in getattr(annotation, "__args__", ()):
        yield from _models(argument)
