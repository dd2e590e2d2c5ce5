"""The models of money: costCeiling, Budget, PriceList. Defaults, what is required, and what is refused."""

from decimal import Decimal
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from webhook.policy import budget, cost_ceiling, price_list
from webhook.policy.budget import BudgetSpec
from webhook.policy.cost_ceiling import CostCeilingSection
from webhook.policy.price_list import PriceListSpec

_RATES = {"cpuCoreHour": "0.031611", "memoryGiBHour": "0.004237", "gpuHour": "0.95"}
_LIST: dict[str, Any] = {"currency": "USD", "onDemand": _RATES}
_BUDGET: dict[str, Any] = {"mode": "enforce", "scope": {"cluster": True}, "amount": "10000", "currency": "USD"}


def test_the_smallest_price_list_has_the_documented_defaults() -> None:
    spec = PriceListSpec.model_validate(_LIST)
    assert (spec.hours_per_month, spec.spot) == (730, None)
    assert (spec.assumed_request.cpu, spec.assumed_request.memory) == ("100m", "128Mi")
    assert spec.on_demand.memory_gib_hour == Decimal("0.004237")


def test_the_smallest_budget_has_the_documented_defaults() -> None:
    spec = BudgetSpec.model_validate(_BUDGET)
    assert (spec.period, spec.basis, spec.reject_at, spec.on_fault) == ("monthly", "runRate", 100, "allow")
    assert spec.warn_at == ()
    assert spec.amount == 10000


def test_kinds_and_sections_are_offered_for_discovery() -> None:
    assert budget.KIND == "Budget"
    assert budget.SPEC is BudgetSpec
    assert price_list.KIND == "PriceList"
    assert price_list.SPEC is PriceListSpec
    assert cost_ceiling.SECTION is CostCeilingSection


@pytest.mark.parametrize(
    ("model", "document"),
    [
        pytest.param(CostCeilingSection, {"podMonthly": "300"}, id="pod ceiling only"),
        pytest.param(CostCeilingSection, {"workloadMonthly": "2000.50", "mode": "audit"}, id="workload ceiling only"),
        pytest.param(CostCeilingSection, {"mode": "off"}, id="switched off"),
        pytest.param(BudgetSpec, {**_BUDGET, "warnAt": [75, 90], "rejectAt": 95}, id="thresholds"),
        pytest.param(BudgetSpec, {**_BUDGET, "scope": {"namespaces": ["team-*"]}}, id="globs"),
        pytest.param(BudgetSpec, {**_BUDGET, "scope": {"label": {"key": "a.b/c", "value": "d"}}}, id="label"),
        pytest.param(
            BudgetSpec, {**_BUDGET, "scope": {"namespaceSelector": {"matchLabels": {"a": "b"}}}}, id="selector"
        ),
        pytest.param(BudgetSpec, {**_BUDGET, "resetDay": 28}, id="reset on a day of the month"),
        pytest.param(BudgetSpec, {**_BUDGET, "period": "weekly", "resetDay": "Sunday"}, id="reset on a weekday"),
        pytest.param(BudgetSpec, {**_BUDGET, "graceUntil": "2026-12-31"}, id="grace"),
        pytest.param(BudgetSpec, {**_BUDGET, "amount": "999999999999999.999999999999"}, id="huge amount"),
        pytest.param(BudgetSpec, {**_BUDGET, "scope": {"label": {"key": "a", "unlabelled": True}}}, id="unlabelled"),
        pytest.param(
            BudgetSpec, {**_BUDGET, "scope": {"label": {"key": "a", "value": "b", "unlabelled": True}}}, id="catch-all"
        ),
        pytest.param(PriceListSpec, {**_LIST, "spot": _RATES, "hoursPerMonth": 744}, id="spot"),
        pytest.param(PriceListSpec, {**_LIST, "assumedRequest": {"cpu": "250m"}}, id="part of the assumed request"),
        pytest.param(
            PriceListSpec,
            {**_LIST, "onDemand": {**_RATES, "resources": {"nvidia.com/mig-1g.5gb": "0.15", "hugepages-2Mi": "0.01"}}},
            id="other resources",
        ),
        pytest.param(
            PriceListSpec,
            {**_LIST, "storage": {"volumeGiBMonth": "0.04", "classes": {"gp3": "0.08"}}},
            id="storage",
        ),
        pytest.param(
            PriceListSpec,
            {
                **_LIST,
                "nodes": {
                    "selectors": [{"matchLabels": {"karpenter.sh/nodepool": "gpu"}}],
                    "taints": [{"key": "nvidia.com/gpu"}],
                    "capacity": "spot",
                },
            },
            id="a node pool",
        ),
    ],
)
def test_a_valid_document_is_taken(model: type[BaseModel], document: dict[str, Any]) -> None:
    model.model_validate(document)


@pytest.mark.parametrize(
    ("model", "document", "words"),
    [
        pytest.param(CostCeilingSection, {}, "must set a ceiling", id="no ceiling"),
        pytest.param(CostCeilingSection, {"podMonthly": 300}, "decimal string in quotes", id="number as money"),
        pytest.param(CostCeilingSection, {"podMonthly": "-1"}, "must not be negative", id="negative ceiling"),
        pytest.param(CostCeilingSection, {"podDaily": "1"}, "podDaily", id="unknown field"),
        pytest.param(BudgetSpec, {k: v for k, v in _BUDGET.items() if k != "mode"}, "mode", id="no mode"),
        pytest.param(BudgetSpec, {**_BUDGET, "scope": {}}, "exactly one scope, but has 0", id="no scope"),
        pytest.param(
            BudgetSpec,
            {**_BUDGET, "scope": {"cluster": True, "namespaces": ["a"]}},
            "exactly one scope, but has 2",
            id="two scopes",
        ),
        pytest.param(BudgetSpec, {**_BUDGET, "scope": {"cluster": False}}, "cluster", id="cluster: false"),
        pytest.param(BudgetSpec, {**_BUDGET, "scope": {"namespaces": []}}, "at least 1", id="no globs"),
        pytest.param(
            BudgetSpec, {**_BUDGET, "scope": {"label": {"key": "a b", "value": ""}}}, "label key", id="label key"
        ),
        pytest.param(BudgetSpec, {**_BUDGET, "amount": "0"}, "greater than 0", id="no money"),
        pytest.param(BudgetSpec, {**_BUDGET, "amount": "-5"}, "must not be negative", id="negative amount"),
        pytest.param(BudgetSpec, {**_BUDGET, "amount": "1,000"}, "plain decimal number", id="amount with a comma"),
        pytest.param(BudgetSpec, {**_BUDGET, "amount": "1e9"}, "plain decimal number", id="amount with an exponent"),
        pytest.param(BudgetSpec, {**_BUDGET, "amount": "NaN"}, "plain decimal number", id="no number"),
        pytest.param(BudgetSpec, {**_BUDGET, "amount": "1" + "0" * 15}, "below 10^15", id="amount beyond all reason"),
        pytest.param(BudgetSpec, {**_BUDGET, "currency": "usd"}, "currency", id="currency in lower case"),
        pytest.param(BudgetSpec, {**_BUDGET, "resetDay": 29}, "from 1 to 28", id="day that some months lack"),
        pytest.param(BudgetSpec, {**_BUDGET, "resetDay": True}, "from 1 to 28", id="no day"),
        pytest.param(BudgetSpec, {**_BUDGET, "resetDay": "Sunday"}, "Write a number from 1 to 28", id="weekday"),
        pytest.param(
            BudgetSpec, {**_BUDGET, "period": "weekly", "resetDay": 3}, "Write a weekday", id="number for a weekday"
        ),
        pytest.param(BudgetSpec, {**_BUDGET, "period": "daily", "resetDay": 3}, "Remove it", id="reset of a day"),
        pytest.param(BudgetSpec, {**_BUDGET, "graceUntil": "soon"}, "must be a date", id="grace without a date"),
        pytest.param(
            BudgetSpec, {**_BUDGET, "scope": {"label": {"key": "a"}}}, "selects no pods", id="label without a value"
        ),
        pytest.param(BudgetSpec, {**_BUDGET, "amount": 10.5}, "decimal string in quotes", id="float as money"),
        pytest.param(BudgetSpec, {**_BUDGET, "currency": "$"}, "currency", id="symbol as currency"),
        pytest.param(BudgetSpec, {**_BUDGET, "warnAt": [90, 75]}, "must ascend", id="descending thresholds"),
        pytest.param(BudgetSpec, {**_BUDGET, "warnAt": [75, 75]}, "must ascend", id="threshold twice"),
        pytest.param(BudgetSpec, {**_BUDGET, "warnAt": [0]}, "greater than or equal to 1", id="threshold of nothing"),
        pytest.param(BudgetSpec, {**_BUDGET, "rejectAt": "100"}, "rejectAt", id="text as percent"),
        pytest.param(BudgetSpec, {**_BUDGET, "period": "yearly"}, "period", id="unknown period"),
        pytest.param(BudgetSpec, {**_BUDGET, "basis": "actual"}, "basis", id="unknown basis"),
        pytest.param(PriceListSpec, {"currency": "USD"}, "onDemand", id="no prices"),
        pytest.param(PriceListSpec, {**_LIST, "hoursPerMonth": 745}, "less than or equal to 744", id="hours"),
        pytest.param(PriceListSpec, {**_LIST, "spot": {"cpuCoreHour": "1"}}, "memoryGiBHour", id="half of the prices"),
        pytest.param(
            PriceListSpec, {**_LIST, "assumedRequest": {"cpu": "-1"}}, "must not be negative", id="negative cpu"
        ),
        pytest.param(
            PriceListSpec,
            {**_LIST, "onDemand": {**_RATES, "resources": {"memory": "1"}}},
            "Use memoryGiBHour",
            id="memory as another resource",
        ),
        pytest.param(
            PriceListSpec,
            {**_LIST, "onDemand": {**_RATES, "resources": {"a/b": "-1"}}},
            "must not be negative",
            id="negative price of a resource",
        ),
        pytest.param(
            PriceListSpec,
            {**_LIST, "spot": {**_RATES, "resources": {"a/b": "1"}}},
            "a pod may land on either",
            id="a resource that only spot capacity has",
        ),
        pytest.param(PriceListSpec, {**_LIST, "storage": {}}, "volumeGiBMonth", id="storage without a price"),
        pytest.param(PriceListSpec, {**_LIST, "nodes": {"selectors": []}}, "at least 1", id="no selectors"),
        pytest.param(PriceListSpec, {**_LIST, "nodes": {"selectors": [{}]}}, "selects every node", id="all nodes"),
        pytest.param(
            PriceListSpec,
            {**_LIST, "nodes": {"selectors": [{"matchLabels": {"a": "b"}}], "taints": [{"key": "a", "effect": "No"}]}},
            "NoSchedule",
            id="unknown effect",
        ),
    ],
)
def test_an_invalid_document_is_refused_with_the_reason(
    model: type[BaseModel], document: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        model.model_validate(document)
    assert words in str(caught.value)


@pytest.mark.parametrize("model", [CostCeilingSection, BudgetSpec, PriceListSpec])
def test_every_field_has_a_description(model: type[BaseModel]) -> None:
    schema = model.model_json_schema(by_alias=True)
    for part in (schema, *schema.get("$defs", {}).values()):
        for name, field in part.get("properties", {}).items():
            assert field.get("description"), name
