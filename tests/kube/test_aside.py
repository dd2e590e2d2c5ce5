"""Work in threads that nobody has to wait for."""

import asyncio
import threading

import pytest

from webhook.kube.aside import aside


async def test_the_result_comes_back_from_another_thread() -> None:
    assert await aside(threading.get_ident) != threading.get_ident()


async def test_an_error_is_raised_where_it_is_waited_for() -> None:
    def fail() -> None:
        raise LookupError("nothing there")

    with pytest.raises(LookupError, match="nothing there"):
        await aside(fail)


async def test_who_is_cancelled_does_not_wait_and_a_late_result_harms_nobody() -> None:
    freed = threading.Event()
    task = asyncio.create_task(aside(lambda: freed.wait(20)))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    freed.set()
    await asyncio.sleep(0.05)


def test_a_loop_that_is_closed_meanwhile_harms_nobody() -> None:
    freed = threading.Event()

    def work() -> None:
        freed.wait(20)

    async def leave() -> None:
        task = asyncio.create_task(aside(work))
        await asyncio.sleep(0.01)
        task.cancel()

    asyncio.run(leave())
    (thread,) = (thread for thread in threading.enumerate() if thread.name == "podgate-aside")
    freed.set()
    thread.join(5)

    assert not thread.is_alive()
