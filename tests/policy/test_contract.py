"""The policy YAML of the public contract loads as it is printed there, and means what is printed there."""

import datetime as dt
from decimal import Decimal
from pathlib import Path

import pytest

from webhook.policy import cost_labels, spot
from webhook.policy.loading import loader
from webhook.policy.model import discovery
from webhook.policy.model.policy_set import PolicySet

CONTRACT = Path(__file__).parent.parent / "data" / "policy" / "contract.yaml"


@pytest.fixture(scope="module")
def contract() -> PolicySet:
    return loader.load_text(CONTRACT.read_text(), "contract.yaml")


def test_all_four_kinds_of_the_contract_load(contract: PolicySet) -> None:
    assert [(item.kind, item.namespace, item.name, item.origin.line) for item in contract.documents] == [
        ("Budget", "", "engineering-alpha", 53),
        ("GuardrailPolicy", "", "team-namespaces", 1),
        ("PolicyException", "team-alpha", "legacy-importer", 80),
        ("PriceList", "", "default", 69),
    ]


def test_every_section_that_exists_is_in_the_contract(contract: PolicySet) -> None:
    assert set(contract.policies[0].spec.sections) == set(discovery.sections())


def test_a_section_has_its_own_mode_or_the_mode_of_the_policy(contract: PolicySet) -> None:
    spec = contract.policies[0].spec
    assert (spec.mode_of("rightSizing"), spec.mode_of("spot")) == ("audit", "enforce")
    assert spec.violation_mode_of("rightSizing") == "audit"


def test_values_of_the_contract_arrive(contract: PolicySet) -> None:
    sections = contract.policies[0].spec.sections
    labels, batch = sections["costLabels"], sections["spot"]
    assert isinstance(labels, cost_labels.CostLabelsSection)
    assert labels.required[0].allowed == ("shared", "engineering-alpha")
    assert labels.written_labels == {"cost-center"}
    assert isinstance(batch, spot.SpotSection)
    assert batch.tolerations[0].key == "kubernetes.io/spot"
    assert contract.budgets[0].spec.amount == Decimal(10000)
    assert contract.price_lists[0].spec.on_demand.cpu_core_hour == Decimal("0.031611")
    assert contract.exceptions[0].spec.expires == dt.date(2027, 3, 31)


@pytest.mark.parametrize(
    ("section", "printed"),
    [
        ("spot", {"tolerations": [{"key": "spot", "operator": "Exists"}]}),
        ("binPacking", {"schedulerName": "bin-packing-scheduler"}),
        ("costLabels", {"required": [{"key": "cost-center"}]}),
    ],
)
def test_scalars_of_the_contract_are_the_defaults(
    contract: PolicySet, section: str, printed: dict[str, object]
) -> None:
    shortest = discovery.sections()[section].model.model_validate(printed)
    full = contract.policies[0].spec.sections[section]
    scalars = {name for name, value in full if isinstance(value, bool | int | str | None)}
    assert {name: getattr(shortest, name) for name in scalars} == {name: getattr(full, name) for name in scalars}


def test_scalars_of_the_policy_itself_are_the_defaults(contract: PolicySet) -> None:
    text = "apiVersion: podgate.dev/v1alpha1\nkind: GuardrailPolicy\nmetadata: {name: a}\nspec: {mode: enforce}\n"
    shortest = loader.load_text(text, "a.yaml").policies[0].spec
    assert shortest.exceptions == contract.policies[0].spec.exceptions
    assert shortest.priority == contract.policies[0].spec.priority
    assert shortest.sections == {}
    assert shortest.mode_of("spot") == "off"
