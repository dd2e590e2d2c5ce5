"""From a ScaledObject of KEDA to the HorizontalPodAutoscaler that KEDA makes of it.

KEDA makes one HPA per ScaledObject: its triggers `cpu` and `memory` become resource metrics, of one container where
`containerName` names it, and every other trigger an external metric. Between zero and one pod KEDA scales by itself, so
only the ScaledObject says that there may be none; but not where all triggers are cpu and memory, which nobody can
measure without a pod.

Source: KEDA, the specification of ScaledObject and its scalers for CPU and memory.
"""

from typing import Any, Final

import msgspec

from webhook.cluster import view
from webhook.kube.objects import DEFAULT_NAMESPACE, Object, ObjectMeta

_MAX_REPLICAS: Final = 100
"""Where the ScaledObject sets none."""
_RESOURCES: Final = frozenset({"cpu", "memory"})
_PAUSED: Final = "autoscaling.keda.sh/paused"
_PAUSED_REPLICAS: Final = "autoscaling.keda.sh/paused-replicas"


class _ScaleTarget(Object):
    kind: str | None = None
    name: str = ""


class _TriggerMetadata(Object):
    type: str | None = None
    """What older versions have in place of `metricType`."""
    container_name: str | None = None


class _Trigger(Object):
    type: str = ""
    metric_type: str | None = None
    metadata: _TriggerMetadata | None = None


class _HpaConfig(Object):
    name: str | None = None


class _Advanced(Object):
    horizontal_pod_autoscaler_config: _HpaConfig | None = None


class _ScaledObjectSpec(Object):
    scale_target_ref: _ScaleTarget | None = None
    min_replica_count: int | None = None
    max_replica_count: int | None = None
    triggers: list[_Trigger] | None = None
    advanced: _Advanced | None = None


class _ScaledObject(Object):
    spec: _ScaledObjectSpec | None = None


def read(metadata: ObjectMeta, document: dict[str, Any]) -> view.HorizontalPodAutoscaler:
    """Return the HPA that KEDA makes of a ScaledObject.

    Raises:
        msgspec.ValidationError: the API server would refuse the manifest.
    """
    spec = msgspec.convert(document, _ScaledObject).spec or _ScaledObjectSpec()
    target = spec.scale_target_ref or _ScaleTarget()
    triggers = spec.triggers or ()
    config = spec.advanced.horizontal_pod_autoscaler_config if spec.advanced is not None else None
    name = metadata.name or ""
    low, high = _range(spec, metadata.annotations or {})
    pod_wide: set[str] = set()
    by_container: set[tuple[str, str]] = set()
    for trigger in triggers:
        given = trigger.metadata or _TriggerMetadata()
        if trigger.type not in _RESOURCES or (trigger.metric_type or given.type or "Utilization") != "Utilization":
            continue
        if given.container_name:
            by_container.add((given.container_name, trigger.type))
        else:
            pod_wide.add(trigger.type)
    return view.HorizontalPodAutoscaler(
        namespace=metadata.namespace or DEFAULT_NAMESPACE,
        name=(config.name if config is not None else None) or f"keda-hpa-{name}",
        target_kind=target.kind or "Deployment",
        target_name=target.name,
        min_replicas=low,
        max_replicas=high,
        utilization_resources=frozenset(pod_wide),
        container_utilization=frozenset(by_container),
        scaled_object=name,
    )


def _range(spec: _ScaledObjectSpec, annotations: dict[str, str]) -> tuple[int, int]:
    """Return the fewest and the most pods; 0 for the most where scaling is paused, since then nobody changes them."""
    paused = annotations.get(_PAUSED_REPLICAS, "")
    if paused.isascii() and paused.isdigit() and len(paused) < 10:
        return int(paused), int(paused)
    if annotations.get(_PAUSED) == "true":
        return 0, 0
    low = max(spec.min_replica_count or 0, 0)
    if spec.triggers and all(trigger.type in _RESOURCES for trigger in spec.triggers):
        low = max(low, 1)
    high = _MAX_REPLICAS if spec.max_replica_count is None else spec.max_replica_count
    return low, max(high, low)
