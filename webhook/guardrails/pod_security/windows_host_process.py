"""Pod Security check `windowsHostProcess` (baseline, since v1.0).

Rule: a Windows container must not run as a process of the host.
Fields: ``securityContext.windowsOptions.hostProcess`` of the pod and of all containers.
Allowed: absent or false.
Example: ``hostProcess (pod must not set securityContext.windowsOptions.hostProcess=true)``.
Comply: remove the field.
Source: Pod Security Standards, Baseline, "HostProcess".
"""

from webhook.guardrails.pod_security import _text
from webhook.guardrails.pod_security._check import Check, Revision, Violation
from webhook.guardrails.pod_security._visitor import PodView

_ID = "windowsHostProcess"
_FIELD = "securityContext.windowsOptions.hostProcess"


def windows_host_process_1_0(visit: PodView) -> Violation | None:
    """Forbid host process containers."""
    pod_options = visit.pod_context.windows_options
    is_pod_bad = pod_options is not None and bool(pod_options.host_process)
    bad = [
        seat for seat in visit.seats if (options := seat.context.windows_options) is not None and options.host_process
    ]
    if not (bad or is_pod_bad):
        return None
    names = _text.names(bad)
    return Violation(
        check=_ID,
        reason="hostProcess",
        detail=f"{_text.setters(is_pod_bad, names)} must not set {_FIELD}=true",
        cure=f"remove {_FIELD}",
        paths=_text.paths(bad, _FIELD, f"spec.{_FIELD}" if is_pod_bad else ""),
        containers=names,
    )


CHECK = Check(_ID, "baseline", (Revision(0, windows_host_process_1_0),))
