"""The whole plan for one pod, from the objects it depends on to the values to write. Pure; nothing is changed here.

The pods of one workload are alike, so plans are remembered, in a bounded table, by everything they depend on: the rule,
the VPA, the HPAs and LimitRange items (by identity; the table holds them), and what the containers ask for.
"""

from collections.abc import Container, Sequence
from typing import Final, NamedTuple

from webhook.cluster.view import HorizontalPodAutoscaler, LimitRangeItem, ResourceQuota, VerticalPodAutoscaler
from webhook.guardrails.base.contract import Finding
from webhook.guardrails.right_sizing import (
    advice,
    decide,
    fingerprint,
    limit_range,
    notices,
    originals,
    pod_sums,
    quota,
    resource_plan,
    room,
    vpa_capping,
    written,
)
from webhook.guardrails.right_sizing.advice import ContainerAdvice, SizingAdvice
from webhook.guardrails.right_sizing.limit_range import NO_BOUNDS, Ranges
from webhook.guardrails.right_sizing.resource_plan import ContainerPlan
from webhook.guardrails.right_sizing.room import Room
from webhook.guardrails.right_sizing.rule import CPU, RESOURCES, RightSizingRule
from webhook.guardrails.right_sizing.written import SizingPlan
from webhook.kube.caches import BoundedCache
from webhook.kube.containers import is_crowded
from webhook.kube.objects import Pod, PodSpec

_NO_BOUNDS: Final = (NO_BOUNDS, NO_BOUNDS)


NOTHING: Final = SizingPlan()


def plan(
    rule: RightSizingRule,
    pod: Pod,
    vpa: VerticalPodAutoscaler,
    *,
    hpas: Sequence[HorizontalPodAutoscaler] = (),
    limit_ranges: Sequence[LimitRangeItem] = (),
    quotas: Sequence[ResourceQuota] = (),
    nodes: tuple[Room, ...] = (),
    exempt: Container[str] | None = None,
) -> SizingPlan:
    """Return what right-sizing does to `pod`, as it stands, under `vpa`.

    Args:
        rule: the compiled section.
        pod: as changed so far; not modified.
        vpa: the VPA that matches the pod.
        hpas: autoscalers of the same workload.
        limit_ranges: all items of the namespace.
        quotas: ResourceQuotas of the namespace.
        nodes: the largest nodes, see `room.of`; empty where none are known.
        exempt: names of containers to leave alone.
    """
    spec = pod.spec
    if spec is None:
        return NOTHING
    annotations = pod.metadata.annotations if pod.metadata is not None else None
    text = annotations.get(originals.ANNOTATION) if annotations else None
    boosted = fingerprint.boosted(annotations) if annotations else fingerprint.NO_NAMES
    if quotas:
        quotas = quota.counting(quotas, spec)
    around = _Around(rule, vpa, hpas, limit_ranges, quotas, nodes, boosted)
    is_rare = spec.os is not None or spec.node_selector or spec.resources is not None or spec.overhead
    if exempt is not None or is_rare or boosted:
        return _plan(around, spec, text, exempt)[0]
    identities = (id(rule), id(vpa), id(nodes), *map(id, hpas), None, *map(id, limit_ranges), None, *map(id, quotas))
    key = (identities, text, fingerprint.of(spec))
    known = _memory.get(key)
    if known is not None:
        return known.plan
    result, is_small = _plan(around, spec, text, exempt)
    if is_small:
        _memory.remember(key, _RememberedPlan((rule, vpa, nodes, *hpas, *limit_ranges, *quotas), result))
    return result


class _Around(NamedTuple):
    """What a plan depends on beside the pod."""

    rule: RightSizingRule
    vpa: VerticalPodAutoscaler
    hpas: Sequence[HorizontalPodAutoscaler]
    limit_ranges: Sequence[LimitRangeItem]
    quotas: Sequence[ResourceQuota]
    nodes: tuple[Room, ...]
    boosted: frozenset[str]
    """Names of containers whose CPU VPA has raised for their start, as it notes down on the pod."""


class _RememberedPlan(NamedTuple):
    """A remembered plan, and the objects whose identities are part of its key."""

    held: tuple[object, ...]
    plan: SizingPlan


_memory: Final[BoundedCache[tuple[object, ...], _RememberedPlan]] = BoundedCache("sizing_plans", 2048)
_LARGEST_KEY: Final = 4096
"""Characters of names and of the annotation; whoever sends more is not worth remembering."""


def _plan(
    around: _Around, spec: PodSpec, annotation: str | None, exempt: Container[str] | None
) -> tuple[SizingPlan, bool]:
    """Make the plan; also say whether its inputs are small enough to be remembered."""
    rule = around.rule
    advised = advice.advised(around.vpa, rule.recommendation)
    if advised.is_empty:
        return SizingPlan(notices=(notices.no_recommendation(advised.name),)), False
    skipped = _skipped(spec)
    if skipped is not None:
        return SizingPlan(notices=(skipped,)), False
    ranges = limit_range.merge(around.limit_ranges) if around.limit_ranges else None
    kept = originals.read(annotation)
    members = resource_plan.read(spec, kept, ranges)
    is_small = len(annotation or "") + sum(len(member.name) for member in members) <= _LARGEST_KEY and all(
        member.is_readable for member in members
    )
    is_guaranteed = resource_plan.is_guaranteed(members)
    said: list[Finding] = []
    chosen = _choose(around, members, advised, exempt, said)
    if is_guaranteed and not rule.resizes_guaranteed:
        return SizingPlan(notices=(notices.guaranteed(),) if chosen else ()), is_small
    _requests(rule, members, chosen, advised, ranges, is_guaranteed=is_guaranteed)
    _limits(rule, chosen, ranges, is_guaranteed=is_guaranteed, acts=advised.acts)
    if ranges is not None:
        for resource in (0, 1):
            if ranges.has_pod[resource]:
                pod_sums.cut(rule, members, resource, ranges, is_guaranteed=is_guaranteed)
    if around.quotas:
        received = resource_plan.read(spec, kept, ranges)
        found, full = quota.fit(rule, members, received, ranges, around.quotas, spec.overhead, advised)
        if full is not None:
            return SizingPlan(notices=(*said, notices.quota_refuses(full))), is_small
        said.extend(found)
    if around.nodes and chosen:
        said.extend(_without_place(rule, members, spec, around.nodes, advised))
    changed: list[tuple[ContainerPlan, int]] = []
    for member, resource, _ in chosen:
        cell = member.cells[resource]
        cell.keep_written()
        if cell.writes_limit or cell.writes_request:
            changed.append((member, resource))
    if not changed:
        return SizingPlan(notices=tuple(said)) if said else NOTHING, is_small
    reason = pod_sums.refusal(members, ranges)
    if reason is not None:
        return SizingPlan(notices=(*said, notices.clamp_failed(reason))), is_small
    return written.write(members, changed, kept, tuple(said)), is_small


def _skipped(spec: PodSpec) -> Finding | None:
    """Return why the whole pod is left alone, or None."""
    selector = spec.node_selector
    if (spec.os is not None and spec.os.name == "windows") or (
        selector and "windows" in (selector.get("kubernetes.io/os"), selector.get("beta.kubernetes.io/os"))
    ):
        return notices.windows()
    if is_crowded(spec):
        return notices.too_many_containers()
    resources = spec.resources
    if resources is not None and (resources.requests or resources.limits):
        return notices.pod_level_resources()
    return None


def _choose(
    around: _Around,
    members: list[ContainerPlan],
    advised: ContainerAdvice,
    exempt: Container[str] | None,
    said: list[Finding],
) -> list[tuple[ContainerPlan, int, SizingAdvice]]:
    """Return the (container, resource) pairs that are sized; all others go on with their present values.

    A resource whose utilisation drives an HPA is left as written, but filled in where it is absent: without a request
    in every container the HPA cannot compute its utilisation at all.
    """
    rule, hpas = around.rule, around.hpas
    chosen: list[tuple[ContainerPlan, int, SizingAdvice]] = []
    seen: set[str] = set()
    for member in members:
        found = advised.containers.get(member.name) if member.kind != "init" else None
        if found is None or (exempt is not None and member.name in exempt) or member.name in seen:
            found = None
        elif not member.is_readable:
            said.append(notices.malformed_resources(member.name))
            found = None
        else:
            said.extend(found.malformed)
        seen.add(member.name)
        for resource, cell in enumerate(member.cells):
            hpa = _driver(hpas, member.name, resource) if hpas and member.kind != "init" else None
            if found is None or found.value[resource] is None:
                if hpa is not None and cell.own is None and member.is_readable:
                    said.append(notices.hpa_without_request(member.name, RESOURCES[resource], hpa.label))
            else:
                if resource == CPU and (found.boosts_cpu or member.name in around.boosted):
                    said.append(notices.startup_boost(member.name, advised.name))
                elif hpa is not None and not rule.resizes_hpa_managed and cell.own is not None:
                    said.append(notices.hpa_managed(member.name, RESOURCES[resource], hpa.label, hpa.scaled_object))
                elif cell.cap == 0:
                    said.append(notices.zero_limit(member.name, RESOURCES[resource]))
                else:
                    per = rule.resources[resource]
                    cell.is_sized = True
                    cell.computes_limit = per.headroom is not None and not found.requests_only
                    chosen.append((member, resource, found))
    return chosen


def _driver(hpas: Sequence[HorizontalPodAutoscaler], container: str, resource: int) -> HorizontalPodAutoscaler | None:
    """Return the HPA that follows the utilisation of this container's resource, or None."""
    name = RESOURCES[resource]
    return next((hpa for hpa in hpas if hpa.drives(container, name)), None)


def _without_place(
    rule: RightSizingRule,
    members: list[ContainerPlan],
    spec: PodSpec,
    nodes: tuple[Room, ...],
    advised: ContainerAdvice,
) -> list[Finding]:
    """Say that no node can hold the pod, where it is the recommended requests that are too large."""
    overhead = pod_sums.overhead(spec.overhead)
    asked = pod_sums.asked(members, overhead)
    if room.fits(nodes, asked) or not room.fits(nodes, pod_sums.asked(members, overhead, without_sized=True)):
        return []
    return [notices.above_every_node(asked, room.nearest(nodes, asked), _bound(rule, advised))]


def _bound(rule: RightSizingRule, advised: ContainerAdvice) -> str:
    return notices.bound(advised.name, acts=advised.acts, is_capped=rule.recommendation != "uncappedTarget")


def _requests(
    rule: RightSizingRule,
    members: list[ContainerPlan],
    chosen: list[tuple[ContainerPlan, int, SizingAdvice]],
    advised: ContainerAdvice,
    ranges: Ranges | None,
    *,
    is_guaranteed: bool,
) -> None:
    """Set the requests of the chosen cells."""
    container = ranges.container if ranges is not None else _NO_BOUNDS
    for member in members:
        for resource, cell in enumerate(member.cells):
            if not cell.is_sized and (cell.restored[0] or cell.restored[1]):
                cell.settle(container[resource])
    if advised.acts:
        targets = vpa_capping.targets(members, advised.containers, ranges)
        wanted = {id(member): pair for member, pair in zip(members, targets, strict=True)}
        for member, resource, found in chosen:
            cell = member.cells[resource]
            if not (is_guaranteed and found.requests_only):
                cell.request = wanted[id(member)][resource] or cell.own
        return
    for member, resource, found in chosen:
        cell = member.cells[resource]
        if is_guaranteed and found.requests_only:
            continue
        value = decide.request(rule, resource, cell, found, container[resource], is_guaranteed=is_guaranteed)
        if value is not None:
            cell.request = value
            cell.is_movable = True
    if ranges is not None and not is_guaranteed:
        for resource in (0, 1):
            if ranges.has_pod[resource]:
                pod_sums.raise_requests(rule, members, resource, ranges)


def _limits(
    rule: RightSizingRule,
    chosen: list[tuple[ContainerPlan, int, SizingAdvice]],
    ranges: Ranges | None,
    *,
    is_guaranteed: bool,
    acts: bool,
) -> None:
    """Set the limits of the chosen cells from their requests."""
    container = ranges.container if ranges is not None else _NO_BOUNDS
    for member, resource, found in chosen:
        cell = member.cells[resource]
        if is_guaranteed:
            cell.limit = cell.request
        elif cell.computes_limit:
            cell.limit = decide.limit(rule, resource, cell, container[resource])
        elif acts and not found.requests_only and cell.cap is not None:
            # VPA moves the limit along with the request; the least that keeps the pod valid is the request itself.
            cell.limit = max(cell.cap, cell.request or 0)
