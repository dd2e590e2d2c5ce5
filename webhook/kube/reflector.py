"""Keeps a store equal to one resource of the API server: list, then watch, for ever.

A list gives all objects and the version it is of; a watch from that version gives every change after it. Nothing is
lost as long as that chain holds: a watch that breaks is taken up at the last version that was seen, and where that is
too old (410 Gone) everything is listed again and replaces the store at once, so that nothing is forgotten and nothing
is kept that is gone. Until that list is complete the store answers with what it had.

What goes wrong has a decided outcome:

=====================  ================================================================================================
watch breaks           taken up again at once, then after pauses that double up to half a minute, with jitter
410 Gone               a new list
403, 401               the store keeps what it has; tried again; the log names the right that is missing
404 of a custom kind   a state, `absent`: the store is empty, and the kind is looked for again every minute; where the
                       kind was there before, only when it is said three times
version goes back      a new list: the API server's storage was restored from a backup
404 of another kind    like a broken watch
429, 503               the pause that the server asks for
malformed object       the store keeps the last good version of that object; the log names it and the cure
=====================  ================================================================================================
"""

import logging
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Generic, Literal, NamedTuple, Protocol, TypeVar

import msgspec

from webhook.kube import client
from webhook.kube.watch_wire import EVENT, Malformed, Meta, code_of, decode_page, meta_of

PAGE: Final = 500
"""Objects a page: kubectl's own number; a page of pods is a few MiB."""

WATCH_SECONDS: Final = 300
"""How long a watch is asked to last at least; at most it is twice that, so that not all watches end at once."""

IDLE_SECONDS: Final = 90.0
"""Longest silence of a watch. API servers send a bookmark a minute, so a longer one is a dead connection."""

RECONNECT_PAUSE: Final = 0.1
"""Most seconds until a watch that was well is taken up again; the pauses after that are the usual ones."""

FIRST_PAUSE: Final = 0.5
LONGEST_PAUSE: Final = 30.0
ABSENT_PAUSE: Final = 60.0
"""Seconds until a kind that is not installed is looked for again."""

ABSENT_TIMES: Final = 3
ABSENT_CONFIRM_PAUSE: Final = 5.0
"""A kind that was there counts as removed when the API server has said so this often, this many seconds apart."""

HEALTHY_SECONDS: Final = 10.0
"""A watch that lasted this long ends a row of failures: the next pause is short again."""

_MAXIMUM_TOLD: Final = 1_000
"""Malformed objects that are remembered by name."""

ReflectorPhase = Literal["starting", "listing", "watching", "broken", "forbidden", "absent"]
PHASES: Final[tuple[ReflectorPhase, ...]] = ("starting", "listing", "watching", "broken", "forbidden", "absent")

T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)

_log = logging.getLogger("podgate.watch")


class Sink(Protocol[T_contra]):
    """A store that is kept in step. Called from one thread a reflector."""

    def replace(self, items: Mapping[str, T_contra], kept: frozenset[str]) -> None:
        """Be exactly `items`, all at once, and of what was there before keep the keys in `kept`: objects that exist
        and whose newest version is malformed."""

    def put(self, key: str, value: T_contra) -> None:
        """Add or change one object."""

    def drop(self, key: str) -> None:
        """Forget one object; it may be unknown."""


@dataclass(frozen=True, slots=True)
class Resource:
    """What is watched.

    Attributes:
        name: said in metrics and logs: ``pods``.
        path: of the list: ``/api/v1/pods``.
        query: selectors, such as ``{"fieldSelector": "metadata.name=x"}``.
        may_be_absent: of a kind that may not be installed.
        older: paths of older versions, the newest first; for API servers that do not serve the first one yet.
    """

    name: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    may_be_absent: bool = False
    older: tuple[str, ...] = ()


class WatchState(NamedTuple):
    """How a watch is doing.

    Attributes:
        phase: what it does now.
        has_synced: whether the store was complete at least once; an absent kind counts, for nothing of it exists.
        contact: reading of the monotonic clock at which the API server was last heard of; None before that.
        reason: one line of why it is broken, forbidden or absent; empty otherwise.
        lists: complete lists so far; all but the first are relists.
        errors: failures by kind: ``forbidden``, ``gone``, ``unreachable``, ``idle``, ``malformed``, ``other``.
    """

    phase: ReflectorPhase
    has_synced: bool
    contact: float | None
    reason: str
    lists: int
    errors: Mapping[str, int]


def key_of(meta: Meta) -> str:
    """Return the key under which a store knows an object, where it has no other."""
    return f"{meta.namespace}/{meta.name}"


class Reflector(Generic[T]):
    """One list and watch. `run` is the body of a thread."""

    def __init__(
        self,
        api: client.Api,
        resource: Resource,
        decode: Callable[[msgspec.Raw, Meta], T | None],
        sink: Sink[T],
        *,
        key: Callable[[Meta], str] = key_of,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
        idle_seconds: float = IDLE_SECONDS,
        scale: float = 1.0,
    ) -> None:
        """Args:
        api: the API server.
        resource: what is watched.
        decode: makes the projection of one object; None for an object that is of no interest (any more), which is
            then dropped. Raises `Malformed`.
        sink: the store.
        key: under which the store knows an object.
        clock: monotonic seconds.
        jitter: a number from 0 to 1, to spread pauses and watches of many replicas.
        idle_seconds: longest silence of a watch.
        scale: factor of all pauses, for tests.
        """
        self.resource = resource
        self._api = api
        self._decode = decode
        self._sink = sink
        self._key = key
        self._clock = clock
        self._jitter = jitter
        self._idle_seconds = idle_seconds
        self._scale = scale
        self._stop = threading.Event()
        self._stream: client.Stream | None = None
        self._path = resource.path
        self._version = ""
        self._failures = 0
        self._absences = 0
        self._phase: ReflectorPhase = "starting"
        self._has_synced = False
        self._contact: float | None = None
        self._reason = ""
        self._lists = 0
        self._errors: Counter[str] = Counter()
        self._told: set[str] = set()

    def state(self) -> WatchState:
        """Return how the watch is doing; from any thread."""
        return WatchState(
            self._phase, self._has_synced, self._contact, self._reason, self._lists, dict(self._errors.items())
        )

    def stop(self) -> None:
        """Make `run` return soon; from any thread."""
        self._stop.set()
        stream = self._stream
        if stream is not None:
            stream.close()

    def run(self) -> None:
        """Keep the store in step until `stop`; never raises."""
        while not self._stop.is_set():
            pause = 0.0
            try:
                if not self._version:
                    self._list()
                pause = self._watch()
            except client.ApiError as error:
                pause = self._failed(error)
            except Exception as error:  # noqa: BLE001  whatever it is, the watch must go on
                self._version = ""
                pause = self._failed(client.ApiError(f"{type(error).__name__}: {' '.join(str(error).split())}"))
            if pause and self._stop.wait(pause * self._scale):
                return

    # --- list -------------------------------------------------------------------------------------------------------

    def _list(self) -> None:
        if self._phase in ("starting", "watching"):
            self._phase = "listing"
        try:
            version, items, kept = self._first_served()
        except client.GoneError:
            # Between two pages the server forgot the version of the first; without pages it cannot.
            self._errors["gone"] += 1
            version, items, kept = self._pages(None)
        if self._stop.is_set():
            return
        self._sink.replace(items, frozenset(kept))
        self._absences = 0
        self._version = version
        self._lists += 1
        self._has_synced = True
        _log.info("%s: %d listed", self.resource.name, len(items))

    def _first_served(self) -> tuple[str, dict[str, T], list[str]]:
        """List the newest version that the API server serves, which is then the one that is watched."""
        *newer, last = (self.resource.path, *self.resource.older)
        for path in newer:
            self._path = path
            try:
                return self._pages(PAGE)
            except client.NotFoundError:
                continue
        self._path = last
        return self._pages(PAGE)

    def _pages(self, limit: int | None) -> tuple[str, dict[str, T], list[str]]:
        items: dict[str, T] = {}
        kept: list[str] = []
        query = dict(self.resource.query)
        if limit is not None:
            query["limit"] = str(limit)
        while True:
            page = decode_page(self._api.get(self._path, query), self._path)
            self._contact = self._clock()
            for raw in page.items or ():
                meta = Meta()
                try:
                    meta = meta_of(raw)
                    value = self._decode(raw, meta)
                except Malformed as error:
                    self._malformed(meta, error)
                    kept.append(self._key(meta))
                    continue
                if value is not None:
                    items[self._key(meta)] = value
            if not page.metadata.continue_ or self._stop.is_set():
                return page.metadata.resource_version, items, kept
            query["continue"] = page.metadata.continue_

    # --- watch ------------------------------------------------------------------------------------------------------

    def _watch(self) -> float:
        """Follow one watch to its end and return the seconds to pause."""
        query = {
            **self.resource.query,
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": self._version,
            "timeoutSeconds": str(int(WATCH_SECONDS * (1 + self._jitter()))),
        }
        stream = self._api.watch(self._path, query, self._idle_seconds)
        self._stream = stream
        started = self._contact = self._clock()
        self._phase, self._reason = "watching", ""
        try:
            if self._stop.is_set():
                return 0.0
            for line in stream:
                self._contact = self._clock()
                self._event(line)
        finally:
            self._stream = None
            stream.close()
            if self._clock() - started >= HEALTHY_SECONDS:
                self._failures = 0
        # A watch that ends at once, again and again, must not become a storm of requests.
        if self._clock() - started < 1.0:
            self._failures += 1
            return self._pause()
        self._failures = 0
        return 0.0

    def _event(self, line: bytes) -> None:
        try:
            event = EVENT.decode(line)
        except msgspec.DecodeError as error:
            # Half a line: taken up again from the last whole one.
            raise client.UnreachableError(f"{self._path}: a watch event is no JSON: {error}") from None
        if event.type == "ERROR":
            self._version = ""
            raise client.error_of("WATCH", self._path, code_of(event.object), bytes(event.object))
        meta = Meta()
        try:
            meta = meta_of(event.object)
            value = None if event.type in ("BOOKMARK", "DELETED") else self._decode(event.object, meta)
        except Malformed as error:
            self._malformed(meta, error)
        else:
            if event.type == "BOOKMARK":
                if _is_older(meta.resource_version, self._version):
                    raise client.GoneError(f"{self._path}: versions have gone back", 410)
            elif value is None:
                self._sink.drop(self._key(meta))
            else:
                self._sink.put(self._key(meta), value)
        self._version = meta.resource_version or self._version

    # --- what goes wrong --------------------------------------------------------------------------------------------

    def _malformed(self, meta: Meta, error: Malformed) -> None:
        self._errors["malformed"] += 1
        name = f"{meta.namespace}/{meta.name}" if meta.namespace else meta.name
        text = f"{self.resource.name} {name}: {error}"
        if text not in self._told:
            if len(self._told) >= _MAXIMUM_TOLD:
                self._told.clear()
            self._told.add(text)
            _log.error("%s; its last good version is used", text)

    def _failed(self, error: client.ApiError) -> float:
        """Tell what went wrong and return the seconds to pause."""
        before = (self._phase, self._reason)
        pause = 0.0
        if isinstance(error, client.IdleError):
            # Where the connection is dead the next attempt says so.
            self._errors["idle"] += 1
            return 0.0
        if isinstance(error, client.GoneError):
            self._errors["gone"] += 1
            self._version = ""
            self._reason = ""
            self._failures += 1
            _log.info("%s: the version of the watch is too old; listing again", self.resource.name)
            # The first time at once: what happened meanwhile is not known yet.
            return 0.0 if self._failures == 1 else self._pause()
        if isinstance(error, client.NotFoundError) and self.resource.may_be_absent:
            self._version = ""
            self._absences += 1
            if self._lists and self._phase != "absent" and self._absences < ABSENT_TIMES:
                # An API server that is starting may not know yet what it serves; policies must not vanish for that.
                self._phase, self._reason = "broken", str(error)
                return ABSENT_CONFIRM_PAUSE
            self._phase = "absent"
            self._reason = f"not installed in this cluster; looked for again every {ABSENT_PAUSE:.0f} s"
            if self._stop.is_set():
                return 0.0
            # Nothing of a kind exists that is not installed, whatever was there before.
            self._sink.replace({}, frozenset())
            self._has_synced = True
            self._failures = 0
            pause = ABSENT_PAUSE * (0.75 + self._jitter() / 2)
        elif isinstance(error, client.ForbiddenError):
            self._errors["forbidden"] += 1
            self._phase, self._reason = "forbidden", str(error)
        else:
            self._errors["unreachable" if isinstance(error, client.UnreachableError) else "other"] += 1
            self._phase, self._reason = "broken", str(error)
        if self._stop.is_set():
            return 0.0
        # A watch that was well breaks now and then, and is well again a moment later.
        is_first = before[0] == "watching" and self._failures == 0 and isinstance(error, client.UnreachableError)
        if (self._phase, self._reason) != before:
            level = logging.INFO if self._phase == "absent" or is_first else logging.WARNING
            _log.log(level, "%s: %s", self.resource.name, self._reason)
        if pause:
            return pause
        self._failures += 1
        if is_first:
            return RECONNECT_PAUSE * self._jitter()
        return max(self._pause(), min(error.retry_after or 0.0, LONGEST_PAUSE))

    def _pause(self) -> float:
        longest: float = min(FIRST_PAUSE * 2 ** min(self._failures - 1, 10), LONGEST_PAUSE)
        return longest * (0.5 + self._jitter() / 2)


def _is_older(version: str, than: str) -> bool:
    """Whether one version is before another; versions of one resource may be compared as numbers."""
    return version.isdigit() and than.isdigit() and int(version) < int(than)
