"""Tables of the Pod Security check `privileged`: what it lets pass, and what it says otherwise."""

import pytest

from tests.guardrails.pod_security.tables import Json, container, in_context, judge, pod, said

CHECK = "privileged"

PASSES = [
    pytest.param(pod(), "latest", id="absent"),
    pytest.param(in_context(privileged=False), "latest", id="false"),
]

FAILS = [
    pytest.param(
        in_context(privileged=True),
        "v1.0",
        'privileged (container "c" must not set securityContext.privileged=true)',
        ("spec.containers[0].securityContext.privileged",),
        id="true",
    ),
    pytest.param(
        pod(
            container("b", securityContext={"privileged": True}),
            initContainers=[container("z", securityContext={"privileged": True})],
            ephemeralContainers=[container("a", securityContext={"privileged": True})],
        ),
        "latest",
        'privileged (containers "z", "b", "a" must not set securityContext.privileged=true)',
        (
            "spec.initContainers[0].securityContext.privileged",
            "spec.containers[0].securityContext.privileged",
            "spec.ephemeralContainers[0].securityContext.privileged",
        ),
        id="all three lists in order",
    ),
]


@pytest.mark.parametrize(("document", "version"), PASSES)
def test_privileged_lets_pass(document: Json, version: str) -> None:
    assert judge(CHECK, document, version) is None


@pytest.mark.parametrize(("document", "version", "text", "paths"), FAILS)
def test_privileged_forbids(document: Json, version: str, text: str, paths: tuple[str, ...]) -> None:
    violation = judge(CHECK, document, version)
    assert said(violation) == text
    assert violation is not None
    assert (violation.check, violation.paths) == (CHECK, paths)
    assert violation.cure
    assert "\n" not in violation.cure
