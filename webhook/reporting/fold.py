"""One judged object as a small record, and records folded into the workloads that people know: their top-most owners.

A thousand pods of one Deployment are one row. A record shares its texts with all records that say the same, so that a
scan of a large cluster can keep one of every pod. Money is in whole micro-units of the currency per month; what it adds
up to is exact.

A row counts its pods. Of a workload that runs no pod right now (replicas that are zero or that never came up) the row
counts what the template declares, and says so in `WorkloadSummary.basis`. So does the row of a Job or a CronJob,
whether it runs now or not: a pod that runs for minutes costs no month, and only the workload knows its schedule and
its runtime.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, Literal, NamedTuple

import msgspec

from webhook.admission.decision import summary
from webhook.reporting.journal import DecisionOwner

FINDINGS: Final = 30
"""Different findings kept of one row; of further ones only their number."""
PATCHES: Final = 5
"""Different patches kept of one row."""

WorkloadBasis = Literal["pods", "declared"]

FIRST_CALL: Final = "first call"
"""Kind of a record of a log: the mutating call of a pod, which tells its money and what is changed."""
SECOND_CALL: Final = "second call"
"""The validating call of the same pod: which guardrails looked at it, and what they refuse."""

PolicyPart = tuple[str, str]
"""(policy, guardrail)"""

ENDING: Final = frozenset({"CronJob", "Job"})
"""Kinds whose pods run to an end."""
_WOULD_REFUSE: Final = frozenset({"refused", "warned", "would_refuse", "fault_denied"})
_CHANGES: Final = frozenset({"changed", "would_change"})


class FoldedFinding(NamedTuple):
    """One finding, as it is told."""

    policy: str
    guardrail: str
    rule: str
    text: str
    cure: str
    refuses: bool
    """False for a notice."""
    of_workload: bool = False
    """True for a rule that is about the workload as a whole and not about each of its pods."""


class FoldedResult(NamedTuple):
    """What one guardrail of one policy means for one object."""

    policy: str
    guardrail: str
    outcome: str
    saved: int = 0
    """What its changes take off."""
    note: str = ""
    """Why it is exempt, or what failed."""

    @property
    def refuses(self) -> bool:
        """Whether it would refuse the object if it were enforced."""
        return self.outcome in _WOULD_REFUSE

    @property
    def changes(self) -> bool:
        """Whether it would change the object."""
        return self.outcome in _CHANGES


class Verdict(NamedTuple):
    """Everything that equal objects have in common; one in memory for all of them."""

    parts: tuple[FoldedResult, ...]
    notes: tuple[FoldedFinding, ...]
    patch: bytes
    """The exact JSON Patch that enforcing everything would apply; empty where there is none."""
    before: int
    after: int
    is_refused: bool
    """Whether the object would be refused if everything were enforced."""

    @property
    def is_changed(self) -> bool:
        """Whether the object would be changed."""
        return bool(self.patch)

    @property
    def saved(self) -> int:
        """What changes take off; negative where they add."""
        return self.before - self.after


class ObjectResult(NamedTuple):
    """One judged object."""

    owner: DecisionOwner
    kind: str
    name: str
    origin: str
    cost_center: str
    department: str
    verdict: Verdict

    @property
    def is_pod(self) -> bool:
        """Whether it is a pod, and not a workload."""
        return self.kind in ("Pod", FIRST_CALL)


class EqualValues:
    """Gives equal values one object."""

    def __init__(self, most: int = 50_000) -> None:
        self._known: dict[Verdict, Verdict] = {}
        self._most = most

    def __call__(self, verdict: Verdict) -> Verdict:
        """Return the one object that equals `verdict`."""
        if len(self._known) >= self._most:
            self._known.clear()
        return self._known.setdefault(verdict, verdict)

    def __len__(self) -> int:
        return len(self._known)


class GuardrailTotals:
    """What one guardrail of one policy means for many objects."""

    __slots__ = ("changed", "exempt", "faults", "objects", "refused", "refused_money", "saved")

    def __init__(self) -> None:
        self.objects = 0
        self.changed = 0
        self.refused = 0
        self.exempt = 0
        self.faults = 0
        self.saved = 0
        self.refused_money = 0

    def take(self, part: FoldedResult, after: int, *, counts: bool = True) -> None:
        """Add one object that costs `after` once it is changed; without `counts` another call of it is counted."""
        self.objects += counts
        self.changed += part.changes
        self.saved += part.saved
        self.exempt += part.outcome == "exempt"
        self.faults += part.outcome.startswith("fault_")
        if part.refuses:
            self.refused += 1
            self.refused_money += after

    def add(self, other: "GuardrailTotals") -> None:
        """Add what another one counted."""
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


class Totals:
    """Sums over objects."""

    __slots__ = ("after", "before", "changed", "objects", "refused", "refused_money")

    def __init__(self) -> None:
        self.objects = 0
        self.changed = 0
        self.refused = 0
        self.before = 0
        self.after = 0
        self.refused_money = 0

    def take(self, verdict: Verdict) -> None:
        """Add one object."""
        self.objects += 1
        self.changed += verdict.is_changed
        self.before += verdict.before
        self.after += verdict.after
        if verdict.is_refused:
            self.refuse(verdict)

    def refuse(self, verdict: Verdict) -> None:
        """Count an object as refused."""
        self.refused += 1
        self.refused_money += verdict.after

    def add(self, other: "Totals") -> None:
        """Add what another one counted."""
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    @property
    def saved(self) -> int:
        """What changes take off; negative where they add."""
        return self.before - self.after


class WorkloadSummary:
    """One top-most owner, and everything below it."""

    def __init__(self, owner: DecisionOwner) -> None:
        self.owner = owner
        self.origin = ""
        self.cost_center = ""
        self.department = ""
        self.more_findings = 0
        """Objects that had findings beyond those that are kept."""
        self._pods = Totals()
        self._own = Totals()
        self._pod_shares: dict[PolicyPart, GuardrailTotals] = {}
        self._own_shares: dict[PolicyPart, GuardrailTotals] = {}
        self._own_refusals: dict[PolicyPart, int] = {}
        self._notes: Counter[FoldedFinding] = Counter()
        self._own_notes: Counter[FoldedFinding] = Counter()
        self._patches: Counter[bytes] = Counter()
        self._own_patch = b""

    def take(self, record: ObjectResult) -> None:
        """Fold one record in."""
        verdict = record.verdict
        if record.kind == SECOND_CALL:
            _share(self._pod_shares, verdict)
            if verdict.is_refused:
                self._pods.refuse(verdict)
        elif record.is_pod:
            self._pods.take(verdict)
            _share(self._pod_shares, verdict, counts=record.kind != FIRST_CALL)
            if verdict.patch and (verdict.patch in self._patches or len(self._patches) < PATCHES):
                self._patches[verdict.patch] += 1
        else:
            self._own.take(verdict)
            _share(self._own_shares, verdict)
            self._own_patch = verdict.patch
            for note in verdict.notes:
                if note.of_workload and note.refuses:
                    self._own_refusals[note.policy, note.guardrail] = verdict.after
        notes = self._notes if record.is_pod or record.kind == SECOND_CALL else self._own_notes
        for note in verdict.notes:
            if note in notes or len(notes) < FINDINGS:
                notes[note] += 1
            else:
                self.more_findings += 1
        # What the workload says of itself comes before what one of its pods says.
        if not self.origin or not record.is_pod:
            self.origin = record.origin
            self.cost_center, self.department = record.cost_center, record.department

    @property
    def basis(self) -> WorkloadBasis:
        """What is counted."""
        if self.owner.kind in ENDING and self._own.objects:
            return "declared"
        return "pods" if self._pod_shares or self._pods.objects else "declared"

    @property
    def pods(self) -> int:
        """How many pods were judged."""
        return self._pods.objects

    @property
    def tally(self) -> Totals:
        """Sums over what is counted. A workload that would be refused as a whole counts as refused with all it has."""
        if self.basis == "declared":
            return self._own
        if not self._own_refusals or self._pods.refused == self._pods.objects:
            return self._pods
        whole = Totals()
        whole.add(self._pods)
        whole.refused, whole.refused_money = whole.objects, whole.after
        return whole

    @property
    def shares(self) -> Mapping[PolicyPart, GuardrailTotals]:
        """What each guardrail means for what is counted."""
        if self.basis == "declared":
            return self._own_shares
        if not self._own_refusals:
            return self._pod_shares
        shares = dict(self._pod_shares)
        for part in self._own_refusals:
            whole = GuardrailTotals()
            if part in shares:
                whole.add(shares[part])
            whole.objects = max(whole.objects, self._pods.objects)
            whole.refused, whole.refused_money = self._pods.objects, self._pods.after
            shares[part] = whole
        return shares

    @property
    def findings(self) -> list[tuple[FoldedFinding, int]]:
        """Findings with the number of objects that have them: refusals first, the most frequent first."""
        notes = self._own_notes
        if self.basis == "pods":
            # What a workload's template breaks its pods break too; only what is about the whole is said beside them.
            notes = self._notes + Counter({note: times for note, times in notes.items() if note.of_workload})
        return sorted(notes.items(), key=lambda item: (not item[0].refuses, -item[1], item[0]))

    @property
    def patches(self) -> list[tuple[bytes, int]]:
        """Exact patches with the number of objects that would get each, the most frequent first; of a workload that
        runs no pod, what its pods would get."""
        if self._patches:
            return sorted(self._patches.items(), key=lambda item: (-item[1], item[0]))
        return [(self._own_patch, 1)] if self._own_patch and self.basis == "declared" else []

    @property
    def changes(self) -> list[tuple[str, int]]:
        """The patches in words."""
        return [(summary(msgspec.json.decode(patch)), times) for patch, times in self.patches]

    @property
    def word(self) -> str:
        """What would become of it, in a word."""
        tally = self.tally
        if tally.refused:
            return "would refuse"
        return "would change" if tally.changed else "passed"


def _share(shares: dict[PolicyPart, GuardrailTotals], verdict: Verdict, *, counts: bool = True) -> None:
    for part in verdict.parts:
        key = part.policy, part.guardrail
        share = shares.get(key)
        if share is None:
            share = shares[key] = GuardrailTotals()
        share.take(part, verdict.after, counts=counts)


def fold(records: Iterable[ObjectResult]) -> list[WorkloadSummary]:
    """Fold records into rows, in the order of their owners."""
    rows: dict[DecisionOwner, WorkloadSummary] = {}
    for record in records:
        row = rows.get(record.owner)
        if row is None:
            row = rows[record.owner] = WorkloadSummary(record.owner)
        row.take(record)
    return sorted(rows.values(), key=lambda row: row.owner)


class NotJudged(NamedTuple):
    """Objects that were not judged, and why."""

    what: str
    """Kind, or where it was read."""
    namespace: str
    reason: str
    times: int
    example: str
    is_failure: bool
    """True where somebody has to mend something for it to be judged."""


class UnjudgedSummary:
    """Gathers what was not judged: counted by kind, namespace and reason, with one example each; bounded."""

    MOST: Final = 500

    def __init__(self) -> None:
        self._known: dict[tuple[str, str, str, bool], tuple[int, str]] = {}
        self._more = 0
        self.has_failures = False
        """Whether anything could not be read."""

    def add(self, what: str, namespace: str, reason: str, example: str, *, is_failure: bool = False) -> None:
        """Count one object."""
        self.has_failures |= is_failure
        key = (what, namespace, reason, is_failure)
        if key not in self._known and len(self._known) >= self.MOST:
            self._more += 1
            return
        count, first = self._known.get(key, (0, example))
        self._known[key] = (count + 1, first)

    def __iter__(self) -> Iterator[NotJudged]:
        for (what, namespace, reason, is_failure), (count, example) in sorted(self._known.items()):
            yield NotJudged(what, namespace, reason, count, example, is_failure)
        if self._more:
            yield NotJudged("objects", "", "further reasons are not listed", self._more, "", is_failure=False)
