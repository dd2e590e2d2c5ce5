"""Tables of the Pod Security check `hostPorts`: what it lets pass, and what it says otherwise."""

import pytest

from tests.guardrails.pod_security.tables import Json, container, judge, pod, said

CHECK = "hostPorts"

PASSES = [
    pytest.param(pod(container(ports=[{"containerPort": 80}])), "latest", id="a container port alone"),
    pytest.param(pod(container(ports=[{"containerPort": 80, "hostPort": 0}])), "latest", id="zero"),
]

FAILS = [
    pytest.param(
        pod(container(ports=[{"containerPort": 80}, {"containerPort": 81, "hostPort": 81}])),
        "v1.0",
        'hostPort (container "c" uses hostPort 81)',
        ("spec.containers[0].ports[1].hostPort",),
        id="one port",
    ),
    pytest.param(
        pod(container(ports=[{"hostPort": 9}, {"hostPort": 8080}, {"hostPort": 80}])),
        "latest",
        'hostPort (container "c" uses hostPorts 80, 8080, 9)',
        (
            "spec.containers[0].ports[0].hostPort",
            "spec.containers[0].ports[1].hostPort",
            "spec.containers[0].ports[2].hostPort",
        ),
        id="ports sorted as text",
    ),
    pytest.param(
        pod(container(ports=[{"hostPort": 80}]), initContainers=[container("i", ports=[{"hostPort": 80}])]),
        "latest",
        'hostPort (containers "i", "c" use hostPort 80)',
        ("spec.initContainers[0].ports[0].hostPort", "spec.containers[0].ports[0].hostPort"),
        id="one port of two containers",
    ),
    pytest.param(
        pod(ephemeralContainers=[container("e", ports=[{"hostPort": 7}])]),
        "latest",
        'hostPort (container "e" uses hostPort 7)',
        ("spec.ephemeralContainers[0].ports[0].hostPort",),
        id="an ephemeral container",
    ),
]


@pytest.mark.parametrize(("document", "version"), PASSES)
def test_host_ports_lets_pass(document: Json, version: str) -> None:
    assert judge(CHECK, document, version) is None


@pytest.mark.parametrize(("document", "version", "text", "paths"), FAILS)
def test_host_ports_forbids(document: Json, version: str, text: str, paths: tuple[str, ...]) -> None:
    violation = judge(CHECK, document, version)
    assert said(violation) == text
    assert violation is not None
    assert (violation.check, violation.paths) == (CHECK, paths)
    assert violation.cure
    assert "\n" not in violation.cure
