"""One report a namespace, with true counts and the worst findings, within hard bounds on objects, results and bytes."""

import json
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import factories
from webhook.reporting import policy_reports
from webhook.reporting.fold import FoldedFinding, FoldedResult, ObjectResult, Verdict, WorkloadSummary, fold
from webhook.reporting.journal import DecisionOwner
from webhook.reporting.policy_reports import DIALECTS, contents


def rows(records: Iterable[ObjectResult]) -> list[WorkloadSummary]:
    return fold(records)


def record(
    name: str, outcome: str = "would_refuse", *, namespace: str = "team-alpha", text: str = "no", cost: int = 100
) -> ObjectResult:
    refuses = outcome == "would_refuse"
    notes = (FoldedFinding("team", "podSecurity", "r", text, "mend it", refuses=refuses),) if refuses else ()
    verdict = Verdict((FoldedResult("team", "podSecurity", outcome),), notes, b"", cost, cost, refuses)
    return ObjectResult(DecisionOwner(namespace, "Deployment", name), "Pod", name, "", "", "", verdict)


def size(document: object) -> int:
    return len(json.dumps(document).encode())


def test_the_summary_counts_every_object_and_the_results_name_the_workloads() -> None:
    found = contents(
        rows(
            [
                record("shop"),
                record("shop"),
                record("cart", "would_change"),
                record("fine", "passed"),
                record("free", "exempt"),
            ]
        ),
        "USD",
    )
    (content,) = found
    assert content.summary == {"pass": 1, "fail": 2, "warn": 1, "error": 0, "skip": 1}
    assert [(item["result"], item["resources"][0]["name"]) for item in content.results] == [
        ("fail", "shop"),
        ("warn", "cart"),
    ]
    assert content.results[0]["message"] == "no; to fix: mend it"
    assert content.results[0]["properties"]["wouldRefuse"] == "2"


def test_the_worst_findings_come_first_and_what_is_left_out_is_counted() -> None:
    found = contents(rows(record(f"shop-{number}", cost=number) for number in range(300)), "USD")
    (content,) = found
    assert len(content.results) == policy_reports.MAXIMUM_RESULTS
    assert content.left_out == 300 - policy_reports.MAXIMUM_RESULTS
    assert content.summary["fail"] == 300
    assert content.results[0]["resources"][0]["name"] == "shop-299"


@settings(max_examples=15, deadline=None)
@given(
    st.lists(
        st.tuples(st.text(max_size=40), st.sampled_from(("would_refuse", "would_change", "fault_allowed", "passed"))),
        max_size=40,
    ),
    st.integers(1, 20_000),
)
def test_a_report_is_never_larger_than_its_bound(found: list[tuple[str, str]], length: int) -> None:
    records = [record(f"n{number}-{name}", outcome, text=name * length) for number, (name, outcome) in enumerate(found)]
    for content in contents(rows(records), "USD"):
        for dialect in DIALECTS:
            assert size(content.document(dialect, factories.NOON)) <= policy_reports.MAXIMUM_BYTES
        assert sum(content.summary.values()) == len(records)


def test_long_messages_are_cut_and_many_of_them_stay_within_the_bytes() -> None:
    records = [record(f"shop-{number}-{'x' * 200}", text="ä" * 5_000) for number in range(100)]
    (content,) = contents(rows(records), "USD")
    document = content.document(DIALECTS[0], factories.NOON)
    assert size(document) <= policy_reports.MAXIMUM_BYTES
    assert all(len(item["message"]) <= 1_000 for item in document["results"])


def test_there_are_never_more_reports_than_their_bound_and_refusals_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy_reports, "MAXIMUM_REPORTS", 3)
    records = [record("a", "passed", namespace=f"quiet-{number}") for number in range(5)]
    records.append(record("b", namespace="loud"))
    assert [content.namespace for content in contents(rows(records), "USD")] == ["loud", "quiet-0", "quiet-1"]


def test_the_same_findings_have_the_same_digest_at_any_time() -> None:
    first, second = (contents(rows([record("shop")]), "USD")[0] for _ in range(2))
    assert first.digest == second.digest
    assert contents(rows([record("shop", text="other")]), "USD")[0].digest != first.digest
