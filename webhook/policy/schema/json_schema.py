"""JSON Schema of the policy YAML, made from the models, for editors and for the wording of errors.

Fields, types, bounds and descriptions come from the models alone, so that the schema cannot drift from what the loader
accepts. It says no more than JSON Schema can: rules across fields are the loader's.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, JsonSchemaValue, JsonSchemaWarningKind
from pydantic_core import core_schema

from webhook.policy.model import discovery, envelope
from webhook.policy.model.problems import Path
from webhook.policy.model.sections import RULES_KEY

DIALECT = "https://json-schema.org/draft/2020-12/schema"

JsonSchema = dict[str, Any]


class _Generator(GenerateJsonSchema):
    """A null is no value in a policy file, so an optional field is simply one that is not required."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def handle_invalid_for_json_schema(self, schema: core_schema.CoreSchema, error_info: str) -> JsonSchemaValue:
        # A type that only Python can judge is left to the loader, which judges everything again.
        del schema, error_info
        return {}

    def emit_warning(self, kind: JsonSchemaWarningKind, detail: str) -> None:
        # The only warning there is says that a default such as a Decimal has no JSON form; it is left out then.
        del kind, detail

    def generate(self, schema: core_schema.CoreSchema, mode: JsonSchemaMode = "validation") -> JsonSchemaValue:
        tidy: JsonSchemaValue = _tidy(super().generate(schema, mode))
        return tidy


def _tidy(node: Any, *, names: bool = False) -> Any:  # noqa: ANN401  any JSON value
    """Drop titles, which only repeat names, and null defaults. `names` is True for a mapping of field names."""
    if isinstance(node, list):
        return [_tidy(item) for item in node]
    if not isinstance(node, dict):
        return node
    kept = node.items()
    if not names:
        kept = [(k, v) for k, v in kept if k != "title" and not (k == "default" and v is None)]  # type: ignore[assignment]  # both are iterables of pairs
    return {key: _tidy(value, names=key in ("properties", "$defs") and not names) for key, value in kept}


def with_rules(kind: str) -> JsonSchema:
    """Return the schema of one kind with the rules across fields that the API server can judge.

    Raises:
        KeyError: there is no such kind.
    """
    return _document(kind)


def _without_rules(node: Any) -> Any:  # noqa: ANN401  any JSON value
    if isinstance(node, list):
        return [_without_rules(item) for item in node]
    if not isinstance(node, dict):
        return node
    return {key: _without_rules(item) for key, item in node.items() if key != RULES_KEY}


@cache
def _document(kind: str) -> JsonSchema:
    document: JsonSchema = envelope.document_model(discovery.kinds()[kind]).model_json_schema(
        schema_generator=_Generator
    )
    return document


def schema(kind: str | None = None) -> JsonSchema:
    """Return the schema of one kind, or of a document of any kind.

    Raises:
        KeyError: there is no such kind.
    """
    if kind is not None:
        return {"$schema": DIALECT, "title": kind, **_without_rules(_document(kind))}
    definitions: JsonSchema = {}
    for name in discovery.kinds():
        document = dict(_without_rules(_document(name)))
        definitions.update(document.pop("$defs", {}))
        definitions[name] = document
    return {
        "$schema": DIALECT,
        "title": "Podgate policy",
        "oneOf": [{"$ref": f"#/$defs/{name}"} for name in discovery.kinds()],
        "$defs": dict(sorted(definitions.items())),
    }


def at(kind: str, path: Path) -> JsonSchema:
    """Return the schema of the field at a path, or an empty one where the schema knows no such field."""
    root = _document(kind)
    node = _resolve(root, root)
    for step in path:
        if isinstance(step, int):
            child = node.get("items")
        else:
            child = node.get("properties", {}).get(step)
            if child is None and isinstance(node.get("additionalProperties"), Mapping):
                child = node["additionalProperties"]
        if not isinstance(child, dict):
            return {}
        node = _resolve(root, child)
    return node


def _resolve(root: JsonSchema, node: JsonSchema) -> JsonSchema:
    """Follow references; what stands beside a reference, such as a description, wins over what it refers to."""
    while "$ref" in node:
        target = root["$defs"][node["$ref"].rpartition("/")[2]]
        node = {**target, **{key: value for key, value in node.items() if key != "$ref"}}
    return node


@cache
def fields(kind: str) -> tuple[tuple[Path, JsonSchema], ...]:
    """Return all fields of a kind, list items as index 0, each with its schema."""
    return tuple(_walk(kind))


def _walk(kind: str) -> Iterator[tuple[Path, JsonSchema]]:
    pending: list[Path] = [()]
    while pending:
        path = pending.pop()
        node = at(kind, path)
        if path:
            yield path, node
        pending.extend((*path, name) for name in reversed(node.get("properties", {})))
        if isinstance(node.get("items"), dict):
            pending.append((*path, 0))
