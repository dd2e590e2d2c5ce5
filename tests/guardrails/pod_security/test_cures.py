"""Cures that can be followed: about what can still be changed, and without what is filled in by itself."""

from typing import Any

import pytest

from tests.guardrails.pod_security.tables import Json, container, context_of, decode, pod, secure
from webhook.cluster.view import Namespace
from webhook.guardrails import pod_security
from webhook.guardrails._contract import Context, Exemption, Finding, WorkloadScale
from webhook.policy.pod_security import PodSecuritySection

GUARDRAIL = pod_security.GUARDRAIL
UNSET = {"runAsNonRoot": None, "seccompProfile": None}
BARE = {"securityContext": None}


def judged(context: Context, **fields: object) -> Finding:
    """Return the one finding about a pod at level restricted."""
    section = PodSecuritySection.model_validate({"level": "restricted", **fields})
    (finding,) = GUARDRAIL.inspect(GUARDRAIL.compile(section), context)
    return finding


# --- pods that run --------------------------------------------------------------------------------------------------


def debugged(*added: Json, earlier: tuple[Json, ...] = (), **spec: Any) -> Context:  # noqa: ANN401  any JSON value
    """Return the context of a request that adds debug containers to a pod that runs."""
    old, new = ({"ephemeralContainers": list(each)} for each in (earlier, (*earlier, *added)))
    before, after = pod(**spec, **old), pod(**spec, **new)
    return context_of(after, operation="UPDATE", subresource="ephemeralcontainers", old_pod=decode(before))


def test_the_cure_of_a_debug_container_is_about_that_container() -> None:
    context = debugged(container("debugger-x", **BARE), pod_context=UNSET, containers=[
        container(securityContext=secure(runAsNonRoot=True, seccompProfile={"type": "RuntimeDefault"}))
    ])  # fmt: skip
    cure = judged(context).cure
    assert 'in debug container "debugger-x", set securityContext.allowPrivilegeEscalation: false' in cure
    assert "set securityContext.runAsNonRoot: true" in cure
    assert "kubectl debug --profile=restricted" in cure
    assert "spec." not in cure
    assert "recreate" not in cure


def test_the_cure_of_an_earlier_debug_container_is_another_pod() -> None:
    cure = judged(debugged(container("new"), earlier=(container("old", **BARE),))).cure
    assert cure == 'recreate the pod, whose earlier debug container "old" can be neither changed nor removed'


def test_both_are_said_where_both_are_at_fault() -> None:
    cure = judged(debugged(container("new", **BARE), earlier=(container("old", **BARE),))).cure
    assert 'in debug container "new", ' in cure
    assert 'recreate the pod, whose earlier debug container "old"' in cure
    assert "spec." not in cure


def test_an_earlier_debug_container_of_another_image_is_a_new_one() -> None:
    changed = container("old", image="registry.example/other:1", **BARE)
    context = debugged(changed)
    context.old_pod = decode(pod(ephemeralContainers=[container("old", **BARE)]))
    assert 'in debug container "old", ' in judged(context).cure


@pytest.mark.parametrize("unknown", [True, False], ids=["the stored pod is not known", "it is"])
def test_what_the_pod_was_made_with_asks_for_another_pod(unknown: bool) -> None:
    context = debugged(container("new"), hostNetwork=True)
    if unknown:
        context.old_pod = None
    cure = judged(context).cure
    assert cure == "recreate the pod, as it cannot be changed in place: remove hostNetwork from spec"


def test_an_update_of_a_pod_never_asks_for_a_field_that_is_immutable_to_be_set_in_place() -> None:
    old = pod(container(image="registry.example/app:0"), pod_context=UNSET)
    new = pod(container(image="registry.example/app:1"), pod_context=UNSET)
    new["metadata"]["ownerReferences"] = [{"kind": "ReplicaSet", "name": "web-1", "controller": True}]
    cure = judged(context_of(new, operation="UPDATE", old_pod=decode(old))).cure
    assert cure.startswith("recreate the pod, as it cannot be changed in place: in the pod template, set spec.")
    assert judged(context_of(new)).cure.startswith("in the pod template, set spec.securityContext.runAsNonRoot")


# --- what is filled in by itself ------------------------------------------------------------------------------------


def bare(*containers: Json, context: Json | None = None, **spec: Any) -> Json:  # noqa: ANN401  any JSON value
    """Return a pod that sets nothing of what restricted asks for."""
    return pod(*(containers or (container(**BARE),)), pod_context=UNSET | (context or {}), **spec)


@pytest.mark.parametrize(
    ("document", "told"),
    [
        pytest.param(bare(hostNetwork=True), ["host namespaces"], id="the host's network"),
        pytest.param(bare(hostNetwork=True, volumes=[{"name": "v", "hostPath": {"path": "/"}}]),
                     ["host namespaces", "restricted volume types"], id="several things"),
        pytest.param(bare(container(securityContext={"privileged": True})), ["privileged ("],
                     id="escalation cannot be forbidden beside privileged"),
        pytest.param(bare(container(securityContext={"capabilities": {"add": ["SYS_ADMIN"]}})),
                     ["unrestricted capabilities"], id="nor beside SYS_ADMIN"),
        pytest.param(bare(container(securityContext={"allowPrivilegeEscalation": True})),
                     ["allowPrivilegeEscalation != false"], id="what the author wrote"),
        pytest.param(bare(container(securityContext={"allowPrivilegeEscalation": True}), hostNetwork=True),
                     ["host namespaces", "allowPrivilegeEscalation != false"], id="both"),
        pytest.param(bare(context={"runAsNonRoot": False}), ["runAsNonRoot != true"], id="false is a decision"),
        pytest.param(bare(container(securityContext={"runAsUser": 0})), ["runAsNonRoot != true", "runAsUser=0"],
                     id="a user that is root"),
        pytest.param(bare(context={"seccompProfile": {"type": "Unconfined"}}), ["seccompProfile ("], id="no profile"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("is_workload", [False, True], ids=["pod", "workload"])
def test_only_what_is_not_filled_in_is_told(document: Json, told: list[str], is_workload: bool) -> None:
    scale = WorkloadScale("Deployment", 1) if is_workload else None
    finding = judged(context_of(document, scale=scale), harden=True)
    text = finding.message.partition(": ")[2]
    assert [reason for reason in REASONS if reason in text] == told
    assert len(judged(context_of(document, scale=scale)).message) > len(finding.message)
    assert finding.would.endswith(text)
    assert finding.cure
    assert finding.paths


REASONS = (
    "host namespaces",
    "privileged (",
    "allowPrivilegeEscalation != false",
    "unrestricted capabilities",
    "restricted volume types",
    "runAsNonRoot != true",
    "runAsUser=0",
    "seccompProfile (",
)


def test_all_is_told_where_nothing_else_keeps_the_pod_out() -> None:
    """Then the mutating call did not happen, and the pod is as its author wrote it."""
    assert judged(context_of(bare()), harden=True) == judged(context_of(bare()))


def test_all_is_told_of_a_pod_that_exists() -> None:
    document = bare(hostNetwork=True)
    running = {"operation": "UPDATE", "old_pod": decode(pod(container(image="registry.example/app:0")))}
    assert judged(context_of(document, **running), harden=True) == judged(context_of(document, **running))


def test_an_exempt_check_that_keeps_a_field_from_being_filled_in_leaves_it_to_the_author() -> None:
    context = context_of(bare(container(securityContext={"privileged": True}), hostNetwork=True))
    context.exemptions = {"podSecurity": (Exemption(frozenset({"privileged"})),)}
    message = judged(context, harden=True).message
    assert "allowPrivilegeEscalation" in message
    assert "seccompProfile" not in message


def test_the_labels_of_a_namespace_are_hardened_for_alike() -> None:
    section = PodSecuritySection.model_validate({"fromNamespaceLabels": True, "harden": True})
    info = Namespace("team-a", {"pod-security.kubernetes.io/enforce": "restricted"})
    found = GUARDRAIL.inspect(GUARDRAIL.compile(section), context_of(bare(hostNetwork=True), namespace_info=info))
    (finding,) = [each for each in found if not each.annotation]
    assert finding.message == 'violates PodSecurity "restricted:latest": host namespaces (hostNetwork=true)'
