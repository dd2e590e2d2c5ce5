"""Judges what already runs, through the very same review: what would happen to it if it were created again now, with
everything enforced.

A stored pod differs from one that is being created in what the cluster has added since: the node that the scheduler
chose, and a status. Both are taken off, so the verdict is the one that the pod's successor will get. All policies are
capped at ``audit``, as ``serve --mode audit`` caps them: the patch is the one that would be applied, and nothing is.
What it costs is another matter: that goes by the node that it runs on (`webhook.reporting.running`).
"""

import copy
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

import msgspec

from webhook.admission import subject as subjects
from webhook.admission.decision import Cost, Decision, GuardrailResult, finding_text
from webhook.admission.review import Environment
from webhook.admission.ruleset import Ruleset
from webhook.cluster.pod_records import TERMINAL
from webhook.cluster.view import Controller, View
from webhook.guardrails.base import pod_cost
from webhook.guardrails.base.contract import Context
from webhook.guardrails.right_sizing import room
from webhook.kube.manifests import Manifest, ManifestError
from webhook.kube.objects import WORKLOAD_KINDS, ObjectMeta, OwnerReference, controller_of, is_made_by, pod_template
from webhook.kube.quantity import QuantityError
from webhook.ledger.store import LedgerStore
from webhook.policy.model.policy_set import PolicySet
from webhook.reporting.exceptions import Uses
from webhook.reporting.fold import ENDING, EqualValues, FoldedFinding, FoldedResult, ObjectResult, Verdict
from webhook.reporting.given_back import GivesBack
from webhook.reporting.journal import DecisionOwner
from webhook.reporting.running import RunningCost, RunningPricer, nodes_of_owners
from webhook.simulate.reviewed_objects import ReviewedObject, asked, judge_all

MIRROR: Final = "kubernetes.io/config.mirror"
"""Annotation of pods that stand for static pods."""

_ENDED: Final = "has run to its end"
_RIGHT_SIZING: Final = "rightSizing"
_SPOT: Final = "spot"


class Grouping(NamedTuple):
    """Labels by which money is grouped."""

    cost_center: str = "cost-center"
    """Of the pod as it would be, else of the namespace."""
    department: str = "department"
    """Of the namespace."""


class Skipped(NamedTuple):
    """One object that was not judged."""

    kind: str
    namespace: str
    name: str
    reason: str
    is_failure: bool = False
    """True where somebody has to mend something for it to be judged."""


class Judge:
    """Judges one object after the other."""

    def __init__(
        self,
        policies: PolicySet,
        view: View,
        ledger: LedgerStore,
        now: Callable[[], datetime],
        *,
        excluded: tuple[str, ...] = (),
        grouping: Grouping | None = None,
        counts_uses: bool = True,
    ) -> None:
        """Args:
        policies: what to judge by.
        view: the cluster.
        ledger: what budgets have committed; pods that run are in it.
        now: the time, with its zone.
        excluded: globs of namespaces that are never judged, beside the system's own.
        grouping: labels to group money by.
        counts_uses: whether to find out which exceptions are needed.
        """
        self._counts_uses = counts_uses
        self.policies = policies
        self._excluded = excluded
        self._grouping = grouping or Grouping()
        self.rules = self._compile(policies)
        self._around = Environment(self.rules, view, ledger, now)
        # What runs is in the ledger already, and its replacement is never a budget question. Budgets are told beside
        # the verdicts (`webhook.reporting.report.budget_lines`), and judge workloads that would start something new.
        self._around_running = self._around._replace(rules=_without_budgets(self.rules))
        self._running = nodes_of_owners(view)
        self._money = RunningPricer(view, Ruleset(policies, excluded), self.rules, now)
        self._gives_back = GivesBack(view)
        self._intern = EqualValues()
        self.uses = Uses(policies, self._compile)

    def judge(self, document: dict[str, Any], origin: str) -> ObjectResult | Skipped:
        """Judge one stored object; never raises for what is wrong with it."""
        kind, namespace, name = identity(document)
        reason = why_not(document)
        if reason:
            return Skipped(kind, namespace, name, reason)
        stored = document
        if self._lacks_owner(document, kind, namespace):
            return Skipped(kind, namespace, name, "its owner is judged instead")
        runs = kind == "Pod" or DecisionOwner(namespace, kind, name) in self._running
        around = self._around_running if runs else self._around
        if kind == "Pod":
            around = around._replace(view=self._gives_back.without(document, namespace))
            document = self._as_created(document, namespace)
        found = _judged(document, origin, around, namespace)
        if isinstance(found, ManifestError):
            return Skipped(kind, namespace, name, str(found).removeprefix(f"{origin}: "), is_failure=True)
        subject, decision = found.subject, found.decision
        if subject is None or decision is None or found.skipped:
            return Skipped(kind, namespace, name, found.skipped)
        if self._counts_uses and self.rules.has_exceptions(namespace):
            self.uses.look(namespace, lambda rules: _again(document, origin, namespace, rules, around, runs=runs))
        return self._record(found, subject, decision, stored)

    def stamp(self, kind: str, namespace: str, metadata: ObjectMeta, node: str = "") -> tuple[object, ...]:
        """Return what a verdict depends on besides the object itself and the balance of budgets: while it and the
        object's version stay the same, so does the verdict.

        Args:
            kind: of the object, as are the others.
            namespace: its own.
            metadata: its own.
            node: of a pod, the one that it runs on.
        """
        view = self._around.view
        info = view.namespace(namespace)
        limits = view.limit_ranges(namespace)
        name, labels = metadata.name or "", metadata.labels or {}
        owner: Controller | None = None
        if kind == "Pod":
            owner = view.top_controller(namespace, controller_of(metadata), labels)
        elif not is_made_by(kind, controller_of(metadata)):
            owner = Controller(kind, name)
        today = self._around.now().date()
        found = view.node(node) if node else None
        labels_of_node = found.labels if found is not None else None
        if owner is None:
            return self.policies, info, limits, today, labels_of_node
        vertical = view.vertical_pod_autoscalers(namespace, owner, labels)
        return (
            self.policies,
            info,
            limits,
            today,
            vertical,
            room.of(view.nodes()) if vertical else (),
            view.horizontal_pod_autoscalers(namespace, owner),
            view.nodes() if owner.kind == "DaemonSet" else (),
            self._running.get(DecisionOwner(namespace, owner.kind, owner.name)),
            labels_of_node,
        )

    def _compile(self, policies: PolicySet) -> Ruleset:
        return Ruleset(policies, self._excluded, "audit")

    def _as_created(self, document: dict[str, Any], namespace: str) -> dict[str, Any]:
        """Return a stored pod as its owner would create it again, or a person who applies it again."""
        spec = document.get("spec")
        given = {key: value for key, value in document.items() if key != "status"}
        if not isinstance(spec, dict) or "nodeName" not in spec or self._is_pinned(document, namespace):
            return given
        return {**given, "spec": {key: value for key, value in spec.items() if key != "nodeName"}}

    def _lacks_owner(self, document: Mapping[str, Any], kind: str, namespace: str) -> bool:
        """Whether the owner of a workload could not be read: what exists and has no owner any more is garbage."""
        for each in (document.get("metadata") or {}).get("ownerReferences") or ():
            if isinstance(each, dict) and each.get("controller") and kind in WORKLOAD_KINDS:
                owner = OwnerReference(str(each.get("apiVersion")), str(each.get("kind")), str(each.get("name")))
                return is_made_by(kind, owner) and self._around.view.head(namespace, owner.kind, owner.name) is None
        return False

    def _is_pinned(self, document: Mapping[str, Any], namespace: str) -> bool:
        """Whether the author, and not the scheduler, chose the node: the owner's template says so."""
        references = (document.get("metadata") or {}).get("ownerReferences")
        for each in references if isinstance(references, list) else ():
            if not isinstance(each, dict) or not each.get("controller"):
                continue
            workload = self._around.view.workload(namespace, str(each.get("kind")), str(each.get("name")))
            template = pod_template(workload) if workload is not None else None
            return template is not None and template.spec is not None and template.spec.node_name is not None
        return False

    def _record(
        self, found: ReviewedObject, subject: subjects.Subject, decision: Decision, stored: dict[str, Any]
    ) -> ObjectResult:
        owner = subjects.owner_of(subject, self._around.view)
        cost = decision.cost
        running = self._where_it_runs(subject, stored) if cost is not None else None
        if cost is not None and running is not None:
            cost = cost._replace(before=running.before, after=running.after)
        saved = self._saved(subject, decision, cost, running)
        operations = [*decision.operations, *decision.withheld_operations]
        verdict = Verdict(
            parts=tuple(
                FoldedResult(each.policy, each.guardrail, each.outcome, saved.get(each.guardrail, 0), each.note)
                for each in decision.outcomes
            ),
            notes=tuple(note for each in decision.outcomes for note in _notes(each)),
            patch=msgspec.json.encode(operations) if operations else b"",
            before=cost.before * cost.hours if cost is not None else 0,
            after=cost.after * cost.hours if cost is not None else 0,
            is_refused=not decision.would_allow,
        )
        namespace = subject.namespace
        metadata = subject.pod.metadata
        labels = (metadata.labels if metadata is not None else None) or {}
        return ObjectResult(
            owner=DecisionOwner(namespace, owner.kind, owner.name)
            if owner is not None
            else DecisionOwner(namespace, subject.kind, subject.name),
            kind=subject.kind,
            name=subject.name,
            origin=found.origin,
            cost_center=labels.get(self._grouping.cost_center)
            or self._of_namespace(namespace, self._grouping.cost_center),
            department=self._of_namespace(namespace, self._grouping.department),
            verdict=self._intern(verdict),
        )

    def _of_namespace(self, namespace: str, key: str) -> str:
        info = self._around.view.namespace(namespace)
        if info is None:
            return ""
        return info.labels.get(key) or info.annotations.get(key) or ""

    def _where_it_runs(self, subject: subjects.Subject, stored: dict[str, Any]) -> RunningCost | None:
        """Return what a pod costs on its node, or a Job on the nodes of its pods; None for what does not run."""
        if subject.kind == "Pod":
            return self._money.pod(stored, subject)
        nodes = self._running.get(DecisionOwner(subject.namespace, subject.kind, subject.name))
        if not nodes or subject.kind not in ENDING:
            return None
        asked_for = asked(Manifest("", stored), subject.namespace)
        written = subjects.of(asked_for.make(), self._around.view) if asked_for.make is not None else ""
        return self._money.runs(written, subject, nodes) if not isinstance(written, str) else None

    def _saved(
        self, subject: subjects.Subject, decision: Decision, cost: Cost | None, running: RunningCost | None
    ) -> Mapping[str, int]:
        """Return what the changes of each guardrail take off, in micro-units a month; together it is all of it.

        Requests and capacity are the two things that a price follows. What the pod as it would be costs at the price of
        ordinary capacity tells the one from the other.
        """
        if cost is None or cost.before == cost.after:
            return {}
        names = {each.guardrail for each in decision.outcomes}
        total = (cost.before - cost.after) * cost.hours
        if _SPOT not in names:
            return {_RIGHT_SIZING: total}
        around = self._around
        context = Context(
            pod=subject.pod,
            namespace=subject.namespace,
            view=around.view,
            prices=around.rules.prices,
            scale=subject.scale,
            claim_templates=subject.claim_templates,
        )
        try:
            ordinary = running.ordinary if running is not None else pod_cost.context_price(context).of(cost.pods)
        except QuantityError:
            return {_RIGHT_SIZING: total}
        by_spot = (ordinary - cost.after) * cost.hours
        return {_SPOT: by_spot, _RIGHT_SIZING: total - by_spot}


def identity(document: Mapping[str, Any]) -> tuple[str, str, str]:
    """Return kind, namespace and name of a stored object."""
    metadata = document.get("metadata")
    fields = metadata if isinstance(metadata, dict) else {}
    name = str(fields.get("name") or fields.get("generateName") or "")
    return str(document.get("kind") or ""), str(fields.get("namespace") or "default"), name


def why_not(document: Mapping[str, Any]) -> str:
    """Return why a stored object is not judged, where that can be told without judging it; else nothing."""
    kind = document.get("kind")
    metadata, status = (document.get(name) for name in ("metadata", "status"))
    metadata = metadata if isinstance(metadata, dict) else {}
    status = status if isinstance(status, dict) else {}
    if kind != "Pod" and kind not in WORKLOAD_KINDS:
        return "is neither a pod nor a workload"
    if metadata.get("deletionTimestamp"):
        return "is being deleted"
    if kind == "Job":
        return _ENDED if _has_ended(status) else ""
    if kind != "Pod":
        return ""
    if status.get("phase") in TERMINAL:
        return _ENDED
    annotations = metadata.get("annotations")
    return "is a static pod of a node" if isinstance(annotations, dict) and MIRROR in annotations else ""


def _has_ended(status: Mapping[str, Any]) -> bool:
    """Whether a Job has run to its end: it costs nothing any more."""
    conditions = status.get("conditions")
    return any(
        isinstance(each, dict) and each.get("type") in ("Complete", "Failed") and each.get("status") == "True"
        for each in (conditions if isinstance(conditions, list) else ())
    )


def _judged(
    document: dict[str, Any], origin: str, around: Environment, namespace: str
) -> ReviewedObject | ManifestError:
    return next(iter(judge_all([Manifest(origin, document)], around, namespace)))


def _again(
    document: dict[str, Any], origin: str, namespace: str, rules: Ruleset, around: Environment, *, runs: bool
) -> Decision | None:
    """Judge an object by other rules."""
    around = around._replace(rules=_without_budgets(rules) if runs else rules)
    found = _judged(document, origin, around, namespace)
    return None if isinstance(found, ManifestError) else found.decision


def _notes(outcome: GuardrailResult) -> list[FoldedFinding]:
    notes = [
        FoldedFinding(
            outcome.policy,
            outcome.guardrail,
            finding.rule,
            finding_text(outcome, finding),
            finding.cure,
            refuses=not finding.notice,
            of_workload=finding.refuses_workload,
        )
        for finding in outcome.findings
    ]
    if outcome.outcome.startswith("fault_"):
        text = f"could not judge this object ({outcome.note})"
        cure = "tell the platform team, who find it in Podgate's log"
        notes.append(FoldedFinding(outcome.policy, outcome.guardrail, "fault", text, cure, refuses=False))
    return notes


def _without_budgets(rules: Ruleset) -> Ruleset:
    copied = copy.copy(rules)
    copied.budgets = ()
    return copied
