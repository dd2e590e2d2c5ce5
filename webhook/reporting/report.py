"""From rows to the one value that every output is made of: totals by policy, namespace, cost-center and department,
the workloads that matter most, exceptions, budgets, and what was not judged.

Nothing here reads a clock, a cluster or a file, and no output adds anything up by itself.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple

from webhook.guardrails.budget import compile_budget
from webhook.ledger.standing import standing
from webhook.ledger.store import LedgerStore
from webhook.policy.model.policy_set import PolicySet
from webhook.reporting import exceptions as dated
from webhook.reporting.fold import GuardrailTotals, NotJudged, PolicyPart, Totals, WorkloadSummary

NONE: Final = "(none)"
"""Group of what names no group."""

ReportKind = Literal["audit", "report"]


class EnforcementEffect(NamedTuple):
    """What enforcing one guardrail of one policy would do."""

    policy: str
    guardrail: str
    mode: str
    """As the policy says today; empty where that is not known."""
    share: GuardrailTotals


class GroupLine(NamedTuple):
    """The sums of one namespace, cost-center or department."""

    name: str
    workloads: int
    tally: Totals


class BudgetLine(NamedTuple):
    """What a budget has committed, in micro-units of the currency; see `webhook.ledger.standing`."""

    name: str
    mode: str
    period: str
    amount: int
    committed: int
    """What admission compares with the amount."""
    percent: int
    """Committed of the amount, in whole per cent, rounded down."""


class AuditReport(NamedTuple):
    """Everything that one scan, or one decision log, has to say. Money is in micro-units of the currency a month."""

    title: str
    source: str
    """What was looked at: a directory, an address, a file."""
    when: datetime
    currency: str
    total: Totals
    rows: Sequence[WorkloadSummary]
    """All workloads, what would be refused first, then the dearest difference."""
    policies: Sequence[EnforcementEffect]
    namespaces: Sequence[GroupLine]
    cost_centers: Sequence[GroupLine]
    departments: Sequence[GroupLine]
    exceptions: Sequence[dated.ExceptionStatus]
    budgets: Sequence[BudgetLine]
    not_judged: Sequence[NotJudged]
    has_failures: bool
    """Whether something that should have been judged could not be."""
    before: str = "today"
    """What the first of two amounts is."""
    after: str = "with everything enforced"
    """What the second is."""

    @property
    def savings(self) -> Sequence[WorkloadSummary]:
        """Workloads that would cost less, the most first."""
        return sorted((row for row in self.rows if row.tally.saved > 0), key=lambda row: (-row.tally.saved, row.owner))

    @property
    def refused(self) -> Sequence[WorkloadSummary]:
        """Workloads of which something would be refused, in the order of the rows."""
        return [row for row in self.rows if row.tally.refused]

    @property
    def overdue(self) -> Sequence[dated.ExceptionStatus]:
        """Exceptions that somebody should look at: run out, about to, or needed by nothing."""
        return [each for each in self.exceptions if each.state != "active" or each.is_unused]

    @property
    def failures(self) -> Sequence[NotJudged]:
        """What somebody has to mend so that it can be judged."""
        return [each for each in self.not_judged if each.is_failure]


def make(
    *,
    title: str,
    source: str,
    when: datetime,
    currency: str,
    rows: Iterable[WorkloadSummary],
    not_judged: Iterable[NotJudged],
    has_failures: bool,
    policies: PolicySet | None = None,
    uses: Mapping[tuple[str, str], int] | None = None,
    budgets: Sequence[BudgetLine] = (),
) -> AuditReport:
    """Add everything up.

    Args:
        title: the command.
        source: what was looked at.
        when: aware.
        currency: of all money.
        rows: folded records.
        not_judged: what was left out, and why.
        has_failures: whether something of that has to be mended.
        policies: what was judged by; names the modes of today and the exceptions.
        uses: of exceptions; without it they are not told.
        budgets: what is committed.
    """
    ordered = sorted(rows, key=_weight)
    total = Totals()
    for row in ordered:
        total.add(row.tally)
    return AuditReport(
        title=title,
        source=source,
        when=when,
        currency=currency,
        total=total,
        rows=ordered,
        policies=_policies(ordered, policies),
        namespaces=_groups(ordered, lambda row: row.owner.namespace),
        cost_centers=_groups(ordered, lambda row: row.cost_center),
        departments=_groups(ordered, lambda row: row.department),
        exceptions=dated.exception_statuses(policies, when.date(), uses)
        if policies is not None and uses is not None
        else (),
        budgets=budgets,
        not_judged=sorted(not_judged, key=lambda each: (not each.is_failure, each)),
        has_failures=has_failures,
    )


def budget_lines(policies: PolicySet, ledger: LedgerStore, hours_per_month: int, now: datetime) -> list[BudgetLine]:
    """Return how each budget stands."""
    lines = []
    for item in policies.budgets:
        rule = compile_budget(item.name, item.spec).at(now)
        stands = standing(item.name, rule.terms(hours_per_month), ledger, now)
        lines.append(BudgetLine(item.name, rule.mode, rule.period, rule.amount, stands.used, stands.percent))
    return lines


def modes(policies: PolicySet) -> Mapping[PolicyPart, str]:
    """Return the mode that each guardrail of each policy has today."""
    found: dict[PolicyPart, str] = {}
    for policy in policies.policies:
        for name in policy.spec.sections:
            found[policy.name, name] = policy.spec.mode_of(name)
    for budget in policies.budgets:
        found[budget.name, "budget"] = budget.spec.mode
    return found


def _policies(rows: Iterable[WorkloadSummary], policies: PolicySet | None) -> list[EnforcementEffect]:
    shares: dict[PolicyPart, GuardrailTotals] = {}
    for row in rows:
        for part, share in row.shares.items():
            shares.setdefault(part, GuardrailTotals()).add(share)
    known = modes(policies) if policies is not None else {}
    lines = [EnforcementEffect(*part, known.get(part, ""), share) for part, share in shares.items()]
    return sorted(
        lines,
        key=lambda line: (-line.share.refused, -line.share.saved, -line.share.changed, line.policy, line.guardrail),
    )


def _groups(rows: Iterable[WorkloadSummary], of: Callable[[WorkloadSummary], str]) -> list[GroupLine]:
    tallies: dict[str, tuple[int, Totals]] = {}
    for row in rows:
        name = of(row) or NONE
        workloads, tally = tallies.get(name, (0, Totals()))
        tally.add(row.tally)
        tallies[name] = (workloads + 1, tally)
    lines = [GroupLine(name, workloads, tally) for name, (workloads, tally) in tallies.items()]
    return sorted(lines, key=lambda line: (-line.tally.before, line.name))


def _weight(row: WorkloadSummary) -> tuple[Any, ...]:
    tally = row.tally
    return -bool(tally.refused), -tally.refused_money, -abs(tally.saved), -tally.before, row.owner
