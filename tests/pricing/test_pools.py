"""Which price lists hold for a node, and for a pod that has no node yet."""

from decimal import Decimal
from typing import Any

import pytest

from tests.pricing.test_placement import POOL, required, selector, spec, where
from webhook.kube.objects import PodSpec
from webhook.pricing import book


def _book(name: str, pool: book.NodePool | None = None, pools: tuple[book.PriceBook, ...] = ()) -> book.PriceBook:
    rates = book.rates(Decimal(1), Decimal(1), Decimal(1))
    return book.PriceBook("USD", 730, rates, rates, 1, 1, name=name, pool=pool, pools=pools)


_TAINT = ("nvidia.com/gpu", "", "NoSchedule")
BOOK = _book(
    "default",
    pools=(
        _book("arm", book.pool([selector(where(POOL, "In", "arm"))])),
        _book("gpu", book.pool([selector(**{POOL: "gpu"}), selector(where("type", "In", "g5", "g6"))], [_TAINT])),
        _book("huge", book.pool([selector(size="huge")])),
    ),
)
_TOLERATES = [{"key": "nvidia.com/gpu", "operator": "Exists"}]


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        ({}, ["default"]),
        ({POOL: "arm"}, ["arm"]),
        ({POOL: "gpu"}, ["gpu"]),
        ({"type": "g6"}, ["gpu"]),
        ({POOL: "arm", "size": "huge"}, ["arm", "huge"]),
        ({POOL: "other"}, ["default"]),
    ],
)
def test_a_node_has_the_prices_of_its_pools(labels: dict[str, str], names: list[str]) -> None:
    assert [each.name for each in book.books_of_node(BOOK, labels)] == names


def _either(*pools: str) -> dict[str, Any]:
    return required([where(POOL, "In", *pools)])


@pytest.mark.parametrize(
    ("pod", "names"),
    [
        pytest.param(spec(), ["default"], id="anywhere"),
        pytest.param(spec(nodeSelector={"kubernetes.io/os": "linux"}), ["default"], id="bound to something else"),
        pytest.param(spec(nodeSelector={POOL: "arm"}), ["arm"], id="one pool"),
        pytest.param(spec(nodeSelector={POOL: "gpu"}, tolerations=_TOLERATES), ["gpu"], id="one tainted pool"),
        pytest.param(spec(nodeSelector={POOL: "gpu"}), ["gpu"], id="pending for want of a toleration"),
        pytest.param(
            spec(affinity=_either("arm", "gpu"), tolerations=_TOLERATES), ["arm", "gpu"], id="either of two pools"
        ),
        pytest.param(spec(affinity=_either("arm", "gpu")), ["arm"], id="the taint decides"),
        pytest.param(spec(affinity=_either("arm", "other")), ["default"], id="a pool or elsewhere"),
        pytest.param(spec(nodeSelector={POOL: "arm", "size": "huge"}), ["arm", "huge"], id="two lists for one node"),
        pytest.param(spec(tolerations=_TOLERATES), ["default"], id="a toleration permits only"),
        pytest.param(
            spec(affinity=required([where("type", "In", "g5", "g6")]), tolerations=_TOLERATES), ["gpu"], id="types"
        ),
    ],
)
def test_a_pod_has_the_prices_of_the_pools_that_it_can_only_run_in(pod: PodSpec, names: list[str]) -> None:
    assert sorted(each.name for each in book.books_of_pod(BOOK, pod)) == names


@pytest.mark.parametrize(
    ("toleration", "tolerated"),
    [
        ({"operator": "Exists"}, True),
        ({"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}, True),
        ({"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoExecute"}, False),
        ({"key": "nvidia.com/gpu"}, True),
        ({"key": "nvidia.com/gpu", "value": "x"}, False),
        ({"key": "other", "operator": "Exists"}, False),
    ],
)
def test_taints_are_tolerated_as_the_scheduler_has_it(toleration: dict[str, str], *, tolerated: bool) -> None:
    pod = spec(affinity=_either("arm", "gpu"), tolerations=[toleration])
    assert ("gpu" in [each.name for each in book.books_of_pod(BOOK, pod)]) is tolerated


def test_a_pod_that_asks_for_more_than_can_be_told_may_land_anywhere() -> None:
    terms = [{"matchExpressions": [{"key": POOL, "operator": "In", "values": ["gpu"]}]}] * 200
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}
    assert list(book.books_of_pod(BOOK, spec(affinity=affinity))) == [BOOK, *BOOK.pools]


def test_without_pools_there_is_one_book() -> None:
    alone = _book("default")
    assert book.books_of_pod(alone, spec(nodeSelector={POOL: "gpu"})) == (alone,)
