"""How often CronJobs run, and what that means for what they cost."""

from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

import pytest
from cronsim import CronSim
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import factories
from tests.admission.test_workloads import cron_job, world
from webhook.admission.schedules import rhythm

MINUTE, HOUR, DAY = 60, 3_600, 86_400


@pytest.mark.parametrize(
    ("schedule", "runs", "gap"),
    [
        ("0 1 * * *", Fraction(365, 12), DAY),
        ("0 1 1 * *", Fraction(1), 28 * DAY),
        ("*/5 * * * *", Fraction(288 * 365, 12), 5 * MINUTE),
        ("0 9-17 * * 1-5", Fraction(9 * 261, 12), HOUR),
        ("0 0,23 * * *", Fraction(2 * 365, 12), HOUR),
        ("30 4 1,15 * 5", Fraction(74, 12), DAY),
        ("0 0 ? * MON", Fraction(52, 12), 7 * DAY),
        ("0 0 1 1 *", Fraction(1, 12), 365 * DAY),
        ("@hourly", Fraction(24 * 365, 12), HOUR),
        ("@Daily", Fraction(365, 12), DAY),
        ("@weekly", Fraction(52, 12), 7 * DAY),
        ("@every 90m", Fraction(365 * DAY, 12 * 90 * MINUTE), 90 * MINUTE),
    ],
)
def test_a_schedule_has_its_runs_a_month_and_its_shortest_gap(schedule: str, runs: Fraction, gap: int) -> None:
    assert rhythm(schedule) == (runs, gap)


@pytest.mark.parametrize(
    "schedule",
    ["", "soon", "* * * *", "60 * * * *", "0 0 31 2 *", "0 0 29 2 *", "@every", "@every soon", "@reboot", "* " * 400],
)
def test_what_cannot_be_read_or_never_runs_in_most_years_has_no_rhythm(schedule: str) -> None:
    assert rhythm(schedule) is None


_field = st.sampled_from(["*", "*/7", "3", "1,4", "2-5"])


@settings(max_examples=25, deadline=None)
@given(_field, st.sampled_from(["3", "*/6", "1-4"]), _field, st.sampled_from(["*", "2", "3-5"]), _field)
def test_a_rhythm_is_what_a_year_of_runs_shows(minute: str, hour: str, day: str, month: str, weekday: str) -> None:
    schedule = f"{minute} {hour} {day} {month} {weekday}"
    begin = datetime(2025, 1, 1, tzinfo=UTC)
    runs = []
    for moment in CronSim(schedule, begin - timedelta(minutes=1)):
        if moment.year > 2025:
            break
        runs.append(moment)
    found = rhythm(schedule)
    assert (found is None) is (not runs)
    if found is None:
        return
    assert found.runs_per_month == Fraction(len(runs), 12)
    next_year = runs[0] + timedelta(days=365)
    gaps = [(later - earlier).total_seconds() for earlier, later in zip(runs, [*runs[1:], next_year], strict=True)]
    assert found.shortest_gap <= min(gaps)


def scheduled(schedule: str, runtime: str | None, policy: str | None = None, **job: Any) -> dict[str, Any]:  # noqa: ANN401
    if runtime:
        job.setdefault("activeDeadlineSeconds", 7 * DAY)
    made = cron_job({"podgate.dev/expected-runtime": runtime} if runtime else None, **job)
    made["spec"]["schedule"] = schedule
    if policy:
        made["spec"]["concurrencyPolicy"] = policy
    return made


# A pod costs $2 an hour; a month has 100 hours, and on average 730 / 24 days' runs.
COSTS: dict[str, tuple[dict[str, Any], str]] = {
    "every day": (
        scheduled("0 1 * * *", "1h"),
        "$62.00 a month (1 pod at a time for 1h as annotated, 30.4 runs a month",
    ),
    "runs that overlap": (
        scheduled("0 0 1,2 * *", "36h", parallelism=2),
        "$288.00 a month (2 pods at a time for 36h as annotated, 2 runs a month, 2 of them at a time",
    ),
    "runs that wait for each other": (
        scheduled("0 0 1,2 * *", "36h", "Forbid"),
        "$144.00 a month (1 pod at a time for 36h as annotated, 2 runs a month",
    ),
    "runs that take each other's place": (
        scheduled("* * * * *", "1h", "Replace"),
        "$200.00 a month (1 pod at a time for 1h as annotated, 43,800 runs a month",
    ),
    "a schedule that cannot be read": (scheduled("soon", "1h"), "$2.00 a month (1 pod at a time for 1h as annotated,"),
    "no runtime": (scheduled("* * * * *", None), "$200.00 a month (1 pod at a time for the whole month"),
}


@pytest.mark.parametrize("name", COSTS)
def test_a_cron_job_costs_what_its_runs_of_a_month_cost(name: str) -> None:
    document, expected = COSTS[name]
    answer = world().validate(document)
    assert any(expected in warning for warning in answer.warnings), answer.warnings


def test_a_cron_job_that_overlaps_beyond_the_ceiling_is_refused_and_one_that_runs_less_often_is_not() -> None:
    often, seldom = scheduled("* * * * *", "1h"), scheduled("0 0 * * *", "1h")
    answer = world().validate(often)
    assert not answer.allowed
    assert "costs $12,000.00 a month (1 pod at a time for 1h as annotated, 43,800 runs a month, 60 of them" in (
        answer.message
    )
    assert world().call("/validate", factories.review(seldom, old=often, operation="UPDATE")).allowed
    assert not world().call("/validate", factories.review(often, old=seldom, operation="UPDATE")).allowed


def autoscaler(most: int, target: str = "shop") -> dict[str, Any]:
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "shop-hpa", "namespace": "team-alpha"},
        "spec": {"scaleTargetRef": {"kind": "Deployment", "name": target}, "maxReplicas": most},
    }


def autoscaled(most: int, target: str = "shop") -> factories.World:
    policy = factories.policy("mode: enforce\ncostCeiling: {workloadMonthly: '1000'}")
    return factories.World(policy, cluster=[factories.namespace("team-alpha"), autoscaler(most, target)])


def test_what_an_autoscaler_may_make_of_a_workload_is_named_beside_its_cost() -> None:
    answer = autoscaled(5).validate(factories.deployment(2))
    assert answer.allowed
    assert len(answer.warnings) == 1
    assert "this Deployment costs $400.00 a month (2 replicas" in answer.warnings[0]
    expected = ' and up to $1,000.00 at 5 replicas, the maxReplicas of HorizontalPodAutoscaler "shop-hpa"'
    assert expected in answer.warnings[0]


def test_an_autoscaler_that_may_go_beyond_the_ceiling_is_told_and_refuses_nothing() -> None:
    answer = autoscaled(6).validate(factories.deployment(2))
    assert answer.allowed
    (told,) = [warning for warning in answer.warnings if "costCeiling" in warning]
    assert "would cost $1,200.00 a month at 6 replicas" in told
    assert "lower maxReplicas" in told


@pytest.mark.parametrize(("most", "target"), [(2, "shop"), (1, "shop"), (9, "other")])
def test_an_autoscaler_that_adds_nothing_is_not_named(most: int, target: str) -> None:
    (warning,) = autoscaled(most, target).validate(factories.deployment(2)).warnings
    assert "HorizontalPodAutoscaler" not in warning


def test_an_early_verdict_of_a_budget_names_the_kind_and_books_nothing() -> None:
    tight = factories.policy(
        "mode: enforce\nscope: {namespaces: [team-alpha]}\namount: '100'\ncurrency: USD", name="alpha", kind="Budget"
    )
    scene = factories.World(tight, cluster=[factories.namespace("team-alpha")])
    for document, kind in (
        (factories.deployment(2), "Deployment"),
        ({**factories.deployment(2), "kind": "StatefulSet"}, "StatefulSet"),
        (scheduled("* * * * *", "2h"), "CronJob"),
    ):
        answer = scene.validate(document)
        assert answer.allowed
        assert any(f"this {kind} adds $" in warning for warning in answer.warnings)
    assert scene.ledger.size() == 0


def test_a_cron_job_takes_its_share_of_a_shorter_period() -> None:
    weekly = factories.policy(
        "mode: enforce\nscope: {cluster: true}\namount: '1'\ncurrency: USD\nperiod: weekly", name="w", kind="Budget"
    )
    scene = factories.World(weekly, cluster=[factories.namespace("team-alpha")])
    # 50 of the 100 hours of a month, so half of the 168 hours of a week: 84 h at $2.
    (warning,) = scene.validate(scheduled("0 0 1 * *", "50h")).warnings
    assert "this CronJob adds $168.00" in warning


@pytest.mark.parametrize("zone", ["TZ=UTC", "CRON_TZ=America/New_York", "TZ=Local  "])
def test_a_zone_in_the_schedule_changes_no_rhythm(zone: str) -> None:
    assert rhythm(f"{zone} */30 * * * *") == rhythm("*/30 * * * *")


def test_a_schedule_that_is_longer_than_anybody_writes_counts_as_every_minute() -> None:
    often = rhythm(",".join(["0"] * 300) + " * * * *")
    assert often is not None
    assert often == rhythm("* * * * *")
