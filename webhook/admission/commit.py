"""Books an allowed pod against the budgets that pay for it.

The review has judged by what was committed a moment ago; here the ledger takes the money or refuses, in one step, so
that two pods can never both take the last of it. It happens in the validating call alone (the object is final
there), never on a dry run, and never for budgets in audit.
"""

import logging
from collections.abc import Callable

import msgspec

from webhook.admission.decision import Decision, GuardrailResult, format_finding, one_line
from webhook.admission.subject import Subject
from webhook.guardrails.base.contract import Finding
from webhook.ledger import store
from webhook.ledger.store import Charge, LedgerError, Reserver

RefusalText = Callable[[store.ReservationOutcome], Finding | None]
"""Says what a budget says of a pod when so much is committed; None where it would let it in."""

_log = logging.getLogger("podgate.ledger")


def commit(
    decision: Decision, subject: Subject, ledger: Reserver, uid: str, refusal: RefusalText | None = None
) -> Decision:
    """Reserve what the decision charges.

    Args:
        decision: allowed, with charges.
        subject: the pod; its UID is the key of the reservation.
        ledger: takes the money.
        uid: the review's uid, key of a pod without a UID of its own (a review made by hand).
        refusal: words a refusal as the review would have.
    """
    metadata = subject.pod.metadata
    key = (metadata.uid if metadata is not None else None) or uid
    charges = [Charge(budget, limit, subject.namespace) for budget, limit, _ in decision.charges]
    try:
        outcome = ledger.reserve(key, decision.rate, charges, decision.owner)
    except LedgerError as error:
        return _unreserved(decision, str(error))
    if outcome.accepted:
        return decision
    finding = refusal(outcome) if refusal is not None and outcome.limit else None
    outcomes = tuple(_refused(item, finding) if _is_about(item, outcome.budget) else item for item in decision.outcomes)
    message = _message(outcome, finding, outcomes)
    return msgspec.structs.replace(decision, allowed=False, would_allow=False, message=message, outcomes=outcomes)


def _message(outcome: store.ReservationOutcome, finding: Finding | None, outcomes: tuple[GuardrailResult, ...]) -> str:
    about = next((item for item in outcomes if _is_about(item, outcome.budget)), None)
    if finding is not None and about is not None and not outcome.reason:
        return format_finding(about, finding, finding.message)
    if outcome.reason:
        # Here a retry helps: nothing says that there is no room.
        stands = f" ({_stands(outcome)})" if outcome.limit else ""
        return one_line(f"policy {outcome.budget}, budget: {outcome.reason}{stands}; to fix: retry in a minute")
    return one_line(
        f"policy {outcome.budget}, budget: {_stands(outcome)}, and this pod does not fit; to fix: lower the requests, "
        "remove pods that this budget pays for, or ask the platform team to raise its amount"
    )


def _stands(outcome: store.ReservationOutcome) -> str:
    return f"{_rate(outcome.committed)} of {_rate(outcome.limit)} an hour are committed"


def _rate(micros: int) -> str:
    return f"{micros // 1_000_000}.{micros % 1_000_000:06}"


def _is_about(item: GuardrailResult, budget: str) -> bool:
    return item.guardrail == "budget" and item.policy == budget


def _refused(item: GuardrailResult, finding: Finding | None) -> GuardrailResult:
    findings = (finding,) if finding is not None else item.findings
    return msgspec.structs.replace(item, outcome="refused", findings=findings)


def _unreserved(decision: Decision, reason: str) -> Decision:
    """The ledger cannot be written: each budget's ``onFault`` decides, and the log says that nothing was booked."""
    denying = [name for name in decision.deny_on_fault if any(charge.budget == name for charge in decision.charges)]
    outcomes = tuple(_with_fault(item, decision, reason) for item in decision.outcomes)
    if not denying:
        names = ", ".join(charge.budget for charge in decision.charges)
        _log.warning("a pod is let in although it could not be booked in budget %s: %s", names, reason)
        told = one_line(
            f"policy {decision.charges[0].budget}, budget: this pod is let in although it could not be booked "
            f"({reason}); to fix: tell the platform team, who find it in Podgate's log"
        )
        return msgspec.structs.replace(
            decision, outcomes=outcomes, reservation_fault=reason, warnings=(*decision.warnings, told)
        )
    message = f"policy {denying[0]}, budget: could not be booked ({reason}); to fix: retry, or ask the platform team"
    return msgspec.structs.replace(
        decision,
        allowed=False,
        would_allow=False,
        message=message,
        outcomes=outcomes,
        reservation_fault=reason,
    )


def _with_fault(item: GuardrailResult, decision: Decision, reason: str) -> GuardrailResult:
    if item.guardrail != "budget" or not any(charge.budget == item.policy for charge in decision.charges):
        return item
    denied = item.policy in decision.deny_on_fault
    return msgspec.structs.replace(item, outcome="fault_denied" if denied else "fault_allowed", note=reason)
