"""What replaces pods never becomes more than was paid for: dearer pods, scale-downs, pods that do not end, claims."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from tests import factories
from tests.admission.test_budgets import RATE, budget
from tests.admission.test_replacement import REPLICA_SETS, Cluster, deployment, owned, pod_of, replica_set
from webhook.ledger.approval import GRACE
from webhook.ledger.memory import MemoryLedger

TTL = timedelta(seconds=120)
ALL_AT_ONCE = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "100%", "maxUnavailable": 0}}


class Moving(Cluster):
    """A cluster in which time passes."""

    def __init__(self, *policies: str) -> None:
        self.now = factories.NOON
        super().__init__(*policies, now=self.clock)
        self.memory = MemoryLedger(clock=self.clock, ttl=TTL)
        self.ledger = self.memory
        self.has()

    def clock(self) -> datetime:
        return self.now

    def creates(self, document: dict[str, Any], times: int) -> list[bool]:
        return [self.create(document).allowed for _ in range(times)]


def full(strategy: dict[str, Any] | None = None) -> Moving:
    """Return a cluster whose budget of $800 is used up by the four pods of one Deployment."""
    cluster = Moving(budget("800"))
    cluster.has(deployment(4, strategy=strategy or {}), replica_set("old", 4))
    cluster.run("old", 4)
    assert not cluster.create(factories.pod(), user="jane").allowed
    return cluster


def priced(cpu: str, memory: str) -> dict[str, Any]:
    return pod_of("ReplicaSet", "new", containers=[factories.container(cpu=cpu, memory=memory)])


# --- dearer pods ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", [ALL_AT_ONCE, {}, {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}])
@pytest.mark.parametrize(("cpu", "memory"), [("64", "512Gi"), ("2", "10Gi"), ("1001m", "10Gi")])
def test_a_rollout_to_dearer_pods_is_refused_on_a_full_budget(strategy: dict[str, Any], cpu: str, memory: str) -> None:
    cluster = full(strategy)
    cluster.has(deployment(4, strategy=strategy), replica_set("old", 4), replica_set("new", 4))
    assert cluster.creates(priced(cpu, memory), 4) == [False] * 4
    assert cluster.ledger.committed("alpha") == 4 * RATE


@pytest.mark.parametrize(("cpu", "memory"), [("1", "10Gi"), ("500m", "5Gi")])
def test_a_rollout_to_pods_that_are_not_dearer_comes_through(cpu: str, memory: str) -> None:
    cluster = full(ALL_AT_ONCE)
    cluster.has(deployment(4, strategy=ALL_AT_ONCE), replica_set("old", 4), replica_set("new", 4))
    assert cluster.creates(priced(cpu, memory), 4) == [True] * 4


def test_dearer_pods_come_in_as_far_as_those_that_go_leave_room() -> None:
    cluster = full(ALL_AT_ONCE)
    cluster.has(deployment(4, strategy=ALL_AT_ONCE), replica_set("old", 0), replica_set("new", 4))
    for number in range(1, 5):
        cluster.ledger.release(f"pod-{number}")
    assert cluster.creates(priced("1500m", "15Gi"), 4) == [True, True, False, False]


# --- scale-downs ------------------------------------------------------------------------------------------------------


def numbered(number: int, replicas: int) -> tuple[dict[str, Any], dict[str, Any]]:
    made = factories.deployment(replicas, name=f"d{number}", uid=f"du-{number}", namespace="team-alpha")
    inner = factories.deployment(replicas, name=f"rs{number}", uid=f"uid-rs{number}", namespace="team-alpha")
    inner["metadata"].update(owned("Deployment", f"d{number}", f"du-{number}"))
    return made, {**inner, "kind": "ReplicaSet"}


def scaled_in_turn(tell: str) -> list[bool]:
    """Scale five Deployments to four pods and down to none, one after the other, then all of them to four."""
    cluster = Moving(budget("800"))
    for number in range(5):
        cluster.has(*numbered(number, 4))
        first = cluster.made
        assert cluster.creates(pod_of("ReplicaSet", f"rs{number}"), 4) == [True] * 4
        if tell == "review":
            scale = {"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": f"d{number}"}}
            review = factories.review(
                {**scale, "spec": {"replicas": 0}},
                operation="UPDATE",
                old={**scale, "spec": {"replicas": 4}},
                name=f"d{number}",
                subResource="scale",
                resource={"group": "apps", "version": "v1", "resource": "deployments"},
            )
            assert cluster.world.call("/validate", review).allowed
        elif tell == "update":
            new, old = numbered(number, 0)[0], numbered(number, 4)[0]
            assert cluster.world.call("/validate", factories.review(new, operation="UPDATE", old=old)).allowed
        for pod in range(first + 1, cluster.made + 1):
            cluster.ledger.release(f"pod-{pod}")
        if tell == "count":
            cluster.has(*(each for other in range(5) for each in numbered(other, 0)))
        cluster.now += timedelta(seconds=60)
    everything = [each for number in range(5) for each in numbered(number, 4)]
    verdicts: list[bool] = []
    cluster.has(*everything)
    for number in range(5):
        verdicts += cluster.creates(pod_of("ReplicaSet", f"rs{number}"), 4)
    return verdicts


@pytest.mark.parametrize("tell", ["review", "update", "count"])
def test_scaling_up_and_down_in_turn_gives_one_budget(tell: str) -> None:
    assert scaled_in_turn(tell) == [True] * 4 + [False] * 16


def test_a_part_that_is_scaled_down_is_approved_no_longer_and_the_rest_is() -> None:
    cluster = full()
    cluster.has(deployment(2), replica_set("old", 2))
    for number in (1, 2):
        cluster.ledger.release(f"pod-{number}")
    assert [cluster.create(factories.pod(), user="jane").allowed for _ in range(3)] == [True, True, False]
    cluster.ledger.release("pod-3")
    assert cluster.create(factories.pod(), user="jane").allowed
    assert cluster.creates(pod_of("ReplicaSet", "old"), 2) == [True, False]


def test_a_lost_node_takes_nothing_away_for_ten_minutes() -> None:
    cluster = full()
    for number in range(1, 5):
        cluster.ledger.release(f"pod-{number}")
    for _ in range(4):
        assert cluster.create(factories.pod(), user="jane").allowed
    cluster.now += GRACE
    cluster.has(deployment(4), replica_set("old", 4))
    assert cluster.creates(pod_of("ReplicaSet", "old"), 5) == [True] * 4 + [False]


def test_a_dry_run_or_a_refused_scale_down_ends_nothing() -> None:
    cluster = full()
    new, old = deployment(0), deployment(4)
    cluster.world.call("/validate", factories.review(new, operation="UPDATE", old=old, dryRun=True))
    for number in range(1, 5):
        cluster.ledger.release(f"pod-{number}")
    for _ in range(4):
        assert cluster.create(factories.pod(), user="jane").allowed
    assert cluster.creates(pod_of("ReplicaSet", "old"), 1) == [True]


@pytest.mark.parametrize(
    ("kind", "version", "spec"),
    [
        ("StatefulSet", "apps/v1", {"replicas": 0}),
        ("ReplicationController", "v1", {"replicas": 0, "selector": {"app": "shop"}}),
        ("ReplicaSet", "apps/v1", {"replicas": 0}),
        ("Job", "batch/v1", {"parallelism": 4, "suspend": True}),
        ("Job", "batch/v1", {"parallelism": 0}),
        ("DaemonSet", "apps/v1", {"nodes": "none"}),
    ],
)
def test_every_kind_gives_back_what_it_wants_no_longer(kind: str, version: str, spec: dict[str, Any]) -> None:
    accounts = {"StatefulSet": "statefulset", "ReplicationController": "replication", "DaemonSet": "daemon-set"}
    name = accounts.get(kind, kind.lower())
    user = f"system:serviceaccount:kube-system:{name}-controller"
    cluster = Moving(budget("800"))
    wants: dict[str, Any] = {"parallelism": 4} if kind == "Job" else {"replicas": 4}
    nodes = [{"apiVersion": "v1", "kind": "Node", "metadata": {"name": f"n{number}"}} for number in range(4)]

    def owner(**changes: Any) -> dict[str, Any]:  # noqa: ANN401  fields of the spec
        made = factories.deployment(name="w", uid="uid-w", namespace="team-alpha")
        made["spec"].pop("replicas")
        made["spec"].update({**wants, **({"selector": {"app": "shop"}} if version == "v1" else {}), **changes})
        if made["spec"].pop("nodes", None):
            made["spec"]["template"]["spec"]["nodeSelector"] = {"disk": "none"}
        return {**made, "apiVersion": version, "kind": kind}

    cluster.has(owner(), *nodes)
    document = pod_of(kind, "w", version=version)
    assert [cluster.create(document, user=user).allowed for _ in range(5)] == [True] * 4 + [False]
    for number in range(1, 5):
        cluster.ledger.release(f"pod-{number}")
    cluster.has(owner(**spec), *nodes)
    for _ in range(4):
        assert cluster.create(factories.pod(), user="jane").allowed
    cluster.has(owner(), *nodes)
    assert not cluster.create(document, user=user).allowed


# --- pods that do not end ---------------------------------------------------------------------------------------------


def test_pods_that_do_not_end_are_replaced_once() -> None:
    cluster = full()
    alive = [f"pod-{number}" for number in range(1, 5)]
    rounds = []
    for _ in range(5):
        for key in alive:
            cluster.memory.leave(key)
        first = cluster.made
        rounds.append(cluster.creates(pod_of("ReplicaSet", "old"), 4))
        admitted = [number for number, allowed in enumerate(rounds[-1], first + 1) if allowed]
        alive = [f"pod-{number}" for number in admitted]
        cluster.now += timedelta(minutes=30)
    assert rounds == [[True] * 4, *[[False] * 4] * 4]
    assert cluster.ledger.committed("alpha") == 8 * RATE


def test_leaving_and_running_pods_never_exceed_twice_what_is_approved_however_fast_they_are_deleted() -> None:
    cluster = full(ALL_AT_ONCE)
    cluster.has(deployment(4, strategy=ALL_AT_ONCE), replica_set("old", 4), replica_set("new", 4))
    for _ in range(6):
        for number in range(1, cluster.made + 1):
            cluster.memory.leave(f"pod-{number}")
        cluster.creates(pod_of("ReplicaSet", "new"), 8)
    assert cluster.ledger.committed("alpha") == 8 * RATE


def test_a_pod_that_goes_on_after_ten_minutes_counts_for_its_controller_again() -> None:
    cluster = full()
    cluster.memory.leave("pod-1")
    assert cluster.creates(pod_of("ReplicaSet", "old"), 2) == [True, False]
    cluster.memory.release("pod-2")
    cluster.now += GRACE
    assert not cluster.create(pod_of("ReplicaSet", "old")).allowed
    cluster.memory.release("pod-1")
    assert cluster.create(pod_of("ReplicaSet", "old")).allowed


@pytest.mark.parametrize(
    ("deleted", "grace", "allowed"),
    [
        ("2026-11-22T11:59:00Z", 30, True),
        ("2027-11-22T11:59:00Z", 31_536_000, True),
        ("2027-11-22T11:49:00Z", 31_536_000, False),
        ("2026-11-22T11:49:00Z", None, False),
        ("no time", 5, True),
    ],
)
def test_since_when_a_pod_is_leaving_is_known_of_one_that_ran_before(
    deleted: str, grace: int | None, *, allowed: bool
) -> None:
    """The timestamp of a deletion is when the pod has to be gone, which may be a year from now."""
    cluster = Moving(budget("800"))
    running = []
    for index in range(4):
        each = factories.stored(pod_of("ReplicaSet", "old"), f"was-{index}")
        each["metadata"].update(namespace="team-alpha", name=f"was-{index}")
        running.append(each)
    cluster.has(deployment(4), replica_set("old", 4), *running)
    running[0]["metadata"].update(deletionTimestamp=deleted, deletionGracePeriodSeconds=grace)
    cluster.memory = MemoryLedger(clock=cluster.clock, ttl=TTL)
    cluster.ledger = cluster.memory
    del running[0]["metadata"]["deletionTimestamp"]
    cluster.has(deployment(4), replica_set("old", 4), *running)
    running[0]["metadata"]["deletionTimestamp"] = deleted
    cluster.has(deployment(4), replica_set("old", 4), *running)
    assert cluster.create(pod_of("ReplicaSet", "old")).allowed is allowed


def test_a_pod_without_its_owner_reference_is_still_its_owners() -> None:
    """Whoever takes the label off a pod makes its ReplicaSet let go of it and create another one."""
    cluster = Moving(budget("800"))
    running = []
    for index in range(4):
        each = factories.stored(pod_of("ReplicaSet", "old"), f"was-{index}")
        each["metadata"].update(namespace="team-alpha", name=f"was-{index}")
        running.append(each)
    cluster.has(deployment(4), replica_set("old", 4), *running)
    del running[0]["metadata"]["ownerReferences"]
    cluster.has(deployment(4), replica_set("old", 4), *running)
    assert not cluster.create(pod_of("ReplicaSet", "old")).allowed


def test_a_pod_that_another_controller_adopts_takes_its_approval_along() -> None:
    cluster = Moving(budget("800"))
    running = []
    for index in range(4):
        each = factories.stored(pod_of("ReplicaSet", "old"), f"was-{index}")
        each["metadata"].update(namespace="team-alpha", name=f"was-{index}")
        running.append(each)
    other = numbered(7, 4)
    cluster.has(deployment(4), replica_set("old", 4), *other, *running)
    for each in running[:2]:
        each["metadata"].update(owned("ReplicaSet", "rs7", "uid-rs7"))
    cluster.has(deployment(4), replica_set("old", 4), *other, *running)
    assert not cluster.create(pod_of("ReplicaSet", "old")).allowed
    assert not cluster.create(pod_of("ReplicaSet", "rs7")).allowed


# --- claims -----------------------------------------------------------------------------------------------------------


def everywhere(amount: str) -> str:
    return budget(amount).replace("namespaces: [team-alpha]", "cluster: true")


@pytest.mark.parametrize(
    "reference",
    [
        pytest.param(("Deployment", "shop", "d-1"), id="of another namespace"),
        pytest.param(("Deployment", "other", "d-1"), id="of another name"),
    ],
)
def test_a_replica_set_that_claims_somebody_elses_deployment_takes_nothing_of_it(
    reference: tuple[str, str, str],
) -> None:
    cluster = Moving(everywhere("800"))
    evil = factories.deployment(1, name="evil", uid="uid-evil", namespace="team-evil")
    evil = {**evil, "kind": "ReplicaSet", "metadata": {**evil["metadata"], **owned(*reference)}}
    cluster.has(deployment(4), replica_set("old", 4), evil, factories.namespace("team-evil"))
    cluster.run("old", 4)
    cluster.ledger.release("pod-1")
    assert cluster.create(factories.pod(), user="jane").allowed
    taken = cluster.world.validate(
        pod_of("ReplicaSet", "evil"), user=REPLICA_SETS, namespace="team-evil", pod_uid="evil-1"
    )
    assert not taken.allowed
    assert cluster.create(pod_of("ReplicaSet", "old")).allowed


def test_a_surge_that_others_only_claim_to_want_never_exceeds_what_is_approved() -> None:
    surge = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 10_000}}
    cluster = full(surge)
    cluster.has(deployment(400, strategy=surge), replica_set("old", 400), replica_set("forged", 10_000))
    assert sum(cluster.creates(pod_of("ReplicaSet", "old"), 20)) == 4


def test_pods_that_old_replica_sets_want_no_longer_are_as_good_as_deleted() -> None:
    """The controllers scale the old ReplicaSet down and the new one up before any pod is seen to be deleted."""
    cluster = Moving(budget("800"))
    running = []
    for index in range(4):
        each = factories.stored(pod_of("ReplicaSet", "old"), f"was-{index}")
        each["metadata"].update(namespace="team-alpha", name=f"was-{index}")
        running.append(each)
    cluster.has(deployment(4), replica_set("old", 4), *running)
    assert not cluster.create(factories.pod(), user="jane").allowed
    cluster.has(deployment(4), replica_set("old", 0), replica_set("new", 4), *running)
    assert cluster.creates(pod_of("ReplicaSet", "new"), 5) == [True] * 4 + [False]
    assert cluster.ledger.committed("alpha") == 8 * RATE
