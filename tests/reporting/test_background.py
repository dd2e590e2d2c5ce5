"""The background scan: on the leader alone, nothing unchanged twice, never an object a request, and no load."""

import asyncio
import time
from typing import Any

import pytest

from tests import factories
from tests.fakes.reports import FakeLister, FakeReports
from tests.reporting import _scene
from webhook.cluster.snapshot import Snapshot
from webhook.kube import client
from webhook.ledger.memory import MemoryLedger
from webhook.reporting import background
from webhook.reporting.background import BackgroundScan, Interrupted, ScanBasis

BOTH = ("openreports.io", "wgpolicyk8s.io")
Object = dict[str, Any]


class Scene:
    """A cluster and the scan of it."""

    def __init__(self, *objects: Object, installed: tuple[str, ...] = BOTH) -> None:
        self.seconds = 0.0
        self.leads = True
        self.lister = FakeLister(*objects)
        self.rest = FakeReports(*installed)
        self.ledger = MemoryLedger(clock=_scene.now)
        self.set_cluster(_scene.team(), *_scene.deployment())
        self.policies = _scene.policies(_scene.LABELLED)
        self.scan = BackgroundScan(
            lambda: ScanBasis(self.policies, self.view, self.ledger, ("podgate",)),
            self.lister,
            self.rest,
            leads=lambda: self.leads,
            now=_scene.now,
            monotonic=lambda: self.seconds,
            sleep=self.sleep,
            interval=60,
        )

    def set_cluster(self, *objects: Object) -> None:
        self.view = Snapshot.from_documents(objects)

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds

    def touch(self, name: str) -> None:
        for each in self.lister.objects:
            if each["metadata"]["name"] == name:
                each["metadata"]["resourceVersion"] += "1"

    @property
    def writes(self) -> list[tuple[str, str]]:
        return [call for call in self.rest.calls if call[0] != "GET"]


def pods(count: int, **changes: Any) -> list[Object]:  # noqa: ANN401  fields of a pod
    return [_scene.running(f"p{number}", ("ReplicaSet", "shop-7d9c8b6f5"), **changes) for number in range(count)]


def test_one_report_a_namespace_is_written_in_each_kind_that_is_installed() -> None:
    scene = Scene(*pods(20))
    scene.scan.scan()
    assert sorted(scene.rest.reports) == ["openreports.io team-alpha", "wgpolicyk8s.io team-alpha"]
    for each in scene.rest.reports.values():
        assert each["summary"]["fail"] == 20
        assert [item["resources"][0]["name"] for item in each["results"] if item["result"] == "fail"] == ["shop"]


@pytest.mark.parametrize("installed", [(), ("wgpolicyk8s.io",)])
def test_a_kind_that_is_not_installed_is_no_problem(installed: tuple[str, ...]) -> None:
    scene = Scene(*pods(1), installed=installed)
    scene.scan.scan()
    assert len(scene.rest.reports) == len(installed)
    assert scene.scan.notices() == []


def test_what_has_not_changed_is_neither_judged_nor_written_again() -> None:
    scene = Scene(*pods(10))
    scene.scan.scan()
    writes = len(scene.writes)
    scene.scan.scan()
    assert scene.scan.counts == {"judged": 10, "unchanged": 10, "failed": 0}
    assert len(scene.writes) == writes
    scene.touch("p3")
    scene.scan.scan()
    assert scene.scan.counts["judged"] == 11


def test_a_change_around_an_object_has_it_judged_again() -> None:
    scene = Scene(*pods(3))
    scene.scan.scan()
    scene.policies = _scene.policies(factories.policy("{mode: audit, podSecurity: {level: baseline}}"))
    scene.scan.scan()
    assert scene.scan.counts["judged"] == 6
    assert scene.rest.reports["openreports.io team-alpha"]["summary"]["fail"] == 0
    scene.set_cluster(_scene.team({"cost-center": "beta"}), *_scene.deployment())
    scene.scan.scan()
    assert scene.scan.counts["judged"] == 9


def test_an_old_verdict_is_made_again() -> None:
    scene = Scene(*pods(2))
    scene.scan.scan()
    scene.seconds += background.OLDEST_SECONDS
    scene.scan.scan()
    assert scene.scan.counts["judged"] == 4


def test_a_report_of_a_namespace_that_runs_nothing_any_more_is_deleted_and_others_are_left_alone() -> None:
    scene = Scene(*pods(1))
    foreign = {"apiVersion": "wgpolicyk8s.io/v1alpha2", "metadata": {"name": "polr-other", "namespace": "team-alpha"}}
    scene.rest.put("/apis/wgpolicyk8s.io/v1alpha2/namespaces/team-alpha/policyreports/polr-other", foreign)
    scene.scan.scan()
    scene.lister.objects.clear()
    scene.scan.scan()
    assert scene.rest.reports == {}
    assert [each["metadata"]["name"] for each in scene.rest.objects.values()] == ["polr-other"]
    assert scene.scan.writes["deleted"] == 2
    assert scene.scan.size() == 0


def test_a_thousand_pods_of_many_namespaces_are_a_bounded_number_of_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "WRITES", 7)
    many = [_scene.running(f"p{number}") for number in range(20)]
    for number, each in enumerate(many):
        each["metadata"]["namespace"] = f"ns-{number}"
    scene = Scene(*many, installed=("openreports.io",))
    scene.scan.scan()
    assert len(scene.writes) == 7
    assert scene.scan.notices() == ["reports: 13 reports are written after the next scan"]
    scene.scan.scan()
    scene.scan.scan()
    assert len(scene.rest.reports) == 20
    assert scene.scan.notices() == []


def test_a_scan_that_is_interrupted_goes_on_from_what_it_knows() -> None:
    scene = Scene(*pods(10))
    read = scene.lister.get

    def lose_the_lead(path: str, query: dict[str, str] | None = None) -> bytes:
        if (query or {}).get("continue") == "6":
            scene.leads = False
        return read(path, query)

    scene.lister.get = lose_the_lead  # type: ignore[method-assign]  # what the test is about
    with pytest.raises(Interrupted):
        scene.scan.scan()
    assert scene.writes == []
    judged = scene.scan.counts["judged"]
    assert 0 < judged < 10
    scene.leads, scene.lister.get = True, read  # type: ignore[method-assign]  # see above
    scene.scan.scan()
    assert scene.scan.counts == {"judged": 10, "unchanged": judged, "failed": 0}


def test_half_a_view_writes_no_report_and_says_what_is_missing() -> None:
    scene = Scene(*pods(2))
    scene.lister.failures["/api/v1/pods"] = [client.ForbiddenError("GET /api/v1/pods: forbidden; grant it", 403)]
    made = scene.scan.scan()
    assert made is not None
    assert made.has_failures
    assert scene.writes == []
    assert scene.scan.notices() == ["pods: GET /api/v1/pods: forbidden; grant it"]


def test_reports_that_may_not_be_written_are_a_notice() -> None:
    scene = Scene(*pods(2), installed=("openreports.io",))

    def refuse(method: str, path: str) -> None:
        if method == "POST":
            raise client.ForbiddenError(f"POST {path}: forbidden; grant it", 403)

    scene.rest.before = refuse
    scene.scan.scan()
    assert "forbidden" in scene.scan.notices()[0]
    assert scene.scan.writes["failed"] == 1


def test_another_writer_of_our_report_is_met_with_the_next_scan() -> None:
    scene = Scene(*pods(2), installed=("openreports.io",))
    scene.scan.scan()
    scene.touch("p1")
    scene.policies = _scene.policies(factories.policy("{mode: audit, podSecurity: {level: baseline}}"))

    def other(method: str, path: str) -> None:
        if method == "PUT":
            scene.rest.before = None
            scene.rest.put(path, scene.rest.objects[path])

    scene.rest.before = other
    scene.scan.scan()
    assert scene.scan.writes["conflict"] == 1
    scene.scan.scan()
    assert scene.rest.reports["openreports.io team-alpha"]["summary"]["fail"] == 0


def test_a_pod_that_does_not_decode_costs_the_others_nothing() -> None:
    broken = _scene.running("odd")
    broken["spec"] = {"containers": 3}
    scene = Scene(broken, *pods(2))
    made = scene.scan.scan()
    assert made is not None
    assert made.total.objects == 2


def test_judging_takes_a_part_of_the_time_of_one_core() -> None:
    lister = FakeLister(*pods(400), page=250)
    ledger = MemoryLedger(clock=_scene.now)
    view = Snapshot.from_documents([_scene.team(), *_scene.deployment()])
    given = _scene.policies(_scene.LABELLED)
    slept: list[float] = []
    scan = BackgroundScan(
        lambda: ScanBasis(given, view, ledger, ()),
        lister,
        FakeReports(),
        leads=lambda: True,
        now=_scene.now,
        sleep=slept.append,
        interval=60,
    )
    begin = time.monotonic()
    scan.scan()
    worked = time.monotonic() - begin
    assert sum(slept) > worked * (background.SHARE - 1) * 0.5


async def test_only_the_leader_scans_and_the_task_ends_with_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "_LOOK_SECONDS", 0.01)
    scene = Scene(*pods(1))
    scene.leads = False
    scene.seconds = 1.0
    async with scene.scan.running():
        await asyncio.sleep(0.05)
        scene.seconds += 1_000
        await asyncio.sleep(0.2)
        assert scene.scan.scans == 0
        scene.leads = True
        for _ in range(300):
            if scene.scan.scans:
                break
            await asyncio.sleep(0.01)
        assert scene.scan.scans == 1
    scans = scene.scan.scans
    scene.seconds += 1_000
    await asyncio.sleep(0.1)
    assert scene.scan.scans == scans
