"""Pods of one input that share a claim: it is paid for once, by whom a cluster lets pay that admits them in order."""

import copy
from typing import Any

import pytest

from tests import factories
from tests.admission.test_charged_labels import CLUSTER, budget, labels
from tests.admission.test_shared_claims import CLAIM, GOLD, PRICES, sharing
from webhook.admission.review import Environment
from webhook.kube.manifests import Manifest
from webhook.simulate import cluster_from_manifests, compare, reviewed_objects

Json = dict[str, Any]

DISK = {
    "apiVersion": "v1",
    "kind": "PersistentVolumeClaim",
    "metadata": {"name": "data", "namespace": "team-alpha"},
    "spec": {"resources": {"requests": {"storage": "1000Gi"}}, "storageClassName": "fast"},
}
MOUNTS = [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]
PRICED = f"{PRICES.rstrip()}\n  storage: {{volumeGiBMonth: '5'}}\n"
NO_PRIVILEGES = factories.policy("mode: enforce\npodSecurity: {level: baseline}", name="baseline")


def uses(name: str = "", namespace: str = "team-alpha", claim: str = "gpus", **metadata: Any) -> Json:  # noqa: ANN401
    """A manifest of a pod that uses a ResourceClaim; without a name, of one that the API server names."""
    made = factories.pod(resourceClaims=[{"name": "gpu", "resourceClaimName": claim}])
    made["metadata"] = {**({"name": name} if name else {"generateName": "web-"}), "namespace": namespace, **metadata}
    return made


def mounts(name: str) -> Json:
    made = factories.pod(volumes=MOUNTS)
    made["metadata"] = {"name": name, "namespace": "team-alpha"}
    return made


def around(*running: Json, policies: tuple[str, ...] = ()) -> Environment:
    elsewhere = {**CLAIM, "metadata": {"name": "gpus", "namespace": "team-beta"}}
    other = {**CLAIM, "metadata": {"name": "others", "namespace": "team-alpha"}}
    rules = factories.ruleset(NO_PRIVILEGES, *policies, prices=PRICED)
    world = factories.World(rules=rules, cluster=[*CLUSTER, CLAIM, elsewhere, other, DISK, *running])
    return Environment(world.rules, world.view, world.ledger, lambda: factories.NOON)


def given(documents: tuple[Json, ...]) -> list[Manifest]:
    return [Manifest(f"in.yaml:{number}", copy.deepcopy(each)) for number, each in enumerate(documents, 1)]


def costs(where: Environment, *documents: Json) -> list[int]:
    """Return what each pod costs, micro-units per hour."""
    return told(given(documents), where)


def told(manifests: list[Manifest], where: Environment) -> list[int]:
    found: list[int] = []
    for each in reviewed_objects.judge_all(manifests, where, "team-alpha"):
        assert isinstance(each, reviewed_objects.ReviewedObject), each
        if each.kind != "Pod":
            continue
        assert each.decision is not None
        assert each.decision.cost is not None
        found.append(each.decision.cost.after)
    return found


def pays(*documents: Json, running: tuple[Json, ...] = (), policies: tuple[str, ...] = ()) -> list[bool]:
    """Return which pods pay for the devices."""
    return [cost > GOLD for cost in costs(around(*running, policies=policies), *documents)]


def test_the_first_of_two_pods_pays() -> None:
    first, second = costs(around(), uses("a"), uses("b"))
    assert first - second == GOLD
    assert second > 0


def test_pods_that_the_api_server_names_are_different_pods() -> None:
    assert pays(uses(), uses(), uses()) == [True, False, False]


def test_a_pod_that_is_applied_once_more_pays_as_before() -> None:
    assert pays(uses("a"), uses("b"), uses("a"), uses("b")) == [True, False, True, False]
    assert pays(uses(uid="1"), uses(uid="2"), uses(uid="1")) == [True, False, True]


def test_other_claims_and_claims_of_other_namespaces_are_not_shared() -> None:
    assert pays(uses("a"), uses("a", "team-beta"), uses("b", claim="others")) == [True, True, True]


def test_a_pod_that_runs_is_older_than_those_of_the_input() -> None:
    assert pays(uses("a"), uses("b"), running=(sharing("older"),)) == [False, False]


def test_a_pod_that_is_refused_pays_for_nobody() -> None:
    refused = uses("a")
    refused["spec"]["hostNetwork"] = True
    assert pays(refused, uses("b"), uses("c")) == [True, True, False]


def test_a_dry_run_pays_for_nobody() -> None:
    asked = factories.review(factories.stored(uses("a"), "1"))
    asked["request"].update(namespace="team-alpha", dryRun=True)
    assert pays(asked, uses("b")) == [True, True]
    asked["request"].update(dryRun=False)
    assert pays(asked, uses("b")) == [True, False]


@pytest.mark.parametrize("own", [None, "alpha", "other"])
@pytest.mark.parametrize("users", [None, "alpha", "other"])
def test_budgets_decide_as_a_cluster_does_that_admits_the_pods_in_order(own: str | None, users: str | None) -> None:
    """The label that a policy writes counts."""
    policies = (labels(source="pod", more=", default: alpha"), budget("1000000"), budget("1000000", value="other"))
    first, second = (
        uses(name, labels={"cost-center": value} if value else {}) for name, value in (("a", users), ("b", own))
    )
    where = around(policies=policies)
    (alone,) = reviewed_objects.judge_all(given((first,)), where, "team-alpha")
    assert isinstance(alone, reviewed_objects.ReviewedObject)
    assert alone.decision is not None
    assert alone.decision.allowed
    admitted = factories.stored(alone.patched(), "uid-a")
    admitted["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z"
    assert pays(first, second, policies=policies)[1:] == pays(second, running=(admitted,), policies=policies)


def test_a_persistent_volume_claim_is_paid_for_once_as_well() -> None:
    first, second, third = costs(around(), mounts("a"), mounts("b"), mounts("a"))
    assert first == third > second > 0


def test_nothing_of_one_input_is_known_to_the_next() -> None:
    where = around()
    assert costs(where, uses("a")) == costs(where, uses("b"))


def test_a_comparison_counts_a_claim_once_be_there_budgets_or_not() -> None:
    plain = factories.pod()
    plain["metadata"] = {"name": "plain", "namespace": "team-alpha"}
    documents = (uses("a"), uses("b", labels={"cost-center": "other"}), plain)
    for policies in ((), (labels(), budget("1000000"), budget("1000000", value="other"))):
        prices, errors = compare.price_all(given(documents), around(policies=policies), "team-alpha")
        assert not errors
        a, b, without = (each.cost.low for each in prices.values())
        assert a > b == without


def test_the_input_may_bring_the_claim() -> None:
    where = around()
    found = given((uses("a"), CLAIM, uses("b")))
    view, errors = cluster_from_manifests.view_of(found, (), "team-alpha")
    assert not errors
    assert [cost > GOLD for cost in told(found, where._replace(view=view))] == [True, False]
