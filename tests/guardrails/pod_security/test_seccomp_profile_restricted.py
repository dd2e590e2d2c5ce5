"""Tables of the Pod Security check `seccompProfile_restricted`: what it lets pass, and what it says otherwise."""

import pytest

from tests.guardrails.pod_security.tables import Json, container, judge, pod, said, secure

CHECK = "seccompProfile_restricted"

PASSES = [
    pytest.param(pod(), "latest", id="the pod sets one"),
    pytest.param(
        pod(
            container(securityContext=secure(seccompProfile={"type": "Localhost"})),
            pod_context={"seccompProfile": None},
        ),
        "v1.19",
        id="every container sets one",
    ),
    pytest.param(pod(pod_context={"seccompProfile": None}), "v1.18", id="before the check existed"),
    pytest.param(pod(pod_context={"seccompProfile": None}, os={"name": "windows"}), "v1.25", id="a windows pod"),
]

FAILS = [
    pytest.param(
        pod(pod_context={"seccompProfile": None}),
        "latest",
        (
            'seccompProfile (pod or container "c" must set securityContext.seccompProfile.type to '
            '"RuntimeDefault" or "Localhost")'
        ),
        ("spec.securityContext.seccompProfile.type", "spec.containers[0].securityContext.seccompProfile.type"),
        id="no profile",
    ),
    pytest.param(
        pod(
            container(securityContext=secure(seccompProfile={"type": "RuntimeDefault"})),
            pod_context={"seccompProfile": {"type": "Unconfined"}},
        ),
        "latest",
        'seccompProfile (pod must not set securityContext.seccompProfile.type to "Unconfined")',
        ("spec.securityContext.seccompProfile.type",),
        id="the pod, though the container sets one",
    ),
    pytest.param(
        pod(
            container("a"),
            container("b", securityContext=secure(seccompProfile={"type": "Unconfined"})),
            pod_context={"seccompProfile": None},
        ),
        "v1.19",
        'seccompProfile (container "b" must not set securityContext.seccompProfile.type to "Unconfined")',
        ("spec.containers[1].securityContext.seccompProfile.type",),
        id="what is set comes before what is missing",
    ),
    pytest.param(
        pod(pod_context={"seccompProfile": None}, os={"name": "windows"}),
        "v1.24",
        (
            'seccompProfile (pod or container "c" must set securityContext.seccompProfile.type to '
            '"RuntimeDefault" or "Localhost")'
        ),
        ("spec.securityContext.seccompProfile.type", "spec.containers[0].securityContext.seccompProfile.type"),
        id="a windows pod before it counted",
    ),
]


@pytest.mark.parametrize(("document", "version"), PASSES)
def test_seccomp_profile_restricted_lets_pass(document: Json, version: str) -> None:
    assert judge(CHECK, document, version) is None


@pytest.mark.parametrize(("document", "version", "text", "paths"), FAILS)
def test_seccomp_profile_restricted_forbids(document: Json, version: str, text: str, paths: tuple[str, ...]) -> None:
    violation = judge(CHECK, document, version)
    assert said(violation) == text
    assert violation is not None
    assert (violation.check, violation.paths) == (CHECK, paths)
    assert violation.cure
    assert "\n" not in violation.cure
