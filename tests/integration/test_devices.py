"""Devices that pods claim, on a real API server: they cost as much as devices that containers ask for, in every version
of the API, and where there is none of them all else goes on.

There are no controllers and no drivers, so claims are made here and none is allocated.
"""

import json
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from tests.integration import _admission as at
from tests.integration import _control_plane
from tests.integration._admission import Installation, Object, eventually

_NO = "resource.k8s.io/v1=false"


class Served(NamedTuple):
    """A cluster, and in which version it has claims for devices."""

    installed: Installation
    version: str


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(("v1", ""), id="v1"),
        pytest.param(("v1beta1", f"{_NO},resource.k8s.io/v1beta1=true"), id="v1beta1"),
        pytest.param(("", _NO), id="not at all"),
    ],
)
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    version, config = request.param
    flags = [f"--runtime-config={config}"] if config else []
    with (
        _control_plane.control_plane(tmp_path_factory.mktemp("plane"), *flags) as plane,
        at.installation(plane) as installed,
    ):
        yield Served(installed, version)


def _spec(served: Served, count: int) -> Object:
    exactly = {"deviceClassName": "gpu.nvidia.com", "count": count}
    request = {"name": "gpu", **(exactly if served.version == "v1beta1" else {"exactly": exactly})}
    return {"devices": {"requests": [request]}}


def _claim(served: Served, namespace: str, name: str, count: int) -> Object:
    metadata = {"name": name, "namespace": namespace}
    version = f"resource.k8s.io/{served.version}"
    return {"apiVersion": version, "kind": "ResourceClaim", "metadata": metadata, "spec": _spec(served, count)}


def _template(served: Served, namespace: str, name: str, count: int) -> Object:
    claim = _claim(served, namespace, name, count)
    return {**claim, "kind": "ResourceClaimTemplate", "spec": {"spec": claim["spec"]}}


def _claiming(namespace: str, name: str, **reference: str) -> Object:
    made = at.pod(namespace, name, resources={"requests": {"cpu": "100m"}, "claims": [{"name": "gpu"}]})
    made["spec"]["resourceClaims"] = [{"name": "gpu", **reference}]
    return made


def _asking(namespace: str, name: str, **resources: str) -> Object:
    return at.pod(namespace, name, resources={"limits": {"cpu": "100m", "memory": "128Mi", **resources}})


_IMPLICIT = "deviceclass.resource.kubernetes.io/gpu.nvidia.com"


def test_eight_gpus_are_refused_by_a_budget_and_a_ceiling_however_they_are_asked_for(served: Served) -> None:
    if not served.version:
        pytest.skip("the API server knows no claims for devices")
    cluster, kubectl = served.installed, served.installed.kubectl
    team = cluster.namespace("lab-gpus", cost_center="engineering-alpha")
    assert kubectl.apply(at.budget("gpus", team, "1000")).is_done
    ceiling = at.policy("gpus", team, costCeiling={"podMonthly": "800"})
    assert kubectl.apply(ceiling, _template(served, team, "eight", 8), _template(served, team, "one", 1)).is_done

    eventually(
        "the policies are known",
        lambda: (
            "budget"
            in kubectl.apply(_asking(team, "plain", **{"nvidia.com/gpu": "8"}), flags=("--dry-run=server",)).err
        ),
    )
    claimed = kubectl.apply(_claiming(team, "claimed", resourceClaimTemplateName="eight"))
    assert "8 devices of class gpu.nvidia.com" in claimed.err
    assert 'budget "gpus": $0.00 of $1,000.00 a month committed, this pod adds $5,550.' in claimed.err
    assert "above the ceiling of $800.00" in claimed.err
    implicit = kubectl.apply(_asking(team, "implicit", **{_IMPLICIT: "8"}))
    assert "8 devices of class gpu.nvidia.com" in implicit.err

    assert kubectl.apply(_claiming(team, "first", resourceClaimTemplateName="one")).is_done
    second = kubectl.apply(_claiming(team, "second", resourceClaimTemplateName="one"))
    assert "this pod adds $696." in second.err
    assert 'budget "gpus": $696.' in second.err


def test_a_shared_claim_is_paid_for_once_while_its_first_pod_is_there(served: Served) -> None:
    if not served.version:
        pytest.skip("the API server knows no claims for devices")
    cluster, kubectl = served.installed, served.installed.kubectl
    team = cluster.namespace("lab-shares", cost_center="engineering-alpha")
    assert kubectl.apply(at.budget("shares", team, "1000")).is_done
    assert kubectl.apply(_claim(served, team, "shared", 1), _claim(served, team, "other", 1)).is_done
    eventually(
        "the budget is known",
        lambda: (
            "budget"
            in kubectl.apply(_asking(team, "plain", **{"nvidia.com/gpu": "8"}), flags=("--dry-run=server",)).err
        ),
    )
    assert kubectl.apply(_claiming(team, "a", resourceClaimName="shared")).is_done

    def committed() -> str:
        return str((kubectl.get("budget", "shares").get("status") or {}).get("committed"))

    eventually("the first pod pays", lambda: committed().startswith("696."))
    said = kubectl.apply(_claiming(team, "b", resourceClaimName="shared"))
    assert said.is_done, said.err
    assert not kubectl.apply(_claiming(team, "c", resourceClaimName="other")).is_done
    eventually("the second adds what it takes itself", lambda: committed().startswith("698."))
    kubectl.must("delete", "pod", "a", "-n", team, "--force", "--grace-period=0")
    eventually("the second pays when the first is gone", lambda: committed().startswith("696."))


def test_a_claim_that_does_not_exist_is_told(served: Served) -> None:
    cluster, kubectl = served.installed, served.installed.kubectl
    team = cluster.namespace("lab-none", cost_center="engineering-alpha")
    assert kubectl.apply(at.policy("none", team, costCeiling={"podMonthly": "800"})).is_done
    eventually(
        "the policy is known",
        lambda: (
            "ceiling"
            in kubectl.apply(_asking(team, "plain", **{"nvidia.com/gpu": "8"}), flags=("--dry-run=server",)).err
        ),
    )
    said = kubectl(
        "apply", "--dry-run=server", "-f", "-", stdin=json.dumps(_claiming(team, "x", resourceClaimName="n"))
    )
    if served.version:
        assert "claim n, which does not exist" in said.err
    ready, text = served.installed.podgate.readiness()
    assert ready
    absent = [line for line in text.splitlines() if "not installed in this cluster" in line]
    assert any("resourceclaims" in line for line in absent) is not bool(served.version)
