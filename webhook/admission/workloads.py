"""How many pods of a workload are paid for, and for how long.

Replicas of Deployments, StatefulSets, ReplicaSets and ReplicationControllers, where an autoscaler has a say the fewest
that it leaves; the nodes that a DaemonSet's pods match;
the parallelism of Jobs, with their expected running time where it is known; of CronJobs also how often they run. A
suspended Job or CronJob has no pods, so it costs nothing until it is resumed.
"""

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from webhook.admission import schedules
from webhook.admission.schedules import parse_duration
from webhook.cluster.matching import replica_range
from webhook.cluster.view import Controller, HorizontalPodAutoscaler, Node, View
from webhook.guardrails.base.contract import WorkloadScale
from webhook.guardrails.spot.interruption import never_retries
from webhook.kube.objects import (
    JobSpec,
    NodeSelectorTerm,
    ObjectMeta,
    PodSpec,
    PodTemplate,
    SelectorRequirement,
    Toleration,
    Workload,
    WorkloadSpec,
)
from webhook.pricing.placement import asks_too_much, capacity_of, compares, is_spot, whole_number

EXPECTED_RUNTIME_ANNOTATION = "podgate.dev/expected-runtime"
"""On a Job, a CronJob or its template: how long one run takes, as a duration such as 90m or 2h30m."""

_DAEMON_TOLERATED = frozenset(
    {
        "node.kubernetes.io/not-ready",
        "node.kubernetes.io/unreachable",
        "node.kubernetes.io/disk-pressure",
        "node.kubernetes.io/memory-pressure",
        "node.kubernetes.io/pid-pressure",
        "node.kubernetes.io/unschedulable",
    }
)
"""Taints that the DaemonSet controller tolerates on behalf of its pods."""

_MOST_TOLERATIONS = 512
_LONGEST_SHOWN = 24
"""Characters of an annotated running time that a text repeats; a longer one is told in hours."""


def copy_template(template: PodTemplate) -> PodTemplate:
    """Return a deep copy, by way of plain values: structs from a cache are shared between reviews."""
    return msgspec.convert(msgspec.to_builtins(template), PodTemplate)


def replicas(count: int) -> WorkloadScale:
    """Return the scale of a plainly replicated workload."""
    return WorkloadScale("", max(count, 0), f"{count} replica{'' if count == 1 else 's'}")


def scale_of(kind: str, workload: Workload, view: View) -> WorkloadScale:
    """Return how many pods of `workload` run at the same time, and where that number comes from."""
    spec = workload.spec or WorkloadSpec()
    if kind == "DaemonSet":
        pod_spec = spec.template.spec if spec.template is not None else None
        return _daemon_scale(pod_spec or PodSpec(), view)
    if kind == "Job":
        job = JobSpec(
            template=spec.template,
            parallelism=spec.parallelism,
            completions=spec.completions,
            active_deadline_seconds=spec.active_deadline_seconds,
            backoff_limit=spec.backoff_limit,
            backoff_limit_per_index=spec.backoff_limit_per_index,
            pod_failure_policy=spec.pod_failure_policy,
        )
        metadata = (workload.metadata, spec.template.metadata if spec.template else None)
        return _scale_of_runs(kind, job, metadata, spec, is_suspended=bool(spec.suspend))
    if kind == "CronJob":
        outer = spec.job_template
        job = (outer.spec if outer is not None else None) or JobSpec()
        of_all = (
            workload.metadata,
            outer.metadata if outer is not None else None,
            job.template.metadata if job.template is not None else None,
        )
        return _scale_of_runs(kind, job, of_all, spec, is_suspended=bool(spec.suspend or job.suspend))
    return replicas(spec.replicas if spec.replicas is not None else 1)._replace(kind=kind)


def with_autoscaler(
    scale: WorkloadScale, view: View, namespace: str, controller: Controller, *, is_asked_for: bool = False
) -> WorkloadScale:
    """Return the scale as the autoscalers of the workload leave it: the fewest pods, and the most.

    Args:
        scale: as the workload itself says.
        view: of the cluster.
        namespace: of the workload.
        controller: the workload.
        is_asked_for: whether somebody, maybe the autoscaler, asks for this very number of pods now.
    """
    found = replica_range(view.horizontal_pod_autoscalers(namespace, controller))
    if found is None:
        return scale
    scale = scale._replace(most=found.high, most_source=_named("max", found.highest))
    # An HPA leaves alone what was scaled to zero by hand; KEDA wakes it up.
    is_off = scale.replicas == 0 and not found.lowest.scaled_object
    if is_asked_for or is_off or scale.replicas == found.low:
        return scale
    source = f"{found.low} replica{'' if found.low == 1 else 's'}, the {_named('min', found.lowest)}"
    return scale._replace(replicas=found.low, asked=scale.replicas, source=source)


def _named(end: str, autoscaler: HorizontalPodAutoscaler) -> str:
    kind, name = autoscaler.written
    return f'{end}Replica{"Count" if autoscaler.scaled_object else "s"} of {kind} "{name}"'


def _scale_of_runs(
    kind: str, job: JobSpec, metadata: Iterable[ObjectMeta | None], spec: WorkloadSpec, *, is_suspended: bool
) -> WorkloadScale:
    """Return the scale of a Job or CronJob: as far as its running time is proven, and as it is claimed."""
    found: list[WorkloadScale] = []
    for once in _once(kind, job, metadata):
        scale = _repeated(once, spec) if kind == "CronJob" and once.hours is not None else once
        found.append(_suspended(scale) if is_suspended else scale)
    return found[0] if len(found) == 1 else found[0]._replace(claimed=found[1])


def _once(kind: str, job: JobSpec, metadata: Iterable[ObjectMeta | None]) -> Iterator[WorkloadScale]:
    """Yield the scale of one run as it is proven, and then the one that the annotation claims where nothing proves it.

    The annotation is a word of whoever makes the Job. Only ``activeDeadlineSeconds`` ends a run, so up to that it is
    believed, and beyond it where a policy says so.
    """
    parallel = max(_parallel(job), 0)
    pods = f"{parallel} pod{'' if parallel == 1 else 's'} at a time"
    is_never_retried = never_retries(job)

    def running(seconds: int, text: str) -> WorkloadScale:
        source = f"{pods} {text}"
        return WorkloadScale(kind, parallel, source, _hours(seconds), seconds, is_never_retried=is_never_retried)

    text, expected = _expected(metadata)
    deadline = job.active_deadline_seconds
    if deadline is not None and deadline > 0:
        if expected and expected <= deadline:
            yield running(expected, f"for {text} as annotated")
        else:
            yield running(deadline, f"until activeDeadlineSeconds, {_hours(deadline)} h")
        return
    reason = (
        f"{EXPECTED_RUNTIME_ANNOTATION} is believed beside activeDeadlineSeconds only"
        if expected
        else f"no annotation {EXPECTED_RUNTIME_ANNOTATION} says less"
    )
    yield WorkloadScale(kind, parallel, f"{pods} for the whole month, as {reason}", is_never_retried=is_never_retried)
    if expected:
        yield running(expected, f"for {text} as annotated")


def _expected(metadata: Iterable[ObjectMeta | None]) -> tuple[str, int]:
    """Return the annotated running time of a run, as it is written and in seconds; 0 where there is none."""
    for item in metadata:
        text = (item.annotations or {}).get(EXPECTED_RUNTIME_ANNOTATION) if item is not None else None
        seconds = parse_duration(text) if text is not None else None
        if text is not None and seconds is not None:
            return text if len(text) <= _LONGEST_SHOWN else f"{_hours(seconds)} h", seconds
    return "", 0


def _suspended(scale: WorkloadScale) -> WorkloadScale:
    """Return the scale of a Job or CronJob that makes no pods until somebody resumes it, which is an update and judged
    then."""
    return scale._replace(replicas=0, source=f"suspended; resumed: {scale.source}", resumed=scale.replicas)


def job_pods(spec: WorkloadSpec) -> int:
    """Return how many pods of a Job run at a time: none while it is suspended."""
    return 0 if spec.suspend else max(_parallel(JobSpec(parallelism=spec.parallelism, completions=spec.completions)), 0)


def _parallel(job: JobSpec) -> int:
    parallel = job.parallelism if job.parallelism is not None else 1
    return parallel if job.completions is None else min(parallel, max(job.completions, 1))


def _repeated(once: WorkloadScale, spec: WorkloadSpec) -> WorkloadScale:
    """Return the scale of a CronJob: as many runs at a time as overlap at worst, for the hours of a month that it
    takes them all."""
    found = schedules.rhythm(spec.schedule or "")
    if found is None:
        return once._replace(source=f"{once.source}, one run counted, as its schedule is rare or cannot be read")
    runs = found.runs_per_month
    overlap = 1
    if spec.concurrency_policy in (None, "", "Allow"):
        overlap = -(-once.run_seconds // found.shortest_gap)
    hours = -(-(runs * once.run_seconds) // (3600 * overlap))
    shown = f"{float(runs):,.1f}".removesuffix(".0")
    times = f"{shown} run{'' if runs == 1 else 's'} a month" + (f", {overlap} of them at a time" if overlap > 1 else "")
    return once._replace(replicas=once.replicas * overlap, source=f"{once.source}, {times}", hours=int(hours))


def _hours(seconds: int) -> int:
    return -(-seconds // 3600)


def _daemon_scale(spec: PodSpec, view: View) -> WorkloadScale:
    if not view.nodes():
        capacity = "spot" if capacity_of(spec) == "spot" else "on-demand"
        return WorkloadScale("DaemonSet", 1, f"1 node, none are known, priced as {capacity}")
    nodes = nodes_of(spec, view)
    text = f"{len(nodes)} matching node{'' if len(nodes) == 1 else 's'}"
    on_spot = sum(1 for node in nodes if is_spot(node.labels))
    if on_spot:
        text += f", {'all' if on_spot == len(nodes) else on_spot} of them spot"
    return WorkloadScale("DaemonSet", len(nodes), text, nodes=nodes)


def matching_nodes(spec: PodSpec, view: View) -> int:
    """Return the number of nodes that pods of a DaemonSet run on; see `nodes_of`."""
    return len(nodes_of(spec, view))


def nodes_of(spec: PodSpec, view: View) -> Sequence[Node]:
    """Return the nodes that pods of a DaemonSet run on; all, where it asks for so much that comparing it with each node
    would hold up other reviews."""
    if asks_too_much(spec) or len(spec.tolerations or ()) > _MOST_TOLERATIONS:
        return view.nodes()
    return [node for node in view.nodes() if _runs_on(spec, node)]


def _runs_on(spec: PodSpec, node: Node) -> bool:
    if any(node.labels.get(key) != value for key, value in (spec.node_selector or {}).items()):
        return False
    node_affinity = spec.affinity.node_affinity if spec.affinity is not None else None
    required = node_affinity.required if node_affinity is not None else None
    terms = required.node_selector_terms if required is not None else None
    if terms and not any(_term_matches(term, node) for term in terms):
        return False
    return all(
        effect not in ("NoSchedule", "NoExecute")
        or key in _DAEMON_TOLERATED
        or any(_tolerates(toleration, key, value, effect) for toleration in spec.tolerations or ())
        for key, value, effect in node.taints
    )


def _tolerates(toleration: Toleration, key: str, value: str, effect: str) -> bool:
    if toleration.effect and toleration.effect != effect:
        return False
    if toleration.operator == "Exists":
        return not toleration.key or toleration.key == key
    return toleration.key == key and (toleration.value or "") == value


def _term_matches(term: NodeSelectorTerm, node: Node) -> bool:
    if not term.match_expressions and not term.match_fields:
        return False  # An empty term matches no node (core/v1 NodeSelectorTerm).
    return all(_requirement_matches(item, node.labels.get(item.key)) for item in term.match_expressions or ()) and all(
        item.key == "metadata.name" and _requirement_matches(item, node.name) for item in term.match_fields or ()
    )


def _requirement_matches(requirement: SelectorRequirement, value: str | None) -> bool:
    values = requirement.values or []
    match requirement.operator:
        case "In":
            return value is not None and value in values
        case "NotIn":
            return value is None or value not in values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case "Gt" | "Lt":
            bound = whole_number(values[0]) if len(values) == 1 else None
            return value is not None and bound is not None and compares(value, requirement.operator, bound)
        case _:
            return False
