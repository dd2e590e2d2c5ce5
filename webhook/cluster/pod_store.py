"""The pods of a live cluster, and what is looked up by them."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import overload

from webhook.cluster import pod_claims, view
from webhook.cluster.pod_records import PodProjection, PodRecord
from webhook.kube.stores import Store
from webhook.kube.watch_wire import Meta


class PodStore(Store[PodRecord]):
    """Pods by UID, what they share, and which of them mounts which persistent volume claim."""

    def __init__(self) -> None:
        super().__init__()
        self.project = PodProjection()
        self.on_end: Callable[[str], object] | None = None
        """Told the UID of each pod that ends, by the thread of the watch; what it had is free at once."""
        self.mounted: dict[tuple[str, str], tuple[tuple[str, str], ...]] = {}
        """By namespace and name of a claim: the (creation time, UID) of each pod that mounts it, the oldest first."""
        self.device_users = pod_claims.Users()
        """The same of ResourceClaims."""
        self.on_leave: Callable[[str], object] | None = None
        """Told the UID of each pod that is being deleted; its controller makes another one at once."""
        self.owned: Counter[str] = Counter()
        """By UID of a controller: its pods that are not being deleted."""

    def key_of(self, meta: Meta) -> str:
        """Return the key of a pod; of one that is known, the text that is in memory already."""
        key = meta.uid or f"{meta.namespace}/{meta.name}"
        known = self.items.get(key)
        return known.uid if known is not None else key

    def put(self, key: str, value: PodRecord) -> None:
        """Add or change one pod."""
        old = self.items.get(key)
        super().put(key, value)
        self._count(old, -1)
        self._count(value, 1)
        if old is not None and old.claims != value.claims:
            self._unmount(old)
        if value.claims and (old is None or old.claims != value.claims):
            _mount(self.mounted, value)
        self._use(old, value)
        if value.deletion_timestamp is not None and self.on_leave is not None:
            self.on_leave(key)
        self.project.sweep(self.values)

    def drop(self, key: str) -> None:
        """Forget one pod: it was deleted, or has run to its end."""
        old = self.items.get(key)
        super().drop(key)
        self._count(old, -1)
        if old is not None:
            self._unmount(old)
            self._use(old, None)
        if self.on_end is not None:
            self.on_end(key)

    def replace(self, items: Mapping[str, PodRecord], kept: frozenset[str] = frozenset()) -> None:
        """Be exactly `items`, and of what is there the keys in `kept`."""
        super().replace(items, kept)
        mounted: dict[tuple[str, str], tuple[tuple[str, str], ...]] = {}
        users = pod_claims.Users()
        for record in self.items.values():
            _mount(mounted, record)
            users.add(record.namespace, record.device_claims(), (record.created, record.uid))
        self.mounted = mounted
        self.device_users = users
        self.owned = Counter(filter(None, map(_owned_by, self.items.values())))
        self.project.sweep(self.values)

    def users_of(self, namespace: str, name: str) -> Iterator[pod_claims.User]:
        """Yield the users of a ResourceClaim, the oldest first."""
        return self.device_users.of(namespace, name)

    def _use(self, old: PodRecord | None, new: PodRecord | None) -> None:
        """Note which ResourceClaims a pod uses instead of those that it used."""
        if old is not None and new is not None and old.device_claims() == new.device_claims():
            return  # Whoever asks meanwhile finds its user.
        for record, change in ((old, self.device_users.remove), (new, self.device_users.add)):
            names = record.device_claims() if record is not None else frozenset[str]()
            if record is not None and names:
                change(record.namespace, names, (record.created, record.uid))

    def _count(self, record: PodRecord | None, change: int) -> None:
        uid = _owned_by(record) if record is not None else None
        if uid:
            left = self.owned[uid] + change
            if left > 0:
                self.owned[uid] = left
            else:
                del self.owned[uid]

    def _unmount(self, record: PodRecord) -> None:
        for name in record.claims:
            claim = record.namespace, name
            users = tuple(each for each in self.mounted.get(claim, ()) if each[1] != record.uid)
            if users:
                self.mounted[claim] = users
            else:
                self.mounted.pop(claim, None)


def _owned_by(record: PodRecord) -> str | None:
    """Return the UID of the controller that counts a pod; None where nobody does."""
    owner = record.owner
    return owner.uid or None if owner is not None and record.deletion_timestamp is None else None


def _mount(mounted: dict[tuple[str, str], tuple[tuple[str, str], ...]], record: PodRecord) -> None:
    for name in record.claims:
        claim = record.namespace, name
        mounted[claim] = tuple(sorted({*mounted.get(claim, ()), (record.created, record.uid)}))


class PodsView(Sequence[view.ClusterPod]):
    """The pods of one moment; each is put together when it is looked at."""

    def __init__(self, records: tuple[PodRecord, ...]) -> None:
        self._records = records

    @overload
    def __getitem__(self, index: int) -> view.ClusterPod: ...
    @overload
    def __getitem__(self, index: slice) -> "PodsView": ...
    def __getitem__(self, index: int | slice) -> "view.ClusterPod | PodsView":
        if isinstance(index, slice):
            return PodsView(self._records[index])
        return self._records[index].as_pod()

    def __len__(self) -> int:
        return len(self._records)

    def __iter__(self) -> Iterator[view.ClusterPod]:
        return (record.as_pod() for record in self._records)
