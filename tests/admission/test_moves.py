"""Updates that move a pod to dearer nodes, through the whole pipeline: judged where the price rises, and booked."""

import copy
from typing import Any

import pytest

from tests import factories
from webhook.admission.bookings import bookings

POOL = "pool.example/name"
DEAR = factories.policy(
    """
currency: USD
nodes:
  selectors: [{matchLabels: {pool.example/name: dear}}]
  taints: [{key: dear, effect: NoSchedule}]
onDemand: {cpuCoreHour: "100", memoryGiBHour: "0.1", gpuHour: "10"}
""",
    "dear",
    "PriceList",
)
CHEAP = factories.policy(
    """
currency: USD
nodes: {selectors: [{matchLabels: {pool.example/name: cheap}}]}
onDemand: {cpuCoreHour: "0.5", memoryGiBHour: "0.05", gpuHour: "10"}
""",
    "cheap",
    "PriceList",
)
CEILING = factories.policy("mode: enforce\ncostCeiling: {podMonthly: '300'}")
AS_SPOT = factories.policy(
    """
mode: enforce
spot:
  tolerations: [{key: spot, operator: Exists}]
  priceAs: spot
costCeiling: {podMonthly: "100", workloadMonthly: "300"}
"""
)
TEAM = factories.namespace("team-alpha")
ON_DEMAND = {"karpenter.sh/capacity-type": "on-demand"}
TO_DEAR = {"key": "dear", "operator": "Exists"}
SPOT = {"key": "spot", "operator": "Exists"}


def budget(amount: str) -> str:
    return factories.policy(
        f"mode: enforce\nscope: {{cluster: true}}\namount: '{amount}'\ncurrency: USD", kind="Budget"
    )


def world(*policies: str, cluster: tuple[dict[str, Any], ...] = ()) -> factories.World:
    return factories.World(*policies, DEAR, CHEAP, cluster=[TEAM, *cluster])


def gated(**spec: Any) -> dict[str, Any]:  # noqa: ANN401  fields of a spec
    return factories.stored(factories.pod(schedulingGates=[{"name": "example.com/wait"}], **spec))


def moved(pod: dict[str, Any], **spec: Any) -> dict[str, Any]:  # noqa: ANN401  fields of a spec
    made = copy.deepcopy(pod)
    made["spec"].pop("schedulingGates", None)
    made["spec"].update(spec)
    return made


def update(scene: factories.World, old: dict[str, Any], new: dict[str, Any]) -> factories.Answer:
    return scene.call("/validate/cost", factories.review(new, old=old, operation="UPDATE"))


@pytest.mark.parametrize(
    ("spec", "allowed"),
    [
        pytest.param({"nodeSelector": {POOL: "dear"}, "tolerations": [TO_DEAR]}, False, id="a selector"),
        pytest.param(
            {
                "affinity": factories.required_affinity([{"key": POOL, "operator": "In", "values": ["dear"]}]),
                "tolerations": [TO_DEAR],
            },
            False,
            id="an affinity",
        ),
        pytest.param({"nodeSelector": {POOL: "cheap"}}, True, id="to cheaper nodes"),
        pytest.param({"nodeSelector": {"zone": "a"}}, True, id="at the same price"),
        pytest.param({}, True, id="released from its gate"),
    ],
)
def test_a_ceiling_refuses_an_update_that_moves_a_pod_beyond_it(spec: dict[str, Any], *, allowed: bool) -> None:
    scene = world(CEILING)
    pod = gated()
    assert scene.validate(pod).allowed
    answer = update(scene, pod, moved(pod, **spec))
    assert answer.allowed is allowed
    if not allowed:
        assert "costs $10,100.00 a month, above the ceiling of $300.00" in answer.message
        assert "leave spec.nodeSelector, spec.affinity and spec.tolerations as they were" in answer.message


def test_a_toleration_that_opens_a_dearer_pool_is_a_move() -> None:
    # Which of the two pools it lands on is for the scheduler to choose once it tolerates the dearer one as well.
    either = factories.required_affinity([{"key": POOL, "operator": "In", "values": ["cheap", "dear"]}])
    scene = world(CEILING)
    pod = gated(affinity=either)
    assert scene.validate(pod).allowed
    assert not update(scene, pod, moved(pod, tolerations=[TO_DEAR])).allowed


def test_a_budget_refuses_the_increase_and_books_one_that_fits() -> None:
    scene = world(budget("5000"))
    pod = gated()
    assert scene.validate(pod).allowed
    assert scene.ledger.committed("team") == 2_000_000
    refused = update(scene, pod, moved(pod, nodeSelector={POOL: "dear"}, tolerations=[TO_DEAR]))
    assert not refused.allowed
    assert 'budget "team": $200.00 of $5,000.00 a month committed, this update adds $9,900.00' in refused.message
    assert "leave spec.nodeSelector, spec.affinity and spec.tolerations as they were" in refused.message
    assert scene.ledger.committed("team") == 2_000_000

    roomy = world(budget("20000"))
    assert roomy.validate(pod).allowed
    assert update(roomy, pod, moved(pod, nodeSelector={POOL: "dear"}, tolerations=[TO_DEAR])).allowed
    assert roomy.ledger.committed("team") == 101_000_000


def test_what_an_update_books_is_what_counting_the_pod_gives() -> None:
    dear = moved(gated(), nodeSelector={POOL: "dear"}, tolerations=[TO_DEAR])
    scene = world(budget("20000"), cluster=(dear,))
    (booked,) = bookings(scene.view, scene.rules, lambda: factories.NOON)
    assert booked.micros == 101_000_000


def test_a_pod_that_is_priced_as_spot_pays_when_it_is_moved_to_on_demand() -> None:
    scene = factories.World(AS_SPOT, cluster=[TEAM])
    _, created, pod = scene.create(gated())
    assert created.allowed
    assert created.entry is not None
    answer = update(scene, pod, moved(pod, nodeSelector=ON_DEMAND))
    assert not answer.allowed
    assert "costs $200.00 a month, above the ceiling of $100.00" in answer.message
    assert "on-demand" in answer.message
    assert update(scene, pod, moved(pod, nodeSelector={"karpenter.sh/capacity-type": "spot"})).allowed


def test_a_pod_that_has_its_node_is_moved_by_no_toleration() -> None:
    scene = world(CEILING, budget("250"))
    pod = factories.stored(factories.pod(nodeName="n-1"))
    before = scene.ledger.committed("team")
    answer = update(scene, pod, moved(pod, tolerations=[TO_DEAR]))
    assert answer.allowed
    assert scene.ledger.committed("team") == before


@pytest.mark.parametrize(
    ("before", "after", "allowed"),
    [
        pytest.param({}, {"nodeSelector": ON_DEMAND}, False, id="sent to on-demand"),
        pytest.param({"nodeSelector": ON_DEMAND}, {}, True, id="sent to spot"),
        pytest.param(
            {"nodeSelector": ON_DEMAND}, {"nodeSelector": {**ON_DEMAND, "zone": "a"}}, True, id="dear already"
        ),
        pytest.param({}, {"nodeSelector": {"zone": "a"}}, True, id="still spot"),
    ],
)
def test_the_template_of_a_workload_is_judged_where_it_moves_its_pods_to_dearer_nodes(
    before: dict[str, Any], after: dict[str, Any], *, allowed: bool
) -> None:
    scene = factories.World(AS_SPOT, cluster=[TEAM])
    old = factories.deployment(2, factories.pod(**before))
    new = factories.deployment(2, factories.pod(**after))
    answer = scene.call("/validate", factories.review(new, old=old, operation="UPDATE"))
    assert answer.allowed is allowed
    if not allowed:
        assert "costs $400.00 a month (2 replicas), above the ceiling of $300.00" in answer.message
