"""DaemonSets cost what the nodes that they run on cost, whatever they tolerate."""

from typing import Any

import pytest

from tests import factories

POOL = factories.policy(
    """
currency: USD
nodes: {selectors: [{matchLabels: {pool.example/name: dear}}]}
onDemand: {cpuCoreHour: "10", memoryGiBHour: "0.1", gpuHour: "10"}
""",
    "dear",
    "PriceList",
)
SPOT_POLICY = """
mode: enforce
spot:
  tolerations: [{key: spot, operator: Exists}]
  priceAs: spot
costCeiling: {workloadMonthly: "1000000"}
"""
POLICY = factories.policy(SPOT_POLICY)
ON_SPOT = {"karpenter.sh/capacity-type": "spot"}
TEAM = factories.namespace("team-alpha")


def node(name: str, taint: str = "", **labels: str) -> dict[str, Any]:
    taints = [{"key": taint, "effect": "NoSchedule"}] if taint else []
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {each.replace("__", "/"): value for each, value in labels.items()}},
        "spec": {"taints": taints},
    }


def spot_node(name: str) -> dict[str, Any]:
    made = node(name, "spot")
    made["metadata"]["labels"] = dict(ON_SPOT)
    return made


def dear_node(name: str) -> dict[str, Any]:
    made = node(name)
    made["metadata"]["labels"] = {"pool.example/name": "dear"}
    return made


def agents(**spec: Any) -> dict[str, Any]:  # noqa: ANN401  fields of a spec
    made = factories.deployment(template=factories.pod(**spec))
    del made["spec"]["replicas"]
    return {**made, "kind": "DaemonSet", "metadata": {"name": "agent"}}


def told(cluster: list[dict[str, Any]], document: dict[str, Any]) -> str:
    answer = factories.World(POLICY, POOL, cluster=[TEAM, *cluster]).validate(document)
    assert answer.allowed
    return next(each for each in answer.warnings if "this DaemonSet costs" in each)


TOLERATING = {"tolerations": [{"operator": "Exists"}]}


# A pod costs $2 an hour on demand, $0.40 on spot, $11 in the dear pool; a month has 100 hours.
@pytest.mark.parametrize(
    ("cluster", "spec", "words"),
    [
        pytest.param([node("a"), node("b")], TOLERATING, "$400.00 a month (2 matching nodes, ", id="on demand"),
        pytest.param(
            [node("a"), spot_node("b"), spot_node("c")],
            TOLERATING,
            "$280.00 a month (3 matching nodes, 2 of them spot",
            id="some are spot",
        ),
        pytest.param(
            [spot_node("b")], TOLERATING, "$40.00 a month (1 matching node, all of them spot", id="all are spot"
        ),
        pytest.param([node("a"), dear_node("b")], {}, "$1,300.00 a month (2 matching nodes, ", id="pools"),
        pytest.param(
            [node("a"), spot_node("b")],
            {"nodeSelector": ON_SPOT, **TOLERATING},
            "$40.00 a month (1 matching node, all of them spot",
            id="selects spot nodes",
        ),
        pytest.param([], TOLERATING, "$200.00 a month (1 node, none are known, priced as on-demand", id="no nodes"),
        pytest.param(
            [],
            {"nodeSelector": ON_SPOT},
            "$40.00 a month (1 node, none are known, priced as spot",
            id="no nodes, and it selects spot ones",
        ),
    ],
)
def test_each_pod_of_a_daemon_set_is_priced_by_its_node(
    cluster: list[dict[str, Any]], spec: dict[str, Any], words: str
) -> None:
    assert words in told(cluster, agents(**spec))


def test_the_policy_lets_it_onto_spot_nodes_and_each_costs_what_it_is() -> None:
    # The toleration is the policy's; the spot node matches without it only where the author tolerates it.
    cluster = [node("a"), spot_node("b")]
    assert "$200.00 a month (1 matching node," in told(cluster, agents())


def of_agent(name: str) -> dict[str, Any]:
    reference = {"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "agent", "uid": "d", "controller": True}
    terms = [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": [name]}]}]
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}
    return factories.pod(metadata={"ownerReferences": [reference]}, affinity=affinity)


@pytest.mark.parametrize(("name", "rate"), [("a", 2_000_000), ("b", 400_000), ("c", 11_000_000), ("gone", 2_000_000)])
def test_a_budget_books_each_of_its_pods_by_its_node(name: str, rate: int) -> None:
    budget = factories.policy("mode: enforce\nscope: {cluster: true}\namount: '9999'\ncurrency: USD", kind="Budget")
    cluster = [TEAM, node("a"), spot_node("b"), dear_node("c")]
    scene = factories.World(POLICY, POOL, budget, cluster=cluster)
    assert scene.create(of_agent(name))[1].allowed
    assert scene.ledger.committed("team") == rate


def test_a_ceiling_counts_all_its_nodes_and_names_the_dearest() -> None:
    ceiling = factories.policy("mode: enforce\ncostCeiling: {workloadMonthly: '1000'}")
    scene = factories.World(ceiling, POOL, cluster=[TEAM, node("a"), dear_node("b")])
    answer = scene.validate(agents())
    assert not answer.allowed
    assert "costs $1,300.00 a month (2 matching nodes), above the ceiling of $1,000.00 (up to $1,100.00 a pod" in (
        answer.message
    )
