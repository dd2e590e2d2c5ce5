"""The last decisions of this process, in memory: aggregates for reports and pages, and the lines behind them.

The recorder tells every decision after its answer was sent. What is kept is bounded three times: by owners, by lines an
owner, and by bytes altogether; the owner that was silent for longest is forgotten first. A decision that repeats the
one before it (the next pod of the same Deployment) counts up and replaces its line, so a storm costs no memory and
hides nothing else. Counts have a bounded number of keys; beyond it they are booked under ``other``, never dropped.

Nothing here is exact across replicas or restarts; the decision log is.
"""

from collections import Counter, OrderedDict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Final, NamedTuple

import msgspec

from webhook.admission.decision import Decision
from webhook.admission.recorder import Recorded

MAXIMUM_BYTES: Final = 4 << 20
"""Bytes of all lines together."""
MAXIMUM_OWNERS: Final = 5_000
LARGEST_SHARE: Final = 10
"""A line that takes more than one part in so many of all bytes is not kept: it would push out what others wrote."""
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
_RANKS: Final[Mapping[str, int]] = {
    **dict.fromkeys(("refused", "fault_denied"), 0),
    "would_refuse": 1,
    "warned": 2,
    "changed": 3,
    "would_change": 4,
    **dict.fromkeys(("passed", "exempt", "fault_allowed"), 5),
}
_PASSED: Final = 5


class DecisionOwner(NamedTuple):
    """Whom decisions are kept under: the top-most known owner, or the pod itself where it has none."""

    namespace: str
    kind: str
    name: str


Count = tuple[str, str, str, str]
"""What is counted: (namespace, policy, guardrail, outcome)."""


class MonthlyMoney(NamedTuple):
    """Money of new pods in micro-units of the currency per month."""

    saved: int = 0
    """Taken off by changes that were applied."""
    held_back: int = 0
    """That changes would take off which a mode holds back."""
    refused: int = 0
    would_refuse: int = 0

    def __add__(self, other: object) -> "MonthlyMoney":
        if not isinstance(other, MonthlyMoney):
            return NotImplemented
        return MonthlyMoney(
            self.saved + other.saved,
            self.held_back + other.held_back,
            self.refused + other.refused,
            self.would_refuse + other.would_refuse,
        )


class KeptDecision(NamedTuple):
    """One decision, and how often it was repeated without a difference."""

    line: bytes
    """Of the decision log, the newest one."""
    times: int
    first: datetime
    last: datetime


class _Line:
    """One kept decision while it may still be counted up."""

    __slots__ = ("first", "last", "line", "signature", "times")

    def __init__(self, signature: int, line: bytes, now: datetime) -> None:
        self.signature = signature
        self.line = line
        self.times = 1
        self.first = self.last = now

    def kept(self) -> KeptDecision:
        return KeptDecision(self.line, self.times, self.first, self.last)


_Slot = dict[str, list[_Line]]
"""The lines of one owner, by path."""
_KeptKey = tuple[str, str, str]


class Journal:
    """Takes decisions; used from the event loop's thread alone."""

    def __init__(self, maximum_bytes: int = MAXIMUM_BYTES, maximum_owners: int = MAXIMUM_OWNERS) -> None:
        self._maximum_bytes = maximum_bytes
        self._maximum_owners = maximum_owners
        self._owners: OrderedDict[_KeptKey, _Slot] = OrderedDict()
        self._bytes = 0
        self.counts: dict[Count, int] = {}
        """Outcomes that are no plain passes."""
        self.money: dict[str, MonthlyMoney] = {}
        """By namespace."""
        self.gains: dict[str, MonthlyMoney] = {}
        """What changes take off, by guardrail; of two that change one pod together."""
        self.exemptions: Counter[str] = Counter()
        """Uses of exceptions, by what the outcome says of them."""
        self._history: dict[int, list[int]] = {}
        self.taken = 0
        self.dropped = 0
        """Lines that were too long to be kept; they are counted like all others."""

    # --- taking -----------------------------------------------------------------------------------------------------

    def told(self, recorded: Recorded) -> None:
        """Take one decision."""
        decision, subject = recorded.decision, recorded.subject
        namespace, counts = subject.namespace, self.counts
        self.taken += 1
        worst = _PASSED
        for outcome in decision.unusual:
            name = outcome.outcome
            if _RANKS[name] < worst:
                worst = _RANKS[name]
            key = (namespace, outcome.policy, outcome.guardrail, name)
            try:
                counts[key] += 1
            except KeyError:
                self._first(key)
            if name == "exempt":
                self._count_exemption(outcome.note)
        if not decision.allowed:
            worst = 0
        now = recorded.time
        bucket = int(now.timestamp()) // BUCKET_SECONDS
        counted = self._history.get(bucket)
        if counted is None:
            counted = self._begin(bucket)
        counted[worst] += 1
        if decision.cost is not None and subject.is_patchable and not subject.dry_run:
            self._book(recorded.path, namespace, decision)
        self._keep(recorded, hash((subject.operation, subject.dry_run, decision.signature)))

    def _first(self, key: Count) -> None:
        if len(self.counts) >= MAXIMUM_KEYS:
            key = (OTHER, OTHER, key[2], key[3])
        self.counts[key] = self.counts.get(key, 0) + 1

    def _count_exemption(self, note: str) -> None:
        if note not in self.exemptions and len(self.exemptions) >= MAXIMUM_KEYS:
            note = OTHER
        self.exemptions[note] += 1

    def _begin(self, bucket: int) -> list[int]:
        counted = self._history[bucket] = [0] * len(VERDICTS)
        while len(self._history) > BUCKETS:
            del self._history[min(self._history)]
        return counted

    def _book(self, path: str, namespace: str, decision: Decision) -> None:
        cost = decision.cost
        if cost is None:
            return
        if path == _PODS_CALL:
            gain = (cost.before - cost.after) * cost.hours
            if gain <= 0:
                return
            names, is_applied = _gainers(decision)
            booked = MonthlyMoney(saved=gain) if is_applied else MonthlyMoney(held_back=gain)
            self.gains[names] = self.gains.get(names, MonthlyMoney()) + booked
        elif not decision.allowed:
            booked = MonthlyMoney(refused=cost.after * cost.hours)
        elif not decision.would_allow:
            booked = MonthlyMoney(would_refuse=cost.after * cost.hours)
        else:
            return
        if namespace not in self.money and len(self.money) >= MAXIMUM_KEYS:
            namespace = OTHER
        self.money[namespace] = self.money.get(namespace, MonthlyMoney()) + booked

    def _keep(self, recorded: Recorded, signature: int) -> None:
        subject, owner, line = recorded.subject, recorded.owner, recorded.line
        if len(line) > self._maximum_bytes // LARGEST_SHARE:
            self.dropped += 1
            return
        key = (subject.namespace, subject.kind, subject.name)
        if owner is not None:
            key = (subject.namespace, owner.kind, owner.name)
        slot = self._owners.get(key)
        if slot is None:
            slot = self._owners[key] = {}
        else:
            self._owners.move_to_end(key)
        lines = slot.get(recorded.path)
        if lines is None:
            lines = slot[recorded.path] = []
        if lines and lines[-1].signature == signature:
            before = lines[-1]
            self._bytes += len(line) - len(before.line)
            before.line, before.last = line, recorded.time
            before.times += 1
        else:
            lines.append(_Line(signature, line, recorded.time))
            self._bytes += len(line)
            if len(lines) > LINES:
                self._bytes -= len(lines.pop(0).line)
        while self._bytes > self._maximum_bytes or len(self._owners) > self._maximum_owners:
            _, forgotten = self._owners.popitem(last=False)
            self._bytes -= sum(len(each.line) for lines in forgotten.values() for each in lines)

    # --- telling ----------------------------------------------------------------------------------------------------

    def owners(self) -> list[DecisionOwner]:
        """Return whom lines are kept of, the newest first."""
        return [DecisionOwner(*key) for key in reversed(self._owners)]

    def of(self, namespace: str, kind: str, name: str) -> list[KeptDecision]:
        """Return what is kept of an owner, oldest first; empty where nothing is."""
        return _sorted(self._owners.get((namespace, kind, name), {}).values())

    def newest(self) -> list[tuple[DecisionOwner, tuple[KeptDecision, ...]]]:
        """Return the newest line of each path of every owner, the owner first that was told of last."""
        return [
            (DecisionOwner(*key), tuple(lines[-1].kept() for lines in slot.values()))
            for key, slot in reversed(self._owners.items())
        ]

    def about(self, namespace: str, kind: str, name: str) -> list[KeptDecision]:
        """Return what is kept of an owner or, where it is none, of a pod or workload of that name below an owner."""
        found = self.of(namespace, kind, name)
        if found:
            return found
        below = (lines for key, slot in self._owners.items() if key[0] == namespace for lines in slot.values())
        return [kept for kept in _sorted(below) if _named(kept.line) == (kind, name)]

    def history(self, now: datetime) -> list[tuple[datetime, Mapping[str, int]]]:
        """Return verdict counts of the last day in steps of five minutes, oldest first; steps without any are left
        out."""
        oldest = int(now.timestamp()) // BUCKET_SECONDS - BUCKETS
        return [
            (datetime.fromtimestamp(bucket * BUCKET_SECONDS, UTC), dict(zip(VERDICTS, counted, strict=True)))
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


def verdict(outcomes: Iterable[str]) -> str:
    """Return the verdict that outcomes come to: that of the worst of them."""
    return VERDICTS[min((_RANKS.get(name, _PASSED) for name in outcomes), default=_PASSED)]


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


def _sorted(found: Iterable[Iterable[_Line]]) -> list[KeptDecision]:
    return sorted((each.kept() for lines in found for each in lines), key=lambda kept: kept.last)


class _Name(msgspec.Struct):
    kind: str = ""
    name: str = ""


_NAME = msgspec.json.Decoder(_Name)


def _named(line: bytes) -> tuple[str, str]:
    found = _NAME.decode(line)
    return found.kind, found.name
