"""What a rule of a guardrail is called elsewhere, and its help: the manual that the guardrail's module begins with."""

import importlib
import inspect
import re
from functools import cache

from webhook import guardrails
from webhook.guardrails.base import registry as guardrail_registry

_DOCUMENTATION = "docs/guardrails"


def rule_id(guardrail: str, rule: str) -> str:
    """Return the identifier of a rule: ``costCeiling/podMonthly``, or the guardrail's name where it has one rule."""
    return guardrail if rule in ("", guardrail) else f"{guardrail}/{rule}"


@cache
def manual(guardrail: str) -> tuple[str, str]:
    """Return the first paragraph of a guardrail's manual as one line, and the whole manual as Markdown.

    What is no guardrail of this build has an empty manual.
    """
    name = module_name(guardrail)
    if name is None:
        return "", ""
    text = inspect.cleandoc(importlib.import_module(f"{guardrails.__name__}.{name}").__doc__ or "").replace("``", "`")
    first = re.sub(r"^[^:.]+: ", "", " ".join(text.partition("\n\n")[0].split()), count=1)
    return first[:1].upper() + first[1:], text


def page(guardrail: str) -> str:
    """Return the page about a guardrail as a path in the repository; empty where there is none."""
    name = module_name(guardrail)
    return f"{_DOCUMENTATION}/{name}.md" if name is not None else ""


@cache
def module_name(guardrail: str) -> str | None:
    """Return the module of a guardrail by its name; None for what is no guardrail of this build."""
    name = re.sub(r"([A-Z])", lambda capital: f"_{capital[1].lower()}", guardrail)
    return name if guardrail in guardrail_registry.classifications() else None
