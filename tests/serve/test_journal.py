"""The journal on the operations port: for callers on the same machine alone, and bounded."""

import httpx
import prometheus_client
import pytest

from tests.reporting.test_journal import recorded
from webhook.reporting.journal import Journal
from webhook.serve import journal as pages
from webhook.serve import ops


async def get(query: str, *, client: str = "127.0.0.1", host: str = "localhost:8080") -> httpx.Response:
    journal = Journal()
    journal.told(recorded(message="no"))
    journal.told(recorded(message="no"))
    app = ops.application(ops.Health(), prometheus_client.CollectorRegistry())
    pages.add(app, journal)
    transport = httpx.ASGITransport(app, client=(client, 1))
    async with httpx.AsyncClient(transport=transport, base_url=f"http://{host}") as caller:
        return await caller.get(f"/journal{query}")


SHOP = "?namespace=team-alpha&kind=Deployment&name=shop"


@pytest.mark.parametrize("client", ["127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1"])
@pytest.mark.parametrize("host", ["localhost:8080", "127.0.0.1", "[::1]:8080"])
async def test_a_caller_on_the_same_machine_is_answered(client: str, host: str) -> None:
    answer = await get(SHOP, client=client, host=host)
    assert answer.status_code == 200
    (decision,) = answer.json()["decisions"]
    assert decision["times"] == 2
    assert decision["entry"]["kind"] == "Pod"


@pytest.mark.parametrize(
    ("client", "host"),
    [
        pytest.param("10.0.0.7", "localhost", id="another machine"),
        pytest.param("::ffff:10.0.0.7", "localhost", id="another machine, mapped"),
        pytest.param("fe80::1", "localhost", id="a neighbour"),
        pytest.param("127.0.0.1", "evil.example", id="a page that rebinds its name"),
        pytest.param("127.0.0.1", "10.0.0.7", id="an address of the network"),
    ],
)
async def test_nobody_else_is(client: str, host: str) -> None:
    answer = await get(SHOP, client=client, host=host)
    assert answer.status_code == 403
    assert "kubectl port-forward" in answer.text


async def test_what_is_not_known_is_an_empty_answer() -> None:
    assert (await get("?namespace=x&kind=Pod&name=y")).json() == {"decisions": []}
    assert (await get("")).json() == {"decisions": []}
