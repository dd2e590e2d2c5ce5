"""One object under one review: its policies, what they change and find, and what its budgets say, step by step.

The order of the steps is that of `webhook.admission.review`.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple

import msgspec

from webhook.admission import budgets, replacement
from webhook.admission.charging import charged_labels, is_refused_by_security
from webhook.admission.costs import cost_of
from webhook.admission.decision import Cost, Decision, GuardrailResult, Severity, decide, workload_line
from webhook.admission.outcomes import error_text, fault, outcome_name
from webhook.admission.policy_binding import PolicyBinding, trusts_runtime
from webhook.admission.ruleset import Ruleset
from webhook.cluster.view import View
from webhook.guardrails import budget
from webhook.guardrails.base import pod_cost
from webhook.guardrails.base.contract import Context, Finding, WorkloadScale, is_creation
from webhook.kube.patch import Draft, Operation
from webhook.kube.quantity import QuantityError
from webhook.ledger.store import Charge, LedgerStore, ProvenOwner

ReviewPhase = Literal["mutate", "validate", "security", "cost", "offline"]
"""Which call this is. ``offline`` mutates and validates in one go."""


class ProposalFault(Exception):  # noqa: N818  a fault of ours, decided by onFault
    """A guardrail failed while it was changing the pod, which now is neither as received nor as meant.

    The caller decodes the request anew and reviews it with that guardrail listed in `faults`.
    """

    def __init__(self, guardrail: str, error: Exception) -> None:
        super().__init__(guardrail)
        self.guardrail = guardrail
        self.error = error


class Environment(NamedTuple):
    """What a review is judged against; the same for many reviews."""

    rules: Ruleset
    view: View
    ledger: LedgerStore
    """Asked what budgets have committed; nothing is booked here."""
    now: Callable[[], datetime]


_NOTHING: Mapping[str, Any] = {}
_NO_OPERATIONS: list[Operation] = []


class ReviewRun:
    """The state of one review while it is judged."""

    __slots__ = (
        "around",
        "charges",
        "context",
        "deny_on_fault",
        "draft",
        "enforcing",
        "entries",
        "exempt",
        "faults",
        "holding",
        "outcomes",
        "owner",
        "phase",
        "rate",
        "shadow",
    )

    def __init__(
        self,
        context: Context,
        around: Environment,
        phase: ReviewPhase,
        faults: Mapping[str, str],
        exempt: Mapping[str, Any],
        entries: Sequence[PolicyBinding],
    ) -> None:
        self.entries = entries
        """All that speak for the object, those of the other half included."""
        self.context = context
        self.around = around
        self.phase = phase
        self.faults = faults
        self.exempt = exempt
        self.draft = Draft(context.pod)
        self.shadow = Draft(context.pod)
        self.enforcing: list[PolicyBinding] = []
        self.holding: list[PolicyBinding] = []
        self.outcomes: list[GuardrailResult] = []
        self.charges: list[Charge] = []
        self.deny_on_fault: list[str] = []
        self.rate = 0
        self.owner: ProvenOwner | None = None

    def admit(self) -> None:
        """Take on the entries of this half, but those that do not look at this operation or are exempt."""
        context, phase, exempt, faults = self.context, self.phase, self.exempt, self.faults
        is_new = is_creation(context)
        is_whole = phase in ("mutate", "validate", "offline")
        for entry in self.entries:
            guardrail = entry.guardrail
            judges = guardrail.judges
            if not (is_whole or guardrail.half == phase) or not (is_new if judges is None else judges(context)):
                continue
            if guardrail.name in exempt:
                note = exempt[guardrail.name]
                self.outcomes.append(
                    GuardrailResult(entry.policy, guardrail.name, entry.mode, "exempt", entry.severity, note=note)
                )
            elif guardrail.name in faults:
                self._add_fault(entry, faults[guardrail.name])
            elif entry.mode == "enforce":
                self.enforcing.append(entry)
            else:
                self.holding.append(entry)

    def enforced(self) -> None:
        """Let enforced guardrails change the object, then look at it."""
        self._run(self.enforcing, self.draft)

    def held_back(self) -> None:
        """Let the others change it further, as they would, then look at it."""
        self._run(self.holding, self.shadow)

    def judge_budgets(self, *, enforced: bool) -> None:
        """Let the budgets whose scope covers the object judge its price: enforced ones the object that will be, the
        others the object that would be."""
        context = self.context
        if enforced:
            price = self.price()
            self.rate = price.micros if price is not None else 0
            self.owner = replacement.owner_of(context, self.rate)
        rules = [rule for rule in self.around.rules.budgets if (rule.mode == "enforce") is enforced]
        paying = self._paying(rules, held_back=not enforced) if rules else ()
        if not paying:
            return
        if context.operation == "UPDATE":
            before = budget.old_labels(context)
            context.labels_before = charged_labels(
                self.entries, self.exempt, context, before, held_back=not enforced and context.scale is not None
            )
        self.outcomes.extend(budgets.tightest_first([self._judge_budget(rule) for rule in paying]))

    def is_refused_elsewhere(self) -> bool:
        """Whether the pod would be charged, and the other half of the validating call refuses it; says so."""
        rules = self.around.rules.budgets
        paying = self._paying(rules, held_back=True) if self.phase == "cost" and self.context.scale is None else ()
        if not paying or not is_refused_by_security(self.entries, self.exempt, self.context):
            return False
        self.outcomes.extend(map(budgets.not_charged, paying))
        return True

    def _paying(self, rules: Sequence[budget.BudgetRule], *, held_back: bool) -> list[budget.BudgetRule]:
        """Return those of these budgets whose scope covers the object."""
        context = self.context
        info = context.namespace_info
        namespace_labels = info.labels if info is not None else _NOTHING
        is_template = held_back and context.scale is not None
        labels = charged_labels(self.entries, self.exempt, context, context.labels, held_back=is_template)
        return [rule for rule in rules if rule.covers(context.namespace, namespace_labels, labels)]

    def _judge_budget(self, rule: budget.BudgetRule) -> budgets.BudgetResult:
        around = self.around
        judged = budgets.judge(
            rule, self.context, around.ledger, around.now, rate=self.rate, owner=self.owner, exempt=self.exempt
        )
        if judged.charge is not None:
            self.charges.append(judged.charge)
            if judged.denies_on_fault:
                self.deny_on_fault.append(rule.name)
        return judged

    def price(self) -> pod_cost.PodPrice | None:
        """Return the price of the object as it is now; None where a quantity is malformed, which the API server
        refuses by itself."""
        try:
            return pod_cost.context_price(self.context)
        except QuantityError:
            return None

    def scale(self) -> WorkloadScale | None:
        """Return the scale of a workload, with the running time that the policies believe."""
        scale = self.context.scale
        return scale.believed(trusts_runtime((*self.enforcing, *self.holding))) if scale is not None else None

    def decide(self, before: pod_cost.PodPrice | None) -> Decision:
        """Put everything together."""
        scale = self.scale()
        cost: Cost | None = None
        if before is not None:
            after = self.price() or before
            received = before if self.draft.operations or self.shadow.operations else after
            cost = cost_of(received, after, scale, self.context.prices.hours_per_month)
        extra = (workload_line(scale, cost, self.context.prices.currency),) if scale and cost else ()
        proposes = self.phase in ("mutate", "offline")
        is_workload = self.context.scale is not None
        held_back = [*self.draft.operations, *self.shadow.operations] if is_workload else self.shadow.operations
        decision = decide(
            self.outcomes,
            self.draft.operations if proposes and not is_workload else (),
            held_back if proposes or is_workload else (),
            cost,
            extra if self.enforcing or any(entry.mode == "warn" for entry in self.holding) else (),
            self.context.known_controller,
        )
        if self.charges:
            return msgspec.structs.replace(
                decision,
                rate=self.rate,
                charges=tuple(self.charges),
                deny_on_fault=tuple(self.deny_on_fault),
                owner=self.owner,
            )
        return decision

    def _add_fault(self, entry: PolicyBinding, text: str) -> None:
        # A workload is never refused because Podgate failed; its pods are judged again.
        on_fault = "allow" if self.context.scale is not None else entry.on_fault
        self.outcomes.append(fault(entry.policy, entry.guardrail.name, on_fault, entry.mode, entry.severity, text))

    def _run(self, items: list[PolicyBinding], draft: Draft) -> None:
        """Let all of them propose, then let all of them inspect what has become of the object."""
        if not items:
            return
        context = self.context
        operations = draft.operations
        is_workload = context.scale is not None
        proposes = self.phase in ("mutate", "offline") or draft is self.shadow or is_workload
        # The mutating call does not refuse: the validating one sees what all webhooks together made of the pod.
        inspects = self.phase != "mutate" or is_workload
        proposed: list[tuple[PolicyBinding, Sequence[Finding], list[Operation]]] = []
        for entry in items:
            guardrail = entry.guardrail
            notices: Sequence[Finding] = ()
            added: list[Operation] = _NO_OPERATIONS
            if proposes and guardrail.propose is not None:
                before = len(operations)
                try:
                    notices = guardrail.propose(entry.rule, context, draft)
                except Exception as error:
                    raise ProposalFault(guardrail.name, error) from error
                if len(operations) > before:
                    added = operations[before:]
            if guardrail.prices_as_spot is not None and guardrail.prices_as_spot(entry.rule, context):
                context.priced_as_spot = True
                context.price = None
            if inspects:
                proposed.append((entry, notices, added))
            elif added or notices:
                self._note(entry, entry.severity, tuple(notices), added)
        if draft.changes_resources:
            context.price = None
        for entry, notices, added in proposed:
            self._inspect(entry, notices, added)

    def _inspect(self, entry: PolicyBinding, notices: Sequence[Finding], operations: list[Operation]) -> None:
        try:
            found = entry.guardrail.inspect(entry.rule, self.context)
        except Exception as error:  # noqa: BLE001  whatever fails, the review gets a definite answer
            self._add_fault(entry, error_text(error))
            return
        if not (found or notices or operations):
            self.outcomes.append(entry.passed)
            return
        severity = entry.severity
        is_workload = self.context.scale is not None
        if is_workload and severity == "enforce" and found:
            # Workloads are told, not refused, but for the rule that is about workloads.
            if any(finding.refuses_workload for finding in found):
                found = [
                    finding if finding.refuses_workload else msgspec.structs.replace(finding, notice=True)
                    for finding in found
                ]
            else:
                severity = "warn"
        if not is_workload and self.phase in ("validate", "security", "cost"):
            notices = ()  # The mutating call has said them.
        if notices or found or operations:
            self._note(entry, severity, (*notices, *found), operations)
        else:
            self.outcomes.append(entry.passed)

    def _note(
        self, entry: PolicyBinding, severity: Severity, findings: tuple[Finding, ...], operations: list[Operation]
    ) -> None:
        name = outcome_name(entry.mode, severity, findings, changed=bool(operations))
        held_back = tuple(operations) if entry.mode != "enforce" and self.phase in ("mutate", "offline") else ()
        self.outcomes.append(
            GuardrailResult(entry.policy, entry.guardrail.name, entry.mode, name, severity, findings, held_back)
        )
