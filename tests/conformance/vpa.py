"""VPA: which VPA is a pod's, what it asks for, and how that is capped, by the cases of VPA's own tests.

A pod under a VPA is compared twice: the capped target with what VPA itself would write, and the pod that leaves the
guardrail with VPA's requests and our limits.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from tests.conformance._cases import CaseFile, Json, Reason, compare
from tests.guardrails import _api_rules as api
from tests.guardrails.right_sizing import _cluster as world
from webhook.cluster.snapshot import Snapshot
from webhook.guardrails.right_sizing import advice, limit_range, resource_plan, vpa_capping
from webhook.guardrails.right_sizing.resource_plan import ContainerPlan
from webhook.kube.objects import ObjectMeta, OwnerReference, Pod, PodSpec, controller_of

_NAMES: Final = ("cpu", "memory")


# --- which VPA ------------------------------------------------------------------------------------------------------


def _snapshot(row: Json) -> Snapshot:
    return Snapshot.from_documents([*row.get("objects", ()), *row.get("vpas", ())])


def of_match(row: Json) -> list[str]:
    """Compare the VPA that is found for a pod."""
    view = _snapshot(row)
    metadata = msgspec.convert(row["pod"], Pod).metadata or ObjectMeta()
    namespace = (row.get("input") or {}).get("namespace") or metadata.namespace or ""
    labels = metadata.labels or {}
    controller = view.top_controller(namespace, controller_of(metadata), labels)
    found = view.vertical_pod_autoscaler(namespace, controller, labels) if controller is not None else None
    return compare("matchedVpa", found.name if found is not None else None, row["expect"]["matchedVpa"])


def of_owner(row: Json) -> list[str]:
    """Compare the controller at the end of a chain of owners."""
    if row["level"] == "owner_chain":
        start = row["input"]["start"]
        namespace = start["namespace"]
        reference = OwnerReference(api_version=start["apiVersion"], kind=start["kind"], name=start["name"])
        found = _snapshot(row).top_controller(namespace, reference, {})
    else:
        metadata = msgspec.convert(row["pod"], Pod).metadata or ObjectMeta()
        found = _snapshot(row).top_controller(metadata.namespace or "", controller_of(metadata), {})
    wanted = row["expect"]["controller"]
    expected = f"{wanted['kind']}/{wanted['name']}" if wanted else None
    return compare("controller", f"{found.kind}/{found.name}" if found is not None else None, expected)


# --- what it asks for -----------------------------------------------------------------------------------------------


def limits_of(row: Json) -> list[Json]:
    """Return the items of the LimitRanges of a row."""
    return [item for each in row["limitRanges"] for item in each["spec"]["limits"]]


def expected_requests(row: Json) -> dict[str, Json]:
    """Return the requests that VPA would write, by container."""
    expect = row["expect"]
    if row["level"] in ("capping", "pod_limit_range_step"):
        field = (row.get("input") or {}).get("field", "target")
        entries = expect["recommendation"]["containerRecommendations"] if expect["recommendation"] else ()
        return {entry["containerName"]: entry.get(field) or {} for entry in entries}
    return {name: values["requests"] for name, values in expect["final"].items()}


def _amounts(values: Json) -> dict[str, Any]:
    return {name: api.amount(raw) for name, raw in values.items() if name in _NAMES and api.amount(raw) > 0}


def of_target(row: Json) -> list[str]:
    """Compare the capped targets of all containers."""
    advised = advice.advised(world.vpa_of(row["vpa"]), "target").containers
    items = world.limit_range(*limits_of(row))
    ranges = limit_range.merge(items) if items else None
    spec = world.DECODER.decode(msgspec.json.encode(row["pod"])).spec or PodSpec()
    members = resource_plan.read(spec, {}, ranges)
    wanted = expected_requests(row)
    found: list[str] = []
    for member, (cpu, memory) in zip(members, vpa_capping.targets(members, advised, ranges), strict=True):
        if member.name in advised:
            expected = _amounts(wanted.get(member.name, {}))
            values = {"cpu": None if cpu is None else api.amount(f"{cpu}m"), "memory": memory}
            known = {name: value for name, value in values.items() if value is not None}
            targets = zip(_NAMES, advised[member.name].target, strict=True)
            controlled = {name: expected[name] for name, value in targets if value and name in expected}
            found += compare(f"target of {member.name}", known, controlled)
    return found


def of_pod(row: Json) -> list[str]:
    """Compare the targets, then let the whole guardrail work on the pod and look at what leaves it."""
    if "final" not in row["expect"]:
        return ["VPA fails there, and here nothing does"]
    return _of_matched(row) + of_target(row) + _of_guardrail(row)


def _of_matched(row: Json) -> list[str]:
    """Compare the VPA that is found for the pod, where the row has its owners."""
    if "matchedVpa" not in row["expect"]:
        return []
    vpas = row.get("vpas") or [row["vpa"]]
    return of_match({**row, "vpas": vpas, "input": None})


def _of_guardrail(row: Json) -> list[str]:
    vpa, items = world.vpa_of(row["vpa"]), limits_of(row)
    advised = advice.advised(vpa, "target").containers
    guaranteed = api.qos(row["pod"], items) == "Guaranteed"
    cluster = world.World(vpa, (), world.limit_range(*items))
    after, _, said = world.run(world.rule(guaranteedPods="resize"), row["pod"], cluster)
    found = compare("clampFailed", any(finding.rule == "clampFailed" for finding in said), False)
    wanted = expected_requests(row)
    for container in after["spec"]["containers"]:
        resources, name = container.get("resources", {}), container["name"]
        requests = _amounts(resources.get("requests", {}))
        if vpa.update_mode != "Initial":
            found += compare(f"requests of {name}", requests, _amounts(wanted.get(name, {})))
        mine = advised.get(name)
        for resource, request in requests.items():
            if mine is not None and mine.target[_NAMES.index(resource)] is not None and not mine.requests_only:
                limit = api.amount(resources["limits"][resource])
                found += _of_limit(resource, request, limit, is_guaranteed=guaranteed, is_bounded=bool(items))
    more = set(api.refusals(after, items)) - set(api.refusals(row["pod"], items))
    return found + compare("refusals of the API server", sorted(more), [])


def _of_limit(resource: str, request: Any, limit: Any, *, is_guaranteed: bool, is_bounded: bool) -> list[str]:  # noqa: ANN401
    """Compare a limit with headroom above its request: exact where nothing else bounds it."""
    exact = request * (3 if resource == "cpu" else 2)
    unit = api.amount("1m" if resource == "cpu" else "1Mi")
    if is_guaranteed:
        return compare(f"{resource} limit", limit, request)
    fits = request <= limit < exact + unit if is_bounded else exact <= limit < exact + unit
    return [] if fits else [f"{resource} limit {limit} beside request {request}"]


# --- small parts ----------------------------------------------------------------------------------------------------


def of_merge(row: Json) -> list[str]:
    """Compare what all LimitRanges of a namespace together say about containers, or about pods."""
    wanted, place = row["expect"]["item"] or {}, row["input"]
    near = [each for each in row["limitRanges"] if each["metadata"]["namespace"] == place["namespace"]]
    items = [item for each in near for item in each["spec"]["limits"]]
    ranges = limit_range.merge(world.limit_range(*items))
    bounds = ranges.container if place["type"] == "Container" else ranges.pod
    found: list[str] = []
    for name, bound in zip(_NAMES, bounds, strict=True):
        unit = 1000 if name == "cpu" else 1
        for field, value in (("min", bound.low or None), ("max", bound.high), ("default", bound.default_limit)):
            raw = (wanted.get(field) or {}).get(name)
            expected = None if raw is None else -(-api.amount(raw) * unit // 1)
            # What has no default of its own is bounded by the maximum here.
            if field != "default" or raw is not None:
                found += compare(f"{field}.{name}", value, expected)
    return found


def of_effective(row: Json) -> list[str]:
    """Compare what a container asks for."""
    spec = world.DECODER.decode(msgspec.json.encode(row["pod"])).spec or PodSpec()
    is_init = row["input"]["init"]
    chosen: list[ContainerPlan] = [
        member
        for member in resource_plan.read(spec, {}, None)
        if member.name == row["input"]["container"] and (member.kind != "regular") is is_init
    ]
    found: list[str] = []
    for field in ("requests", "limits"):
        values: Json | None = None
        for member in chosen:
            amounts = [getattr(cell, f"present_{field[:-1]}") for cell in member.cells]
            texts = zip(_NAMES, amounts, ("m", ""), strict=True)
            values = {name: api.amount(f"{amount}{unit}") for name, amount, unit in texts if amount is not None}
        raw = row["expect"][field]
        expected = None if raw is None else {name: api.amount(text) for name, text in raw.items()}
        found += compare(field, values, expected)
    return found


def of_policy(row: Json) -> list[str]:
    """Compare which container policy applies."""
    policies = world.vpa_of(row["vpa"]).container_policies
    chosen = advice.policy_for(policies, row["input"]["containerName"])
    index = next((number for number, each in enumerate(policies) if each is chosen), None)
    return compare("policyIndex", index, row["expect"]["policyIndex"])


def of_controlled_values(row: Json) -> list[str]:
    """Compare what a container policy lets VPA control."""
    chosen = advice.policy_for(world.vpa_of(row["vpa"]).container_policies, row["input"]["containerName"])
    return compare(
        "controlledValues", chosen.controlled_values or "RequestsAndLimits", row["expect"]["controlledValues"]
    )


RUNNERS: Final[Mapping[str, Callable[[Json], list[str]]]] = {
    "match": of_match,
    "owner_chain": of_owner,
    "parent_controller": of_owner,
    "capping": of_target,
    "pod_limit_range_step": of_target,
    "resources": of_pod,
    "admission": of_pod,
    "limit_range_merge": of_merge,
    "effective_resources": of_effective,
    "policy_lookup": of_policy,
    "controlled_values_lookup": of_controlled_values,
}


def of_row(row: Json) -> list[str]:
    """Compare a row of any level."""
    runner = RUNNERS.get(row["level"])
    return runner(row) if runner is not None else [f"{row['level']} is no part of Podgate"]


# --- where Podgate decides otherwise --------------------------------------------------------------------------------


def _is_of(*levels: str) -> Callable[[Json], bool]:
    return lambda row: row["level"] in levels


def _policies(row: Json) -> list[Json]:
    spec = (row["vpa"] or {}).get("spec") or {}
    return (spec.get("resourcePolicy") or {}).get("containerPolicies") or []


def _has_status(row: Json) -> bool:
    return bool(((row["pod"] or {}).get("status") or {}).get("containerStatuses"))


def _boosts(row: Json) -> bool:
    spec = (row["vpa"] or {}).get("spec") or {}
    return "startupBoost" in spec or any("startupBoost" in policy for policy in _policies(row))


def _lacks_a_recommendation(row: Json) -> bool:
    """Whether a container under a LimitRange of type Pod has no recommendation for cpu or memory."""
    if row["level"] != "admission" or not any(item["type"] == "Pod" for item in limits_of(row)):
        return False
    status = (row["vpa"]["status"] or {}).get("recommendation") or {}
    targets = {each["containerName"]: each.get("target") or {} for each in status.get("containerRecommendations") or ()}
    return any(set(_NAMES) - set(targets.get(each["name"], ())) for each in row["pod"]["spec"]["containers"])


def _is_off(vpa: Json) -> bool:
    return (vpa["spec"].get("updatePolicy") or {}).get("updateMode") == "Off"


FILES: Final = (
    CaseFile(
        name="vpa_cases.jsonl",
        stored="vpa/cases.jsonl.gz",
        differences=of_row,
        expectation=("expect",),
        reasons=(
            Reason(
                "own-patches",
                "How VPA words its patches and annotations, and what its handler answers, is VPA's own; Podgate's "
                "patches are compared by what they make of the pod.",
                _is_of("patch", "patch_path", "observed_containers", "observed_containers_parse", "handler"),
            ),
            Reason(
                "headroom",
                "VPA scales a limit in proportion to the request that was there; here a limit is the request times "
                "the headroom of the policy.",
                _is_of("limit_scaling", "scale_step"),
            ),
            Reason(
                "recommender",
                "What VPA's recommender does before a recommendation is stored; Podgate reads stored ones.",
                _is_of(
                    "recommender_policy",
                    "recommendation_format",
                    "round_up_to_multiple",
                    "humanize_memory",
                    "integer_cpu",
                    "integer_cpu_step",
                ),
            ),
            Reason(
                "container-status",
                "VPA also reads the resources in the status of a running pod; a pod that is being created has none.",
                _has_status,
            ),
            Reason(
                "startup-boost",
                "The start-up boost is applied by VPA's own webhook and is no part of a recommendation.",
                _boosts,
            ),
            Reason(
                "mode-off-holds",
                'VPA\'s webhook still applies a left-over recommendation of a container whose policy is `mode: "Off"`; '
                "here the policy holds.",
                lambda row: (
                    row["level"] in ("admission", "resources")
                    and any(each.get("mode") == "Off" for each in _policies(row))
                ),
            ),
            Reason(
                "no-recommendation",
                "Where a container under a LimitRange for pods has no recommendation, VPA panics or writes -1; here "
                "the container or the whole pod is left as written.",
                _lacks_a_recommendation,
            ),
            Reason(
                "limit-range-error",
                "VPA fails where LimitRanges cannot be read; here they are read from memory, which cannot fail.",
                lambda row: "limitRangeError" in (row.get("input") or {}),
            ),
            Reason(
                "off-counts",
                "VPAs of every updateMode count, `Off` above all, since that is how most users run VPA; those that "
                "act come first, then the oldest, then the smaller name.",
                lambda row: row["level"] == "match" and any(map(_is_off, row.get("vpas", ()))),
            ),
            Reason(
                "scale-subresource",
                "VPA asks the API server for the scale of a custom owner; no guardrail ever calls it, so a custom "
                "owner counts where an autoscaler targets it, and one of which nothing is known stands for itself.",
                lambda row: any("_scaleSubresource" in each for each in row.get("objects", ())),
            ),
        ),
    ),
)
