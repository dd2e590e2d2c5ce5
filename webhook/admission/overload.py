"""The answer to a review that waited too long to be judged: what each guardrail says a fault means.

No guardrail runs, so nothing is changed; the pod's policies are still found, for they say what shall happen. A
guardrail whose ``onFault`` is ``deny`` and whose mode is ``enforce`` refuses, the others let pass with a warning.

Budgets are the exception. Whoever lets a pod in has spent the money, so a pod is priced, judged by the budgets that pay
for it and booked as ever: that takes a fraction of a review, and a crowd of pods is what budgets are for. ``onFault``
speaks where the booking itself fails.

The mutating call refuses nothing here: the validating call follows, and either judges what was left undone or
finds itself overloaded too, and then it refuses.
"""

from collections.abc import Iterator, Mapping, Sequence

from webhook.admission.charging import charged_labels
from webhook.admission.decision import ALLOWED, Decision, GuardrailResult, OutcomeName, Severity, decide
from webhook.admission.policy_binding import PolicyBinding
from webhook.admission.review import Environment, ReviewPhase, charge, resolve_policies
from webhook.admission.ruleset import budget_key
from webhook.admission.subject import Subject
from webhook.guardrails import budget
from webhook.guardrails.base.contract import Context, is_creation
from webhook.policy.model.sections import Mode, OnFault

REASON = "Podgate is overloaded and answered in time rather than judge; retry, or give it more CPU or replicas"


def unjudged(subject: Subject, around: Environment, phase: ReviewPhase) -> Decision:
    """Decide without judging.

    Args:
        subject: the object; it is left as it is.
        around: policies, cluster, clock.
        phase: the call.
    """
    rules = around.rules
    if rules.is_excluded(subject):
        return ALLOWED
    context, entries, exempt = resolve_policies(subject, around)
    may_refuse = phase != "mutate" and subject.scale is None
    outcomes: list[GuardrailResult] = []
    for entry in entries:
        guardrail = entry.guardrail
        is_asked = guardrail.propose is not None if phase == "mutate" else phase in ("validate", guardrail.half)
        if is_asked and guardrail.name not in exempt and (guardrail.judges or is_creation)(context):
            on_fault: OnFault = entry.on_fault if may_refuse else "allow"
            outcomes.append(_outcome(entry.policy, guardrail.name, entry.mode, on_fault, entry.severity))
    judges_budgets = phase in ("validate", "cost") and bool(rules.budgets) and budget.judges(context)
    if judges_budgets and subject.scale is None:
        return charge(context, around, phase, entries, exempt, outcomes)
    if judges_budgets:
        outcomes += _of_workload(context, around, entries, exempt)
    return decide(outcomes, (), (), None) if outcomes else ALLOWED


def _of_workload(
    context: Context, around: Environment, entries: Sequence[PolicyBinding], exempt: Mapping[str, str]
) -> Iterator[GuardrailResult]:
    """Yield what budgets say of a workload that is not judged; its pods are."""
    info, now = context.namespace_info, around.now()
    labels = info.labels if info is not None else {}
    charged = charged_labels(entries, exempt, context, context.labels)
    for each in around.rules.budgets:
        rule = each.at(now)
        if budget_key(rule.name) not in exempt and rule.covers(context.namespace, labels, charged):
            yield _outcome(rule.name, "budget", rule.mode, "allow", _SEVERITIES[rule.mode])


_SEVERITIES: dict[Mode, Severity] = {"enforce": "enforce", "warn": "warn", "audit": "audit", "off": "audit"}


def _outcome(policy: str, guardrail: str, mode: Mode, on_fault: OnFault, severity: Severity) -> GuardrailResult:
    name: OutcomeName = "fault_denied" if on_fault == "deny" and mode == "enforce" else "fault_allowed"
    return GuardrailResult(policy, guardrail, mode, name, severity, note=REASON)
