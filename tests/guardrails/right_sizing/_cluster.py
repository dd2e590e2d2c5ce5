"""A tiny world for right-sizing tests: minimal pods and VPAs from plain dictionaries, and a view over them."""
# ruff: noqa: ARG002  the view answers the same whatever is asked

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any

import jsonpatch
import msgspec

from webhook.cluster.view import (
    ClaimUser,
    ClusterPod,
    ContainerPolicy,
    ContainerRecommendation,
    Controller,
    DeviceClaim,
    HorizontalPodAutoscaler,
    LimitRangeItem,
    Namespace,
    Node,
    PodDisruptionBudget,
    QuotaScope,
    ResourceQuota,
    RuntimeClass,
    StorageClaim,
    VerticalPodAutoscaler,
)
from webhook.guardrails import right_sizing
from webhook.guardrails.base.contract import Context, Exemption, Finding
from webhook.guardrails.right_sizing.rule import RightSizingRule
from webhook.kube.device_claims import Requests
from webhook.kube.device_classes import NO_INVENTORY, Inventory
from webhook.kube.objects import LabelSelector, OwnerReference, Pod, Workload
from webhook.kube.patch import Draft
from webhook.policy.right_sizing import RightSizingSection
from webhook.pricing import book

Json = dict[str, Any]

_FREE = book.Rates(0, 0, 0)
_PRICES = book.PriceBook("USD", 730, _FREE, _FREE, 100, 1 << 27)
CONTROLLER = Controller("Deployment", "web", "apps/v1")
DECODER = msgspec.json.Decoder(Pod)


def rule(**fields: object) -> RightSizingRule:
    """Compile a section from its YAML fields."""
    return right_sizing.GUARDRAIL.compile(RightSizingSection.model_validate(fields))


def container(name: str = "app", requests: Json | None = None, limits: Json | None = None, **more: object) -> Json:
    """Return a container; absent maps stay absent."""
    resources: Json = {}
    if requests is not None:
        resources["requests"] = requests
    if limits is not None:
        resources["limits"] = limits
    return {"name": name, "image": "registry.example/app:1", **({"resources": resources} if resources else {}), **more}


def pod(*containers: Json, init: Sequence[Json] = (), annotations: Json | None = None, **spec: object) -> Json:
    """Return a minimal pod of a Deployment."""
    metadata: Json = {"generateName": "web-6b7f-", "labels": {"app": "web"}}
    if annotations is not None:
        metadata["annotations"] = annotations
    body: Json = {"containers": list(containers), **spec}
    if init:
        body["initContainers"] = list(init)
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": body}


def vpa(
    recommendations: Mapping[str, Json] | None,
    *,
    mode: str | None = "Off",
    policies: Sequence[Json] = (),
    name: str = "web-vpa",
    created: str = "",
    boosts: bool = False,
) -> VerticalPodAutoscaler:
    """Return a VPA from ``{container: {target: …}}`` and container policies as in YAML."""
    return VerticalPodAutoscaler(
        namespace="shop",
        name=name,
        creation_timestamp=created,
        boosts_cpu=boosts,
        target_kind="Deployment",
        target_name="web",
        update_mode=mode,
        container_policies=tuple(_policy(item) for item in policies),
        recommendations=None
        if recommendations is None
        else tuple(_recommendation({"containerName": name, **item}) for name, item in recommendations.items()),
    )


def vpa_of(document: Json) -> VerticalPodAutoscaler:
    """Project a VPA document."""
    spec = document.get("spec") or {}
    status = (document.get("status") or {}).get("recommendation")
    return VerticalPodAutoscaler(
        namespace="shop",
        name=document["metadata"]["name"],
        target_kind="Deployment",
        target_name="web",
        update_mode=(spec.get("updatePolicy") or {}).get("updateMode"),
        container_policies=tuple(_policy(p) for p in (spec.get("resourcePolicy") or {}).get("containerPolicies") or ()),
        recommendations=None
        if status is None
        else tuple(_recommendation(entry) for entry in status.get("containerRecommendations") or ()),
    )


def _policy(item: Json) -> ContainerPolicy:
    controlled = item.get("controlledResources")
    return ContainerPolicy(
        container_name=item["containerName"],
        mode=item.get("mode"),
        controlled_resources=None if controlled is None else tuple(controlled),
        controlled_values=item.get("controlledValues"),
        min_allowed=item.get("minAllowed") or {},
        max_allowed=item.get("maxAllowed") or {},
        boosts_cpu=item.get("boosts"),
    )


def _recommendation(item: Json) -> ContainerRecommendation:
    return ContainerRecommendation(
        container_name=item["containerName"],
        target=item.get("target") or {},
        lower_bound=item.get("lowerBound") or {},
        upper_bound=item.get("upperBound") or {},
        uncapped_target=item.get("uncappedTarget") or {},
    )


def limit_range(*items: Json) -> list[LimitRangeItem]:
    """Return LimitRange items as a view gives them."""
    return [
        LimitRangeItem(
            type=item["type"],
            max=item.get("max") or {},
            min=item.get("min") or {},
            default=item.get("default") or {},
            default_request=item.get("defaultRequest") or {},
            max_limit_request_ratio=item.get("maxLimitRequestRatio") or {},
        )
        for item in items
    ]


def quotas(*documents: Json) -> list[ResourceQuota]:
    """Return ResourceQuotas as a view gives them, from ``{name, hard, used, scopes}``."""
    return [
        ResourceQuota(
            namespace="shop",
            name=item["name"],
            hard=item["hard"],
            used=item.get("used") or {},
            scopes=tuple(QuotaScope(*scope) for scope in item.get("scopes", ())),
        )
        for item in documents
    ]


class World:
    """A view with one workload in one namespace."""

    def __init__(
        self,
        vpa: VerticalPodAutoscaler | None,
        hpas: Sequence[HorizontalPodAutoscaler] = (),
        items: Sequence[LimitRangeItem] = (),
        quotas: Sequence[ResourceQuota] = (),
        *,
        others: Sequence[VerticalPodAutoscaler] = (),
        nodes: Sequence[Node] = (),
    ) -> None:
        self._vpa = vpa
        self._others = others
        self._nodes = nodes
        self._hpas = hpas
        self._items = items
        self._quotas = quotas

    def namespace(self, name: str) -> Namespace | None:
        return Namespace(name)

    def top_controller(
        self, namespace: str, owner: OwnerReference | None, labels: Mapping[str, str]
    ) -> Controller | None:
        return CONTROLLER

    def workload(self, namespace: str, kind: str, name: str) -> Workload | None:
        return None

    def head(self, namespace: str, kind: str, name: str) -> Workload | None:
        return None

    def replica_sets_of(self, uid: str) -> Sequence[Workload]:
        return ()

    def pods_of(self, uid: str) -> int:
        return 0

    def vertical_pod_autoscaler(
        self, namespace: str, controller: Controller, labels: Mapping[str, str]
    ) -> VerticalPodAutoscaler | None:
        return self._vpa if controller == CONTROLLER else None

    def vertical_pod_autoscalers(
        self, namespace: str, controller: Controller, labels: Mapping[str, str]
    ) -> Sequence[VerticalPodAutoscaler]:
        return (self._vpa, *self._others) if self._vpa is not None and controller == CONTROLLER else ()

    def contested_targets(self) -> Sequence[Sequence[VerticalPodAutoscaler]]:
        return ()

    def horizontal_pod_autoscalers(self, namespace: str, controller: Controller) -> Sequence[HorizontalPodAutoscaler]:
        return self._hpas

    def disruption_budgets(self, namespace: str, labels: Mapping[str, str]) -> Sequence[PodDisruptionBudget]:
        return ()

    def replicas(self, namespace: str, controller: Controller) -> int | None:
        return None

    def limit_ranges(self, namespace: str) -> Sequence[LimitRangeItem]:
        return self._items

    def resource_quotas(self, namespace: str) -> Sequence[ResourceQuota]:
        return self._quotas

    def owner_selector(self, namespace: str, controller: Controller) -> LabelSelector | None:
        return None

    def nodes(self) -> Sequence[Node]:
        return self._nodes

    def node(self, name: str) -> Node | None:
        return None

    def claim(self, namespace: str, name: str) -> StorageClaim | None:
        return None

    def claim_payer(self, namespace: str, name: str) -> str | None:
        return None

    def device_claim(self, namespace: str, name: str) -> DeviceClaim | None:
        return None

    def device_claim_template(self, namespace: str, name: str) -> Requests | None:
        return None

    def device_claim_users(self, namespace: str, name: str) -> Iterator[ClaimUser]:
        yield from ()

    def device_inventory(self) -> Inventory:
        return NO_INVENTORY

    def runtime_class(self, name: str) -> RuntimeClass | None:
        return None

    def is_scheduler_alive(self, name: str) -> bool:
        return False

    def knows_scheduler(self, name: str) -> bool:
        return False

    def pods(self) -> Sequence[ClusterPod]:
        return ()

    def sizes(self) -> Mapping[str, int]:
        return {}


def context(world: World, typed: Pod, operation: str = "CREATE", exempt: Sequence[Exemption] = ()) -> Context:
    """Return the context of a review of `typed`."""
    made = Context(pod=typed, namespace="shop", view=world, prices=_PRICES, operation=operation)
    if exempt:
        made.exemptions = {"rightSizing": exempt}
    return made


def run(
    compiled: RightSizingRule,
    document: Json,
    world: World,
    *,
    operation: str = "CREATE",
    exempt: Sequence[Exemption] = (),
) -> tuple[Json, list[Json], Sequence[Finding]]:
    """Propose on `document` as a review does: decode, propose, apply the patch. Return document, patch and notices.

    The patched document must decode to the very pod that the draft holds.
    """
    typed = DECODER.decode(msgspec.json.encode(document))
    draft = Draft(typed)
    findings = right_sizing.GUARDRAIL.propose(compiled, context(world, typed, operation, exempt), draft)  # type: ignore[misc]  # a proposal is what this guardrail is for
    after: Json = jsonpatch.apply_patch(deepcopy(document), draft.encode())
    assert DECODER.decode(msgspec.json.encode(after)) == draft.pod
    return after, draft.operations, findings


def resources(document: Json, name: str = "app") -> Json:
    """Return the resources of a container, of whatever list."""
    spec = document["spec"]
    for item in [*spec.get("initContainers", ()), *spec["containers"]]:
        if item["name"] == name:
            found: Json = item.get("resources", {})
            return found
    raise KeyError(name)
