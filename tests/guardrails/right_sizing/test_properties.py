"""Right-sizing over generated pods, VPAs, LimitRanges and rules, judged by an independent model of the API server.

A whole world is drawn from one seed: a hundred times faster than drawing each value, and a failure names its seed.
"""

from collections.abc import Callable
from copy import deepcopy
from random import Random
from typing import Any, NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.guardrails import _api_rules as api
from tests.guardrails.right_sizing import _cluster as world
from webhook.cluster.view import HorizontalPodAutoscaler, VerticalPodAutoscaler
from webhook.guardrails.right_sizing import originals

Json = dict[str, Any]

AMOUNTS: dict[str, list[Any]] = {
    "cpu": ["50m", "100m", "250m", "0.5", "1", "1500m", 2, "4"],
    "memory": ["64Mi", "100M", "128Mi", "200000001", "256Mi", "512Mi", "1Gi", "1500Mi", "4Gi"],
}
NAMES = ["app", "proxy", "job"]

seeds = given(st.integers(0, 2**48))


class Case(NamedTuple):
    """One generated world."""

    pod: Json
    vpa: VerticalPodAutoscaler
    items: list[Json]
    rule: Json
    hpas: list[HorizontalPodAutoscaler]
    quotas: list[Json]

    def run(self, document: Json, items: list[Json] | None = None) -> tuple[Json, list[Json], list[str]]:
        """Propose on a document; the limit ranges of the case hold unless others are given."""
        ranges = world.limit_range(*(self.items if items is None else items))
        cluster = world.World(self.vpa, self.hpas, ranges, world.quotas(*self.quotas))
        after, operations, findings = world.run(world.rule(**self.rule), document, cluster)
        return after, operations, [finding.rule for finding in findings]


def case(seed: int, *, quiet: bool = False) -> Case:
    """Draw a world. `quiet` leaves out LimitRanges and HPAs."""
    random = Random(seed)  # noqa: S311  not for secrets
    items = [] if quiet else _limit_ranges(random)
    hpas = []
    if not quiet and random.random() < 0.2:
        hpas.append(
            HorizontalPodAutoscaler(
                namespace="shop",
                name="web-hpa",
                target_kind="Deployment",
                target_name="web",
                utilization_resources=frozenset(random.choice([[], ["cpu"]])),
                container_utilization=frozenset(random.choice([[], [("app", "memory")]])),
            )
        )
    pod = _pod(random)
    vpa, rule = _vpa(random), _rule(random)
    return Case(pod, vpa, items, rule, hpas, [] if quiet else _quotas(random, pod))


def _map(random: Random, chance: float = 0.75) -> Json:
    return {name: random.choice(values) for name, values in AMOUNTS.items() if random.random() < chance}


def _container(random: Random, name: str) -> Json:
    requests: Json = {}
    limits: Json = {}
    for resource, values in AMOUNTS.items():
        shape = random.choice(["none", "request", "limit", "both", "both", "equal"])
        low, high = sorted(random.choices(values, k=2), key=api.amount)
        if shape in ("request", "both"):
            requests[resource] = low
        if shape in ("limit", "both", "equal"):
            limits[resource] = high
        if shape == "equal":
            requests[resource] = high
    if random.random() < 0.2:
        requests["nvidia.com/gpu"] = limits["nvidia.com/gpu"] = "1"
    resources: Json = {}
    if requests or random.random() < 0.5:
        resources["requests"] = requests
    if limits or random.random() < 0.5:
        resources["limits"] = limits
    if random.random() < 0.2:
        resources["claims"] = [{"name": "device"}]
    return {"name": name, "resources": resources} if resources else {"name": name}


def _guaranteed_container(random: Random, name: str) -> Json:
    values = _map(random, 1)
    return {"name": name, "resources": {"requests": dict(values), "limits": dict(values)}}


def _pod(random: Random) -> Json:
    make: Callable[[Random, str], Json] = _guaranteed_container if random.random() < 0.2 else _container
    regular = [make(random, name) for name in NAMES[: random.randint(1, 3)]]
    init = []
    for name in ["setup", "mesh"][: random.randint(0, 2)]:
        made = make(random, name)
        if random.random() < 0.5:
            made["restartPolicy"] = "Always"
        init.append(made)
    return world.pod(*regular, init=init, annotations=random.choice([None, {"team": "a"}]))


def _vpa(random: Random) -> VerticalPodAutoscaler:
    fields = ("target", "lowerBound", "upperBound", "uncappedTarget")
    recommendations = {
        name: {field: _map(random) for field in fields}
        for name in [*NAMES, "mesh", "setup", "gone"]
        if random.random() < 0.75
    }
    policies = []
    for _ in range(random.choice([0, 0, 1, 2])):
        policy: Json = {"containerName": random.choice(["*", "app", "proxy"])}
        optional: Json = {
            "mode": random.choice(["Auto", "Auto", "Off"]),
            "controlledValues": random.choice(["RequestsOnly", "RequestsAndLimits"]),
            "controlledResources": random.choice([["cpu"], ["memory"], ["cpu", "memory"]]),
            "minAllowed": _map(random, 0.5),
            "maxAllowed": _map(random, 0.5),
        }
        policy.update({key: value for key, value in optional.items() if random.random() < 0.5})
        policies.append(policy)
    return world.vpa(recommendations, mode=random.choice(["Off", "Off", "Initial", "Auto", None]), policies=policies)


def _limit_ranges(random: Random) -> list[Json]:
    choices: dict[str, dict[str, list[str]]] = {
        "max": {"cpu": ["2", "4", "8", "12"], "memory": ["1Gi", "1500M", "4Gi", "12Gi"]},
        "min": {"cpu": ["10m", "60m", "250m"], "memory": ["16Mi", "100M", "256Mi"]},
        "maxLimitRequestRatio": {key: ["1", "1.1", "2", "4", "40"] for key in ("cpu", "memory")},
    }
    items = []
    for _ in range(random.choice([0, 1, 2])):
        item: Json = {"type": random.choice(["Container", "Pod"])}
        for field, resources in choices.items():
            for resource, values in resources.items():
                if random.random() < 0.3:
                    item.setdefault(field, {})[resource] = random.choice(values)
        items.append(item)
    return items


_SCOPES: list[Any] = [
    ("NotBestEffort",),
    ("BestEffort",),
    ("Terminating",),
    ("NotTerminating",),
    ("PriorityClass", "In", ("high",)),
    ("PriorityClass", "DoesNotExist", ()),
    ("PriorityClass", "NotIn", ("high",)),
    ("PriorityClass", "Exists", ()),
]


def _quotas(random: Random, pod: Json) -> list[Json]:
    """Draw quotas, and for some the fields of the pod that their scopes read."""
    amounts = {"cpu": ["500m", "1", "2500m", "6", "20"], "memory": ["200Mi", "1Gi", "2500M", "8Gi", "40Gi"]}
    quotas = []
    for number in range(random.choice([0, 0, 1, 2])):
        hard: Json = {}
        for resource, values in amounts.items():
            for key in (resource, f"requests.{resource}", f"limits.{resource}"):
                if random.random() < 0.4:
                    hard[key] = random.choice(values)
        if random.random() < 0.3:
            hard[random.choice(["pods", "count/pods"])] = random.choice(["1", "5"])
        used = {key: "1" if "pods" in key or "cpu" in key else "100Mi" for key in hard if random.random() < 0.5}
        scopes = [random.choice(_SCOPES)] if random.random() < 0.5 else []
        quotas.append({"name": f"quota-{number}", "hard": hard, "used": used, "scopes": scopes})
    if quotas and random.random() < 0.3:
        pod["spec"]["overhead"] = {"cpu": "250m", "memory": "120Mi"}
    if quotas and random.random() < 0.3:
        pod["spec"]["priorityClassName"] = random.choice(["high", "low"])
    if quotas and random.random() < 0.2:
        pod["spec"]["activeDeadlineSeconds"] = 60
    return quotas


def _rule(random: Random) -> Json:
    factors = [1, 1.1, 2, 2.5, 3, 20, "none"]
    fields: Json = {
        "recommendation": random.choice(["target", "target", "lowerBound", "upperBound", "uncappedTarget"]),
        "when": random.choice(["always", "always", "missing", "oversized"]),
        "limitHeadroom": {"cpu": random.choice(factors), "memory": random.choice(factors)},
        "lowerLimits": random.choice([True, False]),
        "minChangePercent": random.choice([0, 5, 50, 100]),
        "guaranteedPods": random.choice(["skip", "resize"]),
        "hpaManaged": random.choice(["skip", "resize"]),
    }
    if random.random() < 0.3:
        fields["limitFloor"] = {"cpu": "300m", "memory": "100M"}
        fields["limitMaximum"] = {"cpu": "1800m", "memory": "1000M"}
    if random.random() < 0.3:
        fields["minimum"] = {"cpu": "70m", "memory": "80Mi"}
        fields["maximum"] = {"cpu": "1", "memory": "900Mi"}
    return fields


@seeds
@settings(max_examples=300, deadline=None)
def test_an_acceptable_pod_stays_acceptable_and_guaranteed_and_a_second_pass_changes_nothing(seed: int) -> None:
    drawn = case(seed)
    before = deepcopy(drawn.pod)
    after, operations, _ = drawn.run(drawn.pod)

    if operations:
        assert set(api.refusals(after, drawn.items)) <= set(api.refusals(before, drawn.items))
        if not api.refusals(before, drawn.items):  # Else no quota is ever asked.
            refused = api.quota_refusals(before, drawn.items, drawn.quotas)
            assert set(api.quota_refusals(after, drawn.items, drawn.quotas)) <= set(refused)
    else:
        assert after == before
    if api.qos(before, drawn.items) == "Guaranteed":
        assert api.qos(after, drawn.items) == "Guaranteed"
    again, second, _ = drawn.run(after)
    assert second == []
    assert again == after


@seeds
@settings(max_examples=150, deadline=None)
def test_nothing_but_cpu_and_memory_of_running_containers_is_touched(seed: int) -> None:
    drawn = case(seed)
    after, _, _ = drawn.run(drawn.pod)

    assert _without_sizes(after) == _without_sizes(drawn.pod)
    for item in drawn.pod["spec"].get("initContainers", ()):
        if item.get("restartPolicy") != "Always":
            assert world.resources(after, item["name"]) == item.get("resources", {})


@seeds
@settings(max_examples=150, deadline=None)
def test_a_sidecar_added_between_two_passes_gives_what_one_pass_would_have_given(seed: int) -> None:
    drawn = case(seed, quiet=True)
    sidecar = _container(Random(seed), "mesh-proxy")  # noqa: S311  not for secrets

    first, _, _ = drawn.run(drawn.pod)
    first["spec"]["containers"].append(sidecar)
    twice, _, _ = drawn.run(first)
    drawn.pod["spec"]["containers"].append(sidecar)
    once, _, _ = drawn.run(drawn.pod)

    assert _numbers(twice) == _numbers(once)


@seeds
@settings(max_examples=150, deadline=None)
def test_limits_written_are_at_least_the_request_and_follow_headroom_where_nothing_else_bounds_them(seed: int) -> None:
    drawn = case(seed, quiet=True)
    plain = drawn._replace(rule={"limitHeadroom": {"cpu": 2.5, "memory": 2}, "guaranteedPods": "skip"})
    after, operations, _ = plain.run(plain.pod)

    for operation in operations:
        parts = operation["path"].split("/")
        if parts[-2:-1] == ["limits"]:
            container = after["spec"][parts[2]][int(parts[3])]
            unit, factor = ("1m", "2.5") if parts[-1] == "cpu" else ("1Mi", "2")
            limit = api.amount(operation["value"])
            exact = api.amount(container["resources"]["requests"][parts[-1]]) * api.amount(factor)
            assert exact <= limit < exact + api.amount(unit)


def _numbers(document: Json) -> list[Json]:
    """Requests and limits of all containers, as numbers."""
    return [
        {field: {name: api.amount(raw) for name, raw in item.get("resources", {}).get(field, {}).items()}}
        for item in [*document["spec"].get("initContainers", ()), *document["spec"]["containers"]]
        for field in ("requests", "limits")
    ]


def _without_sizes(document: Json) -> Json:
    """Everything but the cpu and memory of containers, and the annotation."""
    rest = deepcopy(document)
    annotations = rest["metadata"].get("annotations", {})
    annotations.pop(originals.ANNOTATION, None)
    if not annotations:
        rest["metadata"].pop("annotations", None)
    for item in [*rest["spec"].get("initContainers", ()), *rest["spec"]["containers"]]:
        resources = item.get("resources", {})
        for field in ("requests", "limits"):
            for resource in ("cpu", "memory"):
                resources.get(field, {}).pop(resource, None)
            if not resources.get(field):
                resources.pop(field, None)
        if not resources:
            item.pop("resources", None)
    return rest
