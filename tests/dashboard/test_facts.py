"""What the pages tell is what was decided, bounded, and said in the words of the policies in force."""

from datetime import timedelta

import pytest

from tests import factories
from tests.dashboard._scene import POLICY, Scene, exception
from webhook.cluster.watches import WatchReport
from webhook.dashboard import facts as telling
from webhook.dashboard import sources
from webhook.dashboard.sources import CurrentPolicies
from webhook.kube.reflector import ReflectorPhase, WatchState
from webhook.policy.model.problems import PolicyProblem
from webhook.reporting.journal import DecisionOwner, MonthlyMoney

NOON = factories.NOON


def test_decisions_are_told_by_policy_and_by_namespace() -> None:
    facts = Scene().busy().facts()
    lines = {(line.policy, line.guardrail): (line.mode, dict(line.outcomes)) for line in facts.by_policy.shown}
    assert lines["team", "podSecurity"] == ("enforce", {"refused": 1})
    assert lines["team", "costCeiling"][1]["refused"] == 2
    assert {line.namespace for line in facts.by_namespace.shown} == {"team-alpha"}
    assert facts.verdicts["refused"] == 2
    assert facts.taken == sum(facts.verdicts.values()) == 5
    assert facts.money.refused == 400_000_000
    assert facts.is_ready


def test_the_mode_that_is_told_is_the_one_that_holds() -> None:
    facts = Scene(cap="audit").busy().facts()
    assert {line.mode for line in facts.by_policy.shown} == {"audit"}
    assert all("enforce" not in line.says for line in facts.documents.shown)


def test_a_policy_that_is_gone_has_no_mode() -> None:
    scene = Scene().busy()
    scene.journal.counts["team-alpha", "old", "spot", "changed"] = 1
    lines = {line.policy: line.mode for line in scene.facts().by_policy.shown}
    assert lines["old"] == ""


def test_budgets_count_what_was_admitted() -> None:
    scene = Scene()
    scene.create(factories.safe_pod(factories.container(cpu="500m", memory="5Gi")))
    (budget,) = scene.facts().budgets.shown
    assert (budget.name, budget.scope, budget.percent, budget.state) == ("teams", "namespaces team-*", 10, "within")


def test_without_policies_in_force_nothing_is_made_up() -> None:
    scene = Scene(checks=[("policies", "none are loaded")])
    source = scene.sources._replace(rules=lambda: None, policies=lambda: CurrentPolicies(None, [], 0, None))
    facts = telling.tell(sources.take(source), source)
    assert (facts.in_force, facts.is_ready, facts.documents.total, facts.budgets.total) == (False, False, 0, 0)


def test_every_list_is_bounded_and_says_what_it_leaves_out() -> None:
    problems = [PolicyProblem("a.yaml", number, 1, "spec", "is wrong", "Mend it.") for number in range(1_000)]
    scene = Scene(problems=problems)
    for number in range(1_000):
        scene.journal.counts[f"ns-{number}", f"policy-{number}", "spot", "changed"] = number
        scene.journal.money[f"ns-{number}"] = MonthlyMoney(saved=number)
    facts = scene.facts()
    for some in (facts.problems, facts.by_policy, facts.by_namespace):
        assert (len(some.shown), some.total, some.more) == (telling.MOST, 1_000, 1_000 - telling.MOST)
    assert facts.by_policy.shown[0].policy == "policy-999"


def test_uses_of_an_exception_are_those_that_admission_writes_down() -> None:
    scene = Scene(POLICY, exception())
    scene.create(factories.pod(hostNetwork=True))
    (line,) = scene.facts().exceptions.shown
    # Both calls of the pod are let off.
    assert (line.told.uses, line.counts_uses, line.told.state, line.days) == (2, True, "expires soon", 9)


def test_uses_that_are_not_counted_are_not_told_as_none() -> None:
    scene = Scene(POLICY, exception(spec="  controls: [hostNamespaces]\n"))
    scene.create(factories.pod(hostNetwork=True))
    (line,) = scene.facts().exceptions.shown
    assert not line.counts_uses


@pytest.mark.parametrize(
    ("day", "days", "state"),
    [("2026-11-21", -1, "expired"), ("2026-11-22", 0, "expires soon"), ("2026-12-31", 39, "active")],
)
def test_an_exception_holds_to_the_end_of_its_last_day(day: str, days: int, state: str) -> None:
    (line,) = Scene(POLICY, exception(expires=day)).facts().exceptions.shown
    assert (line.days, line.told.state) == (days, state)


@pytest.mark.parametrize(
    ("seconds", "days", "state"),
    [
        (-5.0, -1, "expired"),
        (0.0, 0, "expired"),
        (86_399.0, 0, "ends soon"),
        (20 * 86_400.0, 20, "ends soon"),
        (21 * 86_400.0, 21, "good"),
    ],
)
def test_certificates_are_told_in_days(seconds: float, days: int, state: str) -> None:
    (certificate,) = Scene(certificates={"leaf": seconds}).facts().certificates
    assert certificate == ("serving certificate", days, state)


def watch(phase: ReflectorPhase, *, synced: bool = True, age: float | None = 3.0, reason: str = "") -> WatchReport:
    state = WatchState(phase, synced, None, reason, 1, {})
    return WatchReport("pods", state, age)


@pytest.mark.parametrize(
    ("report", "state"),
    [
        (watch("watching"), "well"),
        (watch("listing", synced=False), "not listed yet"),
        (watch("listing", synced=False, reason="timed out"), "timed out"),
        (watch("broken", reason="reset"), "may be out of date: reset"),
        (watch("forbidden", reason="403"), "may be out of date: 403"),
        (watch("watching", age=100_000.0), "may be out of date: the watch is silent"),
        (watch("absent", reason="no such kind"), "no such kind"),
    ],
)
def test_a_watch_says_what_is_wrong_with_it(report: WatchReport, state: str) -> None:
    (told,) = Scene(watches=[report]).facts().watches
    assert told.state == state


def test_savings_are_told_by_the_guardrail_that_made_them() -> None:
    scene = Scene()
    scene.journal.gains = {"spot": MonthlyMoney(saved=5), "rightSizing": MonthlyMoney(saved=1, held_back=9)}
    assert scene.facts().savings == [("rightSizing", 1, 9), ("spot", 5, 0)]


def test_the_last_day_is_what_the_journal_remembers() -> None:
    scene = Scene().busy()
    scene.time = NOON + timedelta(hours=25)
    facts = scene.facts()
    assert sum(facts.verdicts.values()) == 0
    assert facts.taken == 5


def test_the_newest_lines_are_those_of_the_owner_that_was_told_of_last() -> None:
    newest = Scene().busy().journal.newest()
    assert newest[0][0] == DecisionOwner("team-alpha", "Deployment", "shop")
    assert all(len(lines) <= 2 for _, lines in newest)
