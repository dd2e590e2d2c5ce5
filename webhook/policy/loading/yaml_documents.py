"""YAML with positions: text in, plain values and the line of each field out, with every error of the text at once.

Values are read as YAML 1.2 has them and as policy files need them: only ``true`` and ``false`` are booleans, so that
``mode: off`` is the word off; dates stay text; aliases, merge keys and tags are refused, since the same file must mean
the same thing to every reader. Documents are parsed one by one, so a syntax error in one does not hide the next.
"""

import itertools
import math
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import yaml

from webhook.policy.model.problems import Path, PolicyProblem, render_path, shown

MAX_DEPTH = 32
"""Levels of nesting; the deepest policy has nine."""

_SEPARATOR = re.compile(r"^---(?=[ \t\r\n]|\Z)", re.MULTILINE)
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)", re.ASCII)
_OCTAL = re.compile(r"[-+]?0o?[0-9_]+", re.ASCII)
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", re.ASCII)
_NOT_FINITE = frozenset({".inf", "-.inf", "+.inf", ".nan"})
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_MAX_DIGITS = 40
_STANDARD_TAGS = "tag:yaml.org,2002:"
_STRING_TAG = f"{_STANDARD_TAGS}str"


class Position(NamedTuple):
    """Where a field stands in its file; both numbers count from 1."""

    line: int
    column: int


class YamlDocument(NamedTuple):
    """One document of a file."""

    value: Any
    """Plain dictionaries, lists, text, numbers, booleans and None."""
    positions: dict[Path, Position]
    """Position of each field by path: of its key, or of a list's item; () is the document itself."""


class YamlText(NamedTuple):
    """What a text consists of."""

    documents: list[YamlDocument]
    """Without empty ones, and without those that could not be parsed."""
    problems: list[PolicyProblem]


class _DocumentRefused(Exception):  # noqa: N818  never leaves this module
    """Ends the reading of one document."""

    def __init__(self, position: Position, message: str, cure: str) -> None:
        super().__init__(message)
        self.position, self.message, self.cure = position, message, cure


def parse(text: str, file: str) -> YamlText:
    """Parse all documents of a text; never raises because of what the text says."""
    result = YamlText([], [])
    starts = [match.start() for match in _SEPARATOR.finditer(text)]
    bounds = [0, *(start for start in starts if start), len(text)]
    line = 0
    for start, end in itertools.pairwise(bounds):
        chunk = text[start:end]
        reader = _DocumentReader(file, line)
        line += chunk.count("\n")
        if chunk.strip() in ("", "---"):
            continue
        try:
            document = reader.read(chunk)
        except _DocumentRefused as refused:
            result.problems.append(PolicyProblem(file, *refused.position, "", refused.message, refused.cure))
        else:
            if document is not None:
                result.documents.append(document)
        result.problems.extend(reader.problems)
    return result


class _DocumentReader:
    """Reads one document from parser events; a stack of its own, so that depth is bounded by us and not by Python."""

    def __init__(self, file: str, first_line: int) -> None:
        self.file = file
        self.first_line = first_line
        self.last_line = 0
        self.positions: dict[Path, Position] = {}
        self.problems: list[PolicyProblem] = []

    def read(self, text: str) -> YamlDocument | None:
        """Return the document, or None where there is nothing but comments.

        Raises:
            _Refused: the text is no YAML, or uses what is not supported.
        """
        self.last_line = text.rstrip().count("\n")
        try:
            events = self._supported(yaml.parse(text, Loader=yaml.CSafeLoader))
            document: YamlDocument | None = None
            for event in events:
                if isinstance(event, yaml.NodeEvent):
                    root = self._at(event)
                    value = self._value(event, events, ())
                    self.positions[()] = root
                    document = YamlDocument(value, self.positions)
        except yaml.YAMLError as error:
            raise self._syntax_error(error, text) from None
        return None if document is None or (document.value is None and not self.problems) else document

    def _supported(self, events: Iterator[yaml.Event]) -> Iterator[yaml.Event]:
        for event in events:
            if isinstance(event, yaml.AliasEvent):
                raise _DocumentRefused(
                    self._at(event), f"alias `*{event.anchor}` is not supported", "Write the value out in full."
                )
            tag = getattr(event, "tag", None)
            if tag is not None and tag not in ("!", _STRING_TAG):
                raise _DocumentRefused(
                    self._at(event),
                    f"tag {shown(tag.replace(_STANDARD_TAGS, '!!'))} is not supported",
                    "Write the plain value.",
                )
            yield event

    def _value(self, event: yaml.Event, events: Iterator[yaml.Event], path: Path) -> Any:  # noqa: ANN401  any YAML value
        if len(path) > MAX_DEPTH:
            raise _DocumentRefused(
                self._at(event), f"nested deeper than {MAX_DEPTH} levels", "No policy needs that; flatten it."
            )
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event, path)
        if isinstance(event, yaml.SequenceStartEvent):
            items: list[Any] = []
            while not isinstance(item := next(events), yaml.SequenceEndEvent):
                place = (*path, len(items))
                self.positions[place] = self._at(item)
                items.append(self._value(item, events, place))
            return items
        return self._mapping(events, path)

    def _mapping(self, events: Iterator[yaml.Event], path: Path) -> dict[str, Any]:
        values: dict[str, Any] = {}
        while not isinstance(key_event := next(events), yaml.MappingEndEvent):
            position = self._at(key_event)
            if not isinstance(key_event, yaml.ScalarEvent):
                raise _DocumentRefused(
                    position, "a key is a list or a mapping", 'Keys are text; quote braces: "{...}".'
                )
            key = key_event.value
            place = (*path, key)
            if not isinstance(_plain(key_event), str):
                self._problem(position, place, "the key is no text", f'Write it in quotes: "{key}".')
            value_event = next(events)
            if key in values:
                self._problem(
                    position,
                    place,
                    f"is given twice, first on line {self.positions[place].line}",
                    "Remove one of them.",
                )
                # Positions of the second value must not replace those of the first, which is the one that is kept.
                kept, self.positions = self.positions, {}
                self._value(value_event, events, place)
                self.positions = kept
                continue
            self.positions[place] = position
            values[key] = self._value(value_event, events, place)
        return values

    def _scalar(self, event: yaml.ScalarEvent, path: Path) -> Any:  # noqa: ANN401  any YAML scalar
        value = _plain(event)
        if isinstance(value, _Ambiguous):
            self._problem(self.positions.get(path, self._at(event)), path, value.message, value.cure)
            return event.value
        return value

    def _at(self, event: yaml.Event) -> Position:
        mark = event.start_mark
        # Only events made by hand have no mark; the parser gives each its place.
        return self._position(mark.line, mark.column) if mark is not None else Position(1 + self.first_line, 1)

    def _position(self, line: int, column: int) -> Position:
        # YAML breaks lines at more characters than editors do, so a line could lie beyond the end.
        return Position(min(line, self.last_line) + 1 + self.first_line, column + 1)

    def _problem(self, position: Position, path: Path, message: str, cure: str) -> None:
        self.problems.append(PolicyProblem(self.file, *position, render_path(path), message, cure))

    def _syntax_error(self, error: yaml.YAMLError, text: str) -> _DocumentRefused:
        if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
            # The reader below the parser met a character that YAML does not allow, and gives only its offset.
            offset = getattr(error, "position", 0)
            line = text.count("\n", 0, offset) + 1 + self.first_line
            return _DocumentRefused(Position(line, 1), "a character here is not allowed in YAML", "Remove it.")
        mark = error.problem_mark
        context = getattr(error, "context_mark", None)
        if context is not None and not text[mark.index :].strip():
            # At the end of the text nothing is to be seen; where the bracket or quote was opened, it is.
            mark = context
        position = self._position(mark.line, mark.column)
        lines = text.splitlines()
        line_text = lines[mark.line] if mark.line < len(lines) else ""
        if "\t" in line_text[: len(line_text) - len(line_text.lstrip())]:
            return _DocumentRefused(
                position, "a tab indents this line, which YAML does not allow", "Indent with spaces."
            )
        problem = " ".join(part for part in (error.problem, error.context) if part)
        return _DocumentRefused(position, f"is not valid YAML: {problem}", _syntax_cure(error.problem or ""))


class _Ambiguous(NamedTuple):
    """A scalar that different readers of YAML would understand differently, or that no policy can hold."""

    message: str
    cure: str


def _plain(event: yaml.ScalarEvent) -> str | int | float | bool | _Ambiguous | None:
    """Return what a scalar stands for."""
    text: str = event.value
    if (event.style is not None and event.style != "") or event.tag is not None:
        return text
    if text in _NULLS:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if text.lower() in _NOT_FINITE:
        return _Ambiguous("must be a finite number", "Write a number.")
    if _INTEGER.fullmatch(text):
        return int(text) if len(text) <= _MAX_DIGITS else _Ambiguous("is too large a number", "Write a smaller one.")
    if _OCTAL.fullmatch(text):
        return _Ambiguous(
            f"{shown(text)} is an octal number to some readers and a decimal one to others",
            f'Write it without the leading zero, or as text: "{text}".',
        )
    if _FLOAT.fullmatch(text):
        number = float(text)
        return number if math.isfinite(number) else _Ambiguous("is too large a number", "Write a smaller one.")
    return text


def _syntax_cure(problem: str) -> str:
    if "mapping values are not allowed" in problem:
        return "Put text with a colon in quotes, and check the indentation."
    if "could not find expected ':'" in problem:
        return "Put a colon and a space after the key."
    if "<document start>" in problem:
        return "Put `---` between documents, and begin no line with `%`."
    if "did not find expected" in problem:
        return "Check the indentation, and that each quote and bracket is closed."
    return "Check quotes, brackets and indentation near this place."
