"""Tables of the Pod Security check `ulimits`: what it lets pass, and what it says otherwise."""

import pytest

from tests.guardrails.pod_security.tables import Json, container, in_context, judge, pod, said, secure

CHECK = "ulimits"
NOFILE = [{"name": "nofile", "soft": 1024, "hard": 2048}]

PASSES = [
    pytest.param(pod(), "latest", id="absent"),
    pytest.param(in_context(ulimits=[]), "latest", id="an empty list"),
    pytest.param(in_context(ulimits=None), "latest", id="null"),
]

FAILS = [
    pytest.param(
        in_context(ulimits=NOFILE),
        "latest",
        'ulimits (container "c" must not set securityContext.ulimits)',
        ("spec.containers[0].securityContext.ulimits",),
        id="one limit",
    ),
    pytest.param(
        in_context(ulimits={"nofile": {"soft": 1024, "hard": 2048}}),
        "v1.0",
        'ulimits (container "c" must not set securityContext.ulimits)',
        ("spec.containers[0].securityContext.ulimits",),
        id="as an object, at any version",
    ),
    pytest.param(
        pod(
            container("a"),
            container("b", securityContext=secure(ulimits=NOFILE)),
            container("d", securityContext=secure(ulimits=NOFILE)),
        ),
        "latest",
        'ulimits (containers "b", "d" must not set securityContext.ulimits)',
        ("spec.containers[1].securityContext.ulimits", "spec.containers[2].securityContext.ulimits"),
        id="several containers",
    ),
]


@pytest.mark.parametrize(("document", "version"), PASSES)
def test_ulimits_lets_pass(document: Json, version: str) -> None:
    assert judge(CHECK, document, version) is None


@pytest.mark.parametrize(("document", "version", "text", "paths"), FAILS)
def test_ulimits_forbids(document: Json, version: str, text: str, paths: tuple[str, ...]) -> None:
    violation = judge(CHECK, document, version)
    assert said(violation) == text
    assert violation is not None
    assert (violation.check, violation.paths) == (CHECK, paths)
    assert violation.cure
