"""What goes on beside the answers: tasks as long as a block runs, and blocking calls to the API server in threads that
nobody has to wait for.

The loop's own pool is joined when the process ends. A call to an API server that does not answer would hold it up for
half a minute, longer than a pod is given.
"""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def run_in_daemon_thread(work: Callable[[], T]) -> T:
    """Return what `work` returns, or raise what it raises; a caller that is cancelled leaves the thread to itself."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def deliver(result: T | None, error: BaseException | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]  # without an error it is what `work` returned

    def run() -> None:
        result: T | None = None
        failure: BaseException | None = None
        try:
            result = work()
        except Exception as error:  # noqa: BLE001  raised again where it is waited for
            failure = error
        with contextlib.suppress(RuntimeError):
            # The loop may be closed by now; then nobody waits any more.
            loop.call_soon_threadsafe(deliver, result, failure)

    threading.Thread(target=run, name="podgate-aside", daemon=True).start()
    return await future


@contextlib.asynccontextmanager
async def background_task(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Let a task run while the block does; cancel it and wait for its end where the block is left."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
