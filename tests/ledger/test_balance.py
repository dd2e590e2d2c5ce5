"""Budget arithmetic: periods, bases, limits and thresholds."""

from datetime import UTC, datetime, timedelta, timezone
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webhook.ledger import balance
from webhook.ledger.balance import BudgetPeriod, BudgetTerms, Spending

MONEY = 10**6
NOON = datetime(2026, 11, 11, 12, tzinfo=UTC)
"""A Wednesday in a month of 30 days."""
TERMS = BudgetTerms(amount=730 * MONEY)


@pytest.mark.parametrize(
    ("period", "now", "begin", "end"),
    [
        ("daily", NOON, datetime(2026, 11, 11, tzinfo=UTC), datetime(2026, 11, 12, tzinfo=UTC)),
        ("weekly", NOON, datetime(2026, 11, 9, tzinfo=UTC), datetime(2026, 11, 16, tzinfo=UTC)),
        ("monthly", NOON, datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC)),
        (
            "monthly",
            datetime(2026, 12, 31, 23, 59, tzinfo=UTC),
            datetime(2026, 12, 1, tzinfo=UTC),
            datetime(2027, 1, 1, tzinfo=UTC),
        ),
        (
            "monthly",
            datetime(2028, 2, 29, tzinfo=UTC),
            datetime(2028, 2, 1, tzinfo=UTC),
            datetime(2028, 3, 1, tzinfo=UTC),
        ),
        (
            "daily",
            datetime(2026, 11, 11, 1, tzinfo=timezone(timedelta(hours=2))),
            datetime(2026, 11, 10, tzinfo=UTC),
            datetime(2026, 11, 11, tzinfo=UTC),
        ),
    ],
)
def test_periods_are_those_of_the_calendar_in_utc(
    period: BudgetPeriod, now: datetime, begin: datetime, end: datetime
) -> None:
    assert balance.period_bounds(period, now) == (begin, end)


@pytest.mark.parametrize(
    ("period", "begins_on", "now", "begin", "end"),
    [
        ("monthly", 15, (2026, 11, 14), (2026, 10, 15), (2026, 11, 15)),
        ("monthly", 15, (2026, 11, 15), (2026, 11, 15), (2026, 12, 15)),
        ("monthly", 28, (2027, 1, 3), (2026, 12, 28), (2027, 1, 28)),
        ("monthly", 28, (2026, 12, 28), (2026, 12, 28), (2027, 1, 28)),
        ("monthly", 28, (2027, 3, 1), (2027, 2, 28), (2027, 3, 28)),
        ("weekly", 7, (2026, 11, 11), (2026, 11, 8), (2026, 11, 15)),
        ("weekly", 7, (2026, 11, 15), (2026, 11, 15), (2026, 11, 22)),
        ("weekly", 3, (2026, 11, 11), (2026, 11, 11), (2026, 11, 18)),
        ("daily", 5, (2026, 11, 11), (2026, 11, 11), (2026, 11, 12)),
    ],
)
def test_a_period_begins_on_its_reset_day(
    period: BudgetPeriod,
    begins_on: int,
    now: tuple[int, int, int],
    begin: tuple[int, int, int],
    end: tuple[int, int, int],
) -> None:
    moment = datetime(*now, 5, tzinfo=UTC)
    expected = datetime(*begin, tzinfo=UTC), datetime(*end, tzinfo=UTC)
    assert balance.period_bounds(period, moment, begins_on) == expected


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 20 * 86_400), st.integers(0, 10**9)), max_size=12), st.integers(1, 7))
def test_days_add_up_to_what_each_period_has_spent(steps: list[tuple[int, int]], begins_on: int) -> None:
    now, spending = NOON, Spending(NOON)
    by_second: list[tuple[datetime, datetime, int]] = []
    for seconds, rate in steps:
        until = now + timedelta(seconds=seconds)
        spending = spending.advanced(rate, until)
        by_second.append((now, until, rate))
        now = until
    for period in ("monthly", "weekly", "daily"):
        begin, _ = balance.period_bounds(period, now, begins_on)
        exact = sum(max(0, int((end - max(start, begin)).total_seconds())) * rate for start, end, rate in by_second)
        assert spending.micros(period, now, begins_on) == -(-exact // 3600)


def test_a_clock_that_goes_back_spends_nothing() -> None:
    spending = Spending(NOON).advanced(3600, NOON + timedelta(seconds=10))
    assert spending.micros("daily", NOON) == 10
    assert spending.advanced(10**9, NOON) == spending


def test_years_without_news_cost_no_time() -> None:
    spending = Spending(NOON).advanced(MONEY, NOON + timedelta(days=36_500))
    assert len(spending.days) == 32, "the last month, and the day on which it was counted before"
    assert spending.micros("daily", NOON + timedelta(days=36_500)) == 12 * MONEY


def test_a_time_without_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        balance.period_bounds("daily", NOON.replace(tzinfo=None))


@pytest.mark.parametrize(("period", "hours"), [("monthly", 720), ("weekly", 168), ("daily", 24)])
def test_only_a_month_is_as_long_as_the_price_list_says(period: BudgetPeriod, hours: int) -> None:
    terms = TERMS._replace(period=period, hours_per_month=720)
    assert terms.hours == hours
    assert balance.used(terms, 5) == 5 * hours
    assert balance.hours_ahead(terms, None) == hours


@pytest.mark.parametrize(
    ("terms", "spent", "limit"),
    [
        pytest.param(TERMS, 0, MONEY, id="run rate"),
        pytest.param(TERMS, 500 * MONEY, MONEY, id="run rate does not look at what was spent"),
        pytest.param(TERMS._replace(reject_at=50), 0, MONEY // 2, id="half of it"),
        pytest.param(TERMS._replace(reject_at=110), 0, 11 * MONEY // 10, id="overdraft"),
        pytest.param(TERMS._replace(amount=730 * MONEY - 1), 0, MONEY - 1, id="rounded down"),
        pytest.param(BudgetTerms(48 * MONEY, "daily", "monthEnd"), 0, 4 * MONEY, id="half a day is left"),
        pytest.param(BudgetTerms(48 * MONEY, "daily", "monthEnd"), 36 * MONEY, MONEY, id="most of it is spent"),
        pytest.param(BudgetTerms(48 * MONEY, "daily", "monthEnd"), 50 * MONEY, 0, id="overspent"),
    ],
)
def test_rate_limit_is_the_greatest_rate_within_the_amount(terms: BudgetTerms, spent: int, limit: int) -> None:
    found = balance.rate_limit(terms, spent=spent, now=NOON)
    assert found == limit


def test_month_end_needs_the_time() -> None:
    with pytest.raises(ValueError, match="needs the time"):
        balance.rate_limit(BudgetTerms(MONEY, basis="monthEnd"))


def test_month_end_adds_what_was_spent_and_what_is_committed_until_the_end() -> None:
    terms = BudgetTerms(100 * MONEY, "daily", "monthEnd")
    assert balance.used(terms, 2 * MONEY, spent=10 * MONEY, now=NOON) == (10 + 2 * 12) * MONEY
    assert balance.used(terms, 2 * MONEY, spent=10 * MONEY, now=NOON + timedelta(minutes=30)) == 33 * MONEY


@pytest.mark.parametrize(
    ("amount", "percent"),
    [(0, None), (749, None), (750, 75), (899, 75), (900, 90), (5000, 90), (Fraction(7499, 10), None)],
)
def test_a_threshold_is_reached_at_it(amount: balance.Amount, percent: int | None) -> None:
    assert balance.reached(BudgetTerms(1000, warn_at=(75, 90)), amount) == percent


def test_without_thresholds_nothing_is_reached() -> None:
    assert balance.reached(BudgetTerms(1000), 1000) is None


@pytest.mark.parametrize(("amount", "above"), [(1000, False), (1001, True), (Fraction(2001, 2), True)])
def test_exactly_the_amount_is_within(amount: balance.Amount, above: bool) -> None:
    assert balance.is_above(BudgetTerms(1000), amount) is above


def test_a_new_day_begins_at_zero() -> None:
    before = Spending(NOON).advanced(MONEY, NOON + timedelta(hours=6))
    after = before.advanced(MONEY, NOON + timedelta(hours=14))
    assert [each.micros("daily", each.since) for each in (before, after)] == [6 * MONEY, 2 * MONEY]


_terms = st.builds(
    BudgetTerms,
    amount=st.integers(1, 10**15),
    period=st.sampled_from(("monthly", "weekly", "daily")),
    basis=st.sampled_from(("runRate", "monthEnd")),
    hours_per_month=st.integers(1, 744),
    reject_at=st.integers(1, 200),
    begins_on=st.integers(1, 7),
    # What the next period can pay is asked beside the amount of this one.
    pays_next=st.just(False),
)


@settings(max_examples=150, deadline=None)
@given(_terms, st.integers(0, 10**12), st.integers(0, 10**15), st.integers(0, 10**6))
def test_a_rate_is_above_its_limit_exactly_where_its_use_is_above_the_amount(
    terms: BudgetTerms, rate: int, spent: int, seconds: int
) -> None:
    now = NOON + timedelta(seconds=seconds)
    limit = balance.rate_limit(terms, spent=spent, now=now)
    is_above = balance.is_above(terms, balance.used(terms, rate, spent=spent, now=now))
    assert (rate > limit) is is_above or (rate == 0 and limit == 0)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10**9), st.lists(st.integers(0, 3 * 86_400 * 10**6), max_size=6))
def test_spending_in_steps_equals_spending_at_once(rate: int, steps: list[int]) -> None:
    stepwise, now = Spending(NOON), NOON
    for microseconds in steps:
        now += timedelta(microseconds=microseconds)
        stepwise = stepwise.advanced(rate, now)
    assert stepwise == Spending(NOON).advanced(rate, now)


@pytest.mark.parametrize("jump", [timedelta(hours=2), timedelta(days=3), timedelta(days=366)])
def test_a_clock_that_was_wrong_for_one_count_freezes_nothing(jump: timedelta) -> None:
    """What was spent before stays known, what was counted for days that have not come is forgotten."""
    noon = NOON.replace(day=15, hour=12)
    spending = Spending(noon - timedelta(days=4)).advanced(MONEY, noon)
    right = spending.micros("monthly", noon)
    wrong = spending.advanced(MONEY, noon + jump)
    assert wrong.micros("monthly", noon) <= right + MONEY * 24
    back = wrong.advanced(MONEY, noon + timedelta(minutes=1))
    assert back.since == noon + timedelta(minutes=1)
    # The day itself, of which it is not known any more how much was counted when, is off by a day at most.
    assert right - MONEY * 12 <= back.micros("monthly", noon) <= right + MONEY * 24
    later = back.advanced(MONEY, noon + timedelta(hours=5))
    assert later.micros("monthly", later.since) - back.micros("monthly", back.since) in range(4 * MONEY, 6 * MONEY)


def test_a_clock_that_goes_back_a_little_changes_nothing() -> None:
    spending = Spending(NOON).advanced(MONEY, NOON + timedelta(hours=3))
    assert spending.advanced(MONEY, NOON + timedelta(hours=2)) is spending


def test_days_that_have_not_come_count_nothing() -> None:
    tomorrow = NOON.date() + timedelta(days=1)
    spending = Spending(NOON, 0, ((NOON.date() - timedelta(days=1), 3_600_000_000), (tomorrow, 10**15)))
    assert spending.micros("monthly", NOON) == 1
