"""Replacement of what already runs is never a budget question, and nothing else passes for one."""

from typing import Any

import pytest

from tests import factories
from tests.admission.test_budgets import CLUSTER, QUIET, RATE, budget
from webhook.ledger.memory import MemoryLedger
from webhook.ledger.store import LedgerStore

KUBE_SYSTEM = "system:serviceaccount:kube-system:"
REPLICA_SETS = f"{KUBE_SYSTEM}replicaset-controller"
SHARED = "system:kube-controller-manager"
FULL = budget("800")
"""Four pods of $200."""


def deployment(replicas: int, **spec: Any) -> dict[str, Any]:  # noqa: ANN401  fields of the spec
    made = factories.deployment(replicas, uid="d-1", namespace="team-alpha")
    made["spec"].update(spec)
    return made


def replica_set(name: str, replicas: int, parent: str = "d-1") -> dict[str, Any]:
    made = factories.deployment(replicas, name=name, uid=f"uid-{name}", namespace="team-alpha")
    return {**made, "kind": "ReplicaSet", "metadata": {**made["metadata"], **owned("Deployment", "shop", parent)}}


def owned(kind: str, name: str, uid: str, version: str = "apps/v1") -> dict[str, Any]:
    reference = {"apiVersion": version, "kind": kind, "name": name, "uid": uid, "controller": True}
    return {"ownerReferences": [reference]}


def pod_of(kind: str, name: str, uid: str = "", version: str = "apps/v1", **fields: Any) -> dict[str, Any]:  # noqa: ANN401
    return factories.pod(metadata=owned(kind, name, uid or f"uid-{name}", version), **fields)


class Cluster:
    """A namespace whose objects change while one ledger goes on, and the controllers that make pods in it."""

    def __init__(self, *policies: str, **options: Any) -> None:  # noqa: ANN401  fields of a World
        self.policies = policies or (FULL,)
        self.options = options
        self.ledger: LedgerStore = MemoryLedger(clock=lambda: factories.NOON)
        self.made = 0
        self.has()

    def has(self, *objects: dict[str, Any]) -> None:
        """Let the cluster be these objects; what was booked and has no pod stays reserved."""
        self.world = factories.World(
            QUIET, *self.policies, cluster=[*CLUSTER, *objects], ledger=self.ledger, **self.options
        )

    def create(self, document: dict[str, Any], user: str = REPLICA_SETS) -> factories.Answer:
        self.made += 1
        return self.world.validate(document, user=user, pod_uid=f"pod-{self.made}")

    def run(self, name: str, count: int) -> None:
        for _ in range(count):
            assert self.create(pod_of("ReplicaSet", name)).allowed


@pytest.fixture
def full() -> Cluster:
    """Return a cluster in which a Deployment of two pods and another one's two pods use up the budget."""
    cluster = Cluster()
    cluster.has(deployment(2), replica_set("old", 2))
    cluster.run("old", 2)  # pod-1, pod-2
    for _ in range(2):
        assert cluster.create(factories.pod(), user="jane").allowed
    assert not cluster.create(factories.pod(), user="jane").allowed
    return cluster


@pytest.mark.parametrize("user", [REPLICA_SETS, SHARED])
def test_a_rolling_update_goes_through_on_a_full_budget(full: Cluster, user: str) -> None:
    for step in range(2):
        full.has(deployment(2), replica_set("old", 2 - step), replica_set("new", 1 + step))
        answer = full.create(pod_of("ReplicaSet", "new"), user=user)
        assert answer.allowed, answer.message
        assert not answer.warnings
        full.ledger.release(f"pod-{step + 1}")
    assert full.ledger.committed("alpha") == 4 * RATE


def test_what_was_let_in_as_a_replacement_is_told_beside_what_is_committed(full: Cluster) -> None:
    full.has(deployment(2), replica_set("old", 2), replica_set("new", 1))
    answer = full.create(pod_of("ReplicaSet", "new"))
    (entry,) = [item for item in (answer.entry or {})["guardrails"] if item["guardrail"] == "budget"]
    assert (entry["outcome"], entry["note"]) == ("passed", "replacement")
    assert (full.ledger.committed("alpha"), full.ledger.replacement("alpha")) == (5 * RATE, RATE)
    full.ledger.release(f"pod-{full.made}")
    assert (full.ledger.committed("alpha"), full.ledger.replacement("alpha")) == (4 * RATE, 0)


def test_a_call_that_is_retried_gets_the_same_answer(full: Cluster) -> None:
    full.has(deployment(2), replica_set("old", 2), replica_set("new", 1))
    for uid in ("one", "two"):
        assert full.world.validate(pod_of("ReplicaSet", "new"), user=REPLICA_SETS, pod_uid="same", uid=uid).allowed
    assert not full.create(pod_of("ReplicaSet", "new")).allowed


def test_a_surge_ends_with_the_max_surge_of_the_deployment(full: Cluster) -> None:
    full.has(
        deployment(2, strategy={"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 2}}),
        replica_set("old", 2),
        replica_set("new", 2),
    )
    assert [full.create(pod_of("ReplicaSet", "new")).allowed for _ in range(3)] == [True, True, False]


@pytest.mark.parametrize(
    ("strategy", "allowed"),
    [
        ({"type": "Recreate"}, False),
        ({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0}}, False),
        ({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "0%"}}, False),
        ({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "many"}}, False),
        ({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "1%"}}, True),
        ({"type": "RollingUpdate"}, True),
        ({}, True),
    ],
)
def test_without_a_surge_of_its_own_a_deployment_has_none(
    full: Cluster, strategy: dict[str, Any], *, allowed: bool
) -> None:
    full.has(deployment(2, strategy=strategy), replica_set("old", 2), replica_set("new", 1))
    assert full.create(pod_of("ReplicaSet", "new")).allowed is allowed


def test_a_lost_node_is_made_good_on_a_full_budget(full: Cluster) -> None:
    full.ledger.release("pod-1")
    assert full.create(factories.pod(), user="jane").allowed  # Others are quicker.
    assert full.create(pod_of("ReplicaSet", "old")).allowed
    assert full.ledger.committed("alpha") == 5 * RATE
    assert not full.create(pod_of("ReplicaSet", "old")).allowed


def test_a_pod_that_is_being_deleted_may_be_replaced_while_it_still_costs(full: Cluster) -> None:
    assert isinstance(full.ledger, MemoryLedger)
    full.ledger.leave("pod-1")
    full.ledger.leave("pod-1")
    assert full.create(pod_of("ReplicaSet", "old")).allowed
    assert full.ledger.committed("alpha") == 5 * RATE
    assert not full.create(pod_of("ReplicaSet", "old")).allowed


def test_a_scale_up_is_a_budget_question(full: Cluster) -> None:
    full.has(deployment(3), replica_set("old", 3), replica_set("older", 0))
    answer = full.create(pod_of("ReplicaSet", "old"))
    assert not answer.allowed
    assert "$800.00 of $800.00 a month committed" in answer.message


def test_a_scale_up_in_the_middle_of_a_rollout_ends_with_what_was_approved(full: Cluster) -> None:
    full.has(deployment(3), replica_set("old", 1), replica_set("new", 3))
    full.ledger.release("pod-1")
    assert [full.create(pod_of("ReplicaSet", "new")).allowed for _ in range(3)] == [True, True, False]
    full.has(deployment(3), replica_set("old", 0), replica_set("new", 3))
    full.ledger.release("pod-2")
    assert not full.create(pod_of("ReplicaSet", "new")).allowed


def test_a_rollout_to_dearer_pods_is_a_budget_question(full: Cluster) -> None:
    full.has(deployment(2, strategy={"type": "Recreate"}), replica_set("old", 0), replica_set("new", 2))
    full.ledger.release("pod-1")
    full.ledger.release("pod-2")
    assert full.create(factories.pod(), user="jane").allowed
    assert full.create(factories.pod(), user="jane").allowed
    dear = pod_of("ReplicaSet", "new", containers=[factories.container(cpu="2", memory="30Gi")])
    assert not full.create(dear).allowed
    assert full.create(pod_of("ReplicaSet", "new")).allowed


IMPOSTORS = {
    "a user who writes an owner reference": ("jane", pod_of("ReplicaSet", "old")),
    "a service account of another namespace": (
        "system:serviceaccount:team-alpha:replicaset-controller",
        pod_of("ReplicaSet", "old"),
    ),
    "another controller": (f"{KUBE_SYSTEM}job-controller", pod_of("ReplicaSet", "old")),
    "an owner of another UID": (REPLICA_SETS, pod_of("ReplicaSet", "old", uid="uid-other")),
    "an owner that is not known": (REPLICA_SETS, pod_of("ReplicaSet", "lost")),
    "an owner of another group": (REPLICA_SETS, pod_of("ReplicaSet", "old", version="example.com/v1")),
    "a custom kind": (SHARED, pod_of("Rollout", "old", version="argoproj.io/v1alpha1")),
    "no owner": (REPLICA_SETS, factories.pod()),
}


@pytest.mark.parametrize("name", IMPOSTORS)
def test_who_only_claims_to_be_a_replacement_is_refused(full: Cluster, name: str) -> None:
    user, document = IMPOSTORS[name]
    full.ledger.release("pod-1")
    assert full.create(factories.pod(), user="jane").allowed
    assert not full.create(document, user=user).allowed
    assert full.create(pod_of("ReplicaSet", "old")).allowed  # The true one still may.


def test_an_owner_reference_that_a_user_wrote_is_not_believed_by_a_recount_either(full: Cluster) -> None:
    rich = Cluster(budget("1000"))
    rich.has(deployment(1), replica_set("old", 1))
    rich.run("old", 1)
    mine = pod_of("ReplicaSet", "old")
    assert rich.create(mine, user="jane").allowed
    running = [
        {**factories.stored(pod_of("ReplicaSet", "old"), uid), "kind": "Pod"} for uid in ("pod-1", f"pod-{rich.made}")
    ]
    for index, each in enumerate(running):
        each["metadata"].update(namespace="team-alpha", name=f"p-{index}")
    rich.has(deployment(1), replica_set("old", 1), *running)
    rich.has(deployment(1), replica_set("old", 1))  # Both are gone, and others take the money.
    for _ in range(5):
        rich.create(factories.pod(), user="jane")
    assert [rich.create(pod_of("ReplicaSet", "old")).allowed for _ in range(2)] == [True, False]


def test_pods_that_ran_before_are_replaced_and_those_being_deleted_leave_room() -> None:
    cluster = Cluster()
    running = []
    for index in range(4):
        each = factories.stored(pod_of("ReplicaSet", "old"), f"was-{index}")
        each["metadata"].update(namespace="team-alpha", name=f"was-{index}")
        running.append(each)
    cluster.has(deployment(4), replica_set("old", 4), *running)
    assert not cluster.create(pod_of("ReplicaSet", "old")).allowed
    running[0]["metadata"]["deletionTimestamp"] = "2026-11-22T11:59:00Z"
    cluster.has(deployment(4), replica_set("old", 4), *running)
    assert [cluster.create(pod_of("ReplicaSet", "old")).allowed for _ in range(2)] == [True, False]


@pytest.mark.parametrize(
    ("kind", "account", "version"),
    [
        ("StatefulSet", "statefulset-controller", "apps/v1"),
        ("DaemonSet", "daemon-set-controller", "apps/v1"),
        ("Job", "job-controller", "batch/v1"),
        ("ReplicationController", "replication-controller", "v1"),
    ],
)
def test_pods_of_every_controller_may_be_replaced_without_a_surge(kind: str, account: str, version: str) -> None:
    cluster = Cluster()
    owner = {**factories.deployment(name="db", uid="uid-db", namespace="team-alpha"), "kind": kind}
    if kind == "ReplicationController":
        owner["spec"]["selector"] = {"app": "shop"}
    cluster.has({**owner, "apiVersion": version})
    document = pod_of(kind, "db", version=version)
    verdicts = [cluster.create(document, user=KUBE_SYSTEM + account).allowed for _ in range(5)]
    assert verdicts == [True] * 4 + [False]
    cluster.ledger.release("pod-1")
    assert cluster.create(factories.pod(), user="jane").allowed
    assert cluster.create(document, user=KUBE_SYSTEM + account).allowed


@pytest.mark.parametrize(("surge", "allowed"), [(None, False), (0, False), (1, True), ("50%", True)])
def test_a_daemon_set_may_surge_by_what_it_says(surge: int | str | None, *, allowed: bool) -> None:
    cluster = Cluster(budget("200"))
    owner = {**factories.deployment(name="agent", uid="uid-agent", namespace="team-alpha"), "kind": "DaemonSet"}
    owner["spec"]["updateStrategy"] = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge}}
    cluster.has(owner, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}})
    user = f"{KUBE_SYSTEM}daemon-set-controller"
    assert cluster.create(pod_of("DaemonSet", "agent"), user=user).allowed
    assert cluster.create(pod_of("DaemonSet", "agent"), user=user).allowed is allowed


def test_the_next_run_of_a_cron_job_is_new_work() -> None:
    cluster = Cluster(budget("200"))
    user = f"{KUBE_SYSTEM}job-controller"
    for run, others, allowed in (("run-1", False, True), ("run-2", True, False)):
        job = {**factories.deployment(name=run, uid=f"uid-{run}", namespace="team-alpha"), "kind": "Job"}
        job["metadata"].update(owned("CronJob", "nightly", "uid-cron", "batch/v1"))
        cluster.has({**job, "apiVersion": "batch/v1"})
        if others:
            cluster.ledger.release("pod-1")
            assert cluster.create(factories.pod(), user="jane").allowed
        assert cluster.create(pod_of("Job", run, version="batch/v1"), user=user).allowed is allowed


def test_in_a_budget_that_warns_a_replacement_is_silent() -> None:
    cluster = Cluster(budget("800", "warn"))
    cluster.has(deployment(4), replica_set("old", 4))
    cluster.run("old", 4)
    assert cluster.create(pod_of("ReplicaSet", "old")).warnings
    cluster.ledger.release("pod-5")
    cluster.has(deployment(4), replica_set("old", 4), replica_set("new", 1))
    assert not cluster.create(pod_of("ReplicaSet", "new")).warnings
