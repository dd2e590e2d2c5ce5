"""Tables of the Pod Security check `runAsNonRoot`: what it lets pass, and what it says otherwise."""

import pytest

from tests.guardrails.pod_security.tables import Json, container, judge, pod, said, secure

CHECK = "runAsNonRoot"

PASSES = [
    pytest.param(pod(), "latest", id="the pod says true"),
    pytest.param(
        pod(container(securityContext=secure(runAsNonRoot=True)), pod_context={"runAsNonRoot": None}),
        "v1.0",
        id="every container says true",
    ),
    pytest.param(pod(pod_context={"runAsNonRoot": False}, hostUsers=False), "v1.35", id="a user namespace of its own"),
    pytest.param(pod(containers=[], pod_context={"runAsNonRoot": None}), "latest", id="no containers"),
]

FAILS = [
    pytest.param(
        pod(pod_context={"runAsNonRoot": None}),
        "v1.0",
        'runAsNonRoot != true (pod or container "c" must set securityContext.runAsNonRoot=true)',
        ("spec.securityContext.runAsNonRoot", "spec.containers[0].securityContext.runAsNonRoot"),
        id="unset",
    ),
    pytest.param(
        pod(container(securityContext=secure(runAsNonRoot=True)), pod_context={"runAsNonRoot": False}),
        "latest",
        "runAsNonRoot != true (pod must not set securityContext.runAsNonRoot=false)",
        ("spec.securityContext.runAsNonRoot",),
        id="the pod says false though the container says true",
    ),
    pytest.param(
        pod(
            container("a"),
            container("b", securityContext=secure(runAsNonRoot=False)),
            pod_context={"runAsNonRoot": None},
        ),
        "latest",
        'runAsNonRoot != true (container "b" must not set securityContext.runAsNonRoot=false)',
        ("spec.containers[1].securityContext.runAsNonRoot",),
        id="a false is said before what is missing",
    ),
    pytest.param(
        pod(pod_context={"runAsNonRoot": None}, os={"name": "windows"}),
        "latest",
        'runAsNonRoot != true (pod or container "c" must set securityContext.runAsNonRoot=true)',
        ("spec.securityContext.runAsNonRoot", "spec.containers[0].securityContext.runAsNonRoot"),
        id="windows is not exempt",
    ),
    pytest.param(
        pod(pod_context={"runAsNonRoot": None}, hostUsers=False),
        "v1.34",
        'runAsNonRoot != true (pod or container "c" must set securityContext.runAsNonRoot=true)',
        ("spec.securityContext.runAsNonRoot", "spec.containers[0].securityContext.runAsNonRoot"),
        id="a user namespace before it counted",
    ),
]


@pytest.mark.parametrize(("document", "version"), PASSES)
def test_run_as_non_root_lets_pass(document: Json, version: str) -> None:
    assert judge(CHECK, document, version) is None


@pytest.mark.parametrize(("document", "version", "text", "paths"), FAILS)
def test_run_as_non_root_forbids(document: Json, version: str, text: str, paths: tuple[str, ...]) -> None:
    violation = judge(CHECK, document, version)
    assert said(violation) == text
    assert violation is not None
    assert (violation.check, violation.paths) == (CHECK, paths)
    assert violation.cure
    assert "\n" not in violation.cure
