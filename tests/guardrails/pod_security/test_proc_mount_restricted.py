"""Tables of the Pod Security check `procMount_restricted`: what it lets pass, and what it says otherwise."""

import pytest

from tests.guardrails.pod_security.tables import Json, container, in_context, judge, pod, said, secure

CHECK = "procMount_restricted"

PASSES = [
    pytest.param(pod(), "latest", id="absent"),
    pytest.param(in_context(procMount="Default"), "v1.35", id="the default"),
    pytest.param(in_context(procMount="Unmasked"), "v1.34", id="before the check existed"),
]

FAILS = [
    pytest.param(
        pod(container(securityContext=secure(procMount="Unmasked")), hostUsers=False),
        "v1.35",
        'procMount (container "c" must not set securityContext.procMount to "Unmasked")',
        ("spec.containers[0].securityContext.procMount",),
        id="a user namespace does not help",
    ),
]


@pytest.mark.parametrize(("document", "version"), PASSES)
def test_proc_mount_restricted_lets_pass(document: Json, version: str) -> None:
    assert judge(CHECK, document, version) is None


@pytest.mark.parametrize(("document", "version", "text", "paths"), FAILS)
def test_proc_mount_restricted_forbids(document: Json, version: str, text: str, paths: tuple[str, ...]) -> None:
    violation = judge(CHECK, document, version)
    assert said(violation) == text
    assert violation is not None
    assert (violation.check, violation.paths) == (CHECK, paths)
    assert violation.cure
    assert "\n" not in violation.cure
