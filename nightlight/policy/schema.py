"""JSON Schemas of the policy files that hold the vocabulary, so that an editor completes and checks words."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from nightlight.policy.models import (
    CasesDocument,
    ChecksDocument,
    Document,
    Outcomes,
    RetentionDocument,
    RulesDocument,
    TiersDocument,
    Vocabulary,
)
from nightlight.policy.regime_models import RegimeDocument

if TYPE_CHECKING:
    from pathlib import Path

_DOCUMENTS: dict[str, type[Document]] = {
    "vocabulary": Vocabulary,
    "tiers": TiersDocument,
    "rules": RulesDocument,
    "retention": RetentionDocument,
    "checks": ChecksDocument,
    "cases": CasesDocument,
    "regimes": RegimeDocument,
}
_CONDITIONS = frozenset({"when", "unless", "where", "given"})


def schemas(vocabulary: Vocabulary) -> dict[str, dict[str, Any]]:
    """Return a schema for each kind of file, by its name without ending."""
    by_name = {}
    for name, model in _DOCUMENTS.items():
        schema = model.model_json_schema()
        schema["$schema"] = "http://json-schema.org/draft-07/schema#"
        schema["title"] = f"Nightlight policy: {name}"
        if name == "vocabulary":
            schema["properties"]["impossible"]["items"] = _condition(vocabulary, retention=False, groups=True)
        else:
            _fill(schema, vocabulary, retention=name == "retention")
        if name == "tiers":
            schema["properties"]["tiers"]["propertyNames"] = {"enum": list(vocabulary.outcomes.tier[1:])}
        by_name[name] = json.loads(json.dumps(schema).replace("#/$defs/", "#/definitions/"))
        if "$defs" in by_name[name]:
            by_name[name]["definitions"] = by_name[name].pop("$defs")
    return by_name


def schema_text(schema: dict[str, Any]) -> str:
    """Return a schema as it is written to its file."""
    return json.dumps(schema, indent=2) + "\n"


def write_schemas(vocabulary: Vocabulary, folder: Path) -> list[Path]:
    """Write every schema into ``folder``; return the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, schema in schemas(vocabulary).items():
        path = folder / f"{name}.json"
        path.write_text(schema_text(schema), "utf-8")
        written.append(path)
    return written


def _fill(node: Any, vocabulary: Vocabulary, *, retention: bool) -> None:
    """Put the vocabulary's words wherever a property by a known name takes one."""
    if isinstance(node, list):
        for item in node:
            _fill(item, vocabulary, retention=retention)
        return
    if not isinstance(node, dict):
        return
    for name, schema in list(node.get("properties", {}).items()):
        filled = _filled(name, schema, vocabulary, retention=retention)
        if filled is not None:
            node["properties"][name] = filled
    for item in node.values():
        _fill(item, vocabulary, retention=retention)


def _filled(name: str, schema: dict[str, Any], vocabulary: Vocabulary, *, retention: bool) -> dict[str, Any] | None:
    described = {"description": schema["description"]} if "description" in schema else {}
    if name in _CONDITIONS:
        return {**described, **_condition(vocabulary, retention=retention, groups=name != "given")}
    field = name.removesuffix("_at_most")
    if field in Outcomes.model_fields:
        values = getattr(vocabulary.outcomes, field)
        return {**described, "enum": list(values), "title": f"{field}, the first protects most"}
    if name == "along":
        return {**described, "enum": list(vocabulary.attributes)}
    if name == "never_more_open":
        words = list(dict.fromkeys(word for words in vocabulary.attributes.values() for word in words))
        return {**described, "type": "array", "minItems": 2, "items": {"enum": words}}
    return None


def _condition(vocabulary: Vocabulary, *, retention: bool, groups: bool) -> dict[str, Any]:
    known = {**vocabulary.attributes, **(vocabulary.retention_attributes if retention else {})}
    properties = {}
    for attribute, words in known.items():
        listed = [*words, *(vocabulary.groups.get(attribute, {}) if groups else ())]
        properties[attribute] = {
            "anyOf": [{"enum": listed}, {"type": "array", "minItems": 1, "items": {"enum": listed}}]
        }
    return {"type": "object", "properties": properties, "additionalProperties": False}
