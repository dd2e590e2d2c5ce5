"""Tables of the Pod Security check `seccompProfile_baseline`: what it lets pass, and what it says otherwise."""

import pytest

from tests.guardrails.pod_security.tables import Json, container, in_context, judge, pod, said, secure

CHECK = "seccompProfile_baseline"

PASSES = [
    pytest.param(pod(pod_context={"seccompProfile": None}), "latest", id="none"),
    pytest.param(in_context(seccompProfile={"type": "Localhost"}), "latest", id="allowed types"),
    pytest.param(
        pod(annotations={"seccomp.security.alpha.kubernetes.io/pod": "unconfined"}),
        "v1.19",
        id="annotations no longer count",
    ),
    pytest.param(in_context(seccompProfile={"type": "Unconfined"}), "v1.18", id="fields do not count yet"),
    pytest.param(
        pod(
            annotations={
                "seccomp.security.alpha.kubernetes.io/pod": "docker/default",
                "container.seccomp.security.alpha.kubernetes.io/c": "localhost/x",
            }
        ),
        "v1.0",
        id="allowed annotations",
    ),
    pytest.param(
        pod(annotations={"container.seccomp.security.alpha.kubernetes.io/gone": "unconfined"}),
        "v1.0",
        id="an annotation of no container",
    ),
]

FAILS = [
    pytest.param(
        in_context(seccompProfile={}),
        "latest",
        'seccompProfile (container "c" must not set securityContext.seccompProfile.type to "")',
        ("spec.containers[0].securityContext.seccompProfile.type",),
        id="a profile without a type",
    ),
    pytest.param(
        pod(
            container(securityContext=secure(seccompProfile={"type": "x"})),
            pod_context={"seccompProfile": {"type": "Unconfined"}},
        ),
        "v1.19",
        (
            'seccompProfile (pod and container "c" must not set securityContext.seccompProfile.type to '
            '"Unconfined", "x")'
        ),
        ("spec.securityContext.seccompProfile.type", "spec.containers[0].securityContext.seccompProfile.type"),
        id="pod and container",
    ),
    pytest.param(
        pod(annotations={"seccomp.security.alpha.kubernetes.io/pod": ""}),
        "v1.0",
        'seccompProfile (forbidden annotation seccomp.security.alpha.kubernetes.io/pod="")',
        ("metadata.annotations[seccomp.security.alpha.kubernetes.io/pod]",),
        id="an empty annotation",
    ),
    pytest.param(
        pod(
            annotations={
                "seccomp.security.alpha.kubernetes.io/pod": "unconfined",
                "container.seccomp.security.alpha.kubernetes.io/c": 'a"b',
            }
        ),
        "v1.18",
        (
            "seccompProfile (forbidden annotations "
            'container.seccomp.security.alpha.kubernetes.io/c="a\\"b", '
            'seccomp.security.alpha.kubernetes.io/pod="unconfined")'
        ),
        (
            "metadata.annotations[container.seccomp.security.alpha.kubernetes.io/c]",
            "metadata.annotations[seccomp.security.alpha.kubernetes.io/pod]",
        ),
        id="quotes are escaped",
    ),
]


@pytest.mark.parametrize(("document", "version"), PASSES)
def test_seccomp_profile_baseline_lets_pass(document: Json, version: str) -> None:
    assert judge(CHECK, document, version) is None


@pytest.mark.parametrize(("document", "version", "text", "paths"), FAILS)
def test_seccomp_profile_baseline_forbids(document: Json, version: str, text: str, paths: tuple[str, ...]) -> None:
    violation = judge(CHECK, document, version)
    assert said(violation) == text
    assert violation is not None
    assert (violation.check, violation.paths) == (CHECK, paths)
    assert violation.cure
    assert "\n" not in violation.cure
