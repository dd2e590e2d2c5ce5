"""What is told about a decision afterwards: one JSON line in the decision log, the metrics, and whoever listens.

It runs after the answer was sent and never raises: a full disk or a closed pipe must not cost a deploy. What could not
be written is counted.
"""

import logging
import math
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Final, NamedTuple, Protocol

import msgspec

from webhook.admission.decision import Decision, GuardrailResult
from webhook.admission.metrics import Metrics
from webhook.admission.response import cost_text
from webhook.admission.subject import Subject, owner_of
from webhook.cluster.view import Controller, View
from webhook.kube.patch import Operation

MAXIMUM_LINE: Final = 64 << 10
"""Bytes of one line, its end included: what a pod's author writes must not push everybody else's decisions out of a
log."""


_SECONDS_BETWEEN_LINES: Final = 60.0
_log = logging.getLogger("podgate.log")


class LineWriter(Protocol):
    """Takes finished log lines; may buffer them."""

    def write(self, line: bytes) -> None:
        """Take one line, newline included."""


class LogEntry(msgspec.Struct, rename="camel", omit_defaults=True, gc=False):
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
    guardrails: Sequence[GuardrailResult] | msgspec.Raw
    subresource: str = ""
    dry_run: bool = False
    owner: str = ""
    message: str = ""
    warnings: Sequence[str] = ()
    patch: msgspec.Raw | None = None
    would_patch: Sequence[Operation] = ()
    unreserved: str = ""
    cost: msgspec.Raw | None = None
    unpriced: Sequence[str] = ()
    """What it asks for that has no price."""
    exceptions: Sequence[str] = ()
    """PolicyExceptions that loosened what was judged."""
    cut: str = ""
    """What was left out of the line because it was too long; empty for nearly all."""
    time: datetime | None = None
    microseconds: int = 0


class Recorded(NamedTuple):
    """One decision as it was written down, for those who listen."""

    path: str
    subject: Subject
    owner: Controller | None
    """The top-most known owner of a pod, the workload itself for a workload; None for a pod of its own."""
    decision: Decision
    time: datetime
    line: bytes
    """The line of the decision log."""


class Listener(Protocol):
    """Takes every decision after it was written down; must be quick, for the next review waits."""

    def told(self, recorded: Recorded) -> None:
        """Take one decision."""


class Recorder:
    """Writes decisions down."""

    def __init__(
        self,
        writer: LineWriter,
        metrics: Metrics,
        now: Callable[[], datetime],
        view: View | None = None,
        listeners: Sequence[Listener] = (),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Args:
        writer: takes the lines.
        metrics: counts.
        now: the time, with its zone.
        view: names the owners of pods; without it lines of pods have no owner.
        listeners: told of every decision; one that fails is counted and costs the others nothing.
        monotonic: seconds, for the pace of log lines about failures.
        """
        self._writer = writer
        self._metrics = metrics
        self._now = now
        self._view = view
        self._listeners = tuple(listeners)
        self._encoder = msgspec.json.Encoder()
        self._monotonic = monotonic
        self._logged_at: dict[str, float] = {}

    def record(self, path: str, uid: str, subject: Subject, decision: Decision, seconds: float, currency: str) -> None:
        """Write one decision down; never raises."""
        try:
            # A pod at its creation is money gained or refused once; updates, workloads and dry runs are not.
            is_new_pod = subject.is_patchable and not subject.dry_run
            self._metrics.observe(path, decision, seconds, counts_money=is_new_pod)
            entry = describe(path, uid, subject, decision, currency)
            owner = subject.controller
            if owner is None and self._view is not None:
                owner = decision.controller or owner_of(subject, self._view)
                if owner is not None:
                    entry.owner = f"{owner.kind}/{owner.name}"
            entry.time = now = self._now()
            entry.microseconds = int(seconds * 1_000_000)
            line = self._encoder.encode(entry) + b"\n"
            if len(line) > MAXIMUM_LINE:
                line = self._encoder.encode(shortened(entry, decision, len(line))) + b"\n"
            self._writer.write(line)
        except Exception as error:  # noqa: BLE001  the answer is out; whatever failed here is counted, not raised
            self._fault("a decision was not written to the decision log", error)
            return
        if self._listeners:
            self._tell(Recorded(path, subject, owner, decision, now, line))

    def _tell(self, recorded: Recorded) -> None:
        for listener in self._listeners:
            try:
                listener.told(recorded)
            except Exception as error:  # noqa: BLE001  see above
                self._fault(f"{type(listener).__name__} did not take a decision", error)

    def _fault(self, what: str, error: Exception) -> None:
        """Count a failure, and log one per minute and source: a full disk fails for every review."""
        self._metrics.recorder_fault()
        now = self._monotonic()
        if now - self._logged_at.get(what, -math.inf) >= _SECONDS_BETWEEN_LINES:
            self._logged_at[what] = now
            _log.error(
                "%s: %s: %s; podgate_recorder_faults_total counts all of them", what, type(error).__name__, error
            )


def shortened(entry: LogEntry, decision: Decision, size: int) -> LogEntry:
    """Return an entry whose line is no longer than `MAXIMUM_LINE`, and says what is missing.

    Args:
        entry: of `describe`.
        decision: what it describes.
        size: bytes of its line as it was.
    """
    encoder = msgspec.json.Encoder()
    entry.cut = f"the line had {size} bytes; patches are left out"
    entry.patch, entry.would_patch = None, ()
    entry.guardrails = outcomes = tuple(msgspec.structs.replace(each, operations=()) for each in decision.outcomes)
    for longest in _LONGEST_TEXTS:
        if len(encoder.encode(entry)) < MAXIMUM_LINE:
            return entry
        short = partial(_short, longest=longest)
        entry.cut = f"the line had {size} bytes; patches are left out, texts and lists are shortened"
        entry.guardrails = tuple(_short_outcome(each, short) for each in outcomes[:_LONGEST_LIST])
        entry.warnings = tuple(map(short, decision.warnings[:_LONGEST_LIST]))
        entry.exceptions = tuple(map(short, entry.exceptions[:_LONGEST_LIST]))
        for field in _TEXTS:
            setattr(entry, field, short(getattr(entry, field)))
    if len(encoder.encode(entry)) >= MAXIMUM_LINE:
        entry.guardrails, entry.warnings = (), ()
    return entry


_LONGEST_TEXTS: Final = (16_384, 4_096, 1_024, 128)
"""Characters of each text, tried in turn until the line is short enough."""
_LONGEST_LIST: Final = 16
"""Findings, paths, outcomes, warnings and exceptions of a line that is still too long without its patches."""
_TEXTS: Final = ("decision", "kind", "namespace", "name", "operation", "user", "subresource", "owner", "message")


def _short_outcome(outcome: GuardrailResult, short: Callable[[str], str]) -> GuardrailResult:
    findings = tuple(
        msgspec.structs.replace(
            each,
            message=short(each.message),
            cure=short(each.cure),
            would=short(each.would),
            paths=tuple(map(short, each.paths[:_LONGEST_LIST])),
        )
        for each in outcome.findings[:_LONGEST_LIST]
    )
    return msgspec.structs.replace(outcome, findings=findings, note=short(outcome.note))


def _short(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[:longest]}... ({len(text) - longest} more characters)"


def describe(path: str, uid: str, subject: Subject, decision: Decision, currency: str) -> LogEntry:
    """Return the decision as it is written down."""
    entry = LogEntry(
        uid,
        path,
        subject.kind,
        subject.namespace,
        subject.name,
        subject.operation,
        subject.requester.username,
        "allowed" if decision.allowed else "refused",
        "allowed" if decision.would_allow else "refused",
        decision.outcomes_json,
        subject.subresource,
        subject.dry_run,
        f"{subject.controller.kind}/{subject.controller.name}" if subject.controller is not None else "",
        decision.message,
        decision.warnings,
    )
    if decision.patch:
        entry.patch = msgspec.Raw(decision.patch)
    entry.would_patch = decision.withheld_operations
    entry.unreserved = decision.reservation_fault
    if decision.exceptions:
        entry.exceptions = tuple(dict.fromkeys(use.name for use in decision.exceptions))
    if decision.cost is not None:
        entry.cost = msgspec.Raw(cost_text(decision.cost, currency))
        entry.unpriced = decision.cost.unpriced
    return entry
