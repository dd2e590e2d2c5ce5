"""All places that tell how a budget stands tell the same: status, pages, reports, and admission itself."""

from datetime import UTC, datetime, timedelta

import pytest

from tests import factories
from webhook.admission.budget_status import budget_statuses
from webhook.dashboard import budgets as page
from webhook.ledger.balance import is_above, rate_limit
from webhook.ledger.memory import MemoryLedger
from webhook.ledger.standing import standing
from webhook.ledger.store import Charge
from webhook.policy.loading import loader
from webhook.reporting.report import budget_lines

HOURS = 730


class Clock:
    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now


def told(spec: str, rate: int, begin: datetime, now: datetime) -> list[tuple[int, int]]:
    """Return amount used and per cent, as each place tells them of a budget that has run at one rate since a time."""
    text = factories.policy(f"mode: enforce\nscope: {{cluster: true}}\ncurrency: USD\n{spec}", "b", "Budget")
    prices = factories.PRICES.replace("hoursPerMonth: 100", f"hoursPerMonth: {HOURS}")
    clock = Clock(begin)
    ledger = MemoryLedger(clock=clock)
    ledger.reserve("pod", rate, [Charge("b", None)])
    clock.now = now
    rules = factories.ruleset(text, prices=prices)
    policies = loader.load_text(f"{text}---{prices}", "test.yaml")
    (status,) = budget_statuses(rules, ledger, now)
    (row,) = page.budget_lines(rules.budgets, policies.budgets, ledger, HOURS, now, begin)
    (line,) = budget_lines(policies, ledger, HOURS, now)
    stands = standing("b", rules.budgets[0].terms(HOURS), ledger, now)
    assert row.is_partly_seen is (begin > status.begin)
    return [(each.committed, each.percent) for each in (status, line)] + [
        (row.used, row.percent),
        (stands.used, stands.percent),
    ]


@pytest.mark.parametrize(
    ("spec", "rate", "begin", "now", "percent"),
    [
        pytest.param(
            "amount: '1000'\nbasis: monthEnd\nresetDay: 15",
            1_000_000,
            datetime(2026, 11, 2, tzinfo=UTC),
            datetime(2026, 11, 20, tzinfo=UTC),
            72,
            id="a period that begins on the 15th",
        ),
        pytest.param(
            "amount: '100'\nbasis: monthEnd",
            80_000,
            datetime(2026, 11, 30, 11, tzinfo=UTC),
            datetime(2026, 11, 30, 12, tzinfo=UTC),
            1,
            id="the last hours of a month",
        ),
        pytest.param(
            "amount: '100'",
            80_000,
            datetime(2026, 11, 30, 11, tzinfo=UTC),
            datetime(2026, 11, 30, 12, tzinfo=UTC),
            58,
            id="the rate of what runs",
        ),
        pytest.param(
            "amount: '100'\nperiod: weekly\nbasis: monthEnd\nresetDay: Wednesday",
            500_000,
            datetime(2026, 11, 4, tzinfo=UTC),
            datetime(2026, 11, 10, 18, tzinfo=UTC),
            84,
            id="a week that begins on Wednesday",
        ),
        pytest.param(
            "amount: '12'\nperiod: daily",
            500_000,
            datetime(2026, 11, 4, tzinfo=UTC),
            datetime(2026, 11, 4, 18, tzinfo=UTC),
            100,
            id="exactly the amount",
        ),
    ],
)
def test_all_places_tell_the_same_of_a_budget(
    spec: str, rate: int, begin: datetime, now: datetime, percent: int
) -> None:
    places = told(spec, rate, begin, now)
    assert len(set(places)) == 1
    assert places[0][1] == percent


@pytest.mark.parametrize("used_up", [False, True])
def test_a_budget_is_used_up_where_admission_refuses_the_least_more(*, used_up: bool) -> None:
    text = factories.policy("mode: enforce\nscope: {cluster: true}\ncurrency: USD\namount: '100'", "b", "Budget")
    rules = factories.ruleset(text)
    now = datetime(2026, 11, 1, tzinfo=UTC) + timedelta(hours=620)
    terms = rules.budgets[0].terms(100)
    ledger = MemoryLedger(clock=lambda: now)
    rate = rate_limit(terms, now=now)
    ledger.reserve("pod", rate if used_up else rate - 10, [Charge("b", None)])
    (status,) = budget_statuses(rules, ledger, now)
    (row,) = page.budget_lines(rules.budgets, (), ledger, 100, now, now)
    assert (status.state == "Exhausted") is used_up
    assert (row.state == "used up") is used_up
    assert not is_above(terms, row.used)
