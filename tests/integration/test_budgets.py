"""Budgets on a real API server: how they stand, who is told, and whose pods replace what runs.

There are no controllers, so pods are made here in the name of the controller that would, by impersonation.
"""

import json

from tests.integration import _admission as at
from tests.integration._admission import Installation, eventually

REPLICA_SETS = "--as=system:serviceaccount:kube-system:replicaset-controller"


def status(cluster: Installation, name: str) -> at.Object:
    found: at.Object = cluster.kubectl.get("budget", name).get("status") or {}
    return found


def conditions(cluster: Installation, name: str) -> dict[str, tuple[str, str]]:
    return {each["type"]: (each["status"], each["reason"]) for each in status(cluster, name).get("conditions", ())}


def test_kubectl_shows_how_a_budget_stands_and_each_threshold_is_one_event(cluster: Installation) -> None:
    kubectl = cluster.kubectl
    team = cluster.namespace("team-stands", cost_center="engineering-alpha")
    made = at.budget("stands", team, "100")
    made["spec"].update(period="monthly", warnAt=[50, 75], resetDay=15, graceUntil="2020-01-01")
    assert kubectl.apply(made).is_done
    eventually("the status is there", lambda: status(cluster, "stands").get("state") == "Within")
    expected = {
        "Accepted": ("True", "Accepted"),
        "Priced": ("True", "Priced"),
        "OverThreshold": ("False", "WithinBudget"),
        "Overlapping": ("False", "Distinct"),
    }
    eventually("all is said", lambda: conditions(cluster, "stands") == expected)

    for number in range(3):
        kubectl.create(at.pod(team, f"web-{number}", cpu="1", memory="1Gi"))
    eventually("thresholds are reached", lambda: status(cluster, "stands").get("percent") == 78)

    head, row = kubectl.must("get", "budgets", "stands").out.splitlines()
    shown = dict(zip(head.split(), row.split(), strict=True))
    assert {key: shown[key] for key in ("AMOUNT", "COMMITTED", "PERCENT", "STATE", "ACCEPTED")} == {
        "AMOUNT": "100",
        "COMMITTED": "78.51",
        "PERCENT": "78",
        "STATE": "Warning",
        "ACCEPTED": "True",
    }
    eventually("it is told", lambda: status(cluster, "stands")["notified"].get("thresholds") == [50, 75])
    events = json.loads(kubectl.must("get", "events", "-n", "default", "-o", "json").out)["items"]
    told = [each for each in events if each["involvedObject"]["name"] == "stands"]
    # Pods came one by one, so both thresholds may have been seen, or the higher one alone.
    assert 1 <= len(told) <= 2
    assert told[-1]["involvedObject"]["uid"] == kubectl.get("budget", "stands")["metadata"]["uid"]
    assert 'budget "stands" has reached 75 %: $78.51 of $100.00 a month committed' in {
        each["message"].partition(" (")[0] for each in told
    }


def test_a_schema_that_is_stricter_than_it_seems_refuses_bad_budgets(cluster: Installation) -> None:
    for changes in ({"resetDay": "Someday"}, {"amount": "-1"}, {"amount": 5}, {"graceUntil": 7}):
        made = at.budget("bad", "team-bad", "10")
        made["spec"].update(changes)
        assert not cluster.kubectl.apply(made).is_done, changes


def test_scopes_that_overlap_are_said(cluster: Installation) -> None:
    for name in ("twin-a", "twin-b"):
        assert cluster.kubectl.apply(at.budget(name, "team-twin", "10")).is_done
    for name in ("twin-a", "twin-b"):
        eventually(
            "it is said",
            lambda name=name: conditions(cluster, name).get("Overlapping") == ("True", "ScopesOverlap"),  # type: ignore[misc]
        )


def test_a_rolling_update_and_a_lost_node_pass_on_a_full_budget_and_a_scale_up_does_not(cluster: Installation) -> None:
    kubectl = cluster.kubectl
    team = cluster.namespace("team-rolls", cost_center="engineering-alpha")
    # Two pods of $26.17.
    assert kubectl.apply(at.budget("rolls", team, "53")).is_done
    eventually(
        "the budget is known", lambda: not kubectl.apply(at.pod(team, cpu="4"), flags=("--dry-run=server",)).is_done
    )
    deployment = kubectl.create(at.workload("Deployment", team, replicas=2, cpu="1", memory="1Gi"))

    def replica_set(name: str, replicas: int) -> at.Object:
        made = at.workload("ReplicaSet", team, name, replicas, cpu="1", memory="1Gi")
        return kubectl.create(at.owned_by(deployment, made))

    def pod(owner: at.Object, name: str, *flags: str) -> at.Said:
        document = at.owned_by(owner, at.pod(team, name, cpu="1", memory="1Gi"))
        return kubectl("create", "-f", "-", *flags, stdin=json.dumps(document))

    old = replica_set("old", 2)
    for name in ("old-1", "old-2"):
        said = pod(old, name, REPLICA_SETS)
        assert said.is_done, said.err

    # A scale-up: the only ReplicaSet wants one more.
    kubectl.must("scale", "replicaset/old", "-n", team, "--replicas=3")
    assert not pod(old, "old-3", REPLICA_SETS).is_done
    kubectl.must("scale", "replicaset/old", "-n", team, "--replicas=2")

    # A rolling update: one pod of another ReplicaSet is the surge of 25 % of two.
    new = replica_set("new", 1)
    assert not pod(new, "new-0").is_done, "a user who writes an owner reference"
    said = pod(new, "new-1", REPLICA_SETS)
    assert said.is_done, said.err
    assert not pod(new, "new-2", REPLICA_SETS).is_done

    # A node is lost: its pod is being deleted, by nobody who could finish that, and is replaced meanwhile.
    patch = json.dumps({"metadata": {"finalizers": ["example.com/lost-node"]}})
    kubectl.must("patch", "pod", "old-1", "-n", team, "-p", patch)
    kubectl.must("delete", "pod", "old-1", "-n", team, "--wait=false", "--grace-period=0", "--force")
    eventually("it is replaced", lambda: pod(old, "old-4", REPLICA_SETS).is_done)
    assert not pod(old, "old-5", REPLICA_SETS).is_done
    kubectl.must("patch", "pod", "old-1", "-n", team, "-p", json.dumps({"metadata": {"finalizers": None}}))
