"""A context in which round prices make sums easy to follow: $1 a core and hour, $0.10 a GiB and hour, 100 h a month."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, cast

import msgspec

from webhook.cluster.view import LimitRangeItem, Namespace, View
from webhook.guardrails._contract import Context, WorkloadScale
from webhook.kube.objects import Pod
from webhook.pricing import book

PRICES = book.PriceBook(
    currency="USD",
    hours_per_month=100,
    on_demand=book.rates(Decimal(1), Decimal("0.1"), Decimal(10)),
    spot=book.rates(Decimal("0.2"), Decimal("0.02"), Decimal(10)),
    assumed_cpu=100,
    assumed_memory=128 << 20,
)


class LimitRanges:
    """A view that knows the LimitRanges of the namespace ``team`` and nothing else."""

    def __init__(self, items: Sequence[LimitRangeItem] = ()) -> None:
        self.items = items

    def limit_ranges(self, namespace: str) -> Sequence[LimitRangeItem]:
        """Return the items of the namespace."""
        return self.items if namespace == "team" else ()


def container(cpu: str | None = None, memory: str | None = None, name: str = "app") -> dict[str, Any]:
    """Return a container that requests what is given."""
    requests = {key: value for key, value in (("cpu", cpu), ("memory", memory)) if value is not None}
    return {"name": name, "resources": {"requests": requests}}


def pod(*containers: dict[str, Any], labels: dict[str, str] | None = None, **spec: object) -> Pod:
    """Return a pod; without containers it has one of 2 cores and 10Gi, which costs $3 an hour."""
    listed = list(containers) or [container("2", "10Gi")]
    return msgspec.convert(
        {
            "metadata": {"name": "app-7d9c-x2v4z", "generateName": "app-7d9c-", "labels": labels or {}},
            "spec": {"containers": listed, **spec},
        },
        Pod,
    )


def context(
    created: Pod,
    *,
    operation: str = "CREATE",
    subresource: str = "",
    old_pod: Pod | None = None,
    scale: WorkloadScale | None = None,
    old_scale: WorkloadScale | None = None,
    limit_ranges: Sequence[LimitRangeItem] = (),
) -> Context:
    """Return the context of a review in the namespace ``team``, labelled ``tier: gold``."""
    return Context(
        pod=created,
        namespace="team",
        view=cast("View", LimitRanges(limit_ranges)),
        prices=PRICES,
        namespace_info=Namespace("team", {"tier": "gold"}),
        operation=operation,
        subresource=subresource,
        old_pod=old_pod,
        scale=scale,
        old_scale=old_scale,
    )
