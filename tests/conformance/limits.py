"""LimitRanges and validation: what containers get by default, and which sizes the API server refuses."""

import re
from pathlib import Path
from typing import Any, Final

import msgspec

from tests.conformance._cases import CaseFile, Json, Reason, compare, read_lines
from tests.conformance.resources import FREE, different
from webhook.cluster import typed_objects
from webhook.cluster.view import LimitRangeItem
from webhook.guardrails.base import pod_cost
from webhook.guardrails.right_sizing import limit_range, pod_sums, resource_plan
from webhook.kube import pod_resources, quantity
from webhook.kube.objects import Pod, PodSpec
from webhook.kube.quantity import QuantityError
from webhook.pricing.pod import price_pod

_SIZED: Final = ("cpu", "memory")


def _items(document: Json) -> tuple[LimitRangeItem, ...]:
    item = typed_objects.read(document)
    assert item is not None
    found: tuple[LimitRangeItem, ...] = item.value
    return found


def of_limit_range(row: Json) -> list[str]:
    """Compare what containers get by default, and whether the sizes of cpu and memory are refused."""
    spec = msgspec.convert(row["pod"], Pod).spec or PodSpec()
    items = tuple(item for document in row["limitRanges"] for item in _items(document))
    ranges = limit_range.merge(items)
    defaults = pod_resources.amounts(pod_cost.merged_defaults(items))
    stated = {part.container.name: part for part in pod_resources.read(spec).parts}
    members = resource_plan.read(spec, {}, ranges)
    found: list[str] = []
    for member in members:
        expected = row["containers"].get(member.name, {})
        requests = {**defaults, **stated[member.name].requests}
        found += different(f"{member.name}.requests", requests, expected.get("requests"))
        limits = tuple(cell.limit for cell in member.cells)
        wanted = expected.get("limits") or {}
        # Sizes are whole millicores and bytes.
        rounded = tuple(
            read(wanted[name]) if name in wanted else None
            for name, read in (("cpu", quantity.cpu_milli), ("memory", quantity.memory_bytes))
        )
        found += compare(f"{member.name}.limits", limits, rounded)
    is_above = any(_is_above_limit(cell) for member in members for cell in member.cells)
    errors = [text for texts in row["errors"].values() for text in texts if re.search(r"\b(cpu|memory)\b", text)]
    # A request above its limit is refused before by the validation of pods, which these rows have not met.
    if not is_above or errors:
        found += compare("refused", pod_sums.refusal(members, ranges) is not None, bool(errors))
    return found


def _is_above_limit(cell: resource_plan.ResourcePlan) -> bool:
    return cell.request is not None and cell.limit is not None and cell.request > cell.limit


# --- validation -----------------------------------------------------------------------------------------------------

_ABOVE: Final = re.compile(r"must be less than or equal to (cpu|memory) limit")
_CONTAINER: Final = re.compile(r"spec\.(initContainers|containers)\[(\d+)\]\.resources\.requests")
_NEGATIVE: Final = "must be greater than or equal to 0"
_LISTS: Final = {"init": "initContainers", "sidecar": "initContainers", "regular": "containers"}


def _expected(error: Any) -> tuple[str, ...] | None:  # noqa: ANN401  a spoiled row holds something else
    """Return what Podgate has to notice of an error; None where it is about a rule that Podgate leaves to others."""
    place = _CONTAINER.fullmatch(error["field"]) if isinstance(error, dict) else None
    above = _ABOVE.match(error["detail"]) if isinstance(error, dict) else None
    return ("above its limit", place[1], place[2], above[1]) if place is not None and above is not None else None


def of_validation(row: Json) -> list[str]:
    """Compare which requests are found to be above their limits; and every pod that is valid has a price."""
    spec = msgspec.convert(row["pod"], Pod).spec or PodSpec()
    noticed = {
        ("above its limit", _LISTS[member.kind], str(member.position), name)
        for member in resource_plan.read(spec, {}, None)
        for name, cell in zip(_SIZED, member.cells, strict=True)
        if _is_above_limit(cell)
    }
    wanted = {_expected(error) or ("something else",) for error in row["errors"] or ()}
    found = compare("noticed", sorted(noticed), sorted(wanted))
    try:
        price_pod(spec, FREE)
    except QuantityError as error:
        found.append(f"has no price: {error}")
    return found


def _read_validation(path: Path) -> list[Json]:
    """Return the rows whose errors, if any, are all about requests above limits."""
    return [row for row in read_lines(path) if all(map(_expected, row["errors"] or ()))]


def _read_pods(path: Path) -> list[Json]:
    """Return the rows about pods; persistent volume claims are never changed, so their bounds are nobody's business."""
    return [row for row in read_lines(path) if row["kind"] == "pod"]


def _is_incomplete(row: dict[str, Any]) -> bool:
    return row.get("defaulting") == "none"


FILES: Final = (
    CaseFile(
        name="limit_ranger.jsonl.gz",
        stored="resources/limit_ranger.jsonl.gz",
        differences=of_limit_range,
        expectation=("containers", "errors"),
        read=_read_pods,
        reasons=(
            Reason(
                "never-stored",
                "Rows of upstream's tests in which neither the pod nor the LimitRange has met the defaults of an API "
                "server: no LimitRange is stored like that, and no webhook is sent such a pod.",
                _is_incomplete,
            ),
            Reason(
                "pod-level-left-alone",
                "Pods with resources at pod level are never sized, so bounds on the whole pod are not compared with "
                "them; they are priced by them.",
                lambda row: bool(row["pod"]["spec"].get("resources")),
            ),
        ),
    ),
    CaseFile(
        name="pod_validation.jsonl.gz",
        stored="resources/pod_validation.jsonl.gz",
        differences=of_validation,
        expectation=("errors",),
        read=_read_validation,
    ),
)
