"""What a VPA says about each container: its recommendation and its container policy, read once per VPA.

A VPA is frozen and replaced as a whole when it changes, so what is read from it is kept by the object's identity in a
bounded table. The table holds the VPA too, which keeps the identity from being used again.

As VPA itself does, the policy of the exact container name wins, else the last ``*``; nothing is merged; minAllowed is
applied before maxAllowed, and a bound of zero is none. Unlike VPA's own webhook, ``mode: Off`` and
``controlledResources`` hold here as well, so that a left-over recommendation of such a container is never applied.
"""

from typing import Final, NamedTuple

from webhook.cluster.view import ContainerPolicy, ContainerRecommendation, VerticalPodAutoscaler
from webhook.guardrails.base.contract import Finding
from webhook.guardrails.right_sizing.rule import MEMORY, RESOURCES, Recommendation
from webhook.kube import quantity
from webhook.kube.caches import BoundedCache
from webhook.kube.objects import ResourceMap

RecommendedPair = tuple[int | None, int | None]
"""A value of cpu in millicores and one of memory in bytes."""

LARGEST: Final = 2**63 - 1
"""Above it a number is no quantity to Kubernetes."""

_READERS: Final = (quantity.cpu_milli, quantity.memory_bytes)
_DEFAULT_POLICY: Final = ContainerPolicy(container_name="*")


class SizingAdvice(NamedTuple):
    """About one container. None in a pair: nothing is said, or the resource is not controlled."""

    value: RecommendedPair
    """The value that the rule asks for, within minAllowed and maxAllowed."""
    target: RecommendedPair
    """``target`` as it stands."""
    lower_memory: int | None
    """``lowerBound.memory``."""
    min_allowed: RecommendedPair
    max_allowed: RecommendedPair
    requests_only: bool
    boosts_cpu: bool
    """Whether VPA raises the CPU of the container while it starts, and takes it back when it is ready."""
    malformed: tuple[Finding, ...]


class ContainerAdvice(NamedTuple):
    """What one VPA says."""

    name: str
    acts: bool
    """Whether VPA itself applies its recommendation: updateMode neither Off nor Initial. Absent means Recreate."""
    is_empty: bool
    """Whether there is no recommendation at all (yet)."""
    containers: dict[str, SizingAdvice]


_cache: Final[BoundedCache[tuple[int, Recommendation], tuple[VerticalPodAutoscaler, ContainerAdvice]]] = BoundedCache(
    "recommendations", 4096
)


def advised(vpa: VerticalPodAutoscaler, recommendation: Recommendation) -> ContainerAdvice:
    """Return what `vpa` says; from the table where this very object was read before."""
    key = (id(vpa), recommendation)
    known = _cache.get(key)
    if known is not None and known[0] is vpa:
        return known[1]
    result = _read(vpa, recommendation)
    _cache.remember(key, (vpa, result))
    return result


def policy_for(policies: tuple[ContainerPolicy, ...], name: str) -> ContainerPolicy:
    """Return the policy of the exact name, else the last ``*``, else one that allows everything."""
    chosen = _DEFAULT_POLICY
    for policy in policies:
        if policy.container_name == name:
            return policy
        if policy.container_name == "*":
            chosen = policy
    return chosen


def _read(vpa: VerticalPodAutoscaler, recommendation: Recommendation) -> ContainerAdvice:
    acts = vpa.acts
    containers: dict[str, SizingAdvice] = {}
    for entry in vpa.recommendations or ():
        policy = policy_for(vpa.container_policies, entry.container_name)
        if policy.mode != "Off" and entry.container_name not in containers:
            containers[entry.container_name] = _advice(vpa, entry, policy, "target" if acts else recommendation)
    return ContainerAdvice(vpa.name, acts, not vpa.recommendations, containers)


def _advice(
    vpa: VerticalPodAutoscaler, entry: ContainerRecommendation, policy: ContainerPolicy, recommendation: Recommendation
) -> SizingAdvice:
    reader = _QuantityReader(vpa.name, entry.container_name)
    controlled = RESOURCES if policy.controlled_resources is None else policy.controlled_resources
    source = {
        "target": entry.target,
        "lowerBound": entry.lower_bound,
        "upperBound": entry.upper_bound,
        "uncappedTarget": entry.uncapped_target,
    }[recommendation]
    low = reader.pair(policy.min_allowed, "minAllowed", controlled)
    high = reader.pair(policy.max_allowed, "maxAllowed", controlled)
    raw = reader.pair(source, recommendation, controlled)
    if recommendation == "uncappedTarget":
        value = raw
    else:
        value = (_within(raw[0], low[0], high[0]), _within(raw[1], low[1], high[1]))
    return SizingAdvice(
        value=value,
        target=raw if recommendation == "target" else reader.pair(entry.target, "target", controlled),
        lower_memory=reader.pair(entry.lower_bound, "lowerBound", controlled)[MEMORY],
        min_allowed=low,
        max_allowed=high,
        requests_only=policy.controlled_values == "RequestsOnly",
        boosts_cpu=vpa.boosts_cpu if policy.boosts_cpu is None else policy.boosts_cpu,
        malformed=tuple(reader.findings),
    )


def _within(value: int | None, low: int | None, high: int | None) -> int | None:
    if value is None:
        return None
    if low is not None and value < low:
        value = low
    return high if high is not None and value > high else value


class _QuantityReader:
    """Reads quantities of one container's entry; what is no quantity counts as absent and becomes a finding."""

    def __init__(self, vpa: str, container: str) -> None:
        self.vpa = vpa
        self.container = container
        self.findings: list[Finding] = []

    def pair(self, values: ResourceMap, field: str, controlled: tuple[str, ...]) -> RecommendedPair:
        return self._one(values, field, 0, controlled), self._one(values, field, 1, controlled)

    def _one(self, values: ResourceMap, field: str, resource: int, controlled: tuple[str, ...]) -> int | None:
        name = RESOURCES[resource]
        raw = values.get(name)
        if raw is None or name not in controlled:
            return None
        try:
            value = _READERS[resource](raw)
        except quantity.QuantityError:
            value = -1
        if 0 <= value <= LARGEST:
            return value or None
        finding = Finding(
            rule="malformedRecommendation",
            message=f"container {self.container!r}: {field}.{name} {quantity.shown(str(raw))} of VerticalPodAutoscaler "
            f"{self.vpa!r} is no valid quantity and was ignored",
            cure=f"write a quantity such as 250m or 128Mi there, or let the recommender of {self.vpa!r} write it anew",
            notice=True,
        )
        if finding not in self.findings:
            self.findings.append(finding)
        return None
