"""The objects of a large cluster, in the size in which a real API server has them, made one by one by their number."""

import datetime as dt
import json

import msgspec

from tests.fakes.apiserver import Object
from webhook.ledger import wire as ledger_wire
from webhook.ledger.balance import Spending
from webhook.ledger.ledger_state import LedgerState, Reservation

PODS = 100_000
WORKLOADS = 5_000
NAMESPACES = 500
CLAIMS = 5_000
CENTERS = 19
"""Each has a budget of its own, beside the one of the whole cluster."""
RESERVATIONS = 200
"""In each ledger: pods that were admitted a moment ago."""
_PADDING = [{"type": f"C{n}", "status": "True", "lastTransitionTime": "2026-11-22T12:00:00Z"} for n in range(20)]


def _metadata(name: str, n: int, uid: str, **more: object) -> Object:
    return {
        "name": name,
        "namespace": f"team-{n % NAMESPACES}",
        "uid": f"{uid}-8f14-4e9b-b0a2-{n:012d}",
        "resourceVersion": str(1000 + n),
        "creationTimestamp": "2026-11-01T08:00:00Z",
        "managedFields": [{"manager": "kube-controller-manager", "fieldsV1": {f"f:{k}": {} for k in range(60)}}],
        **more,
    }


def _spec(n: int) -> Object:
    """Return a pod spec as varied as the workloads are."""
    resources = {"requests": {"cpu": f"{100 + n % 900}m", "memory": f"{128 + n % 1000}Mi"}, "limits": {"memory": "2Gi"}}
    probe = {"httpGet": {"path": "/healthz", "port": 8080, "scheme": "HTTP"}, "periodSeconds": 10, "timeoutSeconds": 1}
    mounts = [{"name": f"v{k}", "mountPath": f"/var/lib/{k}"} for k in range(4)]
    container = {
        "image": f"registry.example/team/app-{n}:1.{n}",
        "resources": resources,
        "livenessProbe": probe,
        "readinessProbe": probe,
        "volumeMounts": mounts,
        "env": [{"name": f"VARIABLE_{k}", "value": f"value-{n}-{k}"} for k in range(15)],
        "securityContext": {"runAsNonRoot": True, "capabilities": {"drop": ["ALL"]}},
    }
    return {
        "containers": [{"name": "app", **container}, {"name": "sidecar", **container}],
        "serviceAccountName": "default",
        "nodeSelector": {"pool": f"pool-{n % 7}"},
        "volumes": [{"name": f"v{k}", "emptyDir": {}} for k in range(4)],
        "tolerations": [{"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute"}] * 2,
    }


def _labels(n: int) -> dict[str, str]:
    return {"app": f"app-{n}", "app.kubernetes.io/part-of": f"suite-{n % 100}", "cost-center": f"center-{n % CENTERS}"}


def _owner(kind: str, name: str, uid: str) -> list[Object]:
    return [{"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": uid, "controller": True}]


def pod(n: int) -> Object:
    """Return a pod of about 8 KB."""
    of = n % WORKLOADS
    metadata = _metadata(f"app-{of}-7d9c8b6f5-{n:05d}", of, "pod00000")
    metadata["uid"] = _pod_uid(n)
    metadata["labels"] = {**_labels(of), "pod-template-hash": "7d9c8b6f5"}
    metadata["ownerReferences"] = _owner("ReplicaSet", f"app-{of}-7d9c8b6f5", f"rs000000-8f14-4e9b-b0a2-{of:012d}")
    spec = {**_spec(of), "nodeName": f"node-{n % 1000}"}
    if n < CLAIMS:
        spec["volumes"] = [*spec["volumes"], {"name": "data", "persistentVolumeClaim": {"claimName": f"data-{n}"}}]
    return {"metadata": metadata, "spec": spec, "status": {"phase": "Running", "conditions": _PADDING}}


def replica_set(n: int) -> Object:
    """Return a ReplicaSet; every Deployment has an old one as well."""
    of = n % WORKLOADS
    suffix = "7d9c8b6f5" if n < WORKLOADS else "5b8f6d4c9"
    metadata = _metadata(f"app-{of}-{suffix}", of, "rs000000" if n < WORKLOADS else "rs000001")
    metadata["ownerReferences"] = _owner("Deployment", f"app-{of}", f"dp000000-8f14-4e9b-b0a2-{of:012d}")
    labels = {**_labels(of), "pod-template-hash": suffix}
    template = {"metadata": {"labels": labels}, "spec": _spec(of)}
    return {"metadata": metadata, "spec": {"replicas": 20, "selector": {"matchLabels": labels}, "template": template}}


def deployment(n: int) -> Object:
    """Return a Deployment."""
    template = {"metadata": {"labels": _labels(n)}, "spec": _spec(n)}
    spec = {"replicas": 20, "selector": {"matchLabels": {"app": f"app-{n}"}}, "template": template}
    return {"metadata": _metadata(f"app-{n}", n, "dp000000"), "spec": spec, "status": {"conditions": _PADDING}}


def vertical_pod_autoscaler(n: int) -> Object:
    """Return a VPA with recommendations for two containers."""
    amounts = {"cpu": f"{50 + n % NAMESPACES}m", "memory": str(100_000_000 + n)}
    more = {"cpu": f"{100 + n % 900}m", "memory": str(200_000_000 + n)}
    less = {"cpu": f"{25 + n % 250}m", "memory": str(50_000_000 + n)}
    every = {"target": amounts, "lowerBound": less, "upperBound": more, "uncappedTarget": amounts}
    recommended = [{"containerName": name, **every} for name in ("app", "sidecar")]
    return {
        "metadata": _metadata(f"app-{n}", n, "vpa00000"),
        "spec": {"targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": f"app-{n}"}},
        "status": {"recommendation": {"containerRecommendations": recommended}},
    }


def namespace(n: int) -> Object:
    """Return a namespace."""
    metadata = _metadata(f"team-{n}", n, "ns000000", labels={"cost-center": f"center-{n % CENTERS}"})
    return {"metadata": {name: value for name, value in metadata.items() if name != "namespace"}}


def node(n: int) -> Object:
    """Return a node."""
    metadata = {"name": f"node-{n}", "labels": {"node.kubernetes.io/lifecycle": "spot" if n % 2 else "normal"}}
    return {"metadata": metadata, "status": {"allocatable": {"cpu": "16", "memory": "64Gi"}}}


def disruption_budget(n: int) -> Object:
    """Return the PodDisruptionBudget of one workload of a namespace."""
    spec = {"minAvailable": "50%", "selector": {"matchLabels": {"app": f"app-{n}"}}}
    status = {"currentHealthy": 20, "desiredHealthy": 10, "disruptionsAllowed": 10, "expectedPods": 20}
    return {"metadata": _metadata(f"app-{n}", n, "pdb00000"), "spec": spec, "status": status}


def resource_quota(n: int) -> Object:
    """Return the ResourceQuota of a namespace."""
    hard = {"requests.cpu": "400", "requests.memory": "800Gi", "limits.memory": "1600Gi", "pods": "1000"}
    used = {"requests.cpu": f"{100 + n}", "requests.memory": f"{200 + n}Gi", "limits.memory": "800Gi", "pods": "200"}
    return {
        "metadata": _metadata("compute", n, "rq000000"),
        "spec": {"hard": hard},
        "status": {"hard": hard, "used": used},
    }


def claim(n: int) -> Object:
    """Return a persistent volume claim of the pod of the same number."""
    asked = {"requests": {"storage": f"{10 + n % 90}Gi"}}
    return {
        "metadata": _metadata(f"data-{n}", n % WORKLOADS, "pvc00000"),
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": asked,
            "storageClassName": "fast",
            "volumeName": f"v{n}",
        },
        "status": {"phase": "Bound", "capacity": asked["requests"]},
    }


def budgets() -> list[str]:
    """Return the names of all budgets."""
    return ["all", *(f"center-{n}" for n in range(CENTERS))]


def _pod_uid(n: int) -> str:
    return f"c0ffee00-8f14-4e9b-b0a2-{n:012d}"


def ledger(n: int) -> Object:
    """Return the ledger of a budget: pods that run, and some that were admitted a moment ago."""
    now = dt.datetime.now(dt.UTC)
    paid = range(RESERVATIONS) if n == 0 else range(n - 1, CENTERS * RESERVATIONS, CENTERS)
    entries = {_pod_uid(each): Reservation(10_000, now, f"rs000000-8f14-4e9b-b0a2-{each:012d}") for each in paid}
    sheet = LedgerState(10_000_000, 0, entries, Spending(now))
    metadata = {"name": budgets()[n], "uid": f"bl000000-8f14-4e9b-b0a2-{n:012d}", "resourceVersion": str(1000 + n)}
    return {"metadata": metadata, "status": msgspec.Raw(ledger_wire.encode(sheet, now))}


def review_of(n: int) -> bytes:
    """Return the review of a new pod of one workload, as the API server asks before it is stored."""
    new = pod(n)
    new["metadata"] = {name: new["metadata"][name] for name in ("namespace", "labels", "ownerReferences")}
    new["metadata"]["generateName"] = f"app-{n}-7d9c8b6f5-"
    new["spec"] = {name: value for name, value in new["spec"].items() if name != "nodeName"}
    account = "system:serviceaccount:kube-system:replicaset-controller"
    request = {
        "uid": f"{n:08d}-8f14-4e9b-b0a2-000000000000",
        "kind": {"group": "", "version": "v1", "kind": "Pod"},
        "resource": {"group": "", "version": "v1", "resource": "pods"},
        "namespace": new["metadata"]["namespace"],
        "operation": "CREATE",
        "userInfo": {"username": account, "groups": ["system:serviceaccounts", "system:authenticated"]},
        "object": {"apiVersion": "v1", "kind": "Pod", **new},
        "dryRun": True,
    }
    return json.dumps({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}).encode()
