"""A context in which round prices make sums easy to follow: $1 a core and hour, $0.10 a GiB and hour, 100 h a month."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, cast

import msgspec

from webhook.cluster.snapshot import Snapshot
from webhook.cluster.view import (
    ClusterPod,
    Controller,
    LimitRangeItem,
    Namespace,
    Node,
    RuntimeClass,
    StorageClaim,
    View,
)
from webhook.guardrails.base.contract import Context, WorkloadScale
from webhook.kube.objects import ClaimTemplate, OwnerReference, Pod, Workload
from webhook.pricing import book

PRICES = book.PriceBook(
    currency="USD",
    hours_per_month=100,
    on_demand=book.rates(Decimal(1), Decimal("0.1"), Decimal(10)),
    spot=book.rates(Decimal("0.2"), Decimal("0.02"), Decimal(10)),
    assumed_cpu=100,
    assumed_memory=128 << 20,
)


class World:
    """A view that knows what money is about: of the namespace ``team`` alone, where it has namespaces."""

    def __init__(
        self,
        items: Sequence[LimitRangeItem] = (),
        nodes: Sequence[Node] = (),
        claims: Sequence[StorageClaim] = (),
        payers: Mapping[str, str] | None = None,
        stateful_set: Workload | None = None,
        runtime_classes: Sequence[RuntimeClass] = (),
        devices: Sequence[dict[str, Any]] = (),
    ) -> None:
        self.items = items
        self.nodes = {each.name: each for each in nodes}
        self.claims = {each.name: each for each in claims}
        self.payers = payers or {}
        self.stateful_set = stateful_set
        self.runtime_classes = {each.name: each for each in runtime_classes}
        of_devices = Snapshot.from_documents(devices)
        self.device_claim = of_devices.device_claim
        self.device_claim_template = of_devices.device_claim_template
        self.device_claim_users = of_devices.device_claim_users
        self.device_inventory = of_devices.device_inventory

    def limit_ranges(self, namespace: str) -> Sequence[LimitRangeItem]:
        """Return the items of the namespace."""
        return self.items if namespace == "team" else ()

    def node(self, name: str) -> Node | None:
        """Return the node."""
        return self.nodes.get(name)

    def claim(self, namespace: str, name: str) -> StorageClaim | None:
        """Return the claim."""
        return self.claims.get(name) if namespace == "team" else None

    def claim_payer(self, namespace: str, name: str) -> str | None:
        """Return the UID of who pays for a claim."""
        return self.payers.get(name) if namespace == "team" else None

    def runtime_class(self, name: str) -> RuntimeClass | None:
        """Return the RuntimeClass."""
        return self.runtime_classes.get(name)

    def top_controller(
        self, namespace: str, owner: OwnerReference | None, labels: Mapping[str, str]
    ) -> Controller | None:
        """Return the owner itself."""
        del namespace, labels
        return Controller(owner.kind, owner.name) if owner is not None else None

    def workload(self, namespace: str, kind: str, name: str) -> Workload | None:
        """Return the one StatefulSet, whatever its name."""
        del name
        return self.stateful_set if namespace == "team" and kind == "StatefulSet" else None


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
    world: World | None = None,
    prices: book.PriceBook = PRICES,
    claim_templates: Sequence[ClaimTemplate] = (),
    running: ClusterPod | None = None,
) -> Context:
    """Return the context of a review in the namespace ``team``, labelled ``tier: gold``."""
    return Context(
        pod=created,
        namespace="team",
        view=cast("View", world or World(limit_ranges)),
        prices=prices,
        namespace_info=Namespace("team", {"tier": "gold"}),
        operation=operation,
        subresource=subresource,
        old_pod=old_pod,
        scale=scale,
        old_scale=old_scale,
        claim_templates=claim_templates,
        running=running,
    )
