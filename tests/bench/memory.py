"""How much memory a live view takes: `make memory`.

A server process offers 100,000 pods and 5,000 VPAs with their Deployments and ReplicaSets, in the size in which a real
API server has them; this process watches all of it through the real client, waits until everything was listed, and
prints its resident set: then, with all pods in the ledger of a budget, and after everything was listed a second time.
It ends with status 1 where the highest of all is above the bound.

The server is a process of its own, so that its memory does not count; the policies, the engine and the modules of
`podgate serve` are in this one, so that theirs does.
"""

import asyncio
import io
import multiprocessing
import multiprocessing.connection
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
from webhook.policy._reload import DirectoryWatcher
from webhook.settings import Settings

PODS = 100_000
WORKLOADS = 5_000
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
            PATHS["Namespace"]: (500, namespace),
            PATHS["Node"]: (1_000, node),
        }
        return _Made(*made[path]) if path in made else []


def _metadata(name: str, n: int, uid: str, **more: object) -> Object:
    return {
        "name": name,
        "namespace": f"team-{n % 500}",
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
    return {"app": f"app-{n}", "app.kubernetes.io/part-of": f"suite-{n % 100}", "cost-center": f"center-{n % 40}"}


def _owner(kind: str, name: str, uid: str) -> list[Object]:
    return [{"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": uid, "controller": True}]


def pod(n: int) -> Object:
    """Return a pod of about 8 KB."""
    of = n % WORKLOADS
    metadata = _metadata(f"app-{of}-7d9c8b6f5-{n:05d}", of, "pod00000")
    metadata["uid"] = f"c0ffee00-8f14-4e9b-b0a2-{n:012d}"
    metadata["labels"] = {**_labels(of), "pod-template-hash": "7d9c8b6f5"}
    metadata["ownerReferences"] = _owner("ReplicaSet", f"app-{of}-7d9c8b6f5", f"rs000000-8f14-4e9b-b0a2-{of:012d}")
    spec = {**_spec(of), "nodeName": f"node-{n % 1000}"}
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
    amounts = {"cpu": f"{50 + n % 500}m", "memory": str(100_000_000 + n)}
    every = dict.fromkeys(("target", "lowerBound", "upperBound", "uncappedTarget"), amounts)
    recommended = [{"containerName": name, **every} for name in ("app", "sidecar")]
    return {
        "metadata": _metadata(f"app-{n}", n, "vpa00000"),
        "spec": {"targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": f"app-{n}"}},
        "status": {"recommendation": {"containerRecommendations": recommended}},
    }


def namespace(n: int) -> Object:
    """Return a namespace."""
    metadata = _metadata(f"team-{n}", n, "ns000000", labels={"cost-center": f"center-{n % 40}"})
    return {"metadata": {name: value for name, value in metadata.items() if name != "namespace"}}


def node(n: int) -> Object:
    """Return a node."""
    metadata = {"name": f"node-{n}", "labels": {"node.kubernetes.io/lifecycle": "spot" if n % 2 else "normal"}}
    return {"metadata": metadata, "status": {"allocatable": {"cpu": "16", "memory": "64Gi"}}}


_POLICIES = """
apiVersion: podgate.dev/v1alpha1
kind: Budget
metadata: {name: all}
spec: {mode: enforce, scope: {cluster: true}, amount: "100000000", currency: USD}
"""


def _serve(pipe: multiprocessing.connection.Connection) -> None:
    with BigServer() as server:
        server.absent = {path for path in PATHS.values() if "podgate.dev" in path}
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
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        (directory / "kubeconfig").write_text(_KUBECONFIG.replace("URL", ours.recv()), encoding="utf-8")
        (directory / "budget.yaml").write_text(_POLICIES, encoding="utf-8")
        print(f"before the caches        {meter.read():7.1f} MiB")
        settings = Settings.build(cluster="live", policies=directory, kubeconfig=directory / "kubeconfig")
        parts = assembly.live(settings, DecisionLog(io.BytesIO()))
        cluster, watcher = parts.cluster, parts.watcher
        assert cluster is not None
        assert watcher is not None
        started = time.perf_counter()
        cluster.watches.start()
        listed = meter.until(lambda: cluster.watches.problem() is None)
        print(f"all listed               {listed:7.1f} MiB, after {time.perf_counter() - started:.1f} s")
        asyncio.run(_put_in_force(watcher, cluster))
        print(f"all pods in the ledger   {meter.read():7.1f} MiB")
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


async def _put_in_force(watcher: DirectoryWatcher, cluster: assembly.LiveCluster) -> None:
    await watcher.refresh()
    await cluster.look()


if __name__ == "__main__":
    sys.exit(main())
