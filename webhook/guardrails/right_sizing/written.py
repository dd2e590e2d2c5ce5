"""What a plan writes: values as canonical text, and the annotation with what stood there before."""

from typing import Final, Literal, NamedTuple

from webhook.guardrails.base.contract import Finding
from webhook.guardrails.right_sizing import originals
from webhook.guardrails.right_sizing.originals import Entries, Original, ResourceField
from webhook.guardrails.right_sizing.resource_plan import ContainerPlan
from webhook.guardrails.right_sizing.rule import RESOURCES
from webhook.kube import quantity
from webhook.kube.caches import remembered
from webhook.kube.objects import RawQuantity

_TEXTS: Final = (
    remembered("cpu_texts", 8192)(quantity.format_cpu),
    remembered("memory_texts", 8192)(quantity.format_memory),
)


class WrittenValue(NamedTuple):
    """One value to write, as canonical text, in ``spec.<place>[position]``."""

    place: Literal["initContainers", "containers"]
    position: int
    field: ResourceField
    resource: str
    text: str


class SizingPlan(NamedTuple):
    """What to write, and what to say. `annotation` is the new text of the originals, None where nothing changes."""

    changes: tuple[WrittenValue, ...] = ()
    annotation: str | None = None
    notices: tuple[Finding, ...] = ()


def write(
    members: list[ContainerPlan], changed: list[tuple[ContainerPlan, int]], kept: Entries, said: tuple[Finding, ...]
) -> SizingPlan:
    """Return the values to write, and the annotation with what stood there before."""
    entries: dict[str, Original] = {}
    changes: list[WrittenValue] = []
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
        amounts: tuple[tuple[ResourceField, int | None], ...] = (
            ("requests", cell.request if cell.writes_request else None),
            ("limits", cell.limit if cell.writes_limit else None),
        )
        for field, amount in amounts:
            if amount is not None:
                text = _TEXTS[resource](amount)
                entry.record(field, name, _raw(member, kept, field, resource), text)
                changes.append(WrittenValue(place, member.position, field, name, text))
    return SizingPlan(tuple(changes), originals.write(entries), said)


def _raw(member: ContainerPlan, kept: Entries, field: ResourceField, resource: int) -> RawQuantity | None:
    """Return what the author wrote under a key: from the annotation where it still holds, else as it stands."""
    name = RESOURCES[resource]
    if member.cells[resource].restored[0 if field == "requests" else 1]:
        entry = kept[member.name]
        return (entry.requests if field == "requests" else entry.limits).get(name)
    resources = member.container.resources
    values = (resources.requests if field == "requests" else resources.limits) if resources is not None else None
    return values.get(name) if values else None


def _still_true(member: ContainerPlan, kept: Entries) -> Original | None:
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
