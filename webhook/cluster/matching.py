"""Which VerticalPodAutoscaler is a pod's, and which pods a workload selects.

The rule is VPA's own: same namespace, target of that kind and name (the API group is not compared), the target's
selector selects the pod, the oldest wins, then the smaller name. Three differences: a VPA counts whatever its update
mode, since a recommendation is asked for and not an eviction, but one that acts counts before one that only recommends,
since its updater would evict what has other sizes; a target that is not known yet is taken at its word; and a CronJob
without labels in its template selects what its Jobs own.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec

from webhook.cluster.view import HorizontalPodAutoscaler, VerticalPodAutoscaler
from webhook.kube import selectors
from webhook.kube.objects import LabelSelector, Workload, pod_template

_LONG_AGO = datetime.min.replace(tzinfo=UTC)


def created(timestamp: str) -> datetime:
    """Return a creation time for comparison; an absent one is the oldest, as Go's zero time is.

    Raises:
        ValueError: the text is no RFC 3339 time.
    """
    if not timestamp:
        return _LONG_AGO
    try:
        moment = datetime.fromisoformat(timestamp)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise ValueError(f"metadata.creationTimestamp {timestamp!r} is no time; write it as 2006-01-02T15:04:05Z")
    return moment


def in_order(autoscalers: Iterable[VerticalPodAutoscaler]) -> tuple[VerticalPodAutoscaler, ...]:
    """Return the VPAs of one target in the order in which they win: acting ones, then age, then name."""
    return tuple(sorted(autoscalers, key=lambda each: (not each.acts, created(each.creation_timestamp), each.name)))


def without_made(autoscalers: Iterable[HorizontalPodAutoscaler]) -> tuple[HorizontalPodAutoscaler, ...]:
    """Return the HPAs of one target without those that KEDA has made of a ScaledObject which is known as well: only
    the ScaledObject says that there may be no pod at all."""
    found = tuple(autoscalers)
    made = {each.name for each in found if each.scaled_object}
    return tuple(each for each in found if each.scaled_object or each.name not in made) if made else found


class ReplicaRange(NamedTuple):
    """Between how many pods autoscalers keep a workload."""

    low: int
    high: int
    lowest: HorizontalPodAutoscaler
    """The autoscaler that sets the smaller number."""
    highest: HorizontalPodAutoscaler


def replica_range(autoscalers: Sequence[HorizontalPodAutoscaler]) -> ReplicaRange | None:
    """Return the range of pods, or None where no autoscaler sets one."""
    known = [each for each in autoscalers if each.max_replicas > 0]
    if not known:
        return None
    lowest = min(known, key=_fewest)
    highest = max(known, key=lambda each: each.max_replicas)
    low = _fewest(lowest)
    return ReplicaRange(low, max(low, highest.max_replicas), lowest, highest)


def _fewest(autoscaler: HorizontalPodAutoscaler) -> int:
    # The API server's own default.
    return 1 if autoscaler.min_replicas is None else max(autoscaler.min_replicas, 0)


def selector_of(workload: Workload) -> LabelSelector | None:
    """Return the label selector of a workload, or None where it has none of its own.

    A CronJob has no selector: its pods are those with the labels of its template, if it has any. The same is the API
    server's default for a ReplicationController. A Job without one gets a selector for its own UID when it is stored,
    so None it is.

    Raises:
        ValueError: the selector has another shape than its kind asks for.
    """
    spec = workload.spec
    if spec is None:
        return None
    if workload.kind == "CronJob" or (workload.kind == "ReplicationController" and not spec.selector):
        template = pod_template(workload)
        labels = template.metadata.labels if template is not None and template.metadata is not None else None
        return LabelSelector(match_labels=labels) if labels else None
    if not spec.selector:
        return None
    try:
        if workload.kind == "ReplicationController":
            return LabelSelector(match_labels=msgspec.convert(spec.selector, dict[str, str]))
        return msgspec.convert(spec.selector, LabelSelector)
    except msgspec.ValidationError as error:
        raise ValueError(f"spec.selector: {error}; write matchLabels and matchExpressions") from None


REPLICATED = frozenset({"Deployment", "StatefulSet", "ReplicaSet", "ReplicationController"})
"""Kinds with ``spec.replicas``."""


def replicas_of(workload: Workload | None) -> int | None:
    """Return how many pods a workload is to have at a time; None for an unknown one and for kinds without replicas."""
    if workload is None or workload.spec is None or workload.kind not in REPLICATED:
        return None
    # The API server's own default.
    return workload.spec.replicas if workload.spec.replicas is not None else 1


def compile_predicate(workload: Workload) -> selectors.LabelPredicate:
    """Return whether the pods with given labels are a workload's.

    No selector and an empty one select nothing, except for a Job, whose generated selector cannot be written in a file,
    and a CronJob, which may leave its pods without labels: what names them as owner is their own.

    Raises:
        ValueError: the selector is one that Kubernetes would refuse.
    """
    return predicate_of(workload.kind, selector_of(workload))


def predicate_of(kind: str, selector: LabelSelector | None) -> selectors.LabelPredicate:
    """Return whether the pods with given labels are those of a workload of this kind with this selector.

    Raises:
        ValueError: the selector is one that Kubernetes would refuse.
    """
    if selector is None and kind in ("Job", "CronJob"):
        return _everything
    if selector is None or selectors.is_empty(selector):
        return _nothing
    return selectors.compile_selector(selector)


def _everything(_labels: Mapping[str, str]) -> bool:
    return True


def _nothing(_labels: Mapping[str, str]) -> bool:
    return False
