"""Tables of the Pod Security check `hostProbesAndHostLifecycle`: what it lets pass, and what it says otherwise."""

import pytest

from tests.guardrails.pod_security.tables import Json, container, judge, pod, said

CHECK = "hostProbesAndHostLifecycle"

PASSES = [
    pytest.param(
        pod(container(livenessProbe={"httpGet": {"port": 80}}, startupProbe={"tcpSocket": {"port": 80}})),
        "latest",
        id="probes without a host",
    ),
    pytest.param(pod(container(readinessProbe={"httpGet": {"host": ""}})), "latest", id="an empty host"),
    pytest.param(pod(container(readinessProbe={"httpGet": {"host": "h"}})), "v1.33", id="before the check existed"),
    pytest.param(
        pod(container(readinessProbe={"httpGet": {"httpHeaders": [{"name": "Host", "value": "h"}]}})),
        "latest",
        id="a host header",
    ),
    pytest.param(pod(container(lifecycle={"preStop": {"exec": {}}})), "latest", id="an empty lifecycle"),
]

FAILS = [
    pytest.param(
        pod(container(livenessProbe={"httpGet": {"host": "localhost"}})),
        "v1.34",
        'probe or lifecycle host (container "c" uses probe or lifecycle host "localhost")',
        ("spec.containers[0].livenessProbe.httpGet.host",),
        id="localhost too",
    ),
    pytest.param(
        pod(
            container(
                "b", lifecycle={"preStop": {"tcpSocket": {"host": "2"}}, "postStart": {"httpGet": {"host": "1"}}}
            ),
            container("a", startupProbe={"tcpSocket": {"host": "1"}}),
            container("a", readinessProbe={"tcpSocket": {"host": "1"}}),
        ),
        "latest",
        'probe or lifecycle host (containers "a", "b" use probe or lifecycle hosts "1", "2")',
        (
            "spec.containers[0].lifecycle.postStart.httpGet.host",
            "spec.containers[0].lifecycle.preStop.tcpSocket.host",
            "spec.containers[1].startupProbe.tcpSocket.host",
            "spec.containers[2].readinessProbe.tcpSocket.host",
        ),
        id="names sorted and said once",
    ),
]


@pytest.mark.parametrize(("document", "version"), PASSES)
def test_host_probes_and_host_lifecycle_lets_pass(document: Json, version: str) -> None:
    assert judge(CHECK, document, version) is None


@pytest.mark.parametrize(("document", "version", "text", "paths"), FAILS)
def test_host_probes_and_host_lifecycle_forbids(
    document: Json, version: str, text: str, paths: tuple[str, ...]
) -> None:
    violation = judge(CHECK, document, version)
    assert said(violation) == text
    assert violation is not None
    assert (violation.check, violation.paths) == (CHECK, paths)
    assert violation.cure
    assert "\n" not in violation.cure
