"""Turns what pydantic says about a document into what its author needs: the field, what is wrong, and the cure.

The wording for a field comes from its schema, so a message names the same values and bounds as the documentation.
"""

import copy
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pydantic import ValidationError
from pydantic.alias_generators import to_camel
from pydantic_core import ErrorDetails

from webhook.policy.model import discovery
from webhook.policy.model.problems import Path, shown, split_cure
from webhook.policy.model.sections import FieldError, FieldErrors
from webhook.policy.schema import json_schema

LoadFault = tuple[Path, str, str]
"""Where, what is wrong, and the cure."""

_EXPECTED = {
    "string": ("must be text", "Write it in quotes."),
    "int": ("must be a whole number", "Write it without quotes and without a fraction."),
    "float": ("must be a number", "Write it without quotes."),
    "bool": ("must be true or false", "Write true or false, without quotes."),
    "list": ("must be a list", "Write it as [a, b], or each item on a line of its own after `- `."),
    "tuple": ("must be a list", "Write it as [a, b], or each item on a line of its own after `- `."),
    "dict": ("must be a mapping", "Write `name: value` pairs, indented below it."),
    "model": ("must be a mapping", "Write its fields, indented below it."),
}
_BOUNDS = {
    "greater_than_equal": ("ge", "must be at least"),
    "less_than_equal": ("le", "must be at most"),
    "greater_than": ("gt", "must be greater than"),
    "less_than": ("lt", "must be less than"),
}
_MAX_LISTED = 12


def faults(kind: str, raw: Mapping[str, Any], error: ValidationError) -> Iterator[LoadFault]:
    """Explain every error of one document of a known kind, at most one for each field, and one for the name of each."""
    chosen: dict[tuple[Path, bool], ErrorDetails] = {}
    for details in error.errors(include_url=False):
        if _is_consequence(details):
            continue
        about = _path(details, raw), details["loc"][-1:] == ("[key]",)
        # Members of a union fail one by one; what a validator of ours says is the clearest of them.
        if about not in chosen or details["type"] == "value_error" != chosen[about]["type"]:
            chosen[about] = details
    for (path, is_name), details in chosen.items():
        for where, message, cure in _explained(kind, path, details):
            yield where, f"its name {message}" if is_name else message, cure


def beside_unknown(kind: str, raw: Mapping[str, Any], error: ValidationError) -> tuple[dict[str, Any], list[Path]]:
    """Return a document without the fields that are unknown, and the paths of what was meant by them.

    Rules across fields are judged only where each field is valid by itself, so an unknown field would hide what else is
    wrong. A misspelt field counts as what was meant by it.
    """
    without = dict(raw)
    meant: list[Path] = []
    unknown = [_path(each, raw) for each in error.errors(include_url=False) if each["type"] == "extra_forbidden"]
    for path in dict.fromkeys(unknown):
        parent: Any = without
        for step in path[:-1]:
            # What lies beside the path is shared with the document.
            parent[step] = parent = copy.copy(parent[step])
        value = parent.pop(path[-1])
        known = _meant(kind, path)
        if known is not None:
            meant.append(known)
            if known[:-1] == path[:-1]:
                parent.setdefault(known[-1], value)
    return without, meant


def _explained(kind: str, path: Path, details: ErrorDetails) -> Iterator[LoadFault]:
    cause = details.get("ctx", {}).get("error")
    if details["type"] == "value_error" and isinstance(cause, ValueError):
        yield from from_exception(path, cause)
    else:
        yield _explain(kind, path, details)


def _is_consequence(details: ErrorDetails) -> bool:
    """Whether a list is only too short without those of its items that are wrong, which are told by themselves."""
    given = details["input"]
    return details["type"] == "too_short" and isinstance(given, list) and len(given) >= details["ctx"]["min_length"]


def from_exception(path: Path, error: ValueError) -> Iterator[LoadFault]:
    """Explain what a validator, or a guardrail that compiles a section, raised at a field."""
    if isinstance(error, FieldErrors):
        for item in error.errors:
            yield from from_exception(path, item)
    elif isinstance(error, FieldError):
        base = path[: len(path) - error.up] if error.up else path
        yield (*base, *error.path), error.message, error.cure
    else:
        yield path, *split_cure(str(error))


def _path(details: ErrorDetails, raw: Any) -> Path:  # noqa: ANN401  any YAML value
    """Return the field that an error is about, without pydantic's own steps into unions and keys."""
    path: list[str | int] = []
    current = raw
    loc = details["loc"]
    for index, step in enumerate(loc):
        is_last = index == len(loc) - 1
        if _has(current, step):
            current = current[step]
            path.append(step)
        elif is_last and isinstance(current, dict) and _names_absent_field(details["type"], step):
            # Where a default was judged, pydantic names the field as Python does.
            path.append(to_camel(step) if isinstance(step, str) and "_" in step else step)
    return tuple(path)


def _has(current: object, step: str | int) -> bool:
    if isinstance(current, dict):
        return step in current
    return isinstance(current, list) and isinstance(step, int) and step < len(current)


def _names_absent_field(error_type: str, step: str | int) -> bool:
    return error_type in ("missing", "value_error") and step != "[key]"


def _explain(kind: str, path: Path, details: ErrorDetails) -> LoadFault:
    error_type = details["type"]
    context = details.get("ctx", {})
    if error_type == "extra_forbidden":
        return path, *_unknown(kind, path)
    if error_type == "missing":
        return path, "is required", _what_to_add(path, json_schema.at(kind, path))
    if error_type == "literal_error":
        return path, *_wrong_choice(kind, path, details)
    if error_type in _BOUNDS:
        name, words = _BOUNDS[error_type]
        bound = context.get(name)
        message = f"{words} {bound}, not {shown(details['input'])}"
        if name in ("gt", "lt"):
            return path, message, f"Write a {'greater' if name == 'gt' else 'smaller'} one."
        return path, message, _bounds_cure(json_schema.at(kind, path), str(bound))
    return path, *_wrong_form(details)


def _wrong_form(details: ErrorDetails) -> tuple[str, str]:
    error_type = details["type"]
    context = details.get("ctx", {})
    family, _, rest = error_type.partition("_")
    if error_type == "too_short":
        count = context.get("min_length")
        return f"must have at least {count} item{'s' if count != 1 else ''}", "Add one, or remove the field."
    if error_type == "string_pattern_mismatch":
        return f"{shown(details['input'])} does not match {context.get('pattern')}", "Write it in that form."
    if error_type in ("string_too_short", "string_too_long"):
        bound = context.get("min_length", context.get("max_length"))
        words = "at least" if error_type == "string_too_short" else "at most"
        return f"must have {words} {bound} character{'s' if bound != 1 else ''}", "Change its length."
    if family in _EXPECTED and rest in ("type", "parsing", "from_float", "attributes_type", "parsing_size"):
        message, cure = _EXPECTED[family]
        value = details["input"]
        # Text that looks like a number is the usual mistake here, so quotes show that it is text.
        return f"{message}, not {f'the text {shown(value)}' if isinstance(value, str) else shown(value)}", cure
    message = details["msg"]
    return f"{message[:1].lower()}{message[1:]}", ""


def _unknown(kind: str, path: Path) -> tuple[str, str]:
    parent = path[:-1]
    if path == ("metadata", "namespace"):
        return f"is not allowed: a {kind} has no namespace", "Remove it."
    known = list(json_schema.at(kind, parent).get("properties", {}))
    meant = _meant(kind, path)
    if meant is not None and meant[:-1] == parent:
        return "unknown field", f"Did you mean `{meant[-1]}`?"
    if meant is not None:
        where = ".".join(str(step) for step in meant[:-1] if not isinstance(step, int))
        return "unknown field here", f"Move it to {where or 'the top level'}."
    listed = ", ".join(known[:_MAX_LISTED]) + (", …" if len(known) > _MAX_LISTED else "")
    return "unknown field", f"Known here are {listed}." if listed else "Remove it."


def _meant(kind: str, path: Path) -> Path | None:
    """Return the field that was most likely meant by an unknown one: of a name like it, or of its name elsewhere."""
    parent, name = path[:-1], str(path[-1])
    near = discovery.nearest(name, json_schema.at(kind, parent).get("properties", {}))
    if near is not None:
        return (*parent, near)
    elsewhere = [found for found, _ in json_schema.fields(kind) if found[-1] == name]
    return elsewhere[0] if len(elsewhere) == 1 and elsewhere[0][:-1] != parent else None


def _what_to_add(path: Path, schema: json_schema.JsonSchema) -> str:
    name = path[-1] if path else ""
    if "const" in schema:
        return f"Add `{name}: {schema['const']}`."
    if "enum" in schema:
        return f"Add `{name}:` with one of {', '.join(map(str, schema['enum']))}."
    description = str(schema.get("description", ""))
    first = description.partition(". ")[0].rstrip(".")
    return f"Add `{name}:` ({first[0].lower()}{first[1:]})." if first else f"Add `{name}:`."


def _wrong_choice(kind: str, path: Path, details: ErrorDetails) -> tuple[str, str]:
    value = details["input"]
    schema = json_schema.at(kind, path)
    choices = [str(item) for item in schema.get("enum", [schema["const"]] if "const" in schema else [])]
    if not choices:
        return f"must be {details.get('ctx', {}).get('expected', 'another value')}, not {shown(value)}", ""
    if value is False and "off" in choices:
        return "must be text, not `false`", 'Write "off" in quotes.'
    message = f"must be {_either(choices)}, not {shown(value)}"
    near = discovery.nearest(value, choices) if isinstance(value, str) else None
    return message, f"Did you mean `{near}`?" if near else f"Write {choices[0]}."


def _either(choices: list[str]) -> str:
    return choices[0] if len(choices) == 1 else f"{', '.join(choices[:-1])} or {choices[-1]}"


def _bounds_cure(schema: json_schema.JsonSchema, bound: str) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None:
        return f"Write a number from {low} to {high}."
    return f"Write for example {bound}."


def without_nulls(raw: Mapping[str, Any], report: Callable[[Path], None]) -> dict[str, Any]:
    """Return a document without its null fields, reporting those of the spec.

    A field without a value is nearly always one whose lines were commented out or indented too little; ignoring it
    would silently disarm a guardrail. In metadata and status, nulls are what the API server prints, and mean nothing.
    """

    def walk(value: Any, path: Path) -> Any:  # noqa: ANN401  any YAML value
        if isinstance(value, dict):
            kept = {}
            for key, item in value.items():
                if item is not None:
                    kept[key] = walk(item, (*path, key))
                elif path[:1] != ("metadata",) and (*path, key) != ("status",):
                    report((*path, key))
            return kept
        if isinstance(value, list):
            return [walk(item, (*path, index)) for index, item in enumerate(value)]
        return value

    return {key: item if key == "status" else walk(item, (key,)) for key, item in _top(raw, report)}


def _top(raw: Mapping[str, Any], report: Callable[[Path], None]) -> Iterator[tuple[str, Any]]:
    for key, item in raw.items():
        if item is not None:
            yield key, item
        elif key != "status":
            report((key,))
