"""The kind `Budget`: how much the pods of one scope may cost in a period."""

from itertools import pairwise
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field, model_validator

from webhook.policy._base import FieldError, Many, Mode, Model, Money, OnFault
from webhook.policy._match import SelectorModel
from webhook.policy._names import Glob, LabelKey, LabelValue
from webhook.policy.price_list import Currency

KIND: Final = "Budget"

Period = Literal["monthly", "weekly", "daily"]
Basis = Literal["runRate", "monthEnd"]


class LabelScope(Model):
    """Pods that carry one label with one value."""

    key: Annotated[LabelKey, Field(description="Key of the pod label, such as cost-center.")]
    value: Annotated[LabelValue, Field(description="Value of the pod label, such as engineering-alpha.")]


class ScopeModel(Model):
    """Whose pods the budget pays for; exactly one of the fields is given."""

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


def _ascending(percents: tuple[int, ...]) -> tuple[int, ...]:
    for index, (earlier, later) in enumerate(pairwise(percents), start=1):
        if later <= earlier:
            raise FieldError("must ascend without repeats", "Write it like [75, 90].", path=(index,))
    return percents


Percent = Annotated[int, Field(ge=1, le=1000)]


class BudgetSpec(Model):
    """An amount of money for a period, and what happens as it is used up."""

    mode: Annotated[
        Mode,
        Field(description="enforce refuses pods beyond the budget, warn warns, audit records, off does nothing."),
    ]
    scope: Annotated[ScopeModel, Field(description="Whose pods the budget pays for.")]
    amount: Annotated[
        Money,
        Field(gt=0, description='Amount for one period, as a decimal string such as "10000", in `currency`.'),
    ]
    currency: Currency
    period: Annotated[
        Period,
        Field(description="Length of the period: monthly, weekly (from Monday) or daily, in UTC. Default monthly."),
    ] = "monthly"
    basis: Annotated[
        Basis,
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
    on_fault: Annotated[
        OnFault,
        Field(
            description="What a ledger that cannot be written means: allow books the pod as unreserved, deny refuses "
            "it. Default allow."
        ),
    ] = "allow"


SPEC = BudgetSpec
