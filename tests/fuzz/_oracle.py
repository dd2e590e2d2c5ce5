"""Whether an API server takes the resources of a pod: validation and LimitRanges, written down a second time.

It is independent of Podgate on purpose and knows nothing of its arithmetic: quantities are exact fractions.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any

JsonObject = dict[str, Any]

_QUANTITY = re.compile(r"([+-]?)(\d+\.?\d*|\.\d+)(?:([numkMGTPE]|[KMGTPE]i)|[eE]([+-]?\d{1,3}))?", re.ASCII)
_SCALES: dict[str | None, Fraction] = {
    None: Fraction(1),
    **{suffix: Fraction(1000) ** power for power, suffix in enumerate("numkMGTPE", -3) if suffix not in "kMGTPE"},
    **{suffix: Fraction(1000) ** power for power, suffix in enumerate("kMGTPE", 1)},
    **{f"{suffix}i": Fraction(1024) ** power for power, suffix in enumerate("KMGTPE", 1)},
}


def quantity(raw: object) -> Fraction | None:
    """Return a quantity, None where it is none."""
    found = _QUANTITY.fullmatch(str(raw)) if isinstance(raw, str | int | float) and not isinstance(raw, bool) else None
    if found is None or len(str(raw)) > 60:
        return None
    sign, number, suffix, exponent = found.groups()
    value: Fraction = Fraction(number if number[-1] != "." else number[:-1]) * _SCALES[suffix]
    if exponent:
        value *= Fraction(10) ** int(exponent)
    return -value if sign == "-" else value


def problems(pod: JsonObject, limit_ranges: Sequence[JsonObject]) -> list[str]:
    """Return why an API server refuses the resources of a pod; empty where it takes them."""
    found: list[str] = []
    containers = [_defaulted(each, limit_ranges) for each in _containers(pod)]
    for name, resources in containers:
        found += [f"{name}: {line}" for line in _validation(resources)]
    if found:
        return found
    for item in _items(limit_ranges, "Container"):
        for name, resources in containers:
            found += [f"{name}: {line}" for line in _bounds(item, resources["requests"], resources["limits"])]
    for item in _items(limit_ranges, "Pod"):
        sums = {kind: _sum(pod, limit_ranges, kind) for kind in ("requests", "limits")}
        found += [f"pod: {line}" for line in _bounds(item, sums["requests"], sums["limits"])]
    return found


_Resources = Mapping[str, dict[str, Fraction | None]]


def _containers(pod: JsonObject) -> Iterator[JsonObject]:
    spec = pod.get("spec") or {}
    for field in ("containers", "initContainers"):
        yield from (spec.get(field) or ())


def _defaulted(container: JsonObject, limit_ranges: Sequence[JsonObject]) -> tuple[str, _Resources]:
    """Return the resources of a container after the defaulting of LimitRanges and of the API."""
    stated = container.get("resources") or {}
    limits = {name: quantity(raw) for name, raw in (stated.get("limits") or {}).items()}
    requests = {name: quantity(raw) for name, raw in (stated.get("requests") or {}).items()}
    for item in _items(limit_ranges, "Container"):
        for name, raw in (item.get("defaultRequest") or {}).items():
            if name not in requests and name not in limits:
                requests[name] = quantity(raw)
        for name, raw in (item.get("default") or {}).items():
            limits.setdefault(name, quantity(raw))
    return str(container.get("name")), {"limits": limits, "requests": {**limits, **requests}}


def _validation(resources: _Resources) -> Iterator[str]:
    for kind, values in resources.items():
        for name, value in values.items():
            if value is None or value < 0:
                yield f"{kind}.{name} is no quantity, or negative"
    for name, value in resources["requests"].items():
        limit = resources["limits"].get(name)
        if value is not None and limit is not None and value > limit:
            yield f"requests.{name} {float(value)} is above its limit {float(limit)}"


def _bounds(
    item: JsonObject, requests: Mapping[str, Fraction | None], limits: Mapping[str, Fraction | None]
) -> Iterator[str]:
    for name, raw in (item.get("min") or {}).items():
        least = quantity(raw)
        for kind, value in (("request", requests.get(name)), ("limit", limits.get(name))):
            if least is not None and ((value is None and kind == "request") or (value is not None and value < least)):
                yield f"{kind} of {name} is below {raw}"
    for name, raw in (item.get("max") or {}).items():
        most = quantity(raw)
        for kind, value in (("request", requests.get(name)), ("limit", limits.get(name))):
            if most is not None and ((value is None and kind == "limit") or (value is not None and value > most)):
                yield f"{kind} of {name} is above {raw}"
    for name, raw in (item.get("maxLimitRequestRatio") or {}).items():
        ratio, request, limit = quantity(raw), requests.get(name), limits.get(name)
        if ratio is not None and (not request or not limit or limit > request * ratio):
            yield f"limit of {name} is above {raw} times its request"


def _sum(pod: JsonObject, limit_ranges: Sequence[JsonObject], kind: str) -> dict[str, Fraction | None]:
    """Return what a whole pod asks for: containers and sidecars together, or an init container beside the sidecars
    before it."""
    spec = pod.get("spec") or {}
    total: dict[str, Fraction] = {}
    beside: dict[str, Fraction] = {}
    peak: dict[str, Fraction] = {}
    for container in spec.get("containers") or ():
        _add(total, _defaulted(container, limit_ranges)[1][kind])
    for container in spec.get("initContainers") or ():
        values = _defaulted(container, limit_ranges)[1][kind]
        if container.get("restartPolicy") == "Always":
            _add(total, values)
            _add(beside, values)
            moment = beside
        else:
            moment = dict(beside)
            _add(moment, values)
        for name, value in moment.items():
            peak[name] = max(peak.get(name, Fraction(0)), value)
    return {name: max(total.get(name, Fraction(0)), peak.get(name, Fraction(0))) for name in {**total, **peak}}


def _add(to: dict[str, Fraction], values: Mapping[str, Fraction | None]) -> None:
    for name, value in values.items():
        to[name] = to.get(name, Fraction(0)) + (value or 0)


def _items(limit_ranges: Sequence[JsonObject], kind: str) -> Iterator[JsonObject]:
    for each in limit_ranges:
        yield from (item for item in each["spec"]["limits"] if item.get("type") == kind)
