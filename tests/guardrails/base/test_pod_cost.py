"""What a pod costs in a review: the namespace's LimitRanges, spot capacity, compiled price lists."""

from typing import Any

import msgspec
import pytest

from tests.guardrails._money_world import PRICES, World, context, pod
from webhook.cluster.view import ClusterPod, LimitRangeItem, Node
from webhook.guardrails.base import pod_cost
from webhook.guardrails.base.contract import WorkloadScale
from webhook.kube.objects import PodSpec
from webhook.policy.price_list import PriceListSpec
from webhook.pricing import book
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
    price = pod_cost.context_price(context(pod(**fields)))
    assert price.source == f"requests, {'spot' if spot else 'on-demand'}, price list default"
    assert price.micros == (600_000 if spot else 3_000_000)


def test_a_policy_may_price_a_pod_as_spot() -> None:
    judged = context(pod())
    judged.priced_as_spot = True
    assert pod_cost.context_price(judged).micros == 600_000


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
    assert pod_cost.request_defaults(judged.view, "team") == expected
    assert pod_cost.request_defaults(judged.view, "elsewhere") == {}


def test_a_price_list_becomes_a_book_and_spot_defaults_to_on_demand() -> None:
    document: dict[str, Any] = {
        "currency": "EUR",
        "onDemand": {"cpuCoreHour": "0.031611", "memoryGiBHour": "0.004237", "gpuHour": "0.95"},
    }
    made = pod_cost.compile_price_list(PriceListSpec.model_validate(document))
    assert (made.currency, made.hours_per_month) == ("EUR", 730)
    assert (made.assumed_cpu, made.assumed_memory) == (100, 128 << 20)
    assert made.on_demand == (31_611_000_000, 4_237_000_000, 950_000_000_000, {}, {})
    assert made.spot == made.on_demand
    document["spot"] = {"cpuCoreHour": "0.006655", "memoryGiBHour": "0.000892", "gpuHour": "0.5"}
    made = pod_cost.compile_price_list(PriceListSpec.model_validate(document))
    assert made.spot == (6_655_000_000, 892_000_000, 500_000_000_000, {}, {})


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
    assert pod_cost.quantities(price) == text


@pytest.mark.parametrize(
    ("scale", "text"),
    [
        (WorkloadScale("Deployment", 3, "3 replicas"), "3 replicas"),
        (WorkloadScale("Job", 1), "1 pod"),
        (WorkloadScale("Job", 2), "2 pods"),
    ],
)
def test_pods_are_counted_in_words(scale: WorkloadScale, text: str) -> None:
    assert pod_cost.pods(scale) == text


def test_a_pod_without_containers_costs_nothing_and_the_cure_says_so() -> None:
    judged = context(pod())
    judged.pod.spec = PodSpec()
    assert pod_cost.context_price(judged).micros == 0
    assert pod_cost.how_to_cost_less(judged) == "give the pod a container"


# --- node pools -----------------------------------------------------------------------------------------------------

_RATES = {"cpuCoreHour": "10", "memoryGiBHour": "1", "gpuHour": "1"}
_POOL = "karpenter.sh/nodepool"


def _with_pools(**lists: dict[str, Any]) -> book.PriceBook:
    pools = tuple(
        pod_cost.compile_pool(
            name, PriceListSpec.model_validate({"currency": "USD", "onDemand": _RATES, **fields}), PRICES
        )
        for name, fields in lists.items()
    )
    return msgspec.structs.replace(PRICES, pools=pools)


def test_a_list_without_selectors_is_for_the_pool_of_its_name() -> None:
    prices = _with_pools(gpu={})
    for key in ("karpenter.sh/nodepool", "cloud.google.com/gke-nodepool", "eks.amazonaws.com/nodegroup"):
        assert pod_cost.context_price(context(pod(nodeSelector={key: "gpu"}), prices=prices)).micros == 30_000_000
    assert pod_cost.context_price(context(pod(nodeSelector={_POOL: "cpu"}), prices=prices)).micros == 3_000_000
    price = pod_cost.context_price(context(pod(nodeSelector={_POOL: "gpu"}), prices=prices))
    assert price.source == "requests, on-demand, price list gpu"


def test_of_two_pools_that_a_pod_may_land_on_the_dearer_counts() -> None:
    cheap = {"onDemand": {**_RATES, "cpuCoreHour": "4"}}
    prices = _with_pools(a=cheap, b={})
    either = _required([_in(_POOL, "a", "b")])
    price = pod_cost.context_price(context(pod(**either), prices=prices))
    assert (price.micros, price.source) == (30_000_000, "requests, on-demand, price list b")
    assert pod_cost.context_price(context(pod(nodeSelector={_POOL: "a"}), prices=prices)).micros == 18_000_000


def test_a_list_of_a_pool_follows_the_default_list_in_what_it_leaves_open() -> None:
    default = msgspec.structs.replace(PRICES, assumed_cpu=250, storage=book.Storage(1, {}))
    spec = PriceListSpec.model_validate({"currency": "USD", "onDemand": _RATES})
    made = pod_cost.compile_pool("gpu", spec, default)
    assert (made.hours_per_month, made.assumed_cpu, made.storage) == (100, 250, default.storage)
    own = spec.model_validate({"currency": "USD", "onDemand": _RATES, "assumedRequest": {"cpu": "1"}})
    assert pod_cost.compile_pool("gpu", own, default).assumed_cpu == 1000


@pytest.mark.parametrize(
    ("capacity", "selected", "micros"),
    [
        ("any", {}, 30_000_000),
        ("any", {_KARPENTER: "spot"}, 5_000_000),
        ("spot", {}, 5_000_000),
        ("onDemand", {_KARPENTER: "spot"}, 30_000_000),
    ],
)
def test_a_pool_may_be_of_one_capacity_type(capacity: str, selected: dict[str, str], micros: int) -> None:
    spot = {"cpuCoreHour": "2", "memoryGiBHour": "0.1", "gpuHour": "1"}
    nodes = {"selectors": [{"matchLabels": {_POOL: "x"}}], "capacity": capacity}
    prices = _with_pools(x={"spot": spot, "nodes": nodes})
    assert pod_cost.context_price(context(pod(nodeSelector={_POOL: "x", **selected}), prices=prices)).micros == micros


_SPOT_GPU = Node("n-1", {_POOL: "gpu", _KARPENTER: "spot"})


def test_a_pod_that_runs_is_priced_by_its_node() -> None:
    spot = {"cpuCoreHour": "2", "memoryGiBHour": "0.1", "gpuHour": "1"}
    prices = _with_pools(gpu={"spot": spot})
    world = World(nodes=[_SPOT_GPU, Node("n-2")])
    on_gpu = context(pod(nodeName="n-1"), world=world, prices=prices)
    assert pod_cost.context_price(on_gpu).source == "requests, spot, price list gpu"
    elsewhere = context(pod(nodeName="n-2", nodeSelector={_KARPENTER: "spot"}), world=world, prices=prices)
    assert pod_cost.context_price(elsewhere).source == "requests, on-demand, price list default"
    gone = context(pod(nodeName="n-3", nodeSelector={_KARPENTER: "spot"}), world=world, prices=prices)
    assert pod_cost.context_price(gone).source == "requests, spot, price list default"
    counted = pod()
    running = context(counted, world=world, prices=prices, running=ClusterPod("u", "team", counted, "n-1"))
    assert pod_cost.context_price(running).source == "requests, spot, price list gpu"


def test_a_pod_of_a_daemon_set_is_priced_by_the_node_that_it_is_bound_to() -> None:
    field = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n-1"]}]}
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [field]}}}
    judged = context(pod(affinity=affinity), world=World(nodes=[_SPOT_GPU]), prices=_with_pools(gpu={}))
    assert pod_cost.context_price(judged).source == "requests, spot, price list gpu"


def test_other_resources_and_volumes_are_said_in_words() -> None:
    others = (("ephemeral-storage", 5 << 30), ("nvidia.com/mig-1g.5gb", 2))
    price = PodPrice(1, "requests, on-demand, price list gpu", 1000, 1 << 30, 0, others, 10 << 30)
    assert pod_cost.quantities(price) == (
        "1 CPU, 1Gi, 5Gi ephemeral-storage, 2 nvidia.com/mig-1g.5gb, 10Gi of volumes by requests, on-demand, "
        "price list gpu"
    )


@pytest.mark.parametrize(
    ("names", "rate"),
    [
        pytest.param(["cheap"], 600_000, id="spot"),
        pytest.param(["plain"], 3_000_000, id="on-demand, whatever the policy says"),
        pytest.param(["cheap", "plain"], 3_000_000, id="the dearer of both"),
        pytest.param(["cheap", "gone"], 600_000, id="one is not known, so it is as the policy says"),
    ],
)
def test_a_pod_that_is_bound_to_nodes_by_name_costs_what_they_do(names: list[str], rate: int) -> None:
    world = World(nodes=[Node("plain"), Node("cheap", {_KARPENTER: "spot"})])
    bound = [pod(**_required([_in("kubernetes.io/hostname", *names)]))]
    if len(names) == 1:
        bound.append(pod(nodeSelector={"kubernetes.io/hostname": names[0]}))
    for each in bound:
        judged = context(each, world=world)
        judged.priced_as_spot = True
        assert pod_cost.context_price(judged).micros == rate
