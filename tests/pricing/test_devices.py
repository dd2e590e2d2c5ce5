"""Devices cost what their class costs, however they are asked for, and what has no price is named."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhook.kube.device_claims import Alternative, DeviceRequest
from webhook.kube.device_classes import DeviceClass, DevicePool, Inventory, inventory
from webhook.kube.objects import PodSpec
from webhook.kube.quantity import QuantityError
from webhook.pricing import book, devices
from webhook.pricing.devices import Claims
from webhook.pricing.pod import MAX_MICROS, PodPrice, price_pod

BOOK = book.PriceBook(
    currency="USD",
    hours_per_month=100,
    on_demand=book.rates(
        Decimal(1),
        Decimal("0.1"),
        Decimal(10),
        {"example.com/tin": Decimal(3)},
        {"gold": Decimal(50), "free": Decimal(0)},
    ),
    spot=book.rates(Decimal(1), Decimal("0.1"), Decimal(10), claims={"gold": Decimal(20), "free": Decimal(0)}),
    assumed_cpu=1000,
    assumed_memory=0,
)
BARE = 1_000_000
"""A container that says nothing: one core."""
CLASSES = inventory(
    [
        DeviceClass("gold", "example.com/gold"),
        DeviceClass("tin", "example.com/tin"),
        DeviceClass("card", "example.com/gpu"),
        DeviceClass("few", driver="few.example.com"),
    ],
    [DevicePool("few.example.com", "n", 3)],
)
MICRO = 1_000_000


def _spec(**resources: object) -> PodSpec:
    return msgspec.convert({"containers": [{"name": "app", "resources": {"limits": resources}}]}, PodSpec)


def _price(*requests: DeviceRequest, spot: bool = False, spec: PodSpec | None = None, **more: Any) -> PodPrice:  # noqa: ANN401
    claims = Claims({requests: 1} if requests else {}, **more)
    return price_pod(spec or _spec(), BOOK, spot=spot, claims=claims, inventory=lambda: CLASSES)


def _of(*alternatives: Alternative, is_admin: bool = False) -> DeviceRequest:
    return DeviceRequest(alternatives, is_admin)


@pytest.mark.parametrize(
    ("requests", "dollars", "counted"),
    [
        pytest.param([_of(Alternative("gold", 2))], 100, {"gold": 2}, id="by its class"),
        pytest.param(
            [_of(Alternative("gold", 1)), _of(Alternative("gold", 3))], 200, {"gold": 4}, id="requests add up"
        ),
        pytest.param([_of(Alternative("gold", 2), is_admin=True)], 0, {}, id="administrators take nothing"),
        pytest.param([_of(Alternative("free", 2))], 0, {"free": 2}, id="at a price of zero"),
        pytest.param([_of(Alternative("tin", 2))], 6, {"tin": 2}, id="as its extended resource"),
        pytest.param([_of(Alternative("card", 2))], 20, {"card": 2}, id="as GPUs, where that resource is one"),
        pytest.param(
            [_of(Alternative("tin", 9), Alternative("gold", 1), Alternative("free", 30))],
            50,
            {"gold": 1},
            id="the dearest alternative",
        ),
        pytest.param([_of(Alternative("gold", 32, is_all=True))], 150, {"gold": 3}, id="all that a node can have"),
        pytest.param([_of(Alternative("free", 32, is_all=True))], 0, {"free": 3}, id="all, for nothing"),
    ],
)
def test_a_claim_costs_what_its_devices_cost(
    requests: list[DeviceRequest], dollars: int, counted: dict[str, int]
) -> None:
    price = _price(*requests)
    assert price.micros == BARE + dollars * MICRO
    assert dict(price.devices) == counted
    assert price.unpriced == ()


def test_spot_capacity_has_prices_of_its_own() -> None:
    assert _price(_of(Alternative("gold", 2)), spot=True).micros == BARE + 40 * MICRO


def test_all_devices_are_those_of_one_node() -> None:
    price = _price(_of(Alternative("few", 32, is_all=True)))
    assert price.unpriced == ("3 devices of class few",)
    claims = Claims({(_of(Alternative("gold", 32, is_all=True)),): 1})
    assert price_pod(_spec(), BOOK, claims=claims).devices == (("gold", 32),)


@pytest.mark.parametrize(
    ("requests", "dollars", "unpriced"),
    [
        pytest.param([_of(Alternative("lead", 2))], 0, ["2 devices of class lead"], id="a class nobody priced"),
        pytest.param([_of(Alternative("lead", 1))], 0, ["1 device of class lead"], id="one of it"),
        pytest.param(
            [_of(Alternative("lead", 2)), _of(Alternative("gold", 1)), _of(Alternative("lead", 3))],
            50,
            ["5 devices of class lead"],
            id="beside one with a price",
        ),
        pytest.param(
            [_of(Alternative("lead", 2), Alternative("gold", 1), Alternative("lead", 7))],
            50,
            ["7 devices of class lead"],
            id="as an alternative, at its most",
        ),
        pytest.param([_of(Alternative("lead", 2), is_admin=True)], 0, [], id="administrators"),
        pytest.param([_of()], 0, ["a request for devices, which is of an unknown form"], id="a form of tomorrow"),
        pytest.param(
            [_of(Alternative("gold", 0))],
            0,
            ["devices of class gold, which has an unknown allocationMode"],
            id="its mode",
        ),
        pytest.param(
            [_of(Alternative("lead", 2**63 - 1))], 0, ["over 10^15 devices of class lead"], id="a number beyond telling"
        ),
    ],
)
def test_what_has_no_price_is_named(requests: list[DeviceRequest], dollars: int, unpriced: list[str]) -> None:
    price = _price(*requests)
    assert price.micros == BARE + dollars * MICRO
    assert list(price.unpriced) == unpriced


def test_claims_that_are_not_known_are_named() -> None:
    unknown = ("claim a, which does not exist",)
    assert _price(_of(Alternative("lead", 1)), unknown=unknown).unpriced == (
        "1 device of class lead",
        "claim a, which does not exist",
    )


@pytest.mark.parametrize(
    ("alternative", "dollars", "unpriced"),
    [
        pytest.param(Alternative("cores", 2, cpu="3"), "6", [], id="cpu of a class without a price"),
        pytest.param(Alternative("cores", 1, cpu="500m", memory="10Gi"), "1.5", [], id="cpu and memory"),
        pytest.param(Alternative("free", 1, cpu="4"), "4", [], id="cpu of a class that costs nothing by itself"),
        pytest.param(Alternative("gold", 1, cpu="4", memory="40Gi"), "50", [], id="a device with a price has it"),
        pytest.param(
            Alternative("lead", 2, memory="10Gi"), "2", ["2 devices of class lead"], id="memory alone may be a GPU's"
        ),
        pytest.param(Alternative("lead", 1, cpu="0"), "0", ["1 device of class lead"], id="no cpu at all"),
    ],
)
def test_capacity_of_cpu_and_memory_is_cpu_and_memory(
    alternative: Alternative, dollars: str, unpriced: list[str]
) -> None:
    price = _price(_of(alternative))
    assert price.micros == BARE + int(Decimal(dollars) * MICRO)
    assert list(price.unpriced) == unpriced


def test_capacity_is_among_what_was_priced() -> None:
    price = _price(_of(Alternative("cores", 2, cpu="3", memory="1Gi")))
    assert (price.cpu, price.memory) == (7000, 2 << 30)


@pytest.mark.parametrize("raw", ["lots", "-1"])
def test_a_malformed_capacity_is_named_with_its_class(raw: str) -> None:
    with pytest.raises(QuantityError, match=r"^capacity of class cores: "):
        _price(_of(Alternative("cores", 1, cpu=raw)))


# --- extended resources ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("resource", "dollars", "unpriced"),
    [
        ("deviceclass.resource.kubernetes.io/gold", 100, []),
        ("deviceclass.resource.kubernetes.io/tin", 6, []),
        ("deviceclass.resource.kubernetes.io/gpu", 0, ["2 devices of class gpu"]),
        ("deviceclass.resource.kubernetes.io/lead", 0, ["2 devices of class lead"]),
        ("example.com/gold", 100, []),
        ("example.com/tin", 6, []),
        ("example.com/gpu", 20, []),
        ("example.com/lead", 0, ["2 example.com/lead"]),
    ],
)
def test_an_extended_resource_costs_what_the_class_behind_it_costs(
    resource: str, dollars: int, unpriced: list[str]
) -> None:
    price = _price(spec=_spec(cpu="1", memory="0", **{resource: "2"}))
    assert price.micros == BARE + dollars * MICRO
    assert list(price.unpriced) == unpriced


def test_claims_and_implicit_resources_of_a_class_are_counted_together() -> None:
    spec = _spec(cpu="1", **{"deviceclass.resource.kubernetes.io/gold": "2"})
    assert _price(_of(Alternative("gold", 1)), spec=spec).devices == (("gold", 3),)


def test_the_name_of_a_resource_says_more_than_the_class_behind_it() -> None:
    named = msgspec.structs.replace(
        BOOK,
        on_demand=BOOK.on_demand._replace(
            resources={"example.com/gold": book.pico(Decimal(7)), "deviceclass.resource.kubernetes.io/x": 10**12}
        ),
    )
    spec = _spec(cpu="1", **{"example.com/gold": "1", "deviceclass.resource.kubernetes.io/x": "1"})
    assert price_pod(spec, named, inventory=lambda: CLASSES).micros == BARE + 8 * MICRO


# --- workloads, bounds and algebra ----------------------------------------------------------------------------------


def test_what_pods_of_a_workload_share_is_paid_for_once() -> None:
    price = _price(_of(Alternative("tin", 1)), shared={(_of(Alternative("gold", 1)),): 1})
    assert price.micros == BARE + 3 * MICRO
    assert [price.of(pods) for pods in (0, 1, 4)] == [0, BARE + 53 * MICRO, 4 * (BARE + 3 * MICRO) + 50 * MICRO]
    assert dict(price.devices) == {"gold": 1, "tin": 1}


def test_a_price_saturates() -> None:
    assert _price(_of(Alternative("gold", 2**63 - 1))).micros == MAX_MICROS


def test_of_very_many_things_without_a_price_the_first_are_named() -> None:
    price = _price(*(_of(Alternative(f"lead-{n:03d}", 1)) for n in range(500)))
    assert len(price.unpriced) == devices.MOST_NAMED + 1
    assert price.unpriced[-1] == "492 more"


def test_a_pod_without_devices_never_asks_about_them() -> None:
    def never() -> Inventory:
        raise AssertionError

    spec = _spec(cpu="2", memory="1Gi")
    assert price_pod(spec, BOOK, inventory=never) == price_pod(spec, BOOK)


_ALTERNATIVES = st.builds(
    Alternative,
    st.sampled_from(["gold", "tin", "free", "lead", "card"]),
    st.integers(1, 40),
    st.booleans(),
    st.none(),
    st.none(),
)
_REQUESTS = st.builds(DeviceRequest, st.lists(_ALTERNATIVES, max_size=3).map(tuple), st.booleans())


@given(st.lists(_REQUESTS, max_size=4), st.lists(_REQUESTS, max_size=4))
def test_prices_of_claims_add_up(one: list[DeviceRequest], other: list[DeviceRequest]) -> None:
    both = price_pod(_spec(), BOOK, claims=Claims({tuple(one): 2, (*other, *other): 1}), inventory=lambda: CLASSES)
    apart = sum(_price(*part).micros - BARE for part in (one, one, other, other))
    assert both.micros - BARE == apart


@given(_REQUESTS.filter(lambda each: not each.is_admin))
def test_nothing_is_free_unseen(request_: DeviceRequest) -> None:
    price = _price(request_)
    assert price.micros > BARE or price.unpriced or dict(price.devices).keys() == {"free"}


@given(_REQUESTS, _ALTERNATIVES)
def test_one_more_alternative_makes_no_claim_cheaper(request_: DeviceRequest, more: Alternative) -> None:
    wider = request_._replace(alternatives=(*request_.alternatives, more))
    assert _price(wider).micros >= _price(request_).micros
