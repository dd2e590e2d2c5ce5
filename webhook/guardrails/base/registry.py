"""Finds the guardrails: every module of `webhook.guardrails` that offers ``GUARDRAIL``."""

import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from functools import cache
from types import ModuleType
from typing import Any, NamedTuple

from webhook import guardrails
from webhook.guardrails.base.contract import Guardrail, Half, ViolationSeverity


class Classification(NamedTuple):
    """How the violations of a guardrail are sorted in reports."""

    half: Half
    severity: ViolationSeverity


def discover() -> tuple[Guardrail[Any, Any], ...]:
    """Return all guardrails in the order of their proposals.

    Raises:
        RuntimeError: two guardrails share a name or an order, which would make the sequence of proposals depend on
            chance.
    """
    offered = (getattr(module, "GUARDRAIL", None) for _, module in _modules())
    found = sorted((guardrail for guardrail in offered if guardrail is not None), key=lambda item: item.order)
    for key in ("name", "order"):
        values = [getattr(item, key) for item in found]
        if len(set(values)) != len(values):
            raise RuntimeError(f"two guardrails have the same {key}: {values}")
    return tuple(found)


@cache
def classifications() -> Mapping[str, Classification]:
    """Return how violations are sorted, by guardrail. A module without a section, such as `budget`, offers a
    `CLASSIFICATION` of its own."""
    found = {item.name: Classification(item.half, item.severity) for item in discover()}
    own = {name: getattr(module, "CLASSIFICATION", None) for name, module in _modules()}
    return found | {name: Classification(*each) for name, each in own.items() if each is not None}


def _modules() -> Iterator[tuple[str, ModuleType]]:
    for info in pkgutil.iter_modules(guardrails.__path__):
        if not info.name.startswith("_"):
            yield info.name, importlib.import_module(f"{guardrails.__name__}.{info.name}")
