"""Tables of the Pod Security check `procMount`: what it lets pass, and what it says otherwise."""

import pytest

from tests.guardrails.pod_security.tables import Json, container, in_context, judge, pod, said, secure

CHECK = "procMount"

PASSES = [
    pytest.param(pod(), "latest", id="absent"),
    pytest.param(in_context(procMount="Default"), "latest", id="the default"),
    pytest.param(
        pod(container(securityContext=secure(procMount="Unmasked")), hostUsers=False),
        "v1.35",
        id="a user namespace of its own",
    ),
]

FAILS = [
    pytest.param(
        in_context(procMount="Unmasked"),
        "latest",
        'procMount (container "c" must not set securityContext.procMount to "Unmasked")',
        ("spec.containers[0].securityContext.procMount",),
        id="unmasked",
    ),
    pytest.param(
        in_context(procMount=""),
        "v1.0",
        'procMount (container "c" must not set securityContext.procMount to "")',
        ("spec.containers[0].securityContext.procMount",),
        id="an empty text",
    ),
    pytest.param(
        pod(container(securityContext=secure(procMount="Unmasked")), hostUsers=False),
        "v1.34",
        'procMount (container "c" must not set securityContext.procMount to "Unmasked")',
        ("spec.containers[0].securityContext.procMount",),
        id="a user namespace before it counted",
    ),
    pytest.param(
        pod(container(securityContext=secure(procMount="Unmasked")), hostUsers=True),
        "v1.35",
        'procMount (container "c" must not set securityContext.procMount to "Unmasked")',
        ("spec.containers[0].securityContext.procMount",),
        id="the host user namespace, said explicitly",
    ),
]


@pytest.mark.parametrize(("document", "version"), PASSES)
def test_proc_mount_lets_pass(document: Json, version: str) -> None:
    assert judge(CHECK, document, version) is None


@pytest.mark.parametrize(("document", "version", "text", "paths"), FAILS)
def test_proc_mount_forbids(document: Json, version: str, text: str, paths: tuple[str, ...]) -> None:
    violation = judge(CHECK, document, version)
    assert said(violation) == text
    assert violation is not None
    assert (violation.check, violation.paths) == (CHECK, paths)
    assert violation.cure
    assert "\n" not in violation.cure
