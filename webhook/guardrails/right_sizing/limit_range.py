"""The bounds that the LimitRanges of a namespace set on cpu and memory, merged, and what the API server checks.

Several LimitRanges all apply, so the highest ``min``, the lowest ``max`` and the lowest ``maxLimitRequestRatio`` hold.
Lower bounds are rounded up to whole units and upper bounds down. Containers without values are judged with the
defaults that the LimitRanger admission plugin gives them (limit: ``default``, else ``max``; request:
``defaultRequest``, else the default limit, else ``min``, all of the same item). It goes through the items and fills in
what is still absent, so the first item that says something counts. In a cluster it has run before any webhook, for
manifests on disk it has not.
Source: Kubernetes, plugin/pkg/admission/limitranger and the defaults of LimitRange items.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from webhook.cluster.view import LimitRangeItem
from webhook.kube import quantity
from webhook.kube.caches import BoundedCache
from webhook.kube.objects import ResourceMap

_UNITS: Final = (("cpu", 1_000_000), ("memory", 1_000_000_000))


class Bounds(NamedTuple):
    """Bounds of one resource. Zero or None means no bound."""

    low: int = 0
    high: int | None = None
    ratio: int | None = None
    """Largest limit / request, in thousandths."""
    default_limit: int | None = None
    default_request: int | None = None

    def largest_limit(self, request: int) -> int | None:
        """Return the largest limit that is allowed beside `request`, or None where nothing bounds it."""
        high = self.high
        if self.ratio is not None:
            by_ratio = request * self.ratio // 1000
            # The API server divides in floating point: an exact multiple may come out a hair too large.
            while by_ratio > request and not self.keeps_ratio(request, by_ratio):
                by_ratio -= 1
            high = by_ratio if high is None or by_ratio < high else high
        return high

    def keeps_ratio(self, request: int, limit: int) -> bool:
        """Whether limit / request is within the ratio, in the API server's own floating point."""
        if self.ratio is None:
            return True
        return request > 0 and limit > 0 and limit / request * 1000 <= self.ratio

    def smallest_request(self, limit: int) -> int:
        """Return the smallest request that keeps `limit` within the ratio, or zero."""
        if self.ratio is None or self.ratio <= 0:
            return 0
        request = -(-limit * 1000 // self.ratio)
        return request if self.keeps_ratio(request, limit) else request + 1


NO_BOUNDS: Final = Bounds()


class Ranges(NamedTuple):
    """Merged bounds; each pair is (cpu, memory)."""

    container: tuple[Bounds, Bounds] = (NO_BOUNDS, NO_BOUNDS)
    pod: tuple[Bounds, Bounds] = (NO_BOUNDS, NO_BOUNDS)
    has_pod: tuple[bool, bool] = (False, False)
    """Whether an item of type Pod names the resource."""


_cache: Final[BoundedCache[tuple[int, ...], tuple[Sequence[LimitRangeItem], Ranges]]] = BoundedCache(
    "limit_ranges", 1024
)


def merge(items: Sequence[LimitRangeItem]) -> Ranges:
    """Merge the items of a namespace; kept by the identity of the items in a bounded table that holds them."""
    key = tuple(map(id, items))
    known = _cache.get(key)
    if known is not None:
        return known[1]
    container = _merged(items, "Container")
    pod = _merged(items, "Pod")
    ranges = Ranges(container, pod, (pod[0] != NO_BOUNDS, pod[1] != NO_BOUNDS))
    _cache.remember(key, (tuple(items), ranges))
    return ranges


def _merged(items: Sequence[LimitRangeItem], kind: str) -> tuple[Bounds, Bounds]:
    chosen = [item for item in items if item.type == kind]
    return _bounds(chosen, 0), _bounds(chosen, 1)


def _bounds(items: list[LimitRangeItem], resource: int) -> Bounds:
    name, unit = _UNITS[resource]
    lows = _amounts([item.min for item in items], name, unit, is_up=True)
    highs = _amounts([item.max for item in items], name, unit, is_up=False)
    ratios = _amounts([item.max_limit_request_ratio for item in items], name, 1_000_000, is_up=True)
    limits = [each for item in items for each in (item.default, item.max)]
    requests = [each for item in items for each in (item.default_request, item.default, item.max, item.min)]
    return Bounds(
        low=max(lows, default=0),
        high=min(highs) if highs else None,
        ratio=min(ratios) if ratios else None,
        default_limit=next(iter(_amounts(limits, name, unit, is_up=True)), None),
        default_request=next(iter(_amounts(requests, name, unit, is_up=True)), None),
    )


def _amounts(maps: list[ResourceMap], name: str, unit: int, *, is_up: bool) -> list[int]:
    """Return the positive amounts under `name`; what is no quantity cannot have been stored by an API server."""
    amounts = []
    for values in maps:
        raw = values.get(name)
        if raw is None:
            continue
        try:
            nano = quantity.of(raw).nano
        except quantity.QuantityError:
            continue
        amount = -(-nano // unit) if is_up else nano // unit
        if amount > 0:
            amounts.append(amount)
    return amounts
