"""The embedded cluster that is shipped reads without an error and holds together like a real one."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from webhook.cluster.snapshot import Snapshot
from webhook.cluster.view import Controller
from webhook.kube import manifests, quantity
from webhook.kube.objects import ResourceMap, controller_of

EMBEDDED = Path(__file__).parents[2] / "manifests" / "embedded"


@pytest.fixture(scope="module")
def documents() -> list[dict[str, Any]]:
    found = list(manifests.read_path(EMBEDDED))
    assert [str(each) for each in found if isinstance(each, manifests.ManifestError)] == []
    return [each.document for each in found if isinstance(each, manifests.Manifest)]


@pytest.fixture(scope="module")
def snapshot() -> Snapshot:
    return Snapshot.from_directory(EMBEDDED)


def test_everything_in_it_is_of_use(snapshot: Snapshot) -> None:
    sizes = snapshot.sizes()
    assert sizes["ignored"] == 0
    assert sizes["nodes"] == 8
    assert 10 <= sizes["pods"] <= 25
    assert sizes["verticalPodAutoscalers"] >= 15
    assert sizes["horizontalPodAutoscalers"] == 2
    assert sizes["disruptionBudgets"] == 2


@pytest.mark.parametrize(
    ("name", "cost_center", "workload_type"),
    [
        ("team-alpha", "engineering-alpha", None),
        ("team-beta", "engineering-beta", None),
        ("batch-jobs", "data-batch", "batch"),
        ("ci-cd", "platform", "batch"),
        ("monitoring", "platform", None),
        ("kube-system", None, None),
        ("podgate", None, None),
    ],
)
def test_namespaces_say_who_pays(
    snapshot: Snapshot, name: str, cost_center: str | None, workload_type: str | None
) -> None:
    namespace = snapshot.namespace(name)
    assert namespace is not None
    assert namespace.labels.get("cost-center") == cost_center
    assert namespace.labels.get("workload-type") == workload_type


def test_every_object_has_a_uid_of_its_own(documents: list[dict[str, Any]]) -> None:
    uids = Counter(document["metadata"].get("uid") for document in documents)
    assert [uid for uid, times in uids.items() if times > 1 or not uid] == []


def test_owner_references_lead_to_objects_with_that_uid(documents: list[dict[str, Any]]) -> None:
    uids = {
        (document["kind"], document["metadata"].get("namespace"), document["metadata"]["name"]): document["metadata"][
            "uid"
        ]
        for document in documents
    }
    references = [
        (reference["kind"], document["metadata"]["namespace"], reference["name"], reference["uid"])
        for document in documents
        for reference in document["metadata"].get("ownerReferences", ())
    ]
    assert references
    assert [each for each in references if uids.get(each[:3]) != each[3]] == []


def test_every_pod_has_a_known_controller_that_selects_it(snapshot: Snapshot) -> None:
    for pod in snapshot.pods():
        metadata = pod.pod.metadata
        assert metadata is not None
        controller = snapshot.top_controller(pod.namespace, controller_of(metadata), metadata.labels or {})
        assert controller is not None
        assert not controller.derived
        assert snapshot.workload(pod.namespace, controller.kind, controller.name) is not None
        selector = snapshot.owner_selector(pod.namespace, controller)
        assert selector is not None
        assert (selector.match_labels or {}).items() <= (metadata.labels or {}).items()


def autoscalers(documents: list[dict[str, Any]], kind: str) -> Iterator[tuple[dict[str, Any], str, Controller]]:
    for document in documents:
        if document["kind"] == kind:
            field = "targetRef" if kind == "VerticalPodAutoscaler" else "scaleTargetRef"
            target = document["spec"][field]
            yield document, document["metadata"]["namespace"], Controller(target["kind"], target["name"])


def test_a_vpa_has_a_target_that_runs_or_says_that_no_pods_match(
    documents: list[dict[str, Any]], snapshot: Snapshot
) -> None:
    for document, namespace, target in autoscalers(documents, "VerticalPodAutoscaler"):
        conditions = {each["type"]: each["status"] for each in document["status"]["conditions"]}
        runs = snapshot.workload(namespace, target.kind, target.name) is not None
        assert runs is (conditions.get("NoPodsMatched") != "True"), document["metadata"]["name"]


def test_a_vpa_recommends_for_every_container_of_its_running_target(
    documents: list[dict[str, Any]], snapshot: Snapshot
) -> None:
    compared = 0
    for document, namespace, target in autoscalers(documents, "VerticalPodAutoscaler"):
        workload = snapshot.workload(namespace, target.kind, target.name)
        if workload is None or workload.spec is None or workload.spec.template is None:
            continue
        spec = workload.spec.template.spec
        assert spec is not None
        recommended = {
            each["containerName"]: each["target"]
            for each in document["status"]["recommendation"]["containerRecommendations"]
        }
        assert recommended.keys() == {container.name for container in spec.containers or ()}
        for container in spec.containers or ():
            assert container.resources is not None
            requests = container.resources.requests or {}
            found = recommended[container.name]
            assert quantity.cpu_milli(found["cpu"]) < quantity.cpu_milli(requests["cpu"])
            assert quantity.memory_bytes(found["memory"]) < quantity.memory_bytes(requests["memory"])
            compared += 1
    assert compared >= 10


def test_hpas_scale_what_runs(documents: list[dict[str, Any]], snapshot: Snapshot) -> None:
    drivers = []
    for _, namespace, target in autoscalers(documents, "HorizontalPodAutoscaler"):
        assert snapshot.workload(namespace, target.kind, target.name) is not None
        (found,) = snapshot.horizontal_pod_autoscalers(namespace, target)
        drivers.append(set(found.utilization_resources))
    assert sorted(drivers, key=len) == [set(), {"cpu"}]


def quantities(value: object, under: str = "") -> Iterator[tuple[str, object]]:
    """Yield every resource quantity below a value, with the name of its resource."""
    if isinstance(value, dict):
        for key, item in value.items():
            if key in ("cpu", "memory", "ephemeral-storage", "pods", "averageValue") and isinstance(item, str):
                yield key, item
            else:
                yield from quantities(item, key)
    elif isinstance(value, list):
        for item in value:
            yield from quantities(item, under)


def test_every_quantity_parses(documents: list[dict[str, Any]]) -> None:
    found = [each for document in documents for each in quantities(document)]
    assert len(found) > 100
    for _, text in found:
        assert isinstance(text, str)
        assert quantity.parse(text).nano > 0


def test_nodes_carry_what_is_placed_on_them(snapshot: Snapshot) -> None:
    nodes = {node.name: node for node in snapshot.nodes()}
    cpu: Counter[str] = Counter()
    memory: Counter[str] = Counter()
    for pod in snapshot.pods():
        spec = pod.pod.spec
        assert spec is not None
        node = nodes[spec.node_name or ""]
        tolerated = {(each.key, each.value, each.effect) for each in spec.tolerations or ()}
        assert set(node.taints) <= tolerated
        for container in spec.containers or ():
            requests: ResourceMap = (container.resources.requests if container.resources is not None else None) or {}
            cpu[node.name] += quantity.cpu_milli(requests["cpu"])
            memory[node.name] += quantity.memory_bytes(requests["memory"])
    for name, node in nodes.items():
        assert cpu[name] <= quantity.cpu_milli(node.allocatable["cpu"])
        assert memory[name] <= quantity.memory_bytes(node.allocatable["memory"])


def test_spot_nodes_are_labelled_and_tainted_alike(snapshot: Snapshot) -> None:
    spot = [node for node in snapshot.nodes() if node.taints]
    assert len(spot) == 4
    for node in snapshot.nodes():
        kind = "spot" if node.taints else "on-demand"
        assert node.labels["node.kubernetes.io/lifecycle"] == node.labels["karpenter.sh/capacity-type"] == kind
        assert set(node.taints) <= {("kubernetes.io/spot", "true", "NoSchedule")}


def test_the_bin_packing_scheduler_is_alive(snapshot: Snapshot) -> None:
    assert snapshot.is_scheduler_alive("bin-packing-scheduler")


@pytest.mark.parametrize("namespace", ["team-alpha", "team-beta"])
def test_teams_have_limit_ranges_for_containers_and_pods(snapshot: Snapshot, namespace: str) -> None:
    items = snapshot.limit_ranges(namespace)
    assert sorted(item.type for item in items) == ["Container", "Pod"]
    container = next(item for item in items if item.type == "Container")
    assert container.min
    assert container.max
    assert container.default
    assert container.max_limit_request_ratio
