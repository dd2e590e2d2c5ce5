"""spot: whom the policy keeps off spot capacity, and that each is told which rule, why, and how to change it."""

from typing import Any

import pytest

from tests import factories
from tests.guardrails import _money_world, _scene
from webhook.cluster.view import Controller
from webhook.guardrails.base.contract import WorkloadScale
from webhook.guardrails.spot.suitability import Suitability, why_off
from webhook.pricing.placement import SPOT_LABELS

SECTION = """
tolerations: [{key: spot, operator: Equal, value: "true", effect: NoSchedule}]
nodeAffinity: {key: lifecycle, values: [spot]}
priceAs: spot
"""
STRICT = "skipSingleReplica: true\nskipHostPath: true\nskipNoRetry: true\n"
RETRY_AFTER_DISRUPTION = {"rules": [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]}]}


def seen(pod: dict[str, Any], more: str = STRICT, **context: Any) -> _scene.Seen:  # noqa: ANN401  fields of a Context
    return _scene.judge("spot", SECTION + more, pod, **context)


def replicated(replicas: int | None, kind: str = "Deployment") -> dict[str, Any]:
    made = factories.deployment(namespace="team-alpha")
    made["kind"] = kind
    made["spec"].pop("replicas")
    if replicas is not None:
        made["spec"]["replicas"] = replicas
    return made


def autoscaler(least: int | None) -> dict[str, Any]:
    target = {"kind": "Deployment", "name": "shop"}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "shop", "namespace": "team-alpha"},
        "spec": {"scaleTargetRef": target, "maxReplicas": 9, **({} if least is None else {"minReplicas": least})},
    }


def job(**spec: Any) -> dict[str, Any]:  # noqa: ANN401  fields of a spec
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "sums", "namespace": "team-alpha", "uid": "u"},
        "spec": {"template": {"spec": factories.pod()["spec"]}, **spec},
    }


OF_SHOP = factories.pod(metadata=_scene.owned_by("Deployment"))
OF_SUMS = factories.pod(metadata=_scene.owned_by("Job", "sums", "batch/v1"), restartPolicy="Never")
OF_AGENT = _scene.owned_by("DaemonSet", "agent")
HOST_PATH = [{"name": "data", "hostPath": {"path": "/data"}}]

STAYS_OFF: dict[str, tuple[str, dict[str, Any], list[dict[str, Any]]]] = {
    "a node name": ("placed", factories.pod(nodeName="n1"), []),
    "a system priority class": ("placed", factories.pod(priorityClassName="system-node-critical"), []),
    "an on-demand selector of the policy's key": ("onDemandOnly", factories.pod(nodeSelector={"lifecycle": "od"}), []),
    "an on-demand selector of Karpenter's": (
        "onDemandOnly",
        factories.pod(nodeSelector={"karpenter.sh/capacity-type": "on-demand"}),
        [],
    ),
    "a StatefulSet": ("stateful", factories.pod(metadata=_scene.owned_by("StatefulSet")), []),
    "a claim": (
        "stateful",
        factories.pod(volumes=[{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]),
        [],
    ),
    "an annotation for Karpenter": (
        "evictionForbidden",
        factories.pod(annotations={"karpenter.sh/do-not-disrupt": "true"}),
        [],
    ),
    "an annotation for the cluster autoscaler": (
        "evictionForbidden",
        factories.pod(annotations={"cluster-autoscaler.kubernetes.io/safe-to-evict": "false"}),
        [],
    ),
    "the only replica": ("singleReplica", OF_SHOP, [replicated(1)]),
    "the only replica, by default": ("singleReplica", OF_SHOP, [replicated(None)]),
    "the only replica, which an autoscaler may leave alone": ("singleReplica", OF_SHOP, [replicated(1), autoscaler(1)]),
    "the only replica, with an autoscaler's default": ("singleReplica", OF_SHOP, [replicated(1), autoscaler(None)]),
    "a hostPath": ("hostPath", factories.pod(volumes=HOST_PATH), []),
    "a pod that ends and nobody owns": ("noRetry", factories.pod(restartPolicy="Never"), []),
    "a Job without retries": ("noRetry", OF_SUMS, [job(backoffLimit=0)]),
    "an indexed Job without retries": ("noRetry", OF_SUMS, [job(backoffLimitPerIndex=0)]),
    "more time than a node has": ("gracePeriod", factories.pod(terminationGracePeriodSeconds=121), []),
    "a disruption budget": (
        "disruptionBudget",
        OF_SHOP,
        [
            replicated(2),
            {
                "apiVersion": "policy/v1",
                "kind": "PodDisruptionBudget",
                "metadata": {"name": "shop", "namespace": "team-alpha"},
                "spec": {"selector": {}, "maxUnavailable": 0},
            },
        ],
    ),
}
GOES: dict[str, tuple[dict[str, Any], list[dict[str, Any]]]] = {
    "a plain pod": (factories.pod(), []),
    "two replicas": (OF_SHOP, [replicated(2)]),
    "an autoscaler that keeps two": (OF_SHOP, [replicated(1), autoscaler(2)]),
    "an unknown workload": (OF_SHOP, []),
    "an owner of another kind": (factories.pod(metadata=_scene.owned_by("Database", version="x.io/v1")), []),
    "an emptyDir": (factories.pod(volumes=[{"name": "v", "emptyDir": {}}]), []),
    "a Job with retries by default": (OF_SUMS, [job()]),
    "a Job with one retry": (OF_SUMS, [job(backoffLimit=1)]),
    "a Job that is not failed by a disruption": (
        OF_SUMS,
        [job(backoffLimit=0, podFailurePolicy=RETRY_AFTER_DISRUPTION)],
    ),
    "a Job that is not known": (OF_SUMS, []),
    "as much time as a node has": (factories.pod(terminationGracePeriodSeconds=120), []),
}


@pytest.mark.parametrize("name", STAYS_OFF)
def test_a_pod_that_stays_off_spot_is_told_the_rule_the_reason_and_the_cure(name: str) -> None:
    rule, pod, cluster = STAYS_OFF[name]
    result = seen(pod, cluster=cluster)
    assert (result.operations, result.findings) == ([], [])
    assert not result.is_spot
    (notice,) = result.notices
    assert (notice.rule, notice.notice, bool(notice.cure)) == (rule, True, True)
    assert notice.message.endswith(", so the pod is not sent to spot nodes")
    assert (notice.message + notice.cure).isprintable()


@pytest.mark.parametrize("name", GOES)
def test_a_pod_that_suits_spot_goes_there_without_a_word(name: str) -> None:
    pod, cluster = GOES[name]
    result = seen(pod, cluster=cluster)
    assert len(result.operations) >= 2
    assert (result.notices, result.findings) == ([], [])
    assert result.is_spot


@pytest.mark.parametrize("name", ["the only replica", "a hostPath", "a Job without retries"])
def test_what_the_policy_does_not_name_keeps_no_pod_off(name: str) -> None:
    _, pod, cluster = STAYS_OFF[name]
    result = seen(pod, "", cluster=cluster)
    assert result.notices == []
    assert result.is_spot


def test_the_notice_of_the_platform_is_for_the_policy_to_say() -> None:
    pod = factories.pod(terminationGracePeriodSeconds=60)
    assert seen(pod).notices == []
    (notice,) = seen(pod, "noticeSeconds: 30").notices
    assert notice.message.startswith("it may take 60 s to end, and a spot node goes 30 s after its notice")
    # Without one, a pod has the 30 s of Kubernetes.
    assert seen(factories.pod(), "noticeSeconds: 30").notices == []
    assert [each.rule for each in seen(factories.pod(), "noticeSeconds: 29").notices] == ["gracePeriod"]


def test_a_workload_is_judged_by_the_replicas_and_retries_that_it_asks_for_now() -> None:
    controller = Controller("Deployment", "shop", "apps/v1")
    alone = seen(factories.pod(), scale=WorkloadScale("Deployment", 1), controller=controller, cluster=[replicated(3)])
    assert [notice.rule for notice in alone.notices] == ["singleReplica"]
    more = seen(factories.pod(), scale=WorkloadScale("Deployment", 3), controller=controller, cluster=[replicated(1)])
    assert more.notices == []


@pytest.mark.parametrize(
    ("spec", "stays_off"),
    [
        ({"backoffLimit": 0}, True),
        ({}, False),
        ({"backoffLimit": 0, "podFailurePolicy": RETRY_AFTER_DISRUPTION}, False),
    ],
)
@pytest.mark.parametrize("kind", ["Job", "CronJob"])
def test_the_template_of_a_job_is_judged_by_its_retries(kind: str, spec: dict[str, Any], *, stays_off: bool) -> None:
    inner = job(**spec)["spec"]
    whole = {"jobTemplate": {"spec": inner}, "schedule": "@daily"} if kind == "CronJob" else inner
    scene = factories.World(
        factories.policy("mode: enforce\nspot:\n" + "".join(f"  {line}\n" for line in (SECTION + STRICT).splitlines())),
        cluster=[factories.namespace("team-alpha")],
    )
    document = {"apiVersion": "batch/v1", "kind": kind, "metadata": {"name": "sums"}, "spec": whole}
    warnings = scene.validate(document).warnings
    assert any("nothing runs it again (backoffLimit 0)" in each for each in warnings) is stays_off


@pytest.mark.parametrize(
    "pod",
    [
        factories.pod(metadata=OF_AGENT, volumes=HOST_PATH),
        factories.pod(metadata=OF_AGENT, terminationGracePeriodSeconds=3600),
        factories.pod(metadata=OF_AGENT, annotations={"karpenter.sh/do-not-disrupt": "true"}),
    ],
    ids=["hostPath", "grace period", "annotation"],
)
def test_a_daemon_set_is_on_each_node_anyway_and_no_pod_of_it_is_spot_by_policy(pod: dict[str, Any]) -> None:
    result = seen(pod)
    assert result.operations
    assert result.notices == []
    assert not result.is_spot


@pytest.mark.parametrize("size", [0, 40_000])
def test_long_values_stay_out_of_the_texts(size: int) -> None:
    pod = factories.pod(
        annotations={"karpenter.sh/do-not-disrupt": f"{'1' * size}1h"},
        volumes=[{"name": "v" * size, "hostPath": {"path": "/"}}],
    )
    for more in ("", STRICT + "skipUninterruptible: false\n"):
        assert all(len(each.message + each.cure) < 400 for each in seen(pod, more).notices)


def test_a_rule_of_labels_alone_keeps_placed_pods_off() -> None:
    reason = why_off(Suitability(SPOT_LABELS), _money_world.context(_money_world.pod(nodeName="n1")))
    assert reason is not None
    assert reason.rule == "placed"
