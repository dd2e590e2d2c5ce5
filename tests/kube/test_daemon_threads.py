"""Work in threads that nobody has to wait for."""

import asyncio
import contextlib
import threading

import pytest

from webhook.kube.daemon_threads import background_task, run_in_daemon_thread


async def test_the_result_comes_back_from_another_thread() -> None:
    assert await run_in_daemon_thread(threading.get_ident) != threading.get_ident()


async def test_an_error_is_raised_where_it_is_waited_for() -> None:
    def fail() -> None:
        raise LookupError("nothing there")

    with pytest.raises(LookupError, match="nothing there"):
        await run_in_daemon_thread(fail)


async def test_who_is_cancelled_does_not_wait_and_a_late_result_harms_nobody() -> None:
    freed = threading.Event()
    task = asyncio.create_task(run_in_daemon_thread(lambda: freed.wait(20)))
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
        task = asyncio.create_task(run_in_daemon_thread(work))
        await asyncio.sleep(0.01)
        task.cancel()

    asyncio.run(leave())
    (thread,) = (thread for thread in threading.enumerate() if thread.name == "podgate-aside")
    freed.set()
    thread.join(5)

    assert not thread.is_alive()


@pytest.mark.parametrize("fails", [False, True])
async def test_a_task_runs_as_long_as_the_block_and_has_ended_after_it(*, fails: bool) -> None:
    told: list[str] = []

    async def work() -> None:
        told.append("began")
        try:
            await asyncio.sleep(20)
        finally:
            told.append("ended")

    with contextlib.suppress(LookupError):
        async with background_task(work()):
            await asyncio.sleep(0.01)
            told.append("block")
            if fails:
                raise LookupError
    assert told == ["began", "block", "ended"]


async def test_what_a_task_raised_is_not_lost() -> None:
    async def work() -> None:
        raise LookupError("nothing there")

    with pytest.raises(LookupError, match="nothing there"):
        async with background_task(work()):
            await asyncio.sleep(0.01)
