"""How budgets stand: what is committed of each, which threshold is reached, and what stands in the way of judging it.

For people, not for verdicts: numbers are rounded, and a moment old.
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Literal, NamedTuple

from webhook.admission.ruleset import Ruleset
from webhook.guardrails.budget import UNITS, BudgetRule
from webhook.ledger.standing import standing, standing_of
from webhook.ledger.store import LedgerStore
from webhook.pricing import money

BudgetState = Literal["Within", "Warning", "Exhausted", "Unpriced"]


class BudgetStatus(NamedTuple):
    """How one budget stands."""

    name: str
    mode: str
    """As it holds now: in its days of grace an enforced budget warns."""
    currency: str
    amount: int
    """Micro-units, as is the next one."""
    committed: int
    """What counts against the amount: see `basis` of a budget."""
    percent: int
    """Of the amount, rounded down."""
    state: BudgetState
    reached: tuple[int, ...]
    """Thresholds that are reached, per cent of the amount, ascending; the last may be ``rejectAt``."""
    unit: str
    """The period, in a word."""
    begin: datetime
    """When the period began."""
    prices: str
    """Currency of the prices."""
    has_list: bool
    """Whether a PriceList gives them, and not the built-in prices."""
    overlaps: tuple[str, ...]
    """Budgets of the same kind of scope that pay for some of the same pods."""

    @property
    def committed_text(self) -> str:
        """What is committed, as a decimal string with two places."""
        return two_places(self.committed)

    @property
    def amount_text(self) -> str:
        """The amount, as a decimal string with two places."""
        return two_places(self.amount)

    def text(self) -> str:
        """Return the numbers as people read them: ``$9,310.00 of $10,000.00 a month committed (93 %)``."""
        amounts = (Decimal(each).scaleb(-6) for each in (self.committed, self.amount))
        has, whole = (money.format_money(each, self.currency) for each in amounts)
        return f"{has} of {whole} a {self.unit} committed ({self.percent} %)"


def two_places(micros: int) -> str:
    """Return an amount for programs: a decimal string with two places, half rounded up."""
    cents = (micros + 5_000) // 10_000
    return f"{cents // 100}.{cents % 100:02d}"


def budget_statuses(rules: Ruleset, ledger: LedgerStore, now: datetime) -> list[BudgetStatus]:
    """Return how all budgets in force stand.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    return [_of(rule.at(now), rules, ledger, now) for rule in rules.budgets]


def _of(rule: BudgetRule, rules: Ruleset, ledger: LedgerStore, now: datetime) -> BudgetStatus:
    terms = rule.terms(rules.prices.hours_per_month)
    is_priced = rule.currency == rules.prices.currency
    stands = standing(rule.name, terms, ledger, now) if is_priced else standing_of(terms, 0, 0, now)
    reached = stands.reached
    state: BudgetState = "Within"
    if not is_priced:
        state = "Unpriced"
    elif rule.reject_at in reached:
        state = "Exhausted"
    elif reached:
        state = "Warning"
    return BudgetStatus(
        name=rule.name,
        mode=rule.mode,
        currency=rule.currency,
        amount=rule.amount,
        committed=stands.used,
        percent=stands.percent,
        state=state,
        reached=reached,
        unit=UNITS[rule.period],
        begin=stands.begin,
        prices=rules.prices.currency,
        has_list=rules.has_price_list,
        overlaps=_overlaps(rule, rules.budgets),
    )


def _overlaps(rule: BudgetRule, others: Sequence[BudgetRule]) -> tuple[str, ...]:
    return tuple(sorted(each.name for each in others if each.name != rule.name and each.scope.overlaps(rule.scope)))
