"""What runs costs where it runs: the same as budgets count, and what a spot node saves already is not offered again."""

from pathlib import Path
from typing import Any

import pytest

from tests import factories
from tests.reporting import _scene
from webhook.kube.objects import ObjectMeta
from webhook.reporting.report import AuditReport

ALL = factories.policy("mode: warn\nscope: {cluster: true}\namount: '1000'\ncurrency: USD", "all", "Budget")
POOL = factories.policy(
    "currency: USD\nnodes: {selectors: [{matchLabels: {pool.example/name: gpu}}]}\n"
    "onDemand: {cpuCoreHour: '0.5', memoryGiBHour: '0.05', gpuHour: '4'}",
    "gpu",
    "PriceList",
)
NODES = {
    "plain": {},
    "cheap": {"karpenter.sh/capacity-type": "spot"},
    "gpu": {"pool.example/name": "gpu"},
}


def node(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": NODES[name]}}


def spot(mode: str, price_as: str = "spot") -> str:
    section = f"{{tolerations: [{{key: kubernetes.io/spot, value: 'true'}}], priceAs: {price_as}}}"
    return factories.policy(f"mode: {mode}\nspot: {section}", "spot")


CEILING = factories.policy("mode: audit\ncostCeiling: {podMonthly: '150'}", "ceiling")
TOLERATING = {"tolerations": [{"key": "kubernetes.io/spot", "value": "true"}]}


def told(
    directory: Path, *policies: str, pods: list[dict[str, Any]], more: tuple[dict[str, Any], ...] = ()
) -> AuditReport:
    _scene.write(directory, _scene.team(), *map(node, NODES), *more, *pods)
    return _scene.report(directory, ALL, POOL, *policies)


# A pod costs $200 a month on demand, $40 on spot, $100 in the pool.
@pytest.mark.parametrize(
    ("policies", "where", "spec", "before", "after"),
    [
        pytest.param([CEILING], "plain", {}, 200, 200, id="on demand"),
        pytest.param([CEILING], "cheap", {}, 40, 40, id="on spot"),
        pytest.param([CEILING], "gpu", {}, 100, 100, id="in a pool"),
        pytest.param([CEILING], "gone", {}, 200, 200, id="on a node that is not known"),
        pytest.param([spot("audit")], "plain", {}, 200, 40, id="would go to spot"),
        pytest.param([spot("audit")], "cheap", {}, 40, 40, id="is on spot already"),
        pytest.param([spot("enforce")], "plain", TOLERATING, 40, 40, id="was admitted as spot"),
        pytest.param([spot("enforce")], "plain", {}, 200, 40, id="came before the policy"),
        pytest.param([spot("audit", "onDemand")], "plain", {}, 200, 200, id="is not priced as spot"),
        pytest.param([spot("audit", "onDemand")], "cheap", {}, 40, 40, id="on spot by itself"),
    ],
)
def test_a_pod_costs_today_what_its_budget_counts(
    tmp_path: Path, policies: list[str], where: str, spec: dict[str, Any], before: int, after: int
) -> None:
    found = told(tmp_path, *policies, pods=[_scene.running("shop-1", nodeName=where, **spec)])
    (line,) = found.budgets
    (row,) = found.rows
    assert (row.tally.before, row.tally.after) == (before * 1_000_000, after * 1_000_000)
    assert line.committed == row.tally.before
    assert sum(share.saved for share in row.shares.values()) == row.tally.saved


def test_the_verdict_is_about_the_successor_and_the_money_about_what_runs(tmp_path: Path) -> None:
    found = told(tmp_path, CEILING, pods=[_scene.running("shop-1", nodeName="cheap")])
    (row,) = found.rows
    ((note, _),) = row.findings
    assert "costs $200.00 a month, above the ceiling of $150.00" in note.text
    assert (row.word, row.tally.refused_money) == ("would refuse", 40_000_000)


def test_smaller_requests_save_at_the_price_of_the_node(tmp_path: Path) -> None:
    sizes = {
        "apiVersion": "autoscaling.k8s.io/v1",
        "kind": "VerticalPodAutoscaler",
        "metadata": {"name": "shop", "namespace": "team-alpha"},
        "spec": {"targetRef": {"kind": "Deployment", "name": "shop"}, "updatePolicy": {"updateMode": "Off"}},
        "status": {
            "recommendation": {
                "containerRecommendations": [{"containerName": "app", "target": {"cpu": "500m", "memory": "5Gi"}}]
            }
        },
    }
    sizing = factories.policy(
        "mode: audit\nrightSizing: {recommendation: target, limitHeadroom: {cpu: none, memory: none}}", "sizing"
    )
    pods = [
        _scene.running(f"shop-{name}", ("ReplicaSet", "shop-7d9c8b6f5"), nodeName=name) for name in ("plain", "cheap")
    ]
    found = told(tmp_path, sizing, spot("audit"), pods=pods, more=(sizes, *_scene.deployment(replicas=2)))
    (row,) = found.rows
    # $200 and $40 today; half of a pod costs $20 on spot.
    assert (row.tally.before, row.tally.after) == (240_000_000, 40_000_000)
    saved = {guardrail: share.saved for (_, guardrail), share in row.shares.items() if share.saved}
    # On the plain node half of $200 by smaller requests and $80 by spot, on the spot node half of $40.
    assert saved == {"rightSizing": 120_000_000, "spot": 80_000_000}


@pytest.mark.parametrize(
    ("nodes", "before", "after"),
    [(["cheap"], 40, 40), (["plain"], 200, 40), (["cheap", "plain"], 200, 40), ([], 200, 40)],
)
def test_a_job_costs_what_it_does_on_the_nodes_of_its_pods(
    tmp_path: Path, nodes: list[str], before: int, after: int
) -> None:
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "import", "namespace": "team-alpha", "uid": "owner-uid"},
        "spec": {"template": {"spec": factories.pod()["spec"]}},
    }
    pods = [_scene.running(f"import-{name}", ("Job", "import"), nodeName=name) for name in nodes]
    (row,) = told(tmp_path, spot("audit"), pods=pods, more=(job,)).rows
    assert row.basis == "declared"
    assert (row.tally.before, row.tally.after) == (before * 1_000_000, after * 1_000_000)


def test_a_verdict_is_made_again_once_the_node_is_known() -> None:
    policies = _scene.policies(CEILING)
    unknown, known = _scene.judge(policies), _scene.judge(policies, node("cheap"))
    stamps = [each.stamp("Pod", "team-alpha", ObjectMeta(name="shop-1"), "cheap") for each in (unknown, known, known)]
    assert stamps[0] != stamps[1] == stamps[2]


def test_a_verdict_on_what_is_sized_is_made_again_when_the_largest_node_changes() -> None:
    vpa = {
        "apiVersion": "autoscaling.k8s.io/v1",
        "kind": "VerticalPodAutoscaler",
        "metadata": {"name": "v", "namespace": "team-alpha"},
        "spec": {"targetRef": {"kind": "Deployment", "name": "shop"}},
    }
    sizes = [{"cpu": cpu, "memory": "8Gi"} for cpu in ("4", "4", "8")]
    judges = [
        _scene.judge(_scene.policies(CEILING), vpa, {**node("plain"), "status": {"allocatable": size}})
        for size in sizes
    ]
    stamps = [each.stamp("Deployment", "team-alpha", ObjectMeta(name="shop"), "") for each in judges]
    others = [each.stamp("Deployment", "team-alpha", ObjectMeta(name="other"), "") for each in judges]
    assert stamps[0][5:] == stamps[1][5:] != stamps[2][5:]
    assert others[0][4:] == others[1][4:] == others[2][4:]
