"""What a pod costs in a review: the namespace's LimitRanges, spot capacity, compiled price lists."""

from typing import Any

import pytest

from tests.guardrails._money_world import context, pod
from webhook.cluster.view import LimitRangeItem
from webhook.guardrails import _money
from webhook.guardrails._contract import WorkloadScale
from webhook.kube.objects import PodSpec
from webhook.policy.price_list import PriceListSpec
from webhook.pricing.pod import PodPrice


def _required(*terms: list[dict[str, Any]]) -> dict[str, Any]:
    listed = [{"matchExpressions": term} for term in terms]
    return {
        "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": listed}}}
    }


def _in(key: str, *values: str, operator: str = "In") -> dict[str, Any]:
    return {"key": key, "operator": operator, "values": list(values)}


_KARPENTER = "karpenter.sh/capacity-type"


@pytest.mark.parametrize(
    ("fields", "spot"),
    [
        pytest.param({}, False, id="anywhere"),
        pytest.param({"nodeSelector": {_KARPENTER: "spot"}}, True, id="Karpenter selector"),
        pytest.param({"nodeSelector": {_KARPENTER: "on-demand"}}, False, id="Karpenter on-demand"),
        pytest.param({"nodeSelector": {"eks.amazonaws.com/capacityType": "SPOT"}}, True, id="EKS"),
        pytest.param({"nodeSelector": {"cloud.google.com/gke-spot": "true"}}, True, id="GKE"),
        pytest.param({"nodeSelector": {"kubernetes.azure.com/scalesetpriority": "spot"}}, True, id="AKS"),
        pytest.param({"nodeSelector": {"disk": "spot"}}, False, id="an unrelated label"),
        pytest.param(_required([_in(_KARPENTER, "spot")]), True, id="required affinity"),
        pytest.param(_required([_in(_KARPENTER, "spot", "on-demand")]), False, id="either capacity"),
        pytest.param(_required([_in(_KARPENTER, "spot")], [_in("zone", "a")]), False, id="terms are alternatives"),
        pytest.param(_required([_in("zone", "a"), _in(_KARPENTER, "spot")]), True, id="expressions all hold"),
        pytest.param(_required([_in(_KARPENTER, "spot", operator="NotIn")]), False, id="never spot"),
        pytest.param(
            {"tolerations": [{"key": "kubernetes.io/spot", "operator": "Exists"}]},
            False,
            id="a toleration permits only",
        ),
        pytest.param(
            {
                "affinity": {
                    "nodeAffinity": {
                        "preferredDuringSchedulingIgnoredDuringExecution": [
                            {"weight": 100, "preference": {"matchExpressions": [_in(_KARPENTER, "spot")]}}
                        ]
                    }
                }
            },
            False,
            id="a preference only attracts",
        ),
    ],
)
def test_only_what_must_run_on_spot_has_the_spot_price(fields: dict[str, Any], *, spot: bool) -> None:
    price = _money.context_price(context(pod(**fields)))
    assert price.source == ("requests, spot" if spot else "requests, on-demand")
    assert price.micros == (600_000 if spot else 3_000_000)


def test_a_policy_may_price_a_pod_as_spot() -> None:
    judged = context(pod())
    judged.priced_as_spot = True
    assert _money.context_price(judged).micros == 600_000


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        pytest.param([], {}, id="none"),
        pytest.param(
            [LimitRangeItem("Container", default_request={"cpu": "1"}, default={"cpu": "2"})],
            {"cpu": "1"},
            id="defaultRequest",
        ),
        pytest.param([LimitRangeItem("Container", default={"cpu": "2"}, min={"cpu": "3"})], {"cpu": "2"}, id="default"),
        pytest.param([LimitRangeItem("Container", max={"cpu": "4"}, min={"cpu": "3"})], {"cpu": "4"}, id="max"),
        pytest.param([LimitRangeItem("Container", min={"cpu": "3"})], {"cpu": "3"}, id="min"),
        pytest.param([LimitRangeItem("Pod", default={"cpu": "2"})], {}, id="of another type"),
        pytest.param(
            [
                LimitRangeItem("Container", default={"cpu": "2"}),
                LimitRangeItem("Container", default={"cpu": "9", "memory": "1"}),
            ],
            {"cpu": "2", "memory": "1"},
            id="the first counts",
        ),
    ],
)
def test_requests_that_limit_ranges_give(items: list[LimitRangeItem], expected: dict[str, str]) -> None:
    judged = context(pod(), limit_ranges=items)
    assert _money.request_defaults(judged.view, "team") == expected
    assert _money.request_defaults(judged.view, "elsewhere") == {}


def test_a_price_list_becomes_a_book_and_spot_defaults_to_on_demand() -> None:
    document: dict[str, Any] = {
        "currency": "EUR",
        "onDemand": {"cpuCoreHour": "0.031611", "memoryGiBHour": "0.004237", "gpuHour": "0.95"},
    }
    made = _money.compile_price_list(PriceListSpec.model_validate(document))
    assert (made.currency, made.hours_per_month) == ("EUR", 730)
    assert (made.assumed_cpu, made.assumed_memory) == (100, 128 << 20)
    assert made.on_demand == (31_611_000_000, 4_237_000_000, 950_000_000_000)
    assert made.spot == made.on_demand
    document["spot"] = {"cpuCoreHour": "0.006655", "memoryGiBHour": "0.000892", "gpuHour": "0.5"}
    made = _money.compile_price_list(PriceListSpec.model_validate(document))
    assert made.spot == (6_655_000_000, 892_000_000, 500_000_000_000)


@pytest.mark.parametrize(
    ("price", "text"),
    [
        (PodPrice(1, "requests, on-demand", 2000, 8 << 30), "2 CPU, 8Gi by requests, on-demand"),
        (PodPrice(1, "limits, spot", 1500, (8 << 30) + 1, 1), "1500m CPU, 8193Mi, 1 GPU by limits, spot"),
        (
            PodPrice(1, "limits, spot", 10**40, 10**40, 10**40),
            "over 10^12 CPU, over 900Ti, over 10^15 GPUs by limits, spot",
        ),
    ],
)
def test_quantities_are_said_in_words(price: PodPrice, text: str) -> None:
    assert _money.quantities(price) == text


@pytest.mark.parametrize(
    ("scale", "text"),
    [
        (WorkloadScale("Deployment", 3, "3 replicas"), "3 replicas"),
        (WorkloadScale("Job", 1), "1 pod"),
        (WorkloadScale("Job", 2), "2 pods"),
    ],
)
def test_pods_are_counted_in_words(scale: WorkloadScale, text: str) -> None:
    assert _money.pods(scale) == text


def test_a_pod_without_containers_costs_nothing_and_the_cure_says_so() -> None:
    judged = context(pod())
    judged.pod.spec = PodSpec()
    assert _money.context_price(judged).micros == 0
    assert _money.how_to_cost_less(judged) == "give the pod a container"
