"""Reviews that are answered without being judged: `onFault` decides, and budgets hold all the same."""

import asyncio
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import msgspec
import pytest

from tests import factories
from tests.factories import World, deployment, pod, policy, review, stored
from webhook.ledger.memory import MemoryLedger
from webhook.ledger.store import LedgerError, ReservationOutcome

SECURITY = "mode: {mode}\npodSecurity: {{level: restricted{fault}}}"
CEILING = "mode: {mode}\ncostCeiling: {{podMonthly: '1'{fault}}}"


def overloaded(world: World, path: str, document: dict[str, Any], **request: Any) -> factories.Answer:  # noqa: ANN401
    body = review(document if path == "/mutate" or "object" in request else stored(document), **request)
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


def test_nothing_is_changed() -> None:
    world = World(policy("mode: enforce\ncostLabels:\n  required: [{key: cost-center, source: pod, default: shared}]"))

    assert overloaded(world, "/mutate", pod()).patch == []
    assert "cost" not in overloaded(world, "/validate", pod()).notes


BUDGET = "mode: {}\nscope: {{cluster: true}}\namount: '{}'\ncurrency: USD{}"


def budget(mode: str = "enforce", amount: str = "300", more: str = "") -> str:
    """A budget of the cluster; a pod costs $200."""
    return policy(BUDGET.format(mode, amount, more), "all", "Budget")


def worlds(*documents: str, **more: Any) -> tuple[World, World]:  # noqa: ANN401
    """Two that are alike: one judges, one is overloaded."""
    return World(*documents, **more), World(*documents, **more)


def both(documents: tuple[str, ...], path: str, *pods: dict[str, Any], **more: Any) -> list[Any]:  # noqa: ANN401
    """Return what becomes of pods, one after the other, where they are judged and where they are not: verdicts,
    messages of refusals, and what is committed."""
    judging, shedding = worlds(*documents, **more)
    made = [stored(each, f"uid-{number}") for number, each in enumerate(pods)]
    judged = [judging.call(path, review(each)) for each in made]
    shed = [overloaded(shedding, path, each, object=each) for each in made]
    return [
        ([each.allowed for each in answers], [each.message for each in answers], world.ledger.committed("all"))
        for answers, world in ((judged, judging), (shed, shedding))
    ]


@pytest.mark.parametrize("mode", ["enforce", "warn", "audit"])
@pytest.mark.parametrize("more", ["", "\nonFault: deny", "\nonFault: allow"])
@pytest.mark.parametrize("path", ["/validate", "/validate/cost", "/validate/security"])
def test_budgets_are_judged_and_booked_as_ever(mode: str, more: str, path: str) -> None:
    judged, shed = both((budget(mode, more=more),), path, pod(), pod(), pod())

    assert shed == judged
    assert (False in shed[0]) is (mode == "enforce" and path != "/validate/security")


SPOT = "mode: enforce\nspot: {tolerations: [{key: spot, operator: Exists}], priceAs: spot}"
TOLERATED = [{"key": "spot", "operator": "Exists"}]


@pytest.mark.parametrize(
    ("text", "changes"),
    [
        pytest.param("mode: enforce\ncostCeiling: {podMonthly: '9999'}", {}, id="on demand"),
        pytest.param(SPOT, {"tolerations": TOLERATED}, id="spot capacity"),
        pytest.param(SPOT, {}, id="spot capacity, that the pod does not tolerate"),
        pytest.param(SPOT.replace("enforce", "audit"), {"tolerations": TOLERATED}, id="spot capacity, later"),
        pytest.param(SECURITY.format(mode="enforce", fault=", onFault: allow"), {}, id="refused by the other half"),
    ],
)
def test_a_pod_is_charged_what_it_is_charged_where_it_is_judged(text: str, changes: dict[str, Any]) -> None:
    judged, shed = both((policy(text), budget(amount="900")), "/validate/cost", pod(**changes))

    assert shed == judged


def test_who_is_refused_by_a_fault_holds_nothing() -> None:
    world = World(policy(SECURITY.format(mode="enforce", fault="")), budget())

    assert not overloaded(world, "/validate", pod()).allowed
    assert world.ledger.committed("all") == 0


def test_a_dry_run_books_nothing() -> None:
    world = World(budget())

    assert overloaded(world, "/validate", pod(), dryRun=True).allowed
    assert world.ledger.committed("all") == 0


@pytest.mark.parametrize(("fault", "allowed"), [("", True), ("\nonFault: allow", True), ("\nonFault: deny", False)])
def test_where_the_booking_fails_on_fault_decides(fault: str, *, allowed: bool) -> None:
    class Broken(MemoryLedger):
        def reserve(self, *_: object, **__: object) -> ReservationOutcome:
            raise LedgerError("the API server does not answer")

    world = World(budget(more=fault), ledger=Broken(clock=lambda: factories.NOON))
    answer = overloaded(world, "/validate", pod())

    assert answer.allowed is allowed
    assert answer.outcome("budget") == ("fault_allowed" if allowed else "fault_denied")


def test_a_booking_that_takes_a_write_is_waited_for_without_holding_the_loop() -> None:
    class Later(MemoryLedger):
        asked: list[float] = []  # noqa: RUF012

        def begin(self, key: str, micros: int, charges: Any, owner: Any, *, seconds: float, done: Any) -> Any:  # noqa: ANN401
            self.asked.append(seconds)
            done(self.reserve(key, micros, charges, owner))
            return lambda: None

    ledger = Later(clock=lambda: factories.NOON)
    world = World(budget(), ledger=ledger)
    world.engine._later = ledger

    async def told(uid: str) -> bool:
        body = msgspec.json.encode(review(stored(pod(), uid)))
        answered = world.engine.answer_soon("/validate", body, 10.0, overloaded=True)
        assert not isinstance(answered, tuple)
        return bool(msgspec.json.decode((await answered)[0])["response"]["allowed"])

    assert asyncio.run(told("a"))
    assert world.ledger.committed("all") > 0
    assert ledger.asked == [4.0]


def test_a_workload_is_not_told_what_its_pods_cost() -> None:
    answer = overloaded(World(budget(amount="1", more="\nonFault: deny")), "/validate", deployment())

    assert answer.allowed
    assert answer.outcome("budget") == "fault_allowed"


def test_a_budget_in_its_days_of_grace_refuses_nobody() -> None:
    text = "mode: enforce\nscope: {cluster: true}\namount: '1'\ncurrency: USD\nonFault: deny\ngraceUntil: '2026-11-22'"
    last, after = factories.NOON, factories.NOON + timedelta(days=1)

    dated = [
        World(policy(text, "b", "Budget"), now=partial(datetime.fromtimestamp, each.timestamp(), UTC))
        for each in (last, after)
    ]
    answers = [overloaded(each, "/validate", pod()) for each in dated]

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
