"""A pod that Pod Security refuses holds no money, although security and cost are asked at the same time."""

from typing import Any

import pytest

from tests import factories
from tests.admission.test_budgets import CLUSTER, RATE, budget
from webhook.guardrails.base.contract import Finding, Requester

STRICT = "mode: enforce\npodSecurity: {level: baseline}\ncostCeiling: {podMonthly: '100000'}"
COST = "/validate/cost"


def scene(amount: str = "1000", spec: str = STRICT, *more: str, mode: str = "enforce") -> factories.World:
    return factories.World(factories.policy(spec), budget(amount, mode), *more, cluster=CLUSTER)


def ask(world: factories.World, document: dict[str, Any], uid: str, **request: Any) -> factories.Answer:  # noqa: ANN401
    return world.call(COST, factories.review(factories.stored(document, uid), **request))


def test_thirty_refused_pods_leave_the_budget_where_it_was() -> None:
    world = scene()
    for number in range(30):
        assert ask(world, factories.pod(hostNetwork=True), f"evil-{number}").allowed
    assert world.ledger.committed("alpha") == 0
    assert world.ledger.size() == 0
    assert all(ask(world, factories.pod(), f"good-{number}").allowed for number in range(5))
    assert world.ledger.committed("alpha") == 5 * RATE


def test_whom_pod_security_refuses_is_told_that_alone() -> None:
    world = scene("100")
    pod = factories.pod(hostNetwork=True)
    assert ask(world, pod, "p").allowed
    assert not world.call("/validate/security", factories.review(factories.stored(pod, "p"))).allowed
    assert not ask(world, factories.pod(), "q").allowed


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param("mode: warn\npodSecurity: {level: baseline}", id="it only warns"),
        pytest.param("mode: enforce\npodSecurity: {level: baseline, onViolation: audit}", id="it only records"),
        pytest.param("mode: enforce\npodSecurity: {level: baseline, mode: 'off'}", id="it is off"),
        pytest.param("mode: enforce\nmatch: {namespaces: [other]}\npodSecurity: {level: baseline}", id="not its own"),
        pytest.param("mode: enforce\ncostCeiling: {podMonthly: '100000'}", id="there is none"),
    ],
)
def test_a_pod_that_comes_is_booked(spec: str) -> None:
    world = scene("1000", spec)
    assert ask(world, factories.pod(hostNetwork=True), "p").allowed
    assert world.ledger.committed("alpha") == RATE


def test_a_pod_with_an_exception_comes_and_is_booked() -> None:
    exception = (
        "apiVersion: podgate.dev/v1alpha1\nkind: PolicyException\nmetadata: {name: e, namespace: team-alpha}\n"
        "spec: {guardrails: [podSecurity], owner: a@b.example, reason: node agent, expires: '2026-12-01'}\n"
    )
    world = scene("1000", STRICT, exception)
    assert ask(world, factories.pod(hostNetwork=True), "p").allowed
    assert world.ledger.committed("alpha") == RATE


def test_a_check_that_fails_lets_nobody_off_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    world = scene()

    def fails(*_: object) -> list[Finding]:
        raise RuntimeError("broken")

    (entry,) = [
        each
        for each in world.rules.matcher.resolve("team-alpha", world.view.namespace("team-alpha"), {}, Requester())
        if each.guardrail.name == "podSecurity"
    ]
    broken = entry._replace(guardrail=entry.guardrail._replace(inspect=fails))
    resolve = world.rules.matcher.resolve
    monkeypatch.setattr(
        world.rules.matcher, "resolve", lambda *args: [broken if e is entry else e for e in resolve(*args)]
    )
    assert ask(world, factories.pod(hostNetwork=True), "p").allowed
    assert world.ledger.committed("alpha") == RATE


def test_a_workload_is_told_what_it_costs_whatever_becomes_of_its_pods() -> None:
    answer = scene("100").call(COST, factories.review(factories.deployment(3, factories.pod(hostNetwork=True))))
    assert any("this Deployment adds $600.00" in each for each in answer.warnings)


def test_a_kept_decision_books_nothing_either() -> None:
    world = scene()
    for number in range(5):
        ask(world, factories.pod(hostNetwork=True), f"evil-{number}")
    assert world.engine.lookups["hit"] > 0
    assert world.ledger.committed("alpha") == 0
