"""What runs is judged as its successor would be, folded into its owners, and each guardrail gets its share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests import factories
from tests.reporting import _scene
from webhook.reporting.fold import ObjectResult
from webhook.reporting.judge import Skipped

BINDING = """
mode: enforce
binPacking: {schedulerName: packer}
"""
LEASE = {
    "apiVersion": "coordination.k8s.io/v1",
    "kind": "Lease",
    "metadata": {"name": "packer", "namespace": "kube-system"},
    "spec": {"holderIdentity": "packer-1"},
}


def record(found: ObjectResult | Skipped) -> ObjectResult:
    assert isinstance(found, ObjectResult), found
    return found


def reason(found: ObjectResult | Skipped) -> str:
    assert isinstance(found, Skipped), found
    return found.reason


def test_a_pod_is_judged_as_it_would_be_created_again_without_its_node() -> None:
    judge = _scene.judge(_scene.policies(factories.policy(BINDING)), LEASE, *_scene.deployment())
    found = record(judge.judge(_scene.running("shop-1", ("ReplicaSet", "shop-7d9c8b6f5")), "here"))
    assert b'"/spec/schedulerName"' in found.verdict.patch
    assert found.owner == ("team-alpha", "Deployment", "shop")


def test_a_node_that_the_template_names_is_the_authors_choice() -> None:
    pinned = factories.pod(nodeName="node-1")
    judge = _scene.judge(_scene.policies(factories.policy(BINDING)), LEASE, *_scene.deployment(template=pinned))
    found = judge.judge(_scene.running("shop-1", ("ReplicaSet", "shop-7d9c8b6f5")), "here")
    assert record(found).verdict.patch == b""


@pytest.mark.parametrize(
    ("change", "why"),
    [
        pytest.param(lambda pod: pod["status"].update(phase="Succeeded"), "has run to its end", id="succeeded"),
        pytest.param(lambda pod: pod["status"].update(phase="Failed"), "has run to its end", id="failed"),
        pytest.param(
            lambda pod: pod["metadata"].update(deletionTimestamp="2026-11-22T00:00:00Z"),
            "is being deleted",
            id="deleted",
        ),
        pytest.param(
            lambda pod: pod["metadata"].update(annotations={"kubernetes.io/config.mirror": "x"}),
            "is a static pod of a node",
            id="mirror",
        ),
        pytest.param(
            lambda pod: pod["metadata"].update(namespace="kube-system"),
            "no policy is about it, or it is excluded",
            id="excluded",
        ),
        pytest.param(lambda pod: pod.update(kind="ConfigMap"), "is neither a pod nor a workload", id="other kind"),
    ],
)
def test_what_is_not_judged_says_why(change: Callable[[dict[str, Any]], Any], why: str) -> None:
    pod = _scene.running("shop-1")
    change(pod)
    assert reason(_scene.judge(_scene.policies(_scene.LABELLED)).judge(pod, "here")) == why


def test_a_job_that_has_ended_costs_nothing_any_more() -> None:
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "import", "namespace": "team-alpha"},
        "spec": {"template": {"spec": factories.pod()["spec"]}},
    }
    judge = _scene.judge(_scene.policies(_scene.LABELLED))
    assert record(judge.judge(job, "here")).kind == "Job"
    ended = {**job, "status": {"conditions": [{"type": "Complete", "status": "True"}]}}
    assert reason(judge.judge(ended, "here")) == "has run to its end"


def test_an_object_that_does_not_decode_is_a_failure_of_its_own() -> None:
    broken = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "odd", "namespace": "a"},
        "spec": {"containers": 3},
    }
    found = _scene.judge(_scene.policies(_scene.LABELLED)).judge(broken, "here")
    assert isinstance(found, Skipped)
    assert found.is_failure
    assert "is no valid Pod" in found.reason


def test_the_cost_center_is_that_of_the_pod_as_it_would_be() -> None:
    judge = _scene.judge(_scene.policies(_scene.LABELLED), _scene.team())
    found = record(judge.judge(_scene.running("shop-1"), "here"))
    assert (found.cost_center, found.department) == ("alpha", "shops")


SIZES = {
    "apiVersion": "autoscaling.k8s.io/v1",
    "kind": "VerticalPodAutoscaler",
    "metadata": {"name": "shop", "namespace": "team-alpha"},
    "spec": {
        "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "shop"},
        "updatePolicy": {"updateMode": "Off"},
    },
    "status": {
        "recommendation": {
            "containerRecommendations": [{"containerName": "app", "target": {"cpu": "500m", "memory": "5Gi"}}]
        }
    },
}
SIZING = "mode: audit\nrightSizing: {recommendation: target, limitHeadroom: {cpu: none, memory: none}}\n"
SPOT = (
    "mode: audit\nspot: {tolerations: [{key: kubernetes.io/spot, operator: Equal, value: 'true', effect: NoSchedule}], "
    "priceAs: spot}\n"
)


@pytest.mark.parametrize(
    ("spec", "shares"),
    [
        # A pod of $2 an hour, for 100 hours.
        pytest.param([SIZING], {"rightSizing": 100_000_000}, id="half the requests"),
        pytest.param([SPOT], {"spot": 160_000_000}, id="a fifth of the price"),
        pytest.param([SIZING, SPOT], {"rightSizing": 100_000_000, "spot": 80_000_000}, id="one after the other"),
    ],
)
def test_each_guardrail_is_credited_with_what_it_takes_off(spec: list[str], shares: dict[str, int]) -> None:
    documents = [factories.policy(text, f"p{number}") for number, text in enumerate(spec)]
    judge = _scene.judge(_scene.policies(*documents), SIZES, *_scene.deployment())
    found = record(judge.judge(_scene.running("shop-1", ("ReplicaSet", "shop-7d9c8b6f5")), "here")).verdict
    assert {part.guardrail: part.saved for part in found.parts if part.saved} == shares
    assert found.before == 200_000_000
    assert found.saved == sum(shares.values())


BUDGET = """
mode: enforce
scope: {namespaces: ["team-alpha"]}
amount: "100"
currency: USD
"""


def test_what_runs_is_no_budget_question_and_what_would_start_is(tmp_path: Path) -> None:
    pods = [_scene.running("shop-1", ("ReplicaSet", "shop-7d9c8b6f5"))]
    _scene.write(tmp_path, _scene.team(), *_scene.deployment(), *pods, *_scene.deployment("idle")[:1])
    found = _scene.report(tmp_path, factories.policy(BUDGET, "alpha", "Budget"), _scene.LABELLED)
    words = {row.owner.name: {note.guardrail for note, _ in row.findings} for row in found.rows}
    assert "budget" not in words["shop"]
    assert "budget" in words["idle"]
    (line,) = found.budgets
    assert (line.amount, line.committed, line.percent) == (100_000_000, 200_000_000, 200)


def test_a_job_costs_its_runtime_and_is_refused_by_what_its_template_breaks(tmp_path: Path) -> None:
    template = {"spec": {**factories.pod(hostNetwork=True)["spec"], "restartPolicy": "Never"}}
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "import", "namespace": "team-alpha", "uid": "owner-uid"},
        "spec": {"activeDeadlineSeconds": 7200, "template": template},
    }
    pod = _scene.running("import-x", ("Job", "import"), hostNetwork=True)
    _scene.write(tmp_path, _scene.team(), job, pod)
    (row,) = _scene.report(tmp_path, _scene.LABELLED).rows
    alone = tmp_path / "alone"
    alone.mkdir()
    _scene.write(alone, _scene.team(), pod)
    (whole_month,) = _scene.report(alone, _scene.LABELLED).rows
    # Two hours of a month that the price list gives a hundred.
    assert row.tally.before * 100 == whole_month.tally.before * 2
    assert (row.tally.refused, row.word, row.pods) == (1, "would refuse", 1)
