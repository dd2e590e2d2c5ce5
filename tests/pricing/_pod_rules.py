"""What a pod is priced with, written anew from the rules of Kubernetes and of docs/prices.md.

It shares no code with Podgate: it works on JSON documents and exact fractions, so it can judge what was priced.
"""

from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from math import ceil
from typing import Any

Json = dict[str, Any]
Amounts = dict[str, Fraction]

_POWERS = {"n": -9, "u": -6, "m": -3, "k": 3, "M": 6, "G": 9}
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40}
_PARTS = ("nvidia.com/gpucores", "nvidia.com/gpumem-percentage")
LEVEL = ("cpu", "memory", "hugepages-2Mi")


def _exact(raw: str | float) -> Fraction:
    text = str(raw)
    if text[-2:] in _BINARY:
        return Fraction(text[:-2]) * (1 << _BINARY[text[-2:]])
    if text[-1] in _POWERS:
        return Fraction(text[:-1]) * Fraction(f"1e{_POWERS[text[-1]]}")
    return Fraction(text)


def amount(raw: str | float) -> Fraction:
    """Read a quantity, rounded up to thousandths as it is stored."""
    return _rounded(_exact(raw))


def _rounded(exact: Fraction) -> Fraction:
    return Fraction(ceil(exact * 1000), 1000)


Read = Callable[[str | float], Fraction]


def _amounts(values: Json | None, read: Read = amount) -> Amounts:
    return {name: read(raw) for name, raw in (values or {}).items()}


def _containers(spec: Json, read: Read = amount) -> Iterator[tuple[str, Json, Amounts, Amounts]]:
    for key in ("initContainers", "containers"):
        for each in spec.get(key) or ():
            resources = each.get("resources") or {}
            limits = _amounts(resources.get("limits"), read)
            kind = "main" if key == "containers" else "sidecar" if each.get("restartPolicy") == "Always" else "init"
            yield kind, each, {**limits, **_amounts(resources.get("requests"), read)}, limits


def _peak(asked: list[tuple[str, Amounts]]) -> Amounts:
    """Return the most that runs at one time, resource by resource."""
    total: Amounts = {}
    for name in {name for _, given in asked for name in given}:
        moments = [sum((given.get(name, Fraction(0)) for kind, given in asked if kind != "init"), Fraction(0))]
        for index, (kind, given) in enumerate(asked):
            if kind == "init":
                beside = sum((each.get(name, Fraction(0)) for k, each in asked[:index] if k == "sidecar"), Fraction(0))
                moments.append(beside + given.get(name, Fraction(0)))
        total[name] = max(moments)
    return total


def _requests_at_pod_level(spec: Json) -> Amounts:
    """Return what is requested at pod level; what is filled in there is summed before it is rounded."""
    own = spec.get("resources") or {}
    requests, limits = _amounts(own.get("requests"), _exact), _amounts(own.get("limits"), _exact)
    if limits:
        asked = _peak([(kind, each) for kind, _, each, _ in _containers(spec, _exact)])
        bounds = _peak([(kind, each) for kind, _, _, each in _containers(spec, _exact)])
        filled: Amounts = {name: value for name, value in bounds.items() if name.startswith("hugepages-")}
        filled.update(limits)
        filled.update({name: asked[name] for name in ("cpu", "memory") if name in asked})
        requests = {**{name: value for name, value in filled.items() if name in LEVEL}, **requests}
    return {name: _rounded(value) for name, value in requests.items()}


def _has(container: Json, statuses: Mapping[str, Json], asked: Amounts, *, refused: bool) -> Amounts:
    """Return what a container that runs has, or asks for where that is more."""
    status = statuses.get(container["name"])
    if status is None or status.get("resources") is None:
        return asked
    found = {} if refused else dict(asked)
    for held in (_amounts(status["resources"].get("requests")), _amounts(status.get("allocatedResources"))):
        for name, value in held.items():
            found[name] = max(value, found.get(name, value))
    return {name: found.get(name) or asked.get(name, Fraction(0)) for name in {*asked, *found}}


def _devices(asked: Amounts) -> Amounts:
    """Return what a container asks for with parts of GPUs taken together."""
    parts = [asked[name] for name in _PARTS if name in asked]
    rest = {name: value for name, value in asked.items() if name not in _PARTS}
    if any(parts):
        gpus = rest.get("nvidia.com/gpu") or Fraction(1)
        percent = max(parts)
        rest["nvidia.com/gpu"] = gpus if percent >= 100 else Fraction(ceil(gpus * percent * 10), 1000)
    return rest


def priced(
    spec: Json, *, defaults: Json, overhead: Json, assumed: Json, status: Json | None = None, refused: bool = False
) -> Amounts:
    """Return all amounts of a pod by resource name.

    Args:
        spec: of the pod, as it is written.
        defaults: requests that LimitRanges give.
        overhead: of its RuntimeClass.
        assumed: of a container that says nothing.
        status: of a pod that runs.
        refused: whether its resize can never be done.
    """
    given, assumption = _amounts(defaults), _amounts(assumed)
    listed = [
        *((status or {}).get("initContainerStatuses") or ()),
        *((status or {}).get("containerStatuses") or ()),
    ]
    statuses = {each["name"]: each for each in listed}
    asked: list[tuple[str, Amounts]] = []
    for kind, container, requests, limits in _containers(spec):
        one = {**given, **requests}
        for name in ("cpu", "memory"):
            one[name] = requests.get(name) or limits.get(name) or given.get(name) or assumption[name]
        if kind != "init":
            held = _has(container, statuses, requests, refused=refused)
            one.update({name: held[name] for name in ("cpu", "memory") if held.get(name)})
        asked.append((kind, _devices(one)))
    total = _peak(asked)
    total.update({name: value for name, value in _requests_at_pod_level(spec).items() if value})
    for name, value in _amounts(spec.get("overhead") or overhead).items():
        total[name] = total.get(name, Fraction(0)) + value
    return {name: value for name, value in total.items() if value}
