"""Reviews that are answered without being judged: `onFault` decides, and nothing else happens."""

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import msgspec
import pytest

from tests import factories
from tests.factories import World, deployment, pod, policy, review, stored

SECURITY = "mode: {mode}\npodSecurity: {{level: restricted{fault}}}"
CEILING = "mode: {mode}\ncostCeiling: {{podMonthly: '1'{fault}}}"


def overloaded(world: World, path: str, document: dict[str, Any], **request: Any) -> factories.Answer:  # noqa: ANN401
    body = review(document if path == "/mutate" else stored(document), **request)
    encoded, after = world.engine.answer(path, msgspec.json.encode(body), overloaded=True)
    before = len(world.lines)
    if after is not None:
        after()
    response = msgspec.json.decode(encoded)["response"]
    assert response["uid"] == "review-1"
    return factories.Answer(response, msgspec.json.decode(world.lines[-1]) if len(world.lines) > before else None)


@pytest.mark.parametrize(
    ("text", "mode", "fault", "path", "allowed", "warned"),
    [
        pytest.param(SECURITY, "enforce", "", "/validate", False, 0, id="security by default refuses"),
        pytest.param(SECURITY, "enforce", "", "/validate/security", False, 0, id="security in its own half"),
        pytest.param(SECURITY, "enforce", ", onFault: allow", "/validate", True, 1, id="security told to allow"),
        pytest.param(SECURITY, "warn", "", "/validate", True, 1, id="security that only warns"),
        pytest.param(SECURITY, "audit", "", "/validate", True, 0, id="security that only records"),
        pytest.param(SECURITY, "enforce", "", "/validate/cost", True, 0, id="security has no say in the cost half"),
        pytest.param(SECURITY, "enforce", "", "/mutate", True, 1, id="the mutating call never refuses"),
        pytest.param(CEILING, "enforce", "", "/validate", True, 1, id="cost by default allows"),
        pytest.param(CEILING, "enforce", ", onFault: deny", "/validate", False, 0, id="cost told to deny"),
        pytest.param(CEILING, "enforce", ", onFault: deny", "/validate/security", True, 0, id="cost not in that half"),
        pytest.param(CEILING, "enforce", ", onFault: deny", "/mutate", True, 0, id="what changes nothing is not asked"),
    ],
)
def test_each_guardrail_says_what_a_fault_means(
    text: str, mode: str, fault: str, path: str, allowed: bool, warned: int
) -> None:
    world = World(policy(text.format(mode=mode, fault=fault)))

    answer = overloaded(world, path, pod())

    assert (answer.allowed, len(answer.warnings)) == (allowed, warned)
    for line in [answer.message] * (not allowed) + answer.warnings:
        assert "Podgate is overloaded" in line
        assert "retry" in line
        assert "\n" not in line


def test_nothing_is_changed_priced_or_booked() -> None:
    world = World(
        policy("mode: enforce\ncostLabels:\n  required: [{key: cost-center, source: pod, default: shared}]"),
        policy("mode: enforce\nscope: {cluster: true}\namount: '1000'\ncurrency: USD", "all", "Budget"),
    )

    mutated = overloaded(world, "/mutate", pod())
    validated = overloaded(world, "/validate", pod())

    assert mutated.patch == []
    assert "cost" not in validated.notes
    assert world.ledger.committed("all") == 0
    assert validated.outcome("budget") == "fault_allowed"
    assert validated.allowed


def test_a_budget_that_denies_on_a_fault_refuses() -> None:
    budget = "mode: {}\nscope: {{cluster: true}}\namount: '1000'\ncurrency: USD\nonFault: deny"

    assert not overloaded(World(policy(budget.format("enforce"), "all", "Budget")), "/validate", pod()).allowed
    assert overloaded(World(policy(budget.format("warn"), "all", "Budget")), "/validate", pod()).allowed


def test_a_budget_in_its_days_of_grace_refuses_nobody() -> None:
    text = "mode: enforce\nscope: {cluster: true}\namount: '1'\ncurrency: USD\nonFault: deny\ngraceUntil: '2026-11-22'"
    last, after = factories.NOON, factories.NOON + timedelta(days=1)

    worlds = [
        World(policy(text, "b", "Budget"), now=partial(datetime.fromtimestamp, each.timestamp(), UTC))
        for each in (last, after)
    ]
    answers = [overloaded(each, "/validate", pod()) for each in worlds]

    assert [answer.allowed for answer in answers] == [True, False]


def test_a_workload_is_never_refused_for_it() -> None:
    world = World(policy(SECURITY.format(mode="enforce", fault="")))

    answer = overloaded(world, "/validate", deployment())

    assert answer.allowed
    assert answer.outcome("podSecurity") == "fault_allowed"


def test_who_is_excluded_or_exempt_or_not_asked_passes_without_a_word() -> None:
    text = policy(SECURITY.format(mode="enforce", fault=""))
    exception = (
        "apiVersion: podgate.dev/v1alpha1\nkind: PolicyException\nmetadata: {name: x, namespace: team-alpha}\n"
        "spec: {guardrails: [podSecurity], podSelector: {matchLabels: {app: shop}}, owner: a@b.example, reason: test,"
        " expires: '2026-12-01'}\n"
    )

    assert overloaded(World(text), "/validate", pod(), namespace="kube-system").response == {
        "uid": "review-1",
        "allowed": True,
    }
    assert overloaded(World(text, exception), "/validate", pod()).allowed
    assert overloaded(World(text), "/validate", pod(), operation="DELETE").allowed


def test_the_decision_is_recorded_and_counted_as_a_fault() -> None:
    world = World(policy(SECURITY.format(mode="enforce", fault="")))

    answer = overloaded(world, "/validate", pod())

    assert answer.outcome("podSecurity") == "fault_denied"
    labels = {"policy": "team", "guardrail": "podSecurity", "mode": "enforce", "outcome": "fault_denied"}
    assert world.sample("podgate_decisions_total", **labels) == 1
