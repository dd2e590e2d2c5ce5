"""Workloads of the journal: which were told of, the last that was said of each, and everything that is kept of one."""

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final, Literal, NamedTuple

import msgspec

from webhook.dashboard.facts import OUTCOMES
from webhook.dashboard.sources import Newest
from webhook.reporting import entries, journal, why
from webhook.reporting.journal import VERDICTS, DecisionOwner, KeptDecision

PAGE: Final = 50
"""Workloads on one page."""
CHOICES: Final = 200
"""Policies, and namespaces, to choose from; of others one can only ask by name."""
OPERATIONS: Final = 100
"""Operations of a patch that a page shows; ``/api/workload`` has all of them."""

Order = Literal["worst", "newest"]


class Query(NamedTuple):
    """What a list of workloads is narrowed to; an empty text narrows nothing."""

    policy: str = ""
    guardrail: str = ""
    namespace: str = ""
    verdict: str = ""
    text: str = ""
    """Part of a namespace, kind or name, in any case."""
    order: Order = "worst"
    page: int = 1


class Said(NamedTuple):
    """What one guardrail said of a workload last."""

    policy: str
    guardrail: str
    outcome: str
    text: str
    """The first finding; empty for a change without one."""


class WorkloadRow(NamedTuple):
    """One workload."""

    owner: DecisionOwner
    verdict: str
    said: Sequence[Said]
    times: int
    last: datetime
    before: Decimal | None
    """Monthly cost of its last pod as written; None where nothing of it is known."""
    after: Decimal | None
    currency: str

    @property
    def findings(self) -> Sequence[Said]:
        """What was said in words, the worst first."""
        found = [said for said in self.said if said.text]
        return sorted(
            found, key=lambda said: OUTCOMES.index(said.outcome) if said.outcome in OUTCOMES else len(OUTCOMES)
        )

    @property
    def changes(self) -> Sequence[tuple[str, Sequence[str]]]:
        """Who changed it, and who would."""
        found = []
        for outcome in ("changed", "would_change"):
            names = [said.guardrail for said in self.said if said.outcome == outcome]
            if names:
                found.append((outcome, names))
        return found


class WorkloadPage(NamedTuple):
    """Some workloads of all that fit a query."""

    query: Query
    rows: Sequence[WorkloadRow]
    fitting: int
    kept: int
    """Workloads that are remembered at all."""
    pages: int
    policies: Sequence[str]
    guardrails: Sequence[str]
    namespaces: Sequence[str]
    """What a query may be narrowed by."""


class Decided(NamedTuple):
    """One decision about a workload, in words and to the letter."""

    explained: why.Explained
    is_pod: bool
    """False for a workload, whose pods get its patch."""
    patch: Sequence[str]
    """Operations that are applied, each as JSON."""
    would_patch: Sequence[str]
    """Operations that a mode holds back."""
    left_out: int
    """Operations of both that are not shown."""


class _Outcome(msgspec.Struct):
    policy: str = ""
    guardrail: str = ""
    outcome: str = ""
    findings: list[entries.LoggedFinding] = []
    note: str = ""


class _EntryHead(msgspec.Struct, rename="camel"):
    """A line as far as a list needs it; patches are skipped and not decoded."""

    path: str = ""
    verdict: str = ""
    guardrails: list[_Outcome] = []
    cost: entries.LoggedCost | None = None


_HEAD: Final = msgspec.json.Decoder(_EntryHead)


def rows(newest: Newest) -> list[WorkloadRow]:
    """Return all workloads, in the order that is given."""
    return [_row(owner, lines) for owner, lines in newest]


def find(rows: Sequence[WorkloadRow], query: Query) -> WorkloadPage:
    """Return one page of the workloads that fit."""
    fitting = [row for row in rows if _fits(row, query)]
    if query.order == "worst":
        # Stable: of equal ones the newest stay first.
        fitting.sort(key=lambda row: VERDICTS.index(row.verdict))
    pages = max(1, -(-len(fitting) // PAGE))
    number = min(max(query.page, 1), pages)
    return WorkloadPage(
        query._replace(page=number),
        fitting[(number - 1) * PAGE : number * PAGE],
        len(fitting),
        len(rows),
        pages,
        sorted({said.policy for row in rows for said in row.said})[:CHOICES],
        sorted({said.guardrail for row in rows for said in row.said})[:CHOICES],
        sorted({row.owner.namespace for row in rows})[:CHOICES],
    )


def decisions(kept: Iterable[KeptDecision]) -> list[Decided]:
    """Return everything that is kept of one workload, the newest first."""
    found: list[Decided] = []
    for each in kept:
        entry = entries.decode(each.line)
        if isinstance(entry, str):
            continue
        explained = why.explain(entry, each.times, each.first.isoformat(), each.last.isoformat())
        patch, held_back = entry.patch[:OPERATIONS], entry.would_patch[:OPERATIONS]
        left_out = len(entry.patch) + len(entry.would_patch) - len(patch) - len(held_back)
        found.append(Decided(explained, entry.kind == "Pod", _lines(patch), _lines(held_back), left_out))
    return found[::-1]


def _row(owner: DecisionOwner, lines: Sequence[KeptDecision]) -> WorkloadRow:
    heads = [_HEAD.decode(kept.line) for kept in lines]
    said: dict[tuple[str, str, str], Said] = {}
    for head in heads:
        for each in head.guardrails:
            if each.outcome != "passed" or each.findings:
                said.setdefault((each.policy, each.guardrail, each.outcome), _said(each))
    before = after = None
    currency = ""
    for head in heads:
        # What changes take off is told by the mutating call; by the validating one the pod is changed already.
        if head.cost is not None and (before is None or head.path == "/mutate"):
            before, after = _amount(head.cost.monthly_before), _amount(head.cost.monthly_after)
            currency = head.cost.currency
    return WorkloadRow(
        owner,
        min((_verdict(head) for head in heads), key=VERDICTS.index, default="passed"),
        list(said.values()),
        sum(kept.times for kept in lines),
        max(kept.last for kept in lines),
        before,
        after,
        currency,
    )


def _said(outcome: _Outcome) -> Said:
    first = outcome.findings[0] if outcome.findings else None
    text = outcome.note
    if first is not None:
        text = first.message if outcome.outcome == "refused" else first.would or first.message
    return Said(outcome.policy, outcome.guardrail, outcome.outcome, text)


def _verdict(head: _EntryHead) -> str:
    """Return what became of it in a word, as the journal counts it."""
    return "refused" if head.verdict == "refused" else journal.verdict(each.outcome for each in head.guardrails)


def _fits(row: WorkloadRow, query: Query) -> bool:
    owner = row.owner
    if query.namespace and owner.namespace != query.namespace:
        return False
    if query.verdict and row.verdict != query.verdict:
        return False
    if (query.policy or query.guardrail) and not any(
        query.policy in ("", said.policy) and query.guardrail in ("", said.guardrail) for said in row.said
    ):
        return False
    return not query.text or query.text.casefold() in f"{owner.namespace}/{owner.kind}/{owner.name}".casefold()


def _amount(text: str) -> Decimal | None:
    try:
        return Decimal(text)
    except InvalidOperation:
        return None


def _lines(operations: Iterable[dict[str, Any]]) -> list[str]:
    return [json.dumps(each, ensure_ascii=False) for each in operations]
