"""How long a review has waited, as far as a process can know, and how long it may."""

import asyncio
import time

import pytest

from webhook.server import lag


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
    assert lag.deadline(timeout) == pytest.approx(seconds)


def test_without_a_running_probe_a_request_waits_since_it_was_read() -> None:
    assert lag.LoopLag().waiting_since(5.0) == 5.0


async def test_in_a_loop_that_keeps_up_a_request_waits_since_it_was_read() -> None:
    probe = lag.LoopLag()
    async with probe.watching():
        for _ in range(5):
            await asyncio.sleep(lag.PROBE_SECONDS / 2)
            arrived = time.monotonic()
            assert arrived - probe.waiting_since(arrived) < lag.PROBE_SECONDS


async def test_what_was_read_after_the_loop_was_away_has_waited_since_it_went() -> None:
    probe = lag.LoopLag()
    async with probe.watching():
        await asyncio.sleep(0)
        went = time.monotonic()
        time.sleep(0.3)  # noqa: ASYNC251  the loop is to be away
        arrived = time.monotonic()

        before_the_timer = probe.waiting_since(arrived)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        after_the_timer = probe.waiting_since(arrived)

    assert before_the_timer == after_the_timer
    assert went <= before_the_timer <= went + lag.PROBE_SECONDS + 0.02
    assert 0.2 < probe.take_worst() < 0.35
    assert probe.take_worst() == 0.0


async def test_what_comes_when_the_loop_is_back_has_not_waited() -> None:
    probe = lag.LoopLag()
    async with probe.watching():
        await asyncio.sleep(0)
        time.sleep(0.2)  # noqa: ASYNC251  the loop is to be away
        await asyncio.sleep(0.01)
        arrived = time.monotonic()

        assert probe.waiting_since(arrived) == arrived
