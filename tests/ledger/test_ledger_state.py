"""The arithmetic of one stored ledger, and that what is stored is read back as it was."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webhook.ledger import wire as ledger_wire
from webhook.ledger.ledger_state import (
    MOST_IN_ALL,
    MOST_RESERVATIONS,
    SETTLE,
    STALE,
    EscrowShare,
    LedgerState,
    Reservation,
    ReservationRequest,
    Restored,
    RunningPod,
)
from webhook.ledger.store import ReservationOutcome

NOW = datetime(2026, 11, 11, 12, 30, 1, 5, tzinfo=UTC)
TTL = timedelta(seconds=120)

rates = st.integers(0, 10**18)
moments = st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
reservations = st.dictionaries(
    st.uuids().map(str) | st.text(max_size=8),
    st.builds(
        Reservation,
        rates,
        moments,
        st.sampled_from(["", "owner"]) | st.text(max_size=8),
        st.booleans(),
        rates,
        st.sampled_from(["", "team-a"]) | st.text(max_size=8),
    ),
    max_size=5,
)
shares = st.dictionaries(st.sampled_from(["0a1b", "2c3d", "4e5f"]), st.builds(EscrowShare, rates, moments))
restored = st.none() | st.builds(Restored, st.just("Deleted"), st.text(max_size=20), moments)


def never(_had: int) -> bool:
    return False


@given(rates, rates, reservations, restored, shares, st.integers(0, 2_000))
@settings(max_examples=60, deadline=None)
def test_what_is_stored_is_read_back(
    confirmed: int,
    replacement: int,
    booked: dict[str, Reservation],
    told: Restored | None,
    held: dict[str, EscrowShare],
    hours: int,
) -> None:
    counted = LedgerState.counted(confirmed, NOW)
    sheet = LedgerState(
        confirmed, replacement, booked, counted.spending.advanced(confirmed, NOW + timedelta(hours=hours)), told, held
    )
    again = ledger_wire.decode(ledger_wire.encode(sheet, NOW + timedelta(hours=hours)))
    for name in (
        "confirmed",
        "replacement",
        "reservations",
        "spending",
        "restored",
        "rate",
        "beside",
        "committed",
        "shares",
    ):
        assert getattr(again, name) == getattr(sheet, name)
    assert not again.is_changed


@given(st.lists(st.tuples(st.sampled_from("pqrs"), st.integers(0, 60), st.booleans()), max_size=12))
@settings(max_examples=60, deadline=None)
def test_sums_are_those_of_the_entries_and_never_above_the_limit(steps: list[tuple[str, int, bool]]) -> None:
    sheet = LedgerState.counted(20, NOW)
    for key, micros, is_replacement in steps:
        before = sheet.committed
        sheet.reserve(ReservationRequest(key, micros, 100), lambda _, answer=is_replacement: answer, NOW)  # type: ignore[misc]
        assert sheet.rate == 20 + sum(each.rate for each in sheet.reservations.values())
        assert sheet.beside == sum(each.rate for each in sheet.reservations.values() if each.is_replacement)
        assert sheet.committed <= max(100, before)


def test_a_copy_leaves_the_original_alone() -> None:
    sheet = LedgerState.counted(20, NOW).copy()
    copy = sheet.copy()
    assert copy.reserve(ReservationRequest("p", 30, 100), never, NOW).changed
    assert (sheet.rate, copy.rate, sheet.is_changed, copy.is_changed) == (20, 50, False, True)


def test_what_gets_cheaper_is_booked_once_it_is_seen() -> None:
    sheet = LedgerState.counted(50, NOW).copy()
    assert sheet.reserve(ReservationRequest("p", 30, 10, live=50), never, NOW).outcome.accepted
    assert (sheet.rate, sheet.is_changed) == (50, False)


def test_a_resize_counts_only_what_it_adds() -> None:
    sheet = LedgerState.counted(50, NOW)
    assert sheet.reserve(ReservationRequest("p", 60, 70, live=40), never, NOW).outcome.accepted
    assert sheet.rate == 70
    assert sheet.reserve(ReservationRequest("q", 1, 70), never, NOW).outcome == ReservationOutcome(
        False, committed=70, limit=70
    )


def test_to_give_back_restores_what_was_there_before() -> None:
    sheet = LedgerState.counted(0, NOW)
    sheet.reserve(ReservationRequest("p", 30, 100), never, NOW)
    verdict = sheet.reserve(ReservationRequest("p", 40, 100), never, NOW)
    sheet.give_back("p", verdict.before, NOW)
    assert sheet.rate == 30
    sheet.give_back("p", None, NOW)
    sheet.give_back("p", None, NOW)
    assert sheet.rate == 0


@pytest.mark.parametrize(
    ("where", "seconds", "stays"),
    [
        pytest.param("unknown", 120, True, id="may still come"),
        pytest.param("unknown", 121, False, id="does not come any more"),
        pytest.param("running", 4, True, id="another budget pays, as far as is known"),
        pytest.param("running", 6, False, id="another budget pays"),
        pytest.param("ended", 0, False, id="has ended"),
    ],
)
def test_a_reservation_is_kept_as_long_as_it_may_be_true(where: str, seconds: int, stays: bool) -> None:
    sheet = LedgerState.counted(0, NOW)
    sheet.reserve(ReservationRequest("p", 30, 100), never, NOW)
    sheet.recount(RunningPod(0), lambda _: where, 100, NOW + timedelta(seconds=seconds), TTL)  # type: ignore[arg-type,return-value]
    assert sheet.rate == (30 if stays else 0)


def test_a_pod_that_runs_is_counted_at_what_it_costs_once_all_have_seen_it() -> None:
    sheet = LedgerState.counted(0, NOW)
    sheet.reserve(ReservationRequest("p", 30, 100), never, NOW)
    sheet.recount(RunningPod(33, {"p": 33}), lambda _: "running", 100, NOW + SETTLE, TTL)
    assert (sheet.confirmed, sheet.rate, sheet.reservations) == (33, 33, {})


@pytest.mark.parametrize(
    "status",
    [
        b"[]",
        b"{}",
        b"x",
        b'{"committed":1}',
        b'{"reservations":"p 1.0 2026-01-01T00:00:00Z"}',
        b'{"reservations":"\xff\xfe"}',
        b"\xff\xfe\x00",
        b'{"reservations":"\\ud800"}',
    ],
)
def test_what_no_writer_wrote_is_damaged_in_one_line(status: bytes) -> None:
    with pytest.raises(ledger_wire.Damaged) as caught:
        ledger_wire.decode(status)
    assert "\n" not in str(caught.value)
    assert ledger_wire.salvage(status) == ({}, {})


def test_reservations_are_salvaged_one_by_one() -> None:
    sheet = LedgerState.counted(0, NOW)
    sheet.reserve(ReservationRequest("p", 30, 100), never, NOW)
    raw = ledger_wire.encode(sheet, NOW)
    lost = ["q 5", "r", "", "s 1.000000 today", "t 1.000000 2026-01-01T00:00:00", "u -1.000000 2026-01-01T00:00:00Z"]
    lost.append("v 1.000000 2026-01-01T00:00:00Z for free")
    broken = raw.replace(b'"reservations":"', b'"reservations":"' + "".join(f"{each}\\n" for each in lost).encode())
    assert broken != raw
    assert ledger_wire.salvage(broken) == ({"p": Reservation(30, NOW)}, {})
    assert ledger_wire.is_kept(raw, raw.replace(b":", b": "))
    assert not ledger_wire.is_kept(raw, b"{}")


def test_a_share_has_the_form_of_a_reservation_so_that_older_replicas_count_it() -> None:
    sheet = LedgerState.counted(20, NOW)
    sheet.share("0a1b", 30, NOW)
    assert b"share:0a1b 0.000030 2026-11-11T12:30:01.000005Z\\n" in ledger_wire.encode(sheet, NOW)
    assert (sheet.rate, sheet.known, sheet.shared) == (50, 20, 30)
    sheet.share("0a1b", None, NOW)
    assert (sheet.rate, sheet.shares) == (20, {})


def test_a_line_of_an_older_replica_is_read_as_before() -> None:
    sheet = LedgerState.counted(0, NOW)
    sheet.reserve(ReservationRequest("p", 30, 100, "web"), never, NOW)
    assert b"p 0.000030 2026-11-11T12:30:01.000005Z owner=web\\n" in ledger_wire.encode(sheet, NOW)
    assert ledger_wire.decode(ledger_wire.encode(sheet, NOW)).reservations == {"p": Reservation(30, NOW, "web")}


def test_a_share_refuses_others_until_it_is_given_back() -> None:
    sheet = LedgerState.counted(20, NOW)
    sheet.share("0a1b", 30, NOW)
    assert sheet.reserve(ReservationRequest("p", 51, 100), never, NOW).outcome == ReservationOutcome(
        False, committed=50, limit=100
    )
    assert sheet.reserve(ReservationRequest("p", 50, 100), never, NOW).outcome.accepted


def test_a_pod_that_is_part_of_a_share_is_not_counted_beside_it() -> None:
    sheet = LedgerState.counted(20, NOW)
    sheet.share("0a1b", 30, NOW)
    later = NOW + timedelta(seconds=2)
    sheet.recount(RunningPod(45, {}, fresh=25), lambda _: "running", 100, later, TTL)
    assert sheet.rate == 50
    # More than a share can have booked came without being asked for.
    sheet.recount(RunningPod(60, {}, fresh=40), lambda _: "running", 100, later, TTL)
    assert sheet.rate == 60
    # Who is gone has booked no more.
    sheet.recount(RunningPod(60, {}, fresh=40), lambda _: "running", 100, later, TTL, {"0a1b"})
    assert (sheet.rate, sheet.shares) == (60, {})


def test_what_was_counted_or_reserved_is_never_taken_for_a_part_of_a_share() -> None:
    sheet = LedgerState.counted(20, NOW)
    sheet.reserve(ReservationRequest("p", 30, 100), never, NOW)
    sheet.share("0a1b", 40, NOW)
    # The 20 are young, and so is the pod whose reservation ends now.
    sheet.recount(RunningPod(50, {"p": 30}, fresh=20), lambda _: "running", 100, NOW + SETTLE, TTL)
    assert (sheet.confirmed, sheet.rate) == (50, 90)


def test_the_controller_that_asks_again_gets_back_what_it_never_used() -> None:
    sheet = LedgerState.counted(0, NOW)
    for pod in ("p", "q", "seen"):
        sheet.reserve(ReservationRequest(pod, 30, 100, "web"), never, NOW)
    sheet.reserve(ReservationRequest("other", 10, 100, "api"), never, NOW)
    unseen = {"p", "q", "other"}
    sheet.drop_stale("web", unseen.__contains__, NOW + STALE, NOW)
    assert sheet.rate == 100, "it may still come"
    sheet.drop_stale("web", unseen.__contains__, NOW + STALE + timedelta(seconds=1), NOW)
    assert set(sheet.reservations) == {"seen", "other"}
    assert sheet.rate == 40


def test_no_namespace_fills_what_all_share() -> None:
    sheet = LedgerState.counted(0, NOW)
    many = {f"{number}": Reservation(1, NOW, namespace="greedy") for number in range(MOST_RESERVATIONS)}
    sheet = LedgerState(0, 0, many, sheet.spending)
    refused = sheet.reserve(ReservationRequest("p", 1, 10**6, namespace="greedy"), never, NOW).outcome
    assert not refused.accepted
    assert "being created at this moment" in refused.reason
    assert sheet.reserve(ReservationRequest("p", 1, 10**6, namespace="modest"), never, NOW).outcome.accepted
    assert sheet.reserve(ReservationRequest("q", 1, None, namespace="greedy"), never, NOW).outcome.accepted


def test_two_that_fill_it_leave_room_for_those_that_come_later() -> None:
    many = {
        f"{name}-{number}": Reservation(1, NOW, namespace=name)
        for name in ("greedy", "hungry")
        for number in range(MOST_RESERVATIONS)
    }
    sheet = LedgerState(0, 0, many, LedgerState.counted(0, NOW).spending)
    for number in range(150):
        sheet.reserve(ReservationRequest(f"modest-{number}", 1, 10**6, namespace="modest"), never, NOW)
    assert sum(each.namespace == "modest" for each in sheet.reservations.values()) == 100
    assert not sheet.reserve(ReservationRequest("p", 1, 10**6, namespace="greedy"), never, NOW).outcome.accepted
    assert len(sheet.reservations) < MOST_IN_ALL


@pytest.mark.parametrize("ahead", [timedelta(days=1), timedelta(days=365)])
def test_a_reservation_of_a_clock_that_was_ahead_lives_no_longer_than_others(ahead: timedelta) -> None:
    sheet = LedgerState.counted(0, NOW)
    sheet.reserve(ReservationRequest("p", 30, 100), never, NOW + ahead)
    sheet.recount(RunningPod(0), lambda _: "unknown", 100, NOW, TTL)
    assert sheet.rate == 30
    sheet.recount(RunningPod(0), lambda _: "unknown", 100, NOW + TTL + timedelta(seconds=1), TTL)
    assert sheet.rate == 0
