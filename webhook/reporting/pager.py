"""Lists what a cluster runs, page by page, at a pace that an API server does not feel.

A walk goes through the kinds one after the other and remembers where it is: after a failure it goes on with the page
that failed, and where the API server has forgotten that list meanwhile (410) it begins that kind again. So a scan of a
large cluster survives a restart of the API server without starting over.
"""

from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple, Protocol

import msgspec

from webhook.kube import client as api
from webhook.kube.watch_wire import decode_page

PAGE: Final = 250
"""Objects a page: a page of whole pods is a few MiB."""
READS_PER_SECOND: Final = 10
"""Most list calls a second."""
TRIES: Final = 5
"""Attempts at one page, with pauses that double."""
FIRST_PAUSE: Final = 1.0

_ANY = msgspec.json.Decoder(dict[str, Any])


class ScannedKind(NamedTuple):
    """A kind that is walked through."""

    name: str
    api_version: str
    path: str

    @property
    def resource(self) -> str:
        """The plural, as people and RBAC name it."""
        return self.path.rpartition("/")[2]


KINDS: Final = (
    ScannedKind("Deployment", "apps/v1", "/apis/apps/v1/deployments"),
    ScannedKind("StatefulSet", "apps/v1", "/apis/apps/v1/statefulsets"),
    ScannedKind("DaemonSet", "apps/v1", "/apis/apps/v1/daemonsets"),
    ScannedKind("CronJob", "batch/v1", "/apis/batch/v1/cronjobs"),
    ScannedKind("Job", "batch/v1", "/apis/batch/v1/jobs"),
    ScannedKind("ReplicaSet", "apps/v1", "/apis/apps/v1/replicasets"),
    ScannedKind("ReplicationController", "v1", "/api/v1/replicationcontrollers"),
    ScannedKind("Pod", "v1", "/api/v1/pods"),
)
"""Everything that is judged. Pods come last: by far the most, and a row shows its workload first."""


class Lister(Protocol):
    """The part of an API server that a walk needs."""

    def get(self, path: str, query: dict[str, str] | None = None, /) -> bytes:
        """Return the body of a GET. Raises ApiError."""


class ScannedObject(NamedTuple):
    """One object, as bytes."""

    kind: ScannedKind
    raw: msgspec.Raw

    def document(self) -> dict[str, Any]:
        """Return the object with its kind, which items of a list do not say.

        Raises:
            msgspec.DecodeError: it is no JSON object.
        """
        document = _ANY.decode(self.raw)
        document["apiVersion"], document["kind"] = self.kind.api_version, self.kind.name
        return document


class Unlisted(NamedTuple):
    """A kind that could not be listed, or not to its end."""

    kind: ScannedKind
    reason: str


class RateLimiter:
    """Lets one call pass every so often."""

    def __init__(
        self, monotonic: Callable[[], float], sleep: Callable[[float], object], per_second: float = READS_PER_SECOND
    ) -> None:
        """Args:
        monotonic: seconds of a clock that only goes forward.
        sleep: waits for that many seconds.
        per_second: calls a second, at most.
        """
        self._monotonic = monotonic
        self._sleep = sleep
        self._step = 1 / per_second
        self._next = 0.0

    def wait(self) -> None:
        """Return when the next call may go out."""
        now = self._monotonic()
        if now < self._next:
            self._sleep(self._next - now)
        self._next = max(now, self._next) + self._step

    def pause(self, seconds: float) -> None:
        """Wait, and let no call pass meanwhile."""
        self._sleep(seconds)


class Pager:
    """One walk through all kinds."""

    def __init__(self, lister: Lister, pace: RateLimiter, *, page: int = PAGE) -> None:
        """Args:
        lister: the API server.
        pace: of all its calls.
        page: objects a page.
        """
        self._lister = lister
        self._pace = pace
        self._page = page
        self.reads = 0

    def __iter__(self) -> Iterator[ScannedObject | Unlisted]:
        """Yield all objects; where a kind cannot be listed, that in place of the rest of it.

        An object may come twice where a list had to be begun again.
        """
        for kind in KINDS:
            try:
                for raw in self._items(kind):
                    yield ScannedObject(kind, raw)
            except api.ApiError as error:
                yield Unlisted(kind, str(error))

    def _items(self, kind: ScannedKind) -> Iterator[msgspec.Raw]:
        token, restarted = "", False
        while True:
            query = {"limit": str(self._page)} | ({"continue": token} if token else {})
            try:
                page = decode_page(self._read(kind.path, query), kind.path)
            except api.GoneError:
                # The list is too old; what was seen of it is judged already and is found unchanged.
                if restarted:
                    raise
                token, restarted = "", True
                continue
            yield from page.items or ()
            token = page.metadata.continue_
            if not token:
                return

    def _read(self, path: str, query: dict[str, str]) -> bytes:
        pause = FIRST_PAUSE
        for attempt in range(TRIES):
            self._pace.wait()
            self.reads += 1
            try:
                return self._lister.get(path, query)
            except (api.ForbiddenError, api.NotFoundError, api.GoneError):
                raise
            except api.ApiError as error:
                if attempt == TRIES - 1:
                    raise
                self._pace.pause(error.retry_after if error.retry_after is not None else pause)
                pause *= 2
        raise AssertionError("the loop returns or raises")
