"""The queue of large reviews: whose turn it is."""

import asyncio
from collections.abc import Iterable

from webhook.serve import fairness
from webhook.serve.fairness import FairQueue


class Clock:
    """Time that stands still: whoever leaves has taken none, so that the next turn comes at once."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


async def served(asked: Iterable[tuple[str, str]]) -> list[str]:
    """Return in which order those who ask at the same moment are served."""
    queue, order = FairQueue(Clock()), []
    assert await queue.enter("busy", "busy", 60)

    async def ask(namespace: str, user: str) -> None:
        assert await queue.enter(namespace, user, 60)
        order.append(f"{namespace}/{user}")
        await asyncio.sleep(0)
        queue.leave()

    tasks = [asyncio.create_task(ask(*each)) for each in asked]
    await asyncio.sleep(0)
    queue.leave()
    await asyncio.gather(*tasks)
    assert len(queue) == 0
    return order


async def test_a_namespace_that_sends_many_waits_for_its_own() -> None:
    order = await served([("a", "u")] * 20 + [("b", "u"), ("c", "u")])
    assert order[:4] == ["a/u", "b/u", "c/u", "a/u"]


async def test_inside_a_namespace_users_take_turns() -> None:
    order = await served([("a", "joe")] * 5 + [("a", "ann"), ("b", "joe"), ("a", "ann")])
    assert order == ["a/joe", "b/joe", "a/ann", "a/joe", "a/ann", "a/joe", "a/joe", "a/joe"]


async def test_one_at_a_time_and_the_others_have_the_loop_as_long_as_it_took() -> None:
    clock = Clock()
    queue = FairQueue(clock)
    assert await queue.enter("a", "u", 60)
    waiting = asyncio.create_task(queue.enter("b", "u", 60))
    await asyncio.sleep(0)
    began = asyncio.get_running_loop().time()
    clock.now += 0.05
    queue.leave()
    assert await waiting
    assert asyncio.get_running_loop().time() - began >= 0.05 * fairness.REST_SHARE * 0.9


async def test_who_asks_during_the_rest_waits_as_well() -> None:
    clock = Clock()
    queue = FairQueue(clock)
    assert await queue.enter("a", "u", 60)
    clock.now += 600
    queue.leave()
    assert not await queue.enter("b", "u", 0.01)


async def test_who_waits_too_long_is_told_and_loses_nothing_for_others() -> None:
    queue = FairQueue(Clock())
    assert await queue.enter("a", "u", 60)
    assert not await queue.enter("b", "u", 0)
    assert not await queue.enter("b", "u", 0.01)
    waiting = asyncio.create_task(queue.enter("c", "u", 60))
    await asyncio.sleep(0)
    queue.leave()
    assert await waiting


async def test_who_goes_away_gives_its_turn_on() -> None:
    queue = FairQueue(Clock())
    assert await queue.enter("a", "u", 60)
    leaving, waiting = (asyncio.create_task(queue.enter(name, "u", 60)) for name in "bc")
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.sleep(0)
    queue.leave()
    async with asyncio.timeout(5):
        assert await waiting


async def test_who_goes_away_just_after_its_turn_came_gives_it_on() -> None:
    queue = FairQueue(Clock())
    assert await queue.enter("a", "u", 60)
    leaving, waiting = (asyncio.create_task(queue.enter(name, "u", 60)) for name in "bc")
    await asyncio.sleep(0)
    queue._next()
    leaving.cancel()
    async with asyncio.timeout(5):
        assert await waiting
