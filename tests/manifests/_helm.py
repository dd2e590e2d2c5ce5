"""Renders the chart for tests: a small, strict reading of the part of Helm's template language that the chart uses.

Strict means that whatever it does not know is an error, as is a value that does not exist; so a template that renders
here uses nothing else, and renders the same with Helm itself (`test_chart.py` compares the two where Helm is at hand).
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import yaml


class TemplateError(ValueError):
    """A template that uses what is not known, or a value that does not exist."""


@dataclass(frozen=True)
class _If:
    branches: list[tuple[str | None, list[Any]]]


@dataclass(frozen=True)
class _Range:
    pipeline: str
    body: list[Any]


@dataclass(frozen=True)
class _Output:
    pipeline: str


_Node = str | _If | _Range | _Output
_ACTION = re.compile(r"\{\{(?P<left>-?)\s*(?P<body>/\*.*?\*/|.*?)\s*(?P<right>-?)\}\}", re.DOTALL)
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|\S+')


class Chart:
    """A chart directory, ready to be rendered."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._meta = yaml.safe_load((directory / "Chart.yaml").read_text())
        self.values: dict[str, Any] = yaml.safe_load((directory / "values.yaml").read_text())
        self.schema: dict[str, Any] = json.loads((directory / "values.schema.json").read_text())
        self._defined: dict[str, list[_Node]] = {}
        self._templates: dict[str, list[_Node]] = {}
        for path in sorted((directory / "templates").iterdir()):
            self._templates[path.name] = _Parser(path.read_text(), self._defined).parse()

    def objects(self, values: Mapping[str, Any] | None = None, namespace: str = "podgate") -> list[dict[str, Any]]:
        """Return all objects with the given values laid over the defaults.

        Raises:
            jsonschema.ValidationError: values that the chart's schema refuses.
            TemplateError: see there.
        """
        merged = _merge(self.values, values or {})
        jsonschema.Draft7Validator(self.schema).validate(merged)
        rendered = (self.text(name, merged, namespace) for name in self._templates if name.endswith(".yaml"))
        return [entry for text in rendered for entry in yaml.safe_load_all(text) if entry]

    def text(self, template: str, values: Mapping[str, Any], namespace: str = "podgate") -> str:
        """Return the text of one template."""
        scope = {
            "Values": values,
            "Release": {"Namespace": namespace, "Name": "podgate"},
            "Chart": {"AppVersion": str(self._meta["appVersion"])},
        }
        return "".join(self._render(self._templates[template], scope))

    def _render(self, nodes: Sequence[_Node], dot: Any) -> Iterator[str]:  # noqa: ANN401  what a template calls dot
        for node in nodes:
            if isinstance(node, str):
                yield node
            elif isinstance(node, _Output):
                yield _shown(self._evaluate(node.pipeline, dot))
            elif isinstance(node, _Range):
                for item in self._evaluate(node.pipeline, dot):
                    yield from self._render(node.body, item)
            else:
                for condition, body in node.branches:
                    if condition is None or self._evaluate(condition, dot):
                        yield from self._render(body, dot)
                        break

    def _evaluate(self, pipeline: str, dot: Any) -> Any:  # noqa: ANN401
        value: Any = None
        for index, stage in enumerate(_stages(pipeline)):
            piped = [value] if index else []
            head, *rest = stage
            arguments = [_argument(token, dot) for token in rest]
            if head == ".Files.Get":
                value = (self._directory / str(*arguments)).read_text()
            elif head == "include":
                name, scope = arguments
                value = "".join(self._render(self._body(name), scope))
            elif head in _FUNCTIONS:
                value = _FUNCTIONS[head](*arguments, *piped)
            elif not rest and not piped:
                value = _argument(head, dot)
            else:
                raise TemplateError(f"{head}: not a function that is known here")
        return value

    def _body(self, name: str) -> list[_Node]:
        if name not in self._defined:
            raise TemplateError(f"include {name!r}: no such template is defined")
        return self._defined[name]


class _Parser:
    def __init__(self, text: str, defined: dict[str, list[_Node]]) -> None:
        self._pieces = list(_pieces(text))
        self._defined = defined
        self._at = 0

    def parse(self) -> list[_Node]:
        nodes, closed_by = self._block()
        if closed_by is not None:
            raise TemplateError(f"{closed_by}: nothing is open here")
        return nodes

    def _block(self) -> tuple[list[_Node], str | None]:
        """Return the nodes up to the action that closes the block, and that action."""
        nodes: list[_Node] = []
        while self._at < len(self._pieces):
            text, is_action = self._pieces[self._at]
            self._at += 1
            if not is_action:
                nodes.append(text)
                continue
            word, _, rest = text.partition(" ")
            if word in ("else", "end"):
                return nodes, text
            if word == "if":
                nodes.append(self._conditional(rest))
            elif word == "range":
                nodes.append(_Range(rest, self._closed("range")))
            elif word == "define":
                self._defined[json.loads(rest)] = self._closed("define")
            elif not text.startswith("/*"):
                nodes.append(_Output(text))
        return nodes, None

    def _conditional(self, condition: str) -> _If:
        branches: list[tuple[str | None, list[_Node]]] = []
        current: str | None = condition
        while True:
            body, closed_by = self._block()
            branches.append((current, body))
            if closed_by == "end":
                return _If(branches)
            if closed_by != "else":
                raise TemplateError(f"if {condition}: {closed_by or 'the end of the file'} instead of else or end")
            current = None

    def _closed(self, what: str) -> list[_Node]:
        body, closed_by = self._block()
        if closed_by != "end":
            raise TemplateError(f"{what}: is not closed by end")
        return body


def _pieces(text: str) -> Iterator[tuple[str, bool]]:
    """Split into text and actions, with the white space that actions take away taken away."""
    at = 0
    is_trimmed = False
    for match in _ACTION.finditer(text):
        before = text[at : match.start()]
        before = before.lstrip() if is_trimmed else before
        yield (before.rstrip() if match["left"] else before), False
        yield match["body"], True
        at, is_trimmed = match.end(), bool(match["right"])
    yield (text[at:].lstrip() if is_trimmed else text[at:]), False


def _stages(pipeline: str) -> Iterator[list[str]]:
    stage: list[str] = []
    for token in _TOKEN.findall(pipeline):
        if token == "|":
            yield stage
            stage = []
        else:
            stage.append(token)
    yield stage


def _argument(token: str, dot: Any) -> Any:  # noqa: ANN401
    if token.startswith('"'):
        return json.loads(token)
    if token.lstrip("-").isdigit():
        return int(token)
    if not re.fullmatch(r"\.|(\.[A-Za-z][A-Za-z0-9]*)+", token):
        raise TemplateError(f"{token}: neither a literal nor a path")
    value = dot
    for name in token.split(".")[1:] if token != "." else ():
        if not isinstance(value, Mapping) or name not in value:
            raise TemplateError(f"{token}: there is no {name}")
        value = value[name]
    return value


def _quote(value: object) -> str:
    return json.dumps(_shown(value))


def _to_yaml(value: object) -> str:
    return yaml.safe_dump(value, default_flow_style=False, width=10_000).rstrip("\n")


def _nindent(width: int, text: str) -> str:
    return "".join("\n" + (" " * width + line) for line in text.split("\n"))


def _default(fallback: object, value: object) -> object:
    return value or fallback


_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "add": lambda first, second: first + second,
    "default": _default,
    "eq": lambda first, second: first == second,
    "ne": lambda first, second: first != second,
    "nindent": _nindent,
    "quote": _quote,
    "toYaml": _to_yaml,
}


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str | int):
        raise TemplateError(f"{value!r}: only text and whole numbers are printed")
    return str(value)


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for name, value in over.items():
        present = merged.get(name)
        merged[name] = _merge(present, value) if isinstance(present, dict) and isinstance(value, Mapping) else value
    return merged
