"""How fast one hot budget takes reservations from three replicas, beside ResourceQuota of the same API server.

Three processes book pods into one budget, each with a number of reviews in flight, as fast as they are answered. With
``KUBEBUILDER_ASSETS`` that is done on a real API server, and beside it, in the same run, pods are created in a
namespace without a quota and in one with a ResourceQuota: what the quota costs a pod is the difference of these two.
Nobody creates pods for our own reservations, so theirs is the cost of the booking alone. Without the assets ledgers are
kept in memory, by threads, where a write takes as long as etcd would.
"""

import json
import multiprocessing
import os
import queue
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Final, NamedTuple

import yaml
from rich.console import Console
from rich.table import Table

from tests.bench import figures
from tests.fakes.ledgers import FakeLedgers
from tests.fakes.shared_ledger import watch
from tests.integration import _control_plane
from webhook.kube import budget_ledgers, client
from webhook.kube.budget_ledgers import BudgetLedgers, Ledgers
from webhook.kube.reflector import Reflector
from webhook.ledger.balance import BudgetTerms
from webhook.ledger.batch_writer import Dependencies
from webhook.ledger.shared import SharedLedger
from webhook.ledger.store import Charge, LedgerError, ReservationOutcome
from webhook.serve.ledgers import LOOK_SECONDS

REPLICAS: Final = 3
_CRD: Final = Path(__file__).parents[2] / "manifests" / "crds" / "budgetledgers.yaml"
_STORE_SECONDS: Final = 0.003
_TTL: Final = timedelta(seconds=120)


class Work(NamedTuple):
    """What one process does."""

    kind: str
    """``reserve``, or the namespace in which pods are created."""
    kubeconfig: Path
    in_flight: int
    seconds: float
    number: int


class Share(NamedTuple):
    """What came of it."""

    latencies: list[float]
    failures: int
    writes: int
    conflicts: int


def run(console: Console, in_flight: int = 32, seconds: float = 5.0) -> bool:
    """Measure and print; return whether nothing failed."""
    table = Table(title=f"One hot budget, {REPLICAS} replicas with {in_flight} reviews in flight each")
    for name in ("target", "per second", "p50 ms", "p99 ms", "writes", "per write", "conflicts", "failed"):
        table.add_column(name, justify="left" if name == "target" else "right")
    lines: dict[str, list[Share]] = {}
    with console.status("measuring"):
        if os.environ.get("KUBEBUILDER_ASSETS"):
            with tempfile.TemporaryDirectory(prefix="podgate-bench-") as name, _cluster(Path(name)) as kubeconfig:
                for target, kind in _TARGETS.items():
                    lines[target] = _processes(kind, kubeconfig, in_flight, seconds)
        else:
            lines["reservation, ledgers in memory"] = _threads(in_flight, seconds)
    for target, shares in lines.items():
        _add(table, target, shares, seconds)
    console.print(table)
    if len(lines) == 1:
        console.print("KUBEBUILDER_ASSETS is not set: no API server, and no ResourceQuota to compare with")
    return not any(share.failures for shares in lines.values() for share in shares)


_TARGETS: Final = {
    "pod, no quota": "bench-plain",
    "pod, ResourceQuota": "bench-quota",
    "reservation": "reserve",
}


def _add(table: Table, target: str, shares: list[Share], seconds: float) -> None:
    latencies = [each for share in shares for each in share.latencies]
    writes = sum(share.writes for share in shares)
    table.add_row(
        target,
        f"{len(latencies) / seconds:,.0f}",
        f"{figures.percentile(latencies, 0.50) * 1e3:.1f}",
        f"{figures.percentile(latencies, 0.99) * 1e3:.1f}",
        f"{writes:,}" if writes else "-",
        f"{len(latencies) / writes:.1f}" if writes else "-",
        f"{sum(share.conflicts for share in shares):,}" if writes else "-",
        str(sum(share.failures for share in shares)),
    )


# --- reservations -----------------------------------------------------------------------------------------------------


def _reserve(
    ledgers: Ledgers, name: str, work: Work, start: Callable[[], object], watch: Callable[[SharedLedger], object]
) -> Share:
    """Keep so many reviews in flight for so long."""
    around = Dependencies(
        now=lambda: datetime.now(UTC),
        monotonic=time.monotonic,
        sleep=time.sleep,
        random=lambda: (time.monotonic_ns() % 1009) / 1009,
        is_absent=lambda: False,
        sees_pods=lambda: True,
    )
    shared = SharedLedger(ledgers, around, ttl=_TTL)
    shared.recount([])
    watch(shared)
    answered: queue.SimpleQueue[tuple[float, bool]] = queue.SimpleQueue()
    latencies: list[float] = []
    numbers = iter(range(10**9))
    failures = 0

    def ask() -> None:
        key = f"{work.number:08}-0000-4000-8000-{next(numbers):012}"
        began = time.monotonic()

        def done(answer: ReservationOutcome | LedgerError) -> None:
            answered.put((time.monotonic() - began, isinstance(answer, ReservationOutcome) and answer.accepted))

        shared.begin(key, 1_000, [Charge(name, 10**15, f"team-{work.number}")], None, seconds=10, done=done)

    start()
    end = time.monotonic() + work.seconds
    for _ in range(work.in_flight):
        ask()
    shared.follow({})
    counted = time.monotonic()
    while time.monotonic() < end:
        seconds, is_good = answered.get(timeout=20)
        latencies.append(seconds)
        failures += not is_good
        ask()
        if time.monotonic() - counted > LOOK_SECONDS:
            counted = time.monotonic()
            look = partial(_count, shared, name) if work.number == 0 else shared.flush
            threading.Thread(target=look, daemon=True).start()
    tally = shared.tally.writes
    return Share(latencies, failures, tally["written"], tally["conflict"])


def _count(shared: SharedLedger, name: str) -> None:
    """Do what a leader does. The pods of all reservations have come and gone, so the ledger stays as small
    as it is in use."""
    copy = shared.copies.get(name)
    shared.flush()
    for key in copy.sheet.reservations if copy is not None and copy.sheet is not None else ():
        shared.release(key)
    shared.follow({name: BudgetTerms(amount=10**18)})
    shared.recount([])
    shared.reconcile(lambda: True)


def _threads(in_flight: int, seconds: float) -> list[Share]:
    ledgers = FakeLedgers()
    ledgers.before = lambda _verb: time.sleep(_STORE_SECONDS)
    start = threading.Barrier(REPLICAS)

    def replica(number: int) -> Share:
        work = Work("reserve", Path(), in_flight, seconds, number)
        return _reserve(ledgers, "hot", work, start.wait, lambda shared: watch(ledgers, shared))

    with ThreadPoolExecutor(REPLICAS) as pool:
        return list(pool.map(replica, range(REPLICAS)))


# --- pods -------------------------------------------------------------------------------------------------------------


def _create(api: client.Client, work: Work, start: Callable[[], object]) -> Share:
    latencies: list[float] = []
    failures: list[str] = []
    start()
    end = time.monotonic() + work.seconds

    def creator(thread: int) -> None:
        number = 0
        while time.monotonic() < end:
            number += 1
            body = json.dumps(_pod(f"p-{work.number}-{thread}-{number}")).encode()
            began = time.monotonic()
            try:
                api.request("POST", f"/api/v1/namespaces/{work.kind}/pods", body=body)
            except client.ApiError as error:
                failures.append(str(error))
            else:
                latencies.append(time.monotonic() - began)

    with ThreadPoolExecutor(work.in_flight) as pool:
        list(pool.map(creator, range(work.in_flight)))
    return Share(latencies, len(failures), 0, 0)


def _pod(name: str) -> dict[str, object]:
    container = {"name": "c", "image": "i", "resources": {"requests": {"cpu": "10m", "memory": "1Mi"}}}
    spec = {"containers": [container], "automountServiceAccountToken": False}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


# --- processes --------------------------------------------------------------------------------------------------------


def _processes(kind: str, kubeconfig: Path, in_flight: int, seconds: float) -> list[Share]:
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(REPLICAS)
    answers: multiprocessing.Queue[Share] = context.Queue()
    started = [
        context.Process(target=_process, args=(Work(kind, kubeconfig, in_flight, seconds, number), barrier, answers))
        for number in range(REPLICAS)
    ]
    for process in started:
        process.start()
    shares = [answers.get(timeout=seconds + 120) for _ in started]
    for process in started:
        process.join(20)
    return shares


def _process(work: Work, barrier: Barrier, answers: "multiprocessing.Queue[Share]") -> None:
    api = client.connect(work.kubeconfig)
    api.get("/version")
    if work.kind.startswith("reserve"):
        answers.put(
            _reserve(BudgetLedgers(api), f"hot-{work.kind}", work, barrier.wait, lambda shared: _watch(api, shared))
        )
    else:
        answers.put(_create(api, work, barrier.wait))


def _watch(api: client.Client, shared: SharedLedger) -> None:
    reflector = Reflector(api, budget_ledgers.RESOURCE, budget_ledgers.decode, shared.copies)
    threading.Thread(target=reflector.run, daemon=True).start()
    while reflector.state().phase != "watching":
        time.sleep(0.05)


@contextmanager
def _cluster(directory: Path) -> Iterator[Path]:
    """Run an API server with the kind and with the namespaces."""
    with _control_plane.control_plane(directory) as plane:
        api = plane.client()
        definition = yaml.safe_load(_CRD.read_text())
        path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
        api.request("POST", path, body=json.dumps(definition).encode())
        for target in _TARGETS.values():
            if target.startswith("reserve"):
                continue
            body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": target}}
            api.request("POST", "/api/v1/namespaces", body=json.dumps(body).encode())
            if "quota" in target:
                _set_quota(api, target)
        while True:
            try:
                BudgetLedgers(api).read("hot")
                api.get("/apis/podgate.dev/v1alpha1/budgetledgers")
                break
            except client.ApiError:
                time.sleep(0.2)
        time.sleep(2)  # The quota plugin knows its quotas by a watch.
        yield plane.kubeconfig


def _set_quota(api: client.Client, namespace: str) -> None:
    """Make a quota and fill in its status, which a controller would."""
    path = f"/api/v1/namespaces/{namespace}/resourcequotas"
    hard = {"requests.cpu": "100000", "requests.memory": "100000Gi", "pods": "1000000"}
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q"}, "spec": {"hard": hard}}
    stored = json.loads(api.request("POST", path, body=json.dumps(quota).encode()))
    stored["status"] = {"hard": hard, "used": dict.fromkeys(hard, "0")}
    api.request("PUT", f"{path}/q/status", body=json.dumps(stored).encode())
