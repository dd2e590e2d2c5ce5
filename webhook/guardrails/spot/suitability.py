"""Why a pod stays off spot capacity: the first reason that holds, told to who can change it.

What a node's loss costs differs: a DaemonSet's pod belongs to its node and goes with it, so only what decides where it
runs, and what it keeps, counts for it.
"""

from collections.abc import Callable
from typing import NamedTuple

from webhook.guardrails.base.contract import Context, Finding
from webhook.guardrails.base.skip import is_daemon, is_placed_already, is_skipped, state_of
from webhook.guardrails.spot.interruption import blocking_budget, forbidding_annotation, is_never_retried, runs_alone
from webhook.kube.objects import PodSpec
from webhook.pricing.placement import SpotLabels, capacity_of

DEFAULT_GRACE_SECONDS = 30
"""Grace period of a pod that names none."""


class Suitability(NamedTuple):
    """What keeps pods off spot capacity, as a policy says."""

    labels: SpotLabels
    """Node labels that mark spot capacity."""
    stateful: bool = True
    uninterruptible: bool = True
    single_replica: bool = False
    host_path: bool = False
    no_retry: bool = False
    notice_seconds: int = 120
    """Time between the notice and the loss of a node."""
    allow_skip: bool = False


class SpotObstacle(NamedTuple):
    """Why a pod stays off spot capacity."""

    rule: str
    why: str
    cure: str

    def as_notice(self) -> Finding:
        """Return it as a notice: it refuses nothing."""
        return Finding(
            rule=self.rule, message=f"{self.why}, so the pod is not sent to spot nodes", cure=self.cure, notice=True
        )


def why_off(rule: Suitability, context: Context) -> SpotObstacle | None:
    """Return the first reason why a pod stays off spot capacity; None where it may run there."""
    spec = context.pod.spec
    if spec is None:
        return SpotObstacle("placed", "it has no spec", "give the pod a spec")
    for check in _OF_DAEMONS if is_daemon(context) else _OF_PODS:
        found = check(rule, context, spec)
        if found is not None:
            return found
    return None


_Check = Callable[[Suitability, Context, PodSpec], SpotObstacle | None]


def _placed(_rule: Suitability, context: Context, _spec: PodSpec) -> SpotObstacle | None:
    if not is_placed_already(context):
        return None
    why = "its node is chosen already, or it is of a system priority"
    return SpotObstacle("placed", why, "leave spec.nodeName and system priority classes to pods of the system")


def _kept_off(rule: Suitability, _context: Context, spec: PodSpec) -> SpotObstacle | None:
    if capacity_of(spec, rule.labels) != "onDemand":
        return None
    why = "its node selector and required node affinity leave it no spot node"
    return SpotObstacle(
        "onDemandOnly", why, "remove the requirement that keeps it off spot capacity, where it may be interrupted"
    )


def _opted_out(rule: Suitability, context: Context, _spec: PodSpec) -> SpotObstacle | None:
    if not rule.allow_skip or not is_skipped(context, "spot"):
        return None
    return SpotObstacle("skipAnnotation", "its annotation podgate.dev/skip names spot", "remove the annotation")


def _stateful(rule: Suitability, context: Context, _spec: PodSpec) -> SpotObstacle | None:
    state = state_of(context) if rule.stateful else ""
    if not state:
        return None
    cure = "keep its state elsewhere, or ask the platform team for spot.skipStateful: false"
    return SpotObstacle("stateful", f"it keeps state ({state})", cure)


def _uninterruptible(rule: Suitability, context: Context, _spec: PodSpec) -> SpotObstacle | None:
    text = forbidding_annotation(context.annotations) if rule.uninterruptible else ""
    if not text:
        return None
    cure = "remove it where the pod may be interrupted, or ask the platform team for spot.skipUninterruptible: false"
    return SpotObstacle("evictionForbidden", f"its annotation {text} forbids its eviction", cure)


def _single_replica(rule: Suitability, context: Context, _spec: PodSpec) -> SpotObstacle | None:
    if not rule.single_replica or not runs_alone(context):
        return None
    cure = "run 2 replicas or more, or ask the platform team for spot.skipSingleReplica: false"
    return SpotObstacle("singleReplica", "it is the only replica", cure)


def _host_path(rule: Suitability, _context: Context, spec: PodSpec) -> SpotObstacle | None:
    if not rule.host_path:
        return None
    volume = next((each for each in spec.volumes or () if each.host_path is not None), None)
    if volume is None:
        return None
    named = f' "{volume.name[:63]}"' if volume.name else ""
    cure = (
        "use a volume that outlives the node, or emptyDir for what may be lost, or ask the platform team for "
        "spot.skipHostPath: false"
    )
    return SpotObstacle("hostPath", f"its hostPath volume{named} stays behind on a node that goes away", cure)


def _no_retry(rule: Suitability, context: Context, _spec: PodSpec) -> SpotObstacle | None:
    why = is_never_retried(context) if rule.no_retry else ""
    if not why:
        return None
    cure = (
        "let a Job make it with a backoffLimit, or with a podFailurePolicy that ignores DisruptionTarget, or ask the "
        "platform team for spot.skipNoRetry: false"
    )
    return SpotObstacle("noRetry", f"nothing runs it again ({why})", cure)


def _notice(rule: Suitability, _context: Context, spec: PodSpec) -> SpotObstacle | None:
    grace = spec.termination_grace_period_seconds
    seconds = DEFAULT_GRACE_SECONDS if grace is None else grace
    if seconds <= rule.notice_seconds:
        return None
    cure = (
        f"lower spec.terminationGracePeriodSeconds to {rule.notice_seconds}, or ask the platform team for a higher "
        "spot.noticeSeconds, where its nodes give more"
    )
    why = f"it may take {seconds} s to end, and a spot node goes {rule.notice_seconds} s after its notice"
    return SpotObstacle("gracePeriod", why, cure)


def _disruption_budget(rule: Suitability, context: Context, _spec: PodSpec) -> SpotObstacle | None:
    budget = blocking_budget(context) if rule.uninterruptible else None
    if budget is None:
        return None
    cure = f'set maxUnavailable: 1 in "{budget.name}", or run more replicas than it keeps available'
    return SpotObstacle("disruptionBudget", f'PodDisruptionBudget "{budget.name}" never lets a pod go', cure)


_OF_DAEMONS: tuple[_Check, ...] = (_placed, _stateful, _opted_out, _kept_off)
_OF_PODS: tuple[_Check, ...] = (
    *_OF_DAEMONS,
    _uninterruptible,
    _single_replica,
    _host_path,
    _no_retry,
    _notice,
    _disruption_budget,
)
