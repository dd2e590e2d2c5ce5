"""A live view over the fake API server, started and stopped in one `with`."""

import contextlib
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import NamedTuple

from kubernetes import client as official

from tests.fakes.apiserver import FakeApiServer
from webhook.cluster.live import LiveView
from webhook.cluster.watches import Watches
from webhook.kube.client import Client

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


class Live(NamedTuple):
    """What a test needs of it."""

    server: FakeApiServer
    view: LiveView
    watches: Watches


def client_of(server: FakeApiServer) -> Client:
    """Return the real client, connected to the fake server."""
    configuration = official.Configuration(host=server.url)
    configuration.connection_pool_maxsize = 48
    return Client(official.ApiClient(configuration))


@contextlib.contextmanager
def live(
    server: FakeApiServer, *, now: Callable[[], datetime] = lambda: NOW, start: bool = True, idle: float = 30.0
) -> Iterator[Live]:
    """Watch a fake server; pauses after failures are a hundredth of what they are in earnest."""
    api = client_of(server)
    view = LiveView(now)
    watches = Watches(api, view, options={"scale": 0.01, "idle_seconds": idle})
    if start:
        watches.start()
        eventually(lambda: watches.problem() is None)
    try:
        yield Live(server, view, watches)
    finally:
        watches.stop()
        api.close()


def eventually(holds: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait until something holds; fail where it does not in time."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "did not come true in time"
        time.sleep(0.002)
