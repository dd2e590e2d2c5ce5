"""The cost and savings report of a decision log: what was changed, refused and saved, as it was decided.

A pod goes through two calls. What changes take off is told by the mutating one, and what is refused by the validating
one; both are decisions about the same pod and fold into one row of its owner. Dry runs and pods that exist already
(updates) are no new money and are left out.
"""

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from datetime import datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Final

import msgspec

from webhook.pricing import money
from webhook.reporting import entries, report
from webhook.reporting.entries import Bad, LoggedDecision
from webhook.reporting.fold import (
    FIRST_CALL,
    SECOND_CALL,
    EqualValues,
    FoldedFinding,
    FoldedResult,
    ObjectResult,
    UnjudgedSummary,
    Verdict,
    fold,
)
from webhook.reporting.journal import DecisionOwner

_MUTATE: Final = "/mutate"
_RIGHT_SIZING: Final = "rightSizing"
_SPOT: Final = "spot"
_CHANGED: Final = frozenset({"changed", "would_change"})
_REMEMBERED: Final = 10_000


def of_file(path: Path, now: datetime) -> report.AuditReport:
    """Add up a decision log.

    Raises:
        OSError: it cannot be read.
    """
    return of_entries(entries.read_file(path), str(path) if str(path) != "-" else "standard input", now)


def of_entries(found: Iterable[LoggedDecision | Bad], source: str, now: datetime) -> report.AuditReport:
    """Add up the decisions of a log."""
    unjudged = UnjudgedSummary()
    currencies: set[str] = set()
    rows = fold(_records(found, source, unjudged, currencies))
    if len(currencies) > 1:
        told = ", ".join(sorted(currencies))
        unjudged.add(
            "log", "", f"amounts are in several currencies ({told}); split it by time", source, is_failure=True
        )
    return report.make(
        title="report",
        source=source,
        when=now,
        currency=min(currencies, default="USD"),
        rows=rows,
        not_judged=unjudged,
        has_failures=unjudged.has_failures,
    )._replace(before="as written", after="as decided")


def _records(
    found: Iterable[LoggedDecision | Bad], source: str, unjudged: UnjudgedSummary, currencies: set[str]
) -> Iterator[ObjectResult]:
    intern, refused = EqualValues(), _RefusedPods()
    for each in found:
        if isinstance(each, Bad):
            unjudged.add("line", "", each.reason, f"{source}:{each.number}", is_failure=True)
            continue
        reason = _left_out(each)
        if reason:
            unjudged.add(each.kind, each.namespace, reason, each.name)
            continue
        if each.cost is not None and each.cost.currency:
            currencies.add(each.cost.currency)
        try:
            yield _record(each, intern, refused)
        except (InvalidOperation, ValueError) as error:
            unjudged.add("line", each.namespace, f"its cost is no amount: {error}", each.decision, is_failure=True)


def _left_out(entry: LoggedDecision) -> str:
    if entry.dry_run:
        return "was a dry run"
    if entry.kind != "Pod":
        return "is a workload; its pods are counted"
    return "was no new pod" if entry.operation != "CREATE" or entry.subresource else ""


class _RefusedPods:
    """Which pods were refused lately: the two halves of the validating call may both refuse one pod."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, str], None] = OrderedDict()

    def is_first(self, entry: LoggedDecision) -> bool:
        """Whether this is the first call that refuses this pod."""
        key = (entry.namespace, entry.name)
        if key in self._known:
            return False
        self._known[key] = None
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return True


def _record(entry: LoggedDecision, intern: EqualValues, refused: _RefusedPods) -> ObjectResult:
    before = _micros(entry.cost.monthly_before) if entry.cost is not None else 0
    after = _micros(entry.cost.monthly_after) if entry.cost is not None else 0
    is_first_call = entry.path == _MUTATE
    operations = [*entry.patch, *entry.would_patch]
    saved = _saved(entry, before - after) if is_first_call else {}
    is_refused = not is_first_call and "refused" in (entry.verdict, entry.would) and refused.is_first(entry)
    kind, name = entry.whose
    return ObjectResult(
        owner=DecisionOwner(entry.namespace, kind, name),
        kind=FIRST_CALL if is_first_call else SECOND_CALL,
        name=entry.name,
        origin="",
        cost_center="",
        department="",
        verdict=intern(
            Verdict(
                parts=tuple(
                    FoldedResult(
                        each.policy,
                        each.guardrail,
                        # Of a change the first call tells; here it has been looked at.
                        "passed" if each.outcome in _CHANGED and not is_first_call else each.outcome,
                        saved.get(each.guardrail, 0),
                        each.note,
                    )
                    for each in entry.guardrails
                    if each.outcome in _CHANGED or not is_first_call
                ),
                notes=tuple(
                    FoldedFinding(
                        each.policy, each.guardrail, item.rule, each.said(item), item.cure, refuses=not item.notice
                    )
                    for each in entry.guardrails
                    for item in each.findings
                ),
                patch=msgspec.json.encode(operations) if operations and is_first_call else b"",
                before=before,
                after=after,
                is_refused=is_refused,
            )
        ),
    )


def _saved(entry: LoggedDecision, total: int) -> dict[str, int]:
    """Return whose changes took the money off. A log does not tell two of them apart, so both together get it once."""
    changed = {each.guardrail for each in entry.guardrails if each.outcome in _CHANGED}
    for name in (_RIGHT_SIZING, _SPOT):
        if name in changed:
            return {name: total}
    return {}


def _micros(text: str) -> int:
    return money.to_micros(Decimal(text))
