"""What a Kubernetes API server checks of cpu, memory and extended resources, written anew from its rules.

It shares no code with the guardrail: it works on JSON documents and exact fractions, so it can judge what the guardrail
did. Covered are defaulting (request from limit, LimitRange defaults), core validation (request at most limit, equal for
extended resources, nothing negative), the LimitRanger admission plugin, ResourceQuotas, and QoS classes.
"""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from math import ceil
from typing import Any

Json = dict[str, Any]
Amounts = dict[str, Fraction]

_SUFFIXES = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}


def amount(raw: str | float) -> Fraction:
    """Read a quantity."""
    text = str(raw)
    if text[-2:] in _BINARY:
        return Fraction(text[:-2]) * (1 << _BINARY[text[-2:]])
    if text[-1] in _SUFFIXES:
        power = _SUFFIXES[text[-1]]
        return Fraction(text[:-1]) * Fraction(f"1e{power}")
    return Fraction(text)


def _amounts(values: Json | None) -> Amounts:
    return {key: amount(value) for key, value in (values or {}).items() if value is not None}


def _containers(pod: Json, items: Sequence[Json]) -> Iterator[tuple[str, Json, Amounts, Amounts]]:
    """Yield (kind, container, requests, limits) after defaulting."""
    spec = pod["spec"]
    for key in ("initContainers", "containers"):
        for container in spec.get(key) or ():
            resources = container.get("resources") or {}
            requests, limits = _amounts(resources.get("requests")), _amounts(resources.get("limits"))
            for name, value in limits.items():
                requests.setdefault(name, value)
            for item in items:
                if item["type"] == "Container":
                    _fill(item, requests, limits)
            kind = "regular" if key == "containers" else "init"
            if kind == "init" and container.get("restartPolicy") == "Always":
                kind = "sidecar"
            yield kind, container, requests, limits


def defaulted(pod: Json, items: Sequence[Json]) -> tuple[Amounts, Amounts]:
    """Return requests and limits of the pod's first container as the API server fills them in."""
    _kind, _container, requests, limits = next(_containers(pod, items))
    return requests, limits


def _fill(item: Json, requests: Amounts, limits: Amounts) -> None:
    default = {**_amounts(item.get("max")), **_amounts(item.get("default"))}
    default_request = {**_amounts(item.get("min")), **default, **_amounts(item.get("defaultRequest"))}
    for name, value in default.items():
        limits.setdefault(name, value)
    for name, value in default_request.items():
        requests.setdefault(name, value)


def refusals(pod: Json, items: Sequence[Json] = ()) -> list[str]:
    """Return why the API server would refuse `pod` beside these LimitRange items; empty where it takes it."""
    found = []
    for _kind, container, requests, limits in _containers(pod, items):
        where = container["name"]
        for name, request in requests.items():
            if request < 0:
                found.append(f"{where}: negative {name}")
            limit = limits.get(name)
            if limit is not None and request > limit:
                found.append(f"{where}: {name} request above limit")
            if name not in ("cpu", "memory", "ephemeral-storage") and limit != request:
                found.append(f"{where}: {name} request and limit differ")
        for item in items:
            if item["type"] == "Container":
                found += [f"{where}: {text}" for text in _limit_ranger(item, requests, limits)]
    found += _level_refusals(pod, items)
    for item in items:
        if item["type"] == "Pod":
            found += [f"pod: {text}" for text in _limit_ranger(item, *_sums(pod, items))]
    return found


def _limit_ranger(item: Json, requests: Amounts, limits: Amounts) -> list[str]:
    found = []
    for name, low in _amounts(item.get("min")).items():
        if requests.get(name, Fraction(-1)) < low or limits.get(name, low) < low:
            found.append(f"{name} below {low}")
    for name, high in _amounts(item.get("max")).items():
        if name not in limits or limits[name] > high or requests.get(name, high) > high:
            found.append(f"{name} above {high}")
    for name, ratio in _amounts(item.get("maxLimitRequestRatio")).items():
        request, limit = requests.get(name), limits.get(name)
        if not request or not limit:
            found.append(f"{name} without a ratio")
        elif float(limit * 1000) / float(request * 1000) * 1000 > ceil(ratio * 1000):
            found.append(f"{name} ratio above {ratio}")
    return found


def _sums(pod: Json, items: Sequence[Json]) -> tuple[Amounts, Amounts]:
    totals: list[Amounts] = []
    for index in (0, 1):
        running: Amounts = {}
        sidecars: Amounts = {}
        peak: Amounts = {}
        for kind, _container, requests, limits in _containers(pod, items):
            values = (requests, limits)[index]
            if kind == "init":
                step = dict(sidecars)
                _add(step, values)
            else:
                _add(running, values)
                if kind == "regular":
                    continue
                _add(sidecars, values)
                step = sidecars
            for name, value in step.items():
                peak[name] = max(peak.get(name, value), value)
        totals.append(
            {name: max(running.get(name, Fraction(0)), peak.get(name, Fraction(0))) for name in {*running, *peak}}
        )
    for total, own in zip(totals, _own(pod), strict=True):
        total.update(own)
    return totals[0], totals[1]


def _own(pod: Json) -> tuple[Amounts, Amounts]:
    """Return requests and limits at pod level, as they are received."""
    resources = pod["spec"].get("resources") or {}
    return _amounts(resources.get("requests")), _amounts(resources.get("limits"))


def _containers_alone(pod: Json, items: Sequence[Json]) -> tuple[Amounts, Amounts]:
    """Return the sums of the containers."""
    return _sums({**pod, "spec": {**pod["spec"], "resources": None}}, items)


def _level_refusals(pod: Json, items: Sequence[Json]) -> Iterator[str]:
    """Yield what is wrong with resources at pod level beside those of the containers."""
    requests, limits = _own(pod)
    asked = _containers_alone(pod, items)[0]
    for name, request in requests.items():
        if request < asked.get(name, request) or request > limits.get(name, request):
            yield f"pod: {name} request below its containers or above its limit"
    for kind, container, _requests, bounds in _containers(pod, items):
        for name, bound in bounds.items():
            if kind == "regular" and bound > limits.get(name, bound):
                yield f"{container['name']}: {name} limit above the limit of the pod"


def _add(total: Amounts, values: Amounts) -> None:
    for name, value in values.items():
        total[name] = total.get(name, Fraction(0)) + value


def quota_refusals(pod: Json, items: Sequence[Json], quotas: Sequence[Json]) -> list[str]:
    """Return why ResourceQuotas of the form ``{name, hard, used, scopes}`` would refuse a new pod."""
    found = []
    requests, limits = _sums(pod, items)
    for name, value in _amounts(pod["spec"].get("overhead")).items():
        requests[name] = requests.get(name, Fraction(0)) + value
        if name in limits:
            limits[name] += value
    usage = {"pods": Fraction(1), "count/pods": Fraction(1)}
    for name in ("cpu", "memory"):
        usage[name] = usage[f"requests.{name}"] = requests.get(name, Fraction(0))
        usage[f"limits.{name}"] = limits.get(name, Fraction(0))
    for quota in quotas:
        if not all(_is_in_scope(scope, pod, items) for scope in quota.get("scopes", ())):
            continue
        for key, hard in _amounts(quota["hard"]).items():
            for _kind, container, asked, bound in () if any(_own(pod)) else _containers(pod, items):
                field = key.removeprefix("requests.").removeprefix("limits.")
                if key not in ("pods", "count/pods") and field not in (bound if key.startswith("limits.") else asked):
                    found.append(f"{quota['name']}: {container['name']} must specify {key}")
            if _amounts(quota.get("used")).get(key, Fraction(0)) + usage[key] > hard:
                found.append(f"{quota['name']}: exceeded {key}")
    return found


def _is_in_scope(scope: Sequence[Any], pod: Json, items: Sequence[Json]) -> bool:
    name, operator, values = (*scope, "Exists", ())[:3] if len(scope) == 1 else scope
    spec = pod["spec"]
    if name in ("BestEffort", "NotBestEffort"):
        return (qos(pod, items) == "BestEffort") is (name == "BestEffort")
    if name in ("Terminating", "NotTerminating"):
        return ("activeDeadlineSeconds" in spec) is (name == "Terminating")
    if name not in ("PriorityClass",):
        return name == "CrossNamespacePodAffinity" and any(
            term.get("namespaces") or "namespaceSelector" in term
            for affinity in ("podAffinity", "podAntiAffinity")
            for terms in (spec.get("affinity", {}).get(affinity) or {}).values()
            for term in (each.get("podAffinityTerm", each) for each in terms)
        )
    priority = spec.get("priorityClassName", "")
    return {
        "In": priority in values,
        "NotIn": priority not in values,
        "Exists": bool(priority),
        "DoesNotExist": not priority,
    }[operator]


def qos(pod: Json, items: Sequence[Json] = ()) -> str:
    """Return the QoS class."""
    classes = set()
    stated = [_own(pod)] if any(_own(pod)) else [each[2:] for each in _containers(pod, items)]
    for requests, limits in stated:
        asked = {name: value for name, value in requests.items() if name in ("cpu", "memory") and value}
        bound = {name: value for name, value in limits.items() if name in ("cpu", "memory") and value}
        if not asked and not bound:
            classes.add("BestEffort")
        else:
            classes.add("Guaranteed" if len(bound) == 2 and asked == bound else "Burstable")
    return classes.pop() if len(classes) == 1 else "Burstable"
