"""Opting out of a scheduling guardrail, and the pods that no scheduling guardrail may touch."""

from webhook.guardrails.base.contract import Context

SKIP_ANNOTATION = "podgate.dev/skip"
"""Annotation of a pod: names of guardrails, comma-separated. Honoured only where the policy sets ``allowSkip``."""

_CLAIM = "persistent volume claim"
_MIRROR_ANNOTATION = "kubernetes.io/config.mirror"
_SYSTEM_CRITICAL_PRIORITY = 2_000_000_000
"""Lowest value of the built-in ``system-*`` priority classes; user classes must stay below it."""


def is_skipped(context: Context, guardrail: str) -> bool:
    """Whether the pod's author opted out of `guardrail`."""
    value = context.annotations.get(SKIP_ANNOTATION)
    return value is not None and guardrail in (part.strip() for part in value.split(","))


def is_placed_already(context: Context) -> bool:
    """Whether no scheduler decides about the pod, or the system's own must: static and mirror pods, new pods with a
    node name, and pods of a ``system-*`` priority. The node of a pod that exists may well be a scheduler's choice."""
    spec = context.pod.spec
    if spec is None:
        return True
    if spec.node_name and context.running is None and context.operation == "CREATE":
        return True
    if spec.priority_class_name is not None and spec.priority_class_name.startswith("system-"):
        return True
    if spec.priority is not None and spec.priority >= _SYSTEM_CRITICAL_PRIORITY:
        return True
    if _MIRROR_ANNOTATION in context.annotations:
        return True
    controller = context.controller
    return controller is not None and controller.kind == "Node"


def is_daemon(context: Context) -> bool:
    """Whether a DaemonSet owns the pod: its placement is one pod a node, decided by node affinity on the name."""
    controller = context.controller
    return controller is not None and controller.kind == "DaemonSet"


def state_of(context: Context) -> str:
    """Return what of the pod's state a lost node would take away, in words; empty where it keeps none: a StatefulSet,
    or persistent volume claims."""
    controller = context.controller
    if controller is not None and controller.kind == "StatefulSet":
        return "StatefulSet"
    spec = context.pod.spec
    if context.running is not None and context.running.claims:
        return _CLAIM
    state = ""
    for volume in (spec.volumes or ()) if spec is not None else ():
        if volume.persistent_volume_claim is not None:
            return _CLAIM
        if volume.ephemeral is not None:
            state = "generic ephemeral volume"
    return state
