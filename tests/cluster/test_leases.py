"""A scheduler is alive while its Lease is fresh."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from webhook.cluster import leases

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def spec(age: float = 0, holder: object = "pod-1", duration: object = 15) -> dict[str, object]:
    renewed = (NOW - timedelta(seconds=age)).isoformat().replace("+00:00", "Z")
    return {"holderIdentity": holder, "leaseDurationSeconds": duration, "renewTime": renewed}


def read(content: object) -> leases.Lease:
    return leases.decode(json.dumps({"spec": content}).encode())


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(spec(0), id="renewed now"),
        pytest.param(spec(20), id="at the last moment"),
        pytest.param(spec(15, duration=None), id="kube-scheduler's duration where none is given"),
        pytest.param(spec(-19), id="a clock that is ahead by less than the lease"),
        pytest.param(spec(60, duration=60), id="a longer lease"),
    ],
)
def test_a_fresh_lease_is_a_scheduler_that_runs(content: dict[str, object]) -> None:
    assert leases.is_fresh(read(content), NOW)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(spec(20.1), id="a moment too old"),
        pytest.param(spec(0, holder=""), id="released"),
        pytest.param(spec(0, holder=None), id="never held"),
        pytest.param({"holderIdentity": "pod-1"}, id="never renewed"),
        pytest.param(None, id="no spec"),
        pytest.param(spec(-3600), id="renewed in an hour"),
        pytest.param(spec(7200, duration=10**9), id="good for years"),
        pytest.param(spec(6, duration=-5), id="negative duration"),
    ],
)
def test_any_other_lease_is_not(content: object) -> None:
    assert not leases.is_fresh(read(content), NOW)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param({**spec(), "renewTime": "soon"}, id="no time"),
        pytest.param({**spec(), "renewTime": "2026-11-22T12:00:00"}, id="no zone"),
        pytest.param({**spec(), "leaseDurationSeconds": "15"}, id="duration is text"),
        pytest.param(7, id="spec is a number"),
    ],
)
def test_a_lease_that_cannot_be_read_is_an_error(content: object) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        read(content)
