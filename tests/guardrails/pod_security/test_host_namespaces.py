"""Tables of the Pod Security check `hostNamespaces`: what it lets pass, and what it says otherwise."""

import pytest

from tests.guardrails.pod_security.tables import Json, judge, pod, said

CHECK = "hostNamespaces"

PASSES = [
    pytest.param(pod(), "latest", id="no field"),
    pytest.param(pod(hostNetwork=False, hostPID=False, hostIPC=False), "latest", id="explicit false"),
    pytest.param(pod(hostNetwork=None), "latest", id="null"),
]

FAILS = [
    pytest.param(
        pod(hostNetwork=True), "v1.0", "host namespaces (hostNetwork=true)", ("spec.hostNetwork",), id="host network"
    ),
    pytest.param(
        pod(hostIPC=True, hostPID=True, hostNetwork=True),
        "latest",
        "host namespaces (hostNetwork=true, hostPID=true, hostIPC=true)",
        ("spec.hostNetwork", "spec.hostPID", "spec.hostIPC"),
        id="all three, in fixed order",
    ),
]


@pytest.mark.parametrize(("document", "version"), PASSES)
def test_host_namespaces_lets_pass(document: Json, version: str) -> None:
    assert judge(CHECK, document, version) is None


@pytest.mark.parametrize(("document", "version", "text", "paths"), FAILS)
def test_host_namespaces_forbids(document: Json, version: str, text: str, paths: tuple[str, ...]) -> None:
    violation = judge(CHECK, document, version)
    assert said(violation) == text
    assert violation is not None
    assert (violation.check, violation.paths) == (CHECK, paths)
    assert violation.cure
    assert "\n" not in violation.cure
