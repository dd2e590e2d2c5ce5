"""The facts for programs: the same as on the pages, money as text, times with their zone."""

import json
from datetime import datetime
from typing import Any

import msgspec

from tests import factories
from tests.dashboard._scene import BUDGET, POLICY, Scene, exception
from webhook.dashboard import summary
from webhook.policy.model.problems import PolicyProblem
from webhook.reporting.journal import DecisionOwner


def told(scene: Scene) -> dict[str, Any]:
    decoded: dict[str, Any] = json.loads(msgspec.json.encode(summary.overview(scene.facts())), parse_float=_no_float)
    return decoded


def _no_float(text: str) -> float:
    raise AssertionError(f"{text} is a float")


def test_everything_of_the_overview_is_there_and_no_number_is_a_float() -> None:
    problem = PolicyProblem("team.yaml", 3, 1, "spec.mode", "is nonsense", "Use audit.")
    document = told(Scene(POLICY, BUDGET, exception(), problems=[problem], notices=["late"]).busy())
    assert document["ready"] is True
    assert document["notices"] == ["late"]
    assert document["decisions"]["sinceStart"] == 5
    assert document["money"]["monthlyRefused"] == "400.00"
    assert document["findings"]["policies"]["total"] == 3
    assert document["findings"]["namespaces"]["items"][0]["namespace"] == "team-alpha"
    assert document["policies"]["problems"]["items"][0]["line"] == 3
    assert document["policies"]["kinds"] == {"Budget": 1, "GuardrailPolicy": 1, "PolicyException": 1, "PriceList": 1}
    assert document["exceptions"]["items"][0]["expires"] == "2026-12-01"
    assert document["exceptions"]["items"][0]["uses"] == 5
    assert document["certificates"][0] == {"name": "authority", "days": 90, "state": "good"}
    assert document["caches"]["schedulers"] == [{"name": "bin-packing-scheduler", "alive": False}]
    for time in (document["time"], document["started"], document["policies"]["loadedAt"]):
        assert datetime.fromisoformat(time).tzinfo is not None


def test_a_budget_is_told_with_its_state() -> None:
    scene = Scene()
    # Of memory what the price list assumes: 128Mi.
    scene.create(factories.safe_pod(factories.container(cpu="1", memory="0")))
    (budget,) = told(scene)["budgets"]["items"]
    assert budget["amount"] == "1000.00"
    assert (budget["committed"], budget["used"], budget["percent"]) == ("101.25", "101.25", 10)
    assert (budget["state"], budget["rejectAt"]) == ("within", 100)


def test_uses_that_are_not_counted_are_null() -> None:
    scene = Scene(POLICY, exception(spec="  controls: [hostNamespaces]\n"))
    assert told(scene)["exceptions"]["items"][0]["uses"] is None


def test_a_workload_is_told_by_the_lines_of_the_decision_log() -> None:
    scene = Scene()
    scene.mutate(factories.safe_pod(metadata={"name": "shop"}))
    owner = DecisionOwner("team-alpha", "Pod", "shop")
    document = json.loads(msgspec.json.encode(summary.workload(owner, scene.journal.of(*owner))))
    assert (document["namespace"], document["kind"], document["name"]) == owner
    assert document["decisions"][0]["entry"] == json.loads(scene.lines[0])
    assert document["decisions"][0]["times"] == 1
