"""A snapshot answers like any cluster view, and tells all errors of a directory at once."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.contracts.view import LABELS, NS, WEB, MakeView, ViewContract, obj, vpa
from webhook.cluster.snapshot import Snapshot, SnapshotError
from webhook.cluster.view import Controller, View


class TestSnapshotFromDocuments(ViewContract):
    @pytest.fixture
    def make_view(self) -> MakeView:
        return Snapshot.from_documents


class TestSnapshotFromDirectory(ViewContract):
    @pytest.fixture
    def make_view(self, tmp_path: Path) -> MakeView:
        def make(objects: list[dict[str, Any]]) -> View:
            (tmp_path / "all.json").write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
            return Snapshot.from_directory(tmp_path)

        return make


def lease(name: str, holder: str | None, namespace: str = "kube-system") -> dict[str, Any]:
    made = obj("Lease", name, {"holderIdentity": holder})
    made["metadata"]["namespace"] = namespace
    return made


@pytest.mark.parametrize(
    ("leases", "alive"),
    [
        pytest.param([lease("s", "pod-1")], True, id="held"),
        pytest.param([lease("s", "pod-1", "scheduling")], True, id="held in another namespace"),
        pytest.param([lease("s", None), lease("s", "pod-1", "scheduling")], True, id="held in one of two"),
        pytest.param([lease("s", "")], False, id="released"),
        pytest.param([lease("s", None)], False, id="never held"),
        pytest.param([lease("t", "pod-1")], False, id="another lease"),
    ],
)
def test_a_lease_in_files_is_fresh_while_it_has_a_holder(leases: list[dict[str, Any]], alive: bool) -> None:
    assert Snapshot.from_documents(leases).is_scheduler_alive("s") is alive


@pytest.mark.parametrize(
    ("spec", "version", "resources"),
    [
        pytest.param({"targetCPUUtilizationPercentage": 70}, "v1", {"cpu"}, id="version 1"),
        pytest.param({}, "v2", {"cpu"}, id="no metric means the default one"),
        pytest.param(
            {"metrics": [{"type": "Resource", "resource": {"name": "memory", "targetAverageUtilization": 60}}]},
            "v2beta1",
            {"memory"},
            id="version 2 beta 1",
        ),
        pytest.param(
            {"metrics": [{"type": "Resource", "resource": {"name": "cpu", "targetAverageValue": "1"}}]},
            "v2beta1",
            set(),
            id="average value of version 2 beta 1",
        ),
    ],
)
def test_old_versions_of_hpas_are_understood(spec: dict[str, Any], version: str, resources: set[str]) -> None:
    made = obj("HorizontalPodAutoscaler", "h", {"scaleTargetRef": {"kind": "Deployment", "name": "web"}, **spec})
    made["apiVersion"] = f"autoscaling/{version}"
    (found,) = Snapshot.from_documents([made]).horizontal_pod_autoscalers(NS, Controller("Deployment", "web"))
    assert found.utilization_resources == resources


@pytest.mark.parametrize(("version", "found"), [("v1", 1), ("v1beta1", 0)])
def test_an_empty_selector_of_an_old_disruption_budget_selects_nothing(version: str, found: int) -> None:
    made = {**obj("PodDisruptionBudget", "b", {"selector": {}}), "apiVersion": f"policy/{version}"}
    view = Snapshot.from_documents([made])
    assert len(view.disruption_budgets(NS, {"app": "web"})) == view.sizes()["disruptionBudgets"] == found


def test_kinds_without_use_are_counted() -> None:
    others: list[dict[str, Any]] = [
        {"apiVersion": "v1", "kind": "ConfigMap"},
        {"apiVersion": "batch.volcano.sh/v1alpha1", "kind": "Job", "spec": []},
        {"apiVersion": "podgate.dev/v1alpha1", "kind": "Budget"},
    ]
    assert Snapshot.from_documents(others).sizes() == {**Snapshot.from_documents([]).sizes(), "ignored": 3}


def test_a_pod_without_uid_gets_a_stable_stand_in() -> None:
    pods = [obj("Pod", "a"), obj("Pod", ""), obj("Pod", "")]
    for pod in pods[1:]:
        pod["metadata"] = {"generateName": "job-", "namespace": NS}
    first = [pod.uid for pod in Snapshot.from_documents(pods).pods()]
    assert first == ["shop/a", "shop/job-1", "shop/job-2"]
    assert first == [pod.uid for pod in Snapshot.from_documents(pods).pods()]


def test_an_object_without_namespace_is_in_the_default_one() -> None:
    made = obj("Deployment", "web", {"selector": {"matchLabels": {"a": "b"}}})
    del made["metadata"]["namespace"]
    assert Snapshot.from_documents([made]).workload("default", "Deployment", "web") is not None


def test_the_same_object_twice_counts_once() -> None:
    view = Snapshot.from_documents([WEB, WEB, vpa("v", "Deployment", "web"), vpa("v", "Deployment", "web")])
    assert view.sizes()["workloads"] == 1
    assert view.sizes()["verticalPodAutoscalers"] == 1


def without_name(kind: str) -> dict[str, Any]:
    made = obj(kind, "x")
    del made["metadata"]["name"]
    return made


@pytest.mark.parametrize(
    ("document", "message"),
    [
        pytest.param({"kind": "Pod"}, "has no apiVersion or no kind", id="no version"),
        pytest.param(without_name("Deployment"), "Deployment has no metadata.name; give it one", id="no name"),
        pytest.param(without_name("Pod"), "Pod has no metadata.name", id="a pod without name or generateName"),
        pytest.param(
            obj("Pod", "a", {"containers": {"name": "x"}}),
            "Pod a does not decode: spec.containers must be a list, not a mapping; write each item",
            id="shape",
        ),
        pytest.param(
            obj("Deployment", "a", {"replicas": "3"}),
            'spec.replicas must be a whole number, not the text "3"',
            id="text",
        ),
        pytest.param(obj("Namespace", "a", labels={"x": True}), "metadata.labels.x must be text, not true", id="label"),
        pytest.param(obj("Deployment", "a", {"selector": 3}), "spec.selector: Expected `object`", id="selector shape"),
        pytest.param(
            obj("Deployment", "a", {"selector": {"matchExpressions": [{"key": "k", "operator": "Like"}]}}),
            "Deployment a: unknown operator 'Like' on 'k'; use In",
            id="selector that Kubernetes refuses",
        ),
        pytest.param(
            vpa("v", "Deployment", "web", "yesterday"),
            "VerticalPodAutoscaler v: metadata.creationTimestamp 'yesterday' is no time; write it as",
            id="creation time",
        ),
        pytest.param(
            obj("PodDisruptionBudget", "b", {"minAvailable": 1, "maxUnavailable": 1}),
            "PodDisruptionBudget b: spec has both minAvailable and maxUnavailable; remove one of them",
            id="both sides of a disruption budget",
        ),
        pytest.param(
            obj("PodDisruptionBudget", "b", {"minAvailable": "half"}),
            "PodDisruptionBudget b: spec.minAvailable 'half' is no number of pods; write for example 1 or 50%",
            id="a share in words",
        ),
        pytest.param(obj("PodDisruptionBudget", "b", {"maxUnavailable": "101%"}), "'101%' is no number", id="101%"),
        pytest.param(obj("PodDisruptionBudget", "b", {"maxUnavailable": -1}), "-1 is no number of pods", id="negative"),
        pytest.param(
            obj("PodDisruptionBudget", "b", {"selector": {"matchExpressions": [{"key": "k", "operator": "In"}]}}),
            "PodDisruptionBudget b: spec.selector: In on 'k' has no values",
            id="selector of a disruption budget",
        ),
        pytest.param(obj("Node", "n", {"taints": "spot"}), "spec.taints must be a list", id="taints"),
        pytest.param(obj("LimitRange", "l", {"limits": [{"max": {"cpu": []}}]}), "limits[0].max", id="quantity"),
    ],
)
def test_a_known_kind_that_does_not_decode_is_an_error_line(document: dict[str, Any], message: str) -> None:
    with pytest.raises(SnapshotError) as caught:
        Snapshot.from_documents([WEB, document])
    (line,) = caught.value.errors
    assert line.startswith("document 2: ")
    assert message in line


def test_all_errors_of_a_directory_are_told_with_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(
        "apiVersion: v1\nkind: Node\nmetadata: {name: node-1}\n---\napiVersion: v1\nkind: Node\n"
    )
    (tmp_path / "b.yaml").write_text("a: [")
    (tmp_path / "c.yaml").write_text("apiVersion: v1\nkind: Node\nmetadata: {name: node-1, labels: {a: b}}\n")
    with pytest.raises(SnapshotError) as caught:
        Snapshot.from_directory(tmp_path)
    lines = str(caught.value).splitlines()
    assert lines[0] == f"{tmp_path}/a.yaml:5: Node has no metadata.name; give it one"
    assert lines[1].startswith(f"{tmp_path}/b.yaml:1: no valid YAML")
    assert lines[2] == f"{tmp_path}/c.yaml:1: Node node-1 differs from the one in {tmp_path}/a.yaml:1; keep one of them"
    assert len(lines) == 3


@pytest.mark.parametrize("name", ["missing", ""], ids=["no such directory", "nothing in it"])
def test_a_directory_without_a_cluster_is_an_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(SnapshotError, match=r"; (check|name) "):
        Snapshot.from_directory(tmp_path / name)


def test_a_job_without_selector_is_matched_by_its_name_alone() -> None:
    view = Snapshot.from_documents([obj("Job", "load"), vpa("v", "Job", "load")])
    assert view.vertical_pod_autoscaler(NS, Controller("Job", "load"), {"any": "label"}) is not None
    assert view.owner_selector(NS, Controller("Job", "load")) is None


@pytest.mark.parametrize(
    ("labels", "matches"),
    [({"job": "n"}, True), ({"job": "other"}, False), (None, False)],
    ids=["selected", "other labels", "a template without labels selects nothing"],
)
def test_a_cron_job_selects_by_the_labels_of_its_template(labels: dict[str, str] | None, matches: bool) -> None:
    spec = {"jobTemplate": {"spec": {"template": {"metadata": {"labels": labels}}}}}
    view = Snapshot.from_documents([obj("CronJob", "nightly", spec), vpa("v", "CronJob", "nightly")])
    found = view.vertical_pod_autoscaler(NS, Controller("CronJob", "nightly"), {"job": "n"})
    assert (found is not None) is matches


def test_a_replication_controller_without_selector_selects_by_its_template() -> None:
    made = obj("ReplicationController", "rc", {"template": {"metadata": {"labels": {"app": "rc"}}}})
    view = Snapshot.from_documents([made, vpa("v", "ReplicationController", "rc")])
    controller = Controller("ReplicationController", "rc")
    assert view.vertical_pod_autoscaler(NS, controller, {"app": "rc"}) is not None
    assert view.vertical_pod_autoscaler(NS, controller, {"app": "other"}) is None


def test_a_deployment_with_an_empty_selector_selects_nothing() -> None:
    view = Snapshot.from_documents([obj("Deployment", "web", {"selector": {}}), vpa("v", "Deployment", "web")])
    assert view.vertical_pod_autoscaler(NS, Controller("Deployment", "web"), LABELS) is None
