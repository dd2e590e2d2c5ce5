"""What a budget says of a pod that it had room for when it was judged, and has none for any more."""

from webhook.admission.review import Environment, resolve_policies
from webhook.admission.subject import Subject
from webhook.guardrails import budget
from webhook.guardrails.base.contract import Finding
from webhook.ledger.store import ReservationOutcome


def refusal(subject: Subject, around: Environment, outcome: ReservationOutcome) -> Finding | None:
    """Return what the budget that refused says, as its guardrail words it.

    Args:
        subject: the pod.
        around: what it was judged against.
        outcome: the refusal, which says how much is committed.

    Returns:
        None where that budget is in force no more, or would let the pod in after all.
    """
    rule = next((each for each in around.rules.budgets if each.name == outcome.budget), None)
    if rule is None:
        return None
    context, _, _ = resolve_policies(subject, around)
    now = around.now()
    spent = around.ledger.spent(rule.name, rule.period, rule.begins_on)
    findings = budget.judge(rule.at(now), context, outcome.committed, now, spent_micros=spent)
    return next((each for each in findings if each.rule == "budget"), None)
