"""Tables of the Pod Security check `capabilities_restricted`: what it lets pass, and what it says otherwise."""

import pytest

from tests.guardrails.pod_security.tables import Json, container, in_context, judge, pod, said, secure

CHECK = "capabilities_restricted"

PASSES = [
    pytest.param(pod(), "latest", id="all dropped"),
    pytest.param(
        in_context(capabilities={"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}), "v1.22", id="low ports added back"
    ),
    pytest.param(in_context(capabilities={"drop": ["KILL", "ALL"]}), "latest", id="ALL among others"),
    pytest.param(pod(container(securityContext={})), "v1.21", id="before the check existed"),
    pytest.param(pod(container(securityContext={}), os={"name": "windows"}), "v1.25", id="a windows pod"),
]

FAILS = [
    pytest.param(
        pod(container(securityContext=None)),
        "latest",
        'unrestricted capabilities (container "c" must set securityContext.capabilities.drop=["ALL"])',
        ("spec.containers[0].securityContext.capabilities.drop",),
        id="nothing dropped",
    ),
    pytest.param(
        in_context(capabilities={"drop": ["all"]}),
        "latest",
        'unrestricted capabilities (container "c" must set securityContext.capabilities.drop=["ALL"])',
        ("spec.containers[0].securityContext.capabilities.drop",),
        id="small letters",
    ),
    pytest.param(
        in_context(capabilities={"drop": ["ALL"], "add": ["CHOWN", "NET_BIND_SERVICE"]}),
        "latest",
        ('unrestricted capabilities (container "c" must not include "CHOWN" in securityContext.capabilities.add)'),
        ("spec.containers[0].securityContext.capabilities.add",),
        id="adding",
    ),
    pytest.param(
        pod(container(securityContext={}), os={"name": "windows"}),
        "v1.24",
        'unrestricted capabilities (container "c" must set securityContext.capabilities.drop=["ALL"])',
        ("spec.containers[0].securityContext.capabilities.drop",),
        id="a windows pod before it counted",
    ),
    pytest.param(
        pod(container(securityContext={}), os={"name": "Windows"}),
        "latest",
        'unrestricted capabilities (container "c" must set securityContext.capabilities.drop=["ALL"])',
        ("spec.containers[0].securityContext.capabilities.drop",),
        id="capital windows",
    ),
    pytest.param(
        pod(
            container("a", securityContext={}),
            container("b", securityContext=secure(capabilities={"drop": ["ALL"], "add": ["KILL"]})),
        ),
        "latest",
        (
            'unrestricted capabilities (container "a" must set '
            'securityContext.capabilities.drop=["ALL"]; container "b" must not include "KILL" in '
            "securityContext.capabilities.add)"
        ),
        ("spec.containers[0].securityContext.capabilities.drop", "spec.containers[1].securityContext.capabilities.add"),
        id="both",
    ),
]


@pytest.mark.parametrize(("document", "version"), PASSES)
def test_capabilities_restricted_lets_pass(document: Json, version: str) -> None:
    assert judge(CHECK, document, version) is None


@pytest.mark.parametrize(("document", "version", "text", "paths"), FAILS)
def test_capabilities_restricted_forbids(document: Json, version: str, text: str, paths: tuple[str, ...]) -> None:
    violation = judge(CHECK, document, version)
    assert said(violation) == text
    assert violation is not None
    assert (violation.check, violation.paths) == (CHECK, paths)
    assert violation.cure
    assert "\n" not in violation.cure
