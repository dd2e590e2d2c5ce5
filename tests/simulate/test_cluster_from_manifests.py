"""What manifests bring along: known to each other, with errors that name their place."""

from typing import Any

import pytest

from tests import factories
from webhook.cluster.view import Controller
from webhook.kube.manifests import Manifest, ManifestError
from webhook.simulate import cluster_from_manifests


def vpa(update_mode: str = "Off", **metadata: str) -> dict[str, Any]:
    return {
        "apiVersion": "autoscaling.k8s.io/v1",
        "kind": "VerticalPodAutoscaler",
        "metadata": {"name": "shop", **metadata},
        "spec": {
            "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "shop"},
            "updatePolicy": {"updateMode": update_mode},
        },
    }


def found(*documents: dict[str, Any]) -> list[Manifest | ManifestError]:
    return [Manifest(f"in.yaml:{number}", document) for number, document in enumerate(documents, 1)]


SHOP = Controller("Deployment", "shop", "apps/v1")


def test_objects_without_a_namespace_are_in_the_one_that_is_given() -> None:
    view, errors = cluster_from_manifests.view_of(found(factories.deployment(), vpa()), (), "team-alpha")
    assert errors == []
    assert view.workload("team-alpha", "Deployment", "shop") is not None
    assert view.vertical_pod_autoscaler("team-alpha", SHOP, {"app": "shop"}) is not None
    assert view.workload("default", "Deployment", "shop") is None


def test_objects_with_a_namespace_stay_there() -> None:
    view, _ = cluster_from_manifests.view_of(found(factories.deployment(namespace="other")), (), "team-alpha")
    assert view.workload("other", "Deployment", "shop") is not None
    assert view.workload("team-alpha", "Deployment", "shop") is None


def test_namespaces_and_nodes_have_no_namespace() -> None:
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}}
    view, _ = cluster_from_manifests.view_of(found(factories.namespace("a", {"x": "y"}), node), (), "team-alpha")
    namespace = view.namespace("a")
    assert namespace is not None
    assert namespace.labels["x"] == "y"
    assert [each.name for each in view.nodes()] == ["n"]


def test_pods_and_reviews_of_the_input_do_not_run_yet() -> None:
    view, _ = cluster_from_manifests.view_of(
        found(factories.pod(), factories.review(factories.pod())), (), "team-alpha"
    )
    assert list(view.pods()) == []


def test_the_input_goes_before_the_cluster() -> None:
    held = found(factories.namespace("a", {"x": "directory"}), factories.namespace("b", {"x": "directory"}))
    view, errors = cluster_from_manifests.view_of(found(factories.namespace("a", {"x": "input"})), held, "default")
    assert errors == []
    labels = [info.labels["x"] for info in map(view.namespace, "ab") if info is not None]
    assert labels == ["input", "directory"]


def test_an_object_that_cannot_be_read_is_told_with_its_place_and_the_others_count() -> None:
    broken = {**vpa(), "spec": {"targetRef": 5}}
    view, (error,) = cluster_from_manifests.view_of(found(broken, factories.namespace("a")), (), "team-alpha")
    assert str(error).startswith("in.yaml:1: VerticalPodAutoscaler shop does not decode: ")
    assert view.namespace("a") is not None


def test_two_that_differ_are_told_with_both_places() -> None:
    _, (error,) = cluster_from_manifests.view_of(found(vpa("Off"), vpa("Auto")), (), "team-alpha")
    assert str(error) == ("in.yaml:2: VerticalPodAutoscaler shop differs from the one in in.yaml:1; keep one of them")


@pytest.mark.parametrize("twice", [factories.namespace("a"), vpa(), factories.deployment()])
def test_the_same_object_twice_is_no_error(twice: dict[str, Any]) -> None:
    _, errors = cluster_from_manifests.view_of(found(twice, twice), (), "team-alpha")
    assert errors == []


def test_workloads_that_are_wrong_or_differ_are_left_to_the_judgement() -> None:
    wrong = {**factories.deployment(), "spec": {"replicas": "three"}}
    view, errors = cluster_from_manifests.view_of(
        found(factories.deployment(1), factories.deployment(2), wrong), (), "a"
    )
    assert errors == []
    workload = view.workload("a", "Deployment", "shop")
    assert workload is not None
    assert workload.spec is not None
    assert workload.spec.replicas == 1


def test_what_cannot_be_read_of_the_cluster_is_told_and_the_rest_counts() -> None:
    twice = [factories.namespace("a", {"x": "first"}), factories.namespace("a", {"x": "second"})]
    held = [ManifestError("x.yaml:3", "no valid YAML"), *found(*twice, {**vpa(), "spec": {"targetRef": 5}})]
    view, errors = cluster_from_manifests.view_of((), held, "default")
    assert [each.origin for each in errors] == ["x.yaml:3", "in.yaml:2", "in.yaml:3"]
    assert all(each.what.startswith("verdicts are made without it: ") for each in errors)
    namespace = view.namespace("a")
    assert namespace is not None
    assert namespace.labels["x"] == "first"
