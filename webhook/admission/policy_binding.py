"""Which policy speaks for which object.

``match`` of a policy falls into what depends on the namespace alone, which is decided once per namespace and kept, and
what depends on the object and on who asks. Where several policies configure the same guardrail, the first in
order of priority (then name) whose conditions all hold is the one: an object has one answer to "which policy?".
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from webhook.admission.decision import GuardrailResult, Severity
from webhook.cluster.view import Namespace
from webhook.guardrails.base.contract import Guardrail, Requester
from webhook.kube import selectors
from webhook.policy.model.match import MatchModel
from webhook.policy.model.names import compile_globs
from webhook.policy.model.sections import MODE_RANK, Mode, OnFault

_SERVICE_ACCOUNT_PREFIX = "system:serviceaccount:"

_MAXIMUM_NAMESPACES = 4_096
"""Namespaces whose candidates are kept; beyond it the oldest are forgotten and found again when asked for."""


class CompiledMatch:
    """The ``match`` of one policy."""

    __slots__ = ("_exclude", "_excluded_groups", "_excluded_users", "_namespaces", "_pods", "_selector", "is_static")

    def __init__(self, match: MatchModel) -> None:
        self._namespaces = compile_globs(match.namespaces) if match.namespaces else None
        self._exclude = compile_globs(match.exclude_namespaces)
        namespace_selector = match.namespace_selector.to_kube() if match.namespace_selector is not None else None
        self._selector = (
            selectors.compile_selector(namespace_selector)
            if namespace_selector is not None and not selectors.is_empty(namespace_selector)
            else None
        )
        pod_selector = match.pod_selector.to_kube() if match.pod_selector is not None else None
        self._pods = (
            selectors.compile_selector(pod_selector)
            if pod_selector is not None and not selectors.is_empty(pod_selector)
            else None
        )
        subjects = match.exclude_subjects
        self._excluded_users = frozenset(subjects.users) | {
            _SERVICE_ACCOUNT_PREFIX + account.replace("/", ":", 1) for account in subjects.service_accounts
        }
        self._excluded_groups = frozenset(subjects.groups)
        self.is_static = self._pods is None and not self._excluded_users and not self._excluded_groups
        """Whether the namespace alone decides."""

    @property
    def covers_all_pods(self) -> bool:
        """Whether labels of pods make no difference."""
        return self._pods is None

    def covers_namespace(self, name: str, info: Namespace | None, *, selector_if_unknown: bool = False) -> bool:
        """Whether the conditions on the namespace hold.

        `selector_if_unknown` is what a namespace selector means for a namespace that is not known (yet).
        """
        if self._namespaces is not None and not self._namespaces(name):
            return False
        if self._exclude(name):
            return False
        if self._selector is None:
            return True
        return self._selector(info.labels) if info is not None else selector_if_unknown

    def covers_object(self, labels: Mapping[str, str], requester: Requester) -> bool:
        """Whether the conditions on the object, as received, and on the requester hold."""
        return (self._pods is None or self._pods(labels)) and self.covers_requester(requester)

    def covers_requester(self, requester: Requester) -> bool:
        """Whether the conditions on the requester hold."""
        if requester.username in self._excluded_users:
            return False
        return not (self._excluded_groups and self._excluded_groups.intersection(requester.groups))


class PolicyBinding(NamedTuple):
    """One guardrail as one policy configures it."""

    policy: str
    guardrail: Guardrail[Any, Any]
    rule: Any
    mode: Mode
    """As capped for the whole process."""
    severity: Severity
    """What a violation means; never stricter than the mode."""
    on_fault: OnFault
    match: CompiledMatch
    strictness: int
    """Orders entries of podSecurity for a namespace that is not known: the strictest speaks."""
    passed: GuardrailResult
    """What is noted where it finds nothing, by far the most frequent outcome, made once."""


class _Candidates(NamedTuple):
    info: Namespace | None
    by_guardrail: tuple[tuple[PolicyBinding, ...], ...]
    winners: tuple[PolicyBinding, ...] | None
    """Those of every object; None where its labels or who asks make a difference."""


class Matcher:
    """Answers "which entries speak for this object?", one an active guardrail."""

    def __init__(self, entries: Iterable[PolicyBinding]) -> None:
        """Args:
        entries: in order of rank, highest first; entries of several guardrails may be mixed.
        """
        grouped: dict[str, list[PolicyBinding]] = {}
        for entry in entries:
            grouped.setdefault(entry.guardrail.name, []).append(entry)
        self._groups = tuple(
            tuple(group) for group in sorted(grouped.values(), key=lambda group: group[0].guardrail.order)
        )
        self._candidates: dict[str, _Candidates] = {}

    def __len__(self) -> int:
        return len(self._candidates)

    def resolve(
        self, namespace: str, info: Namespace | None, labels: Mapping[str, str], requester: Requester
    ) -> list[PolicyBinding]:
        """Return the winning entries in guardrail order; winners that are off are left out."""
        candidates = self._candidates.get(namespace)
        if candidates is None or candidates.info is not info:
            candidates = self._remember(namespace, info)
        if candidates.winners is not None:
            return list(candidates.winners)
        winners: list[PolicyBinding] = []
        for group in candidates.by_guardrail:
            for entry in group:
                if entry.match.is_static or entry.match.covers_object(labels, requester):
                    if entry.mode != "off":
                        winners.append(entry)
                    break
        return winners

    def possible(self, namespace: str | None, info: Namespace | None, requester: Requester) -> list[PolicyBinding]:
        """Return for each guardrail the strictest entry that may speak for some object, by what is known of it.

        Args:
            namespace: None where not even its name is known.
            info: None where the namespace is not known.
            requester: who asks.
        """
        found: list[PolicyBinding] = []
        for group in self._groups:
            possible: list[PolicyBinding] = []
            for entry in group:
                match = entry.match
                if namespace is not None and not match.covers_namespace(namespace, info, selector_if_unknown=True):
                    continue
                if match.covers_requester(requester):
                    possible.append(entry)
                    if info is not None and match.covers_all_pods:
                        break
            strictest = max(possible, key=lambda entry: MODE_RANK[entry.severity], default=None)
            if strictest is not None and strictest.mode != "off":
                found.append(strictest)
        return found

    def _remember(self, namespace: str, info: Namespace | None) -> _Candidates:
        groups = tuple(group for group in (_candidates(group, namespace, info) for group in self._groups) if group)
        is_static = all(group[0].match.is_static for group in groups)
        winners = tuple(group[0] for group in groups if group[0].mode != "off") if is_static else None
        candidates = _Candidates(info, groups, winners)
        while len(self._candidates) >= _MAXIMUM_NAMESPACES:
            self._candidates.pop(next(iter(self._candidates)))
        self._candidates[namespace] = candidates
        return candidates


def _candidates(group: tuple[PolicyBinding, ...], namespace: str, info: Namespace | None) -> tuple[PolicyBinding, ...]:
    if info is None and group[0].guardrail.half == "security":
        # Whatever the namespace turns out to be, it never gets less Pod Security than now.
        possible = [entry for entry in group if entry.match.covers_namespace(namespace, None, selector_if_unknown=True)]
        return tuple(sorted(possible, key=lambda entry: -entry.strictness))
    kept: list[PolicyBinding] = []
    for entry in group:
        if entry.match.covers_namespace(namespace, info):
            kept.append(entry)
            if entry.match.is_static:
                break
    return tuple(kept)


def trusts_runtime(entries: Iterable[PolicyBinding]) -> bool:
    """Whether the policies that speak for a Job believe the running time that it is annotated with."""
    return any(
        entry.guardrail.trusts_runtime is not None and entry.guardrail.trusts_runtime(entry.rule) for entry in entries
    )
