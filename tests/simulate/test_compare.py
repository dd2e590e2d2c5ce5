"""What a change of manifests does to the monthly cost: scales, sums, and what is allowed."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import factories
from webhook.admission.review import Environment
from webhook.cluster.snapshot import Snapshot
from webhook.kube.manifests import Manifest, ManifestError
from webhook.simulate import compare
from webhook.simulate.compare import Allowance, ComparedWorkload
from webhook.simulate.formats.result import Range, difference

# One core and 10Gi cost $200 a month of 100 hours.
CORE = 200


def hpa(low: int | None, high: int, target: str = "shop") -> dict[str, Any]:
    spec: dict[str, Any] = {
        "maxReplicas": high,
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": target},
    }
    if low is not None:
        spec["minReplicas"] = low
    metadata = {"name": target, "namespace": "team-alpha"}
    return {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": metadata, "spec": spec}


def job(parallelism: int, deadline: int = 0, **annotations: str) -> dict[str, Any]:
    bounded = {"activeDeadlineSeconds": deadline} if deadline else {}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "sums", "annotations": annotations},
        "spec": {"parallelism": parallelism, **bounded, "template": {"spec": factories.pod()["spec"]}},
    }


def named_pod(name: str, **metadata: Any) -> dict[str, Any]:  # noqa: ANN401  metadata of a pod
    made = factories.pod()
    made["metadata"] = {"name": name, "namespace": "team-alpha", **metadata}
    return made


def prices(*documents: dict[str, Any]) -> dict[compare.Key, ComparedWorkload]:
    found, errors = price(*documents)
    assert errors == []
    return found


def price(*documents: dict[str, Any]) -> tuple[dict[compare.Key, ComparedWorkload], list[ManifestError]]:
    world = factories.World(cluster=[_placed(item) for item in documents if item["kind"] != "Pod"])
    around = Environment(world.rules, world.view, world.ledger, lambda: factories.NOON)
    items = [Manifest(f"test.yaml:{line}", item) for line, item in enumerate(documents, 1)]
    return compare.price_all(items, around, "team-alpha")


def _placed(document: dict[str, Any]) -> dict[str, Any]:
    return {**document, "metadata": {"namespace": "team-alpha", **document["metadata"]}}


SCALES: dict[str, tuple[list[dict[str, Any]], int, int, str]] = {
    "replicas": ([factories.deployment(3)], 600, 600, "3 replicas"),
    "an HPA at its minimum and maximum": (
        [factories.deployment(3), hpa(2, 10)],
        400,
        2000,
        '2 to 10 replicas by HorizontalPodAutoscaler "shop"',
    ),
    "an HPA without a minimum": (
        [factories.deployment(3), hpa(None, 4)],
        200,
        800,
        '1 to 4 replicas by HorizontalPodAutoscaler "shop"',
    ),
    "an HPA of another workload": ([factories.deployment(3), hpa(2, 10, "other")], 600, 600, "3 replicas"),
    "a Job for the whole month": (
        [job(2)],
        400,
        400,
        "2 pods at a time for the whole month, as no annotation podgate.dev/expected-runtime says less",
    ),
    "a Job for its expected runtime": (
        [job(2, 86_400, **{"podgate.dev/expected-runtime": "10h"})],
        40,
        40,
        "2 pods at a time for 10h as annotated",
    ),
    "a Job that outlasts the month": (
        [job(1, 0, **{"podgate.dev/expected-runtime": "500h"})],
        200,
        200,
        (
            "1 pod at a time for the whole month, as podgate.dev/expected-runtime is believed beside "
            "activeDeadlineSeconds only"
        ),
    ),
    "a pod": ([named_pod("one")], 200, 200, "1 pod"),
    "nothing at all": ([factories.deployment(0)], 0, 0, "0 replicas"),
}


@pytest.mark.parametrize("name", SCALES)
def test_a_workload_costs_what_its_scale_says(name: str) -> None:
    documents, low, high, scale = SCALES[name]
    (priced,) = prices(*documents).values()
    assert priced == ComparedWorkload(Range(Decimal(low), Decimal(high)), scale)


def test_a_pod_beside_its_workload_costs_nothing_more() -> None:
    owner = {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "db", "controller": True, "uid": "u"}
    stateful = {**factories.deployment(1), "kind": "StatefulSet", "metadata": {"name": "db", "uid": "u"}}
    owned = named_pod("db-0", ownerReferences=[owner])
    assert [key[0] for key in prices(stateful, owned)] == ["StatefulSet"]
    assert [key[0] for key in prices(owned)] == ["Pod"]


def test_what_cannot_be_priced_is_named_and_costs_no_other_its_price() -> None:
    broken = factories.deployment(1, name="broken")
    broken["spec"]["template"]["spec"] = {"containers": [factories.container(cpu="a lot")]}
    wrong = factories.deployment(1, name="wrong")
    wrong["spec"]["replicas"] = "many"
    world_safe = [broken, factories.deployment(1)]
    found, errors = price(*world_safe)
    assert [key[2] for key in found] == ["shop"]
    assert [error.origin for error in errors] == ["test.yaml:1"]
    assert "cannot be priced" in str(errors[0])
    around = Environment(
        factories.ruleset(), Snapshot.from_documents([]), factories.World().ledger, lambda: factories.NOON
    )
    found, errors = compare.price_all([Manifest("w.yaml:1", wrong)], around, "team-alpha")
    assert not found
    assert [error.origin for error in errors] == ["w.yaml:1"]


def test_added_removed_and_changed_workloads_are_told_dearest_first() -> None:
    before = prices(factories.deployment(2), factories.deployment(1, name="same"), job(1))
    after = prices(factories.deployment(5), factories.deployment(1, name="same"), factories.deployment(1, name="new"))
    result = compare.compare(before, after, None)
    assert [(item.change, item.name, item.scale) for item in result.changes] == [
        ("changed", "shop", "2 replicas -> 5 replicas"),
        ("added", "new", "1 replica"),
        (
            "removed",
            "sums",
            "1 pod at a time for the whole month, as no annotation podgate.dev/expected-runtime says less",
        ),
    ]
    assert result.unchanged == 1
    assert result.before == Range(Decimal(800), Decimal(800))
    assert result.after == Range(Decimal(1400), Decimal(1400))
    assert not result.exceeded


# --- what is allowed ----------------------------------------------------------------------------------------------

WITHIN = {
    "exactly at the share": ("5%", None, 1000, 1050),
    "exactly at the amount": ("$50", None, 1000, 1050),
    "an amount without a symbol": ("50", None, 0, 50),
    "an amount with the currency's code": ("50 USD", None, 0, 50),
    "a decrease": ("0%", None, 1000, 10),
    "a first workload below the floor": ("5%", "10", 0, 10),
    "a small increase below the floor": ("5%", "$10", 100, 110),
}
ABOVE = {
    "a cent above the share": ("5%", None, 1000, "1050.01"),
    "a cent above the amount": ("$50", None, 1000, "1050.01"),
    "a share of nothing": ("5%", None, 0, "0.01"),
    "a first workload above the floor": ("5%", "10", 0, "10.01"),
    "the share is larger than the floor": ("5%", "10", 1000, "1050.01"),
    "no increase is allowed at all": ("0", None, 10, "10.01"),
}


def exceeded(limit: str, floor: str | None, before: object, after: object) -> bool:
    allowed = compare.allowance(limit, floor, "USD")
    low, high = Decimal(str(before)), Decimal(str(after))
    return allowed.is_exceeded(Range(low, low), Range(high, high))


@pytest.mark.parametrize("name", WITHIN)
def test_an_increase_within_what_is_allowed_passes(name: str) -> None:
    assert not exceeded(*WITHIN[name])


@pytest.mark.parametrize("name", ABOVE)
def test_an_increase_above_what_is_allowed_fails(name: str) -> None:
    assert exceeded(*ABOVE[name])


def test_the_largest_scale_alone_can_fail_a_change() -> None:
    allowed = compare.allowance("5%", None, "USD")
    before = Range(Decimal(100), Decimal(100))
    assert allowed.is_exceeded(before, Range(Decimal(100), Decimal(106)))
    assert allowed.is_exceeded(before, Range(Decimal(106), Decimal(100)))


@pytest.mark.parametrize("text", ["", "five", "5%%", "-5%", "€5", "$5 EUR", "5 %%", "1e3", "%", "§5"])
def test_a_limit_that_is_neither_share_nor_amount_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(ValueError, match=r"; write ") as error:
        compare.allowance(text, None, "USD")
    assert "\n" not in str(error.value)


def test_the_words_name_the_floor() -> None:
    assert compare.allowance("5%", "10", "USD").text == "5% (at least $10.00)"
    assert compare.allowance("1000", None, "USD").text == "$1,000.00"


AMOUNTS = st.decimals(0, 10**6, places=2)
RANGES = st.builds(Range, AMOUNTS, AMOUNTS)
KEYS = st.tuples(st.just("Deployment"), st.just("a"), st.sampled_from("xyz"))
SETS = st.dictionaries(KEYS, st.builds(ComparedWorkload, RANGES, st.just("1 replica")), max_size=3)


@given(SETS, SETS)
def test_the_differences_of_workloads_add_up_to_that_of_the_totals(
    before: dict[compare.Key, ComparedWorkload], after: dict[compare.Key, ComparedWorkload]
) -> None:
    result = compare.compare(before, after, Allowance("", None, Decimal(0), Decimal(0)))
    parts = [difference(item.before, item.after) for item in result.changes]
    total = difference(result.before, result.after)
    assert sum((part.low for part in parts), Decimal(0)) == total.low
    assert sum((part.high for part in parts), Decimal(0)) == total.high
    assert result.exceeded == (total.low > 0 or total.high > 0)
    assert not compare.compare(before, before, None).changes
