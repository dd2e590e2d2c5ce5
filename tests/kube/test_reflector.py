"""A reflector keeps its store equal to the API server, whatever goes wrong on the way."""

import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import msgspec
import pytest

from tests.fakes.apiserver import PATHS, FakeApiServer, Object
from tests.fakes.live import client_of, eventually
from webhook.kube import client
from webhook.kube.reflector import Reflector, Resource
from webhook.kube.stores import Store
from webhook.kube.watch_wire import Malformed, Meta

PATH = PATHS["Namespace"]


def thing(name: str, value: object = "1") -> Object:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}, "value": value}


def decode(raw: msgspec.Raw, _meta: Meta) -> str | None:
    value = msgspec.json.decode(raw)["value"]
    if not isinstance(value, str):
        raise Malformed("value: must be text; write it in quotes")
    return value if value != "gone" else None


class Running:
    """A reflector in its thread."""

    def __init__(self, server: FakeApiServer, **options: Any) -> None:  # noqa: ANN401  arguments of Reflector
        self.server = server
        self.store: Store[str] = Store()
        absent = options.pop("may_be_absent", False)
        resource = Resource("things", PATH, may_be_absent=absent, **options.pop("resource", {}))
        self.client = client_of(server)
        self.reflector = Reflector(self.client, resource, decode, self.store, **{"scale": 0.01, **options})
        self.thread = threading.Thread(target=self.reflector.run, daemon=True)

    def holds(self, **expected: str) -> bool:
        return self.store.items == {f"/{name}": value for name, value in expected.items()}

    def is_watching(self) -> bool:
        # The server counts a watch before the reflector has read the answer.
        return self.server.watching[PATH] == 1 and self.reflector.state().phase == "watching"


@contextmanager
def running(server: FakeApiServer, **options: Any) -> Iterator[Running]:  # noqa: ANN401  arguments of Reflector
    made = Running(server, **options)
    made.thread.start()
    try:
        yield made
    finally:
        made.reflector.stop()
        made.thread.join(5)
        made.client.close()
        assert not made.thread.is_alive()


@pytest.fixture
def server() -> Iterator[FakeApiServer]:
    with FakeApiServer() as made:
        yield made


def test_what_is_there_is_listed_and_what_changes_follows(server: FakeApiServer) -> None:
    server.apply(thing("a"), thing("b"))
    with running(server) as it:
        eventually(lambda: it.holds(a="1", b="1"))
        eventually(it.is_watching)
        server.apply(thing("a", "2"), thing("c"))
        server.delete(thing("b"))
        eventually(lambda: it.holds(a="2", c="1"))
        assert len(server.lists(PATH)) == 1


def test_long_lists_come_in_pages(server: FakeApiServer) -> None:
    server.apply(*(thing(f"n{n}") for n in range(1201)))
    with running(server) as it:
        eventually(lambda: len(it.store) == 1201)
        assert [call.query["limit"] for call in server.lists(PATH)] == ["500", "500", "500"]


def test_a_list_whose_pages_are_forgotten_is_taken_in_one_piece(server: FakeApiServer) -> None:
    server.apply(*(thing(f"n{n}") for n in range(501)))
    server.forgets_pages = True
    with running(server) as it:
        eventually(lambda: len(it.store) == 501)
        assert it.reflector.state().errors == {"gone": 1}


def test_a_broken_watch_is_taken_up_where_it_was_without_a_new_list(server: FakeApiServer) -> None:
    server.apply(thing("a"))
    with running(server) as it:
        eventually(it.is_watching)
        server.drop_watches()
        server.apply(thing("b"))
        server.delete(thing("a"))
        eventually(lambda: it.holds(b="1"))
        assert len(server.lists(PATH)) == 1


def test_a_gap_is_closed_by_a_new_list(server: FakeApiServer) -> None:
    server.apply(thing("a"), thing("b"))
    with running(server) as it:
        eventually(it.is_watching)
        server.fail(PATH, 503)
        server.drop_watches()
        server.delete(thing("a"))
        server.apply(thing("c"))
        server.compact()
        eventually(lambda: it.holds(b="1", c="1"))
        assert it.reflector.state().lists == 2
        eventually(it.is_watching)
        server.apply(thing("d"))
        eventually(lambda: it.holds(b="1", c="1", d="1"))


def test_a_bookmark_moves_the_place_where_a_watch_is_taken_up(server: FakeApiServer) -> None:
    server.apply(thing("a"))
    with running(server) as it:
        eventually(it.is_watching)
        server.compact()
        server.bookmark()
        contact = it.reflector.state().contact
        eventually(lambda: it.reflector.state().contact != contact)
        server.drop_watches()
        eventually(lambda: len(server.watches(PATH)) == 2 and it.is_watching())
        assert it.reflector.state().lists == 1


def test_half_an_event_is_read_again(server: FakeApiServer) -> None:
    server.apply(thing("a"))
    server.garbage[PATH] = 1
    with running(server) as it:
        eventually(it.is_watching)
        server.apply(thing("b"))
        eventually(lambda: it.holds(a="1", b="1"))
        assert len(server.watches(PATH)) == 2


@pytest.mark.parametrize("status", [500, 503, 429, 401, 403, 404])
def test_a_refused_list_is_tried_again_and_says_why(
    server: FakeApiServer, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    server.apply(thing("a"))
    server.fail(PATH, status, status)
    caplog.set_level(logging.WARNING, "podgate.watch")
    with running(server) as it:
        eventually(lambda: it.holds(a="1"))
        assert [line.count("\n") for line in caplog.messages] == [0]
        assert caplog.messages[0].startswith(f"things: GET {PATH}: told to fail")


def test_a_server_that_asks_for_time_gets_it(server: FakeApiServer) -> None:
    server.fail(PATH, 429, Retry_After="20")
    with running(server, scale=0.005) as it:
        eventually(lambda: it.reflector.state().phase == "broken")
        error = it.reflector.state().errors
        assert error == {"other": 1}
        # Twenty seconds at this scale are 0.1 s; the ordinary first pause would be 2.5 ms.
        assert not it.reflector._stop.wait(0.05)
        assert len(server.calls) == 1
        eventually(it.is_watching)


def test_revoked_rights_leave_the_store_as_it_is(server: FakeApiServer, caplog: pytest.LogCaptureFixture) -> None:
    server.apply(thing("a"))
    with running(server) as it:
        eventually(it.is_watching)
        server.forbidden.add(PATH)
        server.drop_watches()
        eventually(lambda: it.reflector.state().phase == "forbidden")
        assert it.holds(a="1")
        assert "grant it in the ClusterRole" in it.reflector.state().reason
        server.forbidden.clear()
        server.apply(thing("b"))
        eventually(lambda: it.holds(a="1", b="1") and it.reflector.state().phase == "watching")
    assert sum("grant it in the ClusterRole" in line for line in caplog.messages) == 1


def test_a_kind_that_is_not_installed_is_a_state_and_is_looked_for_again(server: FakeApiServer) -> None:
    server.absent.add(PATH)
    server.apply(thing("a"))
    with running(server, may_be_absent=True, scale=0.001) as it:
        eventually(lambda: it.reflector.state().phase == "absent")
        assert it.reflector.state().has_synced
        assert it.reflector.state().errors == {}
        server.absent.clear()
        eventually(lambda: it.holds(a="1") and it.reflector.state().phase == "watching")


def test_of_a_kind_that_is_removed_nothing_is_left(server: FakeApiServer) -> None:
    server.apply(thing("a"))
    with running(server, may_be_absent=True) as it:
        eventually(it.is_watching)
        server.absent.add(PATH)
        server.drop_watches()
        eventually(lambda: it.reflector.state().phase == "absent" and it.holds())


def test_a_kind_that_seems_gone_for_a_moment_is_kept(server: FakeApiServer) -> None:
    server.apply(thing("a"))
    with running(server, may_be_absent=True) as it:
        eventually(it.is_watching)
        server.fail(PATH, 404, 404)
        server.drop_watches()
        eventually(lambda: it.reflector.state().errors.get("unreachable") == 1)
        eventually(lambda: not server.failures[PATH] and it.reflector.state().phase == "watching")
        assert it.holds(a="1")


def test_storage_that_was_restored_from_a_backup_is_listed_again(server: FakeApiServer) -> None:
    server.apply(thing("a"), thing("b"))
    with running(server) as it:
        eventually(it.is_watching)
        server.restore()
        eventually(lambda: it.reflector.state().lists == 2)
        server.apply(thing("c"))
        eventually(lambda: it.holds(a="1", b="1", c="1"))


def test_a_malformed_object_affects_itself_alone_and_keeps_its_last_good_version(
    server: FakeApiServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.apply(thing("a"), thing("b"))
    with running(server) as it:
        eventually(it.is_watching)
        server.apply(thing("a", 7), thing("b", "2"), thing("c", 7))
        eventually(lambda: it.holds(a="1", b="2"))
        server.compact()
        server.drop_watches()
        eventually(lambda: it.reflector.state().lists == 2)
        assert it.holds(a="1", b="2")
        server.apply(thing("a", "3"))
        eventually(lambda: it.holds(a="3", b="2"))
        server.delete(thing("c"))
        server.delete(thing("a"))
        eventually(lambda: it.holds(b="2"))
    told = [line for line in caplog.messages if "must be text" in line]
    assert told == [f"things {n}: value: must be text; write it in quotes; its last good version is used" for n in "ac"]


def test_an_object_that_is_of_no_interest_any_more_is_dropped(server: FakeApiServer) -> None:
    server.apply(thing("a"), thing("b", "gone"))
    with running(server) as it:
        eventually(lambda: it.holds(a="1"))
        eventually(it.is_watching)
        server.apply(thing("a", "gone"))
        eventually(it.holds)


def test_a_silent_connection_is_left_for_a_new_one(server: FakeApiServer, caplog: pytest.LogCaptureFixture) -> None:
    server.apply(thing("a"))
    caplog.set_level(logging.WARNING, "podgate.watch")
    with running(server, idle_seconds=0.05) as it:
        eventually(lambda: it.reflector.state().errors.get("idle", 0) >= 2)
        eventually(lambda: len(server.watches(PATH)) >= 3)
        assert it.holds(a="1")
        assert len(server.lists(PATH)) == 1
    assert caplog.messages == []


class Nowhere:
    """No API server."""

    def __init__(self) -> None:
        self.calls = 0

    def get(self, path: str, _query: Mapping[str, str] | None = None) -> bytes:
        self.calls += 1
        raise client.UnreachableError(f"{path}: no answer")

    def watch(self, path: str, _query: Mapping[str, str], _idle_seconds: float) -> client.Stream:
        raise AssertionError(f"{path} was never listed")


def test_a_server_that_cannot_be_reached_is_tried_with_growing_pauses() -> None:
    api = Nowhere()
    reflector = Reflector(api, Resource("things", PATH), decode, Store(), jitter=lambda: 1.0)
    pauses: list[float] = []

    def wait(seconds: float) -> bool:
        pauses.append(seconds)
        return len(pauses) == 9

    reflector._stop.wait = wait  # type: ignore[assignment, method-assign]  # time itself is what is tested
    reflector.run()
    assert pauses == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]
    assert api.calls == 9


def test_stopping_wakes_a_watch_that_waits(server: FakeApiServer) -> None:
    with running(server) as it:
        eventually(it.is_watching)
        it.reflector.stop()
        it.thread.join(2)
        assert not it.thread.is_alive()


OLD = PATHS["Node"]


def test_where_the_newest_version_is_not_served_an_older_one_is_followed() -> None:
    with FakeApiServer() as server:
        server.absent.add(PATH)
        server.apply({**thing("a"), "kind": "Node"})
        with running(server, may_be_absent=True, resource={"older": ("/apis/none/v1/things", OLD)}) as it:
            eventually(lambda: it.holds(a="1") and server.watching[OLD] == 1)
            server.apply({**thing("b", "2"), "kind": "Node"})
            eventually(lambda: it.holds(a="1", b="2"))
            # The server is brought up to date: what it serves from now on is the newest version alone.
            server.absent.clear()
            server.absent.add(OLD)
            server.apply(thing("a", "3"))
            server.drop_watches()
            eventually(lambda: it.holds(a="3") and it.is_watching())


def test_a_kind_is_absent_where_no_version_is_served() -> None:
    with FakeApiServer() as server:
        server.absent |= {PATH, OLD}
        with running(server, may_be_absent=True, resource={"older": (OLD,)}) as it:
            eventually(lambda: it.reflector.state().phase == "absent")
            assert it.reflector.state().has_synced
            server.absent.discard(OLD)
            server.apply({**thing("a"), "kind": "Node"})
            eventually(lambda: it.holds(a="1"))
