"""Pod Security check `procMount_restricted` (restricted, since v1.35; replaces `procMount`).

Rule: a container must keep the default masks of ``/proc``, in a user namespace of its own too.
Fields: ``spec.{initContainers,containers,ephemeralContainers}[*].securityContext.procMount``.
Allowed: absent or ``Default``.
Example: ``procMount (container "build" must not set securityContext.procMount to "Unmasked")``.
Comply: remove the field.
Source: Pod Security Standards, Restricted; baseline alone was relaxed for user namespaces.
"""

import msgspec

from webhook.guardrails.pod_security import proc_mount
from webhook.guardrails.pod_security._check import Check, Revision, Violation
from webhook.guardrails.pod_security._visitor import PodView

_ID = "procMount_restricted"


def proc_mount_restricted_1_35(visit: PodView) -> Violation | None:
    """Judge as baseline did before it was relaxed."""
    violation = proc_mount.proc_mount_1_0(visit)
    return None if violation is None else msgspec.structs.replace(violation, check=_ID)


CHECK = Check(_ID, "restricted", (Revision(35, proc_mount_restricted_1_35),), overrides=("procMount",))
