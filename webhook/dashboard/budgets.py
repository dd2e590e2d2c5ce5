"""What of each budget is used, and what it comes to by the end of its period. The arithmetic is the ledger's own."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, Literal, NamedTuple

from webhook.guardrails.budget import BudgetRule
from webhook.ledger.standing import standing, standing_of
from webhook.ledger.store import LedgerError, LedgerStore
from webhook.policy.budget import BudgetSpec, ScopeModel
from webhook.policy.model.envelope import PolicyDocument

MARKS: Final = (75, 90)
"""Per cent of the amount at which a bar has a mark, whatever a budget warns at."""

BudgetStateTitle = Literal["within", "75 % reached", "90 % reached", "used up", "not known"]


class BudgetFact(NamedTuple):
    """One budget. Money is in micro-units of the currency."""

    name: str
    mode: str
    scope: str
    period: str
    basis: str
    currency: str
    amount: int
    reject_at: int
    """Per cent of the amount from which on pods are refused."""
    committed: int
    """What runs now, at its rate for a whole period."""
    spent: int
    """In this period, as far as this process has seen it."""
    used: int
    """What admission compares with the amount: committed, or on basis monthEnd the forecast."""
    forecast: int
    """Spent, and what runs now until the period ends."""
    percent: int
    """Used of the amount, in whole per cent, rounded down."""
    forecast_percent: int
    """Forecast of the amount, likewise."""
    is_partly_seen: bool
    """Whether the period began before this process did, so that `spent` and `forecast` are at least that much."""
    problem: str = ""
    """Why nothing of it is known; empty where it is."""

    @property
    def state(self) -> BudgetStateTitle:
        """What is used, in a word."""
        return "not known" if self.problem else self._state(self.used)

    @property
    def forecast_state(self) -> BudgetStateTitle:
        """What will be used, in a word."""
        return "not known" if self.problem else self._state(self.forecast)

    def _state(self, micros: int) -> BudgetStateTitle:
        if micros * 100 >= self.amount * self.reject_at:
            return "used up"
        watch, near = (self.amount * mark for mark in MARKS)
        return "90 % reached" if micros * 100 >= near else "75 % reached" if micros * 100 >= watch else "within"


def budget_lines(
    rules: Sequence[BudgetRule],
    documents: Sequence[PolicyDocument[BudgetSpec]],
    ledger: LedgerStore,
    hours_per_month: int,
    now: datetime,
    started: datetime,
) -> list[BudgetFact]:
    """Return all budgets that are not off, by what is used of them, the most first.

    Args:
        rules: budgets in force.
        documents: what they were made of; names their scopes.
        ledger: what is committed and spent.
        hours_per_month: of the price list.
        now: the time, with its zone.
        started: since when the ledger counts.
    """
    scopes = {item.name: scope_words(item.spec.scope) for item in documents}
    facts = [_tell(rule, scopes, ledger, hours_per_month, now, started) for rule in rules]
    return sorted(facts, key=lambda fact: (-fact.percent, fact.name))


def _tell(
    rule: BudgetRule,
    scopes: Mapping[str, str],
    ledger: LedgerStore,
    hours_per_month: int,
    now: datetime,
    started: datetime,
) -> BudgetFact:
    terms = rule.terms(hours_per_month)
    problem = ""
    try:
        stands = standing(rule.name, terms, ledger, now)
    except LedgerError as error:
        problem, stands = str(error), standing_of(terms, 0, 0, now)
    return BudgetFact(
        name=rule.name,
        mode=rule.mode,
        scope=scopes.get(rule.name, ""),
        period=rule.period,
        basis=rule.basis,
        currency=rule.currency,
        amount=rule.amount,
        reject_at=rule.reject_at,
        committed=stands.rate * terms.hours,
        spent=stands.spent,
        used=stands.used,
        forecast=stands.forecast,
        percent=stands.percent,
        forecast_percent=stands.forecast_percent,
        is_partly_seen=started > stands.begin,
        problem=problem,
    )


def scope_words(scope: ScopeModel) -> str:
    """Return whose pods a budget pays for."""
    if scope.label is not None:
        return f"{scope.label.key}={scope.label.value}"
    if scope.namespaces is not None:
        return f"namespaces {', '.join(scope.namespaces)}"
    if scope.namespace_selector is not None:
        labels = scope.namespace_selector.match_labels
        words = [f"{key}={value}" for key, value in sorted(labels.items())]
        words += [
            f"{each.key} {each.operator} {' '.join(each.values)}".strip()
            for each in scope.namespace_selector.match_expressions
        ]
        return f"namespaces with {', '.join(words)}" if words else "all namespaces"
    return "the whole cluster"
