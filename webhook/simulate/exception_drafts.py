"""Writes PolicyExceptions for what fails now, each as narrow as it can be.

An exception names the guardrail, of podSecurity the checks and the containers, and chooses the pods by all labels that
their template has. Every draft is tried: it is loaded by the policy loader, the object is judged again with it, and
each part is taken away again if the object passes without it. What no exception can help is said, with the reason.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date
from typing import Any, Final, NamedTuple

from webhook.admission.decision import Decision
from webhook.admission.review import Environment, judge, resolve_policies
from webhook.admission.ruleset import Ruleset
from webhook.admission.subject import Subject
from webhook.guardrails import pod_security
from webhook.policy.budget import BudgetExceptions
from webhook.policy.guardrail_policy import ExceptionsModel
from webhook.policy.loading import loader
from webhook.policy.model import policy_set
from webhook.policy.model.envelope import API_VERSION
from webhook.policy.model.policy_set import PolicySet
from webhook.policy.model.problems import PolicyErrors
from webhook.policy.pod_security import CHECKS_BY_CONTROL
from webhook.policy.policy_exception import BUDGET

FAILING: Final = frozenset({"refused", "warned", "would_refuse"})
_POD_SECURITY: Final = "podSecurity"
_VOLATILE: Final = re.compile(
    r"pod-template-hash|pod-template-generation|controller-revision-hash|controller-uid|job-name"
    r"|(statefulset|apps|batch)\.kubernetes\.io/.*"
)
"""Labels that differ from pod to pod of one workload, or from one roll-out to the next."""


class ExceptionTerms(NamedTuple):
    """What people have to say about an exception."""

    owner: str
    expires: date
    reason: str
    """Empty: what fails is said instead."""


class ExcusablePart(NamedTuple):
    """One thing that an exception may excuse: a guardrail, or one check of podSecurity."""

    guardrail: str
    control: str = ""
    containers: tuple[str, ...] = ()


class Drafted(NamedTuple):
    """What came of the objects."""

    documents: list[dict[str, Any]]
    """PolicyExceptions."""
    left: list[str]
    """One line for each object that still fails, with the reason."""


Make = Callable[[], Subject]


class ExceptionCandidate(NamedTuple):
    """An object that may need exceptions."""

    origin: str
    kind: str
    namespace: str
    name: str
    makes: tuple[Make, ...]
    """Subjects to be judged, each made anew: the object, and of a workload also a pod of its template."""

    @property
    def label(self) -> str:
        """The object as people name it."""
        return f"{self.kind} {self.namespace}/{self.name or '(generated name)'}"


def draft(
    candidates: Iterable[ExceptionCandidate],
    policies: PolicySet,
    around: Environment,
    exclude: tuple[str, ...],
    terms: ExceptionTerms,
) -> Drafted:
    """Draft exceptions for all objects that fail.

    Args:
        candidates: the objects.
        policies: what they are judged by.
        around: the same, compiled, with cluster and clock.
        exclude: further globs of excluded namespaces.
        terms: owner, end and reason.
    """
    drafted = Drafted([], [])
    names: set[tuple[str, str]] = {(item.namespace, item.name) for item in policies.exceptions}
    for item in candidates:
        trial = _ExceptionSolver(item, policies, around, exclude, terms)
        if not trial.failing:
            continue
        if not trial.selector:
            why = "has no labels, so an exception would cover its whole namespace; label its pods"
            drafted.left.append(f"{item.origin}: {item.label} {why}")
            continue
        parts = trial.solve()
        if parts is None:
            drafted.left.append(f"{item.origin}: {item.label}: {trial.why()}")
            continue
        for document in trial.documents(parts):
            if not any(_same(each, document) for each in drafted.documents):
                name = _unique(document["metadata"], names)
                names.add((item.namespace, name))
                document["metadata"]["name"] = name
                drafted.documents.append(document)
    return drafted


def failing(decision: Decision) -> list[str]:
    """Return the guardrails that find something wrong."""
    return list(dict.fromkeys(item.guardrail for item in decision.outcomes if item.outcome in FAILING))


class _ExceptionSolver:
    """Tries exceptions on one object."""

    def __init__(
        self,
        item: ExceptionCandidate,
        policies: PolicySet,
        around: Environment,
        exclude: tuple[str, ...],
        terms: ExceptionTerms,
    ) -> None:
        self._item = item
        self._policies = policies
        self._around = around
        self._exclude = exclude
        self._terms = terms
        self._judged = self._judge(around)
        self.failing = self._failing()
        """Guardrails that find something wrong, without any draft."""
        self.selector = _selector(item.makes[-1]()) if self.failing else {}
        """All labels of the pod that are not its own alone."""

    def solve(self) -> list[ExcusablePart] | None:
        """Return the fewest parts that excuse everything that fails; None where no exception does."""
        parts = [ExcusablePart(name) for name in self.failing if name != _POD_SECURITY]
        if _POD_SECURITY in self.failing:
            parts += self._controls()
        if not self._passes(parts):
            # What the pod level sets is not excused by a container.
            parts = [part._replace(containers=()) for part in parts]
            if not self._passes(parts):
                return None
        for part in list(parts):
            fewer = [each for each in parts if each != part]
            if fewer and self._passes(fewer):
                parts = fewer
        for index, part in enumerate(parts):
            for container in part.containers:
                left = tuple(name for name in parts[index].containers if name != container)
                fewer = [*parts[:index], parts[index]._replace(containers=left), *parts[index + 1 :]]
                # No container at all would mean every container.
                if left and self._passes(fewer):
                    parts = fewer
        return parts

    def why(self) -> str:
        """Say what still fails, and why an exception is of no use."""
        named = {
            outcome.guardrail: outcome.policy
            for _, decision in self._judged
            for outcome in decision.outcomes
            if outcome.outcome in FAILING
        }
        reasons = [self._reason(guardrail, policy) for guardrail, policy in named.items()]
        return "; ".join(reasons) or "could not be drafted"

    def documents(self, parts: list[ExcusablePart]) -> Iterator[dict[str, Any]]:
        """Yield the exceptions for these parts: one for whole guardrails, one for each set of containers."""
        whole = [part.guardrail for part in parts if not part.control]
        if whole:
            yield self._document(whole, (), ())
        by_containers: dict[tuple[str, ...], list[str]] = {}
        for part in parts:
            if part.control:
                by_containers.setdefault(part.containers, []).append(part.control)
        for containers, controls in by_containers.items():
            yield self._document([_POD_SECURITY], controls, containers)

    def _document(self, guardrails: list[str], controls: Iterable[str], containers: Iterable[str]) -> dict[str, Any]:
        spec: dict[str, Any] = {"guardrails": guardrails}
        if controls:
            spec["controls"] = list(dict.fromkeys(controls))
        if containers:
            spec["containers"] = list(containers)
        spec["podSelector"] = {"matchLabels": dict(self.selector)}
        what = ", ".join([*spec.get("controls", guardrails)])
        spec["owner"] = self._terms.owner
        spec["reason"] = (
            self._terms.reason or f"{self._item.kind} {self._item.name} fails {what} since before it was enforced"
        )
        spec["expires"] = self._terms.expires.isoformat()
        name = f"{self._item.name or self._item.kind.lower()}-{guardrails[0]}".lower()
        return {
            "apiVersion": API_VERSION,
            "kind": "PolicyException",
            "metadata": {"name": _dns(name), "namespace": self._item.namespace},
            "spec": spec,
        }

    def _controls(self) -> list[ExcusablePart]:
        """Return a part for each check of Pod Security that fails, with the containers concerned."""
        parts: list[ExcusablePart] = []
        for make, (subject, _) in zip(self._item.makes, self._judged, strict=True):
            context, entries, _ = resolve_policies(make(), self._around)
            context.pod = subject.pod
            for entry in entries:
                if entry.guardrail.name == _POD_SECURITY:
                    found = pod_security.violations(entry.rule, context)
                    parts += [ExcusablePart(_POD_SECURITY, _control(each.check), each.containers) for each in found]
        return list(dict.fromkeys(parts))

    def _judge(self, around: Environment) -> list[tuple[Subject, Decision]]:
        return [judge(make, around, "offline") for make in self._item.makes]

    def _failing(self) -> list[str]:
        return list(dict.fromkeys(name for _, decision in self._judged for name in failing(decision)))

    def _passes(self, parts: list[ExcusablePart]) -> bool:
        named = [
            {**each, "metadata": {**each["metadata"], "name": f"draft-{number}"}}
            for number, each in enumerate(self.documents(parts))
        ]
        added = loader.load_documents(("draft", each) for each in named)
        combined = policy_set.assemble((*self._policies.documents, *added.documents), "draft")
        self._judged = self._judge(self._around._replace(rules=Ruleset(combined, self._exclude)))
        return not self._failing()

    def _reason(self, guardrail: str, policy: str) -> str:
        terms: ExceptionsModel | BudgetExceptions | None
        if guardrail == BUDGET:
            terms = next((item.spec.lets_off for item in self._policies.budgets if item.name == policy), None)
        else:
            terms = next((item.spec.exceptions for item in self._policies.policies if item.name == policy), None)
        if terms is not None and not terms.allowed:
            return f"policy {policy} allows no exceptions from {guardrail}"
        if terms is not None and (self._terms.expires - self._around.now().date()).days > terms.max_days:
            return (
                f"policy {policy} allows exceptions from {guardrail} for {terms.max_days} days at most; end it earlier"
            )
        if terms is not None and self._item.namespace:
            return f"policy {policy} allows no exceptions from {guardrail} in namespace {self._item.namespace}"
        return f"{guardrail} of {policy} still fails"


def check_terms(terms: ExceptionTerms) -> None:
    """Load an exception with these terms.

    Raises:
        PolicyErrors: the owner or the reason is no line of text.
    """
    spec = {
        "guardrails": [BUDGET],
        "owner": terms.owner,
        "reason": terms.reason or "none",
        "expires": terms.expires.isoformat(),
    }
    metadata = {"name": "terms", "namespace": "default"}
    document = {"apiVersion": API_VERSION, "kind": "PolicyException", "metadata": metadata, "spec": spec}
    loader.load_documents([("the exception", document)])


def load(text: str) -> None:
    """Load drafted exceptions as anybody would.

    Raises:
        PolicyErrors: they are not valid.
    """
    loader.load_text(text, "draft")


def _control(check: str) -> str:
    """Return the control that stands for this check and as few others as may be."""
    return min(
        (name for name, checks in CHECKS_BY_CONTROL.items() if check in checks),
        key=lambda name: (len(CHECKS_BY_CONTROL[name]), name),
    )


def _selector(subject: Subject) -> dict[str, str]:
    metadata = subject.pod.metadata
    labels = (metadata.labels or {}) if metadata is not None else {}
    return {key: value for key, value in sorted(labels.items()) if not _VOLATILE.fullmatch(key)}


def _dns(name: str) -> str:
    cleaned = re.sub(r"[^a-z0-9-]+", "-", name).strip("-") or "exception"
    if len(cleaned) <= 63:
        return cleaned
    return f"{cleaned[:54].rstrip('-')}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _unique(metadata: Mapping[str, str], names: set[tuple[str, str]]) -> str:
    name = metadata["name"]
    number = 2
    while (metadata["namespace"], name) in names:
        name = f"{metadata['name'][:59]}-{number}"
        number += 1
    return name


def _same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two drafts excuse the same: replicas of one pod, say."""
    first, second = dict(one["spec"]), dict(other["spec"])
    del first["reason"], second["reason"]
    return first == second and one["metadata"]["namespace"] == other["metadata"]["namespace"]


__all__ = ["Drafted", "ExceptionTerms", "PolicyErrors", "draft", "failing", "load"]
