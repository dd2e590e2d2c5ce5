"""Reading Kubernetes manifests from text, files, directories and streams.

What people have at hand is read as it is: several documents in a file, YAML or JSON, Helm output, the lists that
``kubectl get -o yaml`` prints, an AdmissionReview. Each object comes with its origin (``file:line``), since every
message about it starts with that. What cannot be read is a `ManifestError` of one line; nothing is skipped in silence,
save empty documents.

Scalars mean what they mean to the API server, see `webhook.kube._yaml`.
"""

import codecs
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from webhook.kube import _yaml, shallow

MAX_BYTES = 50 * 1024 * 1024
"""Of one file or stream. A list of ten thousand pods has about this size."""

SUFFIXES = frozenset({".yaml", ".yml", ".json"})
"""Files that are read in a directory; a file named by itself may have any name."""

_TEMPLATE = re.compile(r"\{\{-?\s*(\.[A-Z]|\$|/\*|(include|template|if|else|range|with|end|define|toYaml|tpl|quote)\b)")
_RENDER = "a template that was not rendered; render it first: helm template CHART | podgate review -"
_MAX_LIST_NESTING = 8


class ManifestError(ValueError):
    """Something that cannot be read; ``str()`` is one line: where, what, and the cure."""

    def __init__(self, origin: str, what: str) -> None:
        super().__init__(f"{origin}: {what}")
        self.origin = origin
        self.what = what


class Manifest(NamedTuple):
    """One Kubernetes object and where it stands."""

    origin: str
    """``file:line``; an object of a JSON list adds its place: ``pods.json:1 items[3]``."""
    document: dict[str, Any]
    """Plain JSON data with text for `apiVersion` and `kind`."""


def read_text(text: bytes | str, origin: str) -> Iterator[Manifest]:
    """Yield the objects of a YAML or JSON text, lists unfolded, empty documents left out.

    Args:
        text: UTF-8; a byte order mark is allowed.
        origin: what messages call it: a path, or ``standard input``.

    Raises:
        ManifestError: at the first thing that cannot be read; what was yielded before stands.
    """
    decoded = _decode(text, origin)
    if decoded.lstrip()[:1] in ("{", "[") and not decoded.lstrip().startswith("{{"):
        values = _json_values(decoded)
        if values is not None:
            for line, value in _checked_json(values, origin):
                yield from _unfold(value, f"{origin}:{line}", {}, origin)
            return
    try:
        for document in _yaml.documents(decoded):
            if document.value is not None:
                yield from _unfold(document.value, f"{origin}:{document.line}", document.lines, origin)
    except _yaml.YamlError as error:
        what = _RENDER if _TEMPLATE.search(decoded) else str(error)
        raise ManifestError(f"{origin}:{error.line}", what) from None


def read_path(path: Path) -> Iterator[Manifest | ManifestError]:
    """Yield the objects of a file, or of all YAML and JSON files below a directory in the order of their names.

    Hidden files and directories are left out: they are tools' own, or the second view of a mounted ConfigMap. Errors
    are values, so that one run can tell all of them: the rest of a broken file is lost, the other files are not.
    """
    if path.is_dir():
        files = _files(path)
        if not files:
            yield ManifestError(str(path), "holds no .yaml, .yml or .json file; name a directory that does")
        for file in files:
            yield from _read_file(file)
        return
    yield from _read_file(path)


def read_stream(stream: BinaryIO, origin: str = "standard input") -> Iterator[Manifest]:
    """Yield the objects of a byte stream.

    Raises:
        ManifestError: as `read_text`.
    """
    yield from read_text(stream.read(MAX_BYTES + 1), origin)


def _files(directory: Path) -> list[Path]:
    found: list[Path] = []
    for entry in sorted(directory.iterdir()):
        if entry.name.startswith("."):
            continue
        # A link to a directory is not followed: it may lead back up.
        if entry.is_dir() and not entry.is_symlink():
            found += _files(entry)
        elif entry.suffix in SUFFIXES and not entry.is_dir():
            found.append(entry)
    return found


def _read_file(path: Path) -> Iterator[Manifest | ManifestError]:
    try:
        if path.stat().st_size > MAX_BYTES:
            yield _too_large(str(path))
            return
        yield from read_text(path.read_bytes(), str(path))
    except ManifestError as error:
        yield error
    except OSError as error:
        yield ManifestError(str(path), f"cannot be read: {error.strerror or error}; check the path and its permissions")


def _too_large(origin: str) -> ManifestError:
    return ManifestError(origin, f"is larger than {MAX_BYTES // 1024 // 1024} MiB; split it")


def _decode(given: bytes | str, origin: str) -> str:
    text = given if isinstance(given, bytes) else b""
    if isinstance(given, str):
        try:
            text = given.encode()
        except UnicodeEncodeError as error:
            line = given.count("\n", 0, error.start) + 1
            raise ManifestError(f"{origin}:{line}", "holds half a surrogate pair; save the text as UTF-8") from None
    if len(text) > MAX_BYTES:
        raise _too_large(origin)
    text = text.removeprefix(codecs.BOM_UTF8)
    if text.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise ManifestError(f"{origin}:1", "is UTF-16; save the file as UTF-8")
    zero = text.find(b"\0")
    if zero >= 0:
        line = text.count(b"\n", 0, zero) + 1
        raise ManifestError(f"{origin}:{line}", "holds a NUL byte; this is no text file, save it as UTF-8")
    try:
        return text.decode()
    except UnicodeDecodeError as error:
        line = text.count(b"\n", 0, error.start) + 1
        raise ManifestError(f"{origin}:{line}", "is no valid UTF-8; save the file as UTF-8") from None


# --- JSON -----------------------------------------------------------------------------------------------------------


class _DuplicateKeyError(Exception):
    """A key that is there twice in one JSON object."""


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise _DuplicateKeyError(key)
            seen.add(key)
    return result


def _not_json(constant: str) -> object:
    raise ValueError(constant)


_DECODER = json.JSONDecoder(
    object_pairs_hook=_no_duplicates, parse_float=_yaml.exact_float, parse_constant=_not_json, strict=True
)
_BLANK = re.compile(r"\s*")
_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")


def _json_values(text: str) -> list[tuple[int, Any]] | None:
    """Return the values of a text of one or several JSON documents with their lines, or None where it is no JSON.

    A flow style YAML document starts like JSON, so None is no error yet: the YAML reader has the last word, and its
    message carries a line. A duplicate key stands in the list as the exception.
    """
    try:
        return _decoded(text)
    except RecursionError:
        pass
    try:
        # What lies that deep is read by nobody; see there.
        return _decoded(shallow.cut(text.encode()).decode())
    except (RecursionError, UnicodeError, shallow.TooManyBracketsError):
        return None


def _decoded(text: str) -> list[tuple[int, Any]] | None:
    values: list[tuple[int, Any]] = []
    at = _end_of_blank(text, 0)
    while at < len(text):
        line = text.count("\n", 0, at) + 1
        try:
            value, at = _DECODER.raw_decode(text, at)
        except _DuplicateKeyError as error:
            return [*values, (line, error)]
        except ValueError:
            return None
        values.append((line, value))
        at = _end_of_blank(text, at)
    if _SURROGATE_ESCAPE.search(text) and not _is_unicode(values):
        return None
    return values


def _is_unicode(values: list[tuple[int, Any]]) -> bool:
    """Whether no text holds half a surrogate pair, which could not be printed or sent later."""
    try:
        json.dumps(values, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _end_of_blank(text: str, at: int) -> int:
    match = _BLANK.match(text, at)
    return match.end() if match else at


def _checked_json(values: list[tuple[int, Any]], origin: str) -> Iterator[tuple[int, Any]]:
    for line, value in values:
        if isinstance(value, _DuplicateKeyError):
            raise ManifestError(f"{origin}:{line}", f"the key '{value}' is there twice in one object; keep one of them")
        if value is not None:
            yield line, value


# --- objects --------------------------------------------------------------------------------------------------------


def _unfold(given: object, origin: str, lines: dict[int, int], file: str, nesting: int = 0) -> Iterator[Manifest]:
    """Yield an object, or the items of a list of objects."""
    value = _object(given, origin)
    items = value.get("items")
    kind: str = value["kind"]
    if not kind.endswith("List") or ("items" not in value and kind != "List"):
        yield Manifest(origin, value)
        return
    if items is not None and not isinstance(items, list):
        raise ManifestError(origin, f"items of the {kind} is no list; write one object an item")
    if nesting >= _MAX_LIST_NESTING:
        raise ManifestError(origin, f"lists stand in lists more than {_MAX_LIST_NESTING} levels deep; flatten them")
    for index, item in enumerate(items or ()):
        line = lines.get(id(item))
        place = f"{file}:{line}" if line is not None else f"{origin} items[{index}]"
        if isinstance(item, dict) and kind != "List":
            # The API leaves out what the list already says: a PodList holds Pods of the list's own version.
            item.setdefault("kind", kind.removesuffix("List"))
            item.setdefault("apiVersion", value["apiVersion"])
        yield from _unfold(item, place, lines, file, nesting + 1)


def _object(value: object, origin: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        name = "a list" if isinstance(value, list) else "a plain value"
        raise ManifestError(origin, f"is {name}, not an object; a manifest starts with apiVersion and kind")
    for field in ("apiVersion", "kind"):
        content = value.get(field)
        if not isinstance(content, str) or not content:
            state = "no text" if content else "missing"
            raise ManifestError(origin, f"{field} is {state}; a Kubernetes object has apiVersion and kind")
    metadata = value.get("metadata")
    names = [value["kind"], value["apiVersion"]]
    if isinstance(metadata, dict):
        names += [metadata.get(field) for field in ("name", "generateName", "namespace")]
    if any(isinstance(name, str) and "{{" in name for name in names):
        raise ManifestError(origin, _RENDER)
    return value
