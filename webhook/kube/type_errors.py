"""What a manifest has in the wrong type: the field with its key and line, and what to write instead.

The decoder says ``Expected `str`, got `int` - at `$.metadata.labels[...]` ``: it names neither the label nor the cure.
The object itself is at hand, so the key is found in it: the first that holds what the decoder met.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from webhook.kube.caches import remembered
from webhook.kube.source_map import SourceMap

PathStep = str | int

_MISMATCH: Final = re.compile(r"Expected `(?P<expected>[^`]+)`, got `(?P<got>[^`]+)`(?: - at `\$(?P<path>.*)`)?")
_MISSING: Final = re.compile(r"Object missing required field `(?P<name>[^`]+)`(?: - at `\$(?P<path>.*)`)?")
_STEP: Final = re.compile(r"\[\.\.\.\]|\[(?P<index>\d+)\]|\.(?P<name>[^.\[]+)")
_PLAIN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_ORIGIN: Final = re.compile(r"(?P<file>.+):(?P<line>[0-9]+)")
_ANY: Final = None
"""Step into a mapping, of a key that the decoder does not name."""

_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "str": (str,),
    "int": (int,),
    "float": (float,),
    "bool": (bool,),
    "null": (type(None),),
    "object": (dict,),
    "array": (list,),
}
_EXPECTED: Final[Mapping[str, tuple[str, str]]] = {
    "int": ("a whole number", "write it without quotes and without a fraction"),
    "float": ("a number", "write it without quotes"),
    "bool": ("true or false", "write true or false, without quotes"),
    "object": ("a mapping", "write `name: value` pairs, indented below it"),
    "array": ("a list", "write each item on a line of its own after `- `"),
}
_SHOWN: Final = 60
_LONGEST: Final = 300
_MOST_BYTES: Final = 1024 * 1024
"""Of a file that is read again for the line of a field."""


def explain(error: msgspec.ValidationError, document: Mapping[str, Any], origin: str = "") -> str:
    """Say what is wrong and how to mend it, in one line.

    Args:
        error: of the decoder.
        document: the object that was decoded, as plain data.
        origin: ``file:line`` of the object, to name the line of the field where the file can be read.
    """
    text = " ".join(str(error).split())[:_LONGEST]
    mismatch = _MISMATCH.fullmatch(text)
    if mismatch is not None:
        found = next(_matches(document, _steps(mismatch["path"]), mismatch["got"]), None)
        if found is not None:
            path, value = found
            what, cure = _cure(mismatch["expected"], path, value)
            return f"{_named(path)}{_line(origin, path)} must be {what}, not {_shown(value)}; {cure}"
    missing = _MISSING.fullmatch(text)
    if missing is not None:
        found = next(_matches(document, _steps(missing["path"]), "object", missing["name"]), None)
        path = (*found[0], missing["name"]) if found is not None else (missing["name"],)
        return f"{_named(path)}{_line(origin, path)} is required; add it"
    return f"{text}; mend that field, see kubectl explain"


def _steps(path: str | None) -> list[PathStep | None]:
    found = _STEP.finditer(path or "")
    return [match["name"] or (int(match["index"]) if match["index"] else _ANY) for match in found]


def _matches(
    value: Any,  # noqa: ANN401  any JSON value
    steps: list[PathStep | None],
    got: str,
    lacks: str = "",
    before: tuple[PathStep, ...] = (),
) -> Iterator[tuple[tuple[PathStep, ...], Any]]:
    """Yield the fields that a path may mean and that hold a value of the type that the decoder met."""
    if not steps:
        is_met = isinstance(value, _TYPES.get(got, ())) and (got == "bool" or not isinstance(value, bool))
        if is_met and not (lacks and lacks in value):
            yield before, value
        return
    step, rest = steps[0], steps[1:]
    if step is _ANY:
        if isinstance(value, dict):
            for key, each in value.items():
                yield from _matches(each, rest, got, lacks, (*before, key))
    elif _has(value, step):
        yield from _matches(value[step], rest, got, lacks, (*before, step))


def _has(value: object, step: PathStep) -> bool:
    if isinstance(value, dict):
        return step in value
    return isinstance(value, list) and isinstance(step, int) and step < len(value)


def _cure(expected: str, path: tuple[PathStep, ...], value: object) -> tuple[str, str]:
    kinds = [kind for kind in expected.split(" | ") if kind != "null"]
    if "str" in kinds:
        key = path[-1] if path and isinstance(path[-1], str) else ""
        if isinstance(value, bool):
            word = "an unquoted word such as on, yes or y" if value else "an unquoted word such as Off, no or n"
            return "text", f"YAML reads {word} as {json.dumps(value)}: write the word in quotes"
        if isinstance(value, int | float):
            before = f"{key}: " if len(key) <= _SHOWN and key.isprintable() and key else ""
            return "text", f'write it in quotes: {before}"{_digits(value)}"'
        return "text", "write one text"
    known = [_EXPECTED[kind] for kind in kinds if kind in _EXPECTED]
    if known and len(known) == len(kinds):
        return " or ".join(what for what, _ in known), known[0][1]
    return expected, "see kubectl explain"


def _digits(value: float) -> str:
    try:
        return str(value)[:_SHOWN]
    except ValueError:  # An integer of thousands of digits has no text by default.
        return "..."


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, int | float):
        return f"the number {_digits(value)}"
    return f"the text {json.dumps(str(value)[:_SHOWN], ensure_ascii=True)}"


def _named(path: tuple[PathStep, ...]) -> str:
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif _PLAIN.fullmatch(step):
            text += f".{step}" if text else step
        else:
            text += f"[{json.dumps(step[:_SHOWN])}]"
    return text or "the object"


def _line(origin: str, path: tuple[PathStep, ...]) -> str:
    match = _ORIGIN.fullmatch(origin)
    if match is None:
        return ""
    file, at = Path(match["file"]), int(match["line"])
    try:
        status = file.stat()
        line = _places(file, status.st_mtime_ns, status.st_size).line_of(at, path)
    except (OSError, ValueError):
        return ""
    return f" (line {line})" if line != at else ""


@remembered("error_places", 1)
def _places(file: Path, _changed: int, size: int) -> SourceMap:
    """Return the places of a file, of which one is remembered: it may hold many objects with the same mistake."""
    text = file.read_text(encoding="utf-8-sig") if size <= _MOST_BYTES else ""
    return SourceMap(text, range(1, text.count("\n") + 2))
