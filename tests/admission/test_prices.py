"""Prices through the whole pipeline: what runs is counted by its node and its volumes, and verdicts name the list."""

from typing import Any

from tests import factories

STORED = factories.PRICES.rstrip("\n") + '\n  storage: {volumeGiBMonth: "1"}\n'
"""A GiB costs $1 a month of 100 hours, $0.01 an hour."""
POOL = factories.policy(
    'currency: USD\nonDemand: {cpuCoreHour: "10", memoryGiBHour: "1", gpuHour: "10"}', name="gpu", kind="PriceList"
)
BUDGET = factories.policy(
    "mode: enforce\nscope: {cluster: true}\namount: '100000'\ncurrency: USD", name="all", kind="Budget"
)
CEILING = factories.policy("mode: enforce\ncostCeiling: {podMonthly: '100', workloadMonthly: '100'}")
POD = 2_000_000
"""Micro-units per hour of the usual pod on demand; on spot a fifth, in the pool tenfold."""


def world(*policies: str, cluster: list[dict[str, Any]] | None = None, prices: str = STORED) -> factories.World:
    rules = factories.ruleset(*policies, prices=prices)
    return factories.World(rules=rules, cluster=[factories.namespace("team-alpha"), *(cluster or [])])


def _node(name: str, labels: dict[str, str] | None = None) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels or {}}}


def _pod(name: str, *claims: str, **spec: Any) -> dict[str, Any]:  # noqa: ANN401  fields of a pod
    volumes = [{"name": each, "persistentVolumeClaim": {"claimName": each}} for each in claims]
    metadata = {"name": name, "namespace": "team-alpha", "uid": f"uid-{name}"}
    return factories.pod(metadata=metadata, volumes=volumes, **spec)


def _claim(name: str, size: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": "team-alpha"},
        "spec": {"resources": {"requests": {"storage": size}}},
    }


def test_what_runs_is_counted_by_its_node() -> None:
    nodes = [
        _node("spot", {"karpenter.sh/capacity-type": "spot"}),
        _node("gpu", {"karpenter.sh/nodepool": "gpu"}),
        _node("plain"),
    ]
    pods = [_pod(each["metadata"]["name"], nodeName=each["metadata"]["name"]) for each in nodes]
    scene = world(BUDGET, POOL, cluster=[*nodes, *pods])
    assert scene.ledger.committed("all") == POD // 5 + 10 * POD + POD


def test_a_claim_of_several_pods_is_counted_once() -> None:
    pods = [_pod(f"p{n}", "shared") for n in range(3)]
    scene = world(BUDGET, cluster=[_claim("shared", "100Gi"), *pods, _claim("unmounted", "100Gi")])
    assert scene.ledger.committed("all") == 3 * POD + 1_000_000
    # Another pod that mounts it adds nothing for it; one that mounts a claim of its own does.
    assert scene.validate(factories.pod(volumes=_pod("p", "shared")["spec"]["volumes"]), pod_uid="u-1").allowed
    assert scene.ledger.committed("all") == 4 * POD + 1_000_000
    assert scene.validate(factories.pod(volumes=_pod("p", "unmounted")["spec"]["volumes"]), pod_uid="u-2").allowed
    assert scene.ledger.committed("all") == 5 * POD + 2_000_000


def test_the_recount_books_what_the_review_did() -> None:
    claims = [_claim("mine", "50Gi")]
    document = _pod("p", "mine", nodeSelector={"karpenter.sh/nodepool": "gpu"})
    before = world(BUDGET, POOL, cluster=claims)
    assert before.validate(document, pod_uid="uid-p").allowed
    after = world(BUDGET, POOL, cluster=[*claims, document])
    assert before.ledger.committed("all") == after.ledger.committed("all") == 10 * POD + 500_000


def test_a_verdict_names_the_price_list_and_what_was_priced() -> None:
    template = {"volumeClaimTemplate": {"spec": {"resources": {"requests": {"storage": "10Gi"}}}}}
    document = factories.pod(
        volumes=[{"name": "scratch", "ephemeral": template}], nodeSelector={"karpenter.sh/nodepool": "gpu"}
    )
    answer = world(CEILING, POOL).validate(document)
    assert not answer.allowed
    assert "costs $2,010.00 a month, above the ceiling of $100.00" in answer.message
    assert "(1 CPU, 10Gi, 10Gi of volumes by requests, on-demand, price list gpu)" in answer.message


def test_without_a_default_list_verdicts_say_that_prices_are_built_in() -> None:
    answer = world(CEILING, prices="").validate(factories.pod(factories.container(cpu="64")))
    assert "by requests, on-demand, price list built in)" in answer.message


def test_a_stateful_set_is_told_what_its_claims_cost() -> None:
    workload = factories.deployment(3)
    workload["kind"] = "StatefulSet"
    claim = {"metadata": {"name": "data"}, "spec": {"resources": {"requests": {"storage": "100Gi"}}}}
    workload["spec"]["volumeClaimTemplates"] = [claim]
    answer = world(CEILING).validate(workload)
    assert not answer.allowed
    assert "costs $900.00 a month (3 replicas), above the ceiling of $100.00" in answer.message
    assert "100Gi of volumes" in answer.message


def test_a_scale_of_a_stateful_set_counts_its_claims() -> None:
    workload = factories.deployment(1, namespace="team-alpha")
    workload["kind"] = "StatefulSet"
    claim = {"metadata": {"name": "data"}, "spec": {"resources": {"requests": {"storage": "100Gi"}}}}
    workload["spec"]["volumeClaimTemplates"] = [claim]
    scale = {"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "shop"}}
    answer = world(CEILING, cluster=[workload]).call(
        "/validate",
        factories.review(
            {**scale, "spec": {"replicas": 2}},
            operation="UPDATE",
            old={**scale, "spec": {"replicas": 1}},
            name="shop",
            subResource="scale",
            resource={"group": "apps", "version": "v1", "resource": "statefulsets"},
        ),
    )
    assert "costs $600.00 a month (2 replicas)" in answer.message


def test_a_resize_on_a_known_node_is_priced_by_it() -> None:
    node = _node("n", {"karpenter.sh/nodepool": "gpu"})
    before, after = _pod("p", nodeName="n"), _pod("p", nodeName="n")
    after["spec"]["containers"] = [factories.container(cpu="2")]
    answer = world(CEILING, POOL, cluster=[node]).validate(
        after, operation="UPDATE", old=factories.stored(before), subResource="resize"
    )
    assert "costs $3,000.00 a month" in answer.message
    assert "price list gpu" in answer.message
