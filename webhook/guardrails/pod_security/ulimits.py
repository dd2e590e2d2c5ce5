"""Pod Security check `ulimits` (baseline, since v1.0).

Rule: a container must not set limits of its processes beside those of its runtime.
Fields: ``spec.{initContainers,containers,ephemeralContainers}[*].securityContext.ulimits``.
Allowed: absent or empty.
Example: ``ulimits (container "db" must not set securityContext.ulimits)``.
Comply: remove the field; the container runtime's defaults hold then.
Source: Pod Security Standards, Baseline; KEP-5758, per-container ulimits, alpha.
"""

from webhook.guardrails.pod_security import _text
from webhook.guardrails.pod_security._check import Check, Revision, Violation
from webhook.guardrails.pod_security._visitor import PodView

_ID = "ulimits"


def ulimits_1_0(visit: PodView) -> Violation | None:
    """Forbid the field, whatever it says."""
    bad = [seat for seat in visit.seats if seat.context.ulimits]
    if not bad:
        return None
    names = _text.names(bad)
    return Violation(
        check=_ID,
        reason="ulimits",
        detail=f"{_text.containers(names)} must not set securityContext.ulimits",
        cure="remove securityContext.ulimits",
        paths=_text.paths(bad, "securityContext.ulimits"),
        containers=names,
    )


CHECK = Check(_ID, "baseline", (Revision(0, ulimits_1_0),))
