"""A short cut for usual pods: the checks that are left for them, decided in one walk over the containers.

Nearly every pod sets no rare field (see ``Visit.sets_rare_fields``), and at level restricted of today five checks are
left for it. Whether it passes them is asked of every pod twice; only a pod that does not is judged check by check, for
the texts. That both ways agree is tested on every pod that the tests have.
"""

from typing import Final

from webhook.guardrails.pod_security._registry import Plan
from webhook.guardrails.pod_security._visitor import Visit

CHECKS: Final = (
    "allowPrivilegeEscalation",
    "capabilities_restricted",
    "restrictedVolumes",
    "runAsNonRoot",
    "seccompProfile_restricted",
)
"""The checks that this module knows; a plan with others is judged check by check."""

PROFILES: Final = frozenset({"RuntimeDefault", "Localhost"})
"""Seccomp profiles that level restricted accepts."""

_VOLUMES: Final = CHECKS.index("restrictedVolumes")


def applies(visit: Visit) -> bool:
    """Whether the pod is no special case of these checks: Windows, or a user namespace of its own."""
    return not visit.is_windows and not visit.has_user_namespace


def has_restricted_volumes(checks: Plan, visit: Visit) -> bool:
    """Whether a volume is of a type that level restricted forbids."""
    return checks.functions[_VOLUMES](visit) is not None


def passes(checks: Plan, visit: Visit) -> bool:
    """Whether the pod certainly passes all of `CHECKS`; False means that they have to be asked one by one."""
    if not applies(visit):
        return False
    pod = visit.pod_context
    profile = pod.seccomp_profile
    if pod.run_as_non_root is False or (profile is not None and profile.type not in PROFILES):
        return False
    for seat in visit.seats:
        context = seat.context
        capabilities = context.capabilities
        own = context.seccomp_profile
        if (
            context.allow_privilege_escalation is not False
            or capabilities is None
            or not capabilities.drop
            or "ALL" not in capabilities.drop
            or not (pod.run_as_non_root if context.run_as_non_root is None else context.run_as_non_root)
            or (profile is None if own is None else own.type not in PROFILES)
        ):
            return False
    return not has_restricted_volumes(checks, visit)
