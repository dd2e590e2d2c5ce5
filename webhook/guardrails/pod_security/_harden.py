"""Fill in what level restricted needs and a pod leaves unset.

Only unset fields are filled: a value that the author wrote is a decision, and where such a value forbids the pod, the
whole pod is left as it is, so that the message names what the author wrote. Nothing is added that the API server would
refuse or that would break a container which an exception covers:

* ``allowPrivilegeEscalation: false`` is invalid beside ``privileged: true`` and beside an added ``CAP_SYS_ADMIN``;
* Linux-only fields are invalid on Windows pods;
* ``runAsNonRoot: true`` keeps a container that runs as user 0 from starting;
* where a container is exempt, the others get their values one by one, since a pod value would reach the exempt one too.

A pod of more than 500 containers is left as it is: the patch would be megabytes.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from webhook.guardrails.base.contract import Context
from webhook.guardrails.pod_security._check import Violation
from webhook.guardrails.pod_security._evaluation import NAME, Leave
from webhook.guardrails.pod_security._registry import CheckPlan
from webhook.guardrails.pod_security._visitor import ContainerView, PodView
from webhook.guardrails.pod_security.capabilities_restricted import ALL, added_beyond, drops_all
from webhook.kube.containers import is_crowded
from webhook.kube.objects import PodSpec
from webhook.kube.patch import Draft
from webhook.kube.security_objects import SecurityContext

HardeningStep = Callable[[], None]
_SYS_ADMIN = frozenset({"SYS_ADMIN", "CAP_SYS_ADMIN"})
_RUNTIME_DEFAULT = "RuntimeDefault"


def harden(draft: Draft, checks: CheckPlan, leave: Leave | None) -> bool:
    """Change the pod so that all checks pass, or not at all.

    Args:
        draft: of the pod.
        checks: what the pod is judged by.
        leave: what exceptions take out; None where there are none.

    Returns:
        Whether the pod passes now; False as well where nobody looked, because it has too many containers.
    """
    spec = draft.pod.spec
    if spec is None:
        return True
    if is_crowded(spec):
        return False
    everything = PodView(draft.pod.metadata, spec, is_silent=True)
    steps: list[HardeningStep] = []
    for check, function in zip(checks.ids, checks.functions, strict=True):
        visit = everything
        if leave is not None:
            if leave.is_exempt(check):
                continue
            visit = PodView(draft.pod.metadata, spec, leave.containers(check), is_silent=True)
        if function(visit) is None:
            continue
        plan = _PLANS.get(check)
        found = plan(draft, visit) if plan is not None else None
        if found is None:
            return False
        steps.extend(found)
    for step in steps:
        step()
    return True


NOT_FILLED_IN: Final = "create it again, for the mutating call, which fills this in, did not come through; or "


def left_to_author(found: Sequence[Violation], context: Context) -> Sequence[Violation]:
    """Return the violations that the author has to mend, of a pod that does not pass.

    Once these are mended, the rest is filled in. There are none where all of it is: such a pod did not pass through the
    mutating call.
    """
    pod = context.pod
    spec = pod.spec or PodSpec()
    if is_crowded(spec):
        return found
    exemptions = context.exemptions.get(NAME)
    leave = Leave(exemptions) if exemptions else None
    draft = Draft(pod)
    everything = PodView(pod.metadata, spec, is_silent=True)
    own: list[Violation] = []
    for violation in found:
        plan = _PLANS.get(violation.check)
        exempt = leave.containers(violation.check) if leave is not None else everything.exempt
        visit = PodView(pod.metadata, spec, exempt, is_silent=True) if exempt else everything
        if plan is None or plan(draft, visit) is None:
            own.append(violation)
    # What only another violation keeps from being filled in goes with that one.
    fixed = [each for each in own if each.check not in _CONTRADICTED or _CONTRADICTED[each.check](spec)]
    return fixed or own


def hardening_text(found: Sequence[Violation], context: Context) -> tuple[Sequence[Violation], str]:
    """Return what a new pod that does not pass is told, and what goes before the cure."""
    own = left_to_author(found, context)
    return (own, "") if own else (found, NOT_FILLED_IN)


def _forbid_escalation(draft: Draft, visit: PodView) -> list[HardeningStep] | None:
    if visit.is_windows:
        return None
    steps: list[HardeningStep] = []
    for seat in visit.seats:
        context = seat.context
        if context.allow_privilege_escalation is False:
            continue
        added = (context.capabilities.add or ()) if context.capabilities is not None else ()
        if context.allow_privilege_escalation or context.privileged or not _SYS_ADMIN.isdisjoint(added):
            return None
        steps.append(partial(draft.set_allow_privilege_escalation, seat.ref, False))
    return steps


def _drop_capabilities(draft: Draft, visit: PodView) -> list[HardeningStep] | None:
    if visit.is_windows or any(added_beyond(seat) for seat in visit.seats):
        return None
    return [partial(draft.append_dropped_capability, seat.ref, ALL) for seat in visit.seats if not drops_all(seat)]


def _demand_non_root(draft: Draft, visit: PodView) -> list[HardeningStep] | None:
    pod_context = visit.pod_context
    if pod_context.run_as_non_root is False or any(seat.context.run_as_non_root is False for seat in visit.seats):
        return None
    missing = [seat for seat in visit.seats if seat.context.run_as_non_root is None]
    for seat in missing:
        own = seat.context.run_as_user
        if (pod_context.run_as_user if own is None else own) == 0:
            return None
    if visit.exempt:
        return [partial(draft.set_run_as_non_root, seat.ref) for seat in missing]
    return [draft.set_pod_run_as_non_root]


def _set_seccomp_profile(draft: Draft, visit: PodView) -> list[HardeningStep] | None:
    if visit.is_windows or visit.pod_context.seccomp_profile is not None:
        return None
    if any(_has_forbidden_profile(seat) for seat in visit.seats):
        return None
    if visit.exempt:
        missing = [seat for seat in visit.seats if seat.context.seccomp_profile is None]
        return [partial(draft.set_seccomp_profile, seat.ref, _RUNTIME_DEFAULT) for seat in missing]
    return [partial(draft.set_pod_seccomp_profile, _RUNTIME_DEFAULT)]


def _has_forbidden_profile(seat: ContainerView) -> bool:
    profile = seat.context.seccomp_profile
    return profile is not None and profile.type not in (_RUNTIME_DEFAULT, "Localhost")


_PLANS: dict[str, Callable[[Draft, PodView], list[HardeningStep] | None]] = {
    "allowPrivilegeEscalation": _forbid_escalation,
    "capabilities_restricted": _drop_capabilities,
    "runAsNonRoot": _demand_non_root,
    "seccompProfile_restricted": _set_seccomp_profile,
}
"""What mends a check; the other checks forbid what was written, and nothing can be filled in there."""


def _writes(spec: PodSpec, is_written: Callable[[SecurityContext], bool]) -> bool:
    containers = (*(spec.containers or ()), *(spec.init_containers or ()), *(spec.ephemeral_containers or ()))
    own = [each.security_context for each in containers]
    return any(each is not None and is_written(each) for each in own)


_CONTRADICTED: dict[str, Callable[[PodSpec], bool]] = {
    "allowPrivilegeEscalation": lambda spec: _writes(spec, lambda each: each.allow_privilege_escalation is True),
    "runAsNonRoot": lambda spec: (
        (spec.security_context is not None and spec.security_context.run_as_non_root is False)
        or _writes(spec, lambda each: each.run_as_non_root is False)
    ),
}
"""Checks that may only be kept from being filled in by what another check forbids, and whether the author wrote what
they forbid themselves."""
