"""What one replica knows of the pods by itself: those that its watch has seen, and reservations that it has heard of.

The shared ledger says what is committed; this says who runs, and what controllers were admitted with. It is a ledger in
memory that is told what was booked elsewhere, so it also serves alone where no shared one is installed.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta

from webhook.ledger.ledger_state import COVERED, Reservation, RunningPod, Whereabouts
from webhook.ledger.memory import CAPACITY, MemoryLedger
from webhook.ledger.store import Booking, ControllerKey, PodCount, ProvenOwner


class ObservedPods:
    """A `MemoryLedger` and what it is told. May be used from any thread."""

    def __init__(self, *, clock: Callable[[], datetime], ttl: timedelta) -> None:
        self.memory = MemoryLedger(clock=clock, ttl=ttl)
        """The bookings of this replica alone."""
        self._clock = clock
        self._lock = threading.Lock()
        self._totals: dict[str, int] = {}
        """By budget: all pods that run."""
        self._noted: dict[str, dict[str, Reservation]] = {}
        self._ended: dict[str, datetime] = {}
        self._fresh: dict[str, datetime] = {}
        """Pods that the last counts have seen first, and when."""
        self._leaving: dict[str, datetime] = {}
        """Pods that were seen to be deleted, and since when: news and counts of before still say otherwise."""
        self.counted_at: datetime | None = None
        """When the pods were last counted; None before that."""

    def note(self, budget: str, reservations: Mapping[str, Reservation]) -> None:
        """Know of pods that were admitted, here or elsewhere."""
        with self._lock:
            for key, found in reservations.items():
                noted = self._noted.get(key)
                # A ledger keeps a reservation for some seconds after its pod has come, and perhaps gone again.
                is_past = self._live(key) is not None or key in self._ended
                if is_past or (noted is not None and noted.get(budget) == found):
                    continue
                if noted is None:
                    if len(self._noted) >= CAPACITY:
                        return  # What is not known here is still in the shared ledger.
                    noted = self._noted[key] = {}
                noted[budget] = found
                self._book(key, noted)

    def _book(self, key: str, noted: Mapping[str, Reservation]) -> None:
        newest = max(noted.values(), key=lambda each: each.at)
        beyond = [budget for budget, each in noted.items() if each.is_replacement]
        self.memory.book(key, newest.rate, noted, beyond, newest.owner)
        if key in self._leaving:
            self.memory.leave(key)

    def recount(self, pods: Iterable[Booking], ttl: timedelta) -> None:
        """Take the pods that run as they are."""
        started = self._clock()
        found = self.memory.compare(_Believed(pods, self._ended, self._leaving))
        # Whatever ran when this process came is old.
        new = [key for key in found.entries if self.memory.runs(key) is None] if self.counted_at is not None else ()
        with self._lock:
            # Both at once: who subtracts a pod from the total must find it there.
            self.memory.take(found)
            self._fresh = {key: at for key, at in self._fresh.items() if abs(started - at) < COVERED}
            self._fresh.update((key, started) for key in new)
            self._totals = self.memory.running(without=self._ended)
            self._noted = {
                key: noted
                for key, noted in self._noted.items()
                if self._live(key) is None and any(started - each.at <= ttl for each in noted.values())
            }
            self._ended = {key: at for key, at in self._ended.items() if started - at <= ttl}
            self._leaving = {key: at for key, at in self._leaving.items() if started - at <= ttl}
            self.counted_at = started

    def leave(self, key: str) -> None:
        """Know that a pod is being deleted: it costs until it is gone, and its controller may replace it at once."""
        with self._lock:
            if len(self._leaving) < CAPACITY:
                self._leaving[key] = self._clock()
        self.memory.leave(key)

    def wants(self, uid: str, pods: int) -> None:
        """Know how many pods a controller wants."""
        self.memory.wants(uid, pods)

    def release(self, key: str) -> bool:
        """Forget a pod that has come to its end; False where it had booked nothing."""
        with self._lock:
            pod = self._live(key)
            if pod is not None:
                for budget in pod.budgets:
                    self._totals[budget] = self._totals.get(budget, 0) - pod.micros
            self._noted.pop(key, None)
            self._leaving.pop(key, None)
            if len(self._ended) < CAPACITY:
                self._ended[key] = self._clock()
            return self.memory.release(key)

    def forget(self, key: str) -> None:
        """Forget a pod that was admitted and is not to come."""
        with self._lock:
            if self._noted.pop(key, None) is None or self._live(key) is not None:
                return
        self.memory.release(key)

    def unchanged(self) -> None:
        """Know that the pods are still those that were counted last."""
        if self.counted_at is not None:
            self.counted_at = self._clock()

    def pod_phase(self, key: str) -> Whereabouts:
        """Return what was last seen of a pod."""
        if key in self._ended:
            return "ended"
        return "running" if self._live(key) is not None else "unknown"

    def runs(self, key: str, budget: str) -> int | None:
        """Return what a pod that was seen costs a budget; None where it was not seen, or another budget pays."""
        pod = self._live(key)
        return pod.micros if pod is not None and budget in pod.budgets else None

    def running(self, budget: str, reserved: Iterable[str]) -> RunningPod:
        """Return what the pods that were seen cost a budget, all of them and those with these UIDs."""
        with self._lock:
            found = {key: micros for key in reserved if (micros := self.runs(key, budget)) is not None}
            now = self._clock()
            fresh = sum(
                self.runs(key, budget) or 0
                for key, at in self._fresh.items()
                if key not in found and abs(now - at) < COVERED
            )
            return RunningPod(self._totals.get(budget, 0), found, fresh)

    def replaces(self, budget: str, owner: ProvenOwner | None, micros: int, had: int) -> bool:
        """Whether a pod, of which `had` is booked already, replaces what its controller was admitted with."""
        return owner is not None and self.memory.is_replacement(budget, micros - had, owner)

    def _live(self, key: str) -> Booking | None:
        # A pod that ends while the pods are being counted is counted once more.
        return self.memory.runs(key) if key not in self._ended else None


class _Believed(PodCount):
    """The pods of a count, which may have begun before their end, or before they were deleted."""

    def __init__(self, pods: Iterable[Booking], ended: Mapping[str, datetime], leaving: Mapping[str, datetime]) -> None:
        self._pods = pods
        self._ended = ended
        self._leaving = leaving

    def __iter__(self) -> Iterator[Booking]:
        for pod in self._pods:
            if pod.key not in self._ended:
                left = self._leaving.get(pod.key)
                yield pod._replace(left=left) if left is not None and pod.left is None else pod

    def wanted(self, uid: str, place: ControllerKey) -> int | None:
        return self._pods.wanted(uid, place) if isinstance(self._pods, PodCount) else None
