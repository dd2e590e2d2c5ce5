"""What is told about a decision afterwards: one JSON line in the decision log, and the metrics.

It runs after the answer was sent and never raises: a full disk or a closed pipe must not cost a deploy. What could not
be written is counted.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Protocol

import msgspec

from webhook.admission.decision import Decision, Outcome
from webhook.admission.metrics import Metrics
from webhook.admission.response import monthly
from webhook.admission.subject import Subject


class LineWriter(Protocol):
    """Takes finished log lines; may buffer them."""

    def write(self, line: bytes) -> None:
        """Take one line, newline included."""


class Recorder:
    """Writes decisions down."""

    def __init__(self, writer: LineWriter, metrics: Metrics, now: Callable[[], datetime]) -> None:
        self._writer = writer
        self._metrics = metrics
        self._now = now
        self._encoder = msgspec.json.Encoder()

    def record(self, path: str, uid: str, subject: Subject, decision: Decision, seconds: float, currency: str) -> None:
        """Write one decision down; never raises."""
        try:
            # A pod at its creation is money gained or refused once; updates, workloads and dry runs are not.
            is_new_pod = subject.is_patchable and not subject.dry_run
            self._metrics.observe(path, decision, seconds, counts_money=is_new_pod)
            entry = describe(path, uid, subject, decision, currency)
            if decision.patch:
                entry["patch"] = msgspec.Raw(decision.patch)
            entry["time"] = self._now().isoformat()
            entry["microseconds"] = int(seconds * 1_000_000)
            self._writer.write(self._encoder.encode(entry) + b"\n")
        except Exception:  # noqa: BLE001  the answer is out; whatever failed here is counted, not raised
            self._metrics.recorder_fault()


def describe(path: str, uid: str, subject: Subject, decision: Decision, currency: str) -> dict[str, Any]:
    """Return the decision as a plain document: what is in the log, and what ``podgate review -o json`` prints."""
    entry: dict[str, Any] = {
        "decision": uid,
        "path": path,
        "kind": subject.kind,
        "namespace": subject.namespace,
        "name": subject.name,
        "operation": subject.operation,
        "user": subject.requester.username,
        "verdict": "allowed" if decision.allowed else "refused",
        "would": "allowed" if decision.would_allow else "refused",
        "guardrails": [_outcome(outcome) for outcome in decision.outcomes],
    }
    if subject.subresource:
        entry["subresource"] = subject.subresource
    if subject.dry_run:
        entry["dryRun"] = True
    if subject.controller is not None:
        entry["owner"] = f"{subject.controller.kind}/{subject.controller.name}"
    if decision.message:
        entry["message"] = decision.message
    if decision.warnings:
        entry["warnings"] = decision.warnings
    if decision.operations:
        entry["patch"] = decision.operations
    if decision.would_operations:
        entry["wouldPatch"] = decision.would_operations
    if decision.reservation_fault:
        entry["unreserved"] = decision.reservation_fault
    cost = decision.cost
    if cost is not None:
        entry["cost"] = {
            "currency": currency,
            "monthlyBefore": monthly(cost.before, cost.hours),
            "monthlyAfter": monthly(cost.after, cost.hours),
            "microsPerHourBefore": cost.before,
            "microsPerHourAfter": cost.after,
            "pods": cost.pods,
            "source": cost.source,
        }
    return entry


def _outcome(outcome: Outcome) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "policy": outcome.policy,
        "guardrail": outcome.guardrail,
        "mode": outcome.mode,
        "outcome": outcome.outcome,
    }
    if outcome.outcome == "passed" and not outcome.findings:
        return entry
    if outcome.note:
        entry["note"] = outcome.note
    if outcome.findings:
        entry["findings"] = [
            {
                "rule": finding.rule,
                "message": finding.message if outcome.outcome == "refused" else finding.would or finding.message,
                "fix": finding.cure,
                **({"paths": finding.paths} if finding.paths else {}),
                **({"notice": True} if finding.notice else {}),
            }
            for finding in outcome.findings
        ]
    return entry
