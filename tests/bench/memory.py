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

from tests.bench import large_cluster
from tests.fakes.apiserver import PATHS, FakeApiServer, Object
from webhook import assembly
from webhook.admission.log import DecisionLog
from webhook.cli import serve
from webhook.kube.rest import JSON
from webhook.ledger.shared import SharedLedger
from webhook.policy.loading.reload import DirectoryWatcher
from webhook.settings import Settings

REVIEWS = 2_000
BOUND_MIB = 250
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
            PATHS["Pod"]: (large_cluster.PODS, large_cluster.pod),
            PATHS["ReplicaSet"]: (large_cluster.WORKLOADS * 2, large_cluster.replica_set),
            PATHS["Deployment"]: (large_cluster.WORKLOADS, large_cluster.deployment),
            PATHS["VerticalPodAutoscaler"]: (large_cluster.WORKLOADS, large_cluster.vertical_pod_autoscaler),
            PATHS["Namespace"]: (large_cluster.NAMESPACES, large_cluster.namespace),
            PATHS["Node"]: (1_000, large_cluster.node),
            PATHS["PodDisruptionBudget"]: (large_cluster.NAMESPACES, large_cluster.disruption_budget),
            PATHS["ResourceQuota"]: (large_cluster.NAMESPACES, large_cluster.resource_quota),
            PATHS["PersistentVolumeClaim"]: (large_cluster.CLAIMS, large_cluster.claim),
            PATHS["BudgetLedger"]: (large_cluster.CENTERS + 1, large_cluster.ledger),
        }
        return _Made(*made[path]) if path in made else []


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
    scopes = [f"{{label: {{key: cost-center, value: center-{n}}}}}" for n in range(large_cluster.CENTERS)]
    pairs = zip(large_cluster.budgets(), ["{cluster: true}", *scopes], strict=True)
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
    assert ledger.tally.writes["written"] == large_cluster.CENTERS + 1, ledger.notices()


async def _review(parts: assembly.Services) -> None:
    """Fill the review cache, which keeps what comes a second time, and the journal."""
    for n in range(REVIEWS):
        body = large_cluster.review_of(n)
        for path in ("/mutate", "/validate") * 2:
            answered = assembly.answer(parts, path, body, None)
            if inspect.isawaitable(answered):
                await answered


async def _put_in_force(watcher: DirectoryWatcher, cluster: assembly.PolicySync) -> None:
    await watcher.refresh()
    await cluster.look()


if __name__ == "__main__":
    sys.exit(main())
