"""Pod Security check `hostNamespaces` (baseline, since v1.0).

Rule: a pod must not share the host's network, process or IPC namespace.
Fields: ``spec.hostNetwork``, ``spec.hostPID``, ``spec.hostIPC``.
Allowed: absent or false.
Example: ``host namespaces (hostNetwork=true, hostPID=true)``.
Comply: remove the fields; reach the host through a Service, a DaemonSet of the platform team or the Kubernetes API.
Source: Pod Security Standards, Baseline, "Host Namespaces".
"""

from webhook.guardrails.pod_security._check import Check, Revision, Violation
from webhook.guardrails.pod_security._visitor import PodView

_ID = "hostNamespaces"


def host_namespaces_1_0(visit: PodView) -> Violation | None:
    """Forbid host namespaces."""
    spec = visit.spec
    if not (spec.host_network or spec.host_pid or spec.host_ipc):
        return None
    fields = (("hostNetwork", spec.host_network), ("hostPID", spec.host_pid), ("hostIPC", spec.host_ipc))
    shared = [name for name, value in fields if value]
    return Violation(
        check=_ID,
        reason="host namespaces",
        detail=", ".join(f"{name}=true" for name in shared),
        cure=f"remove {', '.join(shared)} from spec",
        paths=tuple(f"spec.{name}" for name in shared),
    )


CHECK = Check(_ID, "baseline", (Revision(0, host_namespaces_1_0),))
