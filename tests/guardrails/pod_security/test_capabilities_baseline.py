"""Tables of the Pod Security check `capabilities_baseline`: what it lets pass, and what it says otherwise."""

import pytest

from tests.guardrails.pod_security.tables import Json, in_context, judge, pod, said

CHECK = "capabilities_baseline"

PASSES = [
    pytest.param(pod(), "latest", id="nothing added"),
    pytest.param(in_context(capabilities={"add": ["CHOWN", "NET_BIND_SERVICE"]}), "v1.0", id="a default one"),
    pytest.param(in_context(capabilities={"add": None}), "latest", id="null"),
    pytest.param(in_context(capabilities={"drop": ["NET_ADMIN"]}), "latest", id="whatever is dropped"),
]

FAILS = [
    pytest.param(
        in_context(capabilities={"add": ["SYS_TIME", "CHOWN", "NET_ADMIN", "SYS_TIME"]}),
        "latest",
        (
            'non-default capabilities (container "c" must not include "NET_ADMIN", "SYS_TIME" in '
            "securityContext.capabilities.add)"
        ),
        ("spec.containers[0].securityContext.capabilities.add",),
        id="sorted, said once",
    ),
    pytest.param(
        in_context(capabilities={"add": ["CAP_CHOWN"]}),
        "v1.0",
        ('non-default capabilities (container "c" must not include "CAP_CHOWN" in securityContext.capabilities.add)'),
        ("spec.containers[0].securityContext.capabilities.add",),
        id="a prefix makes it another name",
    ),
]


@pytest.mark.parametrize(("document", "version"), PASSES)
def test_capabilities_baseline_lets_pass(document: Json, version: str) -> None:
    assert judge(CHECK, document, version) is None


@pytest.mark.parametrize(("document", "version", "text", "paths"), FAILS)
def test_capabilities_baseline_forbids(document: Json, version: str, text: str, paths: tuple[str, ...]) -> None:
    violation = judge(CHECK, document, version)
    assert said(violation) == text
    assert violation is not None
    assert (violation.check, violation.paths) == (CHECK, paths)
    assert violation.cure
    assert "\n" not in violation.cure
