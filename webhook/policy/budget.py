"""The kind `Budget`: how much the pods of one scope may cost in a period."""

from itertools import pairwise
from typing import Annotated, Final, Literal, get_args

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from webhook.policy.model.match import SelectorModel
from webhook.policy.model.names import Glob, LabelKey, LabelValue, compile_globs
from webhook.policy.model.sections import ApiRule, Day, FieldError, Many, Mode, Model, MoneyAmount, OnFault, Unpriced
from webhook.policy.price_list import Currency

KIND: Final = "Budget"

PeriodName = Literal["monthly", "weekly", "daily"]
BasisName = Literal["runRate", "monthEnd"]


class LabelScope(Model):
    """Pods that carry one label with one value, pods that do not carry it, or both."""

    API_RULES = (
        ApiRule(
            "has(self.value) || has(self.unlabelled)",
            "selects no pods; give a value, or unlabelled: true for pods without the label",
        ),
    )

    key: Annotated[LabelKey, Field(description="Key of the pod label, such as cost-center.")]
    value: Annotated[
        LabelValue | None,
        Field(description="Value of the pod label, such as engineering-alpha."),
    ] = None
    unlabelled: Annotated[
        Literal[True] | None,
        Field(
            description="`true`: pods without this label, with an empty one, or with a value that no Budget names, are "
            "charged here, so that nobody runs at nobody's expense."
        ),
    ] = None

    @model_validator(mode="after")
    def _says_which(self) -> "LabelScope":
        if self.value is None and self.unlabelled is None:
            raise FieldError("selects no pods", "Give a value, or `unlabelled: true` for pods without the label.")
        return self


class ScopeModel(Model):
    """Whose pods the budget pays for; exactly one of the fields is given."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1, "maxProperties": 1})

    label: Annotated[LabelScope | None, Field(description="Pods with this label, in every namespace.")] = None
    namespaces: Annotated[
        Many[Glob] | None,
        Field(min_length=1, description="Pods of the namespaces that match one of these globs, such as team-*."),
    ] = None
    namespace_selector: Annotated[
        SelectorModel | None, Field(description="Pods of the namespaces whose labels this selects.")
    ] = None
    cluster: Annotated[Literal[True] | None, Field(description="`true`: all pods of the cluster.")] = None

    @model_validator(mode="after")
    def _is_exactly_one(self) -> "ScopeModel":
        given = [name for name, value in self if value is not None]
        if len(given) != 1:
            raise FieldError(
                f"must have exactly one scope, but has {len(given)}",
                "Give one of label, namespaces, namespaceSelector and `cluster: true`.",
            )
        return self

    def overlaps(self, other: "ScopeModel") -> bool:
        """Whether both may pay for the same pod, as far as scopes of the same kind show it. That a team is part of a
        cluster is meant, so scopes of different kinds are not compared."""
        if self.label is not None and other.label is not None:
            is_same = self.label.value is not None and self.label.value == other.label.value
            both_rest = bool(self.label.unlabelled and other.label.unlabelled)
            return self.label.key == other.label.key and (is_same or both_rest)
        if self.namespaces is not None and other.namespaces is not None:
            mine, theirs = compile_globs(self.namespaces), compile_globs(other.namespaces)
            # A glob that the other one matches letter by letter is part of it; two that only cross are not found.
            return any(map(mine, other.namespaces)) or any(map(theirs, self.namespaces))
        if self.namespace_selector is not None and other.namespace_selector is not None:
            return self.namespace_selector == other.namespace_selector
        return bool(self.cluster and other.cluster)


def _ascending(percents: tuple[int, ...]) -> tuple[int, ...]:
    for index, (earlier, later) in enumerate(pairwise(percents), start=1):
        if later <= earlier:
            raise FieldError("must ascend without repeats", "Write it like [75, 90].", path=(index,))
    return percents


Weekday = Literal["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
_WEEKDAYS: Final[tuple[str, ...]] = get_args(Weekday)
_LAST_RESET: Final = 28
"""The last day that every month has."""


def _reset_day(value: object) -> object:
    is_day = isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= _LAST_RESET
    if not (is_day or (isinstance(value, str) and value in _WEEKDAYS)):
        raise FieldError("must be a day of the month from 1 to 28, or a weekday", "Write for example 15 or Sunday.")
    return value


ResetDay = Annotated[
    int | str,
    BeforeValidator(_reset_day),
    WithJsonSchema(
        {
            "type": ["integer", "string"],
            "minimum": 1,
            "maximum": _LAST_RESET,
            "pattern": f"^([1-9]|1[0-9]|2[0-8]|{'|'.join(_WEEKDAYS)})$",
        }
    ),
]
"""The day on which a period begins."""

Percent = Annotated[int, Field(ge=1, le=1000)]


class BudgetExceptions(Model):
    """Where PolicyExceptions may let pods off a budget, and for how long."""

    allowed: Annotated[
        bool, Field(description="Whether PolicyExceptions may let pods off this budget at all. Default false.")
    ] = False
    max_days: Annotated[
        int,
        Field(
            ge=1,
            le=3650,
            description="Days from today within which an exception must expire; one that expires later has no effect. "
            "Default 90.",
        ),
    ] = 90
    namespaces: Annotated[
        Many[Glob],
        Field(
            description="Globs over the namespaces whose exceptions count, such as team-* or * for all. Default none: "
            "a budget pays for many namespaces, and each of them would spend the others' money."
        ),
    ] = ()


class BudgetSpec(Model):
    """An amount of money for a period, and what happens as it is used up."""

    API_RULES = (
        ApiRule("self.amount.matches('[1-9]')", "amount must be greater than 0"),
        ApiRule(
            "!has(self.resetDay) || (!has(self.period) || self.period == 'monthly' ? type(self.resetDay) == int : "
            "self.period == 'weekly' && type(self.resetDay) == string)",
            "resetDay must fit the period: 1 to 28 for a monthly budget, a weekday for a weekly one, none for a daily "
            "one",
        ),
        ApiRule(
            "!has(self.warnAt) || (self.warnAt.isSorted() && self.warnAt.all(one, "
            "self.warnAt.exists_one(other, other == one)))",
            "warnAt must ascend without repeats, like [75, 90]",
        ),
    )

    mode: Annotated[
        Mode,
        Field(description="enforce refuses pods beyond the budget, warn warns, audit records, off does nothing."),
    ]
    scope: Annotated[ScopeModel, Field(description="Whose pods the budget pays for.")]
    amount: Annotated[
        MoneyAmount,
        Field(gt=0, description='Amount for one period, as a decimal string such as "10000", in `currency`.'),
    ]
    currency: Currency
    period: Annotated[
        PeriodName,
        Field(description="Length of the period: monthly, weekly (from Monday) or daily, in UTC. Default monthly."),
    ] = "monthly"
    reset_day: Annotated[
        ResetDay | None,
        Field(
            description="Day on which the period begins, at midnight UTC: 1 to 28 of the month for monthly budgets, a "
            "weekday such as Sunday for weekly ones. Default the first of the month, or Monday."
        ),
    ] = None
    basis: Annotated[
        BasisName,
        Field(
            description="runRate: what is committed and new, times the hours of the period. monthEnd: what the period "
            "has cost so far, and what is committed and new until it ends. Default runRate."
        ),
    ] = "runRate"
    warn_at: Annotated[
        Many[Percent],
        Field(description="Per cent of the amount from which admission warns, ascending. Default none."),
        AfterValidator(_ascending),
    ] = ()
    reject_at: Annotated[
        Percent,
        Field(description="Per cent of the amount above which a pod is refused. Default 100."),
    ] = 100
    grace_until: Annotated[
        Day | None,
        Field(
            description="Last day, as YYYY-MM-DD, on which an enforced budget only warns; to the end of that day UTC. "
            "Absent, it refuses from the beginning."
        ),
    ] = None
    trust_expected_runtime: Annotated[
        bool,
        Field(
            description="Whether the annotation `podgate.dev/expected-runtime` of a Job or CronJob is believed where "
            "no activeDeadlineSeconds bounds its run. Default false: it then counts for the whole period."
        ),
    ] = False
    on_fault: Annotated[
        OnFault,
        Field(
            description="What a ledger that cannot be written means: allow books the pod as unreserved, deny refuses "
            "it. Default allow."
        ),
    ] = "allow"

    unpriced: Annotated[
        Unpriced,
        Field(
            description="What becomes of a pod that asks for a resource which the price list has no price of: allow "
            "lets it in and says so, deny refuses it. Default allow."
        ),
    ] = "allow"
    exceptions: Annotated[
        BudgetExceptions | None,
        Field(
            description="Where PolicyExceptions may let pods off this budget. Absent, they loosen no enforced budget, "
            "and any budget that only warns or records."
        ),
    ] = None
    allow_above_next_period: Annotated[
        bool,
        Field(
            description="On basis monthEnd: whether pods may cost more per hour than the next period can pay, as long "
            "as this one can. They go on running when it begins. Default false."
        ),
    ] = False

    @model_validator(mode="after")
    def _resets_within_its_period(self) -> "BudgetSpec":
        day = self.reset_day
        fits = {"monthly": isinstance(day, int), "weekly": isinstance(day, str), "daily": False}
        if day is not None and not fits[self.period]:
            cures = {"monthly": "Write a number from 1 to 28.", "weekly": "Write a weekday such as Sunday."}
            cure = cures.get(self.period, "Remove it.")
            raise FieldError(f"does not fit a {self.period} budget", cure, path=("resetDay",))
        return self

    @model_validator(mode="after")
    def _looks_ahead_on_its_basis(self) -> "BudgetSpec":
        if self.allow_above_next_period and self.basis != "monthEnd":
            raise FieldError(
                "has no meaning on basis runRate, which counts every period alike",
                "Remove it, or set basis: monthEnd.",
                path=("allowAboveNextPeriod",),
            )
        return self

    @property
    def lets_off(self) -> BudgetExceptions | None:
        """Which exceptions count; None where all of them do."""
        if self.exceptions is None and self.mode == "enforce":
            return BudgetExceptions()
        return self.exceptions

    @property
    def begins_on(self) -> int:
        """Day of the month that the period begins on, or of the week counted from Monday as 1."""
        return _WEEKDAYS.index(self.reset_day) + 1 if isinstance(self.reset_day, str) else self.reset_day or 1


SPEC = BudgetSpec
