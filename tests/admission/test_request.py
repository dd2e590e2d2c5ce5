"""Bodies that are no AdmissionReview v1, and objects that nobody sends: one line, or a definite verdict."""

import json
import time
from typing import Any

import msgspec
import pytest

from tests import factories
from webhook.admission import request
from webhook.admission.engine import PHASES
from webhook.admission.request import BadReview

POLICY = factories.policy(
    """
mode: enforce
match: {namespaces: ["team-*"]}
rightSizing: {when: always}
costLabels:
  required: [{key: cost-center, source: namespace, default: shared}]
spot:
  tolerations: [{key: spot, operator: Exists, effect: NoSchedule}]
binPacking: {schedulerName: packer}
podSecurity: {level: restricted, harden: true}
costCeiling: {podMonthly: "300"}
"""
)
SECRET = "hunter2-token"


@pytest.fixture(scope="module")
def world() -> factories.World:
    return factories.World(POLICY)


def body(document: Any, **fields: Any) -> bytes:  # noqa: ANN401  any JSON
    return json.dumps({**factories.review(document), **fields}).encode()


def reason_of(raw: bytes) -> str:
    """Return the reason of the BadReview that the body must end as; it is one short line."""
    with pytest.raises(BadReview) as caught:
        request.decode(raw)
    reason = caught.value.reason
    assert caught.value.status == 400
    assert reason.isprintable(), reason
    assert len(reason) < 400
    return reason


REVIEW = factories.review(factories.pod())


@pytest.mark.parametrize("cut", range(0, len(json.dumps(REVIEW)), 50))
def test_a_truncated_body_is_no_review(cut: int) -> None:
    assert "is not JSON" in reason_of(json.dumps(REVIEW).encode()[:cut])


BAD: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "is not JSON"),
    "text": (b"hello", "is not JSON"),
    "a number": (b"1", "wrong type"),
    "a list": (b"[]", "wrong type"),
    "null": (b"null", "wrong type"),
    "empty object": (b"{}", "kind must be AdmissionReview"),
    "another kind": (body(factories.pod(), kind="ConversionReview"), "kind must be AdmissionReview"),
    "kind of the wrong type": (body(factories.pod(), kind=5), "kind must be AdmissionReview"),
    "v1beta1": (body(factories.pod(), apiVersion="admission.k8s.io/v1beta1"), "admissionReviewVersions"),
    "no version": (body(factories.pod(), apiVersion=None), "apiVersion must be admission.k8s.io/v1"),
    "null request": (body(None, request=None), "has no request"),
    "no request": (b'{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"}', "has no request"),
    "request of the wrong type": (body(None, request=[1]), "request"),
    "no uid": (body(factories.pod(), request={**REVIEW["request"], "uid": ""}), "request.uid is missing"),
    "null uid": (body(factories.pod(), request={**REVIEW["request"], "uid": None}), "request.uid"),
    "numeric uid": (body(factories.pod(), request={**REVIEW["request"], "uid": 7}), "request.uid"),
    "two documents": (json.dumps(REVIEW).encode() * 2, "is not JSON"),
    "NaN": (json.dumps(REVIEW).encode().replace(b'"status": {}', b'"status": NaN'), "is not JSON"),
    "not UTF-8": (json.dumps(REVIEW).encode().replace(b"shop", b"sh\xff\xfep"), ""),
    "a lone surrogate": (json.dumps(REVIEW).encode().replace(b'"shop"', rb'"\ud800"'), ""),
    "UTF-16": (json.dumps(REVIEW).encode("utf-16"), "is not JSON"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_body_that_is_no_review_is_refused_in_one_line(name: str) -> None:
    raw, expected = BAD[name]
    assert expected in reason_of(raw)


WRONG: dict[str, dict[str, Any]] = {
    "metadata is text": {"metadata": SECRET},
    "labels are a list": {"metadata": {"labels": [SECRET]}},
    "a label is a number": {"metadata": {"labels": {SECRET: 5}}},
    "an annotation is an object": {"metadata": {"annotations": {"a": {SECRET: 1}}}},
    "spec is a list": {"spec": [SECRET]},
    "containers are a map": {"spec": {"containers": {SECRET: {}}}},
    "a container is text": {"spec": {"containers": [SECRET]}},
    "a container is null": {"spec": {"containers": [None]}},
    "requests are text": {"spec": {"containers": [{"name": "a", "resources": {"requests": SECRET}}]}},
    "a request is a list": {"spec": {"containers": [{"name": "a", "resources": {"requests": {SECRET: []}}}]}},
    "privileged is text": {"spec": {"containers": [{"name": "a", "securityContext": {"privileged": SECRET}}]}},
    "a port is text": {"spec": {"containers": [{"name": "a", "ports": [{"hostPort": SECRET}]}]}},
    "tolerations are text": {"spec": {"tolerations": SECRET}},
    "priority is a fraction": {"spec": {"priority": 1.5}},
    "a volume is a number": {"spec": {"volumes": [3]}},
    "owner references are a map": {"metadata": {"ownerReferences": {SECRET: 1}}},
}


@pytest.mark.parametrize("name", WRONG)
def test_a_field_of_the_wrong_type_is_named_without_its_content(name: str) -> None:
    reason = reason_of(body({"apiVersion": "v1", "kind": "Pod", **WRONG[name]}))
    assert "wrong type" in reason
    assert "request.object" in reason
    assert SECRET not in reason


@pytest.mark.parametrize("opening", [b"[", b'{"a":'], ids=["lists", "objects"])
@pytest.mark.parametrize("where", ["whole", "unread field", "labels"])
def test_nesting_is_no_fault_of_its_own(opening: bytes, where: str) -> None:
    nested = opening * 100_000
    closing = (b"]" if opening == b"[" else b"}") * 100_000
    whole = nested + b"1" + closing
    if where == "unread field":
        whole = json.dumps(REVIEW).encode().replace(b'"status": {}', b'"status": ' + whole)
    elif where == "labels":
        whole = json.dumps(REVIEW).encode().replace(b'{"app": "shop"}', whole)
    if where == "unread field" and opening != b"[":
        assert request.decode(whole).uid == "review-1"
    else:
        assert reason_of(whole)


@pytest.mark.parametrize("path", PHASES)
@pytest.mark.parametrize("kind", ["ConfigMap", "Secret", "Widget", "PodTemplate", "Node"])
def test_an_object_of_another_kind_is_allowed_whatever_it_holds(world: factories.World, path: str, kind: str) -> None:
    for document in ({"spec": [1, {"containers": 5}]}, {"metadata": "x"}, {}):
        answer = world.call(path, factories.review({**document, "kind": kind}))
        assert answer.response == {"uid": "review-1", "allowed": True}


def test_a_pod_of_another_group_is_not_judged(world: factories.World) -> None:
    review = factories.review({"kind": "Pod", "spec": 5})
    review["request"]["kind"]["group"] = "example.com"
    assert world.call("/validate", review).response == {"uid": "review-1", "allowed": True}


@pytest.mark.parametrize("operation", ["DELETE", "CONNECT", "", "create"])
def test_other_operations_are_allowed(world: factories.World, operation: str) -> None:
    answer = world.call("/validate", factories.review(factories.pod(hostNetwork=True), operation=operation))
    assert answer.response == {"uid": "review-1", "allowed": True}


@pytest.mark.parametrize(
    "subresource", ["status", "binding", "eviction", "log", "exec", "proxy"], ids=lambda text: f"pods/{text}"
)
def test_other_subresources_of_pods_are_allowed(world: factories.World, subresource: str) -> None:
    review = factories.review(factories.pod(hostNetwork=True), operation="UPDATE", subResource=subresource)
    assert world.call("/validate", review).response == {"uid": "review-1", "allowed": True}


def test_a_create_without_an_object_is_allowed(world: factories.World) -> None:
    assert world.call("/validate", factories.review(None)).response == {"uid": "review-1", "allowed": True}


QUANTITIES = [
    "1e999999",
    "-1",
    "1Ki i",
    "",
    "0x10",
    "1,5",
    "\u0661",
    "9" * 1_000_000,
    "0." + "0" * 100_000 + "1",
    -5,
    1e300,
]


@pytest.mark.parametrize("path", PHASES)
@pytest.mark.parametrize("value", QUANTITIES, ids=lambda value: str(value)[:12] or "empty")
def test_a_hostile_quantity_ends_in_a_definite_verdict_in_no_time(
    world: factories.World, path: str, value: object
) -> None:
    pod = factories.safe_pod(factories.container(resources={"requests": {"cpu": value}, "limits": {"memory": value}}))
    started = time.process_time()
    answer = world.call(path, factories.review(pod))
    assert time.process_time() - started < 2
    for text in (answer.message, *answer.warnings):
        assert text.isprintable()
        assert len(text) < 1_000


@pytest.mark.parametrize("path", PHASES)
def test_ten_thousand_containers_are_judged_in_linear_time(world: factories.World, path: str) -> None:
    pod = factories.pod(*(factories.container(f"c{number}") for number in range(10_000)))
    started = time.process_time()
    answer = world.call(path, factories.review(pod))
    # A walk in a walk over them would take minutes; this is about half a second of a core that has nothing else to do.
    assert time.process_time() - started < 8
    assert answer.allowed is (path == "/mutate")


def test_ten_thousand_containers_do_not_make_a_denial_of_megabytes(world: factories.World) -> None:
    pod = factories.pod(*(factories.container(f"c{number}") for number in range(10_000)))
    answer = world.validate(pod)
    assert not answer.allowed
    assert len(answer.message) < 32_768


def test_the_last_of_duplicate_keys_counts(world: factories.World) -> None:
    raw = json.dumps(factories.review(factories.safe_pod(labels={"cost-center": "shared"})))
    doubled = raw.replace('"operation": "CREATE"', '"operation": "DELETE", "operation": "CREATE"')
    assert raw != doubled
    assert world.engine.answer("/validate/security", doubled.encode())[1] is not None


@pytest.mark.parametrize(
    "field",
    ["initContainers", "ephemeralContainers", "tolerations", "volumes", "affinity", "topologySpreadConstraints"],
)
def test_null_counts_as_absent(world: factories.World, field: str) -> None:
    given, _, patched = world.create(factories.safe_pod(**{field: None}))
    absent, _, expected = world.create(factories.safe_pod())
    assert given.allowed == absent.allowed
    patched["spec"] = {key: value for key, value in patched["spec"].items() if value is not None}
    assert patched == expected


@pytest.mark.parametrize("field", ["priority", "hostPort", "runAsUser", "replicas"])
def test_a_huge_integer_ends_in_a_definite_verdict(world: factories.World, field: str) -> None:
    huge = 10**40
    container = factories.container(ports=[{"hostPort": huge if field == "hostPort" else 0}])
    pod = factories.pod(container)
    if field == "priority":
        pod["spec"]["priority"] = huge
    if field == "runAsUser":
        pod["spec"]["securityContext"]["runAsUser"] = huge
    document = factories.deployment(huge, pod) if field == "replicas" else pod
    encoded, after = world.engine.answer("/validate", json.dumps(factories.review(document)).encode())
    assert b'"allowed":' in encoded
    assert after is not None
    after()
    assert world.sample("podgate_recorder_faults_total") == 0


def test_a_body_is_judged_the_same_with_fields_in_any_order(world: factories.World) -> None:
    review = factories.review(factories.pod(hostNetwork=True))
    turned = {**review, "request": dict(reversed(review["request"].items()))}
    first, _ = world.engine.answer("/validate", msgspec.json.encode(review))
    second, _ = world.engine.answer("/validate", msgspec.json.encode(turned))
    assert first == second
