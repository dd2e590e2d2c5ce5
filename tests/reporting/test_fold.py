"""A thousand pods are one row, money is counted once, and what is kept of a row is bounded."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import factories
from tests.reporting import _scene
from webhook.reporting import fold
from webhook.reporting.fold import (
    EqualValues,
    FoldedFinding,
    FoldedResult,
    ObjectResult,
    Totals,
    UnjudgedSummary,
    Verdict,
    WorkloadSummary,
)
from webhook.reporting.journal import DecisionOwner


def verdict(before: int = 100, after: int = 60, *, refused: bool = False, policy: str = "team") -> Verdict:
    outcome = "would_refuse" if refused else "would_change"
    note = FoldedFinding(policy, "podSecurity", "r", "would violate", "mend it", refuses=refused)
    part = FoldedResult(policy, "podSecurity", outcome, before - after)
    return Verdict((part,), (note,), b'[{"op":"add","path":"/spec/a","value":1}]', before, after, refused)


def record(kind: str = "Pod", owner: str | DecisionOwner = "shop", **changes: object) -> ObjectResult:
    of = owner if isinstance(owner, DecisionOwner) else DecisionOwner("team-alpha", "Deployment", owner)
    made = ObjectResult(of, kind, of.name, "", "alpha", "shops", verdict())
    return made._replace(**changes)  # type: ignore[arg-type]  # the fields are the caller's affair


def test_pods_of_one_owner_are_one_row_and_the_workload_adds_no_money() -> None:
    rows = fold.fold([record(), record(), record("Deployment"), record(owner="cart")])
    assert [(row.owner.name, row.basis, row.tally.objects, row.tally.before) for row in rows] == [
        ("cart", "pods", 1, 100),
        ("shop", "pods", 2, 200),
    ]


def test_a_workload_that_runs_no_pod_counts_what_it_declares() -> None:
    (row,) = fold.fold([record("CronJob")])
    assert (row.basis, row.tally.before, row.patches) == ("declared", 100, [(verdict().patch, 1)])


@pytest.mark.parametrize("kind", ["Job", "CronJob"])
def test_what_runs_to_an_end_counts_what_it_declares_whether_it_runs_now_or_not(kind: str) -> None:
    owner = DecisionOwner("team-alpha", kind, "import")
    declared = record(kind, owner=owner, verdict=verdict(before=7, after=5))
    (between,) = fold.fold([declared])
    (during,) = fold.fold([record(owner=owner), declared, record(owner=owner)])
    for row in (between, during):
        assert (row.basis, row.tally.objects, row.tally.before, row.tally.after) == ("declared", 1, 7, 5)
        assert sum(share.saved for share in row.shares.values()) == 2
    assert (between.pods, during.pods) == (0, 2)


def test_a_job_that_nobody_knows_counts_its_pods() -> None:
    (row,) = fold.fold([record(owner=DecisionOwner("team-alpha", "Job", "import"))])
    assert (row.basis, row.tally.before) == ("pods", 100)


def test_a_workload_that_would_be_refused_as_a_whole_refuses_all_of_its_pods() -> None:
    note = FoldedFinding("team", "costCeiling", "workloadMonthly", "costs too much", "", refuses=True, of_workload=True)
    whole = verdict(refused=True)._replace(notes=(note,), parts=(FoldedResult("team", "costCeiling", "would_refuse"),))
    (row,) = fold.fold([record(), record(), record("Deployment", verdict=whole)])
    assert (row.tally.objects, row.tally.refused, row.tally.refused_money) == (2, 2, 120)
    assert row.shares["team", "costCeiling"].refused == 2
    assert [item.guardrail for item, _ in row.findings] == ["costCeiling", "podSecurity"]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.integers(0, 10**12), st.integers(0, 10**12), st.booleans()), max_size=30
    )
)
def test_rows_add_up_to_their_records(given_: list[tuple[str, int, int, bool]]) -> None:
    records = [record(owner=name, verdict=verdict(b, a, refused=r)) for name, b, a, r in given_]
    total = Totals()
    for row in fold.fold(records):
        total.add(row.tally)
        assert sum(share.saved for share in row.shares.values()) == row.tally.saved
    assert total.objects == len(records)
    assert total.before == sum(b for _, b, _, _ in given_)
    assert total.saved == sum(b - a for _, b, a, _ in given_)
    assert total.refused_money == sum(a for _, _, a, refused in given_ if refused)


def test_what_is_kept_of_a_row_is_bounded_and_the_rest_is_counted() -> None:
    row = WorkloadSummary(DecisionOwner("a", "Pod", "b"))
    for number in range(100):
        odd = verdict(policy=f"p{number}")._replace(patch=b"[%d]" % number)
        row.take(record(verdict=odd))
    assert len(row.findings) == fold.FINDINGS
    assert row.more_findings == 100 - fold.FINDINGS
    assert len(row.patches) == fold.PATCHES
    assert row.tally.objects == 100


def test_equal_verdicts_are_one_object() -> None:
    intern = EqualValues()
    assert intern(verdict()) is intern(verdict())
    small = EqualValues(most=1)
    small(verdict())
    small(verdict(1))
    assert len(small) == 1


def test_what_is_not_judged_is_counted_and_its_reasons_are_bounded() -> None:
    unjudged = UnjudgedSummary()
    for number in range(2 * UnjudgedSummary.MOST):
        unjudged.add("Pod", f"ns-{number}", "is being deleted", "x")
        unjudged.add("Pod", "ns-0", "is being deleted", "y")
    healthy = unjudged.has_failures
    unjudged.add("file", "", "no YAML", "a.yaml", is_failure=True)
    assert (healthy, unjudged.has_failures) == (False, True)
    listed = list(unjudged)
    assert len(listed) == UnjudgedSummary.MOST + 1
    assert sum(each.times for each in listed) == 4 * UnjudgedSummary.MOST + 1


def test_a_directory_folds_pods_by_their_owners(tmp_path: Path) -> None:
    pods = [_scene.running(f"shop-{number}", ("ReplicaSet", "shop-7d9c8b6f5")) for number in range(3)]
    _scene.write(tmp_path, _scene.team(), *_scene.deployment(replicas=3), *pods, _scene.running("alone"))
    found = _scene.report(tmp_path, _scene.LABELLED)
    assert sorted(_scene.owners(found)) == ["Deployment/shop", "Pod/alone"]
    assert found.total.objects == 4
    assert found.total.refused == 4
    assert [line.name for line in found.cost_centers] == ["alpha"]
    assert not found.has_failures


def test_a_safe_cluster_refuses_nothing(tmp_path: Path) -> None:
    _scene.write(tmp_path, _scene.team(), _scene.running("alone", made=factories.safe_pod()))
    assert _scene.report(tmp_path, _scene.LABELLED).total.refused == 0
