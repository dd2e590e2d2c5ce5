"""The admission application and time: what has waited too long is answered by the other handler, and told."""

import json
import logging
import time
from typing import Any

import prometheus_client
import pytest

from webhook.admission.request import BadReview
from webhook.serve import admission_app, event_loop_lag, ops


class Caller:
    """An application with both handlers."""

    def __init__(self) -> None:
        self.app = admission_app.AdmissionApp(
            lambda _path, _body, _timeout: admission_app.Answer(200, b'"judged"'),
            ops.bare_application(""),
            shed=self.shed,
        )

    def shed(self, _path: str, body: bytes, _timeout: float | None) -> admission_app.Answer:
        if not body:
            raise BadReview("the body is empty")
        return admission_app.Answer(200, b'"unjudged"')

    async def call(self, waited: float | None, query: bytes = b"timeout=4s", body: bytes = b"{}") -> tuple[int, Any]:
        sent: list[Any] = []

        async def receive() -> Any:  # noqa: ANN401
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:  # noqa: ANN401
            sent.append(message)

        scope: dict[str, Any] = {
            "type": "http",
            "method": "POST",
            "path": "/validate",
            "query_string": query,
            "headers": [(b"content-type", b"application/json")],
        }
        if waited is not None:
            scope[event_loop_lag.ARRIVED] = time.monotonic() - waited
        await self.app(scope, receive, send)
        return sent[0]["status"], json.loads(sent[1]["body"])


@pytest.mark.parametrize(
    ("waited", "query", "answer"),
    [
        pytest.param(0.0, b"timeout=4s", "judged", id="came just now"),
        pytest.param(0.9, b"timeout=4s", "judged", id="within its part"),
        pytest.param(1.1, b"timeout=4s", "unjudged", id="after its part"),
        pytest.param(0.3, b"timeout=1s", "unjudged", id="of an impatient caller"),
        pytest.param(2.4, b"", "judged", id="of a caller that does not say"),
        pytest.param(2.6, b"", "unjudged", id="too long for whoever does not say"),
        pytest.param(2.6, b"timeout=30s", "unjudged", id="too long for anybody"),
        pytest.param(None, b"timeout=1s", "judged", id="from a server that keeps no time"),
    ],
)
async def test_who_has_waited_too_long_is_not_judged(waited: float | None, query: bytes, answer: str) -> None:
    caller = Caller()

    assert await caller.call(waited, query) == (200, answer)
    assert sum(caller.app.overloaded.values()) == (answer == "unjudged")


async def test_a_body_that_is_no_review_is_none_under_load_either() -> None:
    status, body = await Caller().call(60.0, body=b"")

    assert (status, body) == (400, {"error": "the body is empty"})


async def test_overload_is_told_once_in_a_while(caplog: pytest.LogCaptureFixture) -> None:
    caller = Caller()
    with caplog.at_level(logging.WARNING, "podgate.lane"):
        for _ in range(5):
            await caller.call(60.0)

    (line,) = caplog.messages
    assert "onFault" in line
    assert "give podgate more CPU or more replicas" in line


async def test_overload_is_a_metric_of_every_path_from_the_start() -> None:
    caller = Caller()
    registry = prometheus_client.CollectorRegistry()
    registry.register(ops.AdmissionAppCollector(caller.app))
    await caller.call(60.0)

    def sample(path: str) -> float | None:
        return registry.get_sample_value("podgate_overload_total", {"path": path})

    assert (sample("/validate"), sample("/mutate")) == (1, 0)
    assert registry.get_sample_value("podgate_loop_lag_seconds") == 0
