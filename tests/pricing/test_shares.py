"""Parts of GPUs: what a container pays that shares a device with others."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from webhook.kube.objects import PodSpec
from webhook.pricing import book
from webhook.pricing.pod import PodPrice, price_pod

BOOK = book.PriceBook(
    currency="USD",
    hours_per_month=730,
    on_demand=book.rates(Decimal(0), Decimal(0), Decimal(1)),
    spot=book.rates(Decimal(0), Decimal(0), Decimal(1)),
    assumed_cpu=100,
    assumed_memory=1,
)


def price(*limits: dict[str, Any], prices: book.PriceBook = BOOK) -> PodPrice:
    containers = [{"name": f"c{index}", "resources": {"limits": each}} for index, each in enumerate(limits)]
    return price_pod(msgspec.convert({"containers": containers}, PodSpec), prices)


@pytest.mark.parametrize(
    ("limits", "thousandths"),
    [
        pytest.param({"nvidia.com/gpu": 1}, 1000, id="a whole one"),
        pytest.param({"nvidia.com/gpu": 1, "nvidia.com/gpucores": 25}, 250, id="a quarter of its cores"),
        pytest.param({"nvidia.com/gpu": 2, "nvidia.com/gpucores": 25}, 500, id="a quarter of each of two"),
        pytest.param(
            {"nvidia.com/gpu": 1, "nvidia.com/gpucores": 25, "nvidia.com/gpumem-percentage": 50},
            500,
            id="the larger part counts",
        ),
        pytest.param({"nvidia.com/gpu": 1, "nvidia.com/gpumem-percentage": 10}, 100, id="a part of its memory"),
        pytest.param({"nvidia.com/gpu": 1, "nvidia.com/gpumem": 3000}, 1000, id="MiB of an unknown size"),
        pytest.param({"nvidia.com/gpu": 1, "nvidia.com/gpucores": 0}, 1000, id="no part is no discount"),
        pytest.param({"nvidia.com/gpu": 1, "nvidia.com/gpucores": 100}, 1000, id="all of it"),
        pytest.param({"nvidia.com/gpu": 1, "nvidia.com/gpucores": 400}, 1000, id="more than there is"),
        pytest.param({"nvidia.com/gpucores": 30}, 300, id="a part without a number is of one device"),
        pytest.param({"nvidia.com/gpu": 3, "nvidia.com/gpucores": 33}, 990, id="an odd part"),
        pytest.param({"amd.com/gpu": 1, "amd.com/gpucores": 50}, 500, id="of any vendor"),
        pytest.param({"amd.com/gpu": 1, "nvidia.com/gpucores": 50}, 1500, id="of its own vendor alone"),
    ],
)
def test_a_part_of_a_gpu_costs_that_part(limits: dict[str, Any], thousandths: int) -> None:
    found = price(limits)
    assert found.micros == thousandths * 1000
    assert (found.gpus, found.gpu_thousandths) == divmod(thousandths, 1000)
    assert (found.unpriced, found.others) == ((), ())


def test_parts_of_several_containers_add_up_and_whole_ones_beside_them_stay_whole() -> None:
    found = price({"nvidia.com/gpu": 1, "nvidia.com/gpucores": 75}, {"nvidia.com/gpu": 1, "nvidia.com/gpucores": 50})
    assert (found.gpus, found.gpu_thousandths, found.micros) == (1, 250, 1_250_000)
    assert price({"nvidia.com/gpu": 1, "nvidia.com/gpucores": 25}, {"nvidia.com/gpu": 1}).micros == 1_250_000


def test_a_part_with_a_price_of_its_own_is_paid_for_by_that_price() -> None:
    rates = book.rates(Decimal(0), Decimal(0), Decimal(1), {"nvidia.com/gpucores": Decimal("0.02")})
    prices = msgspec.structs.replace(BOOK, on_demand=rates)
    assert price({"nvidia.com/gpu": 1, "nvidia.com/gpucores": 25}, prices=prices).micros == 1_500_000


def test_shares_of_devices_that_only_the_list_knows_are_priced_by_the_list_and_named_without_it() -> None:
    limits = {"volcano.sh/vgpu-number": 2, "volcano.sh/vgpu-cores": 50}
    assert price(limits).unpriced == ("1 volcano.sh/vgpu-number",)
    rates = book.rates(Decimal(0), Decimal(0), Decimal(1), {"volcano.sh/vgpu-number": Decimal(3)})
    assert price(limits, prices=msgspec.structs.replace(BOOK, on_demand=rates)).micros == 3_000_000


@pytest.mark.parametrize(
    "name", ["nvidia.com/gpu.shared", "nvidia.com/mig-7g.80gb", "google.com/tpu", "ephemeral-storage"]
)
def test_what_the_list_does_not_name_is_named(name: str) -> None:
    found = price({name: 4, "zzz.example/x": 2})
    amount = "1Mi ephemeral-storage" if name == "ephemeral-storage" else f"4 {name}"
    assert found.unpriced == tuple(sorted((amount, "2 zzz.example/x"), key=lambda text: text.partition(" ")[2]))
    assert price({name: 0}).unpriced == ()


def test_a_price_of_zero_is_a_price() -> None:
    rates = book.rates(Decimal(0), Decimal(0), Decimal(1), {"google.com/tpu": Decimal(0)})
    found = price({"google.com/tpu": 8}, prices=msgspec.structs.replace(BOOK, on_demand=rates))
    assert (found.micros, found.unpriced, found.others) == (0, (), (("google.com/tpu", 8),))


def test_of_very_many_resources_the_first_are_named_and_the_rest_counted() -> None:
    found = price({f"a.example/{'x' * 300}{index:04d}": 1 for index in range(2_000)})
    assert found.unpriced[-1] == "1984 more resources"
    assert len("".join(found.unpriced)) < 2_000
