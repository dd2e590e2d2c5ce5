"""``kind: PolicyException``: a team's dated, owned and reasoned request to be let off a guardrail.

It covers pods of its own namespace only, and has an effect only where the policy's ``exceptions`` let it.
"""

import importlib
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field, ValidationInfo, field_validator

from webhook.policy.model import discovery
from webhook.policy.model.match import SelectorModel
from webhook.policy.model.names import DnsLabel, OneLine
from webhook.policy.model.problems import shown
from webhook.policy.model.sections import ApiRule, Day, FieldError, Many, Model, raise_all

BUDGET = "budget"
"""Budgets are a kind of their own and no section, but exceptions name them like one."""
POD_SECURITY = "podSecurity"


def guardrail_names() -> tuple[str, ...]:
    """Return what an exception may loosen: every section of GuardrailPolicy, and budgets."""
    return (*sorted(discovery.sections()), BUDGET)


def control_names() -> frozenset[str]:
    """Return the names of the Pod Security checks; empty where that guardrail is not part of this build."""
    section = discovery.sections().get(POD_SECURITY)
    if section is None:
        return frozenset()
    module = importlib.import_module(section.model.__module__)
    return frozenset(getattr(module, "CONTROLS", ()))


def _list_guardrails(schema: dict[str, Any]) -> None:
    schema["items"] = {"type": "string", "enum": list(guardrail_names())}


def _list_controls(schema: dict[str, Any]) -> None:
    if control_names():
        schema["items"] = {"type": "string", "enum": sorted(control_names())}


class PolicyExceptionSpec(Model):
    """What a PolicyException asks for."""

    API_RULES = (
        ApiRule(
            f"!has(self.controls) || size(self.controls) == 0 || '{POD_SECURITY}' in self.guardrails",
            "controls names Pod Security checks, but podSecurity is not among the guardrails; add it, or remove "
            "controls",
        ),
    )

    guardrails: Annotated[
        Many[str],
        Field(
            min_length=1,
            description="Guardrails that the pods are let off: names of sections of GuardrailPolicy, or `budget`.",
            json_schema_extra=_list_guardrails,
        ),
    ]
    controls: Annotated[
        Many[str],
        Field(
            description="Only these Pod Security checks; empty means all. Only where podSecurity is among the "
            "guardrails.",
            json_schema_extra=_list_controls,
        ),
    ] = ()
    containers: Annotated[Many[DnsLabel], Field(description="Only these containers; empty means the whole pod.")] = ()
    pod_selector: Annotated[
        SelectorModel | None,
        Field(description="Only pods with these labels; absent means every pod of the exception's namespace."),
    ] = None
    owner: Annotated[OneLine, Field(description="Who answers for the exception: an address or a team, in one line.")]
    reason: Annotated[OneLine, Field(description="Why it is needed, in one line; shown wherever it is used.")]
    expires: Annotated[
        Day,
        Field(
            description="Last day of the exception as YYYY-MM-DD; it holds to the end of that day UTC. Required, so "
            "that no exception is forgotten."
        ),
    ]

    @field_validator("guardrails")
    @classmethod
    def _known_guardrails(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        _require_known(names, guardrail_names(), "guardrail")
        return names

    @field_validator("controls")
    @classmethod
    def _known_controls(cls, names: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        guardrails = info.data.get("guardrails")
        if names and guardrails is not None and POD_SECURITY not in guardrails:
            raise FieldError(
                "names Pod Security checks, but podSecurity is not among the guardrails",
                "Add podSecurity to guardrails, or remove controls.",
            )
        if control_names():
            _require_known(names, sorted(control_names()), "Pod Security check")
        return names


def _require_known(names: tuple[str, ...], known: Sequence[str], what: str) -> None:
    errors = []
    for index, name in enumerate(names):
        if name not in known:
            near = discovery.nearest(name, known)
            cure = f"Did you mean `{near}`?" if near else f"Known are {', '.join(known)}."
            errors.append(FieldError(f"{shown(name)} is no {what}", cure, path=(index,)))
    raise_all(errors)


KIND = "PolicyException"
SPEC = PolicyExceptionSpec
NAMESPACED = True
