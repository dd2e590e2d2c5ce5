"""The arithmetic of a budget, pure: how fast its pods may spend, how much of it is used, which thresholds are crossed.

Two bases:

* ``runRate``: what the pods cost per hour, times the hours of the period, against the amount. It does not depend on the
  day, so the answer of today is the answer of tomorrow.
* ``monthEnd``: what the period has cost so far, plus what the pods cost until it ends, against the amount. It needs the
  time, and what was spent as the ledger knows it.

Both come down to one number, the greatest rate per hour at which the budget holds (`rate_limit`), so that a store only
has to compare whole numbers. Rates are micro-units of currency per hour, amounts micro-units.
"""

from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from typing import Final, Literal, NamedTuple

BudgetPeriod = Literal["monthly", "weekly", "daily"]
BudgetBasis = Literal["runRate", "monthEnd"]
Amount = int | Fraction
"""Micro-units, exactly."""

_FIXED_HOURS: Final = {"weekly": 168, "daily": 24}
_HOUR: Final = timedelta(hours=1)
_MICROSECOND: Final = timedelta(microseconds=1)
_MICROSECONDS_PER_HOUR: Final = _HOUR // _MICROSECOND
_LONGEST_PERIOD: Final = 31
"""Days."""
_AHEAD: Final = _HOUR
"""What was counted up to a moment further in the future comes of a clock that was wrong."""


class BudgetTerms(NamedTuple):
    """What a budget promises."""

    amount: int
    """Micro-units for one period."""
    period: BudgetPeriod = "monthly"
    basis: BudgetBasis = "runRate"
    hours_per_month: int = 730
    warn_at: tuple[int, ...] = ()
    """Per cent of the amount, ascending."""
    reject_at: int = 100
    """Per cent of the amount that must not be exceeded."""
    begins_on: int = 1
    """Day of the month, or of the week counted from Monday, on which a period begins."""
    pays_next: bool = False
    """On basis ``monthEnd``: whether a rate has to fit into the next period as well, which it goes on in."""
    is_enforced: bool = True
    grace_until: date | None = None
    """Last day on which an enforced budget only warns."""

    @property
    def hours(self) -> int:
        """Hours of one period; a month is as long as the price list says."""
        return _FIXED_HOURS.get(self.period, self.hours_per_month)

    def refuses(self, now: datetime) -> bool:
        """Whether pods beyond it are refused at a time."""
        return self.is_enforced and not is_grace(self.grace_until, now)


def is_grace(until: date | None, now: datetime) -> bool:
    """Whether a budget is in its days of grace, which end with a day in UTC; None has none."""
    return until is not None and now.astimezone(UTC).date() <= until


class Spending(NamedTuple):
    """What a scope has spent on each of the last days: enough for every period, whatever day it begins on.

    Amounts are micro-units times microseconds per hour, so they are exact whatever the rate.
    """

    since: datetime
    """Up to when it is counted, in UTC."""
    today: int = 0
    """Spent on the day of `since`."""
    days: tuple[tuple[date, int], ...] = ()
    """Earlier days on which something was spent, oldest first."""

    def advanced(self, rate: int, now: datetime) -> "Spending":
        """Count a constant `rate` up to `now`.

        A clock that went back a little changes nothing. What was counted for days that have not come is forgotten: the
        clock was wrong then.
        """
        if now <= self.since:
            return self if self.since - now <= _AHEAD else self._set_back(now)
        now = now.astimezone(UTC)
        # Older days belong to no period any more.
        since = max(self.since, now - timedelta(days=_LONGEST_PERIOD + 1))
        # Those before the last count stay for the case that it is this time that is wrong.
        before = self.since.date() - timedelta(days=_LONGEST_PERIOD)
        if now.date() == since.date():
            return self._replace(since=now, today=self.today + rate * ((now - since) // _MICROSECOND))
        today, days = self.today, list(self.days)
        if since != self.since:
            days.append((self.since.date(), today))
            today = 0
        while since.date() < now.date():
            _, end = period_bounds("daily", since)
            days.append((since.date(), today + rate * ((end - since) // _MICROSECOND)))
            since, today = end, 0
        oldest = now.date() - timedelta(days=_LONGEST_PERIOD)
        kept = tuple((day, spent) for day, spent in days if spent and (day >= oldest or day >= before))
        return Spending(now, rate * ((now - since) // _MICROSECOND), kept)

    def _set_back(self, now: datetime) -> "Spending":
        now = now.astimezone(UTC)
        days = dict(self.days)
        today = self.today if self.since.date() == now.date() else days.get(now.date(), 0)
        return Spending(now, today, tuple((day, spent) for day, spent in self.days if day < now.date()))

    def micros(self, period: BudgetPeriod, now: datetime, begins_on: int = 1) -> int:
        """Return what the period that `now` is in has cost up to `since`, in micro-units, rounded up."""
        begin = period_bounds(period, now, begins_on)[0].date()
        last = now.astimezone(UTC).date()
        today = self.today if begin <= self.since.date() <= last else 0
        return whole_micros(today + sum(spent for day, spent in self.days if begin <= day <= last))


def whole_micros(spent: int) -> int:
    """Return an amount of `Spending` in micro-units, rounded up."""
    return -(-spent // _MICROSECONDS_PER_HOUR)


def period_bounds(period: BudgetPeriod, now: datetime, begins_on: int = 1) -> tuple[datetime, datetime]:
    """Return begin and end of the period that `now` is in: months, weeks and days of the calendar, in UTC.

    Args:
        period: its length.
        now: the time, with a time zone.
        begins_on: day of the month, 1 to 28, or day of the week, 1 for Monday to 7; days have none.

    Raises:
        ValueError: `now` has no time zone.
    """
    if now.tzinfo is None:
        raise ValueError("the time has no time zone; pass an aware datetime")
    day = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    if period == "daily":
        return day, day + timedelta(days=1)
    if period == "weekly":
        begin = day - timedelta(days=(day.weekday() - (begins_on - 1)) % 7)
        return begin, begin + timedelta(days=7)
    begin = day.replace(day=begins_on)
    if begin > day:
        begin = (begin.replace(day=1) - timedelta(days=1)).replace(day=begins_on)
    return begin, (begin.replace(day=1) + timedelta(days=32)).replace(day=begins_on)


def hours_ahead(terms: BudgetTerms, now: datetime | None) -> Amount:
    """Return the hours that a rate is counted for: the whole period, or what is left of it on basis ``monthEnd``.

    Raises:
        ValueError: the basis is ``monthEnd`` and `now` is None.
    """
    if terms.basis == "runRate":
        return terms.hours
    if now is None:
        raise ValueError("basis monthEnd needs the time; pass now")
    _, end = period_bounds(terms.period, now, terms.begins_on)
    return Fraction((end - now) // _MICROSECOND, _MICROSECONDS_PER_HOUR)


def next_hours(terms: BudgetTerms, now: datetime) -> int:
    """Return the hours of the period that follows the one that `now` is in."""
    _, end = period_bounds(terms.period, now, terms.begins_on)
    begin, after = period_bounds(terms.period, end, terms.begins_on)
    return (after - begin) // _HOUR


def used(terms: BudgetTerms, rate: int, *, spent: int = 0, now: datetime | None = None) -> Amount:
    """Return how much of the amount a scope that costs `rate` per hour uses, exactly, in micro-units.

    Args:
        terms: the budget.
        rate: micro-units per hour.
        spent: micro-units spent in this period so far; only counts on basis ``monthEnd``.
        now: needed on basis ``monthEnd``.
    """
    if terms.basis == "runRate":
        return rate * terms.hours
    return spent + rate * hours_ahead(terms, now)


def rate_limit(terms: BudgetTerms, *, spent: int = 0, now: datetime | None = None) -> int:
    """Return the greatest rate, in micro-units per hour, whose use is not above `reject_at` per cent of the amount.

    Never below zero: a budget that is spent lets nothing in that costs something.
    """
    whole = Fraction(terms.amount * terms.reject_at, 100)
    limit = (whole - (spent if terms.basis == "monthEnd" else 0)) // hours_ahead(terms, now)
    if terms.pays_next and terms.basis == "monthEnd" and now is not None:
        limit = min(limit, whole // next_hours(terms, now))
    return max(0, limit)


def is_above(terms: BudgetTerms, amount: Amount) -> bool:
    """Whether `amount` is above `reject_at` per cent of the budget; exactly at it is within."""
    return amount * 100 > terms.amount * terms.reject_at


def reached(terms: BudgetTerms, amount: Amount) -> int | None:
    """Return the highest warning threshold, in per cent, that `amount` has reached; None where there is none."""
    return next((percent for percent in reversed(terms.warn_at) if amount * 100 >= terms.amount * percent), None)
