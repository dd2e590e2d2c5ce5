"""Pods with every form of capacity cost what they hold, and nothing that they hold is left unpaid in silence.

`TEST_PODS` says how many pods are generated.
"""

import os
from fractions import Fraction
from math import ceil
from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.guardrails._money_world import World, context
from tests.pricing import _pod_rules as rules
from webhook.cluster.view import LimitRangeItem, RuntimeClass
from webhook.guardrails.base import pod_cost
from webhook.kube.objects import Pod
from webhook.pricing import book

Json = dict[str, Any]

PODS = int(os.environ.get("TEST_PODS", "100"))
PRICES = {
    "cpu": Fraction(1_000_000),
    "memory": Fraction(100_000, 1 << 30),
    "ephemeral-storage": Fraction(1_000, 1 << 30),
    "hugepages-2Mi": Fraction(100_000, 1 << 30),
    "nvidia.com/gpu": Fraction(10_000_000),
    "nvidia.com/mig-1g.5gb": Fraction(250_000),
}
"""Micro-units per hour of a unit; huge pages as memory, GPUs as GPUs."""
BOOK = book.PriceBook(
    currency="USD",
    hours_per_month=100,
    on_demand=book.Rates(10**12, 10**11, 10**13, {"ephemeral-storage": 10**9, "nvidia.com/mig-1g.5gb": 250 * 10**9}),
    spot=book.Rates(10**12, 10**11, 10**13),
    assumed_cpu=100,
    assumed_memory=128 << 20,
)
ASSUMED = {"cpu": "100m", "memory": "128Mi"}

_cpu = st.sampled_from(["0", "1n", "100m", "250m", "0.5", "1", "1500m", 2, "3", "1e0", "64"])
_memory = st.sampled_from(["0", "1m", "64Mi", "100M", "128974848", "0.5Gi", "1Gi", "1.5Gi", "3G", "40Gi"])
_whole = st.sampled_from(["0", "1", "2", 3, "8"])
_percent = st.sampled_from(["0", "1", "25", "33", 50, "100", "120"])
_values = {
    "cpu": _cpu,
    "memory": _memory,
    "ephemeral-storage": _memory,
    "hugepages-2Mi": st.sampled_from(["0", "2Mi", "8Mi", "1Gi"]),
    "nvidia.com/gpu": _whole,
    "nvidia.com/gpucores": _percent,
    "nvidia.com/gpumem-percentage": _percent,
    "nvidia.com/mig-1g.5gb": _whole,
    "google.com/tpu": _whole,
    "example.com/x": _whole,
}


def _maps(*names: str) -> st.SearchStrategy[Json]:
    return st.fixed_dictionaries({}, optional={name: _values[name] for name in names})


_resources = st.fixed_dictionaries({}, optional={"requests": _maps(*_values), "limits": _maps(*_values)})
_level = st.fixed_dictionaries({}, optional={"requests": _maps(*rules.LEVEL), "limits": _maps(*rules.LEVEL)})
_small = _maps("cpu", "memory", "ephemeral-storage")


@st.composite
def pods(draw: st.DrawFn) -> tuple[Json, Json, Json, Json | None, bool]:
    """Draw a spec, LimitRange defaults, the overhead of its RuntimeClass, a status, and whether a resize is refused."""
    spec: Json = {
        "containers": [{"name": f"c{i}", "resources": draw(_resources)} for i in range(draw(st.integers(1, 3)))]
    }
    init = [{"name": f"i{i}", "resources": draw(_resources)} for i in range(draw(st.integers(0, 3)))]
    for each in init:
        if draw(st.booleans()):
            each["restartPolicy"] = "Always"
    spec["initContainers"] = init
    if draw(st.booleans()):
        spec["resources"] = draw(_level)
    overhead: Json = {}
    form = draw(st.sampled_from(["none", "pod", "class"]))
    if form == "pod":
        spec["overhead"] = draw(_small.filter(bool))
    elif form == "class":
        spec["runtimeClassName"] = "kata"
        overhead = draw(_small)
    defaults = draw(st.one_of(st.just({}), _small))
    status: Json | None = None
    if form != "class" and draw(st.integers(0, 3)) == 0:
        sized = _maps("cpu", "memory")
        status = {
            field: [
                {"name": each["name"], "resources": {"requests": draw(sized)}, "allocatedResources": draw(sized)}
                for each in listed
            ]
            for field, listed in (("containerStatuses", spec["containers"]), ("initContainerStatuses", init))
        }
    return spec, defaults, overhead, status, draw(st.booleans())


@settings(max_examples=PODS, deadline=None, suppress_health_check=list(HealthCheck))
@given(pods())
def test_a_pod_costs_all_that_it_holds_and_what_has_no_price_is_named(
    drawn: tuple[Json, Json, Json, Json | None, bool],
) -> None:
    spec, defaults, overhead, status, is_refused = drawn
    document: Json = {"metadata": {"name": "p"}, "spec": spec}
    if status is not None:
        reason = "Infeasible" if is_refused else "Deferred"
        document["status"] = {**status, "conditions": [{"type": "PodResizePending", "reason": reason}]}
    pod = msgspec.convert(document, Pod)
    items = [LimitRangeItem("Container", default_request=defaults)] if defaults else []
    world = World(items=items, runtime_classes=[RuntimeClass("kata", overhead)])
    judged = context(pod, world=world, prices=BOOK, operation="UPDATE" if status is not None else "CREATE")
    price = pod_cost.context_price(judged)
    # What is asked for anew counts although it could not be done before.
    held = rules.priced(spec, defaults=defaults, overhead=overhead, assumed=ASSUMED, status=status, refused=False)
    whole = {
        name: Fraction(ceil(value)) if name not in ("cpu", "nvidia.com/gpu") else value for name, value in held.items()
    }
    exact = sum((whole[name] * PRICES[name] for name in whole if name in PRICES), Fraction(0))
    assert Fraction(price.micros) - Fraction(1, 2) <= exact < Fraction(price.micros) + Fraction(1, 2)
    assert {text.partition(" ")[2] for text in price.unpriced} == {name for name in whole if name not in PRICES}
    assert price.micros > 0
    if status is not None:
        stored = pod_cost.old_price(context(pod, world=world, prices=BOOK, operation="UPDATE", old_pod=pod))
        before = rules.priced(
            spec, defaults=defaults, overhead=overhead, assumed=ASSUMED, status=status, refused=is_refused
        )
        assert stored is not None
        assert (stored.cpu, stored.memory) == (int(before["cpu"] * 1000), ceil(before["memory"]))
