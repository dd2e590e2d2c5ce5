"""Objects and policies of a small cluster, for tests of what is told afterwards."""

import datetime as dt
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec

from tests import factories
from webhook.admission.ruleset import check_section
from webhook.cluster.snapshot import Snapshot
from webhook.ledger.memory import MemoryLedger
from webhook.policy.loading import loader
from webhook.policy.model.policy_set import PolicySet
from webhook.reporting import scan as scanning
from webhook.reporting import scan_input as worlds
from webhook.reporting.judge import Judge
from webhook.reporting.report import AuditReport

Object = dict[str, Any]

LABELLED = factories.policy("""
mode: audit
costLabels: {required: [{key: cost-center, source: namespace}]}
podSecurity: {level: restricted}
""")


def now() -> dt.datetime:
    return factories.NOON


def policies(*documents: str) -> PolicySet:
    text = "\n---\n".join((*documents, factories.PRICES))
    return loader.load_text(text, "test.yaml", check=check_section)


def judge(given: PolicySet, *cluster: Object, **changes: Any) -> Judge:  # noqa: ANN401  keyword arguments of the judge
    view = Snapshot.from_documents(cluster)
    return Judge(given, view, MemoryLedger(clock=now), now, **changes)


def owned(kind: str, name: str, uid: str = "owner-uid") -> list[Object]:
    group = "apps/v1" if kind in ("ReplicaSet", "StatefulSet", "DaemonSet") else "batch/v1"
    return [{"apiVersion": group, "kind": kind, "name": name, "uid": uid, "controller": True}]


def running(name: str, owner: tuple[str, str] | None = None, made: Object | None = None, **spec: Any) -> Object:  # noqa: ANN401
    """Return a pod as the API server stores it once it runs."""
    pod = made or factories.pod()
    metadata: Object = {"name": name, "namespace": "team-alpha", "uid": f"uid-{name}", "resourceVersion": "1"}
    if owner is not None:
        metadata["ownerReferences"] = owned(*owner)
    pod["metadata"] = {**pod["metadata"], **metadata}
    pod["spec"] = {"nodeName": "node-1", **pod["spec"], **spec}
    pod["status"] = {"phase": "Running"}
    return pod


def deployment(name: str = "shop", replicas: int = 1, template: Object | None = None) -> list[Object]:
    """Return a Deployment and its ReplicaSet."""
    made = factories.deployment(replicas, template, name=name, namespace="team-alpha", uid=f"uid-{name}")
    replica_set = factories.deployment(
        replicas,
        template,
        name=f"{name}-7d9c8b6f5",
        namespace="team-alpha",
        uid="owner-uid",
        ownerReferences=[
            {"apiVersion": "apps/v1", "kind": "Deployment", "name": name, "uid": f"uid-{name}", "controller": True}
        ],
    )
    replica_set["kind"] = "ReplicaSet"
    return [made, replica_set]


def team(labels: dict[str, str] | None = None) -> Object:
    return factories.namespace("team-alpha", labels or {"cost-center": "alpha", "department": "shops"})


def write(directory: Path, *documents: Object, name: str = "objects.json") -> None:
    (directory / name).write_bytes(msgspec.json.encode({"apiVersion": "v1", "kind": "List", "items": documents}))


def report(directory: Path, *documents: str, clock: Callable[[], dt.datetime] = now) -> AuditReport:
    """Scan a directory."""
    world = worlds.of_directory(directory, policies(*documents), clock)
    return scanning.scan(world, title="audit", source="a directory", now=clock)


def owners(found: AuditReport) -> Iterable[str]:
    return [f"{row.owner.kind}/{row.owner.name}" for row in found.rows]
