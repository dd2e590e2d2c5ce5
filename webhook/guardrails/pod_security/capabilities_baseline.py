"""Pod Security check `capabilities_baseline` (baseline, since v1.0; at level restricted `capabilities_restricted`
replaces it from v1.22).

Rule: a container must not add capabilities beyond those that container runtimes give by default.
Fields: ``spec.{initContainers,containers,ephemeralContainers}[*].securityContext.capabilities.add``.
Allowed: AUDIT_WRITE, CHOWN, DAC_OVERRIDE, FOWNER, FSETID, KILL, MKNOD, NET_BIND_SERVICE, SETFCAP, SETGID, SETPCAP,
SETUID, SYS_CHROOT; written exactly so, without a ``CAP_`` prefix. ``drop`` is not looked at.
Example: ``non-default capabilities (container "vpn" must not include "NET_ADMIN" in
securityContext.capabilities.add)``.
Comply: remove the capability from ``add``.
Source: Pod Security Standards, Baseline, "Capabilities".
"""

from webhook.guardrails.pod_security import _text
from webhook.guardrails.pod_security._check import Check, Revision, Violation
from webhook.guardrails.pod_security._visitor import PodView

_ID = "capabilities_baseline"

_ALLOWED = frozenset(
    {
        "AUDIT_WRITE",
        "CHOWN",
        "DAC_OVERRIDE",
        "FOWNER",
        "FSETID",
        "KILL",
        "MKNOD",
        "NET_BIND_SERVICE",
        "SETFCAP",
        "SETGID",
        "SETPCAP",
        "SETUID",
        "SYS_CHROOT",
    }
)


def capabilities_baseline_1_0(visit: PodView) -> Violation | None:
    """Forbid adding capabilities that are not default ones."""
    bad = [
        (seat, capabilities.add)
        for seat in visit.seats
        if (capabilities := seat.context.capabilities) is not None
        and capabilities.add
        and not _ALLOWED.issuperset(capabilities.add)
    ]
    if not bad:
        return None
    seats = [seat for seat, _ in bad]
    names = _text.names(seats)
    forbidden = _text.quote_list(sorted({item for _, added in bad for item in added} - _ALLOWED))
    return Violation(
        check=_ID,
        reason="non-default capabilities",
        detail=f"{_text.containers(names)} must not include {forbidden} in securityContext.capabilities.add",
        cure=f"remove {forbidden} from securityContext.capabilities.add",
        paths=_text.paths(seats, "securityContext.capabilities.add"),
        containers=names,
    )


CHECK = Check(_ID, "baseline", (Revision(0, capabilities_baseline_1_0),))
