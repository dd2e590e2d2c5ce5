"""Leader election: one leader at a time whatever the clocks say, and no gap that need not be."""

import asyncio
import datetime as dt
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes.objects import FakeRest
from webhook.kube import client as api
from webhook.kube import leader
from webhook.kube.leader import LEASE_SECONDS, RENEW_SECONDS, RETRY_SECONDS, Election
from webhook.kube.leases import LeaseStore

NOON = dt.datetime(2026, 11, 22, 12, tzinfo=dt.UTC)
PATH = "/apis/coordination.k8s.io/v1/namespaces/podgate/leases/podgate-leader"


class Clock:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


class Candidates:
    """Two candidates on one API server; each with its own idea of the date and of the length of a second."""

    def __init__(self, *, skew: float = 0.0, rate: float = 1.0) -> None:
        self.rest = FakeRest()
        self.clock = Clock()
        self.skew, self.rate = skew, rate
        self.one = self.candidate("one", 0.0, 1.0)
        self.two = self.candidate("two", skew, rate)

    def candidate(self, name: str, skew: float, rate: float) -> Election:
        store = LeaseStore(self.rest, "podgate", "podgate-leader")
        return Election(
            store,
            name,
            now=lambda: NOON + dt.timedelta(seconds=self.clock.seconds + skew),
            monotonic=lambda: self.clock.seconds * rate,
            random=lambda: 0.5,
        )

    def pass_seconds(self, seconds: float) -> None:
        self.clock.seconds += seconds

    @property
    def holder(self) -> str:
        return str(self.rest.objects[PATH]["spec"]["holderIdentity"])


def test_the_first_to_ask_leads_and_the_other_does_not() -> None:
    both = Candidates()

    assert both.one.attempt()
    assert not both.two.attempt()
    assert (both.one.is_leader(), both.two.is_leader()) == (True, False)
    assert (both.holder, both.two.holder) == ("one", "one")


def test_the_lease_is_what_other_tools_expect() -> None:
    both = Candidates()
    both.one.attempt()
    stored = both.rest.objects[PATH]

    assert (stored["apiVersion"], stored["kind"]) == ("coordination.k8s.io/v1", "Lease")
    assert stored["spec"] == {
        "holderIdentity": "one",
        "leaseDurationSeconds": LEASE_SECONDS,
        "acquireTime": "2026-11-22T12:16:40.000000Z",
        "renewTime": "2026-11-22T12:16:40.000000Z",
        "leaseTransitions": 0,
    }


def test_who_renews_in_time_keeps_it() -> None:
    both = Candidates()
    for _ in range(50):
        assert both.one.attempt()
        assert not both.two.attempt()
        both.pass_seconds(RETRY_SECONDS)

    assert both.one.transitions == 1
    assert both.rest.objects[PATH]["spec"]["leaseTransitions"] == 0


def test_a_silent_leader_stops_believing_in_itself_before_another_takes_over() -> None:
    both = Candidates()
    both.one.attempt()
    both.two.attempt()

    both.pass_seconds(RENEW_SECONDS)
    assert not both.one.is_leader()
    assert not both.two.attempt()
    both.pass_seconds(LEASE_SECONDS - RENEW_SECONDS)
    assert both.two.attempt()
    assert not both.one.attempt()
    assert both.rest.objects[PATH]["spec"]["leaseTransitions"] == 1


def test_a_newcomer_waits_a_whole_lease_whatever_time_is_written_there() -> None:
    both = Candidates()
    both.one.attempt()
    both.pass_seconds(1000)

    assert not both.two.attempt(), "it has not watched long enough to know that nobody renews"
    both.pass_seconds(LEASE_SECONDS)
    assert both.two.attempt()


def test_a_lease_given_back_is_taken_at_once() -> None:
    both = Candidates()
    both.one.attempt()
    both.two.attempt()

    both.one.release()

    assert not both.one.is_leader()
    assert both.holder == ""
    assert both.two.attempt()
    assert not both.one.attempt(), "who has stopped does not come back"
    assert both.holder == "two"


def test_giving_back_what_another_holds_changes_nothing() -> None:
    both = Candidates()
    both.one.attempt()

    both.two.release()

    assert both.holder == "one"


def test_a_restarted_holder_of_the_same_name_goes_on() -> None:
    both = Candidates()
    both.one.attempt()

    assert both.candidate("one", 0.0, 1.0).attempt()


def test_who_loses_the_race_for_the_write_does_not_lead() -> None:
    both = Candidates()

    def overtake(method: str, _path: str) -> None:
        if method == "POST":
            both.rest.before = None
            both.two.attempt()

    both.rest.before = overtake

    assert not both.one.attempt()
    assert both.one.problem is None, "that another is faster is no failure"
    assert both.two.is_leader()


def test_a_leader_whose_renewal_meets_a_conflict_leads_until_its_time_is_over() -> None:
    both = Candidates()
    both.one.attempt()
    both.pass_seconds(5)

    def touch(method: str, path: str) -> None:
        if method == "PUT":
            both.rest.put(path, both.rest.objects[path])

    both.rest.before = touch
    assert both.one.attempt()
    both.pass_seconds(5)
    assert not both.one.attempt()
    both.rest.before = None
    assert both.one.attempt()


def test_a_leader_whose_renewal_comes_too_late_does_not_name_itself_as_the_holder(
    caplog: pytest.LogCaptureFixture,
) -> None:
    both = Candidates()
    both.one.attempt()
    both.pass_seconds(5)

    def dawdle(method: str, path: str) -> None:
        if method == "PUT":
            both.pass_seconds(RENEW_SECONDS)
            both.rest.put(path, both.rest.objects[path])

    both.rest.before = dawdle
    assert not both.one.attempt()
    assert caplog.messages[-1] == "no longer leading; its lease ran out before it was renewed"


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(api.ForbiddenError("no; grant it", 403), id="forbidden"),
        pytest.param(api.UnreachableError("no answer"), id="unreachable"),
        pytest.param(api.ApiError("try later", 500), id="server error"),
    ],
)
def test_an_api_server_that_fails_ends_the_lead_in_time_and_is_told(error: api.ApiError) -> None:
    both = Candidates()
    both.one.attempt()

    def fail(_method: str, _path: str) -> None:
        raise error

    both.rest.before = fail
    both.pass_seconds(RENEW_SECONDS / 2)
    assert both.one.attempt(), "one failed renewal is no reason to stop"
    assert both.one.problem == str(error)
    both.pass_seconds(RENEW_SECONDS / 2)
    assert not both.one.attempt()
    both.one.release()
    both.rest.before = None
    assert both.candidate("one", 0.0, 1.0).attempt()


def test_a_slow_answer_counts_from_when_it_was_asked_for() -> None:
    both = Candidates()

    def dawdle(method: str, _path: str) -> None:
        if method == "POST":
            both.pass_seconds(RENEW_SECONDS)

    both.rest.before = dawdle

    assert not both.one.attempt(), "by the time it is known, it is over"


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param(None, id="nothing"),
        pytest.param({}, id="empty"),
        pytest.param({"holderIdentity": None, "leaseDurationSeconds": "x"}, id="nulls"),
        pytest.param({"holderIdentity": "gone", "leaseDurationSeconds": 0}, id="no duration"),
        pytest.param({"holderIdentity": "gone", "leaseDurationSeconds": 10**9}, id="absurd duration"),
        pytest.param({"holderIdentity": "gone", "renewTime": "tomorrow"}, id="no time"),
    ],
)
def test_a_lease_written_by_hand_is_taken_over(spec: dict[str, object] | None) -> None:
    both = Candidates()
    both.rest.put(PATH, {"metadata": {"name": "podgate-leader"}, "spec": spec})

    both.one.attempt()
    both.pass_seconds(4 * LEASE_SECONDS)

    assert both.one.attempt()


@settings(max_examples=60, deadline=None)
@given(
    skew=st.sampled_from([0.0, -1e9, 1e8]),
    rate=st.sampled_from([0.8, 1.0, 1.3]),
    events=st.lists(
        st.tuples(st.sampled_from(["one", "two", "both"]), st.sampled_from([0.5, 2.0, 4.0, 11.0, 16.0])), max_size=40
    ),
)
def test_never_do_two_lead_at_a_time(skew: float, rate: float, events: list[tuple[str, float]]) -> None:
    both = Candidates(skew=skew, rate=rate)

    for who, seconds in events:
        if who in ("one", "both"):
            both.one.attempt()
        if who in ("two", "both"):
            both.two.attempt()
        assert not (both.one.is_leader() and both.two.is_leader())
        both.pass_seconds(seconds)
        assert not (both.one.is_leader() and both.two.is_leader())


async def test_while_it_runs_it_stands_for_election_and_gives_back_at_the_end() -> None:
    both = Candidates()
    async with both.one.running():
        for _ in range(200):
            if both.one.is_leader():
                break
            await asyncio.sleep(0.005)
        assert both.one.is_leader()

    assert both.holder == ""


async def test_an_api_server_that_hangs_does_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leader, "RELEASE_SECONDS", 0.1)
    both = Candidates()
    hung, freed = threading.Event(), threading.Event()

    def hang(_method: str, _path: str) -> None:
        hung.set()
        freed.wait(20)

    both.rest.before = hang
    begin = time.monotonic()
    async with both.one.running():
        assert await asyncio.to_thread(hung.wait, 10)
    took = time.monotonic() - begin
    freed.set()

    assert took < 5
