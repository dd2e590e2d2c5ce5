"""How a budget stands: the one answer that status, pages, reports and metrics show."""

from datetime import datetime
from typing import NamedTuple

from webhook.ledger import balance
from webhook.ledger.store import LedgerStore


class BudgetStanding(NamedTuple):
    """What of a budget is used. Money is in micro-units of its currency, rounded up: never shown as less."""

    rate: int
    """What runs costs, micro-units per hour."""
    spent: int
    """In this period, as far as the ledger has seen it."""
    used: int
    """What admission compares with the amount: see `basis` of a budget."""
    forecast: int
    """Spent, and what runs now until the period ends."""
    percent: int
    """Used of the amount, in whole per cent, rounded down."""
    forecast_percent: int
    """Forecast of the amount, likewise."""
    reached: tuple[int, ...]
    """Thresholds that are reached, per cent of the amount, ascending; the last may be ``rejectAt``."""
    begin: datetime
    """When the period began."""


def standing(name: str, terms: balance.BudgetTerms, ledger: LedgerStore, now: datetime) -> BudgetStanding:
    """Return how a budget stands.

    Args:
        name: of the budget.
        terms: its numbers.
        ledger: what is committed and spent.
        now: the time, with a time zone.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    return standing_of(terms, ledger.committed(name), ledger.spent(name, terms.period, terms.begins_on), now)


def standing_of(terms: balance.BudgetTerms, rate: int, spent: int, now: datetime) -> BudgetStanding:
    """Return how a budget stands of which so much is committed and spent; arguments as the fields of the result."""
    used = balance.used(terms, rate, spent=spent, now=now)
    forecast = balance.used(terms._replace(basis="monthEnd"), rate, spent=spent, now=now)
    thresholds = sorted({*(each for each in terms.warn_at if each < terms.reject_at), terms.reject_at})
    return BudgetStanding(
        rate=rate,
        spent=spent,
        used=_whole(used),
        forecast=_whole(forecast),
        percent=_percent(used, terms.amount),
        forecast_percent=_percent(forecast, terms.amount),
        reached=tuple(each for each in thresholds if used * 100 >= terms.amount * each),
        begin=balance.period_bounds(terms.period, now, terms.begins_on)[0],
    )


def _percent(part: balance.Amount, amount: int) -> int:
    # An amount finer than a micro-unit is none, and used up.
    return int(part * 100 // amount) if amount else 100


def _whole(amount: balance.Amount) -> int:
    numerator, denominator = amount.as_integer_ratio()
    return -(-numerator // denominator)
