"""Tables of the Pod Security check `runAsUser`: what it lets pass, and what it says otherwise."""

import pytest

from tests.guardrails.pod_security.tables import Json, container, in_context, judge, pod, said, secure

CHECK = "runAsUser"

PASSES = [
    pytest.param(pod(), "latest", id="unset"),
    pytest.param(in_context(runAsUser=1000), "latest", id="another user"),
    pytest.param(in_context(runAsUser=0), "v1.22", id="before the check existed"),
    pytest.param(pod(pod_context={"runAsUser": 0}, hostUsers=False), "v1.35", id="a user namespace of its own"),
]

FAILS = [
    pytest.param(
        pod(container(securityContext=secure(runAsUser=5)), pod_context={"runAsUser": 0}),
        "v1.23",
        "runAsUser=0 (pod must not set runAsUser=0)",
        ("spec.securityContext.runAsUser",),
        id="the pod, though the container sets another",
    ),
    pytest.param(
        pod(container(securityContext=secure(runAsUser=0)), pod_context={"runAsUser": 0}),
        "latest",
        'runAsUser=0 (pod and container "c" must not set runAsUser=0)',
        ("spec.securityContext.runAsUser", "spec.containers[0].securityContext.runAsUser"),
        id="both",
    ),
    pytest.param(
        pod(container(securityContext=secure(runAsUser=0)), hostUsers=False),
        "v1.34",
        'runAsUser=0 (container "c" must not set runAsUser=0)',
        ("spec.containers[0].securityContext.runAsUser",),
        id="a user namespace before it counted",
    ),
]


@pytest.mark.parametrize(("document", "version"), PASSES)
def test_run_as_user_lets_pass(document: Json, version: str) -> None:
    assert judge(CHECK, document, version) is None


@pytest.mark.parametrize(("document", "version", "text", "paths"), FAILS)
def test_run_as_user_forbids(document: Json, version: str, text: str, paths: tuple[str, ...]) -> None:
    violation = judge(CHECK, document, version)
    assert said(violation) == text
    assert violation is not None
    assert (violation.check, violation.paths) == (CHECK, paths)
    assert violation.cure
    assert "\n" not in violation.cure
