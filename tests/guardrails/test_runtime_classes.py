"""Overhead of a RuntimeClass: part of a workload's price before any API server has written it into a pod."""

from typing import Any

import pytest

from tests.guardrails._money_world import World, container, context, pod
from webhook.cluster.view import RuntimeClass
from webhook.guardrails import cost_ceiling
from webhook.guardrails.base import pod_cost
from webhook.guardrails.base.contract import Context, Finding, WorkloadScale
from webhook.kube.objects import ResourceMap
from webhook.policy.cost_ceiling import CostCeilingSection

THREE = WorkloadScale("Deployment", 3, "3 replicas")
KATA = World(runtime_classes=[RuntimeClass("kata", {"cpu": "2", "memory": "10Gi"}), RuntimeClass("runc")])


def sandboxed(name: str = "kata", *, world: World = KATA, **fields: Any) -> Context:  # noqa: ANN401  passed on
    spec = {"runtimeClassName": name, **fields.pop("spec", {})}
    return context(pod(container("1", "10Gi"), **spec), world=world, **fields)


def found(judged: Context, amount: str = "1") -> list[Finding]:
    rule = cost_ceiling.compile_rule(CostCeilingSection.model_validate({"podMonthly": amount}))
    return list(cost_ceiling.inspect(rule, judged))


@pytest.mark.parametrize("scale", [None, THREE])
def test_the_overhead_of_its_class_is_part_of_the_price(scale: WorkloadScale | None) -> None:
    price = pod_cost.context_price(sandboxed(scale=scale))
    assert (price.micros, price.cpu, price.memory) == (5_000_000, 3000, 20 << 30)


def test_overhead_that_stands_in_the_pod_counts_once_and_instead() -> None:
    assert pod_cost.context_price(sandboxed(spec={"overhead": {"cpu": "4"}})).micros == 6_000_000


def test_a_class_without_overhead_costs_nothing() -> None:
    assert pod_cost.context_price(sandboxed("runc")).micros == 2_000_000
    assert found(sandboxed("runc"), "200") == []


def test_a_pod_that_exists_has_the_overhead_that_it_came_with() -> None:
    assert pod_cost.context_price(sandboxed(operation="UPDATE")).micros == 2_000_000


def test_a_class_that_is_not_known_is_told_in_one_line_and_refuses_nothing() -> None:
    (told,) = found(sandboxed("x" * 5_000, scale=THREE), "200")
    assert (told.rule, told.notice) == ("runtimeClass", True)
    assert told.message.endswith("is not known, so its overhead is not in the price")
    assert told.cure == "create the RuntimeClass, or correct spec.runtimeClassName"
    assert len(told.message) < 200
    price = pod_cost.context_price(sandboxed("gvisor"))
    assert price.source == "requests, on-demand, price list default, overhead of RuntimeClass gvisor not known"


@pytest.mark.parametrize(
    ("overhead", "said"),
    [
        (
            {"cpu": "-1"},
            "cannot be priced: RuntimeClass kata, overhead.podFixed[cpu]: a quantity of resources must",
        ),
        (
            {"memory": "lots"},
            "cannot be priced: RuntimeClass kata, overhead.podFixed[memory]: 'lots' is not a",
        ),
        ({"cpu": "1e9999"}, "cannot be priced: RuntimeClass kata, overhead.podFixed[cpu]: the exponent of quantity"),
    ],
)
def test_malformed_overhead_of_a_class_is_one_line(overhead: ResourceMap, said: str) -> None:
    world = World(runtime_classes=[RuntimeClass("kata", overhead)])
    (told,) = found(sandboxed(world=world))
    assert told.message.startswith(said)
    assert "\n" not in told.message


def test_absurd_overhead_saturates() -> None:
    world = World(runtime_classes=[RuntimeClass("kata", {"cpu": "1e30"})])
    assert pod_cost.context_price(sandboxed(world=world)).micros == 2**63 - 1


def test_the_cure_names_the_class_where_its_overhead_is_the_larger_part() -> None:
    dominated, other = sandboxed(), context(pod(container("9", "10Gi"), runtimeClassName="kata"), world=KATA)
    assert found(dominated)[0].cure.startswith(
        'choose another runtimeClassName than "kata": 2 CPU and 10Gi are the overhead of that RuntimeClass'
    )
    assert found(other)[0].cure.startswith('lower the requests of container "app"')
    written = context(pod(container("100m", "1Gi"), overhead={"cpu": "2"}))
    assert found(written)[0].cure.startswith("remove spec.overhead: 2 CPU and 0 are the overhead")
