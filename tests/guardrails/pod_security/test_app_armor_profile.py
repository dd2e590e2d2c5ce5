"""Tables of the Pod Security check `appArmorProfile`: what it lets pass, and what it says otherwise."""

import pytest

from tests.guardrails.pod_security.tables import Json, container, in_context, judge, pod, said, secure

CHECK = "appArmorProfile"

PASSES = [
    pytest.param(pod(), "latest", id="none"),
    pytest.param(
        pod(
            container(securityContext=secure(appArmorProfile={"type": "Localhost"})),
            pod_context={"appArmorProfile": {"type": "RuntimeDefault"}},
        ),
        "latest",
        id="allowed types",
    ),
    pytest.param(
        pod(
            annotations={
                "container.apparmor.security.beta.kubernetes.io/a": "",
                "container.apparmor.security.beta.kubernetes.io/b": "runtime/default",
                "container.apparmor.security.beta.kubernetes.io/c": "localhost/x",
            }
        ),
        "latest",
        id="allowed annotations",
    ),
]

FAILS = [
    pytest.param(
        in_context(appArmorProfile={}),
        "latest",
        'forbidden AppArmor profile (container "c" must not set AppArmor profile type to "")',
        ("spec.containers[0].securityContext.appArmorProfile.type",),
        id="a profile without a type",
    ),
    pytest.param(
        pod(pod_context={"appArmorProfile": {"type": "Unconfined"}}),
        "v1.0",
        'forbidden AppArmor profile (pod must not set AppArmor profile type to "Unconfined")',
        ("spec.securityContext.appArmorProfile.type",),
        id="the pod",
    ),
    pytest.param(
        pod(annotations={"container.apparmor.security.beta.kubernetes.io/gone": "unconfined"}),
        "v1.0",
        (
            "forbidden AppArmor profile (annotation must not set AppArmor profile type to "
            '"container.apparmor.security.beta.kubernetes.io/gone="unconfined"")'
        ),
        ("metadata.annotations[container.apparmor.security.beta.kubernetes.io/gone]",),
        id="an annotation of no container",
    ),
    pytest.param(
        pod(
            container(securityContext=secure(appArmorProfile={"type": "x"})),
            pod_context={"appArmorProfile": {"type": "Unconfined"}},
            annotations={
                "container.apparmor.security.beta.kubernetes.io/z": "1",
                "container.apparmor.security.beta.kubernetes.io/a": "2",
            },
        ),
        "latest",
        (
            'forbidden AppArmor profiles (pod and container "c" and annotations must not set AppArmor '
            'profile type to "Unconfined", "x", "container.apparmor.security.beta.kubernetes.io/a="2"", '
            '"container.apparmor.security.beta.kubernetes.io/z="1"")'
        ),
        (
            "spec.securityContext.appArmorProfile.type",
            "spec.containers[0].securityContext.appArmorProfile.type",
            "metadata.annotations[container.apparmor.security.beta.kubernetes.io/a]",
            "metadata.annotations[container.apparmor.security.beta.kubernetes.io/z]",
        ),
        id="all of them, annotations last and sorted",
    ),
]


@pytest.mark.parametrize(("document", "version"), PASSES)
def test_app_armor_profile_lets_pass(document: Json, version: str) -> None:
    assert judge(CHECK, document, version) is None


@pytest.mark.parametrize(("document", "version", "text", "paths"), FAILS)
def test_app_armor_profile_forbids(document: Json, version: str, text: str, paths: tuple[str, ...]) -> None:
    violation = judge(CHECK, document, version)
    assert said(violation) == text
    assert violation is not None
    assert (violation.check, violation.paths) == (CHECK, paths)
    assert violation.cure
    assert "\n" not in violation.cure
