"""The whole story of one review: which policies, what they change, what they find, what that means.

The same function answers the API server, ``podgate review`` and every later scan; what differs is an argument.

1. Find the entries that speak for the object (`matching`), and the exceptions that loosen them.
2. Enforced guardrails propose; the object now is what it will be. They inspect it.
3. Guardrails in ``warn`` and ``audit`` propose on top; the object now is what it would be. They inspect that.
4. Budgets judge the price of the result. Findings and modes become a Decision.

In the validating call the object already is what the mutating call made of it, so enforced guardrails do not propose
again there: what is missing then was taken away, and is found by inspection.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence

from webhook.admission import capacity
from webhook.admission import decision as decisions
from webhook.admission.charging import prices_as_spot
from webhook.admission.decision import ALLOWED, Decision, GuardrailResult
from webhook.admission.outcomes import error_text
from webhook.admission.policy_binding import PolicyBinding
from webhook.admission.review_run import Environment, ProposalFault, ReviewPhase, ReviewRun
from webhook.admission.subject import Subject
from webhook.guardrails import budget
from webhook.guardrails.base.contract import Context

__all__ = ["Environment", "ProposalFault", "ReviewPhase", "charge", "judge", "resolve_policies", "review"]

_log = logging.getLogger("podgate.review")

_NOTHING: Mapping[str, str] = {}


def review(
    subject: Subject, around: Environment, phase: ReviewPhase, faults: Mapping[str, str] | None = None
) -> Decision:
    """Judge one object.

    Args:
        subject: freshly decoded; its pod is changed in place.
        around: policies, cluster, clock.
        phase: the call; decides who proposes and who inspects.
        faults: guardrails that already failed on this object, with the error's text.

    Raises:
        ProposalFault: see there.
    """
    rules = around.rules
    if rules.is_excluded(subject):
        return ALLOWED
    context, entries, exempt = resolve_policies(subject, around)
    run = ReviewRun(context, around, phase, faults or {}, exempt, entries)
    run.admit()
    judges_budgets = bool(rules.budgets) and phase in ("validate", "cost", "offline") and budget.judges(context)
    if not (run.enforcing or run.holding or run.outcomes or judges_budgets):
        return ALLOWED
    cost_before = capacity.price_received(context, rules, around.now, run.price) if phase != "security" else None
    run.enforced()
    if judges_budgets and run.is_refused_elsewhere():
        judges_budgets = False
    if judges_budgets:
        run.judge_budgets(enforced=True)
    run.held_back()
    if judges_budgets:
        run.judge_budgets(enforced=False)
    if not (run.enforcing or run.holding or run.outcomes):
        return ALLOWED  # No policy speaks for it, and no budget pays for it.
    return decisions.with_exceptions(run.decide(cost_before), context.exception_uses, warns=phase != "mutate")


def charge(
    context: Context,
    around: Environment,
    phase: ReviewPhase,
    entries: Sequence[PolicyBinding],
    exempt: Mapping[str, str],
    outcomes: Iterable[GuardrailResult],
) -> Decision:
    """Judge a pod by the budgets that pay for it, and by nothing else.

    Args:
        context: the pod; it stays as it is.
        around: policies, cluster, clock.
        phase: the validating call, or its cost half.
        entries: that speak for the pod; none of them judges it.
        exempt: what the pod is let off, see `resolve_policies`.
        outcomes: of everything else.
    """
    run = ReviewRun(context, around, phase, {}, exempt, entries)
    run.outcomes.extend(outcomes)
    if context.operation == "CREATE":
        context.priced_as_spot = prices_as_spot(entries, exempt, context)
    before = capacity.price_received(context, around.rules, around.now, run.price)
    if not run.is_refused_elsewhere():
        run.judge_budgets(enforced=True)
        run.judge_budgets(enforced=False)
    return (
        decisions.with_exceptions(run.decide(before), context.exception_uses, warns=True) if run.outcomes else ALLOWED
    )


def resolve_policies(subject: Subject, around: Environment) -> tuple[Context, list[PolicyBinding], Mapping[str, str]]:
    """Return the context of a review, the entries that speak for the object, and the guardrails that are exempt as a
    whole with the exception's name."""
    rules = around.rules
    info = around.view.namespace(subject.namespace)
    context = Context(
        pod=subject.pod,
        namespace=subject.namespace,
        view=around.view,
        prices=rules.prices,
        namespace_info=info,
        operation=subject.operation,
        subresource=subject.subresource,
        old_pod=subject.old_pod,
        scale=subject.scale,
        old_scale=subject.old_scale,
        requester=subject.requester,
        controller=subject.controller,
        claim_templates=subject.claim_templates,
    )
    entries = rules.matcher.resolve(subject.namespace, info, context.labels, subject.requester)
    exempt = rules.exempt(context, entries, around.now) if rules.has_exceptions(subject.namespace) else _NOTHING
    if rules.budget_scopes and subject.pod.spec is not None and subject.pod.spec.resource_claims:
        # Who pays for devices depends on who else uses them; nothing else asks.
        context.budget_scopes = rules.budget_scopes
        context.charged_by = rules.charged_in_review(entries, exempt, around.now)
    return context, entries, exempt


def judge(
    make_subject: Callable[[], Subject],
    around: Environment,
    phase: ReviewPhase,
    uid: str = "",
    first: ProposalFault | None = None,
) -> tuple[Subject, Decision]:
    """Review an object; where a guardrail fails while it changes the pod, review a fresh one without that guardrail.

    Args:
        make_subject: gives a fresh subject each time it is called.
        around: policies, cluster, clock.
        phase: the call.
        uid: named in the log beside a failure.
        first: a failure that a review of this object has met already.
    """
    faults: dict[str, str] = {}
    failed = first
    while True:
        if failed is not None:
            _log.error("guardrail %s failed on review %s", failed.guardrail, uid, exc_info=failed.error)
            faults[failed.guardrail] = error_text(failed.error)
        subject = make_subject()
        try:
            return subject, review(subject, around, phase, faults)
        except ProposalFault as fault:
            failed = fault
