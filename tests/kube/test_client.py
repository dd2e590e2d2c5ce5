"""The client turns every answer, and every lack of one, into bytes or into one error of one line."""

import base64
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import urllib3

from tests.fakes.apiserver import PATHS, FakeApiServer
from tests.fakes.live import client_of
from webhook.kube import client

PATH = PATHS["Namespace"]


@pytest.fixture
def server() -> Iterator[FakeApiServer]:
    with FakeApiServer() as made:
        yield made


@pytest.mark.parametrize(
    ("status", "kind", "cure"),
    [
        (401, client.ForbiddenError, "check the token or certificate"),
        (403, client.ForbiddenError, "grant it in the ClusterRole"),
        (404, client.NotFoundError, "create it, or install its kind"),
        (409, client.ConflictError, "told to fail"),
        (410, client.GoneError, "told to fail"),
        (422, client.ApiError, "see the API server's log"),
        (500, client.ApiError, "see the API server's log"),
    ],
)
def test_every_status_is_an_error_of_its_kind(
    server: FakeApiServer, status: int, kind: type[client.ApiError], cure: str
) -> None:
    api = client_of(server)
    for call in (lambda: api.get(PATH), lambda: api.watch(PATH, {"watch": "1"}, 1.0)):
        server.fail(PATH, status)
        with pytest.raises(client.ApiError) as caught:
            call()
        assert type(caught.value) is kind
        assert caught.value.status == status
        assert cure in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_server_may_ask_for_time(server: FakeApiServer) -> None:
    server.fail(PATH, 429, Retry_After="7")
    with pytest.raises(client.ApiError) as caught:
        client_of(server).get(PATH)
    assert caught.value.retry_after == 7


def test_a_server_that_is_not_there_is_unreachable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as bound:
        port = bound.getsockname()[1]
    server = FakeApiServer()
    server._http.server_close()
    api = client_of(server)
    api._host = f"http://127.0.0.1:{port}"
    with pytest.raises(client.UnreachableError) as caught:
        api.get(PATH)
    assert caught.value.status == 0
    assert not isinstance(caught.value, client.LateError)
    assert str(caught.value).endswith("check that the API server can be reached")


def test_a_slow_server_is_unreachable_when_the_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        server = FakeApiServer()
        server._http.server_close()
        api = client_of(server)
        api._host = f"http://127.0.0.1:{silent.getsockname()[1]}"
        monkeypatch.setattr(api, "_timeout", urllib3.Timeout(connect=0.2, read=0.2))
        started = time.monotonic()
        with pytest.raises(client.LateError):
            api.get(PATH)
        assert time.monotonic() - started < 2


def test_a_watch_that_is_closed_by_another_thread_ends_without_an_error(server: FakeApiServer) -> None:
    stream = client_of(server).watch(PATH, {"watch": "1", "resourceVersion": "1"}, 30.0)
    timer = threading.Timer(0.05, stream.close)
    timer.start()
    assert list(stream) == []
    timer.join()


def kubeconfig(path: Path, url: str, user: dict[str, object]) -> Path:
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": url}}],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
    }
    path.write_text(json.dumps(document))
    return path


@pytest.mark.parametrize(
    ("user", "header"),
    [
        ({"token": "secret"}, "Bearer secret"),
        ({"username": "a", "password": "b"}, "Basic " + base64.b64encode(b"a:b").decode()),
    ],
    ids=["token", "password"],
)
def test_a_kubeconfig_gives_address_and_credentials(
    server: FakeApiServer, tmp_path: Path, user: dict[str, object], header: str
) -> None:
    api = client.connect(kubeconfig(tmp_path / "config", server.url, user))
    assert json.loads(api.get(PATH))["items"] == []
    assert server.calls[-1].authorization == header


@pytest.mark.parametrize("content", ["", "clusters: 3", "{", "apiVersion: v1\nkind: Config\ncurrent-context: none"])
def test_a_kubeconfig_that_cannot_be_used_is_one_line(tmp_path: Path, content: str) -> None:
    (tmp_path / "config").write_text(content)
    with pytest.raises(client.ConfigError) as caught:
        client.connect(tmp_path / "config")
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith("give --kubeconfig FILE")
