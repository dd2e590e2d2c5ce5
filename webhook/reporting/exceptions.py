"""PolicyExceptions as a report tells them: which have run out, which soon will, and which no object needs.

An exception is used where an object is judged differently with it than without. To know that, an object of its
namespace is judged once more without any exception and once with each alone; objects of other namespaces cost nothing.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from typing import Final, Literal, NamedTuple

from webhook.admission.decision import Decision
from webhook.admission.ruleset import Ruleset
from webhook.policy.model.envelope import PolicyDocument
from webhook.policy.model.policy_set import PolicySet
from webhook.policy.policy_exception import PolicyExceptionSpec

SOON: Final = timedelta(days=14)
"""How long before its last day an exception counts as expiring soon."""

ExceptionStateTitle = Literal["expired", "expires soon", "active"]

Essence = tuple[object, ...]
"""What matters of a decision for whether an exception changed it."""


class ExceptionStatus(NamedTuple):
    """One exception."""

    namespace: str
    name: str
    guardrails: tuple[str, ...]
    owner: str
    reason: str
    expires: date
    state: ExceptionStateTitle
    uses: int
    """Objects that are judged differently because of it."""

    @property
    def is_unused(self) -> bool:
        """Whether it could be removed and nothing would change."""
        return self.uses == 0


class Uses:
    """Counts who needs which exception."""

    def __init__(self, policies: PolicySet, compile_rules: Callable[[PolicySet], Ruleset]) -> None:
        """Args:
        policies: all of them.
        compile_rules: makes rules of a set, the way the scan made its own.
        """
        self._policies = policies
        self._compile = compile_rules
        self._known: dict[str, tuple[Ruleset, Mapping[str, Ruleset]]] = {}
        self.counts: Counter[tuple[str, str]] = Counter()
        """By namespace and name."""

    def look(self, namespace: str, judge: Callable[[Ruleset], Decision | None]) -> None:
        """Judge one object of a namespace that has exceptions, and count those that it needs."""
        without, alone = self._rules(namespace)
        plain = essence(judge(without))
        for name, rules in alone.items():
            if essence(judge(rules)) != plain:
                self.counts[namespace, name] += 1

    def _rules(self, namespace: str) -> tuple[Ruleset, Mapping[str, Ruleset]]:
        known = self._known.get(namespace)
        if known is None:
            own = [item for item in self._policies.exceptions if (item.namespace or "") == namespace]
            known = self._known[namespace] = (
                self._compile(self._with(None)),
                {item.name: self._compile(self._with(item)) for item in own},
            )
        return known

    def _with(self, only: PolicyDocument[PolicyExceptionSpec] | None) -> PolicySet:
        kept = tuple(
            item for item in self._policies.documents if not isinstance(item.spec, PolicyExceptionSpec) or item is only
        )
        return PolicySet(kept, self._policies.fingerprint)


def essence(decision: Decision | None) -> Essence:
    """Return what matters of a decision."""
    if decision is None:
        return ()
    return (
        decision.allowed,
        decision.would_allow,
        decision.cost,
        *((each.policy, each.guardrail, each.outcome, tuple(each.findings)) for each in decision.outcomes),
    )


def exception_statuses(
    policies: PolicySet, today: date, counts: Mapping[tuple[str, str], int]
) -> Sequence[ExceptionStatus]:
    """Return all exceptions: what has run out first, then by last day."""
    found = [
        ExceptionStatus(
            namespace=item.namespace or "",
            name=item.name,
            guardrails=tuple(item.spec.guardrails),
            owner=item.spec.owner,
            reason=item.spec.reason,
            expires=item.spec.expires,
            state=_state(item.spec.expires, today),
            uses=counts.get((item.namespace or "", item.name), 0),
        )
        for item in policies.exceptions
    ]
    return sorted(found, key=lambda each: (each.expires, each.namespace, each.name))


def _state(expires: date, today: date) -> ExceptionStateTitle:
    if expires < today:
        return "expired"
    return "expires soon" if expires - today <= SOON else "active"
