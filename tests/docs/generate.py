"""Writes the pages about guardrails and policies from what the code says of itself.

A guardrail's page is its module docstring, the fields of its policy model, and an example out of ``policies/examples``.
Run by ``make docs``; a test compares the pages with what this module would write.
"""

import importlib
import inspect
import pkgutil
import re
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from pydantic.alias_generators import to_camel

from webhook import guardrails
from webhook.guardrails import pod_security
from webhook.guardrails.pod_security._registry import REGISTRY
from webhook.policy import budget
from webhook.policy.model import discovery, names, sections
from webhook.policy.schema import json_schema

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "policies" / "examples"
PREFERRED_EXAMPLE = "team-namespaces.yaml"
BUDGET = "budget"

FieldPath = tuple[str | int, ...]
Node = Mapping[str, Any]

_NOTE = "<!-- Written by `make docs` from {sources}. Change those, not this page. -->"
_TYPES: dict[str, Any] = {
    "glob": names.Glob,
    "label key": names.LabelKey,
    "label value": names.LabelValue,
    "name": names.DnsLabel,
    "name with dots": names.DnsSubdomain,
    "service account": names.ServiceAccount,
    "exact name": names.SubjectName,
    "quantity": sections.QuantityText,
    "decimal string": sections.MoneyAmount,
    "day of the month, or weekday": budget.ResetDay,
}
_TYPE_OF_PATTERN = {TypeAdapter(kind).json_schema()["pattern"]: words for words, kind in _TYPES.items()}
_MANY = 10
_IGNORED = "accepted and ignored"
_SELECTOR = frozenset({"matchLabels", "matchExpressions"})


# --- docstrings -----------------------------------------------------------------------------------------------------


def manual(docstring: str) -> tuple[str, str]:
    """Return the first paragraph of a docstring without the name before its colon, and the rest, as Markdown."""
    first, _, rest = inspect.cleandoc(docstring).replace("``", "`").partition("\n\n")
    lead = re.sub(r"^[^:.]+: ", "", first, count=1)
    return lead[:1].upper() + lead[1:], "\n\n".join(_blocks(rest))


def _blocks(text: str) -> Iterator[str]:
    """Yield paragraphs; a line above an indented block is a heading, a word before a colon a paragraph's own."""
    heading = re.compile(r"^([A-Z][^\n:.]*)\n(?=    )")
    for part in re.split(r"\n\n(?=\S)|\n(?=[A-Z][a-z ]{2,20}: )", text):
        found = heading.match(part)
        if found is not None:
            yield f"## {found[1]}"
            yield textwrap.dedent(part[found.end() :])
        else:
            yield re.sub(r"^([A-Z][a-z ]{2,20}): (?!http)(\S)", lambda word: f"**{word[1]}.** {word[2].upper()}", part)


# --- fields ---------------------------------------------------------------------------------------------------------


def field_table(kind: str, below: FieldPath, leave_out: Callable[[FieldPath], bool] = lambda _path: False) -> str:
    """Return a table of all fields below a field."""
    rows = ["| field | type | default | description |", "|---|---|---|---|"]
    selectors: list[FieldPath] = []
    for path, node in json_schema.fields(kind):
        if path[: len(below)] != below or path == below or path[-1] == 0 or leave_out(path):
            continue
        if any(path[: len(selector)] == selector for selector in selectors) or _IGNORED in node.get("description", ""):
            continue
        if _is_selector(node):
            selectors.append(path)
        name = ".".join(str(step) for step in path[len(below) :]).replace(".0", "[]")
        words = " ".join(node.get("description", "").split()).replace("|", r"\|")
        rows.append(f"| `{name}` | {_type(kind, path, node)} | {_default(kind, path, node)} | {words} |")
    return "\n".join(rows)


def _is_selector(node: Node) -> bool:
    return set(node.get("properties", ())) == _SELECTOR


def _type(kind: str, path: FieldPath, node: Node) -> str:
    if "const" in node:
        return _code(node["const"])
    if "enum" in node:
        # A long list is explained by the description.
        return r" \| ".join(f"`{value}`" for value in node["enum"]) if len(node["enum"]) <= _MANY else "string"
    if "anyOf" in node:
        return ", or ".join(_type(kind, path, choice) for choice in node["anyOf"])
    if _is_selector(node):
        return "label selector"
    if node.get("type") == "array":
        return f"list of {_plural(_type(kind, (*path, 0), json_schema.at(kind, (*path, 0))))}"
    return _scalar_type(node)


def _scalar_type(node: Node) -> str:
    name = node.get("type", "any value")
    if node.get("pattern") in _TYPE_OF_PATTERN:
        return _TYPE_OF_PATTERN[node["pattern"]]
    if name == "string" and str(node.get("pattern", "")).endswith("|none)$"):
        return "`none`"
    if isinstance(name, list):
        return f"{name[0]} or `none`"
    if "patternProperties" in node or ("additionalProperties" in node and node["additionalProperties"] is not False):
        return "map"
    if node.get("format") == "date":
        return "date"
    if name in ("integer", "number") and "minimum" in node and "maximum" in node:
        return f"{name}, {node['minimum']} to {node['maximum']}"
    if name in ("integer", "number") and "minimum" in node:
        return f"{name}, at least {node['minimum']}"
    return str(name)


def _plural(words: str) -> str:
    noun, comma, bounds = words.partition(",")
    return f"{noun}s{comma}{bounds}" if noun[-1:].isalpha() else words


def _default(kind: str, path: FieldPath, node: Node) -> str:
    if path[-1] in json_schema.at(kind, path[:-1]).get("required", ()):
        return "**required**"
    default = node.get("default")
    if default in (None, "", [], {}) or isinstance(default, dict):
        return "-"
    return _code(default)


def _code(value: object) -> str:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return f"`{'[' + ', '.join(map(str, value)) + ']' if isinstance(value, list) else text}`"


# --- examples -------------------------------------------------------------------------------------------------------


def documents() -> Iterator[tuple[str, str]]:
    """Yield file name and text of every example document, the most usual policy first."""
    files = sorted(EXAMPLES.glob("*.yaml"), key=lambda file: (file.name != PREFERRED_EXAMPLE, file.name))
    for file in files:
        for document in file.read_text().split("\n---\n"):
            yield file.name, re.sub(r"\A(#.*\n)*", "", document).rstrip() + "\n"


def section_example(section: str) -> str:
    """Return the first example policy that has a section, cut down to it."""
    for name, text in documents():
        if re.search(rf"^  {section}:", text, re.MULTILINE):
            kept = "".join(_parts_of(text, ("mode", "match", section)))
            return f"From [policies/examples/{name}](../../policies/examples/{name}):\n\n```yaml\n{kept}```"
    raise LookupError(f"{section}: no example policy has this section; add it to one in {EXAMPLES}")


def _parts_of(text: str, keys: Iterable[str]) -> Iterator[str]:
    """Yield a policy's head and those parts of its spec that have one of these keys."""
    head, _, spec = text.partition("spec:\n")
    yield f"{head}spec:\n"
    for part in re.split(r"^(?=  \S)", spec, flags=re.MULTILINE):
        if part.strip().partition(":")[0] in keys:
            yield part


def kind_example(kind: str, up: str) -> str:
    """Return the first example document of a kind; `up` leads from the page to the root."""
    places = [*documents(), ("../prices/default.yaml", (EXAMPLES.parent / "prices" / "default.yaml").read_text())]
    for name, text in places:
        if f"\nkind: {kind}\n" in text:
            path = "prices/default.yaml" if name.startswith("..") else f"examples/{name}"
            bare = re.sub(r"\A(#.*\n)*", "", text)
            return f"From [policies/{path}]({up}policies/{path}):\n\n```yaml\n{bare}```"
    raise LookupError(f"{kind}: no example; add one to {EXAMPLES}")


# --- pages ----------------------------------------------------------------------------------------------------------


def guardrail_page(name: str) -> str:
    """Return the page of one guardrail, by the name of its module."""
    module = importlib.import_module(f"{guardrails.__name__}.{name}")
    lead, text = manual(module.__doc__ or "")
    source = Path(str(module.__file__)).relative_to(ROOT)
    title = "Budget" if name == BUDGET else to_camel(name)
    parts = [_NOTE.format(sources=f"{source} and webhook/policy/{name}.py"), f"# {title}", lead, text]
    if name == BUDGET:
        parts += ["## Fields of `spec`", field_table("Budget", ("spec",)), _SELECTOR_NOTE.format(path="../policies.md")]
        parts += ["## Example policy", kind_example("Budget", "../../")]
    else:
        parts += [f"## Fields of `spec.{title}`", field_table("GuardrailPolicy", ("spec", title))]
        if module is pod_security:
            parts += list(_checks())
        parts += ["## Example policy", section_example(title)]
    return "\n\n".join(parts) + "\n"


_ABOUT_CHECKS = """
In the order in which they speak. At level `restricted` the checks of `baseline` hold as well, but for those that a
restricted one replaces. A check may have several revisions: from each version on it judges anew.
"""


def _checks() -> Iterator[str]:
    yield "## Checks"
    yield from _paragraphs(_ABOUT_CHECKS)
    rows = ["| check | level | revisions since | what it wants |", "|---|---|---|---|"]
    details: list[str] = []
    for check in REGISTRY.checks.values():
        text = _check_docstrings()[check.id].replace("``", "`")
        fields = dict(re.findall(r"^([A-Z][a-z]+): (.*?)\.?(?=\n[A-Z][a-z]+: |\Z)", text, re.MULTILINE | re.DOTALL))
        wants = " ".join(fields["Rule"].split()).replace("|", r"\|")
        since = ", ".join(f"v1.{revision.since_minor}" for revision in check.revisions)
        wants = f"{wants[:1].upper()}{wants[1:]}."
        rows.append(f"| [`{check.id}`](#{check.id.lower()}) | {check.level} | {since} | {wants} |")
        listed = "\n".join(_item(f"{key}: {value}.") for key, value in fields.items() if key != "Rule")
        details += [f"### {check.id}", listed]
    yield "\n".join(rows)
    yield from details


def _item(text: str) -> str:
    wrapped = textwrap.wrap(text, 118, break_long_words=False, break_on_hyphens=False)
    return "* " + "\n  ".join(wrapped)


@cache
def _check_docstrings() -> dict[str, str]:
    """Docstrings of the checks by identifier."""
    found = {}
    for info in pkgutil.iter_modules(pod_security.__path__):
        if not info.name.startswith("_"):
            module = importlib.import_module(f"{pod_security.__name__}.{info.name}")
            found[module.CHECK.id] = inspect.cleandoc(module.__doc__ or "")
    return found


_SELECTOR_NOTE = "A label selector is [written as everywhere in Kubernetes]({path}#label-selectors)."


def policies_page() -> str:
    """Return the page about all kinds of policy documents."""
    parts = [_NOTE.format(sources="webhook/policy"), "# Policies", *_paragraphs(_POLICIES)]
    for kind in discovery.kinds():
        summary = json_schema.at(kind, ("spec",)).get("description", "")
        parts += [f"## {kind}", str(summary), field_table(kind, (), partial(_is_told_elsewhere, kind))]
        if kind == "GuardrailPolicy":
            sections = discovery.sections().values()
            parts.append("Each guardrail has a section of its own in `spec`; one that is absent does nothing:")
            parts.append("\n".join(f"* [`{item.name}`](guardrails/{item.attribute}.md)" for item in sections))
        if kind == "Budget":
            parts.append("How a budget is judged: [Budget](guardrails/budget.md).")
        parts.append(kind_example(kind, "../"))
    parts += ["## Label selectors", *_paragraphs(_SELECTORS), _selector_table()]
    return "\n\n".join(parts) + "\n"


_POLICIES = """
Policies are YAML documents of four kinds. Unknown fields are errors, and so are nulls. All files of the directory are
one set: it is valid as a whole, or the last valid one stays in force.

What the API server and kubectl add to an object (`status`, `metadata.uid` and the like) is accepted and ignored, so
that objects that were read from a cluster load as they are.

Write `mode: "off"` with the quotes. Files are read as YAML 1.2, where `off` is a word, but kubectl and Helm read the
bare word as false.

## Files and custom resources

In a cluster the same documents may be custom resources. There each object is judged alone, since each may have another
author, and **a bad edit opens no door**:

* The API server refuses what it can: types, bounds, words, patterns, and rules across fields, each with the cure. An
  unknown field is an error to kubectl and to server-side apply; a client that asks for no strict validation gets a
  warning instead, and the API server drops the field.
* Where a malformed version gets in all the same, the valid sections of a GuardrailPolicy hold, and each malformed
  section stays as it last was. Where `mode`, `match`, `exceptions` or `priority` is malformed, the whole last good
  version stays, for these say whom every section is for. Beside a field that nobody knows, nothing counts as taken out:
  it may be the name of what is missing, misspelt.
* Budgets, PriceLists and PolicyExceptions are one piece: their whole last good version stays.
* The same holds for an edit that would take an object out of force, such as a budget in another currency than the price
  list. Another currency holds from the moment when the price list and every budget have it.
* A first version that is malformed has no last good one: its valid sections hold, and the others do nothing. Where one
  cannot say whom it is for, nothing of it holds.

What is in force is in `status.lastAccepted` of each object, so replicas that start later answer like those that saw it.
The condition `Accepted` says what is wrong and which generation is in force. See
[conditions](running.md#what-came-of-each-policy).

Lists and maps of a custom resource hold at most 256 entries.
"""
_SELECTORS = """
A label selector is written as everywhere in Kubernetes: all of its labels and requirements must hold, and an empty one
selects everything.
"""


def _paragraphs(text: str) -> list[str]:
    return text.strip().split("\n\n")


def _is_told_elsewhere(kind: str, path: FieldPath) -> bool:
    """Whether a field says nothing new here: the envelope's own, and guardrails, which have their pages."""
    if kind == "GuardrailPolicy" and path[:1] == ("spec",) and path[1:2] and path[1] in discovery.sections():
        return True
    return path in (("apiVersion",), ("kind",), ("metadata",), ("spec",))


def _selector_table() -> str:
    """Fields of the one selector that all kinds share, without the field that holds it."""
    below = ("spec", "match", "podSelector")
    return field_table("GuardrailPolicy", below)


def pages() -> dict[Path, str]:
    """Return every generated page by its path."""
    names = [info.name for info in pkgutil.iter_modules(guardrails.__path__) if info.name != "base"]
    written = {ROOT / "docs" / "guardrails" / f"{name}.md": guardrail_page(name) for name in names}
    return {**written, ROOT / "docs" / "policies.md": policies_page()}


def main() -> None:
    """Write what has changed, and say what that was."""
    for path, text in pages().items():
        if not path.exists() or path.read_text() != text:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
            sys.stdout.write(f"wrote {path.relative_to(ROOT)}\n")


if __name__ == "__main__":
    main()
