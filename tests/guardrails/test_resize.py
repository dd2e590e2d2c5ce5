"""A resize in place: what a pod holds meanwhile is paid for, of native sidecars and at pod level as well."""

from typing import Any

import msgspec
import pytest

from tests.guardrails._money_world import context
from webhook.cluster.view import ClusterPod
from webhook.guardrails import budget
from webhook.guardrails.base import pod_cost
from webhook.guardrails.base.contract import Context
from webhook.kube.objects import Pod
from webhook.policy.budget import BudgetSpec

Json = dict[str, Any]
RULE = budget.compile_budget(
    "b",
    BudgetSpec.model_validate({"mode": "enforce", "scope": {"cluster": True}, "amount": "1000", "currency": "USD"}),
)


def resources(cpu: str) -> Json:
    return {"requests": {"cpu": cpu, "memory": "10Gi"}}


def pod(cpu: str, sidecar: str = "1", held: str = "", level: str = "", reason: str = "Deferred") -> Pod:
    spec: Json = {
        "initContainers": [{"name": "s", "restartPolicy": "Always", "resources": resources(sidecar)}],
        "containers": [{"name": "app", "resources": resources(cpu)}],
    }
    if level:
        spec["resources"] = {"requests": {"cpu": level}}
    status: Json = {"conditions": [{"type": "PodResizePending", "reason": reason}]}
    if held:
        has = {"resources": resources(held), "allocatedResources": resources(held)["requests"]}
        status["containerStatuses"] = [{"name": "app", **has}]
    return msgspec.convert({"metadata": {"name": "p"}, "spec": spec, "status": status}, Pod)


def resize(new: Pod, old: Pod) -> Context:
    return context(new, operation="UPDATE", subresource="resize", old_pod=old)


@pytest.mark.parametrize(
    ("new", "old", "added"),
    [
        pytest.param(pod("3"), pod("1"), 2_000_000, id="a container"),
        pytest.param(pod("1", sidecar="4"), pod("1"), 3_000_000, id="a native sidecar"),
        pytest.param(pod("1", level="9"), pod("1", level="5"), 4_000_000, id="at pod level"),
        pytest.param(pod("3", held="3"), pod("1", held="3"), 0, id="back to what it holds anyway"),
        pytest.param(pod("5", held="1"), pod("3", held="1"), 2_000_000, id="further, before the first was done"),
        pytest.param(
            pod("3", held="1", reason="Infeasible"),
            pod("8", held="1", reason="Infeasible"),
            2_000_000,
            id="less, after what could never be done",
        ),
        pytest.param(pod("1", held="4"), pod("4", held="4"), 0, id="down"),
    ],
)
def test_a_resize_adds_what_the_pod_did_not_hold(new: Pod, old: Pod, added: int) -> None:
    assert budget.added_rate(RULE, resize(new, old)) == added


@pytest.mark.parametrize(
    ("running", "cpu"),
    [
        (pod("1", held="4"), 5000),
        (pod("4", held="1"), 5000),
        (pod("8", held="2", reason="Infeasible"), 3000),
        (pod("2"), 3000),
    ],
)
def test_a_pod_that_runs_costs_what_the_scheduler_counts_of_it(running: Pod, cpu: int) -> None:
    judged = context(running, running=ClusterPod("u", "team", running, "n"))
    assert pod_cost.context_price(judged).cpu == cpu


def test_a_new_pod_has_no_status_that_could_make_it_cheaper() -> None:
    forged = pod("8", held="1", reason="Infeasible")
    assert pod_cost.context_price(context(forged)).cpu == 9000


@pytest.mark.parametrize("raw", ["x", "1e9999"])
def test_a_malformed_status_is_one_line(raw: str) -> None:
    broken = pod("1", held=raw)
    (told,) = budget.judge(RULE, resize(broken, pod("1")), 0, None)
    assert told.message.startswith("cannot be priced: status of container app: allocatedResources[cpu]: ")
    assert "\n" not in told.message
    assert pod_cost.old_price(resize(pod("1"), broken)) is None


def test_less_than_nothing_in_a_status_makes_no_pod_cheaper() -> None:
    assert pod_cost.context_price(resize(pod("2", held="-1"), pod("1"))).cpu == 3000


def test_an_absurd_status_saturates() -> None:
    assert pod_cost.context_price(resize(pod("1", held="1e30"), pod("1"))).micros == 2**63 - 1
