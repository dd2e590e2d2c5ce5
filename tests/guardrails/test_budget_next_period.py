"""Basis `monthEnd` near the end of a period: what the next one cannot pay is not let in, unless the budget says so."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import factories
from tests.admission.test_budgets import CLUSTER, QUIET, budget
from webhook.ledger import balance
from webhook.ledger.balance import BudgetBasis, BudgetPeriod, BudgetTerms
from webhook.ledger.memory import MemoryLedger

LAST_HOUR = datetime(2026, 11, 30, 23, tzinfo=UTC)
"""December has 744 hours."""


def admitted(now: datetime, *, basis: str = "monthEnd", pods: int = 6, **fields: str) -> list[factories.Answer]:
    """Let pods of $2 an hour come one after the other into a budget of $3,000, which is $4.03 an hour in December."""
    scene = factories.World(
        QUIET,
        budget("3000", basis=basis, **fields),
        cluster=CLUSTER,
        now=lambda: now,
        ledger=MemoryLedger(clock=lambda: now),
    )
    return [scene.validate(factories.pod(), pod_uid=f"p-{number}") for number in range(pods)]


def test_in_the_last_hour_no_more_comes_in_than_the_next_period_can_pay() -> None:
    answers = admitted(LAST_HOUR)
    assert [each.allowed for each in answers] == [True, True, False, False, False, False]
    assert answers[2].message.startswith(
        'policy alpha, budget: budget "alpha": $2,976.00 of $3,000.00 a month committed for the whole next month, in '
        "which it goes on, this pod adds $1,488.00 ("
    )
    assert "allow more than the next month can pay" in answers[2].message


def test_a_budget_may_say_that_it_does_not_look_ahead() -> None:
    assert all(each.allowed for each in admitted(LAST_HOUR, allowAboveNextPeriod="true"))


def test_the_run_rate_of_many_pods_is_refused_however_few_hours_are_left() -> None:
    answers = admitted(datetime(2026, 11, 30, 23, 59, 59, tzinfo=UTC), pods=31)
    assert sum(each.allowed for each in answers) == 2


def test_a_workload_that_goes_on_is_told_and_a_job_that_ends_is_not() -> None:
    scene = factories.World(QUIET, budget("3000", basis="monthEnd"), cluster=CLUSTER, now=lambda: LAST_HOUR)
    told = scene.validate(factories.deployment(10)).warnings
    assert any("committed for the whole next month" in each for each in told)
    job: dict[str, Any] = {**factories.deployment(), "apiVersion": "batch/v1", "kind": "Job"}
    job["spec"] = {"template": job["spec"]["template"], "parallelism": 10, "activeDeadlineSeconds": 3600}
    assert not any("next month" in each for each in scene.validate(job).warnings)


@pytest.mark.parametrize(
    ("period", "begins_on", "now", "hours"),
    [
        ("monthly", 1, datetime(2026, 11, 30, 23, tzinfo=UTC), 744),
        ("monthly", 1, datetime(2027, 1, 31, tzinfo=UTC), 672),
        ("monthly", 15, datetime(2026, 12, 1, tzinfo=UTC), 744),
        ("weekly", 7, datetime(2026, 11, 30, tzinfo=UTC), 168),
        ("daily", 1, datetime(2026, 11, 30, 23, tzinfo=UTC), 24),
    ],
)
def test_the_next_period_is_as_long_as_the_calendar_says(
    period: BudgetPeriod, begins_on: int, now: datetime, hours: int
) -> None:
    assert balance.next_hours(BudgetTerms(1, period, "monthEnd", begins_on=begins_on), now) == hours


@settings(max_examples=150, deadline=None)
@given(
    st.integers(1, 10**12),
    st.sampled_from(("monthly", "weekly", "daily")),
    st.sampled_from(("runRate", "monthEnd")),
    st.integers(0, 10**12),
    st.integers(0, 40 * 86_400),
)
def test_no_limit_is_above_what_the_next_period_pays(
    amount: int, period: BudgetPeriod, basis: BudgetBasis, spent: int, seconds: int
) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    free = BudgetTerms(amount, period, basis)
    bound = free._replace(pays_next=True)
    limit = balance.rate_limit(bound, spent=spent, now=now)
    assert limit <= balance.rate_limit(free, spent=spent, now=now)
    if basis == "monthEnd":
        assert limit * balance.next_hours(bound, now) <= amount
    else:
        assert limit == balance.rate_limit(free, spent=spent, now=now)
