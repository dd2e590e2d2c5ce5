"""The sum of a pod: what the API server completes, and the moments of a resize. Kubernetes' own cases are in
tests/conformance."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webhook.kube import pod_resources
from webhook.kube.objects import PodSpec, PodStatus
from webhook.kube.quantity import QuantityError

Json = dict[str, Any]


def stated(*containers: Json, completed: bool = True, **spec: object) -> pod_resources.Resources:
    listed = [{"name": f"c{index}", "resources": each} for index, each in enumerate(containers)]
    return pod_resources.read(msgspec.convert({"containers": listed, **spec}, PodSpec), completed=completed)


def milli(amounts: pod_resources.Amounts) -> dict[str, int]:
    return {name: amount // 10**6 for name, amount in amounts.items()}


ONE = {"requests": {"cpu": "1", "memory": "1"}}


@pytest.mark.parametrize(
    ("level", "requests"),
    [
        pytest.param({"limits": {"memory": "4"}}, {"cpu": 1000, "memory": 1000}, id="what containers ask for"),
        pytest.param(
            {"limits": {"cpu": "9"}, "requests": {"cpu": "2"}}, {"cpu": 2000, "memory": 1000}, id="as written"
        ),
        pytest.param(
            {"limits": {"hugepages-2Mi": "4"}}, {"cpu": 1000, "memory": 1000, "hugepages-2Mi": 4000}, id="pages"
        ),
        pytest.param({"requests": {"cpu": "3"}}, {"cpu": 3000, "memory": 1000}, id="no limits, nothing completed"),
        pytest.param({"limits": {"example.com/x": "4"}}, {"cpu": 1000, "memory": 1000}, id="what is not of pods"),
    ],
)
def test_a_pod_with_limits_of_its_own_requests_what_its_containers_do(level: Json, requests: dict[str, int]) -> None:
    assert milli(pod_resources.requests(stated(ONE, {}, resources=level))) == requests


def test_a_pod_whose_containers_ask_for_nothing_requests_its_own_limits() -> None:
    found = stated({}, {}, resources={"limits": {"cpu": "2", "memory": "3"}})
    assert milli(pod_resources.requests(found)) == {"cpu": 2000, "memory": 3000}


def test_as_written_nothing_is_completed_or_rounded() -> None:
    found = stated({"limits": {"cpu": "1n"}}, completed=False)
    assert pod_resources.requests(found) == {}
    assert pod_resources.limits(found) == {"cpu": 1}
    assert pod_resources.requests(stated({"limits": {"cpu": "1n"}})) == {"cpu": 10**6}


def status(**fields: object) -> PodStatus:
    return msgspec.convert(fields, PodStatus)


def held(requests: Json | None, allocated: Json | None) -> Json:
    return {"name": "c0", "resources": {"requests": requests}, "allocatedResources": allocated}


@pytest.mark.parametrize(
    ("given", "conditions", "cpu"),
    [
        pytest.param(held({"cpu": "3"}, {"cpu": "2"}), [], 3000, id="what it has"),
        pytest.param(held({"cpu": "500m"}, {"cpu": "2"}), [], 2000, id="what is allocated"),
        pytest.param(held({"cpu": "500m"}, {"cpu": "500m"}), [], 1000, id="what it asks for"),
        pytest.param(
            held({"cpu": "500m"}, {"cpu": "600m"}),
            [{"type": "PodResizePending", "reason": "Infeasible"}],
            600,
            id="what it asks for in vain does not count",
        ),
        pytest.param(
            held({"cpu": "500m"}, {"cpu": "600m"}),
            [{"type": "PodResizePending", "reason": "Deferred"}],
            1000,
            id="what it waits for counts",
        ),
        pytest.param({"name": "c0", "allocatedResources": {"cpu": "9"}}, [], 1000, id="a status without resources"),
        pytest.param({**held({"cpu": "9"}, None), "name": "other"}, [], 1000, id="of another container"),
    ],
)
def test_while_a_pod_is_resized_the_most_counts(given: Json, conditions: list[Json], cpu: int) -> None:
    found = pod_resources.requests(stated(ONE), status(containerStatuses=[given], conditions=conditions))
    assert milli(found)["cpu"] == cpu


def test_what_a_pod_takes_through_claims_counts() -> None:
    taken = status(nodeAllocatableResourceClaimStatuses=[{"resources": {"cpu": "250m"}}])
    assert milli(pod_resources.requests(stated(ONE), taken))["cpu"] == 1250


@pytest.mark.parametrize("raw", ["x", "1 Gi", "1e99999", ""])
def test_a_malformed_quantity_is_one_line(raw: str) -> None:
    with pytest.raises(QuantityError) as caught:
        stated({"requests": {"cpu": raw}})
    assert "\n" not in str(caught.value)


_amounts = st.fixed_dictionaries({}, optional={name: st.integers(0, 9) for name in ("cpu", "memory", "x.y/z")})


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(_amounts, _amounts), max_size=4), st.none() | st.tuples(_amounts, _amounts))
def test_completing_twice_equals_completing_once(
    parts: list[tuple[Json, Json]], level: tuple[Json, Json] | None
) -> None:
    containers = [{"requests": requests, "limits": limits} for requests, limits in parts]
    own = {"requests": level[0], "limits": level[1]} if level is not None else None
    once = stated(*containers, resources=own)
    texts = [{"requests": _text(each.requests), "limits": _text(each.limits)} for each in once.parts]
    level_texts = {"requests": _text(once.requests), "limits": _text(once.limits)} if own is not None else None
    again = stated(*texts, resources=level_texts)
    assert pod_resources.requests(again) == pod_resources.requests(once)
    assert pod_resources.limits(again) == pod_resources.limits(once)


def _text(amounts: pod_resources.Amounts) -> dict[str, str]:
    return {name: f"{amount}n" for name, amount in amounts.items()}
