"""What right-sizing says when it leaves something alone: one line each, with a cure. None of it ever refuses a pod."""

from collections.abc import Sequence
from typing import Final

from webhook.cluster.matching import created
from webhook.cluster.view import VerticalPodAutoscaler
from webhook.guardrails.base.contract import Finding
from webhook.guardrails.right_sizing.room import Room
from webhook.guardrails.right_sizing.rule import RESOURCES
from webhook.kube.containers import MOST_CONTAINERS
from webhook.kube.quantity import format_cpu, format_memory

RULES: Final = (
    "noRecommendation",
    "malformedRecommendation",
    "malformedResources",
    "hpaManaged",
    "guaranteed",
    "windows",
    "podLevelResources",
    "zeroLimit",
    "clampFailed",
    "quotaLimited",
    "tooManyContainers",
    "severalVpas",
    "startupBoost",
    "hpaWithoutRequest",
    "aboveEveryNode",
)
"""Every rule a notice may carry."""


def no_recommendation(vpa: str) -> Finding:
    """The VPA has no recommendation yet."""
    return Finding(
        rule="noRecommendation",
        message=f"VerticalPodAutoscaler {vpa!r} has no recommendation yet; requests and limits are left as written",
        cure=f"wait until `kubectl describe vpa {vpa}` shows a recommendation, and check that its recommender runs",
        notice=True,
    )


def malformed_resources(container: str) -> Finding:
    """A quantity of the container cannot be read."""
    return Finding(
        rule="malformedResources",
        message=f"container {container!r}: a cpu or memory quantity is malformed or negative; it is left as written",
        cure="write quantities such as 250m or 128Mi; the API server refuses the pod as it is",
        notice=True,
    )


def hpa_managed(container: str, resource: str, hpa: str, scaled_object: str = "") -> Finding:
    """The utilisation of the resource drives an HPA.

    Args:
        container: its name.
        resource: cpu or memory.
        hpa: the autoscaler, as people name it.
        scaled_object: name of the ScaledObject that it is made of; empty where it is an HPA of its own.
    """
    other = (
        "set metricType: AverageValue in its trigger"
        if scaled_object
        else "let it follow averageValue instead of averageUtilization"
    )
    return Finding(
        rule="hpaManaged",
        message=f"container {container!r}: {resource} is left as written, because {hpa} follows its utilization",
        cure=f"{other}, or set rightSizing.hpaManaged: resize in the policy",
        notice=True,
    )


def hpa_without_request(container: str, resource: str, hpa: str) -> Finding:
    """An HPA cannot compute its utilisation, and nothing is recommended that could be filled in."""
    return Finding(
        rule="hpaWithoutRequest",
        message=f"container {container!r} has no {resource} request and no recommendation for one, so {hpa} cannot "
        "compute the utilization that it follows",
        cure=f"set requests.{resource} of the container",
        notice=True,
    )


def startup_boost(container: str, vpa: str) -> Finding:
    """VPA gives the container more CPU while it starts."""
    return Finding(
        rule="startupBoost",
        message=f"container {container!r}: cpu is left as it is, because VerticalPodAutoscaler {vpa!r} boosts it while "
        "the container starts",
        cure=f"remove startupBoost from {vpa!r} to have its cpu sized here",
        notice=True,
    )


def several_vpas(found: Sequence[VerticalPodAutoscaler], target: str) -> Finding:
    """Several VPAs have one target. Where all but one only recommend beside the one that acts, as tools that make them
    for every workload have it, nobody who applies a pod has to know."""
    first, others = found[0], found[1:]
    return Finding(
        rule="severalVpas",
        message=f"{contest(found)} have {target} as target; {first.name!r} counts, {why_first(found)}",
        cure="keep one of them, or give the others another targetRef",
        notice=True,
        quiet=first.acts and all(each.update_mode == "Off" for each in others),
    )


_MOST_NAMED: Final = 5


def contest(found: Sequence[VerticalPodAutoscaler]) -> str:
    """Return the names of VPAs with one target, in words."""
    names = [repr(each.name) for each in found[:_MOST_NAMED]]
    if len(found) > _MOST_NAMED:
        names.append(f"{len(found) - _MOST_NAMED} more")
    return f"VerticalPodAutoscalers {', '.join(names[:-1])} and {names[-1]}"


def why_first(found: Sequence[VerticalPodAutoscaler]) -> str:
    """Return why the first of several VPAs counts."""
    first, second = found[0], found[1]
    if first.acts and not second.acts:
        return f"because it acts (updateMode {first.update_mode or 'Recreate'}), and {second.name!r} only recommends"
    if created(first.creation_timestamp) != created(second.creation_timestamp):
        return f"because it is older than {second.name!r}"
    return "because its name comes first"


def bound(vpa: str, *, acts: bool, is_capped: bool) -> str:
    """Return what bounds the recommendation that is applied.

    Args:
        vpa: name of the VPA.
        acts: whether VPA applies it itself; then the policy's bounds have no say.
        is_capped: whether the VPA's own bounds count.
    """
    own = f"maxAllowed of VerticalPodAutoscaler {vpa!r}"
    if acts:
        return own
    return f"rightSizing.maximum or {own}" if is_capped else "rightSizing.maximum"


def above_every_node(asked: tuple[int, int], nearest: Room, bounded_by: str) -> Finding:
    """No node of the cluster is large enough for the pod."""
    return Finding(
        rule="aboveEveryNode",
        message=f"with its recommendation the pod asks for {format_cpu(asked[0])} CPU and "
        f"{format_memory(asked[1])} of memory, more than any node has for pods; the largest, {nearest.node!r}, has "
        f"{format_cpu(nearest.cpu)} and {format_memory(nearest.memory)}",
        cure=f"set {bounded_by} to what a node has, or add larger nodes",
        notice=True,
    )


def guaranteed() -> Finding:
    """The pod's QoS class is Guaranteed."""
    return Finding(
        rule="guaranteed",
        message="the pod is of QoS class Guaranteed (every limit equals its request) and is left as written",
        cure="set limits above requests, or set rightSizing.guaranteedPods: resize in the policy to have both changed "
        "together",
        notice=True,
    )


def windows() -> Finding:
    """The pod runs on Windows."""
    return Finding(
        rule="windows",
        message="the pod runs on Windows, where memory limits are hard caps, and is left as written",
        cure="size its containers by hand; exclude Windows workloads from rightSizing to silence this",
        notice=True,
    )


def too_many_containers() -> Finding:
    """The pod has more containers than are sized."""
    return Finding(
        rule="tooManyContainers",
        message=f"the pod has more than {MOST_CONTAINERS} containers and is left as written",
        cure="spread them over several pods",
        notice=True,
    )


def pod_level_resources() -> Finding:
    """The pod has ``spec.resources``."""
    return Finding(
        rule="podLevelResources",
        message="the pod sets spec.resources for all its containers together and is left as written",
        cure="size spec.resources by hand, or move requests and limits into the containers",
        notice=True,
    )


def zero_limit(container: str, resource: str) -> Finding:
    """The author set a limit of zero."""
    return Finding(
        rule="zeroLimit",
        message=f"container {container!r}: the {resource} limit is 0, so its {resource} is left as written",
        cure=f"remove the {resource} limit, or set the one that is meant",
        notice=True,
    )


_SHORT_OF_QUOTA: Final = "raise the ResourceQuota, delete what its namespace no longer needs, or lower "


def quota_cut(quota: str, resource: int) -> Finding:
    """The headroom of the limits was cut to what a quota has left."""
    return Finding(
        rule="quotaLimited",
        message=f"{RESOURCES[resource]} limits have less headroom than they should, because ResourceQuota {quota!r} "
        "has no more left",
        cure=f"{_SHORT_OF_QUOTA}rightSizing.limitHeadroom",
        notice=True,
    )


def quota_left(quota: str, key: str, resource: int, bounded_by: str, *, is_limit: bool) -> Finding:
    """A quota has no place for what one resource would become; of a limit, not even with less headroom."""
    less = f"{bounded_by}, and rightSizing.limitHeadroom" if is_limit else bounded_by
    return Finding(
        rule="quotaLimited",
        message=f"{RESOURCES[resource]} is left as written: sized by its recommendation the pod would exceed {key} of "
        f"ResourceQuota {quota!r}",
        cure=f"{_SHORT_OF_QUOTA}{less}",
        notice=True,
    )


def quota_refuses(quota: str) -> Finding:
    """A quota would count the pod only once it is sized, and refuse it."""
    return Finding(
        rule="quotaLimited",
        message=f"the pod is left as written: sized by its recommendation it would be counted by ResourceQuota "
        f"{quota!r}, which has no place for it or wants a value in every container",
        cure="set requests and limits of all containers, or raise the ResourceQuota",
        notice=True,
    )


def clamp_failed(reason: str) -> Finding:
    """No values were found that the API server would accept."""
    return Finding(
        rule="clampFailed",
        message=f"sized by its recommendation the pod would be refused, and is left as written: {reason}",
        cure="bring the pod, the VerticalPodAutoscaler's minAllowed and maxAllowed, and the LimitRange in line",
        notice=True,
    )
