"""Budgets through the whole pipeline: who may take the last money, who books, and what a broken ledger means."""

import json
import threading
from collections.abc import Sequence
from typing import Any
from unittest.mock import Mock

import pytest

from tests import factories
from webhook.ledger.memory import MemoryLedger
from webhook.ledger.store import LedgerError, ReservationOutcome

CLUSTER = [factories.namespace("team-alpha", {"cost-center": "alpha"})]
QUIET = factories.policy("mode: audit\ncostCeiling: {podMonthly: '100000'}")


def budget(amount: str, mode: str = "enforce", name: str = "alpha", **fields: str) -> str:
    more = "".join(f"\n{key}: {value}" for key, value in fields.items())
    return factories.policy(
        f"mode: {mode}\nscope: {{namespaces: [team-alpha]}}\namount: '{amount}'\ncurrency: USD{more}",
        name=name,
        kind="Budget",
    )


def world(*budgets: str, **options: Any) -> factories.World:  # noqa: ANN401  fields of a World
    return factories.World(QUIET, *budgets, cluster=CLUSTER, **options)


RATE = 2_000_000
"""Micro-units per hour of a pod with one core and 10Gi: $200 a month of 100 hours."""


def test_pods_are_admitted_up_to_the_amount_and_not_beyond() -> None:
    scene = world(budget("500"))
    verdicts = [scene.validate(factories.pod(), pod_uid=f"pod-{n}").allowed for n in range(4)]
    assert verdicts == [True, True, False, False]
    assert scene.ledger.committed("alpha") == 2 * RATE
    # What is left is enough for a smaller one.
    small = factories.pod(factories.container(cpu="500m", memory="5Gi"))
    assert scene.validate(small, pod_uid="small").allowed
    assert scene.ledger.committed("alpha") == 2 * RATE + RATE // 2


def test_exactly_the_amount_is_within_it() -> None:
    assert world(budget("200")).validate(factories.pod()).allowed
    assert not world(budget("199.99")).validate(factories.pod()).allowed


def test_a_refusal_names_budget_container_and_cure_in_one_line() -> None:
    answer = world(budget("100")).validate(factories.pod(factories.container("web")))
    assert answer.message.startswith('policy alpha, budget: budget "alpha": $0.00 of $100.00 a month committed, ')
    assert 'lower the requests of container "web"' in answer.message
    assert answer.message.isprintable()
    assert factories.GENERATED not in json.dumps(answer.response)


@pytest.mark.parametrize("round_", range(5))
def test_of_many_at_the_same_time_no_two_take_the_last_money(round_: int) -> None:
    scene = world(budget("1000"))
    bodies = [
        json.dumps(factories.review(factories.stored(factories.pod(), f"{round_}-{n}"), uid=f"r{n}")).encode()
        for n in range(24)
    ]
    barrier = threading.Barrier(8)
    verdicts: list[bool] = []

    def post(mine: Sequence[bytes]) -> None:
        barrier.wait()
        for body in mine:
            encoded, _ = scene.engine.answer("/validate", body)
            verdicts.append(json.loads(encoded)["response"]["allowed"])

    threads = [threading.Thread(target=post, args=(bodies[n::8],)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(verdicts) == [False] * 19 + [True] * 5
    assert scene.ledger.committed("alpha") == 5 * RATE


def ledger_that(**methods: Any) -> MemoryLedger:  # noqa: ANN401  what a method returns, or the error it raises
    """Return a ledger whose methods do something else."""
    made = MemoryLedger(clock=lambda: factories.NOON)
    for name, result in methods.items():
        is_error = isinstance(result, Exception)
        setattr(made, name, Mock(side_effect=result) if is_error else Mock(return_value=result))
    return made


def test_who_comes_a_moment_too_late_is_told_so() -> None:
    raced = ledger_that(reserve=ReservationOutcome(accepted=False, budget="alpha", committed=5 * RATE, limit=5 * RATE))
    answer = world(budget("500"), ledger=raced).validate(factories.pod())
    assert not answer.allowed
    # As if it had come later: how much is committed of what; a retry would not help.
    assert answer.message.startswith('policy alpha, budget: budget "alpha": $')
    assert "of $500.00 a month committed, this pod adds $" in answer.message
    assert "retry" not in answer.message
    assert answer.outcome("budget") == "refused"


def test_who_lost_every_race_is_told_how_much_is_committed_and_to_retry() -> None:
    lost = ReservationOutcome(
        False, "alpha", 1_500_000, 2_000_000, "7 times others booked at the same moment, and were faster"
    )
    answer = world(budget("500"), ledger=ledger_that(reserve=lost)).validate(factories.pod())
    assert answer.message == (
        "policy alpha, budget: 7 times others booked at the same moment, and were faster (1.500000 of 2.000000 an hour "
        "are committed); to fix: retry in a minute"
    )


def test_a_pod_that_is_let_in_unbooked_is_told_to_its_author_and_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    silent = ledger_that(reserve=LedgerError("the API server did not answer in time"))
    answer = world(budget("500"), ledger=silent).validate(factories.pod())
    assert answer.allowed
    (warning,) = answer.warnings
    assert "let in although it could not be booked (the API server did not answer in time)" in warning
    assert "could not be booked in budget alpha" in caplog.text


def test_the_same_pod_is_booked_once() -> None:
    scene = world(budget("500"))
    for uid in ("first", "retried", "again"):
        assert scene.validate(factories.pod(), uid=uid).allowed
    assert scene.ledger.committed("alpha") == RATE
    assert scene.ledger.size() == 1


NOTHING_BOOKED: dict[str, tuple[str, dict[str, Any]]] = {
    "mutate": ("/mutate", {}),
    "security": ("/validate/security", {}),
    "dry run": ("/validate", {"dryRun": True}),
    "dry run of the cost half": ("/validate/cost", {"dryRun": True}),
}


@pytest.mark.parametrize("name", NOTHING_BOOKED)
def test_only_a_real_validating_call_books(name: str) -> None:
    path, request = NOTHING_BOOKED[name]
    scene = world(budget("500"))
    assert scene.call(path, factories.review(factories.stored(factories.pod()), **request)).allowed
    assert scene.ledger.size() == 0
    assert scene.ledger.committed("alpha") == 0


@pytest.mark.parametrize("path", ["/validate", "/validate/cost"])
def test_the_validating_call_books(path: str) -> None:
    scene = world(budget("500"))
    scene.call(path, factories.review(factories.stored(factories.pod())))
    assert scene.ledger.committed("alpha") == RATE


def test_a_dry_run_is_answered_in_full() -> None:
    assert not world(budget("100")).validate(factories.pod(), dryRun=True).allowed
    (warning,) = world(budget("250", warnAt="[75, 90]")).validate(factories.pod(), dryRun=True).warnings
    assert "which reaches 75 % of it" in warning


MODES = {
    # mode: allowed, booked, warnings, outcome
    "enforce": (False, 0, 0, "refused"),
    "warn": (True, RATE, 1, "warned"),
    "audit": (True, 0, 0, "would_refuse"),
    "off": (True, 0, 0, None),
}


@pytest.mark.parametrize("mode", MODES)
def test_the_mode_of_a_budget_decides_what_being_over_it_means(mode: str) -> None:
    allowed, booked, warnings, outcome = MODES[mode]
    scene = world(budget("100", mode))
    answer = scene.validate(factories.pod())
    assert answer.allowed is allowed
    assert len(answer.warnings) == warnings
    assert answer.outcome("budget") == outcome
    assert scene.ledger.committed("alpha") == booked


def test_a_pod_that_another_guardrail_refuses_takes_no_money() -> None:
    policy = factories.policy("mode: enforce\npodSecurity: {level: baseline}", name="p")
    scene = factories.World(policy, budget("500"), cluster=CLUSTER)
    assert not scene.validate(factories.pod(hostNetwork=True)).allowed
    assert scene.ledger.size() == 0


def test_all_budgets_of_a_pod_book_it_or_none_does() -> None:
    scene = world(budget("500", name="a"), budget("300", name="b"))
    assert scene.validate(factories.pod(), pod_uid="1").allowed
    refused = scene.validate(factories.pod(), pod_uid="2")
    assert not refused.allowed
    assert refused.outcome("budget", "a") == "passed"
    assert refused.outcome("budget", "b") == "refused"
    assert [scene.ledger.committed(name) for name in "ab"] == [RATE, RATE]


def test_of_several_budgets_the_tightest_refuses_and_names_the_others() -> None:
    scene = world(budget("150", name="a"), budget("50", name="b"), budget("100", name="c"), budget("500", name="d"))
    answer = scene.validate(factories.pod())
    assert not answer.allowed
    assert answer.message.startswith('policy b, budget: budget "b": $0.00 of $50.00 a month committed')
    assert 'it is the tightest of 3 budgets that do not suffice (also "c", "a"); to fix: ' in answer.message
    assert answer.message.count("policy ") == 1
    assert [warning.split(",")[0] for warning in answer.warnings] == ["policy c", "policy a"]
    assert [answer.outcome("budget", name) for name in "abcd"] == ["refused"] * 3 + ["passed"]
    assert scene.ledger.size() == 0


def test_what_is_left_is_compared_whatever_the_period() -> None:
    weekly = budget("100", name="weekly", period="weekly")  # 168 h: less an hour than $100 for 100 h.
    answer = world(budget("100", name="monthly"), weekly).validate(factories.pod())
    assert answer.message.startswith("policy weekly, ")


@pytest.mark.parametrize(("day", "allowed"), [("2026-11-22", True), ("2026-11-21", False)])
def test_until_the_end_of_its_grace_a_budget_only_warns(day: str, *, allowed: bool) -> None:
    scene = world(budget("100", graceUntil=f"'{day}'", onFault="deny"))
    answer = scene.validate(factories.pod())
    assert answer.allowed is allowed
    assert answer.outcome("budget") == ("warned" if allowed else "refused")
    assert scene.ledger.committed("alpha") == (RATE if allowed else 0)


def test_a_pod_without_a_cost_center_is_charged_where_a_budget_says_so() -> None:
    def scope(name: str, label: str) -> str:
        return factories.policy(
            f"mode: enforce\nscope: {{label: {{key: cost-center, {label}}}}}\namount: '300'\ncurrency: USD",
            name=name,
            kind="Budget",
        )

    scene = world(scope("red", "value: red"), scope("shared", "value: shared, unlabelled: true"))
    assert scene.validate(factories.pod(), pod_uid="1").allowed
    assert scene.validate(factories.pod(labels={"cost-center": "red"}), pod_uid="2").allowed
    assert [scene.ledger.committed(name) for name in ("red", "shared")] == [RATE, RATE]
    refused = scene.validate(factories.pod(labels={"cost-center": "shared"}), pod_uid="3")
    assert refused.message.startswith("policy shared, ")


def test_a_threshold_names_the_kind_of_the_workload_and_the_money() -> None:
    scene = world(budget("1000", warnAt="[75, 90]"))
    answer = scene.validate(factories.deployment(4))
    assert answer.allowed
    expected = (
        'budget "alpha": $0.00 of $1,000.00 a month committed, this Deployment adds $800.00 (4 replicas: '
        "1 CPU, 10Gi by requests, on-demand, price list default), which reaches 75 % of it"
    )
    assert any(expected in warning for warning in answer.warnings)


@pytest.mark.parametrize(("amount", "warned"), [("300", False), ("266", True), ("201", True)])
def test_a_threshold_that_is_reached_is_told(amount: str, warned: bool) -> None:
    answer = world(budget(amount, warnAt="[75, 90]")).validate(factories.pod())
    assert answer.allowed
    assert bool(answer.warnings) is warned


def test_an_exception_lets_a_pod_in_but_its_money_is_booked() -> None:
    exempt = (
        "apiVersion: podgate.dev/v1alpha1\nkind: PolicyException\nmetadata: {name: e, namespace: team-alpha}\n"
        "spec: {guardrails: [budget], owner: a@b.example, reason: incident, expires: '2026-12-01'}\n"
    )
    scene = world(budget("100", exceptions="{allowed: true, namespaces: [team-*]}"), exempt)
    answer = scene.validate(factories.pod())
    assert answer.allowed
    assert answer.outcome("budget") == "exempt"
    assert scene.ledger.committed("alpha") == RATE


def test_what_runs_already_is_counted() -> None:
    running = factories.stored(factories.pod(), "running")
    running["metadata"]["namespace"] = "team-alpha"
    scene = factories.World(QUIET, budget("300"), cluster=[*CLUSTER, running])
    assert scene.ledger.committed("alpha") == RATE
    assert not scene.validate(factories.pod(), pod_uid="new").allowed


def test_the_label_that_mutation_writes_is_the_one_that_pays() -> None:
    labels = factories.policy(
        "mode: enforce\ncostLabels: {required: [{key: cost-center, source: namespace}]}", name="l"
    )
    paying = factories.policy(
        "mode: enforce\nscope: {label: {key: cost-center, value: alpha}}\namount: '500'\ncurrency: USD",
        name="by-label",
        kind="Budget",
    )
    scene = factories.World(labels, paying, cluster=CLUSTER)
    _, validated, stored = scene.create(factories.pod())
    assert stored["metadata"]["labels"]["cost-center"] == "alpha"
    assert validated.allowed
    assert scene.ledger.committed("by-label") == RATE


# --- updates ----------------------------------------------------------------------------------------------------------


def sized(cpu: str) -> dict[str, Any]:
    return factories.stored(factories.pod(factories.container(cpu=cpu, memory="10Gi")))


@pytest.mark.parametrize(("cpu", "allowed"), [("500m", True), ("1", True), ("2", True), ("5", False)])
def test_a_resize_is_judged_by_its_increase(cpu: str, allowed: bool) -> None:
    scene = world(budget("400"))
    scene.validate(factories.pod())
    answer = scene.call(
        "/validate", factories.review(sized(cpu), old=sized("1"), operation="UPDATE", subResource="resize")
    )
    assert answer.allowed is allowed
    rates = {"500m": 1_500_000, "1": RATE, "2": 3_000_000, "5": RATE}
    assert scene.ledger.committed("alpha") == rates[cpu]


def test_an_update_that_changes_no_label_is_no_budget_question() -> None:
    old = factories.stored(factories.pod())
    new = factories.stored(factories.pod())
    new["metadata"]["finalizers"] = ["example.com/x"]
    answer = world(budget("1")).call("/validate", factories.review(new, old=old, operation="UPDATE"))
    assert answer.allowed
    assert answer.outcome("budget") is None


def test_a_label_that_moves_a_pod_to_another_budget_moves_its_money() -> None:
    def scope(value: str) -> str:
        return factories.policy(
            f"mode: enforce\nscope: {{label: {{key: cost-center, value: {value}}}}}\namount: '300'\ncurrency: USD",
            name=value,
            kind="Budget",
        )

    scene = world(scope("red"), scope("blue"))
    red = factories.pod(labels={"cost-center": "red"})
    blue = factories.stored(factories.pod(labels={"cost-center": "blue"}))
    assert scene.validate(red).allowed
    assert scene.call("/validate", factories.review(blue, old=factories.stored(red), operation="UPDATE")).allowed
    assert (scene.ledger.committed("red"), scene.ledger.committed("blue")) == (0, RATE)


# --- ledgers that fail ------------------------------------------------------------------------------------------------


FULL = LedgerError("the ledger is full at 0 pods")


@pytest.mark.parametrize(
    ("mode", "on_fault", "allowed"),
    [("enforce", "allow", True), ("enforce", "deny", False), ("warn", "deny", True), ("warn", "allow", True)],
)
def test_a_ledger_that_cannot_be_written_is_what_on_fault_says(mode: str, on_fault: str, allowed: bool) -> None:
    scene = world(budget("500", mode, onFault=on_fault), ledger=ledger_that(reserve=FULL))
    answer = scene.validate(factories.pod())
    assert answer.allowed is allowed
    assert answer.entry is not None
    assert answer.entry["unreserved"] == "the ledger is full at 0 pods"
    assert answer.outcome("budget") == ("fault_allowed" if allowed else "fault_denied")
    if not allowed:
        assert answer.message == (
            "policy alpha, budget: could not be booked (the ledger is full at 0 pods); "
            "to fix: retry, or ask the platform team"
        )


@pytest.mark.parametrize(("on_fault", "allowed"), [("allow", True), ("deny", False)])
def test_a_ledger_that_cannot_be_read_is_what_on_fault_says(on_fault: str, allowed: bool) -> None:
    unreadable = ledger_that(committed=LedgerError("the ledger is away"))
    answer = world(budget("500", onFault=on_fault), ledger=unreadable).validate(factories.pod())
    assert answer.allowed is allowed
    assert answer.outcome("budget") == ("fault_allowed" if allowed else "fault_denied")


@pytest.mark.parametrize(("on_fault", "allowed"), [("allow", True), ("deny", False)])
def test_without_prices_in_its_currency_a_budget_is_what_on_fault_says(on_fault: str, *, allowed: bool) -> None:
    # Without a price list the built-in prices hold, which are in dollars.
    euros = budget("0.01", onFault=on_fault).replace("USD", "EUR")
    scene = world(rules=factories.ruleset(euros, prices=""))
    answer = scene.validate(factories.pod())
    assert answer.allowed is allowed
    said = answer.message if not allowed else answer.warnings[0]
    assert "it is in EUR, but prices are in USD; a PriceList named default is missing" in said
    assert answer.outcome("budget") == ("fault_allowed" if allowed else "fault_denied")
    assert scene.ledger.size() == 0
    assert scene.validate(factories.deployment(1)).allowed


def test_when_a_price_list_goes_away_its_budgets_go_on_with_the_built_in_prices() -> None:
    scene = world(rules=factories.ruleset(budget("10"), prices=""))
    answer = scene.validate(factories.pod())
    assert not answer.allowed
    assert "$0.00 of $10.00 a month committed, this pod adds $54.01" in answer.message


def test_a_ledger_fault_never_touches_a_pod_that_no_budget_pays_for() -> None:
    answer = world(budget("500", onFault="deny"), ledger=ledger_that(reserve=FULL)).validate(
        factories.pod(), namespace="other"
    )
    assert answer.allowed


@pytest.mark.parametrize("order", [("allow", "deny"), ("deny", "allow")], ids=" then ".join)
def test_one_budget_that_denies_on_a_fault_is_enough(order: tuple[str, str]) -> None:
    budgets = [budget("500", name=f"b{index}", onFault=word) for index, word in enumerate(order)]
    answer = world(*budgets, ledger=ledger_that(reserve=FULL)).validate(factories.pod())
    assert not answer.allowed
    assert f"policy b{order.index('deny')}, budget: could not be booked" in answer.message


def test_a_pod_that_runs_without_being_booked_is_booked_by_an_update_and_never_refused() -> None:
    scene = world(budget("1"))
    old = factories.stored(factories.pod(labels={"tier": "a"}))
    new = factories.stored(factories.pod(labels={"tier": "b"}))
    answer = scene.call("/validate", factories.review(new, old=old, operation="UPDATE"))
    assert answer.allowed
    assert scene.ledger.committed("alpha") == RATE


BAD = {"name": "app", "image": "i", "resources": {"requests": {"cpu": "1x", "memory": "1Gi"}}}


@pytest.mark.parametrize("basis", ["runRate", "monthEnd"])
@pytest.mark.parametrize(
    ("request_", "labels"),
    [
        pytest.param({}, {}, id="a new pod"),
        pytest.param({"operation": "UPDATE", "subResource": "resize"}, {}, id="a resize"),
        pytest.param({"operation": "UPDATE"}, {"team": "other"}, id="a change of a label"),
    ],
)
def test_a_malformed_quantity_is_a_finding_whatever_the_operation(
    request_: dict[str, Any], labels: dict[str, str], basis: str
) -> None:
    scene = world(budget("1000", basis=basis))
    old = {"old": factories.stored(factories.pod())} if request_ else {}
    answer = scene.validate(factories.pod(BAD, labels=labels), **request_, **old)
    assert not answer.allowed
    assert answer.outcome("budget") == "refused"
    assert "cannot be priced" in answer.message
    assert scene.ledger.committed("alpha") == 0
