"""Workloads on the pages: narrowed, ordered, paged, and each with its decisions to the letter."""

import json

import pytest

from tests import factories
from tests.dashboard._scene import Scene
from webhook.dashboard import workloads
from webhook.dashboard.workloads import Query
from webhook.reporting.journal import VERDICTS, DecisionOwner


def names(scene: Scene, **query: object) -> list[str]:
    page = workloads.find(workloads.rows(scene.journal.newest()), Query(**query))  # type: ignore[arg-type]  # by name, from a table
    return [row.owner.name for row in page.rows]


@pytest.fixture(scope="module")
def scene() -> Scene:
    made = Scene()
    small = factories.container(cpu="100m", memory="1Gi")
    made.create(factories.safe_pod(small, metadata={"name": "quiet"}), namespace="team-beta")
    made.create(factories.pod(small, hostNetwork=True, metadata={"name": "rogue"}))
    made.validate(factories.deployment(3, factories.pod(small, hostNetwork=True)))
    return made


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, ["rogue", "shop", "quiet"]),
        ({"order": "newest"}, ["shop", "rogue", "quiet"]),
        ({"namespace": "team-beta"}, ["quiet"]),
        ({"verdict": "refused"}, ["rogue"]),
        ({"verdict": "warned"}, ["shop"]),
        ({"policy": "team", "guardrail": "podSecurity"}, ["rogue", "shop"]),
        ({"guardrail": "podSecurity", "policy": "another"}, []),
        ({"text": "ROG"}, ["rogue"]),
        ({"text": "team-alpha/deployment"}, ["shop"]),
        ({"text": "nothing like it"}, []),
        ({"page": 99}, ["rogue", "shop", "quiet"]),
        ({"page": -1}, ["rogue", "shop", "quiet"]),
    ],
)
def test_a_query_narrows_and_orders(scene: Scene, query: dict[str, object], found: list[str]) -> None:
    assert names(scene, **query) == found


def test_verdicts_are_those_that_the_journal_counts(scene: Scene) -> None:
    rows = {row.owner.name: row.verdict for row in workloads.find(workloads.rows(scene.journal.newest()), Query()).rows}
    assert rows == {"rogue": "refused", "shop": "warned", "quiet": "changed"}
    assert set(rows.values()) < set(VERDICTS)


def test_many_workloads_come_in_pages() -> None:
    made = Scene()
    for number in range(workloads.PAGE + 3):
        made.validate(factories.deployment(1, name=f"app-{number:03}"))
    first, second = (workloads.find(workloads.rows(made.journal.newest()), Query(page=number)) for number in (1, 2))
    assert (len(first.rows), len(second.rows), first.pages, first.fitting) == (workloads.PAGE, 3, 2, workloads.PAGE + 3)
    assert not {row.owner for row in first.rows} & {row.owner for row in second.rows}


def test_choices_are_bounded() -> None:
    made = Scene()
    for number in range(workloads.CHOICES + 5):
        made.mutate(factories.safe_pod(), namespace=f"ns-{number}")
    assert len(workloads.find(workloads.rows(made.journal.newest()), Query()).namespaces) == workloads.CHOICES


def test_the_exact_patch_is_shown_as_it_was_sent() -> None:
    made = Scene()
    answer = made.mutate(factories.safe_pod(metadata={"name": "shop"}))
    (decided,) = workloads.decisions(made.journal.of("team-alpha", "Pod", "shop"))
    assert [json.loads(line) for line in decided.patch] == answer.patch != []
    assert decided.would_patch == []
    assert decided.is_pod


def test_what_a_mode_holds_back_is_shown_as_the_audit_log_has_it() -> None:
    made = Scene(cap="audit")
    answer = made.mutate(factories.safe_pod(metadata={"name": "shop"}))
    (decided,) = workloads.decisions(made.journal.of("team-alpha", "Pod", "shop"))
    assert answer.patch == []
    assert decided.patch == []
    assert answer.entry is not None
    assert [json.loads(line) for line in decided.would_patch] == answer.entry["wouldPatch"] != []


def test_a_huge_patch_is_cut_and_says_by_how_much(scene: Scene) -> None:
    made = Scene()
    made.mutate(factories.safe_pod(metadata={"name": "shop"}))
    (kept,) = made.journal.of("team-alpha", "Pod", "shop")
    entry = json.loads(kept.line)
    entry["wouldPatch"] = [{"op": "add", "path": f"/a/{number}", "value": 1} for number in range(1_000)]
    (decided,) = workloads.decisions([kept._replace(line=json.dumps(entry).encode())])
    assert len(decided.would_patch) == workloads.OPERATIONS
    assert decided.left_out == 1_000 - workloads.OPERATIONS


def test_the_newest_decision_comes_first(scene: Scene) -> None:
    decided = workloads.decisions(scene.journal.of("team-alpha", "Pod", "rogue"))
    assert [each.explained.path for each in decided] == ["/validate", "/mutate"]
    assert decided[0].explained.verdict == "refused"
    assert decided[0].explained.lines[0].cure


def test_a_workload_that_was_never_told_of_has_nothing() -> None:
    assert workloads.decisions(Scene().journal.of(*DecisionOwner("a", "b", "c"))) == []
