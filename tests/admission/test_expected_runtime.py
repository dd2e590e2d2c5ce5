"""The running time that a Job is annotated with: believed as far as something ends the run, or a policy says so."""

from typing import Any

import pytest

from tests import factories

RUNTIME = "podgate.dev/expected-runtime"
TEAM = factories.namespace("team-alpha")


def job(expected: str = "1s", **spec: Any) -> dict[str, Any]:  # noqa: ANN401  fields of a spec
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "sums", "annotations": {RUNTIME: expected}},
        "spec": {"parallelism": 10, "template": {"spec": factories.pod()["spec"]}, **spec},
    }


def nightly(expected: str, **spec: Any) -> dict[str, Any]:  # noqa: ANN401  fields of a spec
    inner = job(expected, **spec)
    return {**inner, "kind": "CronJob", "spec": {"schedule": "0 1 1 * *", "jobTemplate": {"spec": inner["spec"]}}}


def ceiling(amount: str, more: str = "") -> str:
    return factories.policy(f"mode: enforce\ncostCeiling: {{workloadMonthly: '{amount}'{more}}}")


TRUST = ", trustExpectedRuntime: true"


@pytest.mark.parametrize(
    ("document", "more", "allowed"),
    [
        # Ten pods of $2 an hour cost $2,000 in a month of 100 hours, and $20 in one hour.
        pytest.param(job(), "", False, id="nothing ends the run"),
        pytest.param(job(activeDeadlineSeconds=3600), "", True, id="a deadline does"),
        pytest.param(job(activeDeadlineSeconds=360_000), "", True, id="a deadline far away ends it at last"),
        pytest.param(job(), TRUST, True, id="the policy trusts its author"),
        pytest.param(job("100h"), TRUST, False, id="the author says that it takes long"),
        pytest.param(job("100h", activeDeadlineSeconds=3600), "", True, id="a deadline before that"),
        pytest.param(job("100h", activeDeadlineSeconds=3600), TRUST, True, id="a deadline before that, trusted"),
        pytest.param(nightly("1s"), "", False, id="a CronJob's runs are not ended"),
        pytest.param(nightly("1s"), TRUST, True, id="a CronJob's author is trusted"),
        pytest.param(nightly("1s", activeDeadlineSeconds=3600), "", True, id="a CronJob's runs are ended"),
    ],
)
def test_a_ceiling_believes_what_is_proven_or_trusted(document: dict[str, Any], more: str, *, allowed: bool) -> None:
    answer = factories.World(ceiling("500", more), cluster=[TEAM]).validate(document)
    assert answer.allowed is allowed


def test_the_text_says_what_it_believed() -> None:
    cost = "this Job costs {} a month (10 pods at a time {}"
    believed = factories.World(ceiling("5000", TRUST), cluster=[TEAM]).validate(job("90m"))
    assert any(cost.format("$40.00", "for 90m as annotated") in each for each in believed.warnings)
    doubted = factories.World(ceiling("5000"), cluster=[TEAM]).validate(job("90m"))
    reason = f"for the whole month, as {RUNTIME} is believed beside activeDeadlineSeconds only"
    assert any(cost.format("$2,000.00", reason) in each for each in doubted.warnings)


def test_an_update_that_takes_the_deadline_away_makes_the_job_dearer() -> None:
    scene = factories.World(ceiling("500"), cluster=[TEAM])
    bounded, open_ = job(activeDeadlineSeconds=3600), job()
    assert not scene.call("/validate", factories.review(open_, old=bounded, operation="UPDATE")).allowed
    assert scene.call("/validate", factories.review(bounded, old=open_, operation="UPDATE")).allowed


@pytest.mark.parametrize(("more", "adds"), [("", "$2,000.00"), ("\ntrustExpectedRuntime: true", "$20.00")])
def test_a_budget_has_its_own_word_in_it(more: str, adds: str) -> None:
    budget = factories.policy(
        f"mode: enforce\nscope: {{cluster: true}}\namount: '10'\ncurrency: USD{more}", kind="Budget"
    )
    answer = factories.World(budget, cluster=[TEAM]).validate(job("1h"))
    assert any(f"this Job adds {adds} (10 pods at a time" in each for each in answer.warnings)


def test_a_suspended_job_is_told_by_what_is_believed_once_it_is_resumed() -> None:
    suspended = job(suspend=True)
    doubted = factories.World(ceiling("500"), cluster=[TEAM]).validate(suspended)
    assert any("would cost $2,000.00 a month (suspended; resumed: 10 pods" in each for each in doubted.warnings)
    believed = factories.World(ceiling("500", TRUST), cluster=[TEAM]).validate(suspended)
    assert not any("would cost" in each for each in believed.warnings)


@pytest.mark.parametrize("text", ["1" * 300_000, "0s" * 100_000 + "1h", "9" * 9 + "d", "\uff11h", "-1h", "1h\n"])
def test_no_annotation_makes_a_text_long(text: str) -> None:
    for more in ("", TRUST):
        answer = factories.World(ceiling("500", more), cluster=[TEAM]).validate(job(text))
        assert all(len(each) < 400 and each.isprintable() for each in (*answer.warnings, answer.message))
