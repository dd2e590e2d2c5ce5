"""Tables of the Pod Security check `windowsHostProcess`: what it lets pass, and what it says otherwise."""

import pytest

from tests.guardrails.pod_security.tables import Json, container, in_context, judge, pod, said, secure

CHECK = "windowsHostProcess"

PASSES = [
    pytest.param(pod(), "latest", id="none"),
    pytest.param(in_context(windowsOptions={}), "latest", id="empty options"),
    pytest.param(pod(pod_context={"windowsOptions": {"hostProcess": False}}), "latest", id="false"),
]

FAILS = [
    pytest.param(
        pod(pod_context={"windowsOptions": {"hostProcess": True}}),
        "v1.0",
        "hostProcess (pod must not set securityContext.windowsOptions.hostProcess=true)",
        ("spec.securityContext.windowsOptions.hostProcess",),
        id="the pod",
    ),
    pytest.param(
        pod(
            container(securityContext=secure(windowsOptions={"hostProcess": True})),
            pod_context={"windowsOptions": {"hostProcess": True}},
        ),
        "latest",
        'hostProcess (pod and container "c" must not set securityContext.windowsOptions.hostProcess=true)',
        (
            "spec.securityContext.windowsOptions.hostProcess",
            "spec.containers[0].securityContext.windowsOptions.hostProcess",
        ),
        id="both",
    ),
]


@pytest.mark.parametrize(("document", "version"), PASSES)
def test_windows_host_process_lets_pass(document: Json, version: str) -> None:
    assert judge(CHECK, document, version) is None


@pytest.mark.parametrize(("document", "version", "text", "paths"), FAILS)
def test_windows_host_process_forbids(document: Json, version: str, text: str, paths: tuple[str, ...]) -> None:
    violation = judge(CHECK, document, version)
    assert said(violation) == text
    assert violation is not None
    assert (violation.check, violation.paths) == (CHECK, paths)
    assert violation.cure
    assert "\n" not in violation.cure
