"""The last decisions of this process, in memory: aggregates for reports and pages, and the lines behind them.

The recorder tells every decision after its answer was sent. What is kept is bounded three times: by owners, by lines an
owner, and by bytes altogether; the owner that was silent for longest is forgotten first. A decision that repeats the
one before it (the next pod of the same Deployment) counts up and replaces its line, so a storm costs no memory and
hides nothing else. Counts have a bounded number of keys; beyond it they are booked under ``other``, never dropped.

Nothing here is exact across replicas or restarts; the decision log is.
"""

from collections import Counter, OrderedDict, deque
from collections.abc import Hashable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Final, NamedTuple, TypeVar

import msgspec

from webhook.admission.decision import Decision
from webhook.admission.recorder import Recorded

K = TypeVar("K", bound=Hashable)

MAXIMUM_BYTES: Final = 4 << 20
"""Bytes of all lines together."""
MAXIMUM_OWNERS: Final = 5_000
LINES: Final = 6
"""Lines kept of one owner and path."""
MAXIMUM_KEYS: Final = 10_000
"""Keys of the counts; and of the money."""
BUCKET_SECONDS: Final = 300
BUCKETS: Final = 288
"""Steps of the history: a day of five minutes each."""

OTHER: Final = "other"

_PODS_CALL: Final = "/mutate"
_PRICED: Final = ("rightSizing", "spot")
"""Guardrails whose changes a price follows."""
VERDICTS: Final = ("refused", "would refuse", "warned", "changed", "would change", "passed")
"""What became of an object, worst first; the closed list of the history."""


class Owner(NamedTuple):
    """Whom decisions are kept under: the top-most known owner, or the pod itself where it has none."""

    namespace: str
    kind: str
    name: str


class Count(NamedTuple):
    """What is counted: one outcome of one guardrail of one policy in one namespace."""

    namespace: str
    policy: str
    guardrail: str
    outcome: str


class Money(NamedTuple):
    """Money of new pods in micro-units of the currency per month."""

    saved: int = 0
    """Taken off by changes that were applied."""
    held_back: int = 0
    """That changes would take off which a mode holds back."""
    refused: int = 0
    would_refuse: int = 0

    def __add__(self, other: object) -> "Money":
        if not isinstance(other, Money):
            return NotImplemented
        return Money(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))


class Kept(NamedTuple):
    """One decision, and how often it was repeated without a difference."""

    line: bytes
    """Of the decision log, the newest one."""
    times: int
    first: datetime
    last: datetime


class _Slot:
    """The lines of one owner, by path."""

    __slots__ = ("lines", "signatures", "size")

    def __init__(self) -> None:
        self.lines: dict[str, deque[Kept]] = {}
        self.signatures: dict[str, int] = {}
        self.size = 0


class Journal:
    """Takes decisions; used from the event loop's thread alone."""

    def __init__(self, maximum_bytes: int = MAXIMUM_BYTES, maximum_owners: int = MAXIMUM_OWNERS) -> None:
        self._maximum_bytes = maximum_bytes
        self._maximum_owners = maximum_owners
        self._owners: OrderedDict[Owner, _Slot] = OrderedDict()
        self._bytes = 0
        self.counts: Counter[Count] = Counter()
        """Outcomes that are not plain passes."""
        self.passed: Counter[tuple[str, str]] = Counter()
        """(policy, guardrail) of plain passes: too many to be kept a namespace."""
        self.money: dict[str, Money] = {}
        """By namespace."""
        self.gains: dict[str, Money] = {}
        """What changes take off, by guardrail; of two that change one pod together."""
        self.exemptions: Counter[str] = Counter()
        """Uses of exceptions, by what the outcome says of them."""
        self._history: dict[int, Counter[str]] = {}
        self.taken = 0

    # --- taking -----------------------------------------------------------------------------------------------------

    def told(self, recorded: Recorded) -> None:
        """Take one decision."""
        decision = recorded.decision
        self.taken += 1
        namespace = recorded.subject.namespace
        for outcome in decision.outcomes:
            name = outcome.outcome
            if name == "passed":
                _add(self.passed, (outcome.policy, outcome.guardrail), (OTHER, OTHER))
                continue
            key = Count(namespace, outcome.policy, outcome.guardrail, name)
            _add(self.counts, key, Count(OTHER, OTHER, outcome.guardrail, name))
            if name == "exempt":
                _add(self.exemptions, outcome.note, OTHER)
        word = verdict(decision)
        self._count(recorded.time, word)
        if recorded.subject.is_patchable and not recorded.subject.dry_run:
            self._book(recorded.path, namespace, decision)
        self._keep(recorded)

    def _count(self, now: datetime, word: str) -> None:
        bucket = int(now.timestamp()) // BUCKET_SECONDS
        counted = self._history.get(bucket)
        if counted is None:
            counted = self._history[bucket] = Counter()
            while len(self._history) > BUCKETS:
                del self._history[min(self._history)]
        counted[word] += 1

    def _book(self, path: str, namespace: str, decision: Decision) -> None:
        cost = decision.cost
        if cost is None:
            return
        if path == _PODS_CALL:
            gain = (cost.before - cost.after) * cost.hours
            if gain <= 0:
                return
            names, is_applied = _gainers(decision)
            booked = Money(saved=gain) if is_applied else Money(held_back=gain)
            self.gains[names] = self.gains.get(names, Money()) + booked
        elif not decision.allowed:
            booked = Money(refused=cost.after * cost.hours)
        elif not decision.would_allow:
            booked = Money(would_refuse=cost.after * cost.hours)
        else:
            return
        if namespace not in self.money and len(self.money) >= MAXIMUM_KEYS:
            namespace = OTHER
        self.money[namespace] = self.money.get(namespace, Money()) + booked

    def _keep(self, recorded: Recorded) -> None:
        owner = owner_of(recorded)
        slot = self._owners.get(owner)
        if slot is None:
            slot = self._owners[owner] = _Slot()
        else:
            self._owners.move_to_end(owner)
        path, line, now = recorded.path, recorded.line, recorded.time
        lines = slot.lines.get(path)
        if lines is None:
            lines = slot.lines[path] = deque()
        signature = _signature(recorded)
        size = slot.size
        if lines and slot.signatures.get(path) == signature:
            before = lines.pop()
            slot.size -= len(before.line)
            lines.append(Kept(line, before.times + 1, before.first, now))
        else:
            slot.signatures[path] = signature
            lines.append(Kept(line, 1, now, now))
            if len(lines) > LINES:
                slot.size -= len(lines.popleft().line)
        slot.size += len(line)
        self._bytes += slot.size - size
        while self._owners and (self._bytes > self._maximum_bytes or len(self._owners) > self._maximum_owners):
            _, forgotten = self._owners.popitem(last=False)
            self._bytes -= forgotten.size

    # --- telling ----------------------------------------------------------------------------------------------------

    def owners(self) -> Iterator[Owner]:
        """Yield whom lines are kept of, the newest first."""
        return reversed(list(self._owners))

    def of(self, namespace: str, kind: str, name: str) -> list[Kept]:
        """Return what is kept of an owner, oldest first; empty where nothing is."""
        slot = self._owners.get(Owner(namespace, kind, name))
        if slot is None:
            return []
        return sorted((kept for lines in slot.lines.values() for kept in lines), key=lambda kept: kept.last)

    def newest(self) -> list[tuple[Owner, tuple[Kept, ...]]]:
        """Return the newest line of each path of every owner, the owner first that was told of last."""
        return [
            (owner, tuple(lines[-1] for lines in slot.lines.values() if lines))
            for owner, slot in reversed(self._owners.items())
        ]

    def about(self, namespace: str, kind: str, name: str) -> list[Kept]:
        """Return what is kept of an owner or, where it is none, of a pod or workload of that name below an owner."""
        found = self.of(namespace, kind, name)
        if found:
            return found
        wanted = kind, name
        return sorted(
            (
                kept
                for owner, slot in self._owners.items()
                if owner.namespace == namespace
                for lines in slot.lines.values()
                for kept in lines
                if _named(kept.line) == wanted
            ),
            key=lambda kept: kept.last,
        )

    def history(self, now: datetime) -> list[tuple[datetime, Mapping[str, int]]]:
        """Return verdict counts of the last day in steps of five minutes, oldest first; steps without any are left
        out."""
        oldest = int(now.timestamp()) // BUCKET_SECONDS - BUCKETS
        return [
            (datetime.fromtimestamp(bucket * BUCKET_SECONDS, UTC), dict(counted))
            for bucket, counted in sorted(self._history.items())
            if bucket > oldest
        ]

    def sizes(self) -> Mapping[str, int]:
        """Return the number of entries of each part, for metrics."""
        return {
            "journal_owners": len(self._owners),
            "journal_bytes": self._bytes,
            "journal_counts": len(self.counts),
        }


def owner_of(recorded: Recorded) -> Owner:
    """Return whom a decision is kept under."""
    subject, owner = recorded.subject, recorded.owner
    if owner is not None:
        return Owner(subject.namespace, owner.kind, owner.name)
    return Owner(subject.namespace, subject.kind, subject.name)


def verdict(decision: Decision) -> str:
    """Return what became of an object in a word, the worst of its outcomes."""
    if not decision.allowed:
        return "refused"
    names = {outcome.outcome for outcome in decision.outcomes}
    if "warned" in names:
        return "warned"
    if not decision.would_allow:
        return "would refuse"
    if "changed" in names:
        return "changed"
    return "would change" if "would_change" in names else "passed"


def _gainers(decision: Decision) -> tuple[str, bool]:
    """Return whose changes take money off, and whether all of them were applied.

    One amount is known of all changes together. Where a mode holds one of them back, none of it counts as saved.
    """
    outcomes = {
        each.guardrail: each.outcome for each in decision.outcomes if each.outcome in ("changed", "would_change")
    }
    names = [name for name in _PRICED if name in outcomes]
    if not names:
        return OTHER, bool(decision.operations)
    return " and ".join(names), all(outcomes[name] == "changed" for name in names)


def _signature(recorded: Recorded) -> int:
    """Return a hash of what two decisions of one owner and path have in common that say the same."""
    subject, decision = recorded.subject, recorded.decision
    said = tuple(
        (each.policy, each.guardrail, each.outcome, each.note, *each.findings)
        for each in decision.outcomes
        if each.outcome != "passed"
    )
    return hash((subject.operation, subject.dry_run, decision.message, decision.patch, decision.cost, said))


class _Name(msgspec.Struct):
    kind: str = ""
    name: str = ""


_NAME = msgspec.json.Decoder(_Name)


def _named(line: bytes) -> tuple[str, str]:
    found = _NAME.decode(line)
    return found.kind, found.name


def _add(counter: Counter[K], key: K, other: K) -> None:
    if key not in counter and len(counter) >= MAXIMUM_KEYS:
        key = other
    counter[key] += 1
