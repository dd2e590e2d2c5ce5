"""The pages over HTTP: read-only, closed to other names, and never in the way of reviews."""

import threading
from collections.abc import Mapping
from typing import Any

import httpx
import pytest

from tests import factories
from tests.dashboard._scene import HOSTILE, Scene
from webhook.dashboard import pages
from webhook.dashboard.sources import CurrentPolicies
from webhook.serve import dashboard

PATHS = ("/", "/workloads", "/workload?namespace=team-alpha&kind=Pod&name=rogue", "/api/summary")


@pytest.fixture(scope="module")
def scene() -> Scene:
    return Scene().busy()


async def ask(
    scene: Scene, path: str, *, method: str = "GET", host: str = "localhost:8081", listens: str = "127.0.0.1"
) -> httpx.Response:
    app = dashboard.application(scene.sources, listens)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost:8081") as client:
        return await client.request(method, path, headers={"host": host})


@pytest.mark.parametrize("path", PATHS)
async def test_a_page_comes_with_the_headers_that_close_it(scene: Scene, path: str) -> None:
    answer = await ask(scene, path)
    assert answer.status_code == 200
    policy = dict(part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'self'"
    assert not {"script-src", "style-src", "img-src"} & set(policy)
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("path", [*PATHS, "/static/dashboard.css", "/nothing"])
async def test_head_is_answered_like_get(scene: Scene, path: str) -> None:
    got, head = await ask(scene, path), await ask(scene, path, method="HEAD")
    assert (head.status_code, head.headers["content-type"]) == (got.status_code, got.headers["content-type"])


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("path", PATHS)
async def test_nothing_but_reading_is_possible(scene: Scene, path: str, method: str) -> None:
    answer = await ask(scene, path, method=method)
    assert answer.status_code == 405
    assert answer.json() == {"error": "the method is not allowed here; try /, /workloads or /api/summary"}
    assert answer.headers["content-security-policy"]


@pytest.mark.parametrize(
    ("host", "listens", "status"),
    [
        ("localhost", "127.0.0.1", 200),
        ("LOCALHOST:8081", "127.0.0.1", 200),
        ("127.0.0.1:8081", "127.0.0.1", 200),
        ("127.9.9.9", "127.0.0.1", 200),
        ("[::1]:8081", "::1", 200),
        ("evil.example:8081", "127.0.0.1", 421),
        ("localhost.evil.example", "127.0.0.1", 421),
        ("127.0.0.1.evil.example", "127.0.0.1", 421),
        ("10.0.0.5:8081", "127.0.0.1", 421),
        ("", "127.0.0.1", 421),
        ("10.0.0.5:8081", "0.0.0.0", 200),
        ("[fd00::5]:8081", "::", 200),
        ("evil.example", "0.0.0.0", 421),
        ("pages.example:8081", "pages.example", 200),
        ("other.example:8081", "pages.example", 421),
    ],
)
async def test_only_names_of_this_host_are_answered(scene: Scene, host: str, listens: str, status: int) -> None:
    answer = await ask(scene, "/api/summary", host=host, listens=listens)
    assert answer.status_code == status
    if status == 421:
        assert answer.json() == {"error": "not called by a name of this host; use localhost or its address"}


async def test_two_names_at_once_are_none() -> None:
    sent: list[dict[str, Any]] = []
    headers = [(b"host", b"localhost"), (b"host", b"evil.example")]
    scope = {"type": "http", "method": "GET", "path": "/", "headers": headers, "query_string": b""}

    async def send(message: Any) -> None:  # noqa: ANN401
        sent.append(message)

    async def receive() -> Any:  # noqa: ANN401
        return {"type": "http.request", "body": b"", "more_body": False}

    await dashboard.application(Scene().sources, "127.0.0.1")(scope, receive, send)
    assert sent[0]["status"] == 421


@pytest.mark.parametrize("path", ["/docs", "/openapi.json", "/static/nothing.js", "/static/..%2fpages.py", "/static/"])
async def test_nothing_else_is_there(scene: Scene, path: str) -> None:
    answer = await ask(scene, path)
    assert answer.status_code == 404
    assert answer.json() == {"error": "no such path; try /, /workloads or /api/summary"}


async def test_files_of_a_page_are_those_that_it_names(scene: Scene) -> None:
    text = (await ask(scene, "/")).text
    for name, asset in pages.ASSETS.items():
        path = f"/static/{name}?v={asset.version}"
        assert path in text
        answer = await ask(scene, path)
        assert answer.content == asset.content
        assert answer.headers["content-type"].startswith(asset.media_type)
        assert "immutable" in answer.headers["cache-control"]


@pytest.mark.parametrize("suffix", ["", "/api"])
async def test_a_workload_that_is_not_known_is_said_so(scene: Scene, suffix: str) -> None:
    answer = await ask(scene, f"{suffix}/workload?namespace={HOSTILE}&kind=Pod&name=x")
    assert answer.status_code == 404
    assert "<img" not in answer.text.replace('<img src="/static/', "")


async def test_a_workload_is_told_as_json(scene: Scene) -> None:
    answer = await ask(scene, "/api/workload?namespace=team-alpha&kind=Pod&name=rogue")
    assert answer.headers["content-type"] == "application/json"
    assert [each["entry"]["path"] for each in answer.json()["decisions"]] == ["/mutate", "/validate"]


@pytest.mark.parametrize(
    "query",
    [
        "page=x",
        "page=-1",
        "page=99999999999999999999",
        "page=%D9%A3",
        "verdict=nonsense",
        "order=",
        "text=" + "x" * 9_999,
    ],
)
async def test_a_query_that_makes_no_sense_is_answered(scene: Scene, query: str) -> None:
    answer = await ask(scene, f"/workloads?{query}")
    assert answer.status_code == 200
    assert len(answer.content) < 30_000


async def test_hostile_queries_stay_text(scene: Scene) -> None:
    for name in ("policy", "guardrail", "namespace", "verdict", "text"):
        answer = await ask(scene, str(httpx.URL("/workloads", params={name: HOSTILE})))
        assert "<img src=x" not in answer.text


async def test_what_only_the_event_loop_may_read_is_read_there_and_the_rest_elsewhere() -> None:
    scene = Scene().busy()
    loop = threading.get_ident()
    asked: dict[str, set[int]] = {"policies": set(), "certificates": set()}

    def policies() -> CurrentPolicies:
        asked["policies"].add(threading.get_ident())
        return scene.sources.policies()

    def certificates() -> Mapping[str, float]:
        asked["certificates"].add(threading.get_ident())
        return {}

    app = dashboard.Dashboard(scene.sources._replace(policies=policies, certificates=certificates))
    await app.overview()
    assert asked["policies"] == {loop}
    assert asked["certificates"]
    assert loop not in asked["certificates"]


async def test_however_many_look_the_facts_are_taken_once_a_second() -> None:
    scene = Scene().busy()
    clock = [100.0]
    times: list[int] = []

    def sizes() -> Mapping[str, int]:
        times.append(1)
        return {}

    app = dashboard.Dashboard(scene.sources._replace(sizes=sizes), lambda: clock[0])
    for _ in range(5):
        await app.overview()
        await app.summary()
        await app.workloads({})
    assert len(times) == 1
    scene.create(factories.safe_pod())
    clock[0] += dashboard.FRESH_SECONDS
    assert b'"sinceStart":7' in (await app.summary()).body
    assert len(times) == 2


async def test_what_takes_long_is_told_again_for_longer() -> None:
    scene = Scene()
    clock = [100.0]
    times: list[int] = []

    def certificates() -> Mapping[str, float]:
        times.append(1)
        clock[0] += 2.0
        return {}

    app = dashboard.Dashboard(scene.sources._replace(certificates=certificates), lambda: clock[0])
    await app.overview()
    clock[0] += 2.0 * dashboard.SHARE - 0.1
    await app.overview()
    assert len(times) == 1
    clock[0] += 0.2
    await app.overview()
    assert len(times) == 2


async def test_a_page_changes_nothing_that_it_shows() -> None:
    scene = Scene().busy()
    before = (scene.journal.sizes(), dict(scene.journal.counts), scene.ledger.size(), scene.journal.newest())
    for path in PATHS:
        await ask(scene, path)
    assert before == (scene.journal.sizes(), dict(scene.journal.counts), scene.ledger.size(), scene.journal.newest())
