"""Pod Security check `runAsUser` (restricted, since v1.23).

Rule: neither the pod nor a container may ask for user 0.
Fields: ``securityContext.runAsUser`` of the pod and of all containers.
Allowed: absent or not 0; a container's own user does not mend the pod's 0. Since v1.35 a pod with its own user
namespace (``spec.hostUsers: false``) is exempt.
Example: ``runAsUser=0 (container "web" must not set runAsUser=0)``.
Comply: remove the field, or use the numeric user that the image is built for.
Source: Pod Security Standards, Restricted, "Running as Non-root user".
"""

from webhook.guardrails.pod_security import _text
from webhook.guardrails.pod_security._check import Check, Revision, Violation
from webhook.guardrails.pod_security._visitor import PodView

_ID = "runAsUser"
_FIELD = "securityContext.runAsUser"


def run_as_user_1_23(visit: PodView) -> Violation | None:
    """Forbid user 0."""
    is_pod_bad = visit.pod_context.run_as_user == 0
    bad = [seat for seat in visit.seats if seat.context.run_as_user == 0]
    if not (bad or is_pod_bad):
        return None
    names = _text.names(bad)
    return Violation(
        check=_ID,
        reason="runAsUser=0",
        detail=f"{_text.setters(is_pod_bad, names)} must not set runAsUser=0",
        cure=f"set {_FIELD} to a user other than 0",
        paths=_text.paths(bad, _FIELD, f"spec.{_FIELD}" if is_pod_bad else ""),
        containers=names,
    )


def run_as_user_1_35(visit: PodView) -> Violation | None:
    """Exempt pods with a user namespace of their own, where user 0 is not the host's."""
    return None if visit.has_user_namespace else run_as_user_1_23(visit)


CHECK = Check(_ID, "restricted", (Revision(23, run_as_user_1_23), Revision(35, run_as_user_1_35)))
