"""The registry: which guardrails there are, in which order, and what it refuses."""

import importlib
import pkgutil
from types import SimpleNamespace
from typing import Any

import pytest

from webhook import guardrails
from webhook.guardrails.base import registry as guardrail_registry
from webhook.guardrails.base.contract import Guardrail
from webhook.policy.model import discovery


def test_guardrails_propose_in_this_order() -> None:
    # Labels before what is booked by them, sizes before prices, hardening after every other change.
    names = [item.name for item in guardrail_registry.discover()]
    assert names == ["costLabels", "rightSizing", "spot", "binPacking", "podSecurity", "costCeiling"]


def test_every_guardrail_has_a_section_of_its_name_and_every_section_a_guardrail() -> None:
    assert {item.name for item in guardrail_registry.discover()} == set(discovery.sections())


def test_only_pod_security_is_the_security_half_and_refuses_on_a_fault() -> None:
    for item in guardrail_registry.discover():
        is_security = item.name == "podSecurity"
        assert (item.half == "security") is is_security
        assert (item.default_on_fault == "deny") is is_security


def test_every_guardrail_and_the_budget_say_how_grave_a_violation_is() -> None:
    found = guardrail_registry.classifications()
    assert set(found) == {item.name for item in guardrail_registry.discover()} | {"budget"}
    assert found["podSecurity"] == ("security", "high")
    assert found["budget"] == ("cost", "medium")


@pytest.mark.parametrize("key", ["name", "order"])
def test_two_guardrails_with_the_same_name_or_order_are_refused(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    def guardrail(name: str, order: int) -> Guardrail[Any, Any]:
        return Guardrail(name=name, order=order, compile=str, inspect=lambda *_: (), severity="low")

    first = guardrail("first", 1)
    second = guardrail("first", 2) if key == "name" else guardrail("second", 1)
    modules = {"a": SimpleNamespace(GUARDRAIL=first), "b": SimpleNamespace(GUARDRAIL=second), "c": SimpleNamespace()}
    listed = [pkgutil.ModuleInfo(None, name, False) for name in ("a", "b", "c", "_machinery")]  # type: ignore[arg-type]  # no finder is needed
    monkeypatch.setattr(pkgutil, "iter_modules", lambda _path: listed)
    monkeypatch.setattr(importlib, "import_module", lambda name: modules[name.removeprefix(f"{guardrails.__name__}.")])
    with pytest.raises(RuntimeError, match=f"same {key}"):
        guardrail_registry.discover()
