"""What right-sizing says when it leaves something alone: one line each, with a cure. None of it ever refuses a pod."""

from typing import Final

from webhook.guardrails._contract import Finding

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
        cure=f"let {hpa!r} follow averageValue instead of averageUtilization, or set rightSizing.hpaManaged: resize",
        notice=True,
    )


def guaranteed() -> Finding:
    """The pod's QoS class is Guaranteed."""
    return Finding(
        rule="guaranteed",
        message="the pod is of QoS class Guaranteed (every limit equals its request) and is left as written",
        cure="set rightSizing.guaranteedPods: resize to change requests and limits together",
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


def clamp_failed(reason: str) -> Finding:
    """No values were found that the API server would accept."""
    return Finding(
        rule="clampFailed",
        message=f"sized by its recommendation the pod would be refused, and is left as written: {reason}",
        cure="bring the pod, the VerticalPodAutoscaler's minAllowed and maxAllowed, and the LimitRange in line",
        notice=True,
    )
