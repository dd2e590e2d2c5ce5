"""How much memory a live view takes: `make memory`.

A server process offers 100,000 pods and 5,000 VPAs with their Deployments and ReplicaSets, in the size in which a real
API server has them; this process watches all of it through the real client, waits until everything was listed, and
prints its resident set: then, with all pods in the ledgers of 20 budgets, after a leader has brought these ledgers in
step, with the review cache and the journal full, and after everything was listed a second time. It ends with status 1
where the highest of all is above the bound.

Beside the pods there is what they are judged with: PodDisruptionBudgets, ResourceQuotas, PersistentVolumeClaims that
pods mount, and the ledgers of the budgets, with reservations in them.

The server is a process of its own, so that its memory does not count; the policies, the engine and the modules of
`podgate serve` are in this one, so that theirs does.
"""

import asyncio
import datetime as dt
import inspect
import itertools
import json
import multiprocessing
import multiprocessing.connection
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import overload

import msgspec

from tests.fakes.apiserver import PATHS, FakeApiServer, Object
from webhook import assembly
from webhook.admission.log import DecisionLog
from webhook.cli import serve
from webhook.kube.rest import JSON
from webhook.ledger import _wire
from webhook.ledger.balance import Accrual
from webhook.ledger.shared import SharedLedger
from webhook.ledger.sheet import PERIODS, Reservation, Sheet
from webhook.policy._reload import DirectoryWatcher
from webhook.settings import Settings

PODS = 100_000
WORKLOADS = 5_000
NAMESPACES = 500
CLAIMS = 5_000
CENTERS = 19
"""Each has a budget of its own, beside the one of the whole cluster."""
RESERVATIONS = 200
"""In each ledger: pods that were admitted a moment ago."""
REVIEWS = 2_000
BOUND_MIB = 250
_PADDING = [{"type": f"C{n}", "status": "True", "lastTransitionTime": "2026-11-22T12:00:00Z"} for n in range(20)]
_KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: x
clusters: [{name: x, cluster: {server: "URL"}}]
users: [{name: x, user: {}}]
contexts: [{name: x, context: {cluster: x, user: x}}]
"""


class _Made(Sequence[bytes]):
    """Objects that are made when they are asked for."""

    def __init__(self, count: int, make: Callable[[int], Object]) -> None:
        self._count = count
        self._make = make

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> bytes: ...
    @overload
    def __getitem__(self, index: slice) -> list[bytes]: ...
    def __getitem__(self, index: int | slice) -> bytes | list[bytes]:
        if isinstance(index, slice):
            return [msgspec.json.encode(self._make(n)) for n in range(*index.indices(self._count))]
        return msgspec.json.encode(self._make(index))


class BigServer(FakeApiServer):
    """A fake API server with very many objects."""

    def items(self, path: str) -> Sequence[Object | bytes]:
        """Return what a list holds, made page by page."""
        made: dict[str, tuple[int, Callable[[int], Object]]] = {
            PATHS["Pod"]: (PODS, pod),
            PATHS["ReplicaSet"]: (WORKLOADS * 2, replica_set),
            PATHS["Deployment"]: (WORKLOADS, deployment),
            PATHS["VerticalPodAutoscaler"]: (WORKLOADS, vertical_pod_autoscaler),
            PATHS["Namespace"]: (NAMESPACES, namespace),
            PATHS["Node"]: (1_000, node),
            PATHS["PodDisruptionBudget"]: (NAMESPACES, disruption_budget),
            PATHS["ResourceQuota"]: (NAMESPACES, resource_quota),
            PATHS["PersistentVolumeClaim"]: (CLAIMS, claim),
            PATHS["BudgetLedger"]: (CENTERS + 1, ledger),
        }
        return _Made(*made[path]) if path in made else []


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
    sheet = Sheet(10_000_000, 0, entries, {period: Accrual(now) for period in PERIODS})
    metadata = {"name": budgets()[n], "uid": f"bl000000-8f14-4e9b-b0a2-{n:012d}", "resourceVersion": str(1000 + n)}
    return {"metadata": metadata, "status": msgspec.Raw(_wire.encode(sheet, now))}


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


_BUDGET = """
apiVersion: podgate.dev/v1alpha1
kind: Budget
metadata: {name: NAME}
spec: {mode: enforce, scope: SCOPE, amount: "100000000", currency: USD}
"""
_POLICY = """
apiVersion: podgate.dev/v1alpha1
kind: GuardrailPolicy
metadata: {name: everything}
spec:
  mode: enforce
  rightSizing: {guaranteedPods: resize}
  costLabels: {required: [{key: cost-center, source: namespace}]}
  spot:
    tolerations: [{key: kubernetes.io/spot, operator: Equal, value: "true", effect: NoSchedule}]
  podSecurity: {level: restricted, harden: true}
"""


def _policies() -> str:
    scopes = [f"{{label: {{key: cost-center, value: center-{n}}}}}" for n in range(CENTERS)]
    pairs = zip(budgets(), ["{cluster: true}", *scopes], strict=True)
    return "---".join([_POLICY, *(_BUDGET.replace("NAME", name).replace("SCOPE", scope) for name, scope in pairs)])


class _Accepting:
    """A `Rest` that accepts each status of a ledger that is written, as the API server does."""

    def __init__(self) -> None:
        self._versions = itertools.count(1_000_000)

    def request(self, method: str, path: str, *, body: bytes | None = None, content_type: str = JSON) -> bytes:
        """Return what was written, in its new version."""
        assert (method, content_type) == ("PUT", JSON), path
        content = msgspec.json.decode(body or b"", type=dict[str, msgspec.Raw])
        metadata = msgspec.json.decode(content["metadata"], type=dict[str, str])
        metadata["resourceVersion"] = str(next(self._versions))
        return msgspec.json.encode({**content, "metadata": metadata})

    def server_time(self) -> dt.datetime | None:
        """Return that its time is not known."""
        return None


def _serve(pipe: multiprocessing.connection.Connection) -> None:
    with BigServer() as server:
        own = {path for path in PATHS.values() if "podgate.dev" in path}
        server.absent = own - {PATHS["BudgetLedger"]}
        pipe.send(server.url)
        while pipe.recv() == "forget":
            # Every watch is too old now, so everything is listed again.
            server.compact()
            server.drop_watches()


class _Meter:
    """The resident set, and the highest it ever was."""

    def __init__(self) -> None:
        self.highest = 0.0

    def read(self) -> float:
        """Return the resident set of this process in MiB."""
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        now = pages * 4096 / 2**20
        self.highest = max(self.highest, now)
        return now

    def until(self, holds: Callable[[], bool]) -> float:
        """Watch the memory until something holds, and return what it is then."""
        deadline = time.monotonic() + 300
        while not holds():
            assert time.monotonic() < deadline, "not within five minutes"
            self.read()
            time.sleep(0.05)
        return self.read()


def main() -> int:
    """Measure, print, and return the exit status."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs,), daemon=True)
    process.start()
    meter = _Meter()
    assert serve.COMMAND.name == "serve"
    with tempfile.TemporaryDirectory() as name, Path(os.devnull).open("wb", buffering=0) as log:
        directory = Path(name)
        (directory / "kubeconfig").write_text(_KUBECONFIG.replace("URL", ours.recv()), encoding="utf-8")
        (directory / "budget.yaml").write_text(_policies(), encoding="utf-8")
        print(f"before the caches        {meter.read():7.1f} MiB")
        settings = Settings.build(cluster="live", policies=directory, kubeconfig=directory / "kubeconfig")
        parts = assembly.live(settings, DecisionLog(log), writes=_Accepting())
        cluster, watcher = parts.cluster, parts.watcher
        assert cluster is not None
        assert watcher is not None
        started = time.perf_counter()
        cluster.watches.start()
        listed = meter.until(lambda: cluster.watches.problem() is None)
        print(f"all listed               {listed:7.1f} MiB, after {time.perf_counter() - started:.1f} s")
        asyncio.run(_put_in_force(watcher, cluster))
        print(f"all pods in the ledgers  {meter.read():7.1f} MiB")
        _reconcile(parts.ledger)
        print(f"ledgers in step          {meter.read():7.1f} MiB")
        asyncio.run(_review(parts))
        print(f"reviews and decisions    {meter.read():7.1f} MiB")
        ours.send("forget")
        again = meter.until(lambda: all(each.state.lists != 1 for each in cluster.watches.report()))
        print(f"all listed again         {again:7.1f} MiB")
        cluster.watches.stop()
    ours.send("stop")
    process.join()
    sizes = cluster.view.sizes()
    print("entries: " + ", ".join(f"{name} {size:,}" for name, size in sizes.items() if size))
    print(f"highest                  {meter.highest:7.1f} MiB, bound {BOUND_MIB} MiB")
    return 0 if meter.highest <= BOUND_MIB else 1


def _reconcile(ledger: object) -> None:
    assert isinstance(ledger, SharedLedger)
    assert ledger.is_shared
    ledger.reconcile(lambda: True)
    assert ledger.tally.writes["written"] == CENTERS + 1, ledger.notices()


async def _review(parts: assembly.Parts) -> None:
    """Fill the review cache, which keeps what comes a second time, and the journal."""
    for n in range(REVIEWS):
        body = review_of(n)
        for path in ("/mutate", "/validate") * 2:
            answered = assembly.answer(parts, path, body, None)
            if inspect.isawaitable(answered):
                await answered


async def _put_in_force(watcher: DirectoryWatcher, cluster: assembly.LiveCluster) -> None:
    await watcher.refresh()
    await cluster.look()


if __name__ == "__main__":
    sys.exit(main())
