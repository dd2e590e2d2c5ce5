"""With `harden`, a pod that does not pass is told what its author has to change, and nothing that is filled in."""

from typing import Any

import pytest

from tests import factories

HARDEN = "mode: {mode}\npodSecurity: {{level: restricted, harden: {harden}}}"
ALWAYS = ("allowPrivilegeEscalation != false", "unrestricted capabilities", "runAsNonRoot != true", "seccompProfile")


def world(mode: str = "enforce", *, harden: bool = True) -> factories.World:
    return factories.World(factories.policy(HARDEN.format(mode=mode, harden=str(harden).lower())))


def secured(**context: Any) -> dict[str, Any]:  # noqa: ANN401  fields of a securityContext
    return factories.pod(factories.container(securityContext=context))


NAMED: dict[str, tuple[dict[str, Any], set[str]]] = {
    "the host's network": (factories.pod(hostNetwork=True), {"host namespaces"}),
    "a container that is privileged": (secured(privileged=True), {"privileged"}),
    "what may escalate": (secured(allowPrivilegeEscalation=True), {"allowPrivilegeEscalation != false"}),
    "added capabilities": (secured(capabilities={"add": ["NET_ADMIN"]}), {"unrestricted capabilities"}),
    "user 0": (secured(runAsUser=0), {"runAsUser=0"}),
    "root wanted": (secured(runAsNonRoot=False), {"runAsNonRoot != true"}),
    "no seccomp profile wanted": (
        factories.pod(securityContext={"seccompProfile": {"type": "Unconfined"}}),
        {"seccompProfile"},
    ),
    "two of them": (
        factories.pod(factories.container(securityContext={"runAsUser": 0}), hostPID=True),
        {"host namespaces", "runAsUser=0"},
    ),
}


@pytest.mark.parametrize("name", NAMED)
def test_only_what_the_author_has_to_change_is_named(name: str) -> None:
    document, expected = NAMED[name]
    mutated, validated, _ = world().create(document)
    assert mutated.patch == []
    assert not validated.allowed
    known = (*ALWAYS, "host namespaces", "privileged (", "runAsUser=0")
    found = {each.removesuffix(" (") for each in known if each in validated.message}
    assert found == expected, validated.message
    assert "did not come through" not in validated.message


def test_without_harden_everything_is_named() -> None:
    message = world(harden=False).validate(factories.pod(hostNetwork=True)).message
    assert all(each in message for each in (*ALWAYS, "host namespaces"))


def test_a_pod_that_the_mutating_call_missed_is_refused_and_told_so() -> None:
    answer = world().validate(factories.pod())
    assert not answer.allowed
    assert all(each in answer.message for each in ALWAYS)
    assert "to fix: create it again, for the mutating call, which fills this in, did not come through; or " in (
        answer.message
    )


def test_an_update_is_told_everything() -> None:
    old = factories.stored(factories.pod(hostNetwork=True))
    new = factories.stored(factories.pod(factories.container(image="other:2"), hostNetwork=True))
    answer = world().call("/validate", factories.review(new, operation="UPDATE", old=old))
    assert not answer.allowed
    assert all(each in answer.message for each in (*ALWAYS, "host namespaces"))


def test_a_workload_is_told_what_its_author_has_to_change() -> None:
    (warning,) = [
        each
        for each in world().validate(factories.deployment(1, factories.pod(hostNetwork=True))).warnings
        if "podSecurity" in each
    ]
    assert "host namespaces" in warning
    assert not any(each in warning for each in ALWAYS)


def test_labels_of_namespaces_are_told_alike() -> None:
    policy = factories.policy("mode: enforce\npodSecurity: {fromNamespaceLabels: true, harden: true}")
    space = factories.namespace("team-alpha", {"pod-security.kubernetes.io/enforce": "restricted"})
    message = factories.World(policy, cluster=[space]).validate(factories.pod(hostNetwork=True)).message
    assert "host namespaces" in message
    assert not any(each in message for each in ALWAYS)
