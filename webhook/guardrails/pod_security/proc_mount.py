"""Pod Security check `procMount` (baseline, since v1.0; at level restricted `procMount_restricted` replaces it from
v1.35).

Rule: a container must keep the default masks of ``/proc``.
Fields: ``spec.{initContainers,containers,ephemeralContainers}[*].securityContext.procMount``.
Allowed: absent or ``Default``; since v1.35 anything in a pod with its own user namespace (``spec.hostUsers: false``).
Example: ``procMount (container "build" must not set securityContext.procMount to "Unmasked")``.
Comply: remove the field, or set ``spec.hostUsers: false``.
Source: Pod Security Standards, Baseline, "/proc Mount Type".
"""

from webhook.guardrails.pod_security import _text
from webhook.guardrails.pod_security._check import Check, Revision, Violation
from webhook.guardrails.pod_security._visitor import PodView

_ID = "procMount"


def proc_mount_1_0(visit: PodView) -> Violation | None:
    """Forbid every mount type but the default."""
    bad = [
        (seat, mount) for seat in visit.seats if (mount := seat.context.proc_mount) is not None and mount != "Default"
    ]
    if not bad:
        return None
    seats = [seat for seat, _ in bad]
    names = _text.names(seats)
    values = _text.quote_list(sorted({mount for _, mount in bad}))
    return Violation(
        check=_ID,
        reason="procMount",
        detail=f"{_text.containers(names)} must not set securityContext.procMount to {values}",
        cure="remove securityContext.procMount",
        paths=_text.paths(seats, "securityContext.procMount"),
        containers=names,
    )


def proc_mount_1_35(visit: PodView) -> Violation | None:
    """Allow any mount type in a user namespace of the pod's own."""
    return None if visit.has_user_namespace else proc_mount_1_0(visit)


CHECK = Check(_ID, "baseline", (Revision(0, proc_mount_1_0), Revision(35, proc_mount_1_35)))
