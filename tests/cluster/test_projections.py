"""Projections keep what is asked for, and share what is equal only as long as somebody uses it."""

import json
from typing import Any

import msgspec
import pytest

from webhook.cluster.interner import Interner
from webhook.cluster.pod_records import PodProjection
from webhook.cluster.pod_store import PodStore
from webhook.cluster.projections import reader, workload
from webhook.kube.watch_wire import Malformed, meta_of


def raw(document: dict[str, Any]) -> msgspec.Raw:
    return msgspec.Raw(json.dumps(document).encode())


def pod(n: int, cpu: str = "1") -> msgspec.Raw:
    spec = {"containers": [{"name": "c", "resources": {"requests": {"cpu": cpu}}, "livenessProbe": {"exec": {}}}]}
    return raw({"metadata": {"namespace": "a", "name": f"p{n}", "uid": f"u{n}"}, "spec": spec})


def test_equal_contents_are_one_object_until_nobody_uses_them() -> None:
    shared: Interner[list[bytes]] = Interner()
    first = shared.get(b"x", lambda content: [content])
    assert shared.get(b"x", lambda content: [content]) is first
    shared.get(b"y", lambda content: [content])
    shared.sweep([first])
    assert len(shared) == 1
    assert shared.get(b"x", lambda content: [content]) is first


def test_specs_that_no_pod_has_any_more_do_not_pile_up() -> None:
    store = PodStore()
    for n in range(10_000):
        document = pod(0, cpu=f"{n}m")
        record = store.project(document, meta_of(document))
        assert record is not None
        store.put("u0", record)
    assert len(store) == 1
    assert len(store.project.specs) < 5_000


def test_a_pod_keeps_what_pricing_reads_and_nothing_else() -> None:
    record = PodProjection()(pod(1), meta_of(pod(1)))
    assert record is not None
    assert record.spec.containers is not None
    (container,) = record.spec.containers
    assert container.resources is not None
    assert container.resources.requests == {"cpu": "1"}
    assert container.liveness_probe is None
    assert (record.uid, record.namespace) == ("u1", "a")


def test_a_pod_keeps_what_decides_whether_it_suits_spot_capacity() -> None:
    spec = {
        "containers": [],
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 3600,
        "volumes": [{"name": "data", "hostPath": {"path": "/data"}}, {"name": "token", "projected": {}}],
    }
    document = raw({"metadata": {"namespace": "a", "name": "p", "uid": "u"}, "spec": spec})
    record = PodProjection()(document, meta_of(document))
    assert record is not None
    assert (record.spec.restart_policy, record.spec.termination_grace_period_seconds) == ("Never", 3600)
    assert [volume.host_path is not None for volume in record.spec.volumes or ()] == [True]


def test_a_job_keeps_whether_it_is_run_again() -> None:
    policy = {"rules": [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]}]}
    spec = {"backoffLimit": 0, "podFailurePolicy": policy, "template": {"spec": {"containers": []}}}
    document = raw({"metadata": {"namespace": "a", "name": "j", "uid": "u"}, "spec": spec})
    known = workload("batch/v1", "Job")(document, meta_of(document))
    assert known.head.spec is not None
    assert known.head.spec.backoff_limit == 0
    assert known.head.spec.pod_failure_policy is not None


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_a_pod_that_has_ended_is_of_no_interest(phase: str) -> None:
    document = raw({"metadata": {"namespace": "a", "name": "p", "uid": "u"}, "status": {"phase": phase}})
    assert PodProjection()(document, meta_of(document)) is None


def test_the_second_copy_that_kubectl_writes_is_not_kept() -> None:
    noted = {"kubectl.kubernetes.io/last-applied-configuration": "{}", "note": "n"}
    document = raw({"metadata": {"name": "a", "annotations": noted}})
    assert reader("v1", "Namespace")(document, meta_of(document)).annotations == {"note": "n"}


def test_a_replication_controller_keeps_its_plain_selector() -> None:
    document = raw({"metadata": {"name": "r", "namespace": "a"}, "spec": {"selector": {"app": "x"}}})
    known = workload("v1", "ReplicationController")(document, meta_of(document))
    spec = known.whole().spec
    assert spec is not None
    assert spec.selector == {"app": "x"}
    assert known.selects()({"app": "x"})
    assert not known.selects()({"app": "y"})


@pytest.mark.parametrize(
    "spec", [{"selector": 3}, {"selector": {"matchExpressions": [{"key": "a", "operator": "Like"}]}}, {"replicas": "x"}]
)
def test_a_workload_that_does_not_decode_is_malformed(spec: dict[str, Any]) -> None:
    document = raw({"metadata": {"name": "d", "namespace": "a"}, "spec": spec})
    with pytest.raises(Malformed):
        workload("apps/v1", "Deployment")(document, meta_of(document))


def resized(cpu: str, held: str, allocated: str = "", **status: object) -> msgspec.Raw:
    spec = {"containers": [{"name": "c", "resources": {"requests": {"cpu": cpu}}}]}
    has = {"name": "c", "resources": {"requests": {"cpu": held}}, "allocatedResources": {"cpu": allocated or held}}
    document = {"metadata": {"namespace": "a", "name": "p", "uid": "u"}, "spec": spec}
    return raw({**document, "status": {"phase": "Running", "containerStatuses": [has], **status}})


def test_what_a_pod_has_is_kept_only_while_it_is_other_than_what_it_asks_for() -> None:
    project = PodProjection()
    same = project(resized("1", "1"), meta_of(resized("1", "1")))
    assert same is not None
    assert same.status is None
    conditions = [{"type": "Ready", "status": "True"}, {"type": "PodResizePending", "reason": "Infeasible"}]
    for document in (resized("1", "3", conditions=conditions), resized("1", "1", "3", conditions=conditions)):
        record = project(document, meta_of(document))
        assert record is not None
        kept = record.as_pod().pod.status
        assert kept is not None
        assert kept.container_statuses is not None
        assert [each.type for each in kept.conditions or ()] == ["PodResizePending"]
