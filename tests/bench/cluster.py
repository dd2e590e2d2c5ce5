"""A cluster directory that fits the reviews: their namespaces, and a recommendation for every controller in them.

Without it most guardrails would find nothing to do, and the figures would flatter.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

_RECOMMENDATION = {
    "target": {"cpu": "137m", "memory": "211Mi"},
    "lowerBound": {"cpu": "61m", "memory": "120Mi"},
    "upperBound": {"cpu": "700m", "memory": "800Mi"},
    "uncappedTarget": {"cpu": "137m", "memory": "211Mi"},
}


def write_cluster(directory: Path, bodies: Sequence[bytes]) -> None:
    """Write the objects as YAML files of `directory`."""
    directory.mkdir(parents=True, exist_ok=True)
    objects = {
        (each["kind"], each["metadata"].get("namespace"), each["metadata"]["name"]): each for each in _all(bodies)
    }
    with (directory / "cluster.yaml").open("w") as stream:
        yaml.safe_dump_all(objects.values(), stream, sort_keys=False, explicit_start=True)


def _all(bodies: Sequence[bytes]) -> Iterator[dict[str, Any]]:
    yield _namespace("default")
    for body in bodies:
        request = json.loads(body)["request"]
        namespace, pod = request.get("namespace"), request.get("object") or {}
        if not namespace:
            continue
        yield _namespace(namespace)
        for owner in pod.get("metadata", {}).get("ownerReferences", []):
            yield _recommendation(namespace, owner, pod)


def _namespace(name: str) -> dict[str, Any]:
    labels = {"kubernetes.io/metadata.name": name, "cost-center": "engineering-alpha"}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def _recommendation(namespace: str, owner: dict[str, Any], pod: dict[str, Any]) -> dict[str, Any]:
    kind, name = owner["kind"], owner["name"]
    version = owner.get("apiVersion", "apps/v1")
    template_hash = pod["metadata"].get("labels", {}).get("pod-template-hash")
    if kind == "ReplicaSet" and template_hash and name.endswith(f"-{template_hash}"):
        kind, name = "Deployment", name.removesuffix(f"-{template_hash}")
    containers = pod.get("spec", {}).get("containers", [])
    return {
        "apiVersion": "autoscaling.k8s.io/v1",
        "kind": "VerticalPodAutoscaler",
        "metadata": {"name": f"{kind.lower()}-{name}", "namespace": namespace},
        "spec": {
            "targetRef": {"apiVersion": version, "kind": kind, "name": name},
            "updatePolicy": {"updateMode": "Off"},
        },
        "status": {
            "recommendation": {
                "containerRecommendations": [{"containerName": each["name"], **_RECOMMENDATION} for each in containers]
            }
        },
    }
