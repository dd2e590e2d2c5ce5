"""All watches of a live cluster: which resources, a thread for each, and how they are doing.

Threads and not tasks, because the official client blocks. They wait in sockets nearly always; the interpreter's lock
is held for the microseconds in which one object is decoded.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple, TypeVar

import msgspec

from webhook.cluster import projections
from webhook.cluster.live import LiveView
from webhook.kube import client, device_claims
from webhook.kube.reflector import Reflector, Resource, WatchState, key_of
from webhook.kube.stores import Store
from webhook.kube.watch_wire import Meta

STALE_SECONDS: Final = 180.0
"""Silence after which a watch counts as stale. API servers send a bookmark a minute, and a dead connection is noticed
after one and a half."""

_JOIN_SECONDS: Final = 2.0

_WORKLOADS: Final[tuple[tuple[str, str, str], ...]] = (
    ("CronJob", "batch/v1", "cronjobs"),
    ("DaemonSet", "apps/v1", "daemonsets"),
    ("Deployment", "apps/v1", "deployments"),
    ("Job", "batch/v1", "jobs"),
    ("ReplicaSet", "apps/v1", "replicasets"),
    ("ReplicationController", "v1", "replicationcontrollers"),
    ("StatefulSet", "apps/v1", "statefulsets"),
)
_DEVICES: Final[tuple[tuple[str, str], ...]] = (
    ("DeviceClass", "deviceclasses"),
    ("ResourceClaim", "resourceclaims"),
    ("ResourceClaimTemplate", "resourceclaimtemplates"),
    ("ResourceSlice", "resourceslices"),
)
_RUNNING: Final = "status.phase!=Succeeded,status.phase!=Failed"

_log = logging.getLogger("podgate.watch")

T = TypeVar("T")


class WatchReport(NamedTuple):
    """One watch, as readiness and metrics see it."""

    name: str
    state: WatchState
    age: float | None
    """Seconds since the API server was last heard of; None before that."""

    @property
    def is_stale(self) -> bool:
        """Whether the store may be far behind the cluster."""
        return self.state.phase not in ("absent", "starting") and (self.age is None or self.age > STALE_SECONDS)


class Watches:
    """The reflectors of a `LiveView`, and of whatever else is watched beside it."""

    def __init__(
        self,
        api: client.Api,
        view: LiveView,
        *,
        clock: Callable[[], float] = time.monotonic,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        """Args:
        api: the API server.
        view: what is kept in step.
        clock: monotonic seconds.
        options: further arguments of every `Reflector`, for tests.
        """
        self._api = api
        self._view = view
        self._clock = clock
        self._options: dict[str, Any] = dict(options or {})
        self._running: dict[str, tuple[Reflector[Any], threading.Thread]] = {}
        self._leases: dict[str, Reflector[Any]] = {}
        self._spare: set[str] = set()
        self._optional = {"scaledobjects", *(plural for _, plural in _DEVICES)}
        """Where it may not be listed, what needs it has no price, or counts as what others make of it, and a notice
        says so."""
        self._lock = threading.Lock()
        self._add_all()

    def add(
        self,
        resource: Resource,
        decode: Callable[..., Any],
        sink: Any,  # noqa: ANN401  its type follows from `decode`
        *,
        key: Callable[[Meta], str] | None = None,
        is_spare: bool = False,
    ) -> Reflector[Any]:
        """Watch a resource from `start` on; `is_spare` where verdicts are right without it."""
        if is_spare:
            self._spare.add(resource.name)
        options = {**self._options, "key": key} if key is not None else self._options
        if isinstance(sink, Store):
            decode = _reusing(decode, sink, key or key_of)
        reflector: Reflector[Any] = Reflector(self._api, resource, decode, sink, clock=self._clock, **options)
        thread = threading.Thread(target=reflector.run, name=f"watch-{resource.name}"[:15], daemon=True)
        with self._lock:
            self._running[resource.name] = (reflector, thread)
        return reflector

    def start(self) -> None:
        """Begin to list and watch."""
        with self._lock:
            threads = [thread for _, thread in self._running.values()]
        for thread in threads:
            if thread.ident is None:
                thread.start()

    def stop(self) -> None:
        """End all watches; the stores keep what they have."""
        with self._lock:
            running = list(self._running.values())
        for reflector, _ in running:
            reflector.stop()
        deadline = time.monotonic() + _JOIN_SECONDS
        for _, thread in running:
            if thread.ident is not None:
                thread.join(max(0.0, deadline - time.monotonic()))

    def follow_schedulers(self, names: Iterable[str]) -> None:
        """Watch the Leases of exactly these schedulers."""
        wanted = {name for name in names if name}
        for name in sorted(set(self._leases) - wanted):
            self._leases.pop(name).stop()
            self._view.leases.pop(name, None)
            with self._lock:
                self._running.pop(f"leases/{name}", None)
        for name in sorted(wanted - set(self._leases)):
            store: Store[projections.NamedLease] = Store()
            self._view.leases[name] = store
            resource = Resource(
                f"leases/{name}", "/apis/coordination.k8s.io/v1/leases", {"fieldSelector": f"metadata.name={name}"}
            )
            self._leases[name] = self.add(resource, projections.lease, store)
            _log.info("following the Lease of scheduler %s", name)
        self.start()

    def report(self) -> list[WatchReport]:
        """Return how all watches are doing, by name."""
        with self._lock:
            running = sorted(self._running.items())
        now = self._clock()
        reports: list[WatchReport] = []
        for name, (reflector, _) in running:
            state = reflector.state()
            reports.append(WatchReport(name, state, None if state.contact is None else max(0.0, now - state.contact)))
        return reports

    def problem(self) -> str | None:
        """Return why the view is not complete yet, for readiness; None once every store was.

        A scheduler's Lease is no part of that: not to know it means not to use that scheduler, and says so. Neither is
        what was added as spare, nor devices that may not be listed.
        """
        missing = [
            each
            for each in self.report()
            if not each.state.has_synced
            and not each.name.startswith("leases/")
            and each.name not in self._spare
            and not (each.name in self._optional and each.state.phase == "forbidden")
        ]
        if not missing:
            return None
        worst = next((each for each in missing if each.state.reason), missing[0])
        listed = ", ".join(each.name for each in missing)
        return f"not listed yet: {listed}" + (f"; {worst.state.reason}" if worst.state.reason else "")

    def notices(self) -> list[str]:
        """Return what is degraded while the process serves on."""
        lines: list[str] = []
        for each in self.report():
            state = each.state
            may_lack = each.name in self._spare or (each.name in self._optional and not state.has_synced)
            if state.phase == "absent" or (state.phase == "forbidden" and may_lack):
                lines.append(f"{each.name}: {state.reason}")
            elif state.has_synced and (state.phase in ("broken", "forbidden") or each.is_stale):
                age = "" if each.age is None else f", {each.age:.0f} s old"
                lines.append(f"{each.name}: answers may be out of date{age}: {state.reason or 'the watch is silent'}")
        return lines

    def has_listed(self, name: str) -> bool:
        """Whether the resource of that name was listed completely at least once."""
        found = self._running.get(name)
        return found is not None and found[0].state().has_synced

    def is_watching(self, kind: str) -> bool:
        """Whether news of objects of a kind can be expected in a moment; see `webhook.cluster.live.LiveView.lacks`."""
        found = self._running.get(_NAMES.get(kind, ""))
        return found is not None and found[0].state().phase == "watching"

    def _add_all(self) -> None:
        view = self._view
        self.add(Resource("namespaces", "/api/v1/namespaces"), projections.reader("v1", "Namespace"), view.namespaces)
        self.add(Resource("nodes", "/api/v1/nodes"), projections.reader("v1", "Node"), view.nodes_by_name)
        self.add(
            Resource("limitranges", "/api/v1/limitranges"), projections.limit_range, view.limit_ranges_by_namespace
        )
        self.add(
            Resource("poddisruptionbudgets", "/apis/policy/v1/poddisruptionbudgets"),
            projections.disruption_budget,
            view.disruption_budgets_by_namespace,
        )
        self.add(
            Resource("resourcequotas", "/api/v1/resourcequotas"),
            projections.reader("v1", "ResourceQuota"),
            view.quotas_by_namespace,
        )
        self.add(
            Resource("persistentvolumeclaims", "/api/v1/persistentvolumeclaims"),
            projections.reader("v1", "PersistentVolumeClaim"),
            view.claims,
        )
        # Pods come with their overhead; without the classes, only workloads are priced too low, and say so.
        self.add(
            Resource("runtimeclasses", "/apis/node.k8s.io/v1/runtimeclasses", may_be_absent=True),
            projections.reader("node.k8s.io/v1", "RuntimeClass"),
            view.runtime_classes,
            is_spare=True,
        )
        for kind, version, plural in _WORKLOADS:
            path = f"/api/v1/{plural}" if version == "v1" else f"/apis/{version}/{plural}"
            self.add(Resource(plural, path), projections.workload(version, kind), view.workloads[kind])
        self.add(
            Resource("horizontalpodautoscalers", "/apis/autoscaling/v2/horizontalpodautoscalers"),
            projections.reader("autoscaling/v2", "HorizontalPodAutoscaler"),
            view.horizontal,
        )
        scaled = Resource("scaledobjects", "/apis/keda.sh/v1alpha1/scaledobjects", may_be_absent=True)
        self.add(scaled, projections.reader("keda.sh/v1alpha1", "ScaledObject"), view.scaled)
        vertical = Resource(
            "verticalpodautoscalers", "/apis/autoscaling.k8s.io/v1/verticalpodautoscalers", may_be_absent=True
        )
        read_vertical = projections.reader("autoscaling.k8s.io/v1", "VerticalPodAutoscaler")
        self.add(vertical, read_vertical, view.vertical)
        devices = (view.device_classes, view.device_claims, view.device_claim_templates, view.device_pools)
        for (kind, plural), store in zip(_DEVICES, devices, strict=True):
            path, *older = (f"/apis/{device_claims.GROUP}/{version}/{plural}" for version in device_claims.VERSIONS)
            resource = Resource(plural, path, may_be_absent=True, older=tuple(older))
            self.add(resource, projections.reader(f"{device_claims.GROUP}/v1", kind), store)
        self.add(
            Resource("pods", "/api/v1/pods", {"fieldSelector": _RUNNING}),
            view.pods_by_uid.project,
            view.pods_by_uid,
            key=view.pods_by_uid.key_of,
        )


def _reusing(
    decode: Callable[[msgspec.Raw, Meta], T | None], store: Store[T], key: Callable[[Meta], str]
) -> Callable[[msgspec.Raw, Meta], T | None]:
    """Return a projection that keeps what is known already where nothing of it has changed.

    A new list of a large cluster would otherwise be in memory beside the old one. Most changes of pods are of their
    status, too, and mean nothing to the store.
    """

    def read(raw: msgspec.Raw, meta: Meta) -> T | None:
        value = decode(raw, meta)
        known = store.items.get(key(meta))
        return known if known is not None and known == value else value

    return read


_NAMES: Final = {
    "Namespace": "namespaces",
    "Pod": "pods",
    **{kind: plural for kind, _, plural in _WORKLOADS},
    **dict(_DEVICES),
}
