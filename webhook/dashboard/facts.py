"""What the pages tell, as one value without any HTML; the page and ``/api/summary`` are made of the same one.

Every list is bounded, with the number of what it leaves out beside it, so that a page of a large cluster costs what a
page of a small one does.
"""

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final, Generic, NamedTuple, TypeVar

from webhook.admission.ruleset import Ruleset
from webhook.cluster.watches import WatchReport
from webhook.dashboard import budgets
from webhook.dashboard.sources import CurrentPolicies, Sources, Taken
from webhook.policy.guardrail_policy import GuardrailPolicySpec
from webhook.policy.model.policy_set import PolicySet
from webhook.policy.model.problems import PolicyProblem
from webhook.policy.model.sections import Mode, stricter_cap
from webhook.reporting import exceptions as dated
from webhook.reporting.journal import Count, MonthlyMoney
from webhook.reporting.report import modes

MOST: Final = 200
"""Entries of each list."""

OUTCOMES: Final = (
    "refused",
    "warned",
    "would_refuse",
    "fault_denied",
    "fault_allowed",
    "changed",
    "would_change",
    "exempt",
)
"""What a guardrail may have come to besides a plain pass, worst first."""

SOON: Final = timedelta(days=21)
"""Certificates are renewed long before; one that has less left was not."""

_CERTIFICATES: Final = {
    "ca": "authority",
    "leaf": "serving certificate",
    "bundle": "trusted bundle of the webhook objects",
    "served": "certificate in service",
}

T = TypeVar("T")


class Some(NamedTuple, Generic[T]):
    """The first entries of a list."""

    shown: Sequence[T]
    total: int

    @property
    def more(self) -> int:
        """How many are left out."""
        return self.total - len(self.shown)


class Saving(NamedTuple):
    """What the changes of one guardrail take off new pods, in micro-units a month."""

    guardrail: str
    applied: int
    held_back: int


class PolicyTotals(NamedTuple):
    """What one guardrail of one policy came to."""

    policy: str
    guardrail: str
    mode: str
    """In force; empty where the policy is gone."""
    outcomes: Mapping[str, int]


class NamespaceLine(NamedTuple):
    """What came of the objects of one namespace."""

    namespace: str
    outcomes: Mapping[str, int]
    money: MonthlyMoney


class DocumentLine(NamedTuple):
    """One policy document in force."""

    kind: str
    namespace: str
    name: str
    origin: str
    says: str
    """What it does, in a few words."""


class ExceptionLine(NamedTuple):
    """One PolicyException."""

    told: dated.ExceptionStatus
    days: int
    """Until its last day is over; negative after it."""
    counts_uses: bool
    """Whether its uses are counted: only those that let a pod off whole guardrails are."""


class Certificate(NamedTuple):
    """One certificate."""

    name: str
    days: int
    """Whole days left; negative after its end."""
    state: str
    """``good``, ``ends soon`` or ``expired``."""


class Watch(NamedTuple):
    """The watch of one resource."""

    name: str
    phase: str
    age: int | None
    """Seconds since the API server was last heard of."""
    state: str
    """``well`` or what is wrong."""


class Overview(NamedTuple):
    """Everything on the overview. Money is in micro-units of the currency."""

    now: datetime
    started: datetime
    cluster: str
    mode: str
    currency: str
    is_ready: bool
    checks: Sequence[tuple[str, str | None]]
    notices: Sequence[str]
    taken: int
    history: Sequence[tuple[datetime, Mapping[str, int]]]
    verdicts: Mapping[str, int]
    """Of the last day."""
    money: MonthlyMoney
    savings: Sequence[Saving]
    budgets: Some[budgets.BudgetFact]
    by_policy: Some[PolicyTotals]
    by_namespace: Some[NamespaceLine]
    generation: int
    loaded_at: datetime | None
    in_force: bool
    problems: Some[PolicyProblem]
    kinds: Mapping[str, int]
    """Documents in force, by kind."""
    documents: Some[DocumentLine]
    exceptions: Some[ExceptionLine]
    certificates: Sequence[Certificate]
    watches: Sequence[Watch]
    schedulers: Sequence[tuple[str, bool]]
    sizes: Sequence[tuple[str, int]]


def tell(taken: Taken, sources: Sources) -> Overview:
    """Work out what was taken; in any thread."""
    rules, policies = taken.rules, taken.policies.set
    verdicts: Counter[str] = Counter()
    for _, counted in taken.history:
        verdicts.update(counted)
    money = MonthlyMoney()
    for each in taken.money.values():
        money += each
    return Overview(
        now=taken.now,
        started=sources.started,
        cluster=sources.cluster,
        mode=sources.mode,
        currency=rules.prices.currency if rules is not None else "",
        is_ready=all(problem is None for _, problem in taken.checks),
        checks=taken.checks,
        notices=taken.notices,
        taken=taken.taken,
        history=taken.history,
        verdicts=verdicts,
        money=money,
        savings=_savings(taken.gains),
        budgets=_some(_budgets(rules, policies, sources, taken.now)),
        by_policy=_first(_by_policy(taken.counts, policies, sources.mode), _policy_weight),
        by_namespace=_first(_by_namespace(taken.counts, taken.money), _namespace_weight),
        generation=taken.policies.generation,
        loaded_at=taken.policies.loaded_at,
        in_force=rules is not None,
        problems=_some(taken.policies.problems),
        kinds=Counter(document.kind for document in policies.documents) if policies is not None else {},
        documents=_documents(taken.policies, sources.mode),
        exceptions=_some(_exceptions(policies, taken.now, taken.exemptions)),
        certificates=[_certificate(part, int(seconds)) for part, seconds in sorted(sources.certificates().items())],
        watches=[_watch(each) for each in taken.watches],
        schedulers=sorted(taken.schedulers.items()),
        sizes=sorted(taken.sizes.items()),
    )


def _some(found: Sequence[T]) -> Some[T]:
    return Some(found[:MOST], len(found))


def _first(found: Sequence[T], key: Callable[[T], Any]) -> Some[T]:
    # Sorting ten thousand lines would hold the interpreter for longer than a review takes; this lets go of it.
    return Some(heapq.nsmallest(MOST, found, key), len(found))


def _savings(gains: Mapping[str, MonthlyMoney]) -> list[Saving]:
    found = [Saving(name, money.saved, money.held_back) for name, money in gains.items()]
    return sorted(found, key=lambda each: (-each.applied - each.held_back, each.guardrail))


def _budgets(
    rules: Ruleset | None, policies: PolicySet | None, sources: Sources, now: datetime
) -> list[budgets.BudgetFact]:
    if rules is None:
        return []
    documents = policies.budgets if policies is not None else ()
    hours = rules.prices.hours_per_month
    return budgets.budget_lines(rules.budgets, documents, sources.ledger, hours, now, sources.started)


def _by_policy(counts: Mapping[Count, int], policies: PolicySet | None, cap: Mode) -> list[PolicyTotals]:
    known = modes(policies) if policies is not None else {}
    found: dict[tuple[str, str], Counter[str]] = {}
    for (_, policy, guardrail, outcome), times in counts.items():
        found.setdefault((policy, guardrail), Counter())[outcome] += times
    return [
        PolicyTotals(policy, guardrail, _capped(known.get((policy, guardrail), ""), cap), outcomes)
        for (policy, guardrail), outcomes in found.items()
    ]


def _policy_weight(line: PolicyTotals) -> tuple[Any, ...]:
    return (*_weight(line.outcomes), line.policy, line.guardrail)


def _capped(mode: str, cap: Mode) -> str:
    for known in ("enforce", "warn", "audit"):
        if mode == known:
            return stricter_cap(known, cap)
    return mode


def _by_namespace(counts: Mapping[Count, int], money: Mapping[str, MonthlyMoney]) -> list[NamespaceLine]:
    found: dict[str, Counter[str]] = {namespace: Counter() for namespace in money}
    for (namespace, _, _, outcome), times in counts.items():
        found.setdefault(namespace, Counter())[outcome] += times
    return [
        NamespaceLine(namespace, outcomes, money.get(namespace, MonthlyMoney()))
        for namespace, outcomes in found.items()
    ]


def _namespace_weight(line: NamespaceLine) -> tuple[Any, ...]:
    return (*_weight(line.outcomes), line.namespace)


def _weight(outcomes: Mapping[str, int]) -> tuple[int, ...]:
    return tuple(-outcomes.get(name, 0) for name in OUTCOMES)


def _documents(policies: CurrentPolicies, cap: Mode) -> Some[DocumentLine]:
    if policies.set is None:
        return Some((), 0)
    known = modes(policies.set)
    lines = []
    for item in policies.set.documents[:MOST]:
        says = ""
        if isinstance(item.spec, GuardrailPolicySpec):
            says = ", ".join(f"{name} {_capped(known[item.name, name], cap)}" for name in item.spec.sections)
        elif item.kind == "Budget":
            says = _capped(known[item.name, "budget"], cap)
        lines.append(DocumentLine(item.kind, item.namespace, item.name, str(item.origin), says))
    return Some(lines, len(policies.set.documents))


def _exceptions(policies: PolicySet | None, now: datetime, uses: Mapping[str, int]) -> list[ExceptionLine]:
    if policies is None:
        return []
    partial = {
        (item.namespace, item.name) for item in policies.exceptions if item.spec.controls or item.spec.containers
    }
    counts = {
        (item.namespace, item.name): uses.get(f"PolicyException {item.namespace}/{item.name} of {item.spec.owner}", 0)
        for item in policies.exceptions
    }
    return [
        ExceptionLine(told, _days_left(told.expires, now), (told.namespace, told.name) not in partial)
        for told in dated.exception_statuses(policies, now.astimezone(UTC).date(), counts)
    ]


def _days_left(expires: date, now: datetime) -> int:
    """Return whole days until the end of the last day, UTC."""
    return (datetime.combine(expires, time(), UTC) + timedelta(days=1) - now).days


def _certificate(part: str, seconds: int) -> Certificate:
    left = timedelta(seconds=seconds)
    state = "expired" if seconds <= 0 else "ends soon" if left < SOON else "good"
    return Certificate(_CERTIFICATES.get(part, part), left.days, state)


def _watch(report: WatchReport) -> Watch:
    state = report.state
    if state.phase == "absent":
        words = state.reason or "the kind is not installed"
    elif not state.has_synced:
        words = state.reason or "not listed yet"
    elif state.phase in ("broken", "forbidden") or report.is_stale:
        words = f"may be out of date: {state.reason or 'the watch is silent'}"
    else:
        words = "well"
    return Watch(report.name, state.phase, None if report.age is None else int(report.age), words)


def told(outcomes: Mapping[str, int], names: Iterable[str]) -> int:
    """Return how often any of some outcomes came."""
    return sum(outcomes.get(name, 0) for name in names)
