"""The operations port: ``/livez``, ``/readyz``, ``/metrics``.

Live means that the event loop answers. Ready means that verdicts are right: every check of `Health` passes. A policy
edit that could not be loaded is neither, because the last good set goes on serving; it is a notice, shown by
``/readyz?verbose`` beside the checks.

It is plain HTTP on its own port: probes and scrapers need no certificate, and the port of the admission paths can
demand one.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import prometheus_client
from fastapi import FastAPI, Request, Response
from fastapi.responses import PlainTextResponse
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from starlette.exceptions import HTTPException

from webhook.serve import admission_app

HealthCheck = Callable[[], str | None]
"""Return None where all is well, else one line: what is wrong and what to do."""

Notice = Callable[[], Sequence[str]]
"""Return lines that an operator should see, and that leave the process ready."""


class HealthState(NamedTuple):
    """The outcome of one check."""

    name: str
    reason: str | None
    """None where it passed."""


class Health:
    """The named checks that decide whether the process is ready, and the notices beside them."""

    def __init__(self) -> None:
        self._checks: dict[str, HealthCheck] = {}
        self._notices: dict[str, Notice] = {}

    def add_check(self, name: str, check: HealthCheck) -> None:
        """Add a check, or replace the one of that name."""
        self._checks[name] = check

    def add_notice(self, name: str, notice: Notice) -> None:
        """Add notices, or replace those of that name."""
        self._notices[name] = notice

    def drain(self) -> None:
        """Be unready from now on: the process is about to stop."""
        self.add_check("shutdown", lambda: "shutting down; new connections belong to another replica")

    def states(self) -> list[HealthState]:
        """Run every check; one that raises has failed."""
        return [HealthState(name, _run(check)) for name, check in self._checks.items()]

    def notices(self) -> list[str]:
        """Return every notice as ``name: line``."""
        lines: list[str] = []
        for name, notice in self._notices.items():
            try:
                lines += [f"{name}: {line}" for line in notice()]
            except Exception as error:  # noqa: BLE001  a broken notice must not make /readyz fail
                lines.append(f"{name}: cannot be told ({type(error).__name__})")
        return lines


def application(health: Health, registry: prometheus_client.CollectorRegistry) -> FastAPI:
    """Return the application of the operations port."""
    app = bare_application("try /livez, /readyz or /metrics")

    @app.get("/livez")
    async def livez() -> Response:
        return PlainTextResponse("ok\n")

    @app.get("/readyz")
    async def readyz(request: Request) -> Response:
        states = health.states()
        failed = [state for state in states if state.reason is not None]
        if "verbose" in request.query_params:
            lines = [_verbose_line(state) for state in states]
            lines += [f"[!] {line}" for line in health.notices()]
            lines.append("ready" if not failed else "not ready")
        elif failed:
            lines = [f"{state.name}: {state.reason}" for state in failed]
        else:
            lines = ["ok"]
        return PlainTextResponse("".join(f"{line}\n" for line in lines), status_code=503 if failed else 200)

    @app.get("/metrics")
    async def metrics(request: Request) -> Response:
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(registry), headers={"content-type": content_type})

    return app


def bare_application(hint: str) -> FastAPI:
    """Return a FastAPI application without documentation pages whose errors are one-line JSON ending in `hint`."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)

    @app.exception_handler(HTTPException)
    async def plain_error(_request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        headers = error.headers if isinstance(error, HTTPException) else None
        reason = "no such path" if status == 404 else "the method is not allowed here"
        content = admission_app.error_body(f"{reason}; {hint}")
        return Response(content, status, headers=headers, media_type="application/json")

    return app


class AdmissionAppCollector(Collector):
    """What the admission application counts, as metrics.

    Labels are HTTP statuses it can answer with, its paths, and two words.
    """

    def __init__(self, counted: admission_app.AdmissionApp) -> None:
        self._lane = counted

    def collect(self) -> Iterable[Metric]:
        """Return the current counts."""
        refused = CounterMetricFamily(
            "podgate_http_refused", "Requests answered without a verdict, by HTTP status.", labels=["status"]
        )
        for status, count in sorted(self._lane.refused.items()):
            refused.add_metric([str(status)], count)
        faults = CounterMetricFamily(
            "podgate_http_faults", "Unexpected errors of the admission port, by where.", labels=["where"]
        )
        for where in ("handler", "after"):
            faults.add_metric([where], self._lane.faults[where])
        overload = CounterMetricFamily(
            "podgate_overload", "Reviews that waited too long and were answered without being judged.", labels=["path"]
        )
        for path in sorted(admission_app.PATHS):
            overload.add_metric([path], self._lane.overloaded[path])
        lag = GaugeMetricFamily(
            "podgate_loop_lag_seconds",
            "How far the event loop was behind at worst since the last scrape.",
            self._lane.lag.take_worst(),
        )
        flight = self._lane.flight
        bytes_held = GaugeMetricFamily(
            "podgate_bytes_in_flight",
            "Bytes of bodies that are being read or judged, and of answers that were not taken yet.",
            labels=["part"],
        )
        for part, held in (("bodies", flight.bodies + flight.small), ("answers", flight.answers)):
            bytes_held.add_metric([part], held)
        cut_off = CounterMetricFamily(
            "podgate_connections_cut_off", "Connections closed because they did not take their answers.", flight.cut_off
        )
        return [refused, faults, overload, lag, bytes_held, cut_off]


def _run(check: HealthCheck) -> str | None:
    try:
        reason = check()
    except Exception as error:  # noqa: BLE001  a check that fails to run has failed
        return f"the check itself failed ({type(error).__name__})"
    return reason


def _verbose_line(state: HealthState) -> str:
    return f"[+] {state.name}: ok" if state.reason is None else f"[-] {state.name}: {state.reason}"
