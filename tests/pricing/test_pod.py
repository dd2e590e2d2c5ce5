"""The price of a pod: which quantity counts, what the scheduler sets aside, and exact arithmetic."""

from decimal import Decimal
from fractions import Fraction
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webhook.kube.objects import PodSpec
from webhook.kube.quantity import QuantityError
from webhook.pricing import book, money
from webhook.pricing.pod import MAX_MICROS, PodPrice, price_pod

GI = 1 << 30
MI = 1 << 20
BOOK = book.PriceBook(
    currency="USD",
    hours_per_month=730,
    on_demand=book.rates(Decimal("0.031611"), Decimal("0.004237"), Decimal("0.95")),
    spot=book.rates(Decimal("0.006655"), Decimal("0.000892"), Decimal("0.95")),
    assumed_cpu=100,
    assumed_memory=128 * MI,
)


def _container(
    requests: dict[str, Any] | None = None, limits: dict[str, Any] | None = None, **fields: object
) -> dict[str, Any]:
    return {"name": "app", "resources": {"requests": requests, "limits": limits}, **fields}


def _spec(*containers: dict[str, Any], **fields: object) -> PodSpec:
    return msgspec.convert({"containers": list(containers), **fields}, PodSpec)


def _price(spec: PodSpec, **arguments: Any) -> PodPrice:  # noqa: ANN401  passed on
    return price_pod(spec, BOOK, **arguments)


def _quantities(price: PodPrice) -> tuple[int, int, int]:
    return price.cpu, price.memory, price.gpus


def test_four_cores_and_eight_gib_cost_the_published_monthly_figure() -> None:
    price = _price(_spec(_container({"cpu": "4", "memory": "8Gi"})))
    assert price == PodPrice(160340, "requests, on-demand", 4000, 8 * GI, 0)
    assert money.format_money(money.over_hours(price.micros, 730), "USD") == "$117.05"


@pytest.mark.parametrize(
    ("container", "defaults", "expected", "source"),
    [
        pytest.param(_container({"cpu": "2", "memory": "1Gi"}), {}, (2000, GI), "requests", id="request"),
        pytest.param(
            _container({"cpu": "2", "memory": "1Gi"}, {"cpu": "4", "memory": "4Gi"}),
            {"cpu": "9", "memory": "9Gi"},
            (2000, GI),
            "requests",
            id="request wins over limit and default",
        ),
        pytest.param(_container(None, {"cpu": "4", "memory": "4Gi"}), {}, (4000, 4 * GI), "limits", id="limit"),
        pytest.param(
            _container({"cpu": "1"}, {"cpu": "4", "memory": "4Gi"}),
            {},
            (1000, 4 * GI),
            "requests and limits",
            id="limit of one resource only",
        ),
        pytest.param(
            _container(), {"cpu": "250m", "memory": "64Mi"}, (250, 64 * MI), "LimitRange default", id="LimitRange"
        ),
        pytest.param(_container(), {}, (100, 128 * MI), "assumed request", id="nothing"),
        pytest.param({"name": "app"}, {}, (100, 128 * MI), "assumed request", id="no resources at all"),
        pytest.param(
            _container({"cpu": "1"}), {}, (1000, 128 * MI), "requests and assumed request", id="no memory request"
        ),
        pytest.param(
            _container({"cpu": "1"}, None),
            {"memory": "64Mi"},
            (1000, 64 * MI),
            "requests and LimitRange default",
            id="default of one resource",
        ),
        pytest.param(
            _container({"cpu": "0", "memory": "0"}), {}, (100, 128 * MI), "assumed request", id="zero is not free"
        ),
        pytest.param(
            _container({"cpu": "0", "memory": "1Gi"}, {"cpu": "3"}),
            {},
            (3000, GI),
            "requests and limits",
            id="zero with a limit",
        ),
        pytest.param(_container({"cpu": None, "memory": None}), {}, (100, 128 * MI), "assumed request", id="null"),
        pytest.param(_container({"cpu": 2, "memory": 1.5}), {}, (2000, 2), "requests", id="bare numbers"),
        pytest.param(_container({"cpu": "1500u", "memory": "1500m"}), {}, (2, 2), "requests", id="rounded up"),
    ],
)
def test_priced_quantity_is_request_then_limit_then_default_then_assumed(
    container: dict[str, Any], defaults: dict[str, Any], expected: tuple[int, int], source: str
) -> None:
    price = _price(_spec(container), limit_range_defaults=defaults)
    assert (price.cpu, price.memory) == expected
    assert price.source == f"{source}, on-demand"


_ONE = {"cpu": "1", "memory": "1Gi"}
_TWO = {"cpu": "2", "memory": "2Gi"}
_TEN = {"cpu": "10", "memory": "10Gi"}


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        pytest.param(_spec(_container(_ONE), _container(_TWO)), (3000, 3 * GI, 0), id="containers add up"),
        pytest.param(
            _spec(_container(_ONE), initContainers=[_container(_TEN), _container(_TWO)]),
            (10000, 10 * GI, 0),
            id="the largest init container counts alone",
        ),
        pytest.param(
            _spec(_container(_TEN), initContainers=[_container(_TWO)]), (10000, 10 * GI, 0), id="smaller init is free"
        ),
        pytest.param(
            _spec(_container(_ONE), initContainers=[_container(_TWO, restartPolicy="Always")]),
            (3000, 3 * GI, 0),
            id="a sidecar adds up",
        ),
        pytest.param(
            _spec(_container(_ONE), initContainers=[_container(_TWO, restartPolicy="Always"), _container(_TEN)]),
            (12000, 12 * GI, 0),
            id="an init container runs beside sidecars started before",
        ),
        pytest.param(
            _spec(_container(_ONE), initContainers=[_container(_TEN), _container(_TWO, restartPolicy="Always")]),
            (10000, 10 * GI, 0),
            id="but not beside sidecars started later",
        ),
        pytest.param(
            _spec(_container(_ONE), initContainers=[_container({"cpu": "5", "memory": "1Mi"})]),
            (5000, GI, 0),
            id="each resource has its own peak",
        ),
        pytest.param(
            _spec(_container(_ONE), overhead={"cpu": "250m", "memory": "64Mi"}),
            (1250, GI + 64 * MI, 0),
            id="overhead comes on top",
        ),
        pytest.param(
            _spec(_container(_ONE), ephemeralContainers=[_container(_TEN)]),
            (1000, GI, 0),
            id="ephemeral containers are free",
        ),
        pytest.param(
            _spec(_container(_TWO), resources={"requests": _ONE}),
            (1000, GI, 0),
            id="pod-level requests replace the sum",
        ),
        pytest.param(
            _spec(_container(_TWO), resources={"requests": {"cpu": "7"}}),
            (7000, 2 * GI, 0),
            id="pod-level request of one resource",
        ),
        pytest.param(
            _spec(_container(_TWO), resources={"limits": _TEN}),
            (2000, 2 * GI, 0),
            id="pod-level limits yield to what containers ask",
        ),
        pytest.param(
            _spec(_container(), resources={"limits": _TEN}),
            (10000, 10 * GI, 0),
            id="pod-level limits where no container asks",
        ),
        pytest.param(
            _spec(_container(_TWO), resources={"requests": _ONE}, overhead={"cpu": "1"}),
            (2000, GI, 0),
            id="overhead on pod-level requests",
        ),
        pytest.param(_spec(_container({**_ONE, "nvidia.com/gpu": "2"})), (1000, GI, 2), id="GPUs by request"),
        pytest.param(_spec(_container(_ONE, {"amd.com/gpu": 1})), (1000, GI, 1), id="GPUs by limit"),
        pytest.param(
            _spec(_container({**_ONE, "nvidia.com/gpu": 3}, {"nvidia.com/gpu": 3})),
            (1000, GI, 3),
            id="a GPU in request and limit counts once",
        ),
        pytest.param(
            _spec(_container({**_ONE, "gpu.example/gpu": 1, "ephemeral-storage": "9Gi"})),
            (1000, GI, 1),
            id="any vendor's GPU, and no storage",
        ),
        pytest.param(
            _spec(_container({**_ONE, "x.y/gpu": 1}), initContainers=[_container({**_ONE, "x.y/gpu": 4})]),
            (1000, GI, 4),
            id="GPUs of the init phase",
        ),
        pytest.param(_spec(), (0, 0, 0), id="no containers"),
    ],
)
def test_quantity_of_a_pod_is_what_the_scheduler_sets_aside(spec: PodSpec, expected: tuple[int, int, int]) -> None:
    assert _quantities(_price(spec)) == expected


def test_sources_of_init_containers_count_only_where_they_decide() -> None:
    dearer = _price(_spec(_container(_ONE), initContainers=[_container(None, _TEN)]))
    cheaper = _price(_spec(_container(_TEN), initContainers=[_container(None, _ONE)]))
    assert dearer.source == "requests and limits, on-demand"
    assert cheaper.source == "requests, on-demand"


def test_spot_capacity_has_its_own_price_and_says_so() -> None:
    price = _price(_spec(_container({"cpu": "1", "memory": "1Gi"})), spot=True)
    assert price.micros == 6655 + 892
    assert price.source == "requests, spot"


def test_a_gpu_costs_its_hourly_price() -> None:
    with_gpu = _price(_spec(_container(_ONE, {"nvidia.com/gpu": "2"})))
    without = _price(_spec(_container(_ONE)))
    assert with_gpu.micros - without.micros == 2 * 950_000


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        pytest.param(
            _spec(_container({"cpu": "1 Gi"})), "spec.containers[0].resources.requests[cpu]: '1 Gi'", id="request"
        ),
        pytest.param(
            _spec(_container(_ONE), _container(None, {"memory": "1GB"})),
            "spec.containers[1].resources.limits[memory]: '1GB'",
            id="limit",
        ),
        pytest.param(
            _spec(_container(_ONE), initContainers=[_container({"cpu": "-1"})]),
            "spec.initContainers[0].resources.requests[cpu]: a quantity of resources must not be negative",
            id="negative",
        ),
        pytest.param(_spec(_container(_ONE), overhead={"cpu": "x"}), "spec.overhead[cpu]: 'x'", id="overhead"),
        pytest.param(
            _spec(_container(_ONE), resources={"requests": {"memory": "x"}}),
            "spec.resources.requests[memory]: 'x'",
            id="pod level",
        ),
        pytest.param(
            _spec(_container({**_ONE, "nvidia.com/gpu": "one"})),
            "spec.containers[0].resources.requests[nvidia.com/gpu]: 'one'",
            id="GPU",
        ),
    ],
)
def test_a_malformed_quantity_is_named_with_its_field(spec: PodSpec, words: str) -> None:
    with pytest.raises(QuantityError) as caught:
        _price(spec)
    assert str(caught.value).startswith(words)


def test_a_malformed_limit_range_default_is_named() -> None:
    with pytest.raises(QuantityError, match="LimitRange default"):
        _price(_spec(_container()), limit_range_defaults={"cpu": "lots"})


@pytest.mark.parametrize("cpu", ["12E", "1e900", 10**30])
def test_an_absurd_request_saturates_above_everything_payable(cpu: str | int) -> None:
    assert _price(_spec(_container({"cpu": cpu, "memory": "1Gi"}))).micros == MAX_MICROS


_cpu = st.integers(1, 64_000)
_bytes = st.integers(1, 1 << 40)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(_cpu, _bytes), min_size=1, max_size=4))
def test_price_is_the_exact_sum_rounded_once_half_up(parts: list[tuple[int, int]]) -> None:
    spec = _spec(*(_container({"cpu": f"{cpu}m", "memory": number}) for cpu, number in parts))
    exact = sum(
        (Fraction(cpu, 1000) * Fraction("31611") + Fraction(number, GI) * Fraction("4237") for cpu, number in parts),
        Fraction(0),
    )
    micros = _price(spec).micros
    assert Fraction(micros) - Fraction(1, 2) <= exact < Fraction(micros) + Fraction(1, 2)


@settings(max_examples=100, deadline=None)
@given(_cpu, _bytes, st.integers(0, 64_000), st.integers(0, 1 << 40))
def test_asking_for_more_never_costs_less(cpu: int, number: int, more_cpu: int, more_bytes: int) -> None:
    less = _price(_spec(_container({"cpu": f"{cpu}m", "memory": number})))
    more = _price(_spec(_container({"cpu": f"{cpu + more_cpu}m", "memory": number + more_bytes})))
    assert more.micros >= less.micros
