"""One budget in one review: what it says, and what is booked where the object is let in.

The ledger is read here and written nowhere: the reservation follows once the whole decision stands (`commit`).
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple

import msgspec

from webhook.admission.decision import GuardrailResult, Severity
from webhook.admission.outcomes import error_text, fault, outcome_name
from webhook.admission.ruleset import budget_key
from webhook.guardrails import budget
from webhook.guardrails.base.contract import Context, Finding
from webhook.kube.quantity import QuantityError
from webhook.ledger import balance
from webhook.ledger.store import Charge, LedgerStore, ProvenOwner
from webhook.policy.model.sections import Mode

NOT_CHARGED: Final = "not charged, as podSecurity refuses the pod"


class BudgetResult(NamedTuple):
    """What came of one budget."""

    outcome: GuardrailResult
    charge: Charge | None
    """None where nothing is booked: workloads, budgets in audit, and where the judgement failed before it."""
    denies_on_fault: bool = False
    """Whether a pod that cannot be booked is refused."""
    left: int = 0
    """What the budget has left, micro-units per hour; below zero where it is overdrawn. Only told of a refusal."""


def tightest_first(judged: Sequence[BudgetResult]) -> list[GuardrailResult]:
    """Return the outcomes. Of several budgets that refuse, the one with the least left speaks for all and names the
    others, which are warnings then."""
    if len(judged) == 1:
        return [judged[0].outcome]
    refusing = sorted((each for each in judged if _refuses(each)), key=lambda each: each.left)
    outcomes = [each.outcome for each in judged if not _refuses(each)]
    if len(refusing) < 2:
        return [*outcomes, *(each.outcome for each in refusing)]
    first, *others = (each.outcome for each in refusing)
    names = ", ".join(f'"{each.policy}"' for each in others)
    text = f"; it is the tightest of {len(refusing)} budgets that do not suffice (also {names})"
    told = [_replace_findings(first, lambda each: msgspec.structs.replace(each, message=each.message + text))]
    told += [_replace_findings(each, lambda found: msgspec.structs.replace(found, notice=True)) for each in others]
    return [*outcomes, *told]


def _refuses(judged: BudgetResult) -> bool:
    return judged.outcome.outcome == "refused" and any(each.rule == "budget" for each in judged.outcome.findings)


def _replace_findings(outcome: GuardrailResult, change: Callable[[Finding], Finding]) -> GuardrailResult:
    findings = tuple(change(each) if not each.notice else each for each in outcome.findings)
    return msgspec.structs.replace(outcome, findings=findings)


def not_charged(rule: budget.BudgetRule) -> GuardrailResult:
    """Return the outcome of a budget whose pod is refused by the other half of the validating call."""
    return GuardrailResult(rule.name, "budget", rule.mode, "passed", _severity(rule.mode), note=NOT_CHARGED)


def _severity(mode: Mode) -> Severity:
    return "enforce" if mode == "enforce" else "warn" if mode == "warn" else "audit"


def judge(
    rule: budget.BudgetRule,
    context: Context,
    ledger: LedgerStore,
    clock: Callable[[], datetime],
    *,
    rate: int,
    owner: ProvenOwner | None,
    exempt: Mapping[str, str],
) -> BudgetResult:
    """Judge what an object adds to a budget whose scope covers it.

    Args:
        rule: the budget.
        context: the object as it will be, or as it would be.
        ledger: what is committed.
        clock: the time, with a time zone.
        rate: micro-units per hour that the object is booked with.
        owner: its controller, where that is proven.
        exempt: names of exceptions, by what they exempt from, see `webhook.admission.ruleset.Ruleset.exempt`.
    """
    if rule.grace_until is not None:
        rule = rule.at(clock())
    mode = rule.mode
    severity = _severity(mode)
    note = exempt.get(budget_key(rule.name))
    # A workload is never refused because Podgate failed; its pods are judged again.
    on_fault = rule.on_fault if context.scale is None else "allow"
    if rule.currency != context.prices.currency:
        return BudgetResult(fault(rule.name, "budget", on_fault, mode, severity, _unpriced(rule, context)), None)
    charge: Charge | None = None
    denies = mode == "enforce" and rule.on_fault == "deny"
    left = 0
    try:
        now = clock() if rule.basis == "monthEnd" else None
        spent = ledger.spent(rule.name, rule.period, rule.begins_on) if rule.basis == "monthEnd" else 0
        if context.scale is None and mode != "audit":
            charge = budget.charge(rule, context.prices.hours_per_month, now, spent_micros=spent)
            # What runs already is booked and never refused: only an increase needs room.
            is_refusable = note is None and _takes_money(rule, context)
            charge = charge if is_refusable else charge._replace(limit=None)
        if note is not None:
            return BudgetResult(
                GuardrailResult(rule.name, "budget", mode, "exempt", severity, note=note), charge, denies
            )
        key = _key(context)
        committed = ledger.committed(rule.name, without=key)
        findings = tuple(budget.judge(rule, context, committed, now, spent_micros=spent))
        is_over = bool(findings) and any(finding.rule == "budget" for finding in findings)
        if is_over and owner is not None and ledger.is_replacement(rule.name, rate, owner, without=key):
            return BudgetResult(
                GuardrailResult(rule.name, "budget", mode, "passed", severity, note="replacement"), charge, denies
            )
        if is_over:
            left = balance.rate_limit(rule.terms(context.prices.hours_per_month), spent=spent, now=now) - committed
    except Exception as error:  # noqa: BLE001  whatever fails, the review gets a definite answer
        return BudgetResult(fault(rule.name, "budget", on_fault, mode, severity, error_text(error)), charge, denies)
    name = outcome_name(mode, severity, findings, changed=False)
    return BudgetResult(GuardrailResult(rule.name, "budget", mode, name, severity, findings), charge, denies, left)


def _takes_money(rule: budget.BudgetRule, context: Context) -> bool:
    """Whether the object needs room: a new pod, an increase, or what cannot be priced, which is found in a moment."""
    if context.operation == "CREATE":
        return True
    try:
        return budget.added_rate(rule, context) > 0
    except QuantityError:
        return True


def _unpriced(rule: budget.BudgetRule, context: Context) -> str:
    """Say why a budget cannot be compared with prices: where the list that it was made for is gone, say."""
    return (
        f"it is in {rule.currency}, but prices are in {context.prices.currency}; a PriceList named default is missing"
    )


def _key(context: Context) -> str:
    """UID of a new pod: a retried call must not find its own booking in the way. An increase of a pod that runs is
    judged on top of what it has."""
    metadata = context.pod.metadata
    is_new = context.operation == "CREATE" and context.scale is None
    return (metadata.uid or "") if is_new and metadata is not None else ""
