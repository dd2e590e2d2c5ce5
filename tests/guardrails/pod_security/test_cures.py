"""Cures that can be followed: of a pod that runs, they are about what can still be changed."""

from typing import Any

import pytest

from tests.guardrails.pod_security.tables import Json, container, context_of, decode, pod, secure
from webhook.guardrails import pod_security
from webhook.guardrails.base.contract import Context, Finding
from webhook.policy.pod_security import PodSecuritySection

GUARDRAIL = pod_security.GUARDRAIL
UNSET = {"runAsNonRoot": None, "seccompProfile": None}
BARE = {"securityContext": None}


def judged(context: Context, **fields: object) -> Finding:
    """Return the one finding about a pod at level restricted."""
    section = PodSecuritySection.model_validate({"level": "restricted", **fields})
    (finding,) = GUARDRAIL.inspect(GUARDRAIL.compile(section), context)
    return finding


def debugged(*added: Json, earlier: tuple[Json, ...] = (), **spec: Any) -> Context:  # noqa: ANN401  any JSON value
    """Return the context of a request that adds debug containers to a pod that runs."""
    before = pod(**spec, ephemeralContainers=list(earlier))
    after = pod(**spec, ephemeralContainers=[*earlier, *added])
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
