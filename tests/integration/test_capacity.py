"""What holds capacity beside plain requests, priced on a real API server; and what has no price."""

import json
from collections.abc import Iterator

import pytest

from tests.integration import _admission as at
from tests.integration import _control_plane
from tests.integration._admission import Installation, eventually

LIST = "requests, on-demand, price list default"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with _control_plane.control_plane(tmp_path_factory.mktemp("plane")) as plane:
        at.Kubectl(plane).create(at.vpa_definition())
        with at.installation(plane) as installed:
            yield installed


def runtime_class(name: str, **overhead: str) -> at.Object:
    """Return a RuntimeClass."""
    return {
        "apiVersion": "node.k8s.io/v1",
        "kind": "RuntimeClass",
        "metadata": {"name": name},
        "handler": name,
        "overhead": {"podFixed": overhead},
    }


def test_overhead_of_a_runtime_class_is_in_the_price_of_workloads_and_of_their_pods(cluster: Installation) -> None:
    team = cluster.namespace("team-sandboxed", cost_center="engineering-alpha")
    assert cluster.kubectl.apply(runtime_class("kata", cpu="12", memory="4Gi")).is_done
    deployment = at.workload("Deployment", team, cpu="100m", memory="128Mi")
    deployment["spec"]["template"]["spec"]["runtimeClassName"] = "kata"

    eventually(
        "the class is known",
        lambda: "overhead of RuntimeClass" not in cluster.kubectl.apply(deployment, flags=("--dry-run=server",)).err,
    )
    said = cluster.kubectl.apply(deployment)
    pod = at.pod(team)
    pod["spec"]["runtimeClassName"] = "kata"
    refused = cluster.kubectl.apply(pod)

    # 730 hours of 12.1 cores at 0.031611 and of 4.125 GiB at 0.004237, twice.
    assert f"this Deployment costs $583.96 a month (2 replicas, {LIST})" in said.err
    assert "each pod costs $291.98 a month" not in said.err
    assert refused.is_done, refused.err
    larger = at.pod(team, "larger", cpu="1")
    larger["spec"]["runtimeClassName"] = "kata"
    above = cluster.kubectl.apply(larger)
    assert "costCeiling: costs $312.75 a month, above the ceiling of $300.00" in above.err
    assert (
        'choose another runtimeClassName than "kata": 12 CPU and 4Gi are the overhead of that RuntimeClass' in above.err
    )


def test_a_pod_with_a_limit_of_its_own_costs_what_the_api_server_makes_it_request(cluster: Installation) -> None:
    team = cluster.namespace("team-levelled", cost_center="engineering-alpha")
    assert cluster.kubectl.apply(at.policy("levelled", team, costCeiling={"podMonthly": "1"}, priority=9)).is_done
    pod = at.pod(team, cpu="1", memory="1Gi")
    pod["spec"]["containers"].append({"name": "silent", "image": "registry.example/app:1"})
    pod["spec"]["resources"] = {"limits": {"memory": "4Gi"}}

    def said() -> str:
        return cluster.kubectl.apply(pod, flags=("--dry-run=server",)).err

    eventually("the policy holds", lambda: "above the ceiling of $1.00" in said())

    assert f"costs $26.17 a month, above the ceiling of $1.00 (1 CPU, 1Gi by {LIST})" in said()


def test_what_has_no_price_is_warned_of_and_refused_where_the_policy_says_so(cluster: Installation) -> None:
    team = cluster.namespace("team-unpriced", cost_center="engineering-alpha")
    pod = at.pod(team)
    pod["spec"]["containers"][0]["resources"]["limits"] = {"google.com/tpu": "8"}

    said = cluster.kubectl.apply(pod, flags=("--dry-run=server",))
    denying = at.policy("denying", team, costCeiling={"podMonthly": "300", "unpriced": "deny"}, priority=9)
    assert cluster.kubectl.apply(denying).is_done

    assert said.is_done, said.err
    text = "costCeiling: asks for 8 google.com/tpu, which the price list has no price of; to fix: add a price of"
    assert f"Warning: policy team-namespaces, {text}" in said.err
    eventually(
        "the pod is refused",
        lambda: (
            f"denied the request: policy denying, {text}" in cluster.kubectl.apply(pod, flags=("--dry-run=server",)).err
        ),
    )


def test_a_resize_of_a_native_sidecar_is_held_to_the_budget(cluster: Installation) -> None:
    team = cluster.namespace("team-sidecar", cost_center="engineering-alpha")
    assert cluster.kubectl.apply(at.budget("sidecar", team, "40")).is_done
    large = at.pod(team, "large", cpu="4")
    eventually("the budget is known", lambda: not cluster.kubectl.apply(large, flags=("--dry-run=server",)).is_done)
    pod = at.pod(team)
    pod["spec"]["initContainers"] = [{**pod["spec"]["containers"][0], "name": "mesh", "restartPolicy": "Always"}]
    cluster.kubectl.create(pod)

    def resize(cpu: str) -> at.Said:
        patch = {"spec": {"initContainers": [{"name": "mesh", "resources": {"requests": {"cpu": cpu}}}]}}
        return cluster.kubectl("patch", "pod", "web", "-n", team, "--subresource=resize", "-p", json.dumps(patch))

    above, within = resize("3"), resize("1")

    assert 'budget "sidecar": $5.39 of $40.00 a month committed, this resize adds $66.92' in above.err
    assert within.is_done, within.err
