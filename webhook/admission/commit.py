"""Books an allowed pod against the budgets that pay for it.

The review has judged by what was committed a moment ago; here the ledger takes the money or refuses, in one step, so
that two pods can never both take the last of it. It happens in the validating call alone (the object is final
there), never on a dry run, and never for budgets in audit.
"""

import msgspec

from webhook.admission.decision import Decision, Outcome
from webhook.admission.subject import Subject
from webhook.ledger.store import LedgerError, LedgerStore


def commit(decision: Decision, subject: Subject, ledger: LedgerStore, uid: str) -> Decision:
    """Reserve what the decision charges.

    Args:
        decision: allowed, with charges.
        subject: the pod; its UID is the key of the reservation.
        ledger: takes the money.
        uid: the review's uid, key of a pod without a UID of its own (a review made by hand).
    """
    metadata = subject.pod.metadata
    key = (metadata.uid if metadata is not None else None) or uid
    try:
        outcome = ledger.reserve(key, decision.rate, decision.charges, decision.owner)
    except LedgerError as error:
        return _unreserved(decision, str(error))
    if outcome.accepted:
        return decision
    message = (
        f"policy {outcome.budget}, budget: another pod took the money a moment ago and this one no longer fits; "
        "to fix: retry, lower the requests, or ask the budget's owner to raise it"
    )
    outcomes = tuple(_refused(item) if _is_about(item, outcome.budget) else item for item in decision.outcomes)
    return msgspec.structs.replace(decision, allowed=False, would_allow=False, message=message, outcomes=outcomes)


def _is_about(item: Outcome, budget: str) -> bool:
    return item.guardrail == "budget" and item.policy == budget


def _refused(item: Outcome) -> Outcome:
    return msgspec.structs.replace(item, outcome="refused")


def _unreserved(decision: Decision, reason: str) -> Decision:
    """The ledger cannot be written: each budget's ``onFault`` decides, and the log says that nothing was booked."""
    denying = [name for name in decision.deny_on_fault if any(charge.budget == name for charge in decision.charges)]
    outcomes = tuple(_with_fault(item, decision, reason) for item in decision.outcomes)
    if not denying:
        return msgspec.structs.replace(decision, outcomes=outcomes, reservation_fault=reason)
    message = f"policy {denying[0]}, budget: could not be booked ({reason}); to fix: retry, or ask the platform team"
    return msgspec.structs.replace(
        decision,
        allowed=False,
        would_allow=False,
        message=message,
        outcomes=outcomes,
        reservation_fault=reason,
    )


def _with_fault(item: Outcome, decision: Decision, reason: str) -> Outcome:
    if item.guardrail != "budget" or not any(charge.budget == item.policy for charge in decision.charges):
        return item
    denied = item.policy in decision.deny_on_fault
    return msgspec.structs.replace(item, outcome="fault_denied" if denied else "fault_allowed", note=reason)
