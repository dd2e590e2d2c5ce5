"""The operations port: probes and metrics."""

import httpx
import prometheus_client
import pytest

from webhook.admission.unjudged import UnjudgedCollector, UnjudgedCounters
from webhook.admission.unread import REASONS
from webhook.serve import admission_app, ops


def refuse_everything(_path: str, _body: bytes, _timeout: float | None) -> admission_app.Answer:
    return admission_app.Answer(503, b"{}")


async def get(
    path: str, health: ops.Health, registry: prometheus_client.CollectorRegistry | None = None
) -> httpx.Response:
    app = ops.application(health, registry or prometheus_client.CollectorRegistry())
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://ops") as client:
        return await client.get(path)


def broken() -> str | None:
    raise RuntimeError("boom")


async def test_alive_whatever_the_checks_say() -> None:
    health = ops.Health()
    health.add_check("policies", lambda: "none loaded; mend policies/a.yaml:3")

    answer = await get("/livez", health)

    assert (answer.status_code, answer.text) == (200, "ok\n")


async def test_ready_when_every_check_passes() -> None:
    health = ops.Health()
    health.add_check("policies", lambda: None)

    answer = await get("/readyz", health)

    assert (answer.status_code, answer.text) == (200, "ok\n")


async def test_not_ready_tells_one_line_for_each_failing_check() -> None:
    health = ops.Health()
    health.add_check("policies", lambda: "none loaded; mend policies/a.yaml:3")
    health.add_check("cluster", lambda: None)
    health.add_check("certificates", broken)

    answer = await get("/readyz", health)

    assert answer.status_code == 503
    assert answer.text.splitlines() == [
        "policies: none loaded; mend policies/a.yaml:3",
        "certificates: the check itself failed (RuntimeError)",
    ]


async def test_verbose_lists_every_check_and_every_notice() -> None:
    health = ops.Health()
    health.add_check("cluster", lambda: None)
    health.add_notice("policies", lambda: ["a.yaml:3: spec.mode: missing", "b.yaml:1: not YAML"])

    answer = await get("/readyz?verbose", health)

    assert answer.status_code == 200
    assert answer.text.splitlines() == [
        "[+] cluster: ok",
        "[!] policies: a.yaml:3: spec.mode: missing",
        "[!] policies: b.yaml:1: not YAML",
        "ready",
    ]


async def test_a_notice_that_cannot_be_told_leaves_the_process_ready() -> None:
    def fails() -> list[str]:
        raise RuntimeError

    health = ops.Health()
    health.add_notice("policies", fails)

    answer = await get("/readyz?verbose", health)

    assert answer.status_code == 200
    assert "cannot be told" in answer.text


async def test_draining_is_unready_and_alive() -> None:
    health = ops.Health()
    health.drain()

    assert (await get("/readyz", health)).status_code == 503
    assert "[-] shutdown" in (await get("/readyz?verbose", health)).text
    assert (await get("/livez", health)).status_code == 200


async def test_metrics_are_those_of_the_registry_that_was_given() -> None:
    registry = prometheus_client.CollectorRegistry()
    prometheus_client.Counter("podgate_things", "Things.", registry=registry).inc(3)

    answer = await get("/metrics", ops.Health(), registry)

    assert "podgate_things_total 3.0" in answer.text
    assert answer.headers["content-type"].startswith("text/plain")


async def test_what_the_lane_counts_is_a_metric() -> None:
    counted = admission_app.AdmissionApp(refuse_everything, ops.bare_application(""))
    counted.refused[413] += 2
    counted.faults["after"] += 1
    registry = prometheus_client.CollectorRegistry()
    registry.register(ops.AdmissionAppCollector(counted))

    text = (await get("/metrics", ops.Health(), registry)).text

    assert 'podgate_http_refused_total{status="413"} 2.0' in text
    assert 'podgate_http_faults_total{where="after"} 1.0' in text
    assert 'podgate_http_faults_total{where="handler"} 0.0' in text


async def test_answers_that_come_from_no_judgement_are_a_metric_from_the_start_and_a_notice_while_recent() -> None:
    now = [1_000.0]
    unjudged = UnjudgedCounters(lambda: now[0])
    counted = admission_app.AdmissionApp(refuse_everything, ops.bare_application(""), unjudged=unjudged)
    registry, health = prometheus_client.CollectorRegistry(), ops.Health()
    registry.register(ops.AdmissionAppCollector(counted))
    registry.register(UnjudgedCollector(unjudged, admission_app.PATHS))
    health.add_notice("unjudged", unjudged.notices)

    text = (await get("/metrics", health, registry)).text
    for reason in REASONS:
        assert f'podgate_unjudged_total{{path="/mutate",reason="{reason}"}} 0.0' in text
    assert "unjudged" not in (await get("/readyz?verbose", health, registry)).text

    unjudged.count("/mutate", "too_large")
    unjudged.count("/validate", "too_large")
    now[0] += 30
    assert (
        'podgate_unjudged_total{path="/mutate",reason="too_large"} 1.0'
        in (await get("/metrics", health, registry)).text
    )
    ready = await get("/readyz?verbose", health, registry)
    assert "[!] unjudged: too_large: 2 answers so far, the last 30 seconds ago; " in ready.text
    assert ready.status_code == 200

    now[0] += 600
    assert "unjudged" not in (await get("/readyz?verbose", health, registry)).text


async def test_what_is_in_flight_is_a_metric() -> None:
    counted = admission_app.AdmissionApp(refuse_everything, ops.bare_application(""))
    counted.flight.enter_small(7)
    assert await counted.flight.enter(1_000_000, 1)
    counted.flight.cut_off = 3
    registry = prometheus_client.CollectorRegistry()
    registry.register(ops.AdmissionAppCollector(counted))

    text = (await get("/metrics", ops.Health(), registry)).text

    assert 'podgate_bytes_in_flight{part="bodies"} 1.000007e+06' in text
    assert 'podgate_bytes_in_flight{part="answers"} 0.0' in text
    assert "podgate_connections_cut_off_total 3.0" in text


@pytest.mark.parametrize("path", ["/", "/docs", "/redoc", "/openapi.json", "/livez/"])
async def test_nothing_else_is_there(path: str) -> None:
    answer = await get(path, ops.Health())

    assert answer.status_code == 404
    assert answer.json() == {"error": "no such path; try /livez, /readyz or /metrics"}


async def test_another_method_is_refused_in_one_line() -> None:
    app = ops.application(ops.Health(), prometheus_client.CollectorRegistry())
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://ops") as client:
        answer = await client.post("/livez")

    assert answer.status_code == 405
    assert "not allowed" in answer.json()["error"]
