"""From what a guardrail did to the one word that logs and metrics call it."""

from webhook.admission.decision import GuardrailResult, OutcomeName, Severity
from webhook.guardrails.base.contract import Finding
from webhook.policy.model.sections import Mode


def fault(policy: str, guardrail: str, on_fault: str, mode: Mode, severity: Severity, text: str) -> GuardrailResult:
    denied = on_fault == "deny" and mode == "enforce"
    name: OutcomeName = "fault_denied" if denied else "fault_allowed"
    return GuardrailResult(policy, guardrail, mode, name, severity, note=text)


def outcome_name(mode: Mode, severity: Severity, findings: tuple[Finding, ...], *, changed: bool) -> OutcomeName:
    if findings and any(not finding.notice for finding in findings):
        return "refused" if severity == "enforce" else "warned" if severity == "warn" else "would_refuse"
    if changed:
        return "changed" if mode == "enforce" else "would_change"
    return "passed"


def error_text(error: Exception) -> str:
    """One line for people; the stack is in the log."""
    return f"{type(error).__name__}: {error}".replace("\n", " ")[:200]
