"""Finds case files and reads them; what is wrong is one line with file, line, field and cure.

A directory may hold anything beside case files. A file is read where it says ``kind: Case``, and all of its other
documents are left alone.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path as FilePath
from typing import Any, NamedTuple

from pydantic import ValidationError

from webhook.policy.loading import yaml_documents
from webhook.policy.model import discovery
from webhook.policy.model.problems import Path, PolicyProblem, render_path, shown
from webhook.policy.model.sections import FieldError, FieldErrors
from webhook.simulate.cases.model import KIND, CaseDocument, CaseSpec

_MARK = re.compile(rb"^kind:\s*[\"']?Case\b", re.MULTILINE)
_SUFFIXES = frozenset({".yaml", ".yml"})
_MAX_BYTES = 4 * 1024 * 1024


class CaseFile(NamedTuple):
    """One document of cases."""

    path: FilePath
    name: str
    """``metadata.name``."""
    spec: CaseSpec
    document: yaml_documents.YamlDocument
    """As read, with the position of each field."""

    def line_of(self, *path: str | int) -> int:
        """Return the line of a field, or of the nearest one around it."""
        while path and path not in self.document.positions:
            path = path[:-1]
        return self.document.positions[path].line


class CaseFiles(NamedTuple):
    """What a path holds."""

    files: list[CaseFile]
    problems: list[PolicyProblem]


def find(path: FilePath) -> CaseFiles:
    """Read the case files at a path: a file, or all files below a directory, hidden ones left out."""
    found = CaseFiles([], [])
    if not path.exists():
        found.problems.append(PolicyProblem(str(path), 0, 0, "", "does not exist", "Give a case file or a directory."))
        return found
    for file in _files(path):
        _read(file, found)
    if not found.files and not found.problems:
        cure = f"Write a document of kind {KIND}; podgate schema {KIND} prints its fields."
        found.problems.append(PolicyProblem(str(path), 0, 0, "", "holds no cases", cure))
    return found


def _files(path: FilePath) -> Iterator[FilePath]:
    if not path.is_dir():
        yield path
        return
    for entry in sorted(path.iterdir()):
        if entry.name.startswith("."):
            continue
        if entry.is_dir() and not entry.is_symlink():
            yield from _files(entry)
        elif entry.suffix in _SUFFIXES:
            yield entry


def _read(file: FilePath, found: CaseFiles) -> None:
    try:
        content = file.read_bytes() if file.stat().st_size <= _MAX_BYTES else b""
        if not _MARK.search(content):
            return
        text = content.decode("utf-8-sig")
    except OSError as error:
        found.problems.append(PolicyProblem(str(file), 0, 0, "", error.strerror or str(error), "Make it readable."))
        return
    except UnicodeDecodeError:
        found.problems.append(PolicyProblem(str(file), 0, 0, "", "is not valid UTF-8", "Save the file in UTF-8."))
        return
    parsed = yaml_documents.parse(text, str(file))
    found.problems.extend(parsed.problems)
    for document in parsed.documents:
        if isinstance(document.value, dict) and document.value.get("kind") == KIND:
            _add(file, document, found)


def _add(file: FilePath, document: yaml_documents.YamlDocument, found: CaseFiles) -> None:
    try:
        case = CaseDocument.model_validate(document.value)
    except ValidationError as error:
        found.problems.extend(_problem(file, document, path, *words) for path, words in _faults(document.value, error))
        return
    found.files.append(CaseFile(file, case.metadata.name, case.spec, document))


def _problem(
    file: FilePath, document: yaml_documents.YamlDocument, path: Path, message: str, cure: str
) -> PolicyProblem:
    place = path
    while place and place not in document.positions:
        place = place[:-1]
    line, column = document.positions[place]
    return PolicyProblem(str(file), line, column, render_path(path), message, cure)


def _faults(raw: Mapping[str, Any], error: ValidationError) -> Iterator[tuple[Path, tuple[str, str]]]:
    seen: set[Path] = set()
    found = error.errors(include_url=False)
    for details in found:
        if details["type"] == "too_short" and any(len(each["loc"]) > len(details["loc"]) for each in found):
            continue  # The items are there, and each is told to be wrong by itself.
        path = _path(raw, details["loc"])
        cause = details.get("ctx", {}).get("error")
        if isinstance(cause, FieldErrors):
            for each in cause.errors:
                yield (*path, *each.path), (each.message, each.cure)
        elif isinstance(cause, FieldError):
            yield (*path, *cause.path), (cause.message, cause.cure)
        elif path not in seen:
            yield path, _words(details["type"], path, details["msg"], details.get("ctx", {}))
        seen.add(path)


def _path(raw: object, location: tuple[int | str, ...]) -> Path:
    """Return the field that an error is about, without pydantic's own steps into unions."""
    path: list[str | int] = []
    current: Any = raw
    for index, step in enumerate(location):
        is_item = isinstance(current, list) and isinstance(step, int) and step < len(current)
        if is_item or (isinstance(current, dict) and step in current):
            current = current[step]
            path.append(step)
        elif index == len(location) - 1 and isinstance(current, dict):
            path.append(step)
    return tuple(path)


def _words(kind: str, path: Path, message: str, context: Mapping[str, Any]) -> tuple[str, str]:
    name = str(path[-1]) if path else "the document"
    if kind == "extra_forbidden":
        near = discovery.nearest(name, _FIELDS)
        return f"{shown(name)} is no field here", f"Did you mean {near}?" if near else "Remove it."
    if kind == "missing":
        return "is required", f"podgate schema {KIND} prints all fields."
    if kind == "literal_error":
        return (
            "is not one of the possible values",
            f"Write one of {str(context.get('expected', '')).replace(chr(39), '')}.",
        )
    return message[:1].lower() + message[1:], f"podgate schema {KIND} prints all fields."


def _field_names() -> tuple[str, ...]:
    names: set[str] = set()

    def collect(node: object) -> None:
        if isinstance(node, dict):
            names.update(node.get("properties", {}))
            for value in node.values():
                collect(value)
        elif isinstance(node, list):
            for value in node:
                collect(value)

    collect(CaseDocument.model_json_schema())
    return tuple(sorted(names))


_FIELDS = _field_names()
