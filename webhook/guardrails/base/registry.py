"""Finds the guardrails: every module of `webhook.guardrails` that offers ``GUARDRAIL``."""

import importlib
import pkgutil
from typing import Any

from webhook import guardrails
from webhook.guardrails.base.contract import Guardrail


def discover() -> tuple[Guardrail[Any, Any], ...]:
    """Return all guardrails in the order of their proposals.

    Raises:
        RuntimeError: two guardrails share a name or an order, which would make the sequence of proposals depend on
            chance.
    """
    found: list[Guardrail[Any, Any]] = []
    for module in pkgutil.iter_modules(guardrails.__path__):
        if module.name.startswith("_"):
            continue
        guardrail = getattr(importlib.import_module(f"{guardrails.__name__}.{module.name}"), "GUARDRAIL", None)
        if guardrail is not None:
            found.append(guardrail)
    found.sort(key=lambda item: item.order)
    for key in ("name", "order"):
        values = [getattr(item, key) for item in found]
        if len(set(values)) != len(values):
            raise RuntimeError(f"two guardrails have the same {key}: {values}")
    return tuple(found)
