"""The arithmetic of one stored ledger, and that what is stored is read back as it was."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webhook.ledger import _wire
from webhook.ledger.sheet import SETTLE, Ask, Reservation, Restored, Running, Sheet
from webhook.ledger.store import Outcome

NOW = datetime(2026, 11, 11, 12, 30, 1, 5, tzinfo=UTC)
TTL = timedelta(seconds=120)

rates = st.integers(0, 10**18)
moments = st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
reservations = st.dictionaries(
    st.uuids().map(str) | st.text(max_size=8),
    st.builds(Reservation, rates, moments, st.sampled_from(["", "owner"]) | st.text(max_size=8), st.booleans(), rates),
    max_size=5,
)
restored = st.none() | st.builds(Restored, st.just("Deleted"), st.text(max_size=20), moments)


def never(_had: int) -> bool:
    return False


@given(rates, rates, reservations, restored, st.integers(0, 2_000))
@settings(max_examples=60, deadline=None)
def test_what_is_stored_is_read_back(
    confirmed: int, replacement: int, booked: dict[str, Reservation], told: Restored | None, hours: int
) -> None:
    counted = Sheet.counted(confirmed, NOW)
    sheet = Sheet(
        confirmed, replacement, booked, counted.spending.advanced(confirmed, NOW + timedelta(hours=hours)), told
    )
    again = _wire.decode(_wire.encode(sheet, NOW + timedelta(hours=hours)))
    for name in ("confirmed", "replacement", "reservations", "spending", "restored", "rate", "beside", "committed"):
        assert getattr(again, name) == getattr(sheet, name)
    assert not again.is_changed


@given(st.lists(st.tuples(st.sampled_from("pqrs"), st.integers(0, 60), st.booleans()), max_size=12))
@settings(max_examples=60, deadline=None)
def test_sums_are_those_of_the_entries_and_never_above_the_limit(steps: list[tuple[str, int, bool]]) -> None:
    sheet = Sheet.counted(20, NOW)
    for key, micros, is_replacement in steps:
        before = sheet.committed
        sheet.reserve(Ask(key, micros, 100), lambda _, answer=is_replacement: answer, NOW)  # type: ignore[misc]
        assert sheet.rate == 20 + sum(each.rate for each in sheet.reservations.values())
        assert sheet.beside == sum(each.rate for each in sheet.reservations.values() if each.is_replacement)
        assert sheet.committed <= max(100, before)


def test_a_copy_leaves_the_original_alone() -> None:
    sheet = Sheet.counted(20, NOW).copy()
    copy = sheet.copy()
    assert copy.reserve(Ask("p", 30, 100), never, NOW).changed
    assert (sheet.rate, copy.rate, sheet.is_changed, copy.is_changed) == (20, 50, False, True)


def test_what_gets_cheaper_is_booked_once_it_is_seen() -> None:
    sheet = Sheet.counted(50, NOW).copy()
    assert sheet.reserve(Ask("p", 30, 10, live=50), never, NOW).outcome.accepted
    assert (sheet.rate, sheet.is_changed) == (50, False)


def test_a_resize_counts_only_what_it_adds() -> None:
    sheet = Sheet.counted(50, NOW)
    assert sheet.reserve(Ask("p", 60, 70, live=40), never, NOW).outcome.accepted
    assert sheet.rate == 70
    assert sheet.reserve(Ask("q", 1, 70), never, NOW).outcome == Outcome(False, committed=70, limit=70)


def test_to_give_back_restores_what_was_there_before() -> None:
    sheet = Sheet.counted(0, NOW)
    sheet.reserve(Ask("p", 30, 100), never, NOW)
    verdict = sheet.reserve(Ask("p", 40, 100), never, NOW)
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
    sheet = Sheet.counted(0, NOW)
    sheet.reserve(Ask("p", 30, 100), never, NOW)
    sheet.recount(Running(0), lambda _: where, 100, NOW + timedelta(seconds=seconds), TTL)  # type: ignore[arg-type,return-value]
    assert sheet.rate == (30 if stays else 0)


def test_a_pod_that_runs_is_counted_at_what_it_costs_once_all_have_seen_it() -> None:
    sheet = Sheet.counted(0, NOW)
    sheet.reserve(Ask("p", 30, 100), never, NOW)
    sheet.recount(Running(33, {"p": 33}), lambda _: "running", 100, NOW + SETTLE, TTL)
    assert (sheet.confirmed, sheet.rate, sheet.reservations) == (33, 33, {})


@pytest.mark.parametrize(
    "status",
    [b"[]", b"{}", b"x", b'{"committed":1}', b'{"reservations":"p 1.0 2026-01-01T00:00:00Z"}'],
)
def test_what_no_writer_wrote_is_damaged_in_one_line(status: bytes) -> None:
    with pytest.raises(_wire.Damaged) as caught:
        _wire.decode(status)
    assert "\n" not in str(caught.value)
    assert _wire.salvage(status) == ({}, {})


def test_reservations_are_salvaged_one_by_one() -> None:
    sheet = Sheet.counted(0, NOW)
    sheet.reserve(Ask("p", 30, 100), never, NOW)
    raw = _wire.encode(sheet, NOW)
    lost = ["q 5", "r", "", "s 1.000000 today", "t 1.000000 2026-01-01T00:00:00", "u -1.000000 2026-01-01T00:00:00Z"]
    lost.append("v 1.000000 2026-01-01T00:00:00Z for free")
    broken = raw.replace(b'"reservations":"', b'"reservations":"' + "".join(f"{each}\\n" for each in lost).encode())
    assert broken != raw
    assert _wire.salvage(broken) == ({"p": Reservation(30, NOW)}, {})
    assert _wire.is_kept(raw, raw.replace(b":", b": "))
    assert not _wire.is_kept(raw, b"{}")
