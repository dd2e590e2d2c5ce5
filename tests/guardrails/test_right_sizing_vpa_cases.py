"""Right-sizing against cases of VPA's own tests.

Where VPA acts, requests must be VPA's own capped target, which is asserted for every case first. Then the whole
guardrail runs on the same pods: VPA's requests with our limits, and for the cases that are overruled our own result.
"""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.guardrails import _api_rules as api
from tests.guardrails import _sizing_world as world
from webhook.guardrails._sizing import advice, cells, limit_range, vpa_capping

Json = dict[str, Any]

_PATH = Path(__file__).parents[1] / "data" / "vpa" / "right_sizing_cases.jsonl"
CASES: list[Json] = [json.loads(line) for line in _PATH.read_text(encoding="utf-8").splitlines()]

NOT_VPAS: dict[str, str] = {
    "vpa-087": "reads limits from the status of a running pod; at creation there is none",
    "vpa-111": "reads limits from the status of a running pod; at creation there is none",
    "vpa-255": "start-up boost is VPA's own, applied by its own webhook; it is not part of the capped target",
    "vpa-289": "VPA panics there",
}
"""Cases whose expectation is not a capped target of a pod being created."""

OVERRULED: dict[str, tuple[str, Json]] = {
    "vpa-267": (
        "a container policy of mode Off holds at admission too",
        {"hamster": {"requests": {"cpu": "100m", "memory": "100Mi"}, "limits": {}}},
    ),
    "vpa-289": (
        "a container without a recommendation is left alone, and nothing panics",
        {
            "hamster": {"requests": {"cpu": "200m", "memory": "200Mi"}, "limits": {"cpu": "200m", "memory": "200Mi"}},
            "side": {"requests": {"cpu": "50m", "memory": "50Mi"}, "limits": {"cpu": "50m", "memory": "50Mi"}},
        },
    ),
    "vpa-291": (
        "a resource without a recommendation is never -1; with it the sum breaks the LimitRange, so nothing is sized",
        {
            "hamster": {"requests": {"cpu": "100m", "memory": "100Mi"}, "limits": {"cpu": "100m", "memory": "100Mi"}},
            "hamster2": {"requests": {"cpu": "100m", "memory": "100Mi"}, "limits": {"cpu": "100m", "memory": "100Mi"}},
        },
    ),
}
"""Admission cases where this guardrail decides otherwise than VPA, with the reason and our result."""


def _ids(case: Json) -> str:
    return f"{case['id']} {case['name']}"


def _amounts(values: Json) -> dict[str, Any]:
    return {name: api.amount(raw) for name, raw in values.items() if name in ("cpu", "memory") and api.amount(raw) > 0}


@pytest.mark.parametrize("case", [case for case in CASES if case["id"] not in NOT_VPAS], ids=_ids)
def test_targets_are_what_vpa_itself_would_write(case: Json) -> None:
    advised = advice.advised(world.vpa_of(case["vpa"]), "target").containers
    items = world.limit_range(*case["limits"])
    ranges = limit_range.merge(items) if items else None
    spec = world.DECODER.decode(msgspec.json.encode(case["pod"])).spec
    assert spec is not None
    members = cells.read(spec, {}, ranges)

    for member, (cpu, memory) in zip(members, vpa_capping.targets(members, advised, ranges), strict=True):
        if member.name in advised:
            expected = _amounts(case["requests"].get(member.name, {}))
            found = {"cpu": None if cpu is None else api.amount(f"{cpu}m"), "memory": memory}
            recommended = {name: found[name] for name in ("cpu", "memory") if found[name] is not None}
            targets = zip(("cpu", "memory"), advised[member.name].target, strict=True)
            assert recommended == {name: expected[name] for name, value in targets if value and name in expected}


ADMISSION = [case for case in CASES if case["level"] in ("admission", "resources")]


@pytest.mark.parametrize("case", [case for case in ADMISSION if case["id"] not in OVERRULED], ids=_ids)
def test_a_pod_under_an_acting_vpa_gets_vpas_requests_and_our_limits(case: Json) -> None:
    vpa = world.vpa_of(case["vpa"])
    advised = advice.advised(vpa, "target").containers
    cluster = world.World(vpa, (), world.limit_range(*case["limits"]))
    after, _, findings = world.run(world.rule(guaranteedPods="resize"), case["pod"], cluster)
    guaranteed = api.qos(case["pod"], case["limits"]) == "Guaranteed"

    assert not any(finding.rule == "clampFailed" for finding in findings)
    for item in after["spec"]["containers"]:
        resources = item.get("resources", {})
        if case["id"] not in NOT_VPAS and vpa.update_mode != "Initial":
            assert _amounts(resources.get("requests", {})) == _amounts(case["requests"].get(item["name"], {}))
        for name, request in _amounts(resources.get("requests", {})).items():
            found = advised.get(item["name"])
            if found is None or found.target[("cpu", "memory").index(name)] is None or found.requests_only:
                continue
            limit = api.amount(resources["limits"][name])
            if guaranteed:
                assert limit == request
            elif not case["limits"]:
                unit = api.amount("1m" if name == "cpu" else "1Mi")
                exact = request * (3 if name == "cpu" else 2)
                assert exact <= limit < exact + unit
            else:
                assert request <= limit <= request * 3
    assert set(api.refusals(after, case["limits"])) <= set(api.refusals(case["pod"], case["limits"]))


@pytest.mark.parametrize("case", [case for case in ADMISSION if case["id"] in OVERRULED], ids=_ids)
def test_overruled_cases_have_our_result(case: Json) -> None:
    reason, expected = OVERRULED[case["id"]]
    cluster = world.World(world.vpa_of(case["vpa"]), (), world.limit_range(*case["limits"]))
    after, _, _ = world.run(world.rule(guaranteedPods="resize"), case["pod"], cluster)

    assert {name: world.resources(after, name) for name in expected} == expected, reason
