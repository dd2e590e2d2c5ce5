"""The admission paths as a plain ASGI application in front of FastAPI.

A review answered through a FastAPI route spends most of its CPU in routing and in request and response objects that an
admission review has no use for. It reads the body, hands it to the handler as bytes, and sends back the bytes it
gets. Every other path goes to the FastAPI application behind it.

What an API server makes of an answer explains the statuses. 200 is a verdict. Anything else is a failed call, and then
the failure policy of the webhook object decides: that is where the installer said what should happen when no verdict
can be had, so an unexpected error must end there too, and not as a verdict of our own invention. Such an error is a
503, one line, without detail; the detail goes to the log.
"""

import asyncio
import functools
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

from webhook.admission import unread
from webhook.admission.engine import LARGE
from webhook.admission.head import Head
from webhook.admission.request import BadReview
from webhook.admission.request_fields import OtherRequest
from webhook.admission.unjudged import UnjudgedCounters
from webhook.serve import bodies, limiter
from webhook.serve import event_loop_lag as lags
from webhook.serve.bodies import Receive
from webhook.serve.bytes_in_flight import SMALL_BODY, Flight
from webhook.serve.fairness import FairQueue
from webhook.serve.memory import Heap
from webhook.serve.window import OPEN
from webhook.serve.wire import (
    CLOSE,
    PROBLEMS,
    Application,
    Problem,
    Scope,
    Send,
    discard,
    error_body,
    head_problem,
    one_line,
    parse_timeout,
)

__all__ = [
    "BODY_SECONDS",
    "MAXIMUM_BODY",
    "PATHS",
    "AdmissionApp",
    "Answer",
    "Application",
    "ReviewHandler",
    "error_body",
    "parse_timeout",
]

PATHS: Final = frozenset({"/mutate", "/validate", "/validate/security", "/validate/cost"})
"""The admission paths; all of them take POST only."""

MAXIMUM_BODY: Final = bodies.MAXIMUM_BODY
BODY_SECONDS: Final = bodies.BODY_SECONDS


class Answer(NamedTuple):
    """What the handler returns."""

    status: int
    body: bytes
    """JSON."""
    after: Callable[[], None] | None = None
    """What is left to do once the answer is on its way: log line, metrics. It holds the event loop, so it is short."""


ReviewHandler = Callable[[str, bytes, float | None], Answer | Awaitable[Answer]]
"""Judges one review: path, body, and the seconds the caller said it will wait (None where it did not say)."""

ByHead = Callable[[str, OtherRequest, unread.UnreadReview], Answer]
"""Answers a review that nobody has read: path, what it is about, and why. Raises `BadReview` as a handler does."""

_HEAD_BYTES: Final = 64 << 10
"""Of a large review that are searched for whose it is."""

_TELL_SECONDS: Final = 10.0
"""Between two log lines about reviews that were not judged."""

_UNAVAILABLE = Answer(503, error_body("no verdict: an unexpected error; see the log of podgate"))

_log = logging.getLogger("podgate.lane")


class AdmissionApp:
    """The ASGI application of the TLS port.

    Args:
        handler: judges one review. It raises `BadReview` for a body that is none, and nothing else.
        fallback: the application for all other paths.
        shed: answers what has waited longer than it may, see `webhook.serve.event_loop_lag`, as `handler` does; None
            lets that judge everything.
        by_head: answers what is too large to be kept; None refuses it as if it were no review.
        lag: knows how far the event loop is behind.
        unjudged: counts the answers that are no verdict.
        flight: bounds what bodies and answers take.
    """

    def __init__(
        self,
        handler: ReviewHandler,
        fallback: Application,
        *,
        shed: ReviewHandler | None = None,
        by_head: ByHead | None = None,
        lag: lags.EventLoopLag | None = None,
        unjudged: UnjudgedCounters | None = None,
        flight: Flight | None = None,
    ) -> None:
        self.refused: Counter[int] = Counter()
        """Requests answered with another status than 200, by status."""
        self.faults: Counter[str] = Counter()
        """Unexpected errors, by where: ``handler`` or ``after``."""
        self.overloaded: Counter[str] = Counter()
        """Reviews that waited too long and were answered without being judged, by path."""
        self.lag = lag or lags.EventLoopLag()
        self.unjudged = unjudged or UnjudgedCounters()
        self.flight = flight or Flight()
        self._heap = Heap()
        self._large = FairQueue()
        self._turnstile = limiter.AdaptiveLimiter()
        self._handler = handler
        self._shed = shed
        self._by_head = by_head
        self._fallback = fallback
        self._told_at = float("-inf")
        self._untold = 0
        self._json = (b"content-type", b"application/json")
        self._draining = False

    def drain(self) -> None:
        """From now on, ask every client to open its next connection elsewhere (``Connection: close``)."""
        self._draining = True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path")
        if path not in PATHS or scope["type"] != "http":
            await self._fallback(scope, receive, send)
            return
        problem, declared, expects_continue = head_problem(scope)
        if problem is not None:
            self.unjudged.count(path, "not_a_review")
            await self._refuse(problem, None if expects_continue else receive, send)
            return
        query = scope["query_string"]
        timeout = parse_timeout(query) if query else None
        message = await receive() if not SMALL_BODY < declared <= MAXIMUM_BODY else None
        if message is not None and message["type"] == "http.request" and not message.get("more_body"):
            body = message["body"]
            if len(body) <= SMALL_BODY:
                await self._answer(scope, path, body, timeout, send)
                return
        found = await bodies.read(message, receive, declared, self.flight, lags.deadline(timeout), scope.get(OPEN))
        if isinstance(found, bodies.DroppedBody):
            await self._answer_by_head(path, found, receive, send)
        elif found is not None:
            try:
                await self._answer(scope, path, found.content, timeout, send)
            finally:
                if found.large:
                    self.flight.leave(found.large)
        if not isinstance(found, bodies.Body) or found.large:
            # Small bodies leave nothing behind, and come often.
            self._heap.give_back_soon()

    async def _answer(self, scope: Scope, path: str, body: bytes, timeout: float | None, send: Send) -> None:  # noqa: ASYNC109  the caller's
        arrived = scope.get(lags.ARRIVED)
        if len(body) > LARGE:
            answer = await self._ask_large(arrived, path, body, timeout)
        else:
            since = self.lag.waiting_since(arrived) if arrived is not None else None
            waiting = self._turnstile.enter()
            if waiting is not None:
                await waiting
            if self._shed is not None and since is not None and time.monotonic() - since > lags.deadline(timeout):
                answer = await self._ask(functools.partial(self._answer_late, self._shed), path, body, timeout)
            else:
                answer = await self._ask(self._handler, path, body, timeout)
        await self._send(answer, send)

    async def _send(self, answer: Answer, send: Send) -> None:
        content = answer.body
        headers = [self._json, (b"content-length", b"%d" % len(content))]
        if self._draining:
            headers.append(CLOSE)
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": content})
        if answer.status != 200:
            self.refused[answer.status] += 1
        if answer.after is not None:
            # The event loop writes to sockets when its current turn ends; one turn later the answer is on its way.
            asyncio.get_running_loop().call_soon(self._afterwards, answer.after)

    async def _ask_large(self, arrived: float | None, path: str, body: bytes, timeout: float | None) -> Answer:  # noqa: ASYNC109  the caller's
        head = Head(body[:_HEAD_BYTES], is_brief=True)
        waited = time.monotonic() - self.lag.waiting_since(arrived) if arrived is not None else 0.0
        if not await self._large.enter(head.namespace or "", head.user, lags.deadline(timeout) - waited):
            return await self._ask(functools.partial(self._answer_large_late, head), path, body, timeout)

        def in_turn(path: str, body: bytes, timeout: float | None) -> Answer | Awaitable[Answer]:
            # The turn ends with the judging: writing to a ledger holds nobody up.
            try:
                return self._handler(path, body, timeout)
            finally:
                self._large.leave()

        return await self._ask(in_turn, path, body, timeout)

    async def _answer_by_head(self, path: str, found: bodies.DroppedBody, receive: Receive, send: Send) -> None:
        reason = found.why.reason
        if self._by_head is None or not found.head.is_review:
            self.unjudged.count(path, reason)
            await self._refuse(PROBLEMS[reason], None if found.is_whole else receive, send)
            return
        by_head, request = self._by_head, found.head.request()
        answer = await self._ask(lambda path, _body, _timeout: by_head(path, request, found.why), path, b"", None)
        if found.is_whole:
            await self._send(answer, send)
            return
        await self._send_early(answer.status, answer.body, receive, send)
        if answer.after is not None:
            self._afterwards(answer.after)

    def _answer_late(
        self, shed: ReviewHandler, path: str, body: bytes, timeout: float | None
    ) -> Answer | Awaitable[Answer]:
        self._tell_late(path)
        return shed(path, body, timeout)

    def _tell_late(self, path: str) -> None:
        self.overloaded[path] += 1
        self._untold += 1
        now = time.monotonic()
        if now - self._told_at >= _TELL_SECONDS:
            _log.warning(
                "overloaded: %d reviews waited too long and were answered by each guardrail's onFault, budgets apart; "
                "give podgate more CPU or more replicas",
                self._untold,
            )
            self._told_at, self._untold = now, 0

    def _answer_large_late(
        self, head: Head, path: str, body: bytes, timeout: float | None
    ) -> Answer | Awaitable[Answer]:
        # Many of them run out of time at once, and only to decode them would take what time there is.
        if self._by_head is None or not head.is_review:
            return (
                self._answer_late(self._shed, path, body, timeout) if self._shed else self._handler(path, body, timeout)
            )
        self._tell_late(path)
        return self._by_head(path, head.request(), unread.WAITED)

    async def _ask(self, handler: ReviewHandler, path: str, body: bytes, timeout: float | None) -> Answer:  # noqa: ASYNC109
        # The time-out is the caller's own, told to the handler; nothing is cancelled here.
        try:
            answer = handler(path, body, timeout)
            if not isinstance(answer, Answer):
                answer = await answer
        except BadReview as error:
            self.unjudged.count(path, "not_a_review" if error.status == 400 else "no_policies")
            return Answer(error.status, error_body(error.reason))
        except Exception as error:  # noqa: BLE001  the last resort: see the module's text
            self.faults["handler"] += 1
            self.unjudged.count(path, "fault")
            _log.error("unexpected error in the admission handler: %s", one_line(error))
            return _UNAVAILABLE
        return answer

    def _afterwards(self, after: Callable[[], None]) -> None:
        try:
            after()
        except Exception as error:  # noqa: BLE001  the answer is out; a fault here must not reach the server
            self.faults["after"] += 1
            _log.error("unexpected error after an answer: %s", one_line(error))

    async def _refuse(self, problem: Problem, receive: Receive | None, send: Send) -> None:
        await self._send_early(problem.status, error_body(problem.reason), receive, send, problem.headers)

    async def _send_early(
        self,
        status: int,
        content: bytes,
        receive: Receive | None,
        send: Send,
        more: tuple[tuple[bytes, bytes], ...] = (),
    ) -> None:
        """Answer before the body was read, and close the connection without cutting the answer off.

        Closing a socket that still receives resets the connection, and the client may never see the answer. So the
        answer goes out whole, then what still comes is thrown away for a moment, then the connection closes.
        """
        if status != 200:
            self.refused[status] += 1
        headers = [self._json, (b"content-length", b"%d" % len(content)), CLOSE, *more]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": content, "more_body": True})
        if receive is not None:
            await discard(receive)
        await send({"type": "http.response.body", "body": b""})
