"""Which volumes are paid for with a pod, so that each is counted once."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from tests.guardrails._money_world import PRICES, World, context, pod
from webhook.cluster.view import ClusterPod, StorageClaim
from webhook.guardrails.base import pod_cost
from webhook.guardrails.base.contract import Context, WorkloadScale
from webhook.kube.objects import ClaimTemplate, OwnerReference, Pod, Workload
from webhook.kube.quantity import QuantityError
from webhook.pricing import book

STORED = msgspec.structs.replace(PRICES, storage=book.Storage(book.pico(Decimal(1)), {"fast": book.pico(Decimal(10))}))
"""A GiB costs $0.01 an hour, of the class ``fast`` $0.10."""
POD = 3_000_000
GIB = 10_000


def _template(size: str | None = "10Gi", storage_class: str | None = None, name: str = "data") -> dict[str, Any]:
    requests = {"storage": size} if size is not None else {}
    return {
        "metadata": {"name": name},
        "spec": {"storageClassName": storage_class, "resources": {"requests": requests}},
    }


def _ephemeral(size: str | None = "10Gi", storage_class: str | None = None) -> dict[str, Any]:
    return {"name": "scratch", "ephemeral": {"volumeClaimTemplate": _template(size, storage_class)}}


def _mounts(*claims: str) -> list[dict[str, Any]]:
    return [{"name": f"v{n}", "persistentVolumeClaim": {"claimName": name}} for n, name in enumerate(claims)]


def _cost(judged: Context) -> int:
    return pod_cost.context_price(judged).micros - POD


@pytest.mark.parametrize(
    ("volumes", "micros"),
    [
        ([], 0),
        ([{"name": "config", "configMap": {"name": "c"}}, {"name": "tmp", "emptyDir": {}}], 0),
        ([_ephemeral()], 10 * GIB),
        ([_ephemeral(storage_class="fast")], 100 * GIB),
        ([_ephemeral(), _ephemeral("1Gi")], 11 * GIB),
        ([_ephemeral(None)], 0),
        ([{"name": "scratch", "ephemeral": {}}], 0),
    ],
)
def test_a_pod_pays_for_its_ephemeral_volumes(volumes: list[dict[str, Any]], micros: int) -> None:
    assert _cost(context(pod(volumes=volumes), prices=STORED)) == micros


def test_without_prices_of_storage_volumes_are_not_even_looked_at() -> None:
    assert _cost(context(pod(volumes=[_ephemeral("lots"), *_mounts("data")]))) == 0


_DATA = StorageClaim("team", "data", "20Gi", "fast")


def _of(judged: Pod, uid: str) -> Pod:
    assert judged.metadata is not None
    judged.metadata.uid = uid
    return judged


@pytest.mark.parametrize(
    ("payer", "uid", "micros"),
    [
        pytest.param(None, "u-1", 200 * GIB, id="nobody mounts it yet"),
        pytest.param("u-9", "u-1", 0, id="another pod has paid"),
        pytest.param("u-1", "u-1", 200 * GIB, id="its own"),
    ],
)
def test_a_claim_is_paid_for_by_one_of_its_pods(payer: str | None, uid: str, micros: int) -> None:
    world = World(claims=[_DATA], payers={"data": payer} if payer else {})
    created = _of(pod(volumes=_mounts("data")), uid)
    assert _cost(context(created, world=world, prices=STORED)) == micros
    bare = pod()
    running = ClusterPod(uid, "team", bare, "", ("data",))
    assert _cost(context(bare, world=world, prices=STORED, running=running)) == micros


def test_a_claim_that_is_mounted_twice_is_paid_for_once() -> None:
    judged = context(pod(volumes=_mounts("data", "data")), world=World(claims=[_DATA]), prices=STORED)
    assert _cost(judged) == 200 * GIB


def test_a_claim_that_is_not_known_yet_is_told() -> None:
    price = pod_cost.context_price(context(pod(volumes=_mounts("a", "b")), world=World(), prices=STORED))
    assert price.micros == POD
    assert price.source == "requests, on-demand, price list default, 2 volume claims not known yet"


def test_a_new_claim_of_a_stateful_set_is_as_the_set_makes_it() -> None:
    owner = msgspec.convert({"spec": {"volumeClaimTemplates": [_template("5Gi")]}}, Workload)
    judged = context(pod(volumes=_mounts("data-web-0", "other")), world=World(stateful_set=owner), prices=STORED)
    assert judged.pod.metadata is not None
    judged.pod.metadata.name = "web-0"
    judged.pod.metadata.owner_references = [OwnerReference("apps/v1", "StatefulSet", "web", "u", controller=True)]
    price = pod_cost.context_price(judged)
    assert price.micros == POD + 5 * GIB
    assert price.source.endswith(", 1 volume claim not known yet")


def test_a_stateful_set_pays_for_the_claims_that_it_makes_and_not_for_those_it_names() -> None:
    templates = msgspec.convert([_template("5Gi"), _template("1Gi", "fast", "logs")], list[ClaimTemplate])
    judged = context(
        pod(volumes=_mounts("shared")),
        world=World(claims=[StorageClaim("team", "shared", "100Gi")]),
        prices=STORED,
        scale=WorkloadScale("StatefulSet", 3, "3 replicas"),
        claim_templates=templates,
    )
    assert _cost(judged) == 15 * GIB


@pytest.mark.parametrize("size", ["lots", "-1Gi"])
def test_a_malformed_size_is_named_with_its_volume(size: str) -> None:
    with pytest.raises(QuantityError, match=r"^spec\.volumes\[scratch\], storage: "):
        pod_cost.context_price(context(pod(volumes=[_ephemeral(size)]), prices=STORED))


def test_where_volumes_cost_most_the_cure_is_about_them() -> None:
    dear = context(pod(volumes=[_ephemeral("1Ti")]), prices=STORED)
    assert pod_cost.how_to_cost_less(dear) == "ask for smaller volumes, or a cheaper storage class"
    cheap = context(pod(volumes=[_ephemeral("1Gi")]), prices=STORED)
    assert pod_cost.how_to_cost_less(cheap) == 'lower the requests of container "app"'
