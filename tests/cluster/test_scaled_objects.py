"""What KEDA makes of a ScaledObject: which resources it follows, and between how many pods."""

from typing import Any

import pytest

from tests.contracts.view import obj
from webhook.cluster.snapshot import Snapshot, SnapshotError
from webhook.cluster.view import Controller, HorizontalPodAutoscaler

CPU = {"type": "cpu", "metadata": {"value": "50"}}
MEMORY = {"type": "memory", "metadata": {"value": "50"}}
KAFKA = {"type": "kafka", "metadata": {"topic": "orders"}}


def made(
    spec: dict[str, Any], annotations: dict[str, str] | None = None, kind: str = "Deployment"
) -> HorizontalPodAutoscaler:
    """Return the HPA of a ScaledObject of the target ``web``."""
    target = {"name": "web", **({"kind": kind} if kind != "Deployment" else {})}
    document = obj("ScaledObject", "s", {"scaleTargetRef": target, **spec}, annotations=annotations)
    (found,) = Snapshot.from_documents([document]).horizontal_pod_autoscalers("shop", Controller(kind, "web"))
    return found


@pytest.mark.parametrize(
    ("spec", "annotations", "low", "high"),
    [
        pytest.param({"triggers": [KAFKA]}, None, 0, 100, id="the defaults"),
        pytest.param({"triggers": [CPU]}, None, 1, 100, id="nobody measures cpu without a pod"),
        pytest.param({"triggers": [CPU, MEMORY], "minReplicaCount": 0}, None, 1, 100, id="nor memory"),
        pytest.param({"triggers": [CPU, KAFKA]}, None, 0, 100, id="another trigger wakes it up"),
        pytest.param({"triggers": [CPU], "minReplicaCount": 2, "maxReplicaCount": 200}, None, 2, 200, id="both set"),
        pytest.param({"minReplicaCount": 5, "maxReplicaCount": 3, "triggers": [KAFKA]}, None, 5, 5, id="crossed"),
        pytest.param({"triggers": [KAFKA]}, {"autoscaling.keda.sh/paused-replicas": "7"}, 7, 7,
                     id="paused at a count"),
        pytest.param({"triggers": [KAFKA]}, {"autoscaling.keda.sh/paused": "true"}, 0, 0, id="paused: no range"),
        pytest.param({"triggers": [KAFKA]}, {"autoscaling.keda.sh/paused-replicas": "many"}, 0, 100, id="no number"),
    ],
)  # fmt: skip
def test_the_range_of_pods(spec: dict[str, Any], annotations: dict[str, str] | None, low: int, high: int) -> None:
    found = made(spec, annotations)
    assert (found.min_replicas, found.max_replicas) == (low, high)


@pytest.mark.parametrize(
    ("trigger", "pod_wide", "by_container"),
    [
        pytest.param(CPU, {"cpu"}, set(), id="utilization is the default"),
        pytest.param({**CPU, "metricType": "Utilization"}, {"cpu"}, set(), id="utilization"),
        pytest.param({**CPU, "metricType": "AverageValue"}, set(), set(), id="averageValue is no obstacle"),
        pytest.param({"type": "cpu", "metadata": {"type": "AverageValue"}}, set(), set(), id="the older field"),
        pytest.param({"type": "memory", "metadata": {"containerName": "app"}}, set(), {("app", "memory")},
                     id="of one container"),
        pytest.param(KAFKA, set(), set(), id="an external metric"),
        pytest.param({"type": "cpu"}, {"cpu"}, set(), id="no metadata"),
    ],
)  # fmt: skip
def test_what_it_follows(trigger: dict[str, Any], pod_wide: set[str], by_container: set[tuple[str, str]]) -> None:
    found = made({"triggers": [trigger]})
    assert set(found.utilization_resources) == pod_wide
    assert set(found.container_utilization) == by_container


def test_targets_of_other_kinds_and_names_of_its_own() -> None:
    config = {"advanced": {"horizontalPodAutoscalerConfig": {"name": "mine"}}}
    assert made({**config, "triggers": [CPU]}, kind="StatefulSet").name == "mine"
    assert made({"triggers": [CPU]}, kind="Rollout").name == "keda-hpa-s"


def test_what_the_api_server_would_refuse_is_an_error_with_its_place() -> None:
    with pytest.raises(SnapshotError, match=r"document 1: ScaledObject s does not decode: .*minReplicaCount"):
        Snapshot.from_documents([obj("ScaledObject", "s", {"minReplicaCount": "two"})])
