"""Budgets: whom they cover, what an object adds, and what is said when the money does not suffice."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.guardrails._money_world import container, context, pod
from webhook.guardrails import budget
from webhook.guardrails.base import registry as guardrail_registry
from webhook.guardrails.base.contract import Context, WorkloadScale
from webhook.ledger.memory import MemoryLedger
from webhook.ledger.store import Charge
from webhook.policy.budget import BudgetSpec

MONEY = 10**6
PRICED = "2 CPU, 10Gi by requests, on-demand, price list default"
NOON = datetime(2026, 11, 11, 12, tzinfo=UTC)
THREE = WorkloadScale("Deployment", 3, "3 replicas")
FIVE = WorkloadScale("Deployment", 5, "5 replicas")


def _rule(**changes: object) -> budget.BudgetRule:
    """Return a budget of $1,000 a month (100 h at the prices of these tests): $10 an hour."""
    document: dict[str, Any] = {
        "mode": "enforce",
        "scope": {"cluster": True},
        "amount": "1000",
        "currency": "USD",
        "warnAt": [75, 90],
        **changes,
    }
    return budget.compile_budget("alpha", BudgetSpec.model_validate(document))


@pytest.mark.parametrize(
    ("scope", "pays"),
    [
        pytest.param({"cluster": True}, True, id="cluster"),
        pytest.param({"label": {"key": "cost-center", "value": "alpha"}}, True, id="label"),
        pytest.param({"label": {"key": "cost-center", "value": "beta"}}, False, id="another value"),
        pytest.param({"label": {"key": "team", "value": "alpha"}}, False, id="no such label"),
        pytest.param({"label": {"key": "team", "unlabelled": True}}, True, id="unlabelled"),
        pytest.param({"label": {"key": "cost-center", "unlabelled": True}}, False, id="labelled otherwise"),
        pytest.param(
            {"label": {"key": "cost-center", "value": "alpha", "unlabelled": True}}, True, id="value or unlabelled"
        ),
        pytest.param({"label": {"key": "tier", "value": "gold"}}, False, id="label of the namespace, not of the pod"),
        pytest.param({"namespaces": ["other", "te*"]}, True, id="glob"),
        pytest.param({"namespaces": ["tea"]}, False, id="no part of a name"),
        pytest.param({"namespaceSelector": {"matchLabels": {"tier": "gold"}}}, True, id="namespace label"),
        pytest.param(
            {"namespaceSelector": {"matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["gold"]}]}},
            False,
            id="namespace expression",
        ),
    ],
)
def test_a_budget_pays_for_its_scope(scope: dict[str, object], *, pays: bool) -> None:
    assert _rule(scope=scope).covers("team", {"tier": "gold"}, {"cost-center": "alpha"}) is pays


@pytest.mark.parametrize(
    ("committed", "judged"),
    [
        pytest.param(0, context(pod()), id="plenty left"),
        pytest.param(4_499_999, context(pod()), id="just below the first threshold"),
        pytest.param(
            99 * MONEY, context(pod(), operation="UPDATE", old_pod=pod()), id="update of what is paid already"
        ),
        pytest.param(
            99 * MONEY,
            context(pod(), operation="UPDATE", subresource="resize", old_pod=pod(container("3", "10Gi"))),
            id="resize that costs less",
        ),
        pytest.param(
            99 * MONEY,
            context(pod(), operation="UPDATE", old_pod=pod(), scale=THREE, old_scale=FIVE),
            id="scale down",
        ),
        pytest.param(
            99 * MONEY,
            context(
                pod(),
                operation="UPDATE",
                subresource="scale",
                old_pod=pod(container("1", "1Gi")),
                scale=THREE,
                old_scale=FIVE,
            ),
            id="scale down of pods that proposals make dearer",
        ),
        pytest.param(99 * MONEY, context(pod(), scale=WorkloadScale("Deployment", 0)), id="no replicas"),
    ],
)
def test_what_the_budget_can_pay_passes_in_silence(committed: int, judged: Context) -> None:
    assert budget.judge(_rule(), judged, committed, None) == ()


@pytest.mark.parametrize(
    ("committed", "percent"),
    [(4_500_000, 75), (5_999_999, 75), (6_000_000, 90), (7_000_000, 90)],
)
def test_a_reached_threshold_is_a_notice(committed: int, percent: int) -> None:
    (finding,) = budget.judge(_rule(), context(pod()), committed, None)
    assert (finding.rule, finding.notice) == ("budgetThreshold", True)
    assert finding.message.endswith(f"this pod adds $300.00 ({PRICED}), which reaches {percent} % of it")


@pytest.mark.parametrize(
    ("changes", "judged", "committed", "message"),
    [
        pytest.param(
            {},
            context(pod()),
            7_000_001,
            'budget "alpha": $700.00 of $1,000.00 a month committed, this pod adds $300.00',
            id="one micro-unit too much",
        ),
        pytest.param(
            {"rejectAt": 50},
            context(pod()),
            3 * MONEY,
            'budget "alpha": $300.00 of $1,000.00 a month (refused above 50 %) committed, this pod adds $300.00',
            id="rejectAt",
        ),
        pytest.param(
            {"period": "weekly", "amount": "504"},
            context(pod()),
            MONEY,
            'budget "alpha": $168.00 of $504.00 a week committed, this pod adds $504.00',
            id="weekly",
        ),
        pytest.param(
            {"period": "daily", "amount": "71.99"},
            context(pod()),
            0,
            'budget "alpha": $0.00 of $71.99 a day committed, this pod adds $72.00',
            id="daily",
        ),
        pytest.param(
            {},
            context(pod(), operation="UPDATE", subresource="resize", old_pod=pod(container("1", "10Gi"))),
            10 * MONEY,
            'budget "alpha": $1,000.00 of $1,000.00 a month committed, this resize adds $100.00',
            id="resize",
        ),
        pytest.param(
            {"scope": {"label": {"key": "cost-center", "value": "alpha"}}},
            context(pod(labels={"cost-center": "alpha"}), operation="UPDATE", old_pod=pod()),
            9 * MONEY,
            'budget "alpha": $900.00 of $1,000.00 a month committed, this pod adds $300.00',
            id="label that moves the pod in",
        ),
    ],
)
def test_what_the_budget_cannot_pay_is_refused_with_the_numbers(
    changes: dict[str, object], judged: Context, committed: int, message: str
) -> None:
    (finding,) = budget.judge(_rule(**changes), judged, committed, None)
    assert (finding.rule, finding.notice, finding.message) == ("budget", False, f"{message} ({PRICED})")
    assert finding.cure.startswith('lower the requests of container "app", remove pods')
    assert "app-7d9c" not in finding.message + finding.cure


@pytest.mark.parametrize(
    ("judged", "words"),
    [
        pytest.param(context(pod(), scale=FIVE), f"this Deployment adds $1,500.00 (5 replicas: {PRICED})", id="create"),
        pytest.param(
            context(pod(), operation="UPDATE", old_pod=pod(), scale=FIVE, old_scale=THREE),
            f"this Deployment adds $600.00 (5 replicas: {PRICED})",
            id="scale up",
        ),
        pytest.param(
            context(pod(), scale=WorkloadScale("Job", 10, "10 pods at a time", hours=30)),
            f"this Job adds $900.00 (10 pods at a time: {PRICED})",
            id="Job for its run only",
        ),
    ],
)
def test_a_workload_beyond_the_budget_is_warned_never_refused(judged: Context, words: str) -> None:
    (finding,) = budget.judge(_rule(), judged, 5 * MONEY, None)
    assert (finding.rule, finding.notice) == ("budget", True)
    assert finding.message == f'budget "alpha": $500.00 of $1,000.00 a month committed, {words}'


@pytest.mark.parametrize(
    ("spent", "rules"), [(26, []), (27, ["budgetThreshold"]), (52, ["budgetThreshold"]), (53, ["budget"])]
)
def test_month_end_counts_what_was_spent_and_the_time_that_is_left(spent: int, rules: list[str]) -> None:
    rule = _rule(basis="monthEnd", period="daily", amount="100", warnAt=[75])
    found = budget.judge(rule, context(pod()), MONEY, NOON, spent_micros=spent * MONEY)
    assert [item.rule for item in found] == rules


def test_month_end_says_until_when() -> None:
    rule = _rule(basis="monthEnd", period="daily", amount="100")
    (finding,) = budget.judge(rule, context(pod()), MONEY, NOON, spent_micros=65 * MONEY)
    expected = 'budget "alpha": $77.00 of $100.00 a day spent or committed until the day ends, this pod adds $36.00'
    assert finding.message == f"{expected} ({PRICED})"


def test_a_pod_whose_quantity_cannot_be_read_does_not_slip_through() -> None:
    (finding,) = budget.judge(_rule(), context(pod(container("one"))), 0, None)
    assert (finding.rule, finding.notice) == ("quantity", False)


@pytest.mark.parametrize(
    ("judged", "words"),
    [
        (context(pod({"name": "app"}, nodeSelector={"lifecycle": "EC2Spot"})), "by assumed request, spot, price list"),
        (context(pod({"name": "app", "resources": {"limits": {"cpu": "9"}}})), "by limits and assumed request, on-d"),
    ],
    ids=["assumed, spot", "limits"],
)
def test_a_refusal_names_what_was_priced_and_by_which_prices(judged: Context, words: str) -> None:
    (finding,) = budget.judge(_rule(), judged, 10 * MONEY, None)
    assert words in finding.message


@pytest.mark.parametrize(
    ("judged", "expected"),
    [
        (context(pod()), True),
        (context(pod(), operation="UPDATE", old_pod=pod()), False),
        (context(pod(labels={"a": "b"}), operation="UPDATE", old_pod=pod()), True),
        (context(pod(), operation="UPDATE", subresource="resize", old_pod=pod()), True),
        (context(pod(), operation="UPDATE", subresource="ephemeralcontainers", old_pod=pod()), False),
        (context(pod(), scale=THREE), True),
    ],
    ids=["create", "update", "labels change", "resize", "ephemeral containers", "workload"],
)
def test_it_looks_at_what_can_take_money(judged: Context, *, expected: bool) -> None:
    assert budget.judges(judged) is expected


def test_only_an_enforced_budget_refuses_a_booking() -> None:
    assert budget.charge(_rule(), 100, None) == Charge("alpha", 10 * MONEY)
    assert budget.charge(_rule(mode="warn"), 100, None) == Charge("alpha", None)


def test_a_budget_is_no_section_of_a_policy() -> None:
    assert not hasattr(budget, "GUARDRAIL")
    assert "costCeiling" in {guardrail.name for guardrail in guardrail_registry.discover()}


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 12 * MONEY), st.integers(1, 9000))
def test_judgement_and_booking_agree(committed: int, milli: int) -> None:
    rule, judged = _rule(warnAt=[]), context(pod(container(f"{milli}m", "1Gi")))
    ledger = MemoryLedger(clock=lambda: NOON)
    ledger.reserve("others", committed, [Charge("alpha", None)])
    rate = budget.added_rate(rule, judged)
    accepted = ledger.reserve("pod", rate, [budget.charge(rule, 100, NOON)]).accepted
    assert accepted is (budget.judge(rule, judged, committed, NOON) == ())


@pytest.mark.parametrize(
    ("now", "mode"),
    [
        (NOON.replace(day=10), "warn"),
        (datetime(2026, 11, 11, 23, 59, 59, tzinfo=UTC), "warn"),
        (datetime(2026, 11, 12, tzinfo=UTC), "enforce"),
    ],
)
def test_in_its_days_of_grace_an_enforced_budget_only_warns(now: datetime, mode: str) -> None:
    rule = _rule(graceUntil="2026-11-11").at(now)
    assert rule.mode == mode
    (finding,) = budget.judge(rule, context(pod()), 10 * MONEY, None)
    assert ("(only a warning until the end of 2026-11-11)" in finding.message) is (mode == "warn")


def test_grace_makes_no_other_mode_stricter() -> None:
    assert _rule(mode="audit", graceUntil="2026-11-11").at(NOON).mode == "audit"
    assert _rule(mode="warn", graceUntil="2026-11-11").at(NOON).grace_until is None
