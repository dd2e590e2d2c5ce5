"""What has no price, from the review to the answer, the log and the metric."""

from tests import factories as make

CEILING = make.policy("mode: enforce\ncostCeiling: {podMonthly: '100000'}", "all")
DENYING = make.policy("mode: enforce\ncostCeiling: {podMonthly: '100000', unpriced: deny}", "all")
BUDGETS = [
    make.policy("mode: enforce\nscope: {cluster: true}\namount: '99999'\ncurrency: USD", name, kind="Budget")
    for name in ("a", "b")
]
WARNING = (
    "policy all, costCeiling: asks for 8 google.com/tpu, which the price list has no price of; to fix: add a price of "
    "google.com/tpu to the PriceList, or remove the request"
)


def asking() -> dict[str, object]:
    one = make.container()
    one["resources"]["limits"] = {"google.com/tpu": "8"}
    return make.pod(one)


def test_a_pod_is_let_in_with_one_warning_however_many_ask_for_its_price() -> None:
    world = make.World(CEILING, *BUDGETS)
    answer = world.validate(asking())
    assert answer.allowed
    assert answer.warnings == [WARNING]
    assert answer.entry is not None
    assert answer.entry["unpriced"] == ["8 google.com/tpu"]
    assert answer.entry["cost"]["source"].endswith("8 google.com/tpu not priced")
    assert world.sample("podgate_unpriced_total", guardrail="costCeiling") == 1
    assert world.sample("podgate_unpriced_total", guardrail="budget") == 2


def test_a_pod_is_refused_where_the_policy_says_so() -> None:
    answer = make.World(DENYING).validate(asking())
    assert not answer.allowed
    assert answer.message == WARNING
    assert answer.outcome("costCeiling") == "refused"


def test_a_budget_refuses_it_and_books_nothing() -> None:
    denying = make.policy(
        "mode: enforce\nscope: {cluster: true}\namount: '99999'\ncurrency: USD\nunpriced: deny", "a", kind="Budget"
    )
    world = make.World(denying)
    assert not world.validate(asking()).allowed
    assert world.ledger.committed("a") == 0


def test_a_deployment_is_warned_of_what_its_pods_are_refused_for() -> None:
    answer = make.World(DENYING).validate(make.deployment(template=asking()))
    assert answer.allowed
    assert WARNING in answer.warnings
    assert any(text.endswith("8 google.com/tpu not priced)") for text in answer.warnings)


def test_in_audit_it_is_recorded_and_nobody_is_told() -> None:
    world = make.World(make.policy("mode: audit\ncostCeiling: {podMonthly: '100000', unpriced: deny}", "all"))
    answer = world.validate(asking())
    assert answer.allowed
    assert answer.warnings == []
    assert answer.outcome("costCeiling") == "would_refuse"


def test_what_has_a_price_is_told_to_nobody() -> None:
    answer = make.World(DENYING).validate(make.pod())
    assert answer.allowed
    assert answer.entry is not None
    assert "unpriced" not in answer.entry
