"""What whole pods ask for: sums, QoS classes and quotas, as Kubernetes' own packages compute them."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from tests.conformance._cases import CaseFile, Json, compare, read_lines
from webhook.kube import pod_quota, pod_resources, quantity
from webhook.kube.objects import Pod, PodSpec
from webhook.pricing import book
from webhook.pricing.pod import price_pod

FREE: Final = book.PriceBook(
    currency="USD",
    hours_per_month=730,
    on_demand=book.Rates(1, 1, 1),
    spot=book.Rates(1, 1, 1),
    assumed_cpu=0,
    assumed_memory=0,
)
"""A book that assumes nothing, so that what is priced can be compared with what the scheduler sets aside."""


def nano(values: Mapping[str, Any] | None) -> dict[str, int]:
    """Return quantities as exact numbers."""
    return {name: quantity.of(raw).nano for name, raw in (values or {}).items()}


def different(what: str, found: Mapping[str, int], expected: Mapping[str, Any] | None) -> list[str]:
    """Return how amounts differ, by name."""
    wanted = nano(expected)
    names = sorted({name for name in {**found, **wanted} if found.get(name) != wanted.get(name)})
    return [f"{what}[{name}]: {found.get(name)} nano, expected {wanted.get(name)}" for name in names]


def of_pod(row: Json) -> list[str]:
    """Compare requests, limits and QoS class of a pod as written and as completed, what is priced of it, and the sums
    while it is resized."""
    pod = msgspec.convert(row["pod"], Pod)
    spec = pod.spec or PodSpec()
    if "written" not in row:
        return _of_upstream(row, pod, spec)
    found: list[str] = []
    for name, completed in (("written", False), ("defaulted", True)):
        stated = pod_resources.read(spec, completed=completed)
        expected = row[name]
        found += different(f"{name}.requests", pod_resources.requests(stated), expected.get("requests"))
        found += different(f"{name}.limits", pod_resources.limits(stated), expected.get("limits"))
        found += compare(f"{name}.qos", pod_quota.quality(stated), expected["qos"])
    if "withStatus" in row:
        stated = pod_resources.read(spec)
        for name, total in (("requests", pod_resources.requests), ("limits", pod_resources.limits)):
            found += different(f"withStatus.{name}", total(stated, pod.status), row["withStatus"].get(name))
    return found + _priced(pod, spec, row["scheduler"])


def _priced(pod: Pod, spec: PodSpec, scheduler: Json) -> list[str]:
    """Compare what is priced with what the scheduler sets aside, as far as the pod says something itself."""
    price = price_pod(spec, FREE, status=pod.status)
    stated = pod_resources.read(spec)
    found: list[str] = []
    for name, priced, set_aside in (
        ("cpu", price.cpu, scheduler["milliCPU"]),
        ("memory", price.memory, scheduler["memory"]),
    ):
        if priced >= 2**63:
            continue  # The scheduler counts in 64 bits, and whatever comes of it there is no amount.
        # Zero says nothing: a container that asks for none and has a limit is priced with that limit, a pod that asks
        # for none with what its containers are, and one of which the status of a resize that cannot be done says
        # nothing with what it asks for.
        is_refused = pod.status is not None and pod_resources.is_resize_infeasible(pod.status)
        is_silent = stated.requests.get(name) == 0 or any(
            not part.requests.get(name) and part.limits.get(name) for part in stated.parts
        )
        if not (is_refused or is_silent):
            found += compare(f"priced {name}", priced, set_aside)
        elif priced < set_aside:
            found.append(f"priced {name}: {priced}, less than {set_aside}")
    return found


def _of_upstream(row: Json, pod: Pod, spec: PodSpec) -> list[str]:
    stated = pod_resources.read(spec, completed=False)
    if "qos" in row:
        return compare("qos", pod_quota.quality(stated), row["qos"])
    options = row["options"]
    has_status = options.get("useStatusResources") or options.get("useDRANodeAllocatableResourceClaimStatus")
    name = "requests" if "requests" in row else "limits"
    total = pod_resources.requests if name == "requests" else pod_resources.limits
    with_overhead = not options.get("excludeOverhead")
    return different(name, total(stated, pod.status if has_status else None, with_overhead=with_overhead), row[name])


# --- quotas ---------------------------------------------------------------------------------------------------------

_SCOPES: Final[Mapping[str, tuple[str, str, tuple[str, ...]]]] = {
    "PriorityClass In high": ("PriorityClass", "In", ("high",)),
    "PriorityClass NotIn high": ("PriorityClass", "NotIn", ("high",)),
    "PriorityClass Exists": ("PriorityClass", "Exists", ()),
    "PriorityClass absent": ("PriorityClass", "DoesNotExist", ()),
    **{
        name: (name, "Exists", ())
        for name in ("BestEffort", "NotBestEffort", "Terminating", "NotTerminating", "CrossNamespacePodAffinity")
    },
}
_REQUIRED: Final = ("requests.cpu", "requests.memory", "limits.cpu", "limits.memory")


def _said(lacking: Mapping[str, list[str]]) -> str | None:
    """Return what a quota lacks as the API server words it."""
    parts = [f"{key} for: {','.join(names)}" for key, names in lacking.items()]
    return f"must specify {'; '.join(parts)}" if parts else None


def _of_new_pod(row: Json) -> list[str]:
    pod = msgspec.convert(row["pod"], Pod)
    spec = pod.spec or PodSpec()
    stated = pod_resources.read(spec)
    quality = pod_quota.quality(stated)
    scopes = [name for name, scope in _SCOPES.items() if pod_quota.is_in_scope(*scope, spec, quality)]
    found = different("usage", pod_quota.usage(stated, pod.status), row["usage"])
    found += compare("scopes", sorted(scopes), sorted(row["scopes"]))
    return found + compare("constraints", _said(pod_quota.lacking(_REQUIRED, stated)), row.get("constraints"))


def _of_usage(row: Json) -> list[str]:
    pod = msgspec.convert(row["pod"], Pod)
    stated = pod_resources.read(pod.spec or PodSpec(), completed=False)
    return different("usage", pod_quota.usage(stated, pod.status), row["usage"])


def _of_scopes(row: Json) -> list[str]:
    spec = msgspec.convert(row["pod"], Pod).spec or PodSpec()
    quality = pod_quota.quality(pod_resources.read(spec, completed=False))
    found = [
        each
        for each in row["selectors"]
        if pod_quota.is_in_scope(each["scopeName"], each["operator"], each.get("values", ()), spec, quality)
    ]
    return compare("scopes", found, row["scopes"])


def _of_constraints(row: Json) -> list[str]:
    stated = pod_resources.read(msgspec.convert(row["pod"], Pod).spec or PodSpec(), completed=False)
    return compare("constraints", _said(pod_quota.lacking(row["required"], stated)), row.get("error"))


QUOTA_CHECKS: Final[Mapping[str, Callable[[Json], list[str]]]] = {
    "pod": _of_new_pod,
    "pod usage": _of_usage,
    "pod scopes": _of_scopes,
    "pod constraints": _of_constraints,
}
"""By the kind of a row; rows of other kinds are left out."""


def of_quota(row: Json) -> list[str]:
    """Compare what quotas count of a pod, under which scopes, and what they want to be told."""
    return QUOTA_CHECKS[row["kind"]](row)


def _read_quota(path: Path) -> list[Json]:
    """Return the rows that are run; where nothing is wanted, that is an expectation too."""
    rows = [row for row in read_lines(path) if row["kind"] in QUOTA_CHECKS]
    return [{"error": None, **row} if row["kind"] == "pod constraints" else row for row in rows]


FILES: Final = (
    CaseFile(
        name="pod_resources.jsonl.gz",
        stored="resources/pod_resources.jsonl.gz",
        differences=of_pod,
        expectation=("written", "defaulted", "scheduler", "withStatus", "requests", "limits", "qos"),
    ),
    CaseFile(
        name="quota_usage.jsonl.gz",
        stored="resources/quota_usage.jsonl.gz",
        differences=of_quota,
        expectation=("usage", "scopes", "constraints", "error"),
        read=_read_quota,
    ),
)
