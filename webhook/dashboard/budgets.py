"""What of each budget is used, and what it comes to by the end of its period. The arithmetic is the ledger's own."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, Literal, NamedTuple

from webhook.guardrails.budget import BudgetRule
from webhook.ledger import balance
from webhook.ledger.store import LedgerError, LedgerStore
from webhook.policy._envelope import Document
from webhook.policy.budget import BudgetSpec, ScopeModel

MARKS: Final = (75, 90)
"""Per cent of the amount at which a bar has a mark, whatever a budget warns at."""

State = Literal["within", "75 % reached", "90 % reached", "used up", "not known"]


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
    """Per cent of the amount above which pods are refused."""
    committed: int
    """What runs now, at its rate for a whole period."""
    spent: int
    """In this period, as far as this process has seen it."""
    used: int
    """What admission compares with the amount: committed, or on basis monthEnd the forecast."""
    forecast: int
    """Spent, and what runs now until the period ends."""
    is_partly_seen: bool
    """Whether the period began before this process did, so that `spent` and `forecast` are at least that much."""
    problem: str = ""
    """Why nothing of it is known; empty where it is."""

    @property
    def percent(self) -> int:
        """Used of the amount, in whole per cent, rounded down."""
        return self.used * 100 // max(self.amount, 1)

    @property
    def forecast_percent(self) -> int:
        """Forecast of the amount, in whole per cent, rounded down."""
        return self.forecast * 100 // max(self.amount, 1)

    @property
    def state(self) -> State:
        """What is used, in a word."""
        return "not known" if self.problem else self._state(self.used)

    @property
    def forecast_state(self) -> State:
        """What will be used, in a word."""
        return "not known" if self.problem else self._state(self.forecast)

    def _state(self, micros: int) -> State:
        if micros * 100 > self.amount * self.reject_at:
            return "used up"
        watch, near = (self.amount * mark for mark in MARKS)
        return "90 % reached" if micros * 100 >= near else "75 % reached" if micros * 100 >= watch else "within"


def tell(
    rules: Sequence[BudgetRule],
    documents: Sequence[Document[BudgetSpec]],
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
    rate = spent = 0
    problem = ""
    try:
        rate, spent = ledger.committed(rule.name), ledger.spent(rule.name, rule.period)
    except LedgerError as error:
        problem = str(error)
    begin, _ = balance.period_bounds(rule.period, now)
    forecast = balance.used(terms._replace(basis="monthEnd"), rate, spent=spent, now=now)
    return BudgetFact(
        name=rule.name,
        mode=rule.mode,
        scope=scopes.get(rule.name, ""),
        period=rule.period,
        basis=rule.basis,
        currency=rule.currency,
        amount=rule.amount,
        reject_at=rule.reject_at,
        committed=rate * terms.hours,
        spent=spent,
        used=_whole(balance.used(terms, rate, spent=spent, now=now)),
        forecast=_whole(forecast),
        is_partly_seen=started > begin,
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


def _whole(amount: balance.Amount) -> int:
    """Return whole micro-units, rounded up: what is used is never shown as less."""
    numerator, denominator = amount.as_integer_ratio()
    return -(-numerator // denominator)
