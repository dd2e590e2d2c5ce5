"""The process around the HTTP applications: sockets, signals, start-up and the way out.

One event loop serves all ports: the admission application over TLS, and plain HTTP for operations and pages. Start-up
fails with one line, before anything listens, or succeeds.

The way out matters as much. An API server keeps its connections to a replica that has been told to stop, and goes on
using them until they close under a request. So on SIGTERM the process turns unready and goes on serving for a while,
asking clients with every answer to open their next connection elsewhere; only then does it finish what is under way
and end.
"""

import asyncio
import contextlib
import errno
import gc
import logging
import os
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any

import uvicorn

from webhook.serve import admission_app, ops
from webhook.serve.bytes_in_flight import Flight
from webhook.serve.tls import ServerTls

KEEP_ALIVE_SECONDS = 120
"""API servers drop idle connections after about 90 seconds. Ours must not be the side that closes first: a request
that crosses with the close would fail."""

DRAIN_SECONDS = 10
"""How long open requests may take to finish at the end; an API server waits no longer by default."""

BACKLOG = 2048
"""Connections that may wait to be accepted; scaling one Deployment was seen to open 170 at once."""

GC_THRESHOLD = 50_000
"""Allocations between two collections of the youngest generation; the structs of a review hold no cycles."""


class ListenError(Exception):
    """The process cannot serve; one line with the cure. Exit status 2."""


@dataclass(frozen=True, slots=True)
class Site:
    """An application on a port of its own, in plain HTTP.

    `flag` is the option that sets the port, and `host_flag` the one of the address, for error messages. Port 0 takes
    any free port.
    """

    name: str
    flag: str
    app: admission_app.Application
    host: str
    port: int
    host_flag: str = "--host"


@dataclass(frozen=True, slots=True)
class Admission:
    """The admission port: the application, its TLS, and where it listens. Port 0 takes any free port."""

    app: admission_app.AdmissionApp
    tls: ServerTls
    host: str
    port: int


def serve(
    admission: Admission,
    sites: Sequence[Site],
    health: ops.Health,
    *,
    shutdown_delay: float = 0.0,
    background: Sequence[AbstractAsyncContextManager[Any]] = (),
    announce: Callable[[str], None] = print,
) -> int:
    """Serve until SIGTERM or SIGINT, and return the exit status 0.

    Args:
        admission: the TLS port.
        sites: the plain ports.
        health: turned unready when the process is asked to stop.
        shutdown_delay: seconds to go on serving after SIGTERM; a second signal ends the wait. SIGINT, a person at a
            terminal, does not wait at all.
        background: entered in their order before anything is served and left in reverse order at the end.
        announce: is given one line when all ports are open, and one when the process is asked to stop.

    Raises:
        ListenError: a port that cannot be opened, or a missing library.
    """
    loop_factory = _event_loop()
    with _signals_held() as held, contextlib.ExitStack() as closing:
        sockets = [_bind(admission.host, admission.port, "--port", closing)]
        sockets += [_bind(site.host, site.port, site.flag, closing, site.host_flag) for site in sites]
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.run(_Process(admission, sites, health, sockets, announce).run(shutdown_delay, background, held))
    return 0


class _Process:
    """One run: the servers, and what happens between the first signal and the end."""

    def __init__(
        self,
        admission: Admission,
        sites: Sequence[Site],
        health: ops.Health,
        sockets: Sequence[socket.socket],
        announce: Callable[[str], None],
    ) -> None:
        self._lane = admission.app
        self._health = health
        self._announce = announce
        self._sockets = sockets
        self._servers = [
            _Server(_config(admission.app, admission.app.flight, admission.tls)),
            *(_Server(_config(site.app, admission.app.flight)) for site in sites),
        ]
        self._labels = ["admission", *(site.name for site in sites)]
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()

    async def run(
        self,
        shutdown_delay: float,
        background: Sequence[AbstractAsyncContextManager[Any]],
        held: list[signal.Signals],
    ) -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(_quiet_handshakes)
        for number in _SIGNALS:
            loop.add_signal_handler(number, self._signalled, number)
        # A signal that came before the loop could take it counts as if it came now.
        for number in held:
            self._signalled(number)
        async with contextlib.AsyncExitStack() as stack:
            for context in background:
                await stack.enter_async_context(context)
            tasks = [
                asyncio.create_task(server.serve(sockets=[bound]))
                for server, bound in zip(self._servers, self._sockets, strict=True)
            ]
            try:
                await self._until_stopped(tasks, shutdown_delay)
            finally:
                # The admission port first: probes and metrics stay up until its last answer is out.
                for server, task in zip(self._servers, tasks, strict=True):
                    server.should_exit = True
                    await asyncio.wait([task])
            for task in tasks:
                task.result()

    async def _until_stopped(self, tasks: Sequence["asyncio.Task[None]"], shutdown_delay: float) -> None:
        stop = asyncio.create_task(self._stop.wait())
        try:
            opened = asyncio.gather(*(server.opened.wait() for server in self._servers))
            first: list[asyncio.Future[Any]] = [opened, stop, *tasks]
            await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
            if opened.done():
                self._announce(f"podgate: serving {', '.join(self._addresses())}")
                _settle_memory()
            else:
                opened.cancel()
            await asyncio.wait([stop, *tasks], return_when=asyncio.FIRST_COMPLETED)
        finally:
            stop.cancel()
        self._health.drain()
        self._lane.drain()
        if self._stop.is_set() and not self._hurry.is_set() and shutdown_delay > 0:
            self._announce(f"podgate: asked to stop; serving for {shutdown_delay:g} more seconds")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._hurry.wait(), shutdown_delay)
        self._announce("podgate: stopping")

    def _signalled(self, number: signal.Signals) -> None:
        if number == signal.SIGINT or self._stop.is_set():
            self._hurry.set()
        self._stop.set()

    def _addresses(self) -> Iterator[str]:
        for index, (label, bound) in enumerate(zip(self._labels, self._sockets, strict=True)):
            host, port = bound.getsockname()[:2]
            shown = f"[{host}]" if ":" in host else host
            yield f"{label} on {'http' if index else 'https'}://{shown}:{port}"


class _Server(uvicorn.Server):
    """uvicorn's server, with signals left to us and an event for "the port is open"."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.opened = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signal handlers alone: one process has several servers, and one way out."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Open the port and say so."""
        await super().startup(sockets=sockets)
        self.opened.set()


def _config(app: admission_app.Application, flight: Flight, tls: ServerTls | None = None) -> uvicorn.Config:
    # Importing it needs a library whose absence has its own message, see `_event_loop`.
    from webhook.serve.http_protocol import within

    return uvicorn.Config(
        app,
        http=within(flight),
        ws="none",
        interface="asgi3",
        lifespan="off",
        log_config=None,
        # Scanners and broken clients would otherwise fill the log with one warning each.
        log_level=logging.ERROR,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=DRAIN_SECONDS,
        ssl_context_factory=None if tls is None else lambda _config, _default: tls.context,
    )


def _event_loop() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import httptools  # noqa: F401
        import uvloop
    except ImportError as error:
        raise ListenError(
            f"the library {error.name} is missing, and serving without it costs twice the CPU; "
            f"install it: pip install {error.name}"
        ) from None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


def _bind(host: str, port: int, flag: str, closing: contextlib.ExitStack, host_flag: str = "--host") -> socket.socket:
    """Open a listening socket. ``::`` takes IPv4 as well, and IPv4 alone where the kernel has no IPv6."""
    try:
        if host == "::" and not socket.has_dualstack_ipv6():
            host = "0.0.0.0"  # noqa: S104  the same wish, said in IPv4
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        if host == "::":
            bound = socket.create_server((host, port), family=family, backlog=BACKLOG, dualstack_ipv6=True)
        else:
            bound = socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error.strerror or error)
        cure = f"stop what listens there, or choose another port with {flag}"
        if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
            cure = f"give an address of this machine with {host_flag}"
        elif isinstance(error, PermissionError):
            cure = f"choose a port above 1023 with {flag}"
        raise ListenError(f"cannot listen on {host} port {port}: {reason}; {cure}") from None
    return closing.enter_context(bound)


def _settle_memory() -> None:
    """Take what start-up made out of the garbage collector's sight: it stays, and need not be walked again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD, 20, 20)


def _quiet_handshakes(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Drop what a peer did wrong on its connection; hand everything else to the loop's own handler."""
    if isinstance(context.get("exception"), OSError):
        # TLS errors and resets: port scanners, probes without TLS, clients that went away.
        return
    loop.default_exception_handler(context)


_SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextlib.contextmanager
def _signals_held() -> Iterator[list[signal.Signals]]:
    """Collect signals until the event loop takes them, and put the old handlers back at the end."""
    held: list[signal.Signals] = []
    before = {
        number: signal.signal(number, lambda got, _frame: held.append(signal.Signals(got))) for number in _SIGNALS
    }
    try:
        yield held
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
