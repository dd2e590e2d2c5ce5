"""What right-sizing says when it leaves something alone: one line each, with a cure. None of it ever refuses a pod."""

from typing import Final

from webhook.guardrails._contract import Finding
from webhook.guardrails._sizing.rule import RESOURCES
from webhook.kube.containers import MOST_CONTAINERS

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


def hpa_managed(container: str, resource: str, hpa: str) -> Finding:
    """The utilisation of the resource drives an HPA."""
    return Finding(
        rule="hpaManaged",
        message=f"container {container!r}: {resource} is left as written, because HorizontalPodAutoscaler {hpa!r} "
        "follows its utilization",
        cure=f"let {hpa!r} follow averageValue instead of averageUtilization, or set rightSizing.hpaManaged: resize in "
        "the policy",
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


_SHORT_OF_QUOTA: Final = "raise the ResourceQuota, delete what its namespace no longer needs, or lower limitHeadroom"


def quota_cut(quota: str, resource: int) -> Finding:
    """The headroom of the limits was cut to what a quota has left."""
    return Finding(
        rule="quotaLimited",
        message=f"{RESOURCES[resource]} limits have less headroom than they should, because ResourceQuota {quota!r} "
        "has no more left",
        cure=_SHORT_OF_QUOTA,
        notice=True,
    )


def quota_left(quota: str, key: str, resource: int) -> Finding:
    """A quota has no place for what one resource would become."""
    return Finding(
        rule="quotaLimited",
        message=f"{RESOURCES[resource]} is left as written: sized by its recommendation the pod would exceed {key} of "
        f"ResourceQuota {quota!r}",
        cure=_SHORT_OF_QUOTA,
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
