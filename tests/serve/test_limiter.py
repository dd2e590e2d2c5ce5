"""The line before judging: in order, a few a turn, and nobody waits who need not."""

import asyncio
import time
from types import SimpleNamespace

import pytest

from webhook.serve import limiter


async def test_who_comes_alone_goes_straight_through() -> None:
    gate = limiter.AdaptiveLimiter()
    for _ in range(100):
        assert gate.enter() is None
        await asyncio.sleep(0)
        await asyncio.sleep(0)


@pytest.mark.parametrize("work", [0.0, 0.005], ids=["quick", "slow"])
async def test_all_get_through_in_the_order_in_which_they_came(work: float) -> None:
    gate = limiter.AdaptiveLimiter()
    served: list[int] = []

    async def call(number: int) -> None:
        waiting = gate.enter()
        if waiting is not None:
            await waiting
        time.sleep(work)  # noqa: ASYNC251  judging holds the loop
        served.append(number)

    await asyncio.gather(*(call(number) for number in range(200)))

    assert served == list(range(200))
    assert len(gate) == 0


async def test_the_loop_gets_its_turn_while_many_slow_ones_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(limiter, "time", SimpleNamespace(monotonic=lambda: now[0]))
    gate = limiter.AdaptiveLimiter()
    gaps: list[float] = []

    async def call() -> None:
        waiting = gate.enter()
        if waiting is not None:
            await waiting
        now[0] += 0.011  # Judging holds the loop.

    async def watch() -> None:
        while True:
            before = now[0]
            await asyncio.sleep(0)
            gaps.append(round(now[0] - before, 3))

    watcher = asyncio.create_task(watch())
    await asyncio.gather(*(call() for _ in range(80)))
    watcher.cancel()

    # The first turn still tries sixteen, the next half as many; from then on it is one or two.
    busy = [gap for gap in gaps if gap]
    assert busy[0] == 0.176
    assert len(busy) > 25
    assert max(busy[5:]) <= 0.022


async def test_who_goes_away_while_waiting_is_passed_over() -> None:
    gate = limiter.AdaptiveLimiter()
    waiting = [gate.enter() for _ in range(40)]
    line = [entry for entry in waiting if entry is not None]
    assert line
    for entry in line[:-1]:
        entry.cancel()

    await asyncio.wait_for(line[-1], 1)
