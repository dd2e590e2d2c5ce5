"""The journal: bounded whatever happens, counted up where nothing is new, and never in the way of a review."""

import datetime as dt
from typing import Any
from unittest.mock import Mock

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import factories
from tests.reporting import _scene
from webhook.admission.decision import ALLOWED, Cost, Decision, GuardrailResult, OutcomeName
from webhook.admission.recorder import Recorded, Recorder
from webhook.admission.subject import Subject
from webhook.cluster.view import Controller
from webhook.guardrails.base.contract import Finding, Requester
from webhook.kube.objects import Pod
from webhook.reporting import journal as journals
from webhook.reporting.journal import Journal, MonthlyMoney

NOON = factories.NOON


def recorded(
    name: str = "shop",
    message: str = "",
    *,
    namespace: str = "team-alpha",
    path: str = "/validate",
    at: dt.datetime = NOON,
    size: int = 100,
    cost: Cost | None = None,
    changed: bool = False,
    dry_run: bool = False,
) -> Recorded:
    refused = bool(message)
    findings = (Finding("r", message, "mend it"),) if message else ()
    outcome: OutcomeName = "refused" if refused else "changed" if changed else "passed"
    decision = Decision(
        allowed=not refused,
        message=message,
        would_allow=not refused,
        operations=({"op": "add", "path": "/a", "value": 1},) if changed else (),
        outcomes=(GuardrailResult("team", "podSecurity", "enforce", outcome, "enforce", findings),),
        cost=cost,
    )
    subject = Subject("Pod", "shop-x", namespace, "CREATE", "", dry_run, Requester("jane"), Pod())
    line = msgspec.json.encode({"kind": "Pod", "name": "shop-x", "pad": "x" * size}) + b"\n"
    return Recorded(path, subject, Controller("Deployment", name), decision, at, line)


def test_a_decision_that_repeats_counts_up_and_keeps_the_newest_line() -> None:
    journal = Journal()
    for minute in range(5):
        journal.told(recorded(message="no", at=NOON + dt.timedelta(minutes=minute), size=minute))
    (kept,) = journal.of("team-alpha", "Deployment", "shop")
    assert (kept.times, kept.first, kept.last) == (5, NOON, NOON + dt.timedelta(minutes=4))
    assert kept.line == recorded(size=4).line


def test_another_verdict_is_a_line_of_its_own_and_the_calls_of_a_pod_do_not_alternate() -> None:
    journal = Journal()
    for _ in range(3):
        journal.told(recorded(path="/mutate"))
        journal.told(recorded(message="no"))
    journal.told(recorded(message="still no"))
    assert [kept.times for kept in journal.of("team-alpha", "Deployment", "shop")] == [3, 3, 1]


def test_a_pod_is_found_by_its_own_name_as_well() -> None:
    journal = Journal()
    journal.told(recorded(message="no"))
    assert len(journal.about("team-alpha", "Pod", "shop-x")) == 1
    assert journal.about("team-beta", "Pod", "shop-x") == []
    assert journal.owners() == [("team-alpha", "Deployment", "shop")]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 5), st.integers(0, 3_000)), max_size=120))
def test_it_never_holds_more_than_its_bounds(told: list[tuple[int, int, int]]) -> None:
    journal = Journal(maximum_bytes=10_000, maximum_owners=8)
    for name, message, size in told:
        journal.told(recorded(f"shop-{name}", f"no {message}", size=size))
        sizes = journal.sizes()
        assert sizes["journal_bytes"] <= 10_000
        assert sizes["journal_owners"] <= 8
        lines = [kept for owner in journal.owners() for kept in journal.of(*owner)]
        assert sum(len(kept.line) for kept in lines) == sizes["journal_bytes"]
    assert sum(journal.counts.values()) == len(told)


def test_who_was_silent_for_longest_is_forgotten_first() -> None:
    journal = Journal(maximum_owners=2)
    for name in ("a", "b", "a", "c"):
        journal.told(recorded(name))
    assert [owner.name for owner in journal.owners()] == ["c", "a"]


def test_counts_beyond_their_bound_are_booked_under_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journals, "MAXIMUM_KEYS", 3)
    journal = Journal()
    for number in range(10):
        journal.told(recorded(message="no", namespace=f"ns-{number}", cost=Cost(5, 5, 1, "requests", 100)))
    assert journal.counts["other", "other", "podSecurity", "refused"] == 7
    assert len(journal.counts) == 4
    assert journal.money["other"].refused == 7 * 500


@pytest.mark.parametrize(
    ("told", "money"),
    [
        pytest.param(
            recorded(path="/mutate", changed=True, cost=Cost(9, 4, 1, "", 100)), MonthlyMoney(saved=500), id="saved"
        ),
        pytest.param(
            recorded(path="/mutate", cost=Cost(9, 4, 1, "", 100)), MonthlyMoney(held_back=500), id="held back"
        ),
        pytest.param(recorded(message="no", cost=Cost(9, 4, 1, "", 100)), MonthlyMoney(refused=400), id="refused"),
        pytest.param(recorded(cost=Cost(9, 4, 1, "", 100)), None, id="let in"),
        pytest.param(recorded(path="/mutate", cost=Cost(4, 9, 1, "", 100)), None, id="dearer"),
        pytest.param(recorded(message="no", cost=Cost(9, 4, 1, "", 100), dry_run=True), None, id="dry run"),
    ],
)
def test_money_is_that_of_new_pods(told: Recorded, money: MonthlyMoney | None) -> None:
    journal = Journal()
    journal.told(told)
    assert journal.money.get("team-alpha") == money


def test_the_history_is_of_a_day_in_steps_of_five_minutes() -> None:
    journal = Journal()
    for hours in range(60):
        journal.told(recorded(message="no" if hours % 2 else "", at=NOON + dt.timedelta(hours=hours)))
    history = journal.history(NOON + dt.timedelta(hours=59))
    assert len(history) == 24
    assert history[-1][0] == NOON + dt.timedelta(hours=59)
    assert history[-1][1]["refused"] == 1
    assert sum(sum(counted.values()) for _, counted in history) == 24


def test_a_listener_that_fails_costs_neither_the_log_nor_the_others() -> None:
    world = factories.World(factories.policy("{mode: enforce, podSecurity: {level: restricted}}"))
    journal, lines = Journal(), Mock()
    broken = Mock(told=Mock(side_effect=RuntimeError("boom")))
    recorder = Recorder(lines, world.metrics, _scene.now, world.view, [broken, journal])
    subject = Subject("Pod", "x", "team-alpha", "CREATE", "", False, Requester(), Pod())
    recorder.record("/validate", "uid", subject, ALLOWED, 0.001, "USD")
    assert lines.write.call_count == 1
    assert journal.taken == 1
    assert world.sample("podgate_recorder_faults_total") == 1


def test_the_line_of_an_owned_pod_names_its_top_most_owner() -> None:
    cluster = [_scene.team(), *_scene.deployment()]
    world = factories.World(factories.policy("{mode: enforce, podSecurity: {level: restricted}}"), cluster=cluster)
    journal = Journal()
    world.engine._recorder = Recorder(world, world.metrics, _scene.now, world.view, [journal])
    pod: dict[str, Any] = factories.pod(metadata={"ownerReferences": _scene.owned("ReplicaSet", "shop-7d9c8b6f5")})
    answer = world.validate(pod)
    assert not answer.allowed
    assert answer.entry is not None
    assert answer.entry["owner"] == "Deployment/shop"
    (kept,) = journal.of("team-alpha", "Deployment", "shop")
    assert msgspec.json.decode(kept.line) == answer.entry


Changes = tuple[tuple[str, OutcomeName], ...]


@pytest.mark.parametrize(
    ("changes", "names", "money"),
    [
        ((("rightSizing", "changed"),), "rightSizing", MonthlyMoney(saved=500)),
        ((("spot", "would_change"),), "spot", MonthlyMoney(held_back=500)),
        ((("spot", "changed"), ("rightSizing", "changed")), "rightSizing and spot", MonthlyMoney(saved=500)),
        ((("spot", "would_change"), ("rightSizing", "changed")), "rightSizing and spot", MonthlyMoney(held_back=500)),
        # Labels are applied, and cost nothing; what would lower the price is held back.
        ((("costLabels", "changed"), ("rightSizing", "would_change")), "rightSizing", MonthlyMoney(held_back=500)),
        ((("costLabels", "changed"),), "other", MonthlyMoney(saved=500)),
    ],
)
def test_gains_are_told_by_the_guardrails_that_a_price_follows(
    changes: Changes, names: str, money: MonthlyMoney
) -> None:
    journal = Journal()
    told = recorded(path="/mutate", changed=True, cost=Cost(9, 4, 1, "", 100))
    outcomes = tuple(
        GuardrailResult("team", guardrail, "enforce", outcome, "enforce") for guardrail, outcome in changes
    )
    journal.told(told._replace(decision=msgspec.structs.replace(told.decision, outcomes=outcomes)))
    assert journal.gains == {names: money}
    assert journal.money == {"team-alpha": money}


def test_the_newest_line_of_each_path_is_told_of_whoever_was_told_of_last() -> None:
    journal = Journal()
    journal.told(recorded("first", message="no"))
    journal.told(recorded("second", path="/mutate", size=1))
    journal.told(recorded("second", path="/mutate", changed=True, size=2))
    journal.told(recorded("second", path="/validate", size=3))
    (second, lines), (first, _) = journal.newest()
    assert (second.name, first.name) == ("second", "first")
    assert [kept.line for kept in lines] == [recorded(size=2).line, recorded(size=3).line]


def test_a_line_that_would_push_out_everybody_else_is_counted_and_not_kept() -> None:
    journal = Journal(maximum_bytes=100_000)
    for number in range(50):
        journal.told(recorded(f"shop-{number}", message="no", size=1_000))

    for number in range(8):
        journal.told(recorded(f"large-{number}", message="too long", size=90_000))
    journal.told(recorded("shop-0", message="another", size=12_000))

    assert len(journal.owners()) == 50
    assert journal.of("team-alpha", "Deployment", "large-0") == []
    assert len(journal.of("team-alpha", "Deployment", "shop-0")) == 1
    assert journal.dropped == 9
    assert sum(journal.counts.values()) == 59
    assert journal.taken == 59
