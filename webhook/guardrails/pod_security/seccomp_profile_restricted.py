"""Pod Security check `seccompProfile_restricted` (restricted, since v1.19; replaces `seccompProfile_baseline`).

Rule: every container must run under a seccomp profile, its own or the pod's.
Fields: ``securityContext.seccompProfile.type`` of the pod and of all containers.
Allowed: ``RuntimeDefault`` or ``Localhost``; a container may leave it out where the pod sets one. A forbidden profile
of the pod stays forbidden even where every container sets its own. Since v1.25 a pod whose ``spec.os.name`` is windows
is exempt.
Example: ``seccompProfile (pod or container "web" must set securityContext.seccompProfile.type to "RuntimeDefault" or
"Localhost")``.
Comply: set ``spec.securityContext.seccompProfile: {type: RuntimeDefault}``.
Source: Pod Security Standards, Restricted, "Seccomp".
"""

import msgspec

from webhook.guardrails.pod_security import _text
from webhook.guardrails.pod_security import seccomp_profile_baseline as baseline
from webhook.guardrails.pod_security._check import Check, Revision, Violation, silent
from webhook.guardrails.pod_security._visitor import PodView

_ID = "seccompProfile_restricted"
_SILENT = silent(_ID)


def seccomp_profile_restricted_1_19(visit: PodView) -> Violation | None:
    """Demand a profile for every container; forbidden profiles are said first and alone."""
    explicit = baseline.seccomp_profile_baseline_1_19(visit)
    if explicit is not None:
        return msgspec.structs.replace(explicit, check=_ID)
    if visit.pod_context.seccomp_profile is not None:
        return None
    missing = [seat for seat in visit.seats if seat.context.seccomp_profile is None]
    if not missing:
        return None
    if visit.is_silent:
        return _SILENT
    names = _text.names(missing)
    return Violation(
        check=_ID,
        reason="seccompProfile",
        detail=f'pod or {_text.containers(names)} must set {baseline.FIELD} to "RuntimeDefault" or "Localhost"',
        cure=f"set spec.{baseline.FIELD} to RuntimeDefault",
        paths=_text.paths(missing, baseline.FIELD, f"spec.{baseline.FIELD}"),
        containers=names,
    )


def seccomp_profile_restricted_1_25(visit: PodView) -> Violation | None:
    """Exempt Windows pods, which have no seccomp."""
    return None if visit.is_windows else seccomp_profile_restricted_1_19(visit)


CHECK = Check(
    _ID,
    "restricted",
    (Revision(19, seccomp_profile_restricted_1_19), Revision(25, seccomp_profile_restricted_1_25)),
    overrides=("seccompProfile_baseline",),
)
