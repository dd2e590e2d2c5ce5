"""Where the pages get what they tell: parts that the process has anyway. Nothing is kept for the pages alone.

Some of them may be read in the event loop's thread only. `take` does that, and does nothing but copy; all that costs
time is done with the copy, in another thread.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from webhook.admission.ruleset import Ruleset
from webhook.cluster.watches import WatchReport
from webhook.ledger.store import LedgerStore
from webhook.policy.model.policy_set import PolicySet
from webhook.policy.model.problems import PolicyProblem
from webhook.policy.model.sections import Mode
from webhook.reporting.journal import Count, DecisionOwner, Journal, KeptDecision, MonthlyMoney


class CurrentPolicies(NamedTuple):
    """The policies as they are now."""

    set: PolicySet | None
    """Those in force; None where none are, or while they are exchanged."""
    problems: Sequence[PolicyProblem]
    """What is wrong with the newest edits."""
    generation: int
    """How many sets were put in force."""
    loaded_at: datetime | None
    """None where that is not known."""


class Sources(NamedTuple):
    """Everything that is asked. All of it is asked in the event loop's thread but for the ledger and certificates."""

    now: Callable[[], datetime]
    journal: Journal
    ledger: LedgerStore
    rules: Callable[[], Ruleset | None]
    policies: Callable[[], CurrentPolicies]
    sizes: Callable[[], Mapping[str, int]]
    """Entries of caches, by name."""
    watches: Callable[[], Sequence[WatchReport]]
    """Empty over a directory."""
    schedulers: Callable[[], Mapping[str, bool]]
    """Schedulers that pods are handed to, and whether they are alive."""
    certificates: Callable[[], Mapping[str, float]]
    """Seconds until each certificate ends."""
    checks: Callable[[], Sequence[tuple[str, str | None]]]
    """Checks of readiness, each with what is wrong."""
    notices: Callable[[], Sequence[str]]
    cluster: str
    """What is served: ``live`` or a directory."""
    mode: Mode
    """Cap of all modes."""
    started: datetime


class Taken(NamedTuple):
    """A copy of what may be read in one thread only."""

    now: datetime
    taken: int
    counts: Mapping[Count, int]
    money: Mapping[str, MonthlyMoney]
    gains: Mapping[str, MonthlyMoney]
    exemptions: Mapping[str, int]
    history: Sequence[tuple[datetime, Mapping[str, int]]]
    rules: Ruleset | None
    policies: CurrentPolicies
    sizes: Mapping[str, int]
    watches: Sequence[WatchReport]
    schedulers: Mapping[str, bool]
    checks: Sequence[tuple[str, str | None]]
    notices: Sequence[str]


Newest = list[tuple[DecisionOwner, tuple[KeptDecision, ...]]]
"""The newest line of each path of every owner, the owner first that was told of last."""


def take(sources: Sources) -> Taken:
    """Copy what is known now; in the event loop's thread."""
    journal = sources.journal
    now = sources.now()
    return Taken(
        now=now,
        taken=journal.taken,
        counts=dict(journal.counts),
        money=dict(journal.money),
        gains=dict(journal.gains),
        exemptions=dict(journal.exemptions),
        history=journal.history(now),
        rules=sources.rules(),
        policies=sources.policies(),
        sizes=dict(sources.sizes()),
        watches=sources.watches(),
        schedulers=dict(sources.schedulers()),
        checks=sources.checks(),
        notices=sources.notices(),
    )
