"""Pod Security check `hostPathVolumes` (baseline, since v1.0; at level restricted `restrictedVolumes` replaces it).

Rule: a pod must not mount directories of the host.
Fields: ``spec.volumes[*].hostPath``.
Allowed: absent. An empty object is a host path volume too.
Example: ``hostPath volumes (volume "logs")``.
Comply: use an emptyDir, a configMap or a persistentVolumeClaim.
Source: Pod Security Standards, Baseline, "HostPath Volumes".
"""

from webhook.guardrails.pod_security import _text
from webhook.guardrails.pod_security._check import Check, Revision, Violation
from webhook.guardrails.pod_security._visitor import PodView

_ID = "hostPathVolumes"


def host_path_volumes_1_0(visit: PodView) -> Violation | None:
    """Forbid host path volumes."""
    bad = [(index, volume.name) for index, volume in enumerate(visit.volumes) if volume.host_path is not None]
    if not bad:
        return None
    return Violation(
        check=_ID,
        reason="hostPath volumes",
        detail=_text.volumes([name for _, name in bad]),
        cure="replace hostPath by emptyDir, configMap or persistentVolumeClaim",
        paths=tuple(f"spec.volumes[{index}].hostPath" for index, _ in bad),
    )


CHECK = Check(_ID, "baseline", (Revision(0, host_path_volumes_1_0),))
