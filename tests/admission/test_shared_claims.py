"""Pods that share a ResourceClaim, and a budget that goes by a label which policies write: who pays for the devices."""

from typing import Any

import pytest

from tests import factories
from tests.admission.test_charged_labels import CLUSTER, budget, labels
from webhook.admission.bookings import bookings

PRICES = factories.PRICES.replace("  onDemand: {", "  onDemand: {claims: {gold: '50'}, ")
GOLD = 50_000_000
"""Micro-units per hour."""
CLAIM = {
    "apiVersion": "resource.k8s.io/v1",
    "kind": "ResourceClaim",
    "metadata": {"name": "gpus", "namespace": "team-alpha"},
    "spec": {"devices": {"requests": [{"name": "gpu", "exactly": {"deviceClassName": "gold", "count": 1}}]}},
}
USES = [{"name": "gpu", "resourceClaimName": "gpus"}]


def sharing(uid: str, pod_labels: dict[str, str] | None = None, day: int = 1) -> dict[str, Any]:
    """A pod that uses the claim, as it is stored."""
    made = factories.stored(factories.pod(labels=pod_labels or {}, resourceClaims=USES), uid)
    made["metadata"].update(name=uid, namespace="team-alpha", creationTimestamp=f"2026-01-{day:02d}T00:00:00Z")
    return made


def priced(*running: dict[str, Any], values: tuple[str, ...] = ("alpha", "other")) -> factories.World:
    budgets = [budget("1000000", value=value) for value in values]
    rules = factories.ruleset(labels(), *budgets, prices=PRICES)
    return factories.World(rules=rules, cluster=[*CLUSTER, CLAIM, *running])


@pytest.mark.parametrize(
    ("user", "pays"),
    [
        pytest.param({"cost-center": "other"}, True, id="the claim is paid for by another budget"),
        pytest.param({"cost-center": "alpha"}, False, id="by the same budget, which the label says"),
        pytest.param({}, False, id="by the same budget, which the namespace says"),
    ],
)
@pytest.mark.parametrize("own", [{}, {"cost-center": "alpha"}])
def test_a_pod_pays_for_devices_in_the_budget_that_it_is_charged_to(
    own: dict[str, str], user: dict[str, str], *, pays: bool
) -> None:
    before = priced(sharing("older", user))
    committed = before.ledger.committed("alpha")
    answer = before.call("/validate", factories.review(sharing("newer", own, day=2)))
    assert answer.allowed, answer.message
    added = before.ledger.committed("alpha") - committed
    assert (added > GOLD) is pays
    assert added > 0


def test_running_pods_that_miss_the_label_pay_once_for_each_budget_as_when_they_came() -> None:
    scene = priced(sharing("a"), sharing("b", day=2), sharing("c", {"cost-center": "other"}, day=3))
    paid = {each.key: each.micros > GOLD for each in bookings(scene.view, scene.rules, lambda: factories.NOON)}
    assert paid == {"a": True, "b": False, "c": True}
