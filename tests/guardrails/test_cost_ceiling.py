"""costCeiling: what is above a ceiling is refused with its numbers, what is at it is not."""

import pytest

from tests.guardrails._money_world import container, context, pod
from webhook.cluster.view import LimitRangeItem
from webhook.guardrails import cost_ceiling
from webhook.guardrails.base import pod_cost
from webhook.guardrails.base.contract import Context, Finding, WorkloadScale
from webhook.guardrails.cost_ceiling import GUARDRAIL, CostCeilingRule
from webhook.kube.objects import Pod
from webhook.policy.cost_ceiling import CostCeilingSection

THREE = WorkloadScale("Deployment", 3, "3 replicas")
FOUR = WorkloadScale("Deployment", 4, "4 replicas")


def _rule(pod_monthly: str | None = None, workload_monthly: str | None = None) -> CostCeilingRule:
    values = {"podMonthly": pod_monthly, "workloadMonthly": workload_monthly}
    return cost_ceiling.compile_rule(CostCeilingSection.model_validate({k: v for k, v in values.items() if v}))


def _rules(found: object) -> list[tuple[str, bool]]:
    assert isinstance(found, list | tuple)
    assert all(isinstance(item, Finding) for item in found)
    return [(item.rule, item.notice) for item in found]


@pytest.mark.parametrize(
    ("ceiling", "judged"),
    [
        pytest.param("300", context(pod()), id="exactly at the ceiling"),
        pytest.param("301", context(pod()), id="below the ceiling"),
        pytest.param(None, context(pod(container("1000", "1Ti"))), id="no ceiling for pods"),
        pytest.param(
            "299",
            context(pod(), operation="UPDATE", subresource="resize", old_pod=pod()),
            id="resize that costs the same",
        ),
        pytest.param(
            "100",
            context(pod(), operation="UPDATE", subresource="resize", old_pod=pod(container("9", "10Gi"))),
            id="resize that costs less, though still too much",
        ),
    ],
)
def test_a_pod_within_its_ceiling_passes(ceiling: str | None, judged: Context) -> None:
    assert cost_ceiling.inspect(_rule(ceiling, "100000000"), judged) == []


@pytest.mark.parametrize(
    ("ceiling", "judged", "message"),
    [
        pytest.param(
            "299.99",
            context(pod()),
            "costs $300.00 a month, above the ceiling of $299.99 "
            "(2 CPU, 10Gi by requests, on-demand, price list default)",
            id="a cent above",
        ),
        pytest.param(
            "299.9999",
            context(pod()),
            "costs $300.0000 a month, above the ceiling of $299.9999 "
            "(2 CPU, 10Gi by requests, on-demand, price list default)",
            id="less than a cent above",
        ),
        pytest.param(
            "1",
            context(pod({"name": "app"})),
            "costs $11.25 a month, above the ceiling of $1.00 "
            "(100m CPU, 128Mi by assumed request, on-demand, price list default)",
            id="nothing stated is not free",
        ),
        pytest.param(
            "1",
            context(
                pod({"name": "app"}), limit_ranges=[LimitRangeItem("Container", default={"cpu": "1", "memory": "1Gi"})]
            ),
            "costs $110.00 a month, above the ceiling of $1.00 "
            "(1 CPU, 1Gi by LimitRange default, on-demand, price list default)",
            id="LimitRange default",
        ),
        pytest.param(
            "1",
            context(pod(nodeSelector={"karpenter.sh/capacity-type": "spot"})),
            "costs $60.00 a month, above the ceiling of $1.00 (2 CPU, 10Gi by requests, spot, price list default)",
            id="spot capacity",
        ),
        pytest.param(
            "299",
            context(pod(), operation="UPDATE", subresource="resize", old_pod=pod(container("1", "10Gi"))),
            "costs $300.00 a month, above the ceiling of $299.00 "
            "(2 CPU, 10Gi by requests, on-demand, price list default)",
            id="resize that costs more",
        ),
    ],
)
def test_a_pod_above_its_ceiling_is_refused_with_the_numbers(ceiling: str, judged: Context, message: str) -> None:
    found = cost_ceiling.inspect(_rule(ceiling), judged)
    assert [(item.rule, item.message, item.notice) for item in found] == [("podMonthly", message, False)]


@pytest.mark.parametrize(
    ("created", "cure"),
    [
        pytest.param(
            pod(container("1", "1Gi", "small"), container("2", "1Gi", "large")),
            'lower the requests of container "large", or ask',
            id="the dearest container",
        ),
        pytest.param(
            pod({"name": "app", "resources": {"limits": {"cpu": "3"}}}),
            'give container "app" requests below its limits, or ask',
            id="limits only",
        ),
        pytest.param(
            pod({"name": "app"}), 'give container "app" lower requests of its own, or ask', id="nothing stated"
        ),
        pytest.param(
            pod(resources={"requests": {"cpu": "9"}}),
            "lower spec.resources of the pod, or ask",
            id="pod-level requests",
        ),
    ],
)
def test_the_cure_names_what_to_change(created: Pod, cure: str) -> None:
    (finding,) = cost_ceiling.inspect(_rule("0.01"), context(created))
    assert finding.cure == f"{cure} the platform team to raise costCeiling.podMonthly"


@pytest.mark.parametrize(
    ("ceiling", "judged"),
    [
        pytest.param("900", context(pod(), scale=THREE), id="exactly at the ceiling"),
        pytest.param("1", context(pod(), scale=WorkloadScale("Deployment", 0, "0 replicas")), id="scaled to zero"),
        pytest.param("1", context(pod()), id="a pod is no workload"),
        pytest.param(
            "1",
            context(pod(), operation="UPDATE", old_pod=pod(), scale=THREE, old_scale=THREE),
            id="update that costs the same",
        ),
        pytest.param(
            "1", context(pod(), operation="UPDATE", old_pod=pod(), scale=THREE, old_scale=FOUR), id="scale down"
        ),
        pytest.param(
            "1",
            context(pod(container("1", "1Gi")), operation="UPDATE", old_pod=pod(), scale=FOUR, old_scale=THREE),
            id="more pods that cost less together",
        ),
        pytest.param(
            "30", context(pod(), scale=WorkloadScale("Job", 1, "1 pod for 10 h", hours=10)), id="a Job for its run"
        ),
    ],
)
def test_a_workload_within_its_ceiling_or_no_dearer_passes(ceiling: str, judged: Context) -> None:
    assert cost_ceiling.inspect(_rule(None, ceiling), judged) == []


@pytest.mark.parametrize(
    ("ceiling", "judged", "message"),
    [
        pytest.param(
            "899",
            context(pod(), scale=THREE),
            "costs $900.00 a month (3 replicas), above the ceiling of $899.00 "
            "($300.00 a pod: 2 CPU, 10Gi by requests, on-demand, price list default)",
            id="create",
        ),
        pytest.param(
            "899",
            context(pod(), operation="UPDATE", old_pod=pod(), scale=FOUR, old_scale=THREE),
            "costs $1,200.00 a month (4 replicas), above the ceiling of $899.00 "
            "($300.00 a pod: 2 CPU, 10Gi by requests, on-demand, price list default)",
            id="scale up",
        ),
        pytest.param(
            "899",
            context(pod(), operation="UPDATE", old_pod=pod(container("1", "10Gi")), scale=THREE, old_scale=THREE),
            "costs $900.00 a month (3 replicas), above the ceiling of $899.00 "
            "($300.00 a pod: 2 CPU, 10Gi by requests, on-demand, price list default)",
            id="dearer template",
        ),
        pytest.param(
            "20",
            context(pod(), scale=WorkloadScale("Job", 2, "2 pods at a time for 10 h", hours=10)),
            "costs $60.00 a run (2 pods at a time for 10 h), above the ceiling of $20.00 "
            "($30.00 a pod: 2 CPU, 10Gi by requests, on-demand, price list default)",
            id="Job",
        ),
        pytest.param(
            "200",
            context(pod(), scale=WorkloadScale("Job", 1, hours=9000)),
            "costs $300.00 a run (1 pod), above the ceiling of $200.00 "
            "($300.00 a pod: 2 CPU, 10Gi by requests, on-demand, price list default)",
            id="a Job is priced for a month at most",
        ),
    ],
)
def test_a_workload_above_its_ceiling_is_refused_with_the_numbers(ceiling: str, judged: Context, message: str) -> None:
    found = cost_ceiling.inspect(_rule(None, ceiling), judged)
    assert [(item.rule, item.message, item.notice) for item in found] == [("workloadMonthly", message, False)]


def test_proposals_that_make_pods_dearer_never_make_an_update_dearer() -> None:
    cheap = pod(container("1", "10Gi"))
    judged = context(pod(), operation="UPDATE", old_pod=cheap, scale=THREE, old_scale=THREE)
    judged.received_price = pod_cost.context_price(context(cheap))
    assert cost_ceiling.inspect(_rule("1", "1"), judged) == []
    judged = context(pod(), operation="UPDATE", old_pod=cheap, scale=FOUR, old_scale=THREE)
    judged.received_price = pod_cost.context_price(context(cheap))
    assert _rules(cost_ceiling.inspect(_rule("1", "1"), judged)) == [("workloadMonthly", False)]


@pytest.mark.parametrize(("before", "after", "refused"), [(4, 3, False), (3, 3, False), (3, 4, True)])
def test_a_scale_request_is_judged_by_its_replicas(before: int, after: int, *, refused: bool) -> None:
    scale, old_scale = (WorkloadScale("Deployment", count) for count in (after, before))
    cheap = pod(container("1", "10Gi"))
    judged = context(pod(), operation="UPDATE", subresource="scale", old_pod=cheap, scale=scale, old_scale=old_scale)
    judged.received_price = pod_cost.context_price(context(cheap))
    assert bool(cost_ceiling.inspect(_rule(None, "1"), judged)) is refused


def test_the_pods_of_a_workload_are_only_a_warning_there() -> None:
    found = cost_ceiling.inspect(_rule("299", "899"), context(pod(), scale=THREE))
    assert _rules(found) == [("podMonthly", True), ("workloadMonthly", False)]
    assert found[0].message.startswith("each pod costs $300.00 a month, above the ceiling of $299.00")


CURES = (
    "write a number and a suffix, such as 500m, 2 or 128Mi",
    "remove the minus sign",
    "use at most 999",
)


@pytest.mark.parametrize("cpu", ["1 core", "-1", "1e99999"])
def test_a_pod_whose_quantity_cannot_be_read_does_not_slip_through(cpu: str) -> None:
    created = pod(container(cpu, "1Gi"))
    (finding,) = cost_ceiling.inspect(_rule("1"), context(created))
    assert (finding.rule, finding.notice) == ("quantity", False)
    assert "container 'app', resources.requests[cpu]: " in finding.message
    assert "; " not in finding.message, "the cure is said once"
    assert finding.cure in CURES
    (notice,) = cost_ceiling.inspect(_rule("1"), context(created, scale=THREE))
    assert notice.notice


def test_an_old_pod_that_cannot_be_priced_counts_as_cheaper() -> None:
    judged = context(pod(), operation="UPDATE", subresource="resize", old_pod=pod(container("?")))
    assert _rules(cost_ceiling.inspect(_rule("1"), judged)) == [("podMonthly", False)]


@pytest.mark.parametrize(
    ("judged", "expected"),
    [
        (context(pod()), True),
        (context(pod(), operation="UPDATE", old_pod=pod()), False),
        (context(pod(), operation="UPDATE", subresource="resize", old_pod=pod()), True),
        (context(pod(), operation="UPDATE", subresource="ephemeralcontainers", old_pod=pod()), False),
        (context(pod(), operation="UPDATE", old_pod=pod(), scale=THREE, old_scale=THREE), True),
    ],
    ids=["create", "update", "resize", "ephemeral containers", "workload update"],
)
def test_it_looks_at_what_can_raise_a_cost(judged: Context, *, expected: bool) -> None:
    assert GUARDRAIL.judges is not None
    assert GUARDRAIL.judges(judged) is expected


def test_messages_never_name_the_pod_and_are_one_line() -> None:
    for finding in cost_ceiling.inspect(_rule("1", "1"), context(pod(), scale=THREE)):
        text = finding.message + finding.cure
        assert "app-7d9c" not in text
        assert "\n" not in text


def test_an_absurd_request_is_above_every_sane_ceiling_in_a_short_message() -> None:
    (finding,) = cost_ceiling.inspect(_rule("900000000000000"), context(pod(container("1e900", "1e900"))))
    assert len(finding.message) < 250
