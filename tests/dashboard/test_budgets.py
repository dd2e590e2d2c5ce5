"""Budgets on the pages: the arithmetic of admission, in words that say how near the end is."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from tests import factories
from webhook.dashboard import budgets
from webhook.dashboard.budgets import BudgetFact
from webhook.guardrails.budget import BudgetRule, compile_budget
from webhook.ledger.balance import BudgetTerms
from webhook.ledger.memory import MemoryLedger
from webhook.ledger.standing import standing_of
from webhook.ledger.store import Booking, LedgerError
from webhook.policy.budget import BudgetSpec
from webhook.policy.loading import loader
from webhook.policy.model.envelope import PolicyDocument

NOON = factories.NOON
MICRO = 1_000_000


def loaded(spec: str = "", scope: str = "{cluster: true}") -> Sequence[PolicyDocument[BudgetSpec]]:
    text = factories.policy(
        f'mode: enforce\nscope: {scope}\namount: "1000"\ncurrency: USD\n{spec}', name="all", kind="Budget"
    )
    return loader.load_text(text, "b.yaml").budgets


def told(rate: int, spec: str = "", started: datetime = NOON, now: datetime = NOON) -> BudgetFact:
    """Return a budget of $1000 for 100 hours of which pods for so many dollars an hour run."""
    clock = [started]
    ledger = MemoryLedger(clock=lambda: clock[0])
    ledger.recount([Booking("pod", rate * MICRO, ("all",))])
    clock[0] = now
    documents = loaded(spec)
    rules = [compile_budget(item.name, item.spec) for item in documents]
    (fact,) = budgets.budget_lines(rules, documents, ledger, 100, now, started)
    return fact


@pytest.mark.parametrize(
    ("rate", "percent", "state"),
    [
        (0, 0, "within"),
        (7, 70, "within"),
        (8, 80, "75 % reached"),
        (9, 90, "90 % reached"),
        (10, 100, "used up"),
        (11, 110, "used up"),
    ],
)
def test_the_state_follows_the_marks_and_the_limit(rate: int, percent: int, state: str) -> None:
    fact = told(rate)
    assert (fact.percent, fact.state) == (percent, state)
    assert fact.used == fact.committed == rate * 100 * MICRO


def test_a_budget_that_refuses_later_is_not_used_up_at_its_amount() -> None:
    assert told(11, "rejectAt: 120").state == "90 % reached"
    assert told(13, "rejectAt: 120").state == "used up"


def test_the_forecast_is_what_was_spent_and_what_runs_until_the_end() -> None:
    # Eight days and twelve hours of November are left at noon of the 22nd.
    fact = told(1, now=NOON, started=NOON - timedelta(hours=10))
    assert fact.spent == 10 * MICRO
    assert fact.forecast == (10 + 204) * MICRO
    assert fact.is_partly_seen


def test_on_basis_month_end_the_forecast_is_what_admission_compares() -> None:
    fact = told(1, "basis: monthEnd", started=NOON - timedelta(hours=10))
    assert fact.used == fact.forecast == 214 * MICRO
    assert fact.committed == 100 * MICRO


def test_a_period_that_was_seen_whole_says_so() -> None:
    assert not told(1, "period: daily", started=NOON.replace(hour=0)).is_partly_seen
    assert told(1, "period: daily", started=NOON.replace(hour=1)).is_partly_seen


def test_a_ledger_that_cannot_be_read_is_said_and_hides_no_other_budget() -> None:
    class Broken(MemoryLedger):
        def committed(self, budget: str, *, without: str = "") -> int:
            if budget == "all":
                raise LedgerError("the ledger is locked; try again")
            return super().committed(budget, without=without)

    documents = loaded()
    rule = compile_budget("all", documents[0].spec)
    rules: list[BudgetRule] = [rule, rule._replace(name="other")]
    facts = budgets.budget_lines(rules, documents, Broken(clock=lambda: NOON), 100, NOON, NOON)
    assert [(fact.name, fact.state, fact.problem) for fact in facts] == [
        ("all", "not known", "the ledger is locked; try again"),
        ("other", "within", ""),
    ]


def test_an_amount_below_the_smallest_unit_divides_by_nothing() -> None:
    stands = standing_of(BudgetTerms(amount=0, warn_at=(80,)), 1, 0, datetime(2026, 11, 20, tzinfo=UTC))
    assert (stands.percent, stands.reached) == (100, (80, 100))
    assert told(1)._replace(amount=0).state == "used up"


@pytest.mark.parametrize(
    ("scope", "words"),
    [
        ("{cluster: true}", "the whole cluster"),
        ("{label: {key: cost-center, value: a}}", "cost-center=a"),
        ("{namespaces: [team-*, ci]}", "namespaces team-*, ci"),
        ("{namespaceSelector: {matchLabels: {department: a}}}", "namespaces with department=a"),
        (
            "{namespaceSelector: {matchExpressions: [{key: env, operator: In, values: [a, b]}]}}",
            "namespaces with env In a b",
        ),
        ("{namespaceSelector: {}}", "all namespaces"),
    ],
)
def test_a_scope_is_said_in_words(scope: str, words: str) -> None:
    assert budgets.scope_words(loaded(scope=scope)[0].spec.scope) == words
