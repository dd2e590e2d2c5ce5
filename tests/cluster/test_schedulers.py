"""A scheduler that stopped is a matter for everybody, one that never ran for the platform team."""

import logging
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from tests.contracts.view import obj
from tests.fakes.apiserver import PATHS, FakeApiServer
from tests.fakes.live import NOW, Live, eventually, live
from webhook.cluster.schedulers import Schedulers

STALE = "scheduler packer holds no fresh Lease; its pods stay with the default scheduler until it runs again"
ABSENT = "scheduler packer has no Lease in kube-system, so binPacking leaves pods as they are; "


@pytest.fixture
def running() -> Iterator[Live]:
    with FakeApiServer() as server, live(server) as it:
        yield it


def lease(age: float = 0, namespace: str = "kube-system") -> dict[str, Any]:
    renewed = (NOW - timedelta(seconds=age)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    made = obj("Lease", "packer", {"holderIdentity": "pod-1", "leaseDurationSeconds": 15, "renewTime": renewed})
    made["metadata"]["namespace"] = namespace
    return made


def followed(running: Live) -> Schedulers:
    running.watches.follow_schedulers({"packer"})
    eventually(lambda: running.watches.has_listed("leases/packer"))
    return Schedulers(running.view, running.watches)


def test_a_scheduler_without_any_lease_never_ran_here(running: Live) -> None:
    schedulers = followed(running)
    assert schedulers.states() == {"packer": "absent"}
    assert schedulers.notices() == [ABSENT + "install it with leader election, or switch binPacking off"]
    assert schedulers.remark(["packer", "another"]) == f"{schedulers.notices()[0]}."


def test_a_lease_in_a_namespace_that_is_not_believed_is_named_with_the_flag(running: Live) -> None:
    running.server.apply(lease(namespace="scheduling"))
    schedulers = followed(running)
    assert schedulers.states() == {"packer": "absent"}
    assert schedulers.notices() == [
        ABSENT + "its Lease is in scheduling: if that is right, give --scheduler-namespaces",
    ]


def test_a_lease_that_went_stale_is_a_scheduler_that_stopped(running: Live) -> None:
    running.server.apply(lease(age=21))
    schedulers = followed(running)
    assert schedulers.states() == {"packer": "stale"}
    assert schedulers.notices() == [STALE]
    assert schedulers.remark(["packer"]) == ""


def test_nothing_is_said_of_a_scheduler_whose_leases_were_not_listed_yet(running: Live) -> None:
    running.server.forbidden.add(PATHS["Lease"])
    running.watches.follow_schedulers({"packer"})
    schedulers = Schedulers(running.view, running.watches)
    assert schedulers.states() == {"packer": "unknown"}
    assert schedulers.notices() == []
    assert schedulers.remark(["packer"]) == ""


def test_each_change_is_logged_once(running: Live, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "podgate")
    schedulers = followed(running)

    def logged() -> list[tuple[str, str]]:
        caplog.clear()
        for _ in range(3):
            schedulers.look()
        return [(each.levelname, each.message) for each in caplog.records if each.name == "podgate"]

    assert logged() == [("WARNING", schedulers.notices()[0])]
    assert logged() == []
    running.server.apply(lease())
    eventually(lambda: schedulers.states() == {"packer": "alive"})
    assert logged() == [("INFO", "scheduler packer is alive; pods are handed to it again")]
    running.server.apply(lease(age=60))
    eventually(lambda: schedulers.states() == {"packer": "stale"})
    assert logged() == [("WARNING", STALE)]
    running.watches.follow_schedulers(())
    assert logged() == []


def test_a_scheduler_that_is_alive_from_the_start_is_nothing_to_log(
    running: Live, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "podgate")
    running.server.apply(lease())
    schedulers = followed(running)
    eventually(lambda: schedulers.states() == {"packer": "alive"})
    schedulers.look()
    assert [each.message for each in caplog.records if each.name == "podgate"] == []
