"""A cluster that forbids some lists, and a directory with files that cannot be read: the rest is judged, and named is
what was not."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests import factories
from tests.fakes.apiserver import PATHS, FakeApiServer
from tests.fakes.live import client_of
from tests.reporting import _scene
from webhook.reporting import scan as scanning
from webhook.reporting import scan_input as worlds
from webhook.reporting.report import AuditReport


@pytest.fixture
def server() -> Iterator[FakeApiServer]:
    with FakeApiServer() as made:
        pods = [_scene.running(f"shop-{number}", ("ReplicaSet", "shop-7d9c8b6f5")) for number in range(3)]
        made.apply(_scene.team(), *_scene.deployment(replicas=3), *pods)
        yield made


def audit(server: FakeApiServer, *documents: str, seconds: float = 20.0, is_default: bool = False) -> AuditReport:
    given = _scene.policies(*documents) if documents else None
    world = worlds.of_api(
        client_of(server),
        given,
        _scene.now,
        is_default=is_default,
        sleep=lambda pause: time.sleep(min(pause, 0.02)),
        sync_seconds=seconds,
    )
    try:
        return scanning.scan(world, title="audit", source="live", now=_scene.now)
    finally:
        world.close()


def test_a_live_cluster_is_judged_like_a_directory_of_it(server: FakeApiServer, tmp_path: Path) -> None:
    live = audit(server, _scene.LABELLED)
    pods = [_scene.running(f"shop-{number}", ("ReplicaSet", "shop-7d9c8b6f5")) for number in range(3)]
    _scene.write(tmp_path, _scene.team(), *_scene.deployment(replicas=3), *pods)
    files = _scene.report(tmp_path, _scene.LABELLED)
    for row, twin in zip(live.rows, files.rows, strict=True):
        assert (row.owner, row.findings, row.patches) == (twin.owner, twin.findings, twin.patches)
        assert (row.tally.before, row.tally.refused) == (twin.tally.before, twin.tally.refused)
    assert live.total.objects == 3
    assert not live.has_failures


@pytest.mark.parametrize(
    ("kind", "judged"),
    [
        pytest.param("LimitRange", 3, id="something that verdicts are made by"),
        pytest.param("Deployment", 3, id="owners"),
        pytest.param("PolicyException", 3, id="policies"),
        pytest.param("Pod", 1, id="pods: the workload is judged by its template"),
    ],
)
def test_a_list_that_is_forbidden_is_named_and_the_rest_is_judged(
    server: FakeApiServer, kind: str, judged: int
) -> None:
    server.forbidden.add(PATHS[kind])
    found = audit(server, _scene.LABELLED)
    assert found.total.objects == judged
    assert found.has_failures
    plural = PATHS[kind].rpartition("/")[2]
    (failure,) = [each for each in found.failures if plural in each.what]
    assert failure.reason.endswith("ask for the right to list it, or use another kubeconfig")


def test_policies_may_be_custom_resources_alone(server: FakeApiServer) -> None:
    server.apply(yaml.safe_load(_scene.LABELLED), yaml.safe_load(factories.PRICES))
    found = audit(server)
    assert found.total.refused == 3
    assert {line.policy for line in found.policies} == {"team"}


def test_policies_of_the_default_directory_make_way_for_custom_resources(server: FakeApiServer) -> None:
    # Of a directory that was asked for, a twin is a clash, and told.
    assert not audit(server, _scene.LABELLED, is_default=True).has_failures
    server.apply(yaml.safe_load(_scene.LABELLED))
    assert not audit(server, _scene.LABELLED, is_default=True).has_failures
    assert audit(server, _scene.LABELLED).has_failures


def test_a_custom_resource_that_is_malformed_is_named(server: FakeApiServer) -> None:
    broken = yaml.safe_load(factories.policy("{mode: audit, costLabels: {required: [{key: a, pattern: '('}]}}", "odd"))
    server.apply(broken)
    found = audit(server, _scene.LABELLED)
    assert found.total.objects == 3
    assert any("spec.costLabels" in each.reason for each in found.failures)


def test_the_same_object_twice_is_judged_once_and_two_that_differ_are_named(tmp_path: Path) -> None:
    _scene.write(tmp_path, _scene.running("a"), name="1.json")
    _scene.write(tmp_path, _scene.running("a"), name="2.json")
    assert _scene.report(tmp_path, _scene.LABELLED).total.objects == 1
    _scene.write(tmp_path, _scene.running("a", hostNetwork=True), name="3.json")
    found = _scene.report(tmp_path, _scene.LABELLED)
    assert found.total.objects == 1
    assert "keep one of them" in found.failures[0].reason


def test_pods_without_a_name_or_a_uid_are_objects_of_their_own(tmp_path: Path) -> None:
    for number in range(2):
        _scene.write(tmp_path, {**factories.pod(), "kind": "Pod"}, name=f"{number}.json")
    found = _scene.report(tmp_path, _scene.LABELLED)
    assert found.total.objects == 2
