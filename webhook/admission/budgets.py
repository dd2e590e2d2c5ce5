"""One budget in one review: what it says, and what is booked where the object is let in.

The ledger is read here and written nowhere: the reservation follows once the whole decision stands (`commit`).
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import NamedTuple

from webhook.admission.decision import Outcome, Severity
from webhook.admission.outcomes import error_text, fault, outcome_name
from webhook.guardrails import budget
from webhook.guardrails._contract import Context
from webhook.ledger.store import Charge, LedgerStore, Owner


class Judged(NamedTuple):
    """What came of one budget."""

    outcome: Outcome
    charge: Charge | None
    """None where nothing is booked: workloads, budgets in audit, and where the judgement failed before it."""


def judge(
    rule: budget.BudgetRule,
    context: Context,
    ledger: LedgerStore,
    clock: Callable[[], datetime],
    *,
    rate: int,
    owner: Owner | None,
    exempt: Mapping[str, str],
) -> Judged:
    """Judge what an object adds to a budget whose scope covers it.

    Args:
        rule: the budget.
        context: the object as it will be, or as it would be.
        ledger: what is committed.
        clock: the time, with a time zone.
        rate: micro-units per hour that the object is booked with.
        owner: its controller, where that is proven.
        exempt: names of exceptions, by what they exempt from.
    """
    mode = rule.mode
    severity: Severity = "enforce" if mode == "enforce" else "warn" if mode == "warn" else "audit"
    note = exempt.get("budget")
    charge: Charge | None = None
    try:
        now = clock() if rule.basis == "monthEnd" else None
        spent = ledger.spent(rule.name, rule.period) if rule.basis == "monthEnd" else 0
        if context.scale is None and mode != "audit":
            charge = budget.charge(rule, context.prices.hours_per_month, now, spent_micros=spent)
            # What runs already is booked and never refused: only an increase needs room.
            is_refusable = note is None and (context.operation == "CREATE" or budget.added_rate(rule, context) > 0)
            charge = charge if is_refusable else charge._replace(limit=None)
        if note is not None:
            return Judged(Outcome(rule.name, "budget", mode, "exempt", severity, note=note), charge)
        key = _key(context)
        committed = ledger.committed(rule.name, without=key)
        findings = tuple(budget.judge(rule, context, committed, now, spent_micros=spent))
        is_over = any(finding.rule == "budget" for finding in findings)
        if is_over and owner is not None and ledger.is_replacement(rule.name, rate, owner, without=key):
            return Judged(Outcome(rule.name, "budget", mode, "passed", severity, note="replacement"), charge)
    except Exception as error:  # noqa: BLE001  whatever fails, the review gets a definite answer
        return Judged(fault(rule.name, "budget", rule.on_fault, mode, severity, error_text(error)), charge)
    name = outcome_name(mode, severity, findings, changed=False)
    return Judged(Outcome(rule.name, "budget", mode, name, severity, findings), charge)


def _key(context: Context) -> str:
    """UID of a new pod: a retried call must not find its own booking in the way. An increase of a pod that runs is
    judged on top of what it has."""
    metadata = context.pod.metadata
    is_new = context.operation == "CREATE" and context.scale is None
    return (metadata.uid or "") if is_new and metadata is not None else ""
