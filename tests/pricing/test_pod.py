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
from webhook.pricing.pod import MAX_MICROS, PodPrice, PricedVolume, price_pod

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
    assert price == PodPrice(160340, "requests, on-demand, price list default", 4000, 8 * GI)
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
    assert price.source == f"{source}, on-demand, price list default"


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
    assert dearer.source == "requests and limits, on-demand, price list default"
    assert cheaper.source == "requests, on-demand, price list default"


def test_spot_capacity_has_its_own_price_and_says_so() -> None:
    price = _price(_spec(_container({"cpu": "1", "memory": "1Gi"})), spot=True)
    assert price.micros == 6655 + 892
    assert price.source == "requests, spot, price list default"


def test_a_gpu_costs_its_hourly_price() -> None:
    with_gpu = _price(_spec(_container(_ONE, {"nvidia.com/gpu": "2"})))
    without = _price(_spec(_container(_ONE)))
    assert with_gpu.micros - without.micros == 2 * 950_000


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        pytest.param(
            _spec(_container({"cpu": "1 Gi"})), "container 'app', resources.requests[cpu]: '1 Gi'", id="request"
        ),
        pytest.param(
            _spec(_container(_ONE), _container(None, {"memory": "1GB"})),
            "container 'app', resources.limits[memory]: '1GB'",
            id="limit",
        ),
        pytest.param(
            _spec(_container(_ONE), initContainers=[_container({"cpu": "-1"}, name="setup")]),
            "container 'setup', resources.requests[cpu]: a quantity of resources must not be negative",
            id="negative",
        ),
        pytest.param(
            _spec(_container({"cpu": "x"}, name="")), "spec.containers[0].resources.requests[cpu]: 'x'", id="no name"
        ),
        pytest.param(_spec(_container(_ONE), overhead={"cpu": "x"}), "spec.overhead[cpu]: 'x'", id="overhead"),
        pytest.param(
            _spec(_container(_ONE), resources={"requests": {"memory": "x"}}),
            "spec.resources.requests[memory]: 'x'",
            id="pod level",
        ),
        pytest.param(
            _spec(_container({**_ONE, "nvidia.com/gpu": "one"})),
            "container 'app', resources.requests[nvidia.com/gpu]: 'one'",
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


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param(_spec(_container(_ONE, {"nvidia.com/gpu": "0.5"})), id="half a GPU, which no API server takes"),
        pytest.param(_spec(_container(_ONE, {"nvidia.com/gpu": "1e30"})), id="more GPUs than there are"),
        pytest.param(_spec(_container(_ONE, {"nvidia.com/gpu": 1, "nvidia.com/gpucores": "1e30"})), id="cores"),
        pytest.param(_spec(_container(_ONE), overhead={"memory": "1e30"}), id="overhead"),
        pytest.param(_spec(_container(_ONE), resources={"limits": {"cpu": "1e30"}}), id="a limit at pod level"),
    ],
)
def test_absurd_amounts_have_a_price_that_is_not_too_low(spec: PodSpec) -> None:
    price = _price(spec)
    assert _price(_spec(_container(_ONE))).micros <= price.micros <= MAX_MICROS


# --- other resources and volumes ------------------------------------------------------------------------------------

PRICED = msgspec.structs.replace(
    BOOK,
    name="gpu",
    on_demand=book.rates(
        Decimal("0.031611"),
        Decimal("0.004237"),
        Decimal("0.95"),
        {
            "nvidia.com/gpu": Decimal(2),
            "nvidia.com/mig-1g.5gb": Decimal("0.25"),
            "ephemeral-storage": Decimal("0.0001"),
            "hugepages-2Mi": Decimal("0.01"),
        },
    ),
    storage=book.Storage(book.pico(Decimal("0.073")), {"gp3": book.pico(Decimal("0.73"))}),
)


def _more(spec: PodSpec, **arguments: Any) -> int:  # noqa: ANN401  passed on
    """Return what a pod costs above one core and one GiB."""
    return price_pod(spec, PRICED, **arguments).micros - price_pod(_spec(_container(_ONE)), PRICED).micros


@pytest.mark.parametrize(
    ("spec", "micros"),
    [
        pytest.param(_spec(_container({**_ONE, "nvidia.com/gpu": 1})), 2_000_000, id="a GPU with a price of its own"),
        pytest.param(_spec(_container({**_ONE, "amd.com/gpu": 1})), 950_000, id="any other GPU"),
        pytest.param(_spec(_container(_ONE, {"nvidia.com/mig-1g.5gb": "3"})), 750_000, id="slices, by limit"),
        pytest.param(_spec(_container({**_ONE, "ephemeral-storage": "50Gi"})), 5_000, id="GiB of ephemeral storage"),
        pytest.param(_spec(_container({**_ONE, "hugepages-2Mi": "1Gi"})), 10_000, id="huge pages"),
        pytest.param(
            _spec(_container(_ONE), resources={"requests": {**_ONE, "hugepages-2Mi": "2Gi"}}),
            20_000,
            id="huge pages at pod level",
        ),
        pytest.param(_spec(_container({**_ONE, "vendor/unpriced": 9})), 0, id="what the list does not name"),
        pytest.param(
            _spec(
                _container({**_ONE, "nvidia.com/mig-1g.5gb": 1}),
                initContainers=[
                    _container({"cpu": "1m", "memory": "1", "nvidia.com/mig-1g.5gb": 3}),
                ],
            ),
            750_000,
            id="the peak of the init phase",
        ),
        pytest.param(
            _spec(
                _container(_ONE),
                overhead={"ephemeral-storage": "10Gi"},
            ),
            1_000,
            id="overhead",
        ),
    ],
)
def test_other_resources_cost_what_the_list_says(spec: PodSpec, micros: int) -> None:
    assert _more(spec) == micros


def test_a_default_of_the_namespace_counts_for_other_resources_too() -> None:
    assert _more(_spec(_container(_ONE)), limit_range_defaults={"ephemeral-storage": "10Gi"}) == 1_000


def test_what_else_was_priced_is_told() -> None:
    spec = _spec(_container({**_ONE, "nvidia.com/gpu": 1, "ephemeral-storage": "1Gi"}))
    price = price_pod(spec, PRICED, volumes=[PricedVolume(5 * GI, "gp3")])
    assert (price.gpus, price.others, price.storage) == (1, (("ephemeral-storage", GI),), 5 * GI)
    assert price.source == "requests, on-demand, price list gpu"


def test_a_malformed_other_resource_is_named_with_its_field() -> None:
    with pytest.raises(QuantityError, match=r"requests\[ephemeral-storage\]"):
        price_pod(_spec(_container({**_ONE, "ephemeral-storage": "lots"})), PRICED)


@pytest.mark.parametrize(
    ("volumes", "micros"),
    [
        ([], 0),
        ([PricedVolume(10 * GI, "")], 1_000),
        ([PricedVolume(10 * GI, "unheard-of")], 1_000),
        ([PricedVolume(10 * GI, "gp3")], 10_000),
        ([PricedVolume(10 * GI, "gp3"), PricedVolume(10 * GI, "")], 11_000),
    ],
)
def test_a_volume_costs_a_month_of_its_class_by_the_hours_of_a_month(volumes: list[PricedVolume], micros: int) -> None:
    assert _more(_spec(_container(_ONE)), volumes=volumes) == micros


def test_volumes_cost_nothing_where_the_list_does_not_price_them() -> None:
    spec = _spec(_container(_ONE))
    assert _price(spec, volumes=[PricedVolume(GI, "")]).micros == _price(spec).micros


_units = st.integers(0, 1 << 45)


@settings(max_examples=100, deadline=None)
@given(_cpu, _bytes, _units, st.integers(0, 16), st.lists(st.tuples(_units, st.sampled_from(["", "gp3"])), max_size=3))
def test_the_price_of_everything_is_the_exact_sum_rounded_once(
    cpu: int, number: int, disk: int, slices: int, volumes: list[tuple[int, str]]
) -> None:
    requests = {"cpu": f"{cpu}m", "memory": number, "ephemeral-storage": disk, "nvidia.com/mig-1g.5gb": slices}
    price = price_pod(_spec(_container(requests)), PRICED, volumes=[PricedVolume(*each) for each in volumes])
    exact = Fraction(cpu, 1000) * 31611 + Fraction(number, GI) * 4237
    exact += Fraction(disk, GI) * 100 + slices * 250_000
    exact += sum((Fraction(size, GI) * (730_000 if name else 73_000) / 730 for size, name in volumes), Fraction(0))
    assert Fraction(price.micros) - Fraction(1, 2) <= exact < Fraction(price.micros) + Fraction(1, 2)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(_cpu, _bytes, _units), min_size=2, max_size=4), _units)
def test_pods_together_cost_what_their_parts_do_but_for_rounding(parts: list[tuple[int, int, int]], disk: int) -> None:
    containers = [
        _container({"cpu": f"{cpu}m", "memory": number, "ephemeral-storage": units}) for cpu, number, units in parts
    ]
    volumes = [PricedVolume(disk, "gp3")]
    whole = price_pod(_spec(*containers), PRICED, volumes=volumes).micros
    apart = sum(price_pod(_spec(each), PRICED).micros for each in containers)
    apart += price_pod(_spec(), PRICED, volumes=volumes).micros
    assert abs(whole - apart) <= (len(parts) + 2) / 2


@settings(max_examples=100, deadline=None)
@given(_units, _units, st.integers(0, 9), st.integers(0, 9), _units, _units)
def test_asking_for_more_of_anything_never_costs_less(
    disk: int, more_disk: int, slices: int, more_slices: int, size: int, more_size: int
) -> None:
    def price(disk: int, slices: int, size: int) -> int:
        requests = {**_ONE, "ephemeral-storage": disk, "nvidia.com/mig-1g.5gb": slices}
        return price_pod(_spec(_container(requests)), PRICED, volumes=[PricedVolume(size, "")]).micros

    assert price(disk + more_disk, slices + more_slices, size + more_size) >= price(disk, slices, size)


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(st.sampled_from(["cpu", "memory", "ephemeral-storage"]), st.integers(0, 3)))
def test_no_pod_with_a_container_is_free(requests: dict[str, int]) -> None:
    assert price_pod(_spec(_container(requests)), PRICED).micros > 0
