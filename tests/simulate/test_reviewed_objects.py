"""Manifests judged offline: the same review, on what a cluster would make of them first."""

import copy
import functools
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests import factories
from tests.fuzz import _nasty
from webhook.admission.review import Environment
from webhook.kube.manifests import Manifest, ManifestError
from webhook.simulate import reviewed_objects

POLICY = factories.policy(
    """
mode: enforce
costLabels: {required: [{key: cost-center, source: pod, default: shared}]}
rightSizing: {when: always}
spot: {tolerations: [{key: spot, operator: Exists, effect: NoSchedule}]}
podSecurity: {level: restricted, harden: true}
costCeiling: {podMonthly: "300", workloadMonthly: "900"}
"""
)


@functools.cache
def around(*policies: str) -> Environment:
    world = factories.World(*(policies or (POLICY,)))
    return Environment(world.rules, world.view, world.ledger, lambda: factories.NOON)


def judge(document: dict[str, Any], *policies: str) -> reviewed_objects.ReviewedObject | ManifestError:
    (result,) = reviewed_objects.judge_all([Manifest("x.yaml:1", document)], around(*policies), "team-alpha")
    return result


def verdict(document: dict[str, Any], *policies: str) -> reviewed_objects.ReviewedObject:
    result = judge(document, *policies)
    assert isinstance(result, reviewed_objects.ReviewedObject), result
    return result


def test_a_manifest_is_judged_and_patched_in_one_go() -> None:
    result = verdict(factories.pod())
    assert result.decision is not None
    assert result.decision.allowed
    stored = result.patched()
    assert stored["metadata"]["labels"]["cost-center"] == "shared"
    assert stored["spec"]["tolerations"][0]["key"] == "spot"
    again = verdict(stored)
    assert again.patched() == stored


def test_the_document_that_was_given_is_not_changed() -> None:
    given_ = factories.pod()
    before = json.dumps(given_)
    verdict(given_).patched()
    assert json.dumps(given_) == before


def test_requests_are_copied_from_limits_as_the_api_server_does() -> None:
    limited = {"cpu": "1", "memory": "10Gi"}
    result = verdict(factories.pod(factories.container(resources={"limits": limited})))
    assert result.decision is not None
    assert result.decision.cost is not None
    assert result.decision.cost.before == 2_000_000


def test_the_namespace_of_the_object_goes_before_the_one_that_is_given() -> None:
    assert verdict(factories.pod()).namespace == "team-alpha"
    assert verdict(factories.pod(metadata={"namespace": "other"})).namespace == "other"


def test_a_replica_set_is_judged_with_its_deployment_where_that_is_known() -> None:
    deployment = factories.deployment(uid="u", namespace="team-alpha")
    reference = {"kind": "Deployment", "name": "shop", "uid": "u", "apiVersion": "apps/v1", "controller": True}
    replica_set = {**factories.deployment(7, name="shop-1", ownerReferences=[reference]), "kind": "ReplicaSet"}
    world = factories.World(POLICY, cluster=[deployment])
    beside = Environment(world.rules, world.view, world.ledger, lambda: factories.NOON)
    results = [
        next(iter(reviewed_objects.judge_all([Manifest("x.yaml:1", replica_set)], each, "team-alpha")))
        for each in (beside, around())
    ]
    assert [getattr(each, "skipped", None) for each in results] == ["its owner is judged instead", ""]


NOT_JUDGED: dict[str, tuple[dict[str, Any], str]] = {
    "another kind": ({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}}, "Service is not judged"),
    "no template": ({**factories.deployment(), "spec": {}}, "it has no pod template"),
    "an excluded namespace": (
        factories.pod(metadata={"namespace": "kube-system"}),
        "no policy is about it, or it is excluded",
    ),
    "a review of a deletion": (
        factories.review(factories.pod(), operation="DELETE"),
        "the operation is not judged",
    ),
    "a review of another kind": (factories.review({"kind": "Widget"}), "Widget is not judged"),
    "a review without an object": (factories.review(None), "the request has no object"),
    "a review of a subresource": (
        factories.review(factories.pod(), operation="UPDATE", subResource="status"),
        "the subresource is not judged",
    ),
}


@pytest.mark.parametrize("name", NOT_JUDGED)
def test_what_is_not_judged_says_why_and_passes_through(name: str) -> None:
    document, reason = NOT_JUDGED[name]
    result = verdict(document)
    assert result.skipped == reason
    inner = document["request"]["object"] or {} if document["kind"] == "AdmissionReview" else document
    assert result.patched() == inner


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "a pod": ({**factories.pod(), "spec": []}, "is no valid Pod: "),
    "a workload": ({**factories.deployment(), "spec": 5}, "is no valid Deployment: "),
    "metadata": ({**factories.pod(), "metadata": "x"}, "is no valid Pod: "),
    "a review": ({**factories.review(factories.pod()), "request": None}, "the AdmissionReview has no request"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_judged_is_one_line_with_its_place(name: str) -> None:
    document, words = WRONG[name]
    result = judge(document)
    assert isinstance(result, ManifestError)
    assert str(result).startswith("x.yaml:1: ")
    assert words in str(result)
    assert str(result).isprintable()


def test_an_error_costs_no_other_object_its_verdict() -> None:
    found: list[Manifest | ManifestError] = [
        ManifestError("a:1", "broken"),
        Manifest("b:1", {**factories.pod(), "spec": 5}),
        Manifest("c:1", factories.pod()),
    ]
    results = list(reviewed_objects.judge_all(found, around(), "team-alpha"))
    assert [type(item).__name__ for item in results] == ["ManifestError", "ManifestError", "ReviewedObject"]


DOCUMENTS = [
    factories.pod(initContainers=[factories.container("init")], volumes=[{"name": "v", "emptyDir": {}}]),
    factories.deployment(3),
    {**factories.deployment(), "kind": "DaemonSet"},
    factories.review(factories.pod()),
]


# Half a surrogate pair is refused where manifests are read.
READABLE = [value for value in _nasty.VALUES if value != "\ud800"]


@settings(max_examples=200, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(DOCUMENTS), st.lists(st.tuples(st.integers(0, 10_000), st.sampled_from(READABLE)), max_size=3))
def test_a_damaged_manifest_is_judged_or_one_line(document: dict[str, Any], damage: list[tuple[int, Any]]) -> None:
    copied = json.loads(json.dumps(document))
    for place, nasty in damage:
        places = [
            item for item in _nasty.places(copied, []) if item[0] is not copied or item[1] not in ("kind", "apiVersion")
        ]
        if places:
            holder, key = places[place % len(places)]
            holder[key] = copy.deepcopy(nasty)
    result = judge(copied)
    if isinstance(result, ManifestError):
        assert str(result).isprintable(), str(result)
        return
    stored = result.patched()
    if copied["kind"] != "AdmissionReview":
        again = verdict(stored)
        assert again.patched() == stored
