"""The bound on bytes in flight: who waits, who is let in, who is cut off."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webhook.serve.bytes_in_flight import Flight

LONG = 60.0


class Client:
    """A connection that counts how often it was cut off."""

    def __init__(self) -> None:
        self.times = 0

    def cut_off(self) -> None:
        self.times += 1


async def settled() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


async def test_what_fits_is_let_in_at_once_and_the_rest_waits_in_order() -> None:
    flight = Flight(100)
    assert await flight.enter(60, LONG)
    assert await flight.enter(40, LONG)
    order: list[int] = []

    async def wait(number: int, size: int) -> None:
        assert await flight.enter(size, LONG)
        order.append(number)

    waiting = [asyncio.create_task(wait(1, 50)), asyncio.create_task(wait(2, 10))]
    await settled()
    flight.leave(40)
    await settled()
    assert order == [], "the second would fit, and would overtake the first"
    flight.leave(60)
    await asyncio.gather(*waiting)
    assert order == [1, 2]
    assert flight.bodies == 60


async def test_one_body_is_always_let_in_however_large() -> None:
    flight = Flight(100)
    flight.untaken(Client(), 90)
    assert await flight.enter(5_000, LONG)
    assert not await flight.enter(1, 0)


async def test_who_waits_too_long_is_told_so_and_holds_nothing() -> None:
    flight = Flight(100)
    assert await flight.enter(100, LONG)
    assert not await flight.enter(1, 0.01)
    flight.leave(100)
    assert flight.bodies == 0
    assert await flight.enter(100, LONG)


async def test_who_goes_away_while_it_waits_holds_nothing() -> None:
    flight = Flight(100)
    assert await flight.enter(100, LONG)
    waiting = asyncio.create_task(flight.enter(70, LONG))
    await settled()
    waiting.cancel()
    await settled()
    flight.leave(100)
    assert flight.bodies == 0


async def test_who_goes_away_just_after_it_was_let_in_holds_nothing() -> None:
    flight = Flight(100)
    assert await flight.enter(100, LONG)
    waiting = asyncio.create_task(flight.enter(70, LONG))
    await settled()
    flight.leave(100)
    waiting.cancel()
    await settled()
    assert waiting.cancelled()
    assert flight.bodies == 0


def test_small_bodies_have_a_bound_of_their_own() -> None:
    flight = Flight(100)
    assert flight.enter_small(60)
    assert not flight.enter_small(60)
    assert flight.small == 60
    flight.leave_small(60)
    assert flight.enter_small(60)


async def test_an_answer_that_is_not_taken_leaves_less_room_for_bodies() -> None:
    flight, client = Flight(100), Client()
    assert await flight.enter(10, LONG)
    flight.untaken(client, 80)
    waiting = asyncio.create_task(flight.enter(20, LONG))
    await settled()
    assert not waiting.done()
    flight.taken(client)
    assert await waiting
    assert flight.answers == 0


def test_beyond_the_bound_whoever_is_slowest_is_cut_off() -> None:
    flight, first, second, third = Flight(100), Client(), Client(), Client()
    flight.untaken(first, 40)
    flight.untaken(second, 40)
    flight.untaken(first, 50)
    assert (first.times, second.times) == (0, 0)

    flight.untaken(third, 30)

    assert (first.times, second.times, third.times) == (1, 0, 0)
    assert (flight.answers, flight.cut_off) == (70, 1)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 70)), max_size=30))
def test_what_is_counted_is_what_is_held(steps: list[tuple[int, int]]) -> None:
    async def run() -> None:
        flight = Flight(100)
        held: list[int] = []
        waiting: list[tuple[int, asyncio.Task[bool]]] = []
        for kind, size in steps:
            if kind == 0 and held:
                flight.leave(held.pop())
            elif kind == 1 and waiting:
                waiting[size % len(waiting)][1].cancel()
            else:
                waiting.append((size, asyncio.create_task(flight.enter(size, LONG))))
            await settled()
            for each in [each for each in waiting if each[1].done()]:
                waiting.remove(each)
                if not each[1].cancelled():
                    assert each[1].result()
                    held.append(each[0])
            assert flight.bodies == sum(held)
            assert flight.bodies <= 100 or len(held) == 1
            assert held or not waiting
        for _, task in waiting:
            task.cancel()
        await settled()

    asyncio.run(run())


@pytest.mark.parametrize("size", [0, 1, 99])
def test_taking_twice_counts_once(size: int) -> None:
    flight, client = Flight(100), Client()
    flight.untaken(client, size)
    flight.taken(client)
    flight.taken(client)
    assert flight.answers == 0
