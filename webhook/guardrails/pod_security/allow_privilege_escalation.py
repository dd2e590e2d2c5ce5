"""Pod Security check `allowPrivilegeEscalation` (restricted, since v1.8).

Rule: a process must not gain more privileges than its parent, for instance through a setuid binary.
Fields: ``spec.{initContainers,containers,ephemeralContainers}[*].securityContext.allowPrivilegeEscalation``.
Allowed: false, said explicitly. Since v1.25 a pod whose ``spec.os.name`` is windows is exempt.
Example: ``allowPrivilegeEscalation != false (container "web" must set
securityContext.allowPrivilegeEscalation=false)``.
Comply: set ``securityContext.allowPrivilegeEscalation: false`` in every container.
Source: Pod Security Standards, Restricted, "Privilege Escalation".
"""

from webhook.guardrails.pod_security import _text
from webhook.guardrails.pod_security._check import Check, Revision, Violation, silent
from webhook.guardrails.pod_security._visitor import PodView

_ID = "allowPrivilegeEscalation"
_SILENT = silent(_ID)


def allow_privilege_escalation_1_8(visit: PodView) -> Violation | None:
    """Demand an explicit false in every container."""
    bad = [seat for seat in visit.seats if seat.context.allow_privilege_escalation is not False]
    if not bad:
        return None
    if visit.is_silent:
        return _SILENT
    names = _text.names(bad)
    return Violation(
        check=_ID,
        reason="allowPrivilegeEscalation != false",
        detail=f"{_text.containers(names)} must set securityContext.allowPrivilegeEscalation=false",
        cure="set securityContext.allowPrivilegeEscalation: false",
        paths=_text.paths(bad, "securityContext.allowPrivilegeEscalation"),
        containers=names,
    )


def allow_privilege_escalation_1_25(visit: PodView) -> Violation | None:
    """Exempt Windows pods, which have no such bit."""
    return None if visit.is_windows else allow_privilege_escalation_1_8(visit)


CHECK = Check(
    _ID,
    "restricted",
    (Revision(8, allow_privilege_escalation_1_8), Revision(25, allow_privilege_escalation_1_25)),
)
