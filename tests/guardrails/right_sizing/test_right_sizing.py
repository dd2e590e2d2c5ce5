"""What right-sizing writes, rule by rule: start from one container under one VPA, and change one thing."""

from collections.abc import Collection
from typing import Any

import pytest

from tests.guardrails.right_sizing import _cluster as world
from webhook.cluster.view import HorizontalPodAutoscaler

Json = dict[str, Any]

TARGET = {"target": {"cpu": "200m", "memory": "300Mi"}, "lowerBound": {"memory": "250Mi"}}
OTHERS = {"nvidia.com/gpu": 1, "hugepages-2Mi": "4Mi", "ephemeral-storage": "1Gi"}
SMALL = {"requests": {"cpu": "100m", "memory": "128Mi"}}


def sized(
    had: Json | None = None,
    *,
    target: Json | None = None,
    mode: str | None = "Off",
    policies: tuple[Json, ...] = (),
    items: tuple[Json, ...] = (),
    hpas: tuple[HorizontalPodAutoscaler, ...] = (),
    spec: Json | None = None,
    **fields: object,
) -> tuple[Json, list[str]]:
    """Return the resources of the only container after a proposal, and the rules of the notices."""
    had = SMALL if had is None else had
    document = world.pod(world.container("app", had.get("requests"), had.get("limits")), **(spec or {}))
    cluster = world.World(
        world.vpa({"app": target or TARGET}, mode=mode, policies=policies), hpas, world.limit_range(*items)
    )
    after, _, findings = world.run(world.rule(**fields), document, cluster)
    return world.resources(after), [finding.rule for finding in findings]


def amounts(cpu: str, memory: str, cpu_limit: str | None = None, memory_limit: str | None = None) -> Json:
    made: Json = {"requests": {"cpu": cpu, "memory": memory}}
    limits = {name: value for name, value in (("cpu", cpu_limit), ("memory", memory_limit)) if value is not None}
    return {**made, "limits": limits} if limits else made


FULL = amounts("200m", "300Mi", "600m", "600Mi")

WRITTEN: dict[str, tuple[Json, Json]] = {
    "a request and a limit at the default headroom": ({}, FULL),
    "absent resources are added": ({"had": {}}, FULL),
    "a limit far above is lowered": ({"had": amounts("200m", "300Mi", "4", "8Gi")}, FULL),
    "a limit too close to the request is raised": ({"had": amounts("200m", "300Mi", "210m", "310Mi")}, FULL),
    "a limit the author set is kept with lowerLimits false": (
        {"had": amounts("200m", "300Mi", "4", "8Gi"), "lowerLimits": False},
        amounts("200m", "300Mi", "4", "8Gi"),
    ),
    "a limit too low is raised with lowerLimits false": (
        {"had": amounts("200m", "300Mi", "300m", "8Gi"), "lowerLimits": False},
        amounts("200m", "300Mi", "600m", "8Gi"),
    ),
    "headroom is exact: 2.3 x 1110m is 2553m, 1.1 x 10Mi is 11Mi": (
        {"target": {"target": {"cpu": "1110m", "memory": "10Mi"}}, "limitHeadroom": {"cpu": 2.3, "memory": "1.1"}},
        amounts("1110m", "10Mi", "2553m", "11Mi"),
    ),
    "memory limits are whole MiB, requests exact bytes": (
        {"target": {"target": {"cpu": "1", "memory": "100000001"}}},
        amounts("1", "100000001", "3", "191Mi"),
    ),
    "cpu requests finer than a millicore are rounded up": (
        {"target": {"target": {"cpu": "100100u", "memory": "300Mi"}}, "minChangePercent": 0},
        amounts("101m", "300Mi", "303m", "600Mi"),
    ),
    "headroom none leaves limits alone": (
        {"had": amounts("100m", "128Mi", "400m"), "limitHeadroom": "none"},
        amounts("200m", "300Mi", "400m"),
    ),
    "headroom none keeps a request within the limit that stays": (
        {"had": amounts("100m", "128Mi", "150m", "200Mi"), "limitHeadroom": "none"},
        amounts("150m", "200Mi", "150m", "200Mi"),
    ),
    "limitFloor": ({"limitFloor": {"cpu": "2", "memory": "1G"}}, amounts("200m", "300Mi", "2", "954Mi")),
    "limitMaximum bounds the limit": (
        {"limitMaximum": {"cpu": "500m", "memory": "500M"}},
        amounts("200m", "300Mi", "500m", "476Mi"),
    ),
    "limitMaximum bounds a larger recommendation": (
        {"limitMaximum": {"cpu": "150m"}},
        amounts("150m", "300Mi", "150m", "600Mi"),
    ),
    "limitMaximum leaves the limit beside a larger own request": (
        {"had": amounts("1", "128Mi", "2"), "target": {"target": {"cpu": "1"}}, "limitMaximum": {"cpu": "500m"}},
        amounts("1", "128Mi", "2"),
    ),
    "minimum raises the recommendation": ({"minimum": {"cpu": "250m"}}, amounts("250m", "300Mi", "750m", "600Mi")),
    "maximum lowers the recommendation": ({"maximum": {"cpu": "150m"}}, amounts("150m", "300Mi", "450m", "600Mi")),
    "maximum by itself never lowers the author's request": (
        {"had": amounts("180m", "300Mi"), "maximum": {"cpu": "150m"}},
        amounts("180m", "300Mi", "540m", "600Mi"),
    ),
    "a change under 5 per cent is none, and the limit follows the author's request": (
        {"had": amounts("191m", "314Mi")},
        amounts("191m", "314Mi", "573m", "628Mi"),
    ),
    "a change of 5 per cent is one": (
        {"had": amounts("200m", "300Mi"), "target": {"target": {"cpu": "190m"}}},
        amounts("190m", "300Mi", "570m"),
    ),
    "minChangePercent 0 follows every change": ({"had": amounts("199m", "301Mi"), "minChangePercent": 0}, FULL),
    "missing fills in absent requests only": (
        {"had": {"requests": {"cpu": "100m"}}, "when": "missing"},
        amounts("100m", "300Mi", "300m", "600Mi"),
    ),
    "oversized lowers": ({"had": amounts("1", "1Gi"), "when": "oversized"}, FULL),
    "oversized never raises": ({"when": "oversized"}, amounts("100m", "128Mi", "300m", "256Mi")),
    "oversized never adds": ({"had": {"requests": {}}, "when": "oversized"}, {"requests": {}}),
    "lowerBound": (
        {"target": {**TARGET, "lowerBound": {"cpu": "50m", "memory": "200Mi"}}, "recommendation": "lowerBound"},
        amounts("50m", "200Mi", "150m", "400Mi"),
    ),
    "upperBound": (
        {"target": {**TARGET, "upperBound": {"cpu": "1", "memory": "1Gi"}}, "recommendation": "upperBound"},
        amounts("1", "1Gi", "3", "2Gi"),
    ),
    "uncappedTarget ignores maxAllowed": (
        {
            "target": {**TARGET, "uncappedTarget": {"cpu": "2", "memory": "2Gi"}},
            "recommendation": "uncappedTarget",
            "policies": ({"containerName": "app", "maxAllowed": {"cpu": "1", "memory": "1Gi"}},),
        },
        amounts("2", "2Gi", "6", "4Gi"),
    ),
    "a recommendation of one resource touches that one only": (
        {"target": {"target": {"cpu": "200m"}}},
        amounts("200m", "128Mi", "600m"),
    ),
    "lowered memory never falls below lowerBound": (
        {"had": amounts("200m", "1Gi"), "maximum": {"memory": "64Mi"}},
        amounts("200m", "250Mi", "600m", "500Mi"),
    ),
    "an absent request beside a limit is the limit, and is written with the new limit": (
        {"had": {"limits": {"cpu": "200m"}}, "target": {"target": {"cpu": "200m"}}, "spec": {"initContainers": []}},
        {"limits": {"cpu": "600m"}, "requests": {"cpu": "200m"}},
    ),
    "the policy of the exact name wins over *": (
        {
            "policies": (
                {"containerName": "app", "maxAllowed": {"cpu": "150m"}},
                {"containerName": "*", "maxAllowed": {"cpu": "50m", "memory": "50Mi"}},
            )
        },
        amounts("150m", "300Mi", "450m", "600Mi"),
    ),
    "minAllowed above maxAllowed: max wins": (
        {"policies": ({"containerName": "*", "minAllowed": {"cpu": "1"}, "maxAllowed": {"cpu": "500m"}},)},
        amounts("500m", "300Mi", "1500m", "600Mi"),
    ),
    "controlledResources": (
        {"policies": ({"containerName": "*", "controlledResources": ["memory"]},)},
        amounts("100m", "300Mi", memory_limit="600Mi"),
    ),
    "RequestsOnly keeps limits, and requests within them": (
        {
            "had": amounts("100m", "128Mi", "150m", "8Gi"),
            "policies": ({"containerName": "*", "controlledValues": "RequestsOnly"},),
        },
        amounts("150m", "300Mi", "150m", "8Gi"),
    ),
    "LimitRange max bounds limit and request": (
        {
            "items": ({"type": "Container", "max": {"cpu": "150m", "memory": "500M"}},),
            "had": amounts("100m", "128Mi", "150m", "200Mi"),
        },
        amounts("150m", "300Mi", "150m", "476Mi"),
    ),
    "a computed limit that equals the LimitRange default is written": (
        {"had": {}, "items": ({"type": "Container", "max": {"cpu": "400m"}},)},
        amounts("200m", "300Mi", "400m", "600Mi"),
    ),
    "a LimitRange default that stays is not written": (
        {"had": {}, "items": ({"type": "Container", "default": {"cpu": "400m"}},), "limitHeadroom": "none"},
        amounts("200m", "300Mi"),
    ),
    "a LimitRange max does not freeze requests by the old ratio": (
        {"had": amounts("100m", "128Mi", "300m", "1Gi"), "items": ({"type": "Container", "max": {"cpu": "300m"}},)},
        amounts("200m", "300Mi", "300m", "600Mi"),
    ),
    "several LimitRanges: highest min, lowest max, lowest ratio": (
        {
            "had": amounts("400m", "300Mi", "600m", "310Mi"),
            "items": (
                {"type": "Container", "min": {"cpu": "300m"}, "max": {"cpu": "4"}},
                {"type": "Container", "min": {"cpu": "20m"}, "max": {"cpu": "3"}},
                {"type": "Container", "maxLimitRequestRatio": {"cpu": "2", "memory": "4"}},
                {"type": "Container", "maxLimitRequestRatio": {"cpu": "3", "memory": "1.5"}},
            ),
        },
        amounts("300m", "300Mi", "600m", "450Mi"),
    ),
    "a ratio that floating point rounds up is not used to the full": (
        {
            "target": {"target": {"cpu": "2450m", "memory": "300Mi"}},
            "limitHeadroom": {"cpu": 40},
            "items": ({"type": "Container", "maxLimitRequestRatio": {"cpu": "32.2"}},),
        },
        amounts("2450m", "300Mi", "78889m", "600Mi"),
    ),
    "a kept limit holds the request up within the ratio": (
        {
            "had": amounts("500m", "300Mi", "1", "600Mi"),
            "lowerLimits": False,
            "items": ({"type": "Container", "maxLimitRequestRatio": {"cpu": "4"}},),
        },
        amounts("250m", "300Mi", "1", "600Mi"),
    ),
    "Pod max: headroom shrinks first": (
        {"had": amounts("100m", "128Mi", "200m", "200Mi"), "items": ({"type": "Pod", "max": {"cpu": "400m"}},)},
        amounts("200m", "300Mi", "400m", "600Mi"),
    ),
    "Pod max: requests shrink last": (
        {"had": amounts("100m", "128Mi", "120m", "200Mi"), "items": ({"type": "Pod", "max": {"cpu": "150m"}},)},
        amounts("150m", "300Mi", "150m", "600Mi"),
    ),
    "Pod min is rounded up": (
        {"had": amounts("1", "1Gi", "2", "2Gi"), "items": ({"type": "Pod", "min": {"memory": "314572801"}},)},
        amounts("200m", "314572801", "600m", "601Mi"),
    ),
    "Guaranteed pods with whole CPUs keep them whole under a Pod max": (
        {
            "had": amounts("2", "300Mi", "2", "300Mi"),
            "guaranteedPods": "resize",
            "target": {"target": {"cpu": "4", "memory": "300Mi"}},
            "items": ({"type": "Pod", "max": {"cpu": "3500m"}},),
        },
        amounts("3", "300Mi", "3", "300Mi"),
    ),
    "Guaranteed pods under RequestsOnly can only stay as they are": (
        {
            "had": amounts("2", "1Gi", "2", "1Gi"),
            "guaranteedPods": "resize",
            "policies": ({"containerName": "*", "controlledValues": "RequestsOnly"},),
        },
        amounts("2", "1Gi", "2", "1Gi"),
    ),
    "and so under an acting VPA": (
        {
            "mode": "Auto",
            "had": amounts("2", "1Gi", "2", "1Gi"),
            "guaranteedPods": "resize",
            "policies": ({"containerName": "*", "controlledValues": "RequestsOnly"},),
        },
        amounts("2", "1Gi", "2", "1Gi"),
    ),
    "Guaranteed pods stay so with resize": (
        {"had": amounts("150m", "1Gi", "150m", "1Gi"), "guaranteedPods": "resize"},
        amounts("200m", "300Mi", "200m", "300Mi"),
    ),
    "whole CPUs of Guaranteed pods stay whole": (
        {
            "had": amounts("4", "300Mi", "4", "300Mi"),
            "guaranteedPods": "resize",
            "target": {"target": {"cpu": "2100m", "memory": "300Mi"}},
        },
        amounts("3", "300Mi", "3", "300Mi"),
    ),
    "whole CPUs that need no change are left": (
        {
            "had": amounts("4", "300Mi", "4", "300Mi"),
            "guaranteedPods": "resize",
            "target": {"target": {"cpu": "3900m", "memory": "600Mi"}},
        },
        amounts("4", "600Mi", "4", "600Mi"),
    ),
    "an acting VPA: its target whatever the rule's bounds say, and our limits": (
        {
            "mode": "Recreate",
            "had": amounts("199m", "299Mi"),
            "when": "missing",
            "maximum": {"cpu": "50m"},
            "recommendation": "upperBound",
        },
        FULL,
    ),
    "absent updateMode is an acting VPA": ({"mode": None, "when": "oversized"}, FULL),
    "Initial is not an acting VPA": (
        {"mode": "Initial", "maximum": {"cpu": "150m"}},
        amounts("150m", "300Mi", "450m", "600Mi"),
    ),
    "an acting VPA and headroom none: the limit is raised to the request at most": (
        {"mode": "Auto", "had": amounts("100m", "128Mi", "150m"), "limitHeadroom": "none"},
        amounts("200m", "300Mi", "200m"),
    ),
    "other resources stay": (
        {"had": {"requests": dict(OTHERS), "limits": dict(OTHERS)}},
        {"requests": {**OTHERS, **FULL["requests"]}, "limits": {**OTHERS, **FULL["limits"]}},
    ),
}


@pytest.mark.parametrize("name", WRITTEN)
def test_written(name: str) -> None:
    arguments, expected = WRITTEN[name]
    assert sized(**arguments) == (expected, [])


def hpa(resources: Collection[str] = (), pairs: Collection[tuple[str, str]] = ()) -> HorizontalPodAutoscaler:
    return HorizontalPodAutoscaler(
        namespace="shop",
        name="web-hpa",
        target_kind="Deployment",
        target_name="web",
        utilization_resources=frozenset(resources),
        container_utilization=frozenset(pairs),
    )


NOTICED: dict[str, tuple[Json, Json, list[str]]] = {
    "an HPA on cpu utilisation keeps cpu": (
        {"hpas": (hpa({"cpu"}),)},
        amounts("100m", "300Mi", memory_limit="600Mi"),
        ["hpaManaged"],
    ),
    "an HPA on one container's memory keeps that": (
        {"hpas": (hpa(pairs={("app", "memory")}),)},
        amounts("200m", "128Mi", "600m"),
        ["hpaManaged"],
    ),
    "an HPA on another container's cpu keeps nothing": ({"hpas": (hpa(pairs={("proxy", "cpu")}),)}, FULL, []),
    "hpaManaged resize": ({"hpas": (hpa({"cpu"}),), "hpaManaged": "resize"}, FULL, []),
    "Guaranteed pods are skipped": (
        {"had": amounts("1", "1Gi", "1", "1Gi")},
        amounts("1", "1Gi", "1", "1Gi"),
        ["guaranteed"],
    ),
    "Guaranteed by limits alone": (
        {"had": {"limits": {"cpu": "1", "memory": "1Gi"}}},
        {"limits": {"cpu": "1", "memory": "1Gi"}},
        ["guaranteed"],
    ),
    "Windows by os": ({"spec": {"os": {"name": "windows"}}}, SMALL, ["windows"]),
    "Windows by node selector": ({"spec": {"nodeSelector": {"kubernetes.io/os": "windows"}}}, SMALL, ["windows"]),
    "Linux by node selector": ({"spec": {"nodeSelector": {"kubernetes.io/os": "linux"}}}, FULL, []),
    "pod-level resources": ({"spec": {"resources": {"limits": {"cpu": "1"}}}}, SMALL, ["podLevelResources"]),
    "a limit of zero stays": (
        {"had": {"limits": {"cpu": "0"}}},
        {"limits": {"cpu": "0", "memory": "600Mi"}, "requests": {"memory": "300Mi"}},
        ["zeroLimit"],
    ),
    "a malformed recommendation counts as absent": (
        {"target": {"target": {"cpu": "1e1.5", "memory": "300Mi"}}},
        amounts("100m", "300Mi", memory_limit="600Mi"),
        ["malformedRecommendation"],
    ),
    "a negative recommendation counts as absent": (
        {"target": {"target": {"cpu": "-1", "memory": "300Mi"}}},
        amounts("100m", "300Mi", memory_limit="600Mi"),
        ["malformedRecommendation"],
    ),
    "a malformed bound is no bound": (
        {"policies": ({"containerName": "*", "maxAllowed": {"cpu": "lots"}},)},
        FULL,
        ["malformedRecommendation"],
    ),
    "a malformed request leaves the container": (
        {"had": {"requests": {"cpu": "much"}}},
        {"requests": {"cpu": "much"}},
        ["malformedResources"],
    ),
    "oversized never raises, not even for a Pod minimum": (
        {"had": amounts("1", "1Gi"), "when": "oversized", "items": ({"type": "Pod", "min": {"cpu": "2"}},)},
        amounts("1", "1Gi"),
        ["clampFailed"],
    ),
    "a result that would be refused leaves the pod": (
        {
            "mode": "Auto",
            "policies": ({"containerName": "*", "minAllowed": {"cpu": "4"}},),
            "had": amounts("100m", "128Mi", "1", "1Gi"),
            "items": ({"type": "Container", "max": {"cpu": "2"}},),
        },
        amounts("100m", "128Mi", "1", "1Gi"),
        ["clampFailed"],
    ),
}


@pytest.mark.parametrize("name", NOTICED)
def test_noticed(name: str) -> None:
    arguments, expected, rules = NOTICED[name]
    assert sized(**arguments) == (expected, rules)
