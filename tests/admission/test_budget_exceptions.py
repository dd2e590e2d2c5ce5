"""Who may be let off a budget: nobody, unless the budget says whom and for how long."""

import pytest

from tests import factories
from tests.admission.test_budgets import CLUSTER, QUIET, RATE, budget

SOON = "2026-12-01"


def exception(guardrails: str = "[budget]", expires: str = SOON, namespace: str = "team-alpha") -> str:
    return (
        "apiVersion: podgate.dev/v1alpha1\nkind: PolicyException\n"
        f"metadata: {{name: e, namespace: {namespace}}}\n"
        f"spec: {{guardrails: {guardrails}, owner: a@b.example, reason: incident, expires: '{expires}'}}\n"
    )


def outcome(*policies: str) -> str | None:
    scene = factories.World(QUIET, *policies, cluster=CLUSTER)
    answer = scene.validate(factories.pod())
    assert answer.allowed is (answer.outcome("budget") not in ("refused", "fault_denied"))
    if answer.allowed:
        assert scene.ledger.committed("alpha") == RATE
    return answer.outcome("budget")


@pytest.mark.parametrize(
    ("terms", "expires", "expected"),
    [
        (None, SOON, "refused"),
        (None, "9999-12-30", "refused"),
        ("{}", SOON, "refused"),
        ("{allowed: false, namespaces: ['*']}", SOON, "refused"),
        ("{allowed: true}", SOON, "refused"),
        ("{allowed: true, namespaces: []}", SOON, "refused"),
        ("{allowed: true, namespaces: [team-beta]}", SOON, "refused"),
        ("{allowed: true, namespaces: [team-*]}", SOON, "exempt"),
        ("{allowed: true, namespaces: ['*']}", SOON, "exempt"),
        ("{allowed: true, namespaces: ['*']}", "2027-02-20", "exempt"),
        ("{allowed: true, namespaces: ['*']}", "2027-02-21", "refused"),
        ("{allowed: true, namespaces: ['*'], maxDays: 9}", SOON, "exempt"),
        ("{allowed: true, namespaces: ['*'], maxDays: 8}", SOON, "refused"),
        ("{allowed: true, namespaces: ['*']}", "2026-11-21", "refused"),
    ],
)
def test_an_enforced_budget_is_loosened_as_far_as_it_says(terms: str | None, expires: str, expected: str) -> None:
    fields = {} if terms is None else {"exceptions": terms}
    assert outcome(budget("100", **fields), exception(expires=expires)) == expected


@pytest.mark.parametrize(("terms", "expected"), [(None, "exempt"), ("{allowed: false}", "warned")])
def test_a_budget_that_warns_is_loosened_unless_it_says_no(terms: str | None, expected: str) -> None:
    fields = {} if terms is None else {"exceptions": terms}
    assert outcome(budget("100", "warn", **fields), exception()) == expected


def test_each_budget_speaks_for_itself() -> None:
    strict, lenient = budget("100", name="strict"), budget("100", exceptions="{allowed: true, namespaces: ['*']}")
    answer = factories.World(QUIET, strict, lenient, exception(), cluster=CLUSTER).validate(factories.pod())
    assert [answer.outcome("budget", name) for name in ("alpha", "strict")] == ["exempt", "refused"]
    assert not answer.allowed


def test_an_exception_from_a_guardrail_lets_nobody_off_a_budget() -> None:
    lenient = budget("100", exceptions="{allowed: true, namespaces: ['*']}")
    assert outcome(lenient, exception("[costCeiling]")) == "refused"


def test_an_exception_without_effect_is_no_use() -> None:
    scene = factories.World(QUIET, budget("1000"), exception(), cluster=CLUSTER)
    assert scene.validate(factories.pod()).allowed
    assert scene.sample("podgate_exception_uses_total", guardrail="budget", scope="whole") == 0


def test_what_is_only_recorded_today_is_told_as_it_will_be_when_it_is_enforced() -> None:
    scene = factories.World(QUIET, budget("100"), exception(), cluster=CLUSTER, cap="audit")
    assert scene.validate(factories.pod()).outcome("budget") == "would_refuse"
