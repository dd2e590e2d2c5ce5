"""Why a pod stays off spot capacity: the first reason that holds, told to who can change it.

What a node's loss costs differs: a DaemonSet's pod belongs to its node and goes with it, so only what decides where it
runs, and what it keeps, counts for it.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from webhook.guardrails._contract import Context, Finding
from webhook.guardrails._interruption import blocking_budget, forbidding_annotation, is_never_retried, runs_alone
from webhook.guardrails._skip import is_daemon, is_placed_already, is_skipped, state_of
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


class Reason(NamedTuple):
    """Why a pod stays off spot capacity."""

    rule: str
    why: str
    cure: str

    def as_notice(self) -> Finding:
        """Return it as a notice: it refuses nothing."""
        return Finding(
            rule=self.rule, message=f"{self.why}, so the pod is not sent to spot nodes", cure=self.cure, notice=True
        )


def why_off(rule: Suitability, context: Context) -> Reason | None:
    """Return the first reason why a pod stays off spot capacity; None where it may run there."""
    if context.pod.spec is None:
        return Reason("placed", "it has no spec", "give the pod a spec")
    checks = _OF_DAEMONS if is_daemon(context) else _OF_PODS
    return next((found for check in checks for found in check(rule, context)), None)


_Check = Callable[[Suitability, Context], Iterator[Reason]]


def _placed(_rule: Suitability, context: Context) -> Iterator[Reason]:
    if is_placed_already(context):
        yield Reason(
            "placed",
            "its node is chosen already, or it is of a system priority",
            "leave spec.nodeName and system priority classes to pods of the system",
        )


def _kept_off(rule: Suitability, context: Context) -> Iterator[Reason]:
    spec = context.pod.spec
    assert spec is not None  # noqa: S101  `why_off` has looked
    if capacity_of(spec, rule.labels) == "onDemand":
        yield Reason(
            "onDemandOnly",
            "its node selector and required node affinity leave it no spot node",
            "remove the requirement that keeps it off spot capacity, where it may be interrupted",
        )


def _opted_out(rule: Suitability, context: Context) -> Iterator[Reason]:
    if rule.allow_skip and is_skipped(context, "spot"):
        yield Reason("skipAnnotation", "its annotation podgate.dev/skip names spot", "remove the annotation")


def _stateful(rule: Suitability, context: Context) -> Iterator[Reason]:
    state = state_of(context) if rule.stateful else ""
    if state:
        cure = "keep its state elsewhere, or ask the platform team for spot.skipStateful: false"
        yield Reason("stateful", f"it keeps state ({state})", cure)


def _uninterruptible(rule: Suitability, context: Context) -> Iterator[Reason]:
    text = forbidding_annotation(context.annotations) if rule.uninterruptible else ""
    if text:
        cure = "remove the annotation where it may be interrupted"
        yield Reason("evictionForbidden", f"its annotation {text} forbids its eviction", cure)


def _single_replica(rule: Suitability, context: Context) -> Iterator[Reason]:
    if rule.single_replica and runs_alone(context):
        yield Reason("singleReplica", "it is the only replica", "run 2 replicas or more")


def _host_path(rule: Suitability, context: Context) -> Iterator[Reason]:
    spec = context.pod.spec
    for volume in (spec.volumes or ()) if rule.host_path and spec is not None else ():
        if volume.host_path is not None:
            named = f' "{volume.name[:63]}"' if volume.name else ""
            why = f"its hostPath volume{named} stays behind on a node that goes away"
            yield Reason("hostPath", why, "use a volume that outlives the node, or emptyDir for what may be lost")
            return


def _no_retry(rule: Suitability, context: Context) -> Iterator[Reason]:
    why = is_never_retried(context) if rule.no_retry else ""
    if why:
        cure = "let a Job make it with a backoffLimit, or with a podFailurePolicy that ignores DisruptionTarget"
        yield Reason("noRetry", f"nothing runs it again ({why})", cure)


def _notice(rule: Suitability, context: Context) -> Iterator[Reason]:
    spec = context.pod.spec
    grace = spec.termination_grace_period_seconds if spec is not None else None
    seconds = DEFAULT_GRACE_SECONDS if grace is None else grace
    if seconds > rule.notice_seconds:
        yield Reason(
            "gracePeriod",
            f"it may take {seconds} s to end, and a spot node goes {rule.notice_seconds} s after its notice",
            f"lower spec.terminationGracePeriodSeconds to {rule.notice_seconds}",
        )


def _disruption_budget(rule: Suitability, context: Context) -> Iterator[Reason]:
    budget = blocking_budget(context) if rule.uninterruptible else None
    if budget is not None:
        yield Reason(
            "disruptionBudget",
            f'PodDisruptionBudget "{budget.name}" never lets a pod go',
            f'set maxUnavailable: 1 in "{budget.name}", or run more replicas than it keeps available',
        )


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
