"""What has no price is named, and refused where a ceiling or a budget says so."""

from typing import Any

import pytest

from tests.guardrails._money_world import container, context, pod
from webhook.guardrails import budget, cost_ceiling
from webhook.guardrails.base import pod_cost
from webhook.guardrails.base.contract import Context, WorkloadScale
from webhook.kube.objects import Pod
from webhook.policy.budget import BudgetSpec
from webhook.policy.cost_ceiling import CostCeilingSection

MESSAGE = "asks for 4 nvidia.com/mig-7g.80gb, which the price list has no price of"
CURE = "add a price of nvidia.com/mig-7g.80gb to the PriceList, or remove the request"


def sliced() -> Pod:
    one: dict[str, Any] = container("2", "10Gi")
    one["resources"]["limits"] = {"nvidia.com/mig-7g.80gb": "4"}
    return pod(one)


def ceiling(judged: Context, unpriced: str = "allow") -> list[tuple[str, str, str, bool]]:
    section = CostCeilingSection.model_validate({"podMonthly": "10000", "unpriced": unpriced})
    found = cost_ceiling.inspect(cost_ceiling.compile_rule(section), judged)
    return [(each.rule, each.message, each.cure, each.notice) for each in found]


def budgeted(judged: Context, unpriced: str = "allow") -> list[tuple[str, str, str, bool]]:
    document = {
        "mode": "enforce",
        "scope": {"label": {"key": "team", "value": "a"}},
        "amount": "1000000",
        "currency": "USD",
        "unpriced": unpriced,
    }
    rule = budget.compile_budget("b", BudgetSpec.model_validate(document))
    found = budget.judge(rule, judged, 0, None)
    return [(each.rule, each.message, each.cure, each.notice) for each in found]


@pytest.mark.parametrize("judge", [ceiling, budgeted])
def test_what_has_no_price_is_told_by_default_and_refused_where_that_is_said(judge: Any) -> None:  # noqa: ANN401
    assert judge(context(sliced())) == [("unpriced", MESSAGE, CURE, True)]
    assert judge(context(sliced()), "deny") == [("unpriced", MESSAGE, CURE, False)]
    assert judge(context(pod()), "deny") == []


@pytest.mark.parametrize("judge", [ceiling, budgeted])
def test_a_workload_is_told_and_its_pods_are_refused(judge: Any) -> None:  # noqa: ANN401
    workload = context(sliced(), scale=WorkloadScale("Deployment", 3, "3 replicas"))
    assert judge(workload, "deny") == [("unpriced", MESSAGE, CURE, True)]


def test_a_resize_of_a_pod_that_holds_it_already_is_not_told_again() -> None:
    assert ceiling(context(sliced(), operation="UPDATE", subresource="resize", old_pod=sliced()), "deny") == []


def test_a_label_that_brings_a_pod_into_a_budget_brings_what_it_holds() -> None:
    moved, before = sliced(), sliced()
    assert moved.metadata is not None
    moved.metadata.labels = {"team": "a"}
    assert budgeted(context(moved, operation="UPDATE", old_pod=before), "deny")[0][0] == "unpriced"
    assert budgeted(context(moved, operation="UPDATE", old_pod=moved), "deny") == []


def test_the_verdict_says_what_is_not_in_the_price() -> None:
    price = pod_cost.context_price(context(sliced()))
    assert price.micros == 3_000_000
    assert pod_cost.quantities(price) == (
        "2 CPU, 10Gi by requests, on-demand, price list default, 4 nvidia.com/mig-7g.80gb not priced"
    )
