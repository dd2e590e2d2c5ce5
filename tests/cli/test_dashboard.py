"""The pages of a running `podgate serve`: there by default, gone with port 0, and of the decisions that it made."""

import asyncio
import io
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml

from tests import factories
from tests.cli._server import Server, serving, until
from tests.fakes.apiserver import FakeApiServer
from tests.fakes.live import client_of
from tests.ports import free_port
from webhook import assembly
from webhook.admission.log import DecisionLog
from webhook.cli import _dashboard
from webhook.serve import ops
from webhook.settings import Settings


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, str]]:
    port = free_port()
    with serving(tmp_path_factory.mktemp("pages"), "--dashboard-port", str(port)) as server:
        until(lambda: server.ready()[0] == 200)
        yield server, f"http://127.0.0.1:{port}"


def test_a_decision_is_on_the_pages_with_everything_around_it(running: tuple[Server, str]) -> None:
    server, address = running
    review = factories.review(factories.pod(hostNetwork=True, metadata={"name": "rogue"}), uid="on-the-pages")
    server.post("/validate", review)
    until(lambda: "on-the-pages" in server.log)
    facts = until(lambda: (found := httpx.get(f"{address}/api/summary").json())["decisions"]["sinceStart"] and found)
    assert isinstance(facts, dict)
    assert (facts["ready"], facts["mode"], facts["policies"]["inForce"]) == (True, "enforce", True)
    assert facts["decisions"]["lastDay"]["refused"] == 1
    assert {each["name"] for each in facts["certificates"]} == {"authority", "serving certificate"}
    assert {each["name"] for each in facts["budgets"]["items"]} >= {"engineering-alpha"}
    assert facts["caches"]["entries"]["journal_owners"] == 1
    assert "team-namespaces" in httpx.get(address).text
    detail = httpx.get(f"{address}/workload", params={"namespace": "team-alpha", "kind": "Pod", "name": "rogue"})
    assert "on-the-pages" in detail.text


def test_a_broken_edit_is_on_the_pages_with_its_place_and_cure(running: tuple[Server, str]) -> None:
    server, address = running
    bad = server.policies / "bad.yaml"
    bad.write_text(factories.policy("mode: nonsense\ncostCeiling: {podMonthly: '1'}", name="bad"))
    try:
        problems = until(lambda: httpx.get(f"{address}/api/summary").json()["policies"]["problems"]["items"])
        assert isinstance(problems, list)
        assert problems[0]["file"].endswith("bad.yaml")
        assert problems[0]["line"] == 5
        assert problems[0]["cure"]
        assert "The last good set serves on." in httpx.get(address).text
    finally:
        bad.unlink()


def test_a_name_of_somebody_else_gets_nothing(running: tuple[Server, str]) -> None:
    assert httpx.get(running[1], headers={"host": "evil.example"}).status_code == 421


def test_port_0_is_no_pages(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        assert "operations on" in server.told
        assert "dashboard" not in server.told


def test_a_port_that_is_taken_is_one_line_with_the_flag(tmp_path: Path) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(AssertionError, match=r"cannot listen on 127\.0\.0\.1 port \d+: .*--dashboard-port"),
        serving(tmp_path, "--dashboard-port", str(taken.getsockname()[1])),
    ):
        pass


def test_an_address_of_another_machine_is_one_line_with_the_flag(tmp_path: Path) -> None:
    with (
        pytest.raises(AssertionError, match=r"give an address of this machine with --dashboard-host"),
        serving(tmp_path, "--dashboard-port", str(free_port()), "--dashboard-host", "192.0.2.1"),
    ):
        pass


async def test_over_a_live_cluster_watches_and_resources_are_told() -> None:
    good = factories.policy('mode: audit\ncostCeiling: {podMonthly: "150"}', name="good")
    bad = factories.policy("mode: nonsense", name="bad")
    with FakeApiServer() as server:
        server.apply(yaml.safe_load(good), yaml.safe_load(bad))
        parts = assembly.live(
            Settings.build(cluster="live"),
            DecisionLog(io.BytesIO()),
            api=client_of(server),
            watch_options={"scale": 0.01},
        )
        chosen = Settings.build(cluster="live", dashboard_port=free_port())
        health = ops.Health()
        health.add_check("cluster", lambda: assembly.cluster_problem(parts))
        (site,) = _dashboard.sites(chosen, parts, health, dict)
        async with assembly.watching(parts):
            async with asyncio.timeout(10):
                while assembly.policy_problem(parts) is not None:  # noqa: ASYNC110  it happens in other threads
                    await asyncio.sleep(0.01)
            transport = httpx.ASGITransport(site.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
                facts = (await client.get("/api/summary")).json()
                page = (await client.get("/")).text
    watches = {each["name"]: each["state"] for each in facts["caches"]["watches"]}
    assert watches["pods"] == watches["guardrailpolicies"] == "well"
    assert facts["policies"]["kinds"] == {"GuardrailPolicy": 1}
    assert facts["policies"]["problems"]["items"][0]["file"] == "GuardrailPolicy bad"
    assert facts["cluster"] == "live"
    assert "A live cluster" in page
    assert facts["caches"]["entries"]["policy_resources"] == 1
