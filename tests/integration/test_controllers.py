"""Budgets and quotas where the real controllers of Kubernetes make the pods."""

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.integration import _admission as at
from tests.integration import _control_plane, _controllers
from tests.integration._admission import Installation, eventually

PODS = 8
ROLLOUTS = 8


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with _control_plane.control_plane(tmp_path_factory.mktemp("plane")) as plane, _controllers.controllers(plane):
        at.Kubectl(plane).create(at.vpa_definition())
        with at.installation(plane) as installed:
            yield installed


def ready(cluster: Installation, namespace: str) -> int:
    found: at.Object = cluster.kubectl.get("deployment", "web", "-n", namespace)
    return int(found["status"].get("readyReplicas", 0))


def refusals(cluster: Installation, namespace: str) -> list[str]:
    """Return what the controllers were told instead of a pod."""
    events = cluster.kubectl.get("events", "-n", namespace)["items"]
    return [f"{each['count']} x {each['message']}" for each in events if each["reason"] == "FailedCreate"]


def test_rolling_updates_on_a_full_budget_come_through_however_fast_they_follow(cluster: Installation) -> None:
    kubectl = cluster.kubectl
    team = cluster.namespace("team-rollouts", cost_center="alpha")
    # Eight pods of $26.17, and not a ninth.
    assert kubectl.apply(at.budget("rollouts", team, "210")).is_done
    eventually("the ledger is there", lambda: kubectl("get", "budgetledger", "rollouts").is_done)
    with _controllers.kubelets(cluster.plane, team):
        kubectl.create(at.workload("Deployment", team, replicas=PODS, cpu="1", memory="1Gi"))
        eventually("all run", lambda: ready(cluster, team) == PODS, 60)
        for number in range(ROLLOUTS):
            change = {"spec": {"template": {"metadata": {"annotations": {"example.com/turn": str(number)}}}}}
            kubectl.must("patch", "deployment", "web", "-n", team, "-p", json.dumps(change))
            kubectl.must("rollout", "status", "deployment/web", "-n", team, "--timeout=50s")
        assert refusals(cluster, team) == []

        kubectl.must("scale", "deployment/web", "-n", team, f"--replicas={PODS + 1}")
        eventually("one more is refused", lambda: refusals(cluster, team), 30)
        assert ready(cluster, team) == PODS


def audited(cluster: Installation, namespace: str) -> at.Object:
    """Return what an audit says of the Deployment of a namespace."""
    done = subprocess.run(  # noqa: S603  our own program
        [sys.executable, "-m", "webhook.cli", "audit", f"--kubeconfig={cluster.plane.kubeconfig}", "-o", "json"],
        capture_output=True,
        text=True,
        cwd=at.ROOT,
        timeout=60,
        check=False,
    )
    assert done.returncode in (0, 1), done.stderr
    (found,) = (each for each in json.loads(done.stdout)["workloads"] if each["namespace"] == namespace)
    row: at.Object = found
    return row


def test_pods_that_have_used_up_a_quota_themselves_are_audited_as_they_were_admitted(cluster: Installation) -> None:
    kubectl = cluster.kubectl
    team = cluster.namespace("team-quota", cost_center="alpha")
    hard = {"requests.cpu": "1800m", "requests.memory": "1800Mi", "limits.cpu": "3", "limits.memory": "3600Mi"}
    metadata = {"name": "all", "namespace": team}
    kubectl.create({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata, "spec": {"hard": hard}})
    made = at.workload("Deployment", team, replicas=6, cpu="100m", memory="100Mi")
    # Without limits of their own a quota of limits takes no pods; a recommendation is for more than what is asked for.
    bounds = {"type": "Container", "default": {"cpu": "400m", "memory": "256Mi"}, "max": {"cpu": "500m"}}
    kubectl.create({"apiVersion": "v1", "kind": "LimitRange", "metadata": metadata, "spec": {"limits": [bounds]}})
    kubectl.create(at.vpa(team, made, "300m", "300Mi"))
    with _controllers.kubelets(cluster.plane, team):
        kubectl.create(made)
        eventually("all run", lambda: ready(cluster, team) == 6, 60)
        eventually(
            "the quota is used up",
            lambda: kubectl.get("resourcequota", "all", "-n", team)["status"].get("used") == hard,
            30,
        )
    pods = kubectl.get("pods", "-n", team)["items"]
    sizes = [each["spec"]["containers"][0]["resources"] for each in pods]
    admitted = {"requests": {"cpu": "300m", "memory": "300Mi"}, "limits": {"cpu": "500m", "memory": "600Mi"}}
    assert sizes == [admitted] * 6

    found = audited(cluster, team)
    assert (found["objects"], found["wouldChange"], found["wouldRefuse"]) == (6, 0, 0)
    assert "quotaLimited" not in {each["rule"] for each in found["findings"]}
