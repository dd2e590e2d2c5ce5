"""Tables of the Pod Security check `allowPrivilegeEscalation`: what it lets pass, and what it says otherwise."""

import pytest

from tests.guardrails.pod_security.tables import Json, container, in_context, judge, pod, said, secure

CHECK = "allowPrivilegeEscalation"

PASSES = [
    pytest.param(pod(), "latest", id="false"),
    pytest.param(in_context(allowPrivilegeEscalation=True), "v1.7", id="before the check existed"),
    pytest.param(pod(container(securityContext=None), os={"name": "windows"}), "v1.25", id="a windows pod"),
    pytest.param(pod(containers=[]), "latest", id="no containers"),
]

FAILS = [
    pytest.param(
        in_context(allowPrivilegeEscalation=None),
        "v1.8",
        ('allowPrivilegeEscalation != false (container "c" must set securityContext.allowPrivilegeEscalation=false)'),
        ("spec.containers[0].securityContext.allowPrivilegeEscalation",),
        id="unset",
    ),
    pytest.param(
        pod(
            container("a"),
            container("b", securityContext=secure(allowPrivilegeEscalation=True)),
            ephemeralContainers=[container("e", securityContext={})],
        ),
        "latest",
        (
            'allowPrivilegeEscalation != false (containers "b", "e" must set '
            "securityContext.allowPrivilegeEscalation=false)"
        ),
        (
            "spec.containers[1].securityContext.allowPrivilegeEscalation",
            "spec.ephemeralContainers[0].securityContext.allowPrivilegeEscalation",
        ),
        id="true, beside one that is fine",
    ),
    pytest.param(
        pod(container(securityContext=None), os={"name": "windows"}),
        "v1.24",
        ('allowPrivilegeEscalation != false (container "c" must set securityContext.allowPrivilegeEscalation=false)'),
        ("spec.containers[0].securityContext.allowPrivilegeEscalation",),
        id="a windows pod before it counted",
    ),
]


@pytest.mark.parametrize(("document", "version"), PASSES)
def test_allow_privilege_escalation_lets_pass(document: Json, version: str) -> None:
    assert judge(CHECK, document, version) is None


@pytest.mark.parametrize(("document", "version", "text", "paths"), FAILS)
def test_allow_privilege_escalation_forbids(document: Json, version: str, text: str, paths: tuple[str, ...]) -> None:
    violation = judge(CHECK, document, version)
    assert said(violation) == text
    assert violation is not None
    assert (violation.check, violation.paths) == (CHECK, paths)
    assert violation.cure
    assert "\n" not in violation.cure
