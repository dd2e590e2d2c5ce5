"""Budgets: whether the money of a scope suffices for what a pod, or a workload, adds.

A Budget is a kind of its own, not a section of a GuardrailPolicy.

Rule
    What the scope's pods have committed and what this object adds must not be above ``rejectAt`` per cent of the
    amount; exactly at it is within. From ``warnAt`` on there are warnings.

    ``basis: runRate`` counts the rate for the whole period: month (as long as the price list says), 168 hours of a
    week, 24 of a day. ``basis: monthEnd`` counts what was spent since the period began, as the ledger knows it, and
    the rate for the time that is left of the calendar period in UTC. What is admitted then goes on in the next period,
    so that one has to be able to pay the whole rate as well, unless the budget says ``allowAboveNextPeriod: true``.

    A period begins at midnight UTC, on the first of the month or on Monday, or on ``resetDay``. Until the end of
    ``graceUntil`` an enforced budget only warns. A pod counts in every budget whose scope it is in; where several do
    not suffice, the refusal is that of the tightest, the one with the least left, and names the others.

    A pod without the label of a ``scope.label`` is charged to the budget of that key which says ``unlabelled: true``,
    and to none where no budget does. The same goes for a pod whose label has a value that no budget names, so that
    nobody leaves a budget by a new value.

When
    * pod CREATE: its price;
    * ``pods/resize``: the increase;
    * pod UPDATE: the whole price, where a changed label brings the pod into the scope; the increase, where node
      selector, affinity or tolerations send a pod that has no node yet to dearer nodes;
    * workloads: the increase, as a warning. Only pods are ever booked, so only pods are refused.

    What a pod asks for that the price list has no price of is told; with ``unpriced: deny`` such a pod is refused, a
    replacement too.

    A budget in another currency than the prices (its PriceList was removed, say) judges nothing; ``onFault`` decides.

Replacement
    Pods of a controller stay admitted within the rate that it was admitted with, and its own surge: rolling updates,
    evictions and lost nodes are no budget question, on a full budget either. Who the controller is comes from the
    requester (an account of kube-controller-manager) and the UID of the owner, never from what a pod says. A scale-up,
    or a rollout to dearer pods, is judged like anything new.

Example
    ``budget "engineering-alpha": $9,310.00 of $10,000.00 a month committed, this pod adds $752.00 (30 CPU, 16Gi by
    requests, on-demand, price list default)``

How to comply
    Lower the requests, remove pods that the budget pays for, or ask its owner for more.

The judgement reads the ledger without changing it. Two pods that are judged at the same time may both be found within
the budget; the reservation that follows (`charge`) lets only one of them take the last money.
"""

from collections.abc import Callable, Collection, Sequence
from datetime import date, datetime
from fractions import Fraction
from typing import Final, NamedTuple

from webhook.guardrails.base import pod_cost
from webhook.guardrails.base.contract import Context, Finding, Half, ViolationSeverity, WorkloadScale, moves
from webhook.kube.caches import remembered
from webhook.kube.quantity import QuantityError
from webhook.kube.selectors import Labels
from webhook.ledger import balance
from webhook.ledger.store import Charge
from webhook.policy.budget import BudgetSpec, ScopeModel
from webhook.policy.model.names import compile_globs
from webhook.policy.model.sections import Mode, OnFault
from webhook.pricing import money

Covers = Callable[[str, Labels, Labels], bool]

_NO_LABELS: Final[Labels] = {}
UNITS: Final = {"monthly": "month", "weekly": "week", "daily": "day"}
"""What a period is called beside an amount: $10 a month."""
CLASSIFICATION: Final[tuple[Half, ViolationSeverity]] = ("cost", "medium")


class BudgetRule(NamedTuple):
    """A compiled Budget."""

    name: str
    mode: Mode
    covers: Covers
    """Whether the budget pays for a pod: (namespace, labels of the namespace, labels of the pod)."""
    amount: int
    """Micro-units of the currency for one period."""
    currency: str
    period: balance.BudgetPeriod
    basis: balance.BudgetBasis
    warn_at: tuple[int, ...]
    reject_at: int
    on_fault: OnFault
    begins_on: int = 1
    """See `webhook.ledger.balance.period_bounds`."""
    scope: ScopeModel = ScopeModel(cluster=True)
    """As it was written; `covers` is what it means."""
    grace_until: date | None = None
    """Last day on which an enforced budget only warns."""
    trusts_runtime: bool = False
    """Whether the running time that a Job is annotated with is believed."""
    denies_unpriced: bool = False
    """Whether it refuses what has no price."""
    pays_next: bool = True
    """Whether a rate has to fit into the next period as well; only means something on basis ``monthEnd``."""

    def at(self, now: datetime) -> "BudgetRule":
        """Return the budget as it holds at a time: in its days of grace an enforced one only warns."""
        if self.grace_until is None or self.mode != "enforce":
            return self._replace(grace_until=None)
        if balance.is_grace(self.grace_until, now):
            return self._replace(mode="warn")
        return self._replace(grace_until=None)

    def begin(self, now: datetime) -> datetime:
        """Return when the period that `now` is in began."""
        return balance.period_bounds(self.period, now, self.begins_on)[0]

    def terms(self, hours_per_month: int) -> balance.BudgetTerms:
        """Return the numbers for the ledger's arithmetic; the price list says how long a month is."""
        return balance.BudgetTerms(
            self.amount,
            self.period,
            self.basis,
            hours_per_month,
            self.warn_at,
            self.reject_at,
            self.begins_on,
            self.pays_next,
            self.mode == "enforce",
            self.grace_until,
        )


def compile_budget(name: str, spec: BudgetSpec) -> BudgetRule:
    """Compile a Budget. An amount finer than a micro-unit is rounded down to it."""
    return BudgetRule(
        name=name,
        mode=spec.mode,
        covers=_compile_scope(spec.scope),
        amount=money.to_micros(spec.amount),
        currency=spec.currency,
        period=spec.period,
        basis=spec.basis,
        warn_at=tuple(spec.warn_at),
        reject_at=spec.reject_at,
        on_fault=spec.on_fault,
        begins_on=spec.begins_on,
        scope=spec.scope,
        grace_until=spec.grace_until,
        trusts_runtime=spec.trust_expected_runtime,
        denies_unpriced=spec.unpriced == "deny",
        pays_next=not spec.allow_above_next_period,
    )


def with_the_rest(rules: Sequence[BudgetRule], named: Collection[tuple[str, str]]) -> tuple[BudgetRule, ...]:
    """Let budgets that pay for unlabelled pods pay for those, too, whose label has a value that no budget names.

    Args:
        rules: the budgets.
        named: key and value of every label that a budget goes by, of those that are off as well.
    """
    return tuple(_with_the_rest(rule, named) for rule in rules)


def _with_the_rest(rule: BudgetRule, named: Collection[tuple[str, str]]) -> BudgetRule:
    label = rule.scope.label
    if label is None or not label.unlabelled:
        return rule
    key = label.key
    others = frozenset(value for other, value in named if other == key and value != label.value)
    return rule._replace(covers=lambda _namespace, _namespace_labels, labels: labels.get(key, "") not in others)


def _compile_scope(scope: ScopeModel) -> Covers:
    if scope.label is not None:
        key, value = scope.label.key, scope.label.value
        if scope.label.unlabelled:
            return lambda _namespace, _namespace_labels, labels: labels.get(key, "") in ("", value)
        return lambda _namespace, _namespace_labels, labels: labels.get(key) == value
    if scope.namespaces is not None:
        matches = compile_globs(scope.namespaces)
        return lambda namespace, _namespace_labels, _labels: matches(namespace)
    if scope.namespace_selector is not None:
        selects = scope.namespace_selector.compile()
        return lambda _namespace, namespace_labels, _labels: selects(namespace_labels)
    return lambda _namespace, _namespace_labels, _labels: True


def judges(context: Context) -> bool:
    """Whether this operation can take money: pod CREATE, resize, a change of the pod's labels or of where it may run,
    and workloads."""
    if context.scale is not None or context.subresource == "resize":
        return True
    if context.subresource:
        return False
    return context.operation == "CREATE" or old_labels(context) != context.labels or moves(context)


def judge(
    rule: BudgetRule, context: Context, committed_micros: int, now: datetime | None, *, spent_micros: int = 0
) -> Sequence[Finding]:
    """Judge what an object adds to a budget that covers it.

    Args:
        rule: a budget whose scope covers the object.
        context: the object, with its price list.
        committed_micros: rate of the scope without this object's increase, micro-units per hour.
        now: the time, with a time zone; only read on basis ``monthEnd``.
        spent_micros: spent in this period so far, micro-units; only read on basis ``monthEnd``.

    Returns:
        A finding of rule ``budget`` where the budget does not suffice, else a notice of rule ``budgetThreshold`` where
        a warning threshold is reached, else nothing; for workloads notices only. Before it one of rule ``unpriced``
        where the object asks for something without a price.
    """
    is_workload = context.scale is not None
    try:
        rate = added_rate(rule, context)
    except QuantityError as error:
        return (pod_cost.not_priced(error, notice=is_workload),)
    is_new = context.operation == "UPDATE" and not _covered_before(rule, context)
    said = pod_cost.unpriced(context, denies=rule.denies_unpriced, is_new=is_new)
    if rate <= 0:
        return said
    terms = rule.terms(context.prices.hours_per_month)
    before = balance.used(terms, committed_micros, spent=spent_micros, now=now)
    added = rate * _hours(rule, terms, context, now)
    after = before + added
    if balance.is_above(terms, after):
        message = _message(rule, context, before, added)
        return (*said, Finding(rule="budget", message=message, cure=_cure(context), notice=is_workload))
    if now is not None and _outlives_the_period(rule, terms, context):
        ahead = balance.next_hours(terms, now)
        if balance.is_above(terms, (committed_micros + rate) * ahead):
            message = _message(rule, context, committed_micros * ahead, rate * ahead, is_next=True)
            cure = f"{_cure(context)}, or to allow more than the next {UNITS[rule.period]} can pay"
            return (*said, Finding(rule="budget", message=message, cure=cure, notice=is_workload))
    percent = balance.reached(terms, after)
    if percent is None:
        return said
    message = f"{_message(rule, context, before, added)}, which reaches {percent} % of it"
    return (*said, Finding(rule="budgetThreshold", message=message, cure=_cure(context), notice=True))


def added_rate(rule: BudgetRule, context: Context) -> int:
    """Return what an object adds to the rate of a budget that covers it, micro-units per hour; never below zero.

    Raises:
        QuantityError: a quantity is malformed or negative.
    """
    price = pod_cost.context_price(context)
    scale = context.scale
    now_costs = pod_cost.of_all(price, scale)
    if context.operation != "UPDATE" or context.old_pod is None or not _covered_before(rule, context):
        return now_costs
    if scale is None and context.subresource != "resize" and not moves(context):
        return 0  # It is paid by this budget already, and no other update changes what a pod costs.
    old = pod_cost.old_price(context)
    if scale is None:
        return max(0, price.micros - (old.micros if old is not None else 0))
    before = context.old_scale
    if context.subresource == "scale":
        pods_before = before.replicas if before is not None else 1
        return max(0, price.of(scale.replicas) - price.of(pods_before))
    # Compared as received: what proposals do to the pods is no change that the author makes.
    received = context.received_price or price
    return max(0, pod_cost.of_all(received, scale) - (pod_cost.of_all(old, before) if old is not None else 0))


def charge(rule: BudgetRule, hours_per_month: int, now: datetime | None, *, spent_micros: int = 0) -> Charge:
    """Return how the pod is booked: never refused unless the budget is enforced."""
    if rule.mode != "enforce":
        return Charge(rule.name, None)
    if rule.basis == "runRate":
        return Charge(rule.name, _run_rate_limit(rule.terms(hours_per_month)))
    return Charge(rule.name, balance.rate_limit(rule.terms(hours_per_month), spent=spent_micros, now=now))


def quiet_rate(rule: BudgetRule, hours_per_month: int) -> int:
    """Return the greatest rate, micro-units per hour, at which a budget on basis ``runRate`` has nothing to say."""
    terms = rule.terms(hours_per_month)
    below_refusal = balance.rate_limit(terms)
    if not terms.warn_at:
        return below_refusal
    below_warning = (terms.amount * terms.warn_at[0] - 1) // (terms.hours * 100)
    return min(below_refusal, below_warning)


@remembered("budget_limits", 1024)
def _run_rate_limit(terms: balance.BudgetTerms) -> int:
    """The limit of a run rate knows no time, so it is computed once a budget."""
    return balance.rate_limit(terms)


def _covered_before(rule: BudgetRule, context: Context) -> bool:
    info = context.namespace_info
    labels = context.labels_before if context.labels_before is not None else old_labels(context)
    return rule.covers(context.namespace, info.labels if info is not None else _NO_LABELS, labels)


def old_labels(context: Context) -> Labels:
    """Return the labels of the stored object as they are written; none where there is no such object."""
    metadata = context.old_pod.metadata if context.old_pod is not None else None
    return (metadata.labels or _NO_LABELS) if metadata is not None else _NO_LABELS


def _hours(rule: BudgetRule, terms: balance.BudgetTerms, context: Context, now: datetime | None) -> balance.Amount:
    """Return the hours that the object's rate is counted for; a Job's run may be shorter than the period."""
    ahead = balance.hours_ahead(terms, now)
    scale = _scale(rule, context)
    if scale is None or scale.hours is None:
        return ahead
    if not scale.is_monthly:
        return min(ahead, scale.hours)
    month = context.prices.hours_per_month
    return Fraction(ahead * min(scale.hours, month), month)


def _scale(rule: BudgetRule, context: Context) -> WorkloadScale | None:
    return context.scale.believed(rule.trusts_runtime) if context.scale is not None else None


def _outlives_the_period(rule: BudgetRule, terms: balance.BudgetTerms, context: Context) -> bool:
    """Whether what is judged goes on in the next period, and that one has to pay it, too."""
    scale = _scale(rule, context)
    return terms.pays_next and terms.basis == "monthEnd" and (scale is None or scale.is_monthly)


def _message(
    rule: BudgetRule, context: Context, before: balance.Amount, added: balance.Amount, *, is_next: bool = False
) -> str:
    unit = UNITS[rule.period]
    has, adds, whole = (_text(rule, micros) for micros in (before, added, rule.amount))
    until = f"committed until the {unit} ends" if rule.basis == "monthEnd" else "committed"
    bound = "" if rule.reject_at == 100 else f" (refused above {rule.reject_at} %)"
    scale = _scale(rule, context)
    priced = pod_cost.quantities(pod_cost.context_price(context))
    if scale is not None:
        adds = f"this {scale.kind or 'workload'} adds {adds} ({pod_cost.pods(scale)}: {priced})"
    else:
        what = "resize" if context.subresource == "resize" else "update" if moves(context) else "pod"
        adds = f"this {what} adds {adds} ({priced})"
    spent = "spent or " if rule.basis == "monthEnd" else ""
    grace = f" (only a warning until the end of {rule.grace_until})" if rule.grace_until is not None else ""
    if is_next:
        return (
            f'budget "{rule.name}": {has} of {whole} a {unit}{bound} committed for the whole next {unit}, in which it '
            f"goes on, {adds}{grace}"
        )
    return f'budget "{rule.name}": {has} of {whole} a {unit}{bound} {spent}{until}, {adds}{grace}'


def _text(rule: BudgetRule, micros: balance.Amount) -> str:
    numerator, denominator = micros.as_integer_ratio()
    whole = (2 * numerator + denominator) // (2 * denominator)
    return money.format_money(money.over_hours(whole, 1), rule.currency)


def _cure(context: Context) -> str:
    return (
        f"{pod_cost.how_to_undo(context)}, remove pods that this budget pays for, or ask the platform team to raise "
        "its amount"
    )
