"""Structural schemas, as CustomResourceDefinitions need them, from the schemas of the models.

They keep no field that they do not know. Where a field is a number or a word, a structural schema knows no type for it;
it says what either must be like, and that it is nothing else (see `_scalar`).

Rules across fields need bounds, or the API server takes them for too dear to evaluate. Lists, maps and texts for which
the models give none get one that no policy comes near.
"""

import itertools
from typing import Final

from webhook.policy.model.sections import RULES_KEY
from webhook.policy.schema.json_schema import JsonSchema

COPIED: Final = (
    "description",
    "type",
    "pattern",
    "enum",
    "format",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "required",
    RULES_KEY,
)

MAX_ITEMS: Final = 256
"""Items of a list, and entries of a map, for which the model has no bound."""
MAX_LENGTH: Final = 1024
"""Characters of a text for which the model has no bound."""
_MAX_UNION: Final = 4
"""Fields of an object that may be a word instead: the schema lists every combination of them."""


def structural(node: JsonSchema, root: JsonSchema) -> JsonSchema:
    """Return the structural schema of a node.

    Args:
        node: of a JSON JsonSchema.
        root: where its references lead.

    Raises:
        TypeError: a structural schema cannot say what it says.
    """
    node = resolved(node, root)
    types = node.get("type")
    if "anyOf" in node:
        return {**_described(node), **_scalar(node["anyOf"])}
    if isinstance(types, list):
        return {**_described(node), **_union(node, types, root)}
    made: JsonSchema = {name: node[name] for name in COPIED if name in node}
    if not isinstance(types, str):
        raise TypeError(f"no structural schema can be made of {node}")
    if "const" in node:
        made["enum"] = [node["const"]]
    if isinstance(node.get("items"), dict):
        made["items"] = structural(node["items"], root)
        made.setdefault("maxItems", MAX_ITEMS)
    if "properties" in node:
        made["properties"] = {
            name: _optional(structural(each, root), is_required=name in node.get("required", ()))
            for name, each in node["properties"].items()
        }
    for each in _values(node):
        # A structural schema cannot look at keys; the loader does.
        made["additionalProperties"] = structural(each, root)
        made.setdefault("maxProperties", MAX_ITEMS)
    if made["type"] == "string" and not {"enum", "format"} & made.keys():
        made.setdefault("maxLength", MAX_LENGTH)
    return _quoted(made)


def _optional(made: JsonSchema, *, is_required: bool) -> JsonSchema:
    """Let a field without a value be kept. The API server drops it otherwise, and nobody could tell a section whose
    lines were commented out from one that was taken out."""
    return made if is_required or "enum" in made or "type" not in made else {**made, "nullable": True}


def _values(node: JsonSchema) -> list[JsonSchema]:
    found = list(node.get("patternProperties", {}).values())
    other = node.get("additionalProperties")
    return found or ([other] if isinstance(other, dict) else [])


def _union(node: JsonSchema, types: list[str], root: JsonSchema) -> JsonSchema:
    """Return the schema of what may be one of several types."""
    if "object" not in types:
        # A quantity, or a day: text, or a whole number.
        bounds: JsonSchema = {
            name: node[name] for name in ("pattern", "minimum", "maximum", "maxLength") if name in node
        }
        return {"x-kubernetes-int-or-string": True, "maxLength": MAX_LENGTH, **bounds}
    properties = {name: structural(each, root) for name, each in node["properties"].items()}
    names = sorted(properties)
    if len(names) > _MAX_UNION:
        raise TypeError(f"an object of {len(names)} fields that may be a word is too much for a schema")
    # No other field: as many as there are of those that are known.
    known = [combination for size in range(len(names) + 1) for combination in itertools.combinations(names, size)]
    return {
        **_scalar([{"type": "string", "pattern": node["pattern"]}]),
        "properties": properties,
        "not": {"enum": [True, False, []]},
        "maxProperties": len(names),
        "anyOf": [{"maxProperties": len(each), **({"required": list(each)} if each else {})} for each in known],
    }


def _scalar(choices: list[JsonSchema]) -> JsonSchema:
    """Return the schema of a number or a text.

    It has no type, so the API server keeps what it does not know there; but bounds concern only what is of their type,
    so each of the types that are not meant is refused by a bound that nothing keeps.
    """
    by_type = {each["type"]: each for each in choices}
    if not by_type.keys() <= {"number", "string"}:
        raise TypeError(f"no structural schema can be made of {choices}")
    number = by_type.get("number", {"minimum": 1, "maximum": 0})
    text = by_type.get("string", {"maxLength": 0, "minLength": 1})
    return {
        "x-kubernetes-preserve-unknown-fields": True,
        **{name: number[name] for name in ("minimum", "maximum") if name in number},
        **{name: text[name] for name in ("pattern", "minLength", "maxLength") if name in text},
        "maxProperties": 0,
        "maxItems": 0,
        "not": {"enum": [True, False, {}, []]},
    }


def _quoted(made: JsonSchema) -> JsonSchema:
    """Say of a word that YAML takes for a boolean how it is written: the API server's own refusal does not."""
    if "off" not in made.get("enum", ()):
        return made
    return {**made, "description": f'{made.get("description", "")} Write "off" in quotes.'.strip()}


def _described(node: JsonSchema) -> JsonSchema:
    return {"description": node["description"]} if "description" in node else {}


def resolved(node: JsonSchema, root: JsonSchema) -> JsonSchema:
    """Follow references; what stands beside one wins over what it refers to."""
    while "$ref" in node:
        target = root["$defs"][node["$ref"].rpartition("/")[2]]
        node = {**target, **{key: value for key, value in node.items() if key != "$ref"}}
    return node
