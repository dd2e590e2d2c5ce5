"""YAML as Kubernetes reads it: documents built straight from parser events.

The usual Python loader and the API server disagree about plain scalars. Python turns ``2024-01-01`` into a date and
``22:30`` into a number, and leaves ``y`` a text; Kubernetes' reader does the opposite each time. Manifests are read
here by the rules of the Go reader that kubectl uses, so that what is judged is what would be stored.

Working on events also bounds what a file may cost: nesting is limited, and an alias is copied at a price, so a few
hundred bytes cannot unfold into gigabytes.
"""

import math
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, NamedTuple

import yaml

MAX_DEPTH = 200
"""Levels of nesting; the deepest published custom resource definitions stay below a third of it."""

MAX_ALIAS_NODES = 100_000
"""Values that all aliases of one stream may add together."""

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MAX_UINT64 = (1 << 64) - 1
_MIN_INT64 = -(1 << 63)
_BIGGEST_WHOLE_FLOAT = 1e21
"""From here on the Go reader writes a float with an exponent, below as a whole number."""

_WORDS: dict[str, bool | None] = (
    dict.fromkeys(("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"), True)
    | dict.fromkeys(("n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"), False)
    | dict.fromkeys(("", "~", "null", "Null", "NULL"), None)
)
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_INTEGER = re.compile(r"([-+]?)(?:0[xX]([0-9a-fA-F]+)|0[bB]([01]+)|0[oO]?([0-7]+)|(0|[1-9][0-9]*))")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NUMERIC_START = frozenset("0123456789+-.")
_TAG = "tag:yaml.org,2002:"
_TEXT_TAGS = frozenset({"!", _TAG + "str", _TAG + "timestamp"})
_SCALAR_TAGS: dict[str, tuple[type, ...]] = {
    _TAG + "int": (int,),
    _TAG + "float": (float, int),
    _TAG + "bool": (bool,),
    _TAG + "null": (type(None),),
}
_COLLECTION_TAGS = frozenset({"!", _TAG + "map", _TAG + "seq"})


class YamlError(ValueError):
    """A text that is no YAML, or YAML that has no meaning in a manifest; the text says what is wrong and the cure."""

    def __init__(self, line: int, what: str) -> None:
        super().__init__(what)
        self.line = line


class StreamDocument(NamedTuple):
    """One document of a stream."""

    line: int
    """Line of the first value, from 1."""
    value: Any
    lines: dict[int, int]
    """Lines of the mappings and sequences near the top, by ``id()`` of the object; good while `value` lives."""


class _Frame:
    """A mapping or a sequence that is being filled: `mapping` or `items` is set."""

    __slots__ = ("anchor", "depth", "items", "key", "line", "mapping", "merges", "nodes_before")

    def __init__(self, *, is_mapping: bool, anchor: str | None, line: int, nodes_before: int) -> None:
        self.mapping: dict[str, object] | None = {} if is_mapping else None
        self.items: list[object] = []
        self.anchor = anchor
        self.line = line
        self.nodes_before = nodes_before
        self.key: str | None = None
        self.merges: list[dict[str, object]] = []
        self.depth = 1

    @property
    def expects_key(self) -> bool:
        return self.mapping is not None and self.key is None

    @property
    def value(self) -> object:
        return self.items if self.mapping is None else self.mapping


class _Anchored(NamedTuple):
    value: object
    nodes: int
    depth: int


_DEPTH_OF_LINES = 4
"""A list of objects has its items at the third level."""

_MERGE_KEY = "\0merge"
"""Stands for ``<<`` while its value is awaited; no YAML text can contain it."""


def documents(text: str) -> Iterator[StreamDocument]:
    """Yield the documents of a YAML stream, empty ones (null) included.

    Raises:
        YamlError: with the line; what was yielded before it stands.
    """
    builder = _Builder()
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            document = builder.take(event)
            if document is not None:
                yield document
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = error.problem or error.context or "syntax error"
        # What is missing at the end of the text is reported on the line after it.
        line = min(mark.line, text.count("\n")) + 1 if mark is not None else 1
        raise YamlError(line, f"no valid YAML: {problem}") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise YamlError(line, f"no valid YAML: {error.reason}; remove the character") from None
    except yaml.YAMLError as error:
        raise YamlError(1, f"no valid YAML: {' '.join(str(error).split())}") from None


class _Builder:
    """Builds documents from events; one for each stream."""

    def __init__(self) -> None:
        self._stack: list[_Frame] = []
        self._anchors: dict[str, _Anchored | None] = {}
        self._nodes = 0
        self._alias_nodes = 0
        self._lines: dict[int, int] = {}
        self._root: object = None
        self._root_line = 1

    def take(self, event: yaml.Event) -> StreamDocument | None:
        """Take one parser event; return a document where the event ends one."""
        line = event.start_mark.line + 1 if event.start_mark is not None else 1
        if isinstance(event, yaml.ScalarEvent):
            self._take_scalar(event, line)
        elif isinstance(event, yaml.CollectionStartEvent):
            self._open(event, line)
        elif isinstance(event, yaml.CollectionEndEvent):
            self._close()
        elif isinstance(event, yaml.AliasEvent):
            self._take_alias(event.anchor or "", line)
        elif isinstance(event, yaml.DocumentStartEvent):
            self._anchors, self._lines, self._root, self._root_line = {}, {}, None, line
        elif isinstance(event, yaml.DocumentEndEvent):
            return StreamDocument(self._root_line, self._root, self._lines)
        return None

    def _take_scalar(self, event: yaml.ScalarEvent, line: int) -> None:
        self._nodes += 1
        if event.value == "<<" and event.implicit[0] and self._stack and self._stack[-1].expects_key:
            self._stack[-1].key = _MERGE_KEY
            return
        value = _scalar(event, line)
        if event.anchor is not None:
            self._anchors[event.anchor] = _Anchored(value, 1, 0)
        self._put(value, line)

    def _open(self, event: yaml.CollectionStartEvent, line: int) -> None:
        self._nodes += 1
        if event.tag is not None and event.tag not in _COLLECTION_TAGS:
            raise YamlError(line, f"the tag {event.tag!r} has no meaning in a manifest; remove it")
        if len(self._stack) >= MAX_DEPTH:
            raise YamlError(line, f"nested deeper than {MAX_DEPTH} levels; flatten it")
        if self._stack and self._stack[-1].expects_key:
            raise YamlError(line, "a key is a mapping or a list; quote the text if it starts with a brace or a bracket")
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        if not self._stack:
            self._root_line = line
        is_mapping = isinstance(event, yaml.MappingStartEvent)
        frame = _Frame(is_mapping=is_mapping, anchor=event.anchor, line=line, nodes_before=self._nodes - 1)
        self._stack.append(frame)

    def _close(self) -> None:
        frame = self._stack.pop()
        if frame.mapping is not None:
            for merged in frame.merges:
                for key, item in merged.items():
                    frame.mapping.setdefault(key, item)
        value = frame.value
        if frame.anchor is not None:
            self._anchors[frame.anchor] = _Anchored(value, self._nodes - frame.nodes_before, frame.depth)
        if self._stack:
            self._stack[-1].depth = max(self._stack[-1].depth, frame.depth + 1)
        if len(self._stack) < _DEPTH_OF_LINES:
            self._lines[id(value)] = frame.line
        self._put(value, frame.line)

    def _take_alias(self, name: str, line: int) -> None:
        if name not in self._anchors:
            raise YamlError(line, f"the alias *{name} has no anchor &{name} before it; define it or write the value")
        anchored = self._anchors[name]
        if anchored is None:
            raise YamlError(line, f"the alias *{name} stands inside its own anchor; write the value out")
        self._nodes += anchored.nodes
        self._alias_nodes += anchored.nodes
        if self._alias_nodes > MAX_ALIAS_NODES:
            raise YamlError(line, f"aliases unfold to more than {MAX_ALIAS_NODES} values; write them out")
        if len(self._stack) + anchored.depth > MAX_DEPTH:
            raise YamlError(line, f"nested deeper than {MAX_DEPTH} levels; flatten it")
        if self._stack:
            self._stack[-1].depth = max(self._stack[-1].depth, anchored.depth + 1)
        self._put(_copy(anchored.value), line)

    def _put(self, value: object, line: int) -> None:
        """Place a finished value: as the root, as an item, as a key, or under the key that waits for it."""
        if not self._stack:
            self._root = value
            return
        top = self._stack[-1]
        if top.mapping is None:
            top.items.append(value)
        elif top.key is None:
            top.key = _key(value, line)
            if top.key in top.mapping:
                raise YamlError(line, f"the key {top.key!r} is there twice; keep one of them")
        elif top.key == _MERGE_KEY:
            top.key = None
            top.merges += _merges(value, line)
        else:
            top.mapping[top.key] = value
            top.key = None


def _key(value: object, line: int) -> str:
    """Keys become text, as on the way from YAML to JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    raise YamlError(line, "a key is empty, or no text; write a name before the colon, in quotes if need be")


def _merges(value: object, line: int) -> list[dict[str, object]]:
    items: list[object] = value if isinstance(value, list) else [value]
    mappings = [item for item in items if isinstance(item, dict)]
    if len(mappings) != len(items):
        raise YamlError(line, "the merge key << takes an alias of a mapping, or a list of such; write the fields out")
    return mappings


def _copy(value: object) -> object:
    """Copy plain data, so that a later change through one alias does not show through another."""
    if isinstance(value, dict):
        return {key: _copy(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_copy(item) for item in value]
    return value


def _scalar(event: yaml.ScalarEvent, line: int) -> str | int | float | bool | None:
    text: str = event.value
    tag = event.tag
    if tag is None:
        return resolve(text, line) if event.implicit[0] else text
    if tag in _TEXT_TAGS:
        return text
    types = _SCALAR_TAGS.get(tag)
    if types is None:
        raise YamlError(line, f"the tag {tag!r} has no meaning in a manifest; remove it")
    value = resolve(text, line)
    if type(value) not in types:
        raise YamlError(line, f"{text!r} is not what its tag {tag.removeprefix(_TAG)!r} says; remove the tag")
    return value


def resolve(text: str, line: int = 1) -> str | int | float | bool | None:
    """Return what a plain scalar means to Kubernetes.

    Whole numbers are int, also where they are written as floats (``1e3``). A number whose digits a float cannot hold
    stays text, so that quantities are never rounded by reading them.

    Raises:
        YamlError: infinity and not-a-number, which JSON cannot express.
    """
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in _NUMERIC_START:
        return text
    if _NOT_FINITE.fullmatch(text):
        raise YamlError(line, f"{text} has no meaning in a manifest; write a finite number, or quote the text")
    plain = text.replace("_", "")
    whole = _INTEGER.fullmatch(plain)
    if whole is not None:
        number = _integer(whole)
        if number is not None:
            return number
    if _FLOAT.fullmatch(plain):
        exact = exact_float(plain)
        if isinstance(exact, float) and exact.is_integer() and abs(exact) < _BIGGEST_WHOLE_FLOAT:
            return int(exact)
        return exact
    return text


def _integer(match: re.Match[str]) -> int | None:
    sign, hexadecimal, binary, octal, decimal = match.groups()
    digits, base = (
        (hexadecimal, 16) if hexadecimal else (binary, 2) if binary else (octal, 8) if octal else (decimal, 10)
    )
    if len(digits) > 64:
        return None
    number = int(digits, base) * (-1 if sign == "-" else 1)
    return number if _MIN_INT64 <= number <= _MAX_UINT64 else None


def exact_float(text: str) -> float | str:
    """Return the float that a number's text stands for, or the text itself where no float has exactly these digits."""
    value = float(text)
    if math.isfinite(value) and Decimal(repr(value)) == Decimal(text):
        return value
    return text
