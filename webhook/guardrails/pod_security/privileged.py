"""Pod Security check `privileged` (baseline, since v1.0).

Rule: a container must not run privileged, which switches most isolation off.
Fields: ``spec.{initContainers,containers,ephemeralContainers}[*].securityContext.privileged``.
Allowed: absent or false.
Example: ``privileged (container "agent" must not set securityContext.privileged=true)``.
Comply: remove the field; ask for the single capability that is needed, where the level allows it.
Source: Pod Security Standards, Baseline, "Privileged Containers".
"""

from webhook.guardrails.pod_security import _text
from webhook.guardrails.pod_security._check import Check, Revision, Violation
from webhook.guardrails.pod_security._visitor import PodView

_ID = "privileged"


def privileged_1_0(visit: PodView) -> Violation | None:
    """Forbid privileged containers."""
    bad = [seat for seat in visit.seats if seat.context.privileged]
    if not bad:
        return None
    names = _text.names(bad)
    return Violation(
        check=_ID,
        reason="privileged",
        detail=f"{_text.containers(names)} must not set securityContext.privileged=true",
        cure="remove securityContext.privileged",
        paths=_text.paths(bad, "securityContext.privileged"),
        containers=names,
    )


CHECK = Check(_ID, "baseline", (Revision(0, privileged_1_0),))
