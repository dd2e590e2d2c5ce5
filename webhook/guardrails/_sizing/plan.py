"""The whole plan for one pod, from the objects it depends on to the values to write. Pure; nothing is changed here.

The pods of one workload are alike, so plans are remembered, in a bounded table, by everything they depend on: the rule,
the VPA, the HPAs and LimitRange items (by identity; the table holds them), and what the containers ask for.
"""

from collections.abc import Container, Sequence
from functools import lru_cache
from typing import Final, Literal, NamedTuple

from webhook.cluster.view import HorizontalPodAutoscaler, LimitRangeItem, ResourceQuota, VerticalPodAutoscaler
from webhook.guardrails._contract import Finding
from webhook.guardrails._sizing import (
    advice,
    cells,
    decide,
    limit_range,
    notices,
    originals,
    pod_sums,
    quota,
    vpa_capping,
)
from webhook.guardrails._sizing.advice import Advice, Advised
from webhook.guardrails._sizing.cells import Member
from webhook.guardrails._sizing.limit_range import NO_BOUNDS, Ranges
from webhook.guardrails._sizing.originals import Entries, Field, Original
from webhook.guardrails._sizing.rule import RESOURCES, RightSizingRule
from webhook.kube import quantity
from webhook.kube.containers import is_crowded
from webhook.kube.objects import Pod, PodSpec, RawQuantity, ResourceRequirements

_TEXTS: Final = (lru_cache(maxsize=8192)(quantity.format_cpu), lru_cache(maxsize=8192)(quantity.format_memory))
_NO_BOUNDS: Final = (NO_BOUNDS, NO_BOUNDS)


class Change(NamedTuple):
    """One value to write, as canonical text, in ``spec.<place>[position]``."""

    place: Literal["initContainers", "containers"]
    position: int
    field: Field
    resource: str
    text: str


class Plan(NamedTuple):
    """What to write, and what to say. `annotation` is the new text of the originals, None where nothing changes."""

    changes: tuple[Change, ...] = ()
    annotation: str | None = None
    notices: tuple[Finding, ...] = ()


NOTHING: Final = Plan()


def plan(
    rule: RightSizingRule,
    pod: Pod,
    vpa: VerticalPodAutoscaler,
    *,
    hpas: Sequence[HorizontalPodAutoscaler] = (),
    limit_ranges: Sequence[LimitRangeItem] = (),
    quotas: Sequence[ResourceQuota] = (),
    exempt: Container[str] | None = None,
) -> Plan:
    """Return what right-sizing does to `pod`, as it stands, under `vpa`.

    Args:
        rule: the compiled section.
        pod: as changed so far; not modified.
        vpa: the VPA that matches the pod.
        hpas: autoscalers of the same workload.
        limit_ranges: all items of the namespace.
        quotas: ResourceQuotas of the namespace.
        exempt: names of containers to leave alone.
    """
    spec = pod.spec
    if spec is None:
        return NOTHING
    text = pod.metadata.annotations.get(originals.ANNOTATION) if pod.metadata and pod.metadata.annotations else None
    if quotas:
        quotas = quota.counting(quotas, spec)
    around = _Around(rule, vpa, hpas, limit_ranges, quotas)
    is_rare = spec.os is not None or spec.node_selector or spec.resources is not None or (quotas and spec.overhead)
    if exempt is not None or is_rare:
        return _plan(around, spec, text, exempt)[0]
    identities = (id(rule), id(vpa), *map(id, hpas), None, *map(id, limit_ranges), None, *map(id, quotas))
    key = (identities, text, _fingerprint(spec))
    known = _memory.get(key)
    if known is not None:
        return known.plan
    result, is_small = _plan(around, spec, text, exempt)
    if is_small:
        if len(_memory) >= _MEMORY_SIZE:
            _memory.clear()
        _memory[key] = _Known((rule, vpa, *hpas, *limit_ranges, *quotas), result)
    return result


class _Around(NamedTuple):
    """What a plan depends on beside the pod."""

    rule: RightSizingRule
    vpa: VerticalPodAutoscaler
    hpas: Sequence[HorizontalPodAutoscaler]
    limit_ranges: Sequence[LimitRangeItem]
    quotas: Sequence[ResourceQuota]


class _Known(NamedTuple):
    """A remembered plan, and the objects whose identities are part of its key."""

    held: tuple[object, ...]
    plan: Plan


_memory: dict[tuple[object, ...], _Known] = {}
_MEMORY_SIZE: Final = 2048
_LARGEST_KEY: Final = 4096
"""Characters of names and of the annotation; whoever sends more is not worth remembering."""


def _fingerprint(spec: PodSpec) -> tuple[object, ...]:
    """Return all that the plan reads of the containers."""
    parts: list[object] = []
    for container in spec.init_containers or ():
        parts += (container.restart_policy == "Always", container.name)
        _add_amounts(parts, container.resources)
    parts.append(None)
    for container in spec.containers or ():
        parts.append(container.name)
        _add_amounts(parts, container.resources)
    return tuple(parts)


def _add_amounts(parts: list[object], resources: ResourceRequirements | None) -> None:
    for values in (None, None) if resources is None else (resources.requests, resources.limits):
        parts += (values.get("cpu"), values.get("memory")) if values else (None, None)


def _plan(around: _Around, spec: PodSpec, annotation: str | None, exempt: Container[str] | None) -> tuple[Plan, bool]:
    """Make the plan; also say whether its inputs are small enough to be remembered."""
    rule = around.rule
    advised = advice.advised(around.vpa, rule.recommendation)
    if advised.is_empty:
        return Plan(notices=(notices.no_recommendation(advised.name),)), False
    skipped = _skipped(spec)
    if skipped is not None:
        return Plan(notices=(skipped,)), False
    ranges = limit_range.merge(around.limit_ranges) if around.limit_ranges else None
    kept = originals.read(annotation)
    members = cells.read(spec, kept, ranges)
    is_small = len(annotation or "") + sum(len(member.name) for member in members) <= _LARGEST_KEY and all(
        member.is_readable for member in members
    )
    is_guaranteed = cells.is_guaranteed(members)
    said: list[Finding] = []
    chosen = _choose(rule, members, advised, around.hpas, exempt, said)
    if is_guaranteed and not rule.resizes_guaranteed:
        return Plan(notices=(notices.guaranteed(),) if chosen else ()), is_small
    _requests(rule, members, chosen, advised, ranges, is_guaranteed=is_guaranteed)
    _limits(rule, chosen, ranges, is_guaranteed=is_guaranteed, acts=advised.acts)
    if ranges is not None:
        for resource in (0, 1):
            if ranges.has_pod[resource]:
                pod_sums.cut(rule, members, resource, ranges, is_guaranteed=is_guaranteed)
    if around.quotas:
        received = cells.read(spec, kept, ranges)
        found, full = quota.fit(rule, members, received, ranges, around.quotas, spec.overhead)
        if full is not None:
            return Plan(notices=(*said, notices.quota_refuses(full))), is_small
        said.extend(found)
    changed: list[tuple[Member, int]] = []
    for member, resource, _ in chosen:
        cell = member.cells[resource]
        cell.keep_written()
        if cell.writes_limit or cell.writes_request:
            changed.append((member, resource))
    if not changed:
        return Plan(notices=tuple(said)) if said else NOTHING, is_small
    reason = pod_sums.refusal(members, ranges)
    if reason is not None:
        return Plan(notices=(*said, notices.clamp_failed(reason))), is_small
    return _written(members, changed, kept, tuple(said)), is_small


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
    rule: RightSizingRule,
    members: list[Member],
    advised: Advised,
    hpas: Sequence[HorizontalPodAutoscaler],
    exempt: Container[str] | None,
    said: list[Finding],
) -> list[tuple[Member, int, Advice]]:
    """Return the (container, resource) pairs that are sized; all others go on with their present values."""
    chosen: list[tuple[Member, int, Advice]] = []
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
            if found is not None and found.value[resource] is not None:
                if hpas and not rule.resizes_hpa_managed and (name := _driver(hpas, member.name, resource)) is not None:
                    said.append(notices.hpa_managed(member.name, RESOURCES[resource], name))
                elif cell.cap == 0:
                    said.append(notices.zero_limit(member.name, RESOURCES[resource]))
                else:
                    per = rule.resources[resource]
                    cell.is_sized = True
                    cell.computes_limit = per.headroom is not None and not found.requests_only
                    chosen.append((member, resource, found))
    return chosen


def _driver(hpas: Sequence[HorizontalPodAutoscaler], container: str, resource: int) -> str | None:
    """Return the name of the HPA that follows the utilisation of this container's resource, or None."""
    name = RESOURCES[resource]
    for hpa in hpas:
        if name in hpa.utilization_resources or (container, name) in hpa.container_utilization:
            return hpa.name
    return None


def _requests(
    rule: RightSizingRule,
    members: list[Member],
    chosen: list[tuple[Member, int, Advice]],
    advised: Advised,
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
    chosen: list[tuple[Member, int, Advice]],
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


def _written(
    members: list[Member], changed: list[tuple[Member, int]], kept: Entries, said: tuple[Finding, ...]
) -> Plan:
    """Return the values to write, and the annotation with what stood there before."""
    entries: dict[str, Original] = {}
    changes: list[Change] = []
    if kept:
        for member in members:
            entry = _still_true(member, kept)
            if entry is not None:
                entries[member.name] = entry
    for member, resource in changed:
        cell = member.cells[resource]
        name = RESOURCES[resource]
        place: Literal["initContainers", "containers"] = "containers" if member.kind == "regular" else "initContainers"
        entry = entries.get(member.name)
        if entry is None:
            entry = entries[member.name] = Original()
        amounts: tuple[tuple[Field, int | None], ...] = (
            ("requests", cell.request if cell.writes_request else None),
            ("limits", cell.limit if cell.writes_limit else None),
        )
        for field, amount in amounts:
            if amount is not None:
                text = _TEXTS[resource](amount)
                entry.record(field, name, _raw(member, kept, field, resource), text)
                changes.append(Change(place, member.position, field, name, text))
    return Plan(tuple(changes), originals.write(entries), said)


def _raw(member: Member, kept: Entries, field: Field, resource: int) -> RawQuantity | None:
    """Return what the author wrote under a key: from the annotation where it still holds, else as it stands."""
    name = RESOURCES[resource]
    if member.cells[resource].restored[0 if field == "requests" else 1]:
        entry = kept[member.name]
        return (entry.requests if field == "requests" else entry.limits).get(name)
    resources = member.container.resources
    values = (resources.requests if field == "requests" else resources.limits) if resources is not None else None
    return values.get(name) if values else None


def _still_true(member: Member, kept: Entries) -> Original | None:
    """Return the part of an earlier entry that still describes the container, or None."""
    if member.name not in kept:
        return None
    old = kept[member.name]
    entry = Original()
    for resource, cell in enumerate(member.cells):
        name = RESOURCES[resource]
        if cell.restored[0]:
            entry.record("requests", name, old.requests[name], str(old.applied.requests[name]))
        if cell.restored[1]:
            entry.record("limits", name, old.limits[name], str(old.applied.limits[name]))
    return entry if entry.requests or entry.limits else None
