"""How long a review has waited, as far as a process can know, and how long it may."""

import asyncio
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from webhook.serve import event_loop_lag


class Loop:
    """An event loop whose time the test moves, so that a busy machine cannot make it late by itself."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self._timers: list[tuple[float, Callable[..., object], tuple[object, ...]]] = []
        self._soon: list[tuple[Callable[..., object], tuple[object, ...]]] = []

    def call_later(self, seconds: float, call: Callable[..., object], *arguments: object) -> Any:  # noqa: ANN401
        timer = (self.now + seconds, call, arguments)
        self._timers.append(timer)
        return SimpleNamespace(cancel=lambda: self._timers.remove(timer))

    def call_soon(self, call: Callable[..., object], *arguments: object) -> None:
        self._soon.append((call, arguments))

    def away(self, seconds: float) -> None:
        """Be busy elsewhere: no timer fires meanwhile."""
        self.now += seconds

    def turn(self) -> None:
        """Call what was to be called soon, and fire the timers that are due."""
        soon, self._soon = self._soon, []
        for call, arguments in soon:
            call(*arguments)
        due = [timer for timer in self._timers if timer[0] <= self.now]
        for timer in due:
            self._timers.remove(timer)
            timer[1](*timer[2])


@pytest.fixture
def loop(monkeypatch: pytest.MonkeyPatch) -> Loop:
    made = Loop()
    monkeypatch.setattr(event_loop_lag, "time", SimpleNamespace(monotonic=lambda: made.now))
    monkeypatch.setattr(event_loop_lag, "asyncio", SimpleNamespace(get_running_loop=lambda: made))
    return made


@pytest.mark.parametrize(
    ("timeout", "seconds"),
    [
        pytest.param(3.0, 0.75, id="as shipped"),
        pytest.param(10.0, 2.5, id="the API server's default"),
        pytest.param(30.0, 2.5, id="the longest an API server takes"),
        pytest.param(1.0, 0.25, id="the shortest"),
        pytest.param(None, 2.5, id="not said"),
    ],
)
def test_a_review_may_wait_for_a_part_of_its_time(timeout: float | None, seconds: float) -> None:
    assert event_loop_lag.deadline(timeout) == pytest.approx(seconds)


def test_without_a_running_probe_a_request_waits_since_it_was_read() -> None:
    assert event_loop_lag.EventLoopLag().waiting_since(5.0) == 5.0


async def test_in_a_loop_that_keeps_up_a_request_waits_since_it_was_read(loop: Loop) -> None:
    probe = event_loop_lag.EventLoopLag()
    async with probe.watching():
        for _ in range(5):
            loop.away(event_loop_lag.PROBE_SECONDS / 2)
            loop.turn()
            assert loop.now - probe.waiting_since(loop.now) < event_loop_lag.PROBE_SECONDS
    assert probe.take_worst() == 0.0


async def test_what_was_read_after_the_loop_was_away_has_waited_since_it_went(loop: Loop) -> None:
    probe = event_loop_lag.EventLoopLag()
    async with probe.watching():
        went = loop.now
        loop.away(0.3)
        arrived = loop.now

        before_the_timer = probe.waiting_since(arrived)
        loop.turn()
        after_the_timer = probe.waiting_since(arrived)

    assert before_the_timer == after_the_timer == pytest.approx(went + event_loop_lag.PROBE_SECONDS)
    assert probe.take_worst() == pytest.approx(0.3 - event_loop_lag.PROBE_SECONDS)
    assert probe.take_worst() == 0.0


async def test_what_comes_when_the_loop_is_back_has_not_waited(loop: Loop) -> None:
    probe = event_loop_lag.EventLoopLag()
    async with probe.watching():
        loop.away(0.2)
        for _ in range(3):
            loop.turn()
        loop.away(0.01)

        assert probe.waiting_since(loop.now) == loop.now


async def test_what_a_loop_that_was_away_reads_after_its_timers_has_waited_since_it_went(loop: Loop) -> None:
    probe = event_loop_lag.EventLoopLag()
    async with probe.watching():
        went = loop.now
        loop.away(0.3)
        loop.turn()
        loop.turn()
        loop.away(0.01)
        arrived = loop.now
        while_it_is_read = probe.waiting_since(arrived)
        loop.turn()
        afterwards = probe.waiting_since(arrived)

    assert while_it_is_read == afterwards == pytest.approx(went + event_loop_lag.PROBE_SECONDS)


async def test_a_real_loop_that_was_away_is_noticed() -> None:
    probe = event_loop_lag.EventLoopLag()
    async with probe.watching():
        held = 3 * event_loop_lag.PROBE_SECONDS
        await asyncio.to_thread(asyncio.get_running_loop().call_soon_threadsafe, time.sleep, held)
        # However late this turn is, the probe fires before it ends.
        await asyncio.sleep(2 * event_loop_lag.PROBE_SECONDS)

    assert probe.take_worst() >= held - event_loop_lag.PROBE_SECONDS
