"""Budgets on a real API server hold through replacement, deletion, claims of ownership and calls that never came.

There are no controllers, so pods are made here in the name of the controller that would, by impersonation.
"""

import json

from tests.integration import _admission as at
from tests.integration._admission import Installation, eventually

REPLICA_SETS = "--as=system:serviceaccount:kube-system:replicaset-controller"
TWO = "53"
"""Dollars a month: two pods of one core and 1Gi, of $26.17 each."""


class Team:
    """A namespace with a budget of two pods, and Deployments whose pods are made here."""

    def __init__(self, cluster: Installation, name: str, amount: str = TWO) -> None:
        self.cluster = cluster
        self.kubectl = cluster.kubectl
        self.name = cluster.namespace(name, cost_center="engineering-alpha")
        self.made = 0
        assert self.kubectl.apply(at.budget(name, self.name, amount)).is_done
        dear = at.pod(self.name, cpu="64")
        eventually("the budget is known", lambda: not self.kubectl.apply(dear, flags=("--dry-run=server",)).is_done)

    def deployment(self, name: str, replicas: int, **strategy: object) -> at.Object:
        made = at.workload("Deployment", self.name, name, replicas, cpu="1", memory="1Gi")
        if strategy:
            made["spec"]["strategy"] = {"type": "RollingUpdate", "rollingUpdate": strategy}
        return self.kubectl.create(made)

    def replica_set(self, deployment: at.Object, name: str, replicas: int, cpu: str = "1") -> at.Object:
        made = at.workload("ReplicaSet", self.name, name, replicas, cpu=cpu, memory="1Gi")
        return self.kubectl.create(at.owned_by(deployment, made))

    def pod(self, owner: at.Object, cpu: str = "1", **spec: object) -> at.Said:
        self.made += 1
        document = at.owned_by(owner, at.pod(self.name, f"pod-{self.made}", cpu=cpu, memory="1Gi"))
        document["spec"].update(spec)
        return self.kubectl("create", "-f", "-", REPLICA_SETS, stdin=json.dumps(document))

    def run(self, owner: at.Object, count: int) -> list[str]:
        names = []
        for _ in range(count):
            said = self.pod(owner)
            assert said.is_done, said.err
            names.append(f"pod-{self.made}")
        return names

    def end(self, names: list[str]) -> None:
        self.kubectl.must("delete", "pod", "-n", self.name, "--grace-period=0", "--force", *names)

    def is_free(self) -> bool:
        """Whether all of the money could be had again."""
        whole = at.pod(self.name, "whole", cpu="2", memory="2Gi")
        return self.kubectl.apply(whole, flags=("--dry-run=server",)).is_done

    def committed(self) -> str:
        found = self.kubectl.get("budget", self.name).get("status") or {}
        return str(found.get("committed"))


def test_a_rollout_to_dearer_pods_is_refused_on_a_full_budget(cluster: Installation) -> None:
    team = Team(cluster, "team-dearer")
    deployment = team.deployment("web", 2, maxSurge="100%", maxUnavailable=0)
    team.run(team.replica_set(deployment, "old", 2), 2)
    new = team.replica_set(deployment, "new", 2, cpu="32")
    for _ in range(2):
        said = team.pod(new, cpu="32")
        assert not said.is_done
        assert "budget" in said.err
    same = team.replica_set(deployment, "same", 2)
    assert team.pod(same).is_done


def test_scaling_up_and_down_in_turn_gives_one_budget(cluster: Installation) -> None:
    team = Team(cluster, "team-in-turn")
    sets = {}
    for name in ("a", "b", "c"):
        deployment = team.deployment(name, 2)
        sets[name] = team.replica_set(deployment, f"{name}-1", 2)
        names = team.run(sets[name], 2)
        team.kubectl.must("scale", f"deployment/{name}", "-n", team.name, "--replicas=0")
        team.end(names)
        eventually("the money is free", team.is_free)
    for name in sets:
        team.kubectl.must("scale", f"deployment/{name}", "-n", team.name, "--replicas=2")
    admitted = [team.pod(owner).is_done for owner in sets.values() for _ in range(2)]
    assert admitted == [True, True, False, False, False, False]


def test_pods_that_do_not_end_are_replaced_once(cluster: Installation) -> None:
    team = Team(cluster, "team-lingers")
    owner = team.replica_set(team.deployment("web", 2), "web-1", 2)
    names = team.run(owner, 2)
    stay = json.dumps({"metadata": {"finalizers": ["example.com/stays"]}})
    for allowed in (True, False):
        for name in names:
            team.kubectl.must("patch", "pod", name, "-n", team.name, "-p", stay)
        team.kubectl.must("delete", "pod", "-n", team.name, "--wait=false", *names)
        if allowed:
            names = []
            for _ in range(2):
                eventually("it is replaced", lambda: team.pod(owner).is_done)
                names.append(f"pod-{team.made}")
        else:
            # However long the news of the deletion take.
            assert [team.pod(owner).is_done for _ in range(10)] == [False] * 10


def test_an_owner_reference_to_ones_own_config_map_excuses_nothing(cluster: Installation) -> None:
    kubectl = cluster.kubectl
    name = cluster.namespace("team-owned", cost_center="engineering-alpha")
    assert kubectl.apply(at.policy("owned", name, costCeiling={"workloadMonthly": "100"})).is_done
    metadata = {"name": "mine", "namespace": name}
    mine = kubectl.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})
    large = at.workload("Deployment", name, "large", 100, cpu="1", memory="1Gi")
    eventually("the ceiling is known", lambda: not kubectl.apply(large, flags=("--dry-run=server",)).is_done)
    said = kubectl.apply(at.owned_by(mine, large))
    assert not said.is_done
    assert "costCeiling" in said.err
    small = kubectl.create(at.owned_by(mine, at.workload("Deployment", name, "small", 1, cpu="1", memory="1Gi")))
    assert small["metadata"]["ownerReferences"]
    eventually(
        "its scale is judged",
        lambda: not kubectl("scale", "deployment/small", "-n", name, "--replicas=100", "--dry-run=server").is_done,
    )


def test_pods_that_pod_security_refuses_leave_the_budget_where_it_was(cluster: Installation) -> None:
    team = Team(cluster, "team-refused", "300")
    assert team.kubectl.apply(at.policy("refused", team.name, podSecurity={"level": "baseline"})).is_done
    owner = team.replica_set(team.deployment("evil", 30), "evil-1", 30)
    eventually("Pod Security holds", lambda: not team.pod(owner, hostNetwork=True).is_done)
    assert not any(team.pod(owner, hostNetwork=True).is_done for _ in range(30))
    eventually("the budget stands as before", lambda: team.committed() == "0.00")
    innocent = team.replica_set(team.deployment("good", 11), "good-1", 11)
    team.run(innocent, 11)


def label_budget(name: str, amount: str) -> at.Object:
    spec = {"mode": "enforce", "scope": {"label": {"key": "cost-center", "value": name}}}
    spec |= {"amount": amount, "currency": "USD"}
    return {"apiVersion": "podgate.dev/v1alpha1", "kind": "Budget", "metadata": {"name": name}, "spec": spec}


def labelled(cluster: Installation, name: str) -> str:
    """Return a namespace whose pods get its cost centre, of the same name."""
    space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {"cost-center": name}}}
    cluster.kubectl.create(space)
    required = [{"key": "cost-center", "source": "namespace"}]
    assert cluster.kubectl.apply(at.policy(name, name, costLabels={"required": required})).is_done
    return name


def test_a_change_that_adds_nothing_is_not_announced(cluster: Installation) -> None:
    kubectl = cluster.kubectl
    team = labelled(cluster, "team-warned")
    assert kubectl.apply(label_budget(team, "10")).is_done
    web = at.workload("Deployment", team, "web", 4, cpu="1", memory="1Gi")

    def warnings(*arguments: str) -> str:
        said = kubectl(*arguments, "-n", team)
        assert said.is_done, said.err
        return said.err

    eventually("the budget is known", lambda: "adds" in kubectl.apply(web, flags=("--dry-run=server",)).err)
    assert "this Deployment adds" in kubectl.apply(web).err
    assert "budget" not in warnings("annotate", "deployment/web", "a=b")
    assert "budget" not in warnings("rollout", "restart", "deployment/web")
    assert "budget" not in warnings("scale", "deployment/web", "--replicas=2")
    assert "budget" not in warnings("patch", "deployment/web", "-p", '{"spec": {"replicas": 1}}')
    assert "this Deployment adds $26.17" in warnings("scale", "deployment/web", "--replicas=2")


def safe(team: str, name: str, cpu: str = "1", memory: str = "1Gi") -> at.Object:
    """Return a pod that Pod Security takes as it is, for nobody fills anything in."""
    own = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    made = at.pod(team, name, cpu=cpu, memory=memory, securityContext=own)
    made["spec"]["securityContext"] = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    return made


def test_a_label_that_was_not_written_is_charged_and_refuses_nobody(cluster: Installation) -> None:
    kubectl = cluster.kubectl
    team = labelled(cluster, "team-missed")
    assert kubectl.apply(label_budget(team, TWO)).is_done
    eventually(
        "the budget is known",
        lambda: not kubectl.apply(at.pod(team, cpu="64"), flags=("--dry-run=server",)).is_done,
    )
    hook = kubectl.get("mutatingwebhookconfiguration", "podgate")
    kubectl.must("delete", "mutatingwebhookconfiguration", "podgate")
    try:
        for number in range(2):
            name, document = f"missed-{number}", safe(team, f"missed-{number}")
            eventually("it is let in", lambda document=document: kubectl.apply(document).is_done)  # type: ignore[misc]
            assert "cost-center" not in kubectl.get("pod", name, "-n", team)["metadata"]["labels"]
        said = kubectl.apply(safe(team, "missed-2"))
        assert not said.is_done
        assert "is missing" not in said.err
        assert f'budget "{team}"' in said.err
        small = kubectl.apply(safe(team, "small", cpu="1m", memory="1Mi"))
        assert small.is_done
        assert "the mutating call did not come through" in small.err
    finally:
        kept = {key: value for key, value in hook["metadata"].items() if key in ("name", "labels", "annotations")}
        kubectl.create({**hook, "metadata": kept})
