"""A loaded policy set, compiled: what a review is judged by until the next one replaces it whole."""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Literal, NamedTuple

import msgspec

from webhook.admission.charging import OfReview, charged_labels, prices_as_spot
from webhook.admission.decision import GuardrailResult, Severity
from webhook.admission.policy_binding import CompiledMatch, Matcher, PolicyBinding
from webhook.admission.subject import Subject
from webhook.guardrails import budget
from webhook.guardrails.base import pod_cost
from webhook.guardrails.base import registry as guardrail_registry
from webhook.guardrails.base.contract import Context, ExceptionUse, Exemption, Guardrail, Requester
from webhook.kube import selectors
from webhook.policy.budget import BudgetExceptions
from webhook.policy.guardrail_policy import ExceptionsModel, GuardrailPolicySpec
from webhook.policy.model.names import compile_globs
from webhook.policy.model.policy_set import DEFAULT_PRICE_LIST, PolicySet
from webhook.policy.model.sections import MODE_RANK, Mode, Section, stricter_cap
from webhook.policy.policy_exception import BUDGET, PolicyExceptionSpec
from webhook.pricing.book import PriceBook, rates

_NOTHING: Mapping[str, str] = {}
_NOBODY = Requester()

ALWAYS_EXCLUDED = ("kube-system", "kube-public", "kube-node-lease")
"""Namespaces that a cluster needs to start; no flag brings them back."""

ENDS_SOON = timedelta(days=14)
"""Before its end an exception is warned about wherever it is used: time enough to mend what it excuses."""

ExceptionState = Literal["active", "ending", "expired"]

_MIRROR_ANNOTATION = "kubernetes.io/config.mirror"
_NODE_USER_PREFIX = "system:node:"
_NODES_GROUP = "system:nodes"

_GPU = Decimal("0.95")
_GPU_CLASSES = dict.fromkeys(("gpu.nvidia.com", "gpu.amd.com", "gpu.intel.com"), _GPU)
DEFAULT_PRICES = PriceBook(
    currency="USD",
    hours_per_month=730,
    on_demand=rates(Decimal("0.031611"), Decimal("0.004237"), _GPU, claims=_GPU_CLASSES),
    spot=rates(Decimal("0.006655"), Decimal("0.000892"), _GPU, claims=_GPU_CLASSES),
    assumed_cpu=100,
    assumed_memory=128 << 20,
    name="built in",
)
"""Used where no PriceList named ``default`` is loaded: OpenCost's default list prices."""


class CompiledException(NamedTuple):
    """One PolicyException."""

    name: str
    guardrails: frozenset[str]
    exemption: Exemption | None
    """None where whole guardrails are exempt."""
    covers: selectors.LabelPredicate
    expires: datetime
    """First moment at which it no longer holds."""
    owner: str


class _LetOff(NamedTuple):
    """What exceptions let a pod off."""

    whole: Mapping[str, str]
    """Guardrails and budgets with the exception's name."""
    partial: Mapping[str, Sequence[Exemption]]
    uses: Sequence[ExceptionUse]


class _OfStored(NamedTuple):
    """By which labels stored pods are charged."""

    rules: "Ruleset"
    matcher: Matcher
    """Its cache belongs to one thread."""
    now: Callable[[], datetime]

    def own(self, context: Context) -> Mapping[str, str]:
        """Return those of the pod that the context is about."""
        return self.stored(context, context.labels)

    def stored(self, context: Context, labels: Mapping[str, str]) -> Mapping[str, str]:
        """Return those of a pod that has these labels."""
        return self.rules._charged(self.matcher, context, labels, self.now)


class Ruleset:
    """Everything compiled from one policy set."""

    def __init__(self, policies: PolicySet, excluded: Sequence[str] = (), cap: Mode = "enforce") -> None:
        """Args:
        policies: a valid set.
        excluded: further globs of namespaces that pass untouched.
        cap: no policy and no budget is stricter than this; ``audit`` for ``--mode audit``.
        """
        registry = {guardrail.name: guardrail for guardrail in guardrail_registry.discover()}
        entries: list[PolicyBinding] = []
        self._exception_terms: dict[str, _Terms] = {}
        for policy in policies.policies:
            spec = policy.spec
            match = CompiledMatch(spec.match)
            self._exception_terms[policy.name] = _terms(spec.exceptions)
            for name, section in spec.sections.items():
                entries.append(_entry(policy.name, spec, registry[name], section, match, cap))
        self.matcher = Matcher(entries)
        # One of its own: counts of what runs are made by another thread than reviews.
        self._pricing = Matcher(entry for entry in entries if entry.guardrail.prices_as_spot is not None)
        self._labelling = Matcher(entry for entry in entries if entry.guardrail.labels is not None)
        labels = [item.spec.scope.label for item in policies.budgets]
        named = {(label.key, label.value) for label in labels if label is not None and label.value is not None}
        compiled = [budget.compile_budget(item.name, item.spec) for item in policies.budgets]
        self.budgets = tuple(
            rule._replace(mode=stricter_cap(rule.mode, cap))
            for rule in budget.with_the_rest(compiled, named)
            if rule.mode != "off"
        )
        self.budget_scopes = tuple(rule.covers for rule in self.budgets)
        self._budget_terms = {
            item.name: _terms(item.spec.lets_off) for item in policies.budgets if item.spec.mode != "off"
        }
        scopes = (rule.scope.label for rule in self.budgets)
        self._label_keys = frozenset(label.key for label in scopes if label is not None)
        """Labels that budgets go by."""
        self.prices = _prices(policies)
        self.has_price_list = any(item.name == DEFAULT_PRICE_LIST for item in policies.price_lists)
        """Whether prices come from a PriceList, and are not the built-in ones."""
        self._exceptions: dict[str, list[CompiledException]] = {}
        for item in policies.exceptions:
            self._exceptions.setdefault(item.namespace or "", []).append(_exception(item.name, item.spec))
        self._excluded = compile_globs((*ALWAYS_EXCLUDED, *excluded))
        self._excluded_known: dict[str, bool] = {}

    def is_excluded(self, subject: Subject) -> bool:
        """Whether the object passes untouched: an excluded namespace, or a mirror pod that a node asks for."""
        namespace = subject.namespace
        known = self._excluded_known.get(namespace)
        if known is None:
            if len(self._excluded_known) >= 4_096:
                self._excluded_known.clear()
            known = self._excluded_known[namespace] = self._excluded(namespace)
        return known or is_mirror_pod(subject)

    def has_exceptions(self, namespace: str) -> bool:
        """Whether any PolicyException lies in the namespace."""
        return namespace in self._exceptions

    def exempt(
        self, context: Context, entries: Sequence[PolicyBinding], now: Callable[[], datetime]
    ) -> Mapping[str, str]:
        """Return the guardrails that are exempt as a whole, and budgets by their `budget_key`, with the exception's
        name; write partial exemptions into the context."""
        found = self._let_off(context.namespace, context.labels, entries, now)
        if found is None:
            return _NOTHING
        context.exception_uses = found.uses
        if found.partial:
            context.exemptions = {name: tuple(items) for name, items in found.partial.items()}
        return found.whole

    def _let_off(
        self, namespace: str, labels: Mapping[str, str], entries: Sequence[PolicyBinding], now: Callable[[], datetime]
    ) -> "_LetOff | None":
        """Return what the exceptions of a namespace let a pod with these labels off."""
        covering = [item for item in self._exceptions.get(namespace, ()) if item.covers(labels)]
        if not covering:
            return None
        whole: dict[str, str] = {}
        partial: dict[str, list[Exemption]] = {}
        moment = now()
        policies = {entry.guardrail.name: entry.policy for entry in entries}
        uses: list[ExceptionUse] = []
        for item in covering:
            if moment >= item.expires:
                continue
            for guardrail in item.guardrails:
                note = f"PolicyException {namespace}/{item.name} of {item.owner}"
                if guardrail == BUDGET:
                    loosened = self._budgets_loosened(namespace, item, moment)
                    if self._budget_terms and not loosened:
                        continue
                    whole.update((budget_key(name), note) for name in loosened if item.exemption is None)
                    uses.append(_use(guardrail, namespace, item, moment))
                    continue
                policy = policies.get(guardrail)
                if policy is not None and not _is_allowed(self._exception_terms[policy], namespace, item, moment):
                    continue
                uses.append(_use(guardrail, namespace, item, moment))
                if item.exemption is None:
                    whole[guardrail] = note
                else:
                    partial.setdefault(guardrail, []).append(item.exemption)
        return _LetOff(whole, partial, uses)

    def prices_as_spot(self, context: Context, now: Callable[[], datetime], *, would: bool = False) -> bool:
        """Whether a policy prices a pod that exists as spot capacity, as when it was admitted; `would` asks whether it
        would be, were every policy enforced.

        Who had asked for the pod is not known any more, so nobody is an excluded subject.
        """
        entries = self._pricing.resolve(context.namespace, context.namespace_info, context.labels, _NOBODY)
        if not entries:
            return False
        exempt = self.exempt(context, entries, now) if self.has_exceptions(context.namespace) else _NOTHING
        return prices_as_spot(entries, exempt, context, would=would)

    def charged_in_review(
        self, entries: Sequence[PolicyBinding], exempt: Mapping[str, str], now: Callable[[], datetime]
    ) -> OfReview:
        """Return by which labels pods are charged, for a review that these entries speak in."""
        return OfReview(entries, exempt, _OfStored(self, self.matcher, now))

    def count_charges(self, context: Context, now: Callable[[], datetime]) -> None:
        """Write into the context of a pod that runs which budgets there are, and by which labels pods are charged.

        Counts are another thread's. As with `prices_as_spot` nobody is an excluded subject.
        """
        if self.budget_scopes:
            context.budget_scopes = self.budget_scopes
            context.charged_by = _OfStored(self, self._labelling, now)

    def _charged(
        self, matcher: Matcher, context: Context, labels: Mapping[str, str], now: Callable[[], datetime]
    ) -> Mapping[str, str]:
        if all(labels.get(key) for key in self._label_keys):
            return labels
        entries = matcher.resolve(context.namespace, context.namespace_info, labels, _NOBODY)
        found = self._let_off(context.namespace, labels, entries, now) if entries else None
        return charged_labels(entries, found.whole if found is not None else _NOTHING, context, labels)

    def exception_states(self, now: datetime) -> Mapping[ExceptionState, int]:
        """Return how many PolicyExceptions hold, end soon, and have expired."""
        states: dict[ExceptionState, int] = {"active": 0, "ending": 0, "expired": 0}
        for items in self._exceptions.values():
            for item in items:
                state: ExceptionState = "ending" if item.expires - now <= ENDS_SOON else "active"
                states["expired" if now >= item.expires else state] += 1
        return states

    def sizes(self) -> Mapping[str, int]:
        """Return the entries of the caches kept here."""
        return {"namespace_candidates": len(self.matcher), "namespace_exclusions": len(self._excluded_known)}

    def _budgets_loosened(self, namespace: str, item: CompiledException, now: datetime) -> list[str]:
        return [name for name, terms in self._budget_terms.items() if _is_allowed(terms, namespace, item, now)]


def budget_key(name: str) -> str:
    """Return what `Ruleset.exempt` names a budget by."""
    return f"{BUDGET}/{name}"


class _Terms(NamedTuple):
    """Which exceptions may loosen a policy or a budget."""

    allowed: bool
    max_days: int | None
    """None where they may last for ever."""
    namespaces: Callable[[str], bool]


def _terms(model: ExceptionsModel | BudgetExceptions | None) -> _Terms:
    if model is None:
        return _Terms(allowed=True, max_days=None, namespaces=lambda _namespace: True)
    return _Terms(model.allowed, model.max_days, compile_globs(model.namespaces))


def _is_allowed(terms: _Terms, namespace: str, item: CompiledException, now: datetime) -> bool:
    if not terms.allowed or not terms.namespaces(namespace):
        return False
    return terms.max_days is None or item.expires <= now + timedelta(days=terms.max_days + 1)


def _use(guardrail: str, namespace: str, item: CompiledException, now: datetime) -> ExceptionUse:
    return ExceptionUse(
        guardrail=guardrail,
        name=f"{namespace}/{item.name}",
        owner=item.owner,
        last_day=(item.expires - timedelta(days=1)).date().isoformat(),
        is_part=item.exemption is not None,
        ends_soon=item.expires - now <= ENDS_SOON,
    )


def is_mirror_pod(subject: Subject) -> bool:
    """Whether the object stands for a static pod, created by the kubelet that runs it already.

    The annotation alone proves nothing, since anybody may write it; the API server lets only a node create such a pod.
    """
    metadata = subject.pod.metadata
    if metadata is None or _MIRROR_ANNOTATION not in (metadata.annotations or {}):
        return False
    return subject.requester.username.startswith(_NODE_USER_PREFIX) or _NODES_GROUP in subject.requester.groups


def check_section(name: str, section: Section) -> None:
    """Compile one section as a load check.

    Raises:
        ValueError: the guardrail cannot be built from it; one line with the cure.
    """
    for guardrail in guardrail_registry.discover():
        if guardrail.name == name:
            guardrail.compile(section)


def _entry(
    policy: str,
    spec: GuardrailPolicySpec,
    guardrail: Guardrail[Any, Any],
    section: Section,
    match: CompiledMatch,
    cap: Mode,
) -> PolicyBinding:
    mode = stricter_cap(spec.mode_of(guardrail.name), cap)
    violation = stricter_cap(spec.violation_mode_of(guardrail.name), mode)
    # A namespace that is not known passes no judgement by its labels, so nothing is stricter than that.
    by_labels = getattr(section, "from_namespace_labels", False)
    level = 2 if by_labels else 1 if getattr(section, "level", "") == "restricted" else 0
    severity: Severity = "enforce" if violation == "enforce" else "warn" if violation == "warn" else "audit"
    return PolicyBinding(
        policy=policy,
        guardrail=guardrail,
        rule=guardrail.compile(section),
        mode=mode,
        severity=severity,
        on_fault=section.on_fault or guardrail.default_on_fault,
        match=match,
        strictness=MODE_RANK[mode] * 3 + level,
        passed=GuardrailResult(policy, guardrail.name, mode, "passed", severity),
    )


def _exception(name: str, spec: PolicyExceptionSpec) -> CompiledException:
    exemption = (
        Exemption(
            controls=frozenset(spec.controls) if spec.controls else None,
            containers=frozenset(spec.containers) if spec.containers else None,
        )
        if spec.controls or spec.containers
        else None
    )
    return CompiledException(
        name=name,
        guardrails=frozenset(spec.guardrails),
        exemption=exemption,
        covers=spec.pod_selector.compile() if spec.pod_selector is not None else lambda _labels: True,
        expires=end_of(spec.expires),
        owner=re.sub(r"\s+", " ", spec.owner),
    )


def end_of(day: date) -> datetime:
    """Return the first moment at which an exception of this last day no longer holds."""
    return datetime.combine(day + timedelta(days=1), time(0), tzinfo=UTC)


def _prices(policies: PolicySet) -> PriceBook:
    lists = {item.name: item.spec for item in policies.price_lists}
    spec = lists.pop(DEFAULT_PRICE_LIST, None)
    default = pod_cost.compile_price_list(spec) if spec is not None else DEFAULT_PRICES
    if not lists:
        return default
    pools = tuple(pod_cost.compile_pool(name, each, default) for name, each in sorted(lists.items()))
    return msgspec.structs.replace(default, pools=pools)
