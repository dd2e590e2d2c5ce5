"""Pod Security check `runAsNonRoot` (restricted, since v1.0).

Rule: every container must promise not to run as root, itself or through the pod.
Fields: ``securityContext.runAsNonRoot`` of the pod and of all containers.
Allowed: true; a container may leave it out where the pod says true. False is forbidden anywhere: a pod that says false
is refused even where every container says true. Windows pods are not exempt. Since v1.35 a pod with its own user
namespace (``spec.hostUsers: false``) is.
Example: ``runAsNonRoot != true (pod or container "web" must set securityContext.runAsNonRoot=true)``.
Comply: set ``spec.securityContext.runAsNonRoot: true`` and use an image with a numeric user other than 0.
Source: Pod Security Standards, Restricted, "Running as Non-root".
"""

from webhook.guardrails.pod_security import _text
from webhook.guardrails.pod_security._check import Check, Revision, Violation, silent
from webhook.guardrails.pod_security._visitor import PodView

_ID = "runAsNonRoot"
_FIELD = "securityContext.runAsNonRoot"
_SILENT = silent(_ID)


def run_as_non_root_1_0(visit: PodView) -> Violation | None:
    """Demand true for every container; an explicit false is said first and alone."""
    pod_value = visit.pod_context.run_as_non_root
    is_pod_bad = pod_value is False
    bad = [seat for seat in visit.seats if seat.context.run_as_non_root is False]
    if bad or is_pod_bad:
        names = _text.names(bad)
        return Violation(
            check=_ID,
            reason="runAsNonRoot != true",
            detail=f"{_text.setters(is_pod_bad, names)} must not set {_FIELD}=false",
            cure=f"set {_FIELD}: true and use an image that does not run as root",
            paths=_text.paths(bad, _FIELD, f"spec.{_FIELD}" if is_pod_bad else ""),
            containers=names,
        )
    if pod_value:
        return None
    missing = [seat for seat in visit.seats if seat.context.run_as_non_root is None]
    if not missing:
        return None
    if visit.is_silent:
        return _SILENT
    names = _text.names(missing)
    return Violation(
        check=_ID,
        reason="runAsNonRoot != true",
        detail=f"pod or {_text.containers(names)} must set {_FIELD}=true",
        cure=f"set spec.{_FIELD}: true",
        paths=_text.paths(missing, _FIELD, f"spec.{_FIELD}"),
        containers=names,
    )


def run_as_non_root_1_35(visit: PodView) -> Violation | None:
    """Exempt pods with a user namespace of their own, where root is not the host's root."""
    return None if visit.has_user_namespace else run_as_non_root_1_0(visit)


CHECK = Check(_ID, "restricted", (Revision(0, run_as_non_root_1_0), Revision(35, run_as_non_root_1_35)))
