"""Finds what the policy YAML consists of by listing this package.

A public module with ``SECTION`` adds a section to ``GuardrailPolicy.spec``, named like the module in camelCase. One
with ``KIND`` and ``SPEC`` adds a kind of document; ``NAMESPACED = True`` says that its objects live in a namespace. So
a new guardrail is a new file, and no list has to be kept in step with the directory.
"""

import difflib
import importlib
import pkgutil
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from types import MappingProxyType, ModuleType
from typing import NamedTuple

from pydantic.alias_generators import to_camel

from webhook import policy
from webhook.policy.model.sections import Model, Section

_PACKAGE = policy.__name__


class PolicyKind(NamedTuple):
    """A kind of policy document."""

    name: str
    spec: type[Model]
    namespaced: bool


class DiscoveredSection(NamedTuple):
    """A section of ``GuardrailPolicy.spec``."""

    name: str
    """As in the YAML: ``rightSizing``."""
    attribute: str
    """As in Python: ``right_sizing``."""
    model: type[Section]


@cache
def sections() -> Mapping[str, DiscoveredSection]:
    """Return all sections by their YAML name, in alphabetical order of their modules."""
    found: dict[str, DiscoveredSection] = {}
    for attribute, module in _modules():
        model = getattr(module, "SECTION", None)
        if model is None:
            continue
        if not (isinstance(model, type) and issubclass(model, Section)):
            raise TypeError(f"{module.__name__}.SECTION must be a subclass of Section, not {model!r}")
        found[to_camel(attribute)] = DiscoveredSection(to_camel(attribute), attribute, model)
    return MappingProxyType(found)


@cache
def kinds() -> Mapping[str, PolicyKind]:
    """Return all kinds of documents by name, in alphabetical order of their modules."""
    found: dict[str, PolicyKind] = {}
    for _, module in _modules():
        name = getattr(module, "KIND", None)
        if name is None:
            continue
        spec = getattr(module, "SPEC", None)
        if not (isinstance(spec, type) and issubclass(spec, Model)):
            raise TypeError(f"{module.__name__}.SPEC must be a subclass of Model, not {spec!r}")
        found[name] = PolicyKind(name, spec, bool(getattr(module, "NAMESPACED", False)))
    return MappingProxyType(found)


def _modules() -> Iterator[tuple[str, ModuleType]]:
    package = importlib.import_module(_PACKAGE)
    for info in sorted(pkgutil.iter_modules(package.__path__), key=lambda info: info.name):
        if not info.name.startswith("_"):
            yield info.name, importlib.import_module(f"{_PACKAGE}.{info.name}")


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that was most likely meant, or None."""
    by_lower = {item.lower(): item for item in known}
    found = difflib.get_close_matches(name.lower(), list(by_lower), n=1, cutoff=0.6)
    return by_lower[found[0]] if found else None
