"""Pod Security check `sysctls` (baseline, since v1.0).

Rule: a pod may only set kernel parameters that are its own and cannot disturb the node.
Fields: ``spec.securityContext.sysctls[*].name``, compared exactly, slashes not normalised.
Allowed: kernel.shm_rmid_forced, net.ipv4.ip_local_port_range, net.ipv4.ip_unprivileged_port_start,
net.ipv4.ping_group_range, net.ipv4.tcp_syncookies; since v1.27 net.ipv4.ip_local_reserved_ports; since v1.29
net.ipv4.tcp_fin_timeout, net.ipv4.tcp_keepalive_intvl, net.ipv4.tcp_keepalive_probes, net.ipv4.tcp_keepalive_time;
since v1.32 net.ipv4.tcp_rmem, net.ipv4.tcp_wmem; since v1.37 net.ipv4.tcp_notsent_lowat,
net.ipv4.tcp_slow_start_after_idle.
Example: ``forbidden sysctls (kernel.msgmax, net.core.somaxconn)``.
Comply: remove the sysctl, or have the platform team set it on the nodes.
Source: Pod Security Standards, Baseline, "Sysctls".
"""

from webhook.guardrails.pod_security import _text
from webhook.guardrails.pod_security._check import Check, CheckFunction, Revision, Violation
from webhook.guardrails.pod_security._visitor import PodView

_ID = "sysctls"

_SAFE_1_0 = frozenset(
    {
        "kernel.shm_rmid_forced",
        "net.ipv4.ip_local_port_range",
        "net.ipv4.ip_unprivileged_port_start",
        "net.ipv4.ping_group_range",
        "net.ipv4.tcp_syncookies",
    }
)
_SAFE_1_27 = _SAFE_1_0 | {"net.ipv4.ip_local_reserved_ports"}
_SAFE_1_29 = _SAFE_1_27 | {
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_keepalive_time",
}
_SAFE_1_32 = _SAFE_1_29 | {"net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem"}
_SAFE_1_37 = _SAFE_1_32 | {"net.ipv4.tcp_notsent_lowat", "net.ipv4.tcp_slow_start_after_idle"}


def _only(safe: frozenset[str]) -> CheckFunction:
    """Return the check that allows exactly the sysctls in `safe`; revisions differ in nothing else."""

    def sysctls(visit: PodView) -> Violation | None:
        configured = visit.pod_context.sysctls
        if not configured:
            return None
        bad = [(index, sysctl.name) for index, sysctl in enumerate(configured) if sysctl.name not in safe]
        if not bad:
            return None
        return Violation(
            check=_ID,
            reason="forbidden sysctls",
            detail=_text.listed([name for _, name in bad]),
            cure="remove the forbidden entries from spec.securityContext.sysctls",
            paths=tuple(f"spec.securityContext.sysctls[{index}].name" for index, _ in bad),
        )

    return sysctls


CHECK = Check(
    _ID,
    "baseline",
    (
        Revision(0, _only(_SAFE_1_0)),
        Revision(27, _only(_SAFE_1_27)),
        Revision(29, _only(_SAFE_1_29)),
        Revision(32, _only(_SAFE_1_32)),
        Revision(37, _only(_SAFE_1_37)),
    ),
)
