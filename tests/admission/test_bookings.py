"""A pod that runs is counted at what it was admitted with, whichever view tells of it."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests import factories
from tests.fakes.apiserver import FakeApiServer
from tests.fakes.live import live
from webhook.admission.bookings import bookings
from webhook.admission.ruleset import Ruleset
from webhook.cluster.snapshot import Snapshot
from webhook.cluster.view import View

NAMESPACE = "team-alpha"
SPOT_LABEL = "karpenter.sh/capacity-type"
SPOT = """
mode: enforce
match: {podSelector: {matchExpressions: [{key: plain, operator: DoesNotExist}]}}
spot:
  priceAs: spot
  allowSkip: true
  tolerations: [{key: spot, operator: Equal, value: "true", effect: NoSchedule}]
"""
TOLERATION = {"key": "spot", "operator": "Equal", "value": "true", "effect": "NoSchedule"}
BUDGET = factories.policy('mode: enforce\nscope: {cluster: true}\namount: "1000"\ncurrency: USD', "all", "Budget")
EXCEPTION = """
apiVersion: podgate.dev/v1alpha1
kind: PolicyException
metadata: {name: own, namespace: team-alpha}
spec:
  guardrails: [spot]
  podSelector: {matchLabels: {app: shop}}
  owner: jane
  reason: keeps its nodes
  expires: "2026-12-31"
"""
NODES = [
    {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "s", "labels": {SPOT_LABEL: "spot"}}},
    {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "d", "labels": {SPOT_LABEL: "on-demand"}}},
]
CLAIM = {
    "apiVersion": "v1",
    "kind": "PersistentVolumeClaim",
    "metadata": {"name": "data", "namespace": NAMESPACE},
    "spec": {"resources": {"requests": {"storage": "10Gi"}}},
}
CLAIMS = [{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}]

Views = Callable[[Iterable[dict[str, Any]]], View]

CHEAP, DEAR = 400_000, 2_000_000


@pytest.fixture(params=["directory", "API server"])
def views(request: pytest.FixtureRequest) -> Iterator[Views]:
    with ExitStack() as stack:

        def make(documents: Iterable[dict[str, Any]]) -> View:
            if request.param == "directory":
                return Snapshot.from_documents(documents)
            server = stack.enter_context(FakeApiServer())
            server.apply(*documents)
            return stack.enter_context(live(server)).view

        yield make


def admit(pod: dict[str, Any], *policies: str) -> tuple[int, dict[str, Any], Ruleset]:
    """Return what is booked for a new pod, the pod as it is stored then, and the policies."""
    world = factories.World(*policies, BUDGET, cluster=[factories.namespace(NAMESPACE), CLAIM])
    changed = factories.stored(factories.patched_with(pod, world.mutate(pod).patch))
    assert world.validate(changed).allowed
    changed["metadata"]["namespace"] = NAMESPACE
    return world.ledger.committed("all"), changed, world.rules


def count(view: View, rules: Ruleset) -> int:
    return sum(each.micros for each in bookings(view, rules, lambda: factories.NOON))


def on(node: str, pod: dict[str, Any]) -> dict[str, Any]:
    return {**pod, "spec": {**pod["spec"], **({"nodeName": node} if node else {})}}


TOLERANT: dict[str, Any] = {"tolerations": [TOLERATION]}
ADMITTED: dict[str, tuple[dict[str, Any], int]] = {
    "priced as spot": (factories.pod(), CHEAP),
    "tolerates spot by itself": (factories.pod(**TOLERANT), CHEAP),
    "an ordinary priority": (factories.pod(priority=5, priorityClassName="mine"), CHEAP),
    "no policy speaks for it": (factories.pod(labels={"plain": "x"}, **TOLERANT), DEAR),
    "opted out": (factories.pod(annotations={"podgate.dev/skip": "spot"}, **TOLERANT), DEAR),
    "must not be disrupted": (factories.pod(annotations={"karpenter.sh/do-not-disrupt": "true"}, **TOLERANT), DEAR),
    "keeps state": (factories.pod(volumes=CLAIMS, **TOLERANT), DEAR),
    "a system priority": (factories.pod(priorityClassName="system-node-critical", **TOLERANT), DEAR),
}


@pytest.mark.parametrize("name", ADMITTED)
@pytest.mark.parametrize("node", ["", "d", "gone"])
def test_counting_changes_nothing_of_what_was_reserved(views: Views, name: str, node: str) -> None:
    pod, micros = ADMITTED[name]
    reserved, stored, rules = admit(pod, factories.policy(SPOT))
    view = views([factories.namespace(NAMESPACE), CLAIM, *NODES, on(node, stored)])
    assert (reserved, count(view, rules)) == (micros, micros)


def test_who_lands_on_spot_is_counted_as_spot(views: Views) -> None:
    reserved, stored, rules = admit(factories.pod(labels={"plain": "x"}), factories.policy(SPOT))
    assert (reserved, count(views([factories.namespace(NAMESPACE), *NODES, on("s", stored)]), rules)) == (DEAR, CHEAP)


def test_an_exception_counts_as_it_did_when_the_pod_came(views: Views) -> None:
    reserved, stored, rules = admit(factories.pod(**TOLERANT), factories.policy(SPOT), EXCEPTION)
    assert (reserved, count(views([factories.namespace(NAMESPACE), *NODES, on("d", stored)]), rules)) == (DEAR, DEAR)


def test_a_policy_that_is_not_enforced_prices_nothing_as_spot(views: Views) -> None:
    reserved, stored, rules = admit(factories.pod(**TOLERANT), factories.policy(SPOT.replace("enforce", "audit")))
    assert (reserved, count(views([factories.namespace(NAMESPACE), *NODES, on("d", stored)]), rules)) == (DEAR, DEAR)


def test_a_volume_is_counted_with_the_pod_that_pays_for_it(views: Views) -> None:
    prices = factories.PRICES + '  storage: {volumeGiBMonth: "0.04"}\n'
    rules = factories.ruleset(BUDGET, prices=prices)
    pod = factories.stored(factories.pod(volumes=CLAIMS))
    pod["metadata"]["namespace"] = NAMESPACE
    bare = factories.stored(factories.pod())
    bare["metadata"]["namespace"] = NAMESPACE
    with_claim = count(views([factories.namespace(NAMESPACE), CLAIM, pod]), rules)
    assert with_claim > count(views([factories.namespace(NAMESPACE), CLAIM, bare]), rules) == DEAR


def test_a_resize_of_a_pod_that_is_priced_as_spot_stays_so() -> None:
    _, stored, rules = admit(factories.pod(), factories.policy(SPOT))
    running = on("d", stored)
    world = factories.World(rules=rules, cluster=[factories.namespace(NAMESPACE), *NODES, running])
    assert world.ledger.committed("all") == CHEAP
    bigger = factories.pod(factories.container(cpu="2"))["spec"]["containers"]
    resized = {**running, "spec": {**running["spec"], "containers": bigger}}
    assert world.validate(resized, old=running, operation="UPDATE", subResource="resize").allowed
    assert world.ledger.committed("all") == CHEAP + 200_000
