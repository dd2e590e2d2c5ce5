"""Updates of pods that have no node yet, through a real API server: it lets their node selector be changed, and sends
that to Podgate."""

import json

from tests.integration import _admission as at
from tests.integration._admission import Installation, eventually

POOL = {"pool.example/name": "dear"}
DEAR: at.Object = {
    "apiVersion": "podgate.dev/v1alpha1",
    "kind": "PriceList",
    "metadata": {"name": "dear"},
    "spec": {
        "currency": "USD",
        "nodes": {"selectors": [{"matchLabels": POOL}]},
        "onDemand": {"cpuCoreHour": "0.2", "memoryGiBHour": "0.1", "gpuHour": "10"},
    },
}


def gated(namespace: str, name: str) -> at.Object:
    made = at.pod(namespace, name, cpu="1", memory="1Gi")
    made["spec"]["schedulingGates"] = [{"name": "example.com/wait"}]
    return made


def move(cluster: Installation, namespace: str, name: str, **spec: object) -> at.Said:
    changes = json.dumps({"spec": {"schedulingGates": None, **spec}})
    return cluster.kubectl("patch", "pod", name, "-n", namespace, "--type=merge", "-p", changes)


def in_force(cluster: Installation, namespace: str) -> bool:
    """Whether a pod that asks for the dear nodes from the beginning is refused."""
    made = at.pod(namespace, "asks", cpu="1", memory="1Gi")
    made["spec"]["nodeSelector"] = POOL
    return not cluster.kubectl.apply(made, flags=("--dry-run=server",)).is_done


def test_a_pod_that_waits_at_a_gate_is_not_moved_to_nodes_beyond_its_ceiling(cluster: Installation) -> None:
    kubectl = cluster.kubectl
    team = cluster.namespace("gates")
    said = kubectl.apply(DEAR, at.policy("gate", team, costCeiling={"podMonthly": "100"}))
    assert said.is_done, said.err
    eventually("the ceiling holds", lambda: in_force(cluster, team))

    for name in ("dear", "plain"):
        assert kubectl.apply(gated(team, name)).is_done

    refused = move(cluster, team, "dear", nodeSelector=POOL)
    assert not refused.is_done
    assert "costs $219.00 a month, above the ceiling of $100.00" in refused.err
    assert "leave spec.nodeSelector, spec.affinity and spec.tolerations as they were" in refused.err
    assert kubectl.get("pod", "dear", "-n", team)["spec"]["schedulingGates"]

    moved = move(cluster, team, "plain", nodeSelector={"zone": "a"})
    assert moved.is_done, moved.err
    assert "schedulingGates" not in kubectl.get("pod", "plain", "-n", team)["spec"]


def test_a_budget_pays_for_what_a_move_adds(cluster: Installation) -> None:
    kubectl = cluster.kubectl
    team = cluster.namespace("movers")
    # Room for one pod on dear nodes beside one on others: $219.00 and $26.17.
    said = kubectl.apply(DEAR, at.budget("moves", team, "250"))
    assert said.is_done, said.err
    eventually("the budget is there", lambda: kubectl("get", "budgetledger", "moves").is_done)

    for name in ("first", "second"):
        assert kubectl.apply(gated(team, name)).is_done

    moved = move(cluster, team, "first", nodeSelector=POOL)
    assert moved.is_done, moved.err
    refused = move(cluster, team, "second", nodeSelector=POOL)
    assert not refused.is_done
    assert "this update adds $192.83" in refused.err
    assert kubectl.get("pod", "second", "-n", team)["spec"]["schedulingGates"]
