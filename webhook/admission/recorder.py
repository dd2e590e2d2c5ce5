"""What is told about a decision afterwards: one JSON line in the decision log, and the metrics.

It runs after the answer was sent and never raises: a full disk or a closed pipe must not cost a deploy. What could not
be written is counted.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol

import msgspec

from webhook.admission.decision import Decision, Outcome
from webhook.admission.metrics import Metrics
from webhook.admission.response import cost_text
from webhook.admission.subject import Subject
from webhook.kube.patch import Operation


class LineWriter(Protocol):
    """Takes finished log lines; may buffer them."""

    def write(self, line: bytes) -> None:
        """Take one line, newline included."""


class Entry(msgspec.Struct, rename="camel", omit_defaults=True, gc=False):
    """One line of the decision log, and one object of ``podgate review -o json``.

    Money is a decimal string in units of the currency per month; ``patch`` is what is applied, ``wouldPatch`` what a
    mode holds back.
    """

    decision: str
    path: str
    kind: str
    namespace: str
    name: str
    operation: str
    user: str
    verdict: str
    would: str
    guardrails: Sequence[Outcome]
    subresource: str = ""
    dry_run: bool = False
    owner: str = ""
    message: str = ""
    warnings: Sequence[str] = ()
    patch: msgspec.Raw | None = None
    would_patch: Sequence[Operation] = ()
    unreserved: str = ""
    cost: msgspec.Raw | None = None
    exceptions: Sequence[str] = ()
    """PolicyExceptions that loosened what was judged."""
    time: datetime | None = None
    microseconds: int = 0


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
            entry.time = self._now()
            entry.microseconds = int(seconds * 1_000_000)
            self._writer.write(self._encoder.encode(entry) + b"\n")
        except Exception:  # noqa: BLE001  the answer is out; whatever failed here is counted, not raised
            self._metrics.recorder_fault()


def describe(path: str, uid: str, subject: Subject, decision: Decision, currency: str) -> Entry:
    """Return the decision as it is written down."""
    entry = Entry(
        uid,
        path,
        subject.kind,
        subject.namespace,
        subject.name,
        subject.operation,
        subject.requester.username,
        "allowed" if decision.allowed else "refused",
        "allowed" if decision.would_allow else "refused",
        decision.outcomes,
        subject.subresource,
        subject.dry_run,
        f"{subject.controller.kind}/{subject.controller.name}" if subject.controller is not None else "",
        decision.message,
        decision.warnings,
    )
    if decision.patch:
        entry.patch = msgspec.Raw(decision.patch)
    entry.would_patch = decision.would_operations
    entry.unreserved = decision.reservation_fault
    if decision.exceptions:
        entry.exceptions = tuple(dict.fromkeys(use.name for use in decision.exceptions))
    if decision.cost is not None:
        entry.cost = msgspec.Raw(cost_text(decision.cost, currency))
    return entry
