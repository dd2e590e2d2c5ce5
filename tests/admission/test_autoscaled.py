"""What a workload costs between the fewest and the most pods that autoscalers leave it. A core costs $200 a month."""

from typing import Any

import pytest

from tests import factories

Json = dict[str, Any]


def autoscaler(low: int | None, most: int, target: str = "shop") -> Json:
    """Return an HPA."""
    spec: Json = {"scaleTargetRef": {"kind": "Deployment", "name": target}, "maxReplicas": most}
    if low is not None:
        spec["minReplicas"] = low
    metadata = {"name": "shop-hpa", "namespace": "team-alpha"}
    return {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": metadata, "spec": spec}


def scaled_object(low: int | None, most: int | None, trigger: str = "kafka") -> Json:
    """Return a ScaledObject."""
    spec: Json = {"scaleTargetRef": {"name": "shop"}, "triggers": [{"type": trigger, "metadata": {"value": "50"}}]}
    spec |= {key: value for key, value in (("minReplicaCount", low), ("maxReplicaCount", most)) if value is not None}
    metadata = {"name": "shop", "namespace": "team-alpha"}
    return {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "metadata": metadata, "spec": spec}


def world(*scalers: Json, ceiling: int = 100_000) -> factories.World:
    """Return a cluster with these autoscalers and a ceiling for workloads."""
    policy = factories.policy(f"mode: enforce\ncostCeiling: {{workloadMonthly: '{ceiling}'}}")
    return factories.World(policy, cluster=[factories.namespace("team-alpha"), *scalers])


def deployment(count: int | None) -> Json:
    """Return a Deployment; None leaves out replicas."""
    made = factories.deployment(1 if count is None else count)
    if count is None:
        del made["spec"]["replicas"]
    return made


HPA = 'of HorizontalPodAutoscaler "shop-hpa"'
KEDA = 'of ScaledObject "shop"'


@pytest.mark.parametrize(
    ("scalers", "count", "told"),
    [
        pytest.param([autoscaler(20, 40)], None,
                     [f"costs $4,000.00 a month (20 replicas, the minReplicas {HPA}",
                      f"up to $8,000.00 at 40 replicas, the maxReplicas {HPA}"], id="a Deployment without replicas"),
        pytest.param([autoscaler(2, 5)], 2, ["costs $400.00 a month (2 replicas,", "up to $1,000.00 at 5 replicas"],
                     id="replicas at the minimum"),
        pytest.param([autoscaler(None, 5)], 3, ["costs $200.00 a month (1 replica, the minReplicas", "at 5 replicas"],
                     id="the default minimum"),
        pytest.param([autoscaler(0, 5)], 3,
                     ["costs $0.00 a month (0 replicas, the minReplicas", "$1,000.00 at 5 replicas"],
                     id="a minimum of none"),
        pytest.param([autoscaler(3, 5)], 0, ["costs $0.00 a month (0 replicas,", "$1,000.00 at 5 replicas"],
                     id="scaled to zero by hand, which an HPA leaves alone"),
        pytest.param([scaled_object(None, None)], 1,
                     [f"costs $0.00 a month (0 replicas, the minReplicaCount {KEDA}",
                      f"up to $20,000.00 at 100 replicas, the maxReplicaCount {KEDA}"], id="a ScaledObject's defaults"),
        pytest.param([scaled_object(2, 200, "cpu")], 1,
                     ["costs $400.00 a month (2 replicas", "$40,000.00 at 200 replicas"],
                     id="a ScaledObject with both"),
        pytest.param([scaled_object(3, 9)], 0, ["costs $600.00 a month (3 replicas"],
                     id="KEDA wakes up what is at none"),
        pytest.param([autoscaler(4, 6), scaled_object(2, 9)], 1, ["costs $400.00 a month (2 replicas", "at 9 replicas"],
                     id="the fewest and the most of several"),
    ],
)  # fmt: skip
def test_the_cost_is_that_of_the_fewest_pods_and_the_most_is_told(
    scalers: list[Json], count: int | None, told: list[str]
) -> None:
    answer = world(*scalers).validate(deployment(count))
    assert answer.allowed
    for part in told:
        assert part in answer.warnings[0]


@pytest.mark.parametrize(
    "scalers", [[], [autoscaler(2, 9, "other")], [autoscaler(2, 2)]], ids=["none", "of another workload", "of no range"]
)
def test_an_autoscaler_that_adds_nothing_is_not_named(scalers: list[Json]) -> None:
    (warning,) = world(*scalers).validate(factories.deployment(2)).warnings
    assert "costs $400.00 a month (2 replicas," in warning
    assert "Autoscaler" not in warning


def test_the_decision_has_both_costs_for_programs() -> None:
    entry = world(autoscaler(0, 5)).validate(factories.deployment(2)).entry
    assert entry is not None
    cost = entry["cost"]
    assert (cost["pods"], cost["monthlyAfter"]) == (0, "0.00")
    assert (cost["maxPods"], cost["monthlyMax"]) == (5, "1000.00")
    entry = world().validate(factories.deployment(2)).entry
    assert entry is not None
    assert "maxPods" not in entry["cost"]


def test_an_autoscaler_that_may_go_beyond_the_ceiling_is_told_and_refuses_nothing() -> None:
    answer = world(autoscaler(None, 6), ceiling=1000).validate(factories.deployment(2))
    assert answer.allowed
    (told,) = [warning for warning in answer.warnings if "costCeiling" in warning]
    assert "would cost $1,200.00 a month at 6 replicas" in told
    assert "lower maxReplicas" in told
    (told,) = [each for each in world(scaled_object(0, 6), ceiling=1000).validate(factories.deployment(2)).warnings
               if "costCeiling" in each]  # fmt: skip
    assert "lower maxReplicaCount" in told


def test_a_minimum_above_the_ceiling_is_refused() -> None:
    answer = world(autoscaler(6, 9), ceiling=1000).validate(factories.deployment(1))
    assert not answer.allowed
    assert "costs $1,200.00 a month (6 replicas, the minReplicas" in answer.message


def test_an_autoscaler_is_no_door_to_more_pods_than_the_ceiling_pays() -> None:
    """Its pods exist before the autoscaler has looked at the workload for the first time."""
    many = world(autoscaler(1, 100), ceiling=1000)
    answer = many.validate(factories.deployment(50))
    assert not answer.allowed
    assert "costs $10,000.00 a month (50 replicas as written)" in answer.message
    small, large = factories.deployment(2), factories.deployment(50)
    assert not many.call("/validate", factories.review(large, old=small, operation="UPDATE")).allowed
    assert many.call("/validate", factories.review(large, old=large, operation="UPDATE")).allowed


def test_a_workload_that_its_autoscaler_has_scaled_up_may_be_edited() -> None:
    grown = factories.deployment(8)
    answer = world(autoscaler(1, 100), ceiling=1000).call(
        "/validate", factories.review(grown, old=grown, operation="UPDATE")
    )
    assert answer.allowed
