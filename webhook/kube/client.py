"""The API server over HTTP, through the official client: the only module that imports the `kubernetes` package.

The official client knows how to be configured: the service account of a pod with its token that changes every hour,
every form of kubeconfig, proxies, client certificates, plugins that fetch tokens. What it makes of objects is not
used: a whole pod as its models have it costs tens of kilobytes, and a cache keeps a few hundred bytes of it. So
requests go through its connection pool, and bytes come back.

All errors are `ApiError`s, one line each with the cure, and a status of 0 means that no answer came.
"""

import contextlib
import datetime as dt
import email.utils
import os
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Protocol
from urllib.parse import urlencode

import msgspec
import urllib3

CONNECT_SECONDS: Final = 5.0
READ_SECONDS: Final = 30.0
"""Longest silence in an answer; a page of 500 objects from a slow API server takes a few seconds."""

GRANT: Final = "grant it in the ClusterRole of podgate's service account"
"""Cure of a request that RBAC does not allow."""

_POOL_SIZE: Final = 48
"""Connections that are kept: one a watch, and a few for lists and writes. A pool that is full costs a handshake a
call, so it is larger than the number of watches."""

_MAXIMUM_LINE: Final = 16 * 1024 * 1024
"""Bytes of one watch event; an object in etcd is at most 1.5 MiB."""

_TOKEN: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")

_BROKEN: Final = (urllib3.exceptions.HTTPError, OSError)


class ApiError(Exception):
    """A request that failed. `status` is the HTTP status, 0 where there was no answer; ``str()`` is one line."""

    def __init__(self, message: str, status: int = 0, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after
        """Seconds that the server asks to wait; None where it did not ask."""


class UnreachableError(ApiError):
    """No answer, or one that broke off: refused, timed out, or no TLS agreement."""


class LateError(UnreachableError):
    """It was reached and asked, and has not answered in time."""


class IdleError(UnreachableError):
    """A watch was silent for too long: its connection may be dead, and nobody would say so."""


class ForbiddenError(ApiError):
    """401 or 403: the credentials are not accepted, or RBAC does not allow the verb."""


class NotFoundError(ApiError):
    """404: no such object, or no such kind."""


class ConflictError(ApiError):
    """409: the object exists already, or changed since it was read."""


class GoneError(ApiError):
    """410: the resource version or the continue token is too old; list again."""


class ConfigError(ValueError):
    """There is no usable configuration; one line with the cure."""


class Stream(Protocol):
    """A running watch: lines of JSON, one event each."""

    def __iter__(self) -> Iterator[bytes]:
        """Yield lines as they come; ends where the server ends the watch.

        Raises:
            UnreachableError: the connection broke, or was silent for too long.
        """

    def close(self) -> None:
        """End the watch from any thread; a reader that waits stops waiting."""


class Api(Protocol):
    """What reflectors need of an API server."""

    def get(self, path: str, query: Mapping[str, str] | None = None, /) -> bytes:
        """Return the body of a GET. Raises ApiError."""

    def watch(self, path: str, query: Mapping[str, str], idle_seconds: float, /) -> Stream:
        """Open a watch. Raises ApiError."""


class Client:
    """Requests to one API server; may be used from many threads."""

    def __init__(
        self,
        api_client: Any,  # noqa: ANN401  the client's own class, imported only when used
        read_seconds: float = READ_SECONDS,
    ) -> None:
        """Args:
        api_client: a `kubernetes.client.ApiClient`; `connect` makes one.
        read_seconds: longest silence in an answer that is no watch.
        """
        self._timeout = urllib3.Timeout(connect=min(CONNECT_SECONDS, read_seconds), read=read_seconds)
        self._api_client = api_client
        self._host = str(api_client.configuration.host).rstrip("/")
        self._pool: urllib3.PoolManager = api_client.rest_client.pool_manager
        self._dated: tuple[str, float] | None = None

    @property
    def host(self) -> str:
        """The address of the API server."""
        return self._host

    def get(self, path: str, query: Mapping[str, str] | None = None) -> bytes:
        """Return the body of a GET.

        Raises:
            ApiError: by status.
        """
        return self.request("GET", path, query=query)

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
        content_type: str = "application/json",
    ) -> bytes:
        """Send one request and return the body of its answer.

        Raises:
            ApiError: by status; `ConflictError` where the object changed meanwhile.
        """
        headers = {"Content-Type": content_type} if body is not None else {}
        response = self._send(method, path, query, self._timeout, headers, body)
        try:
            if 200 <= response.status < 300:
                return response.read()
            raise _refused(method, path, response)
        except _BROKEN as error:
            raise _unreachable(self._host, path, error) from None
        finally:
            response.release_conn()

    def watch(self, path: str, query: Mapping[str, str], idle_seconds: float) -> "HttpStream":
        """Open a watch; `idle_seconds` is the longest silence, bookmarks included.

        Raises:
            ApiError: by status; `GoneError` where the resource version is too old.
        """
        timeout = urllib3.Timeout(connect=CONNECT_SECONDS, read=idle_seconds)
        response = self._send("GET", path, query, timeout, {}, None)
        if 200 <= response.status < 300:
            return HttpStream(response, self._host, path)
        try:
            raise _refused("GET", path, response)
        finally:
            response.close()

    def server_time(self) -> dt.datetime | None:
        """Return what the API server's clock says now, to a second, by its last answer; None before there was one."""
        if self._dated is None:
            return None
        text, seen = self._dated
        try:
            said = email.utils.parsedate_to_datetime(text)
        except ValueError:
            return None
        return said + dt.timedelta(seconds=time.monotonic() - seen) if said.tzinfo is not None else None

    def close(self) -> None:
        """Close all connections that are idle."""
        self._api_client.close()

    def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        timeout: urllib3.Timeout,
        headers: dict[str, str],
        body: bytes | None,
    ) -> urllib3.BaseHTTPResponse:
        url = f"{self._host}{path}?{urlencode(query)}" if query else f"{self._host}{path}"
        headers = {"Accept": "application/json", "User-Agent": "podgate", **headers}
        try:
            # Tokens of service accounts change on disk; the client reads them again when they are due.
            self._api_client.update_params_for_auth(headers, [], ["BearerToken"], path, method, None)
            response = self._pool.request(
                method, url, headers=headers, body=body, timeout=timeout, retries=False, preload_content=False
            )
        except _BROKEN as error:
            raise _unreachable(self._host, path, error) from None
        except Exception as error:  # noqa: BLE001  whatever a token plugin raises, the request did not go out
            raise ForbiddenError(f"{path}: no credentials: {_flat(error)}; check the kubeconfig's user") from None
        date = response.headers.get("Date")
        if date:
            self._dated = (date, time.monotonic())
        return response


class HttpStream:
    """A watch over a response that is still coming in."""

    def __init__(self, response: urllib3.BaseHTTPResponse, host: str, path: str) -> None:
        self._response = response
        self._host = host
        self._path = path
        self._closed = threading.Event()

    def __iter__(self) -> Iterator[bytes]:
        """Yield complete lines; a line that was cut off is dropped, for the event comes again after a reconnect."""
        rest = b""
        try:
            for chunk in self._response.stream(amt=None, decode_content=False):
                lines = (rest + chunk).split(b"\n") if rest else chunk.split(b"\n")
                rest = lines.pop()
                yield from filter(None, lines)
                if len(rest) > _MAXIMUM_LINE:
                    raise UnreachableError(f"{self._path}: a watch event has over {_MAXIMUM_LINE >> 20} MiB")
        except urllib3.exceptions.ReadTimeoutError:
            raise IdleError(f"{self._path}: no event and no bookmark for a while") from None
        except (urllib3.exceptions.HTTPError, OSError, ValueError, AttributeError) as error:
            # A response that another thread closes fails with whatever its state was at that moment.
            if not self._closed.is_set():
                raise _unreachable(self._host, self._path, error) from None

    def __enter__(self) -> "HttpStream":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the watch; a thread that waits in it wakes up."""
        self._closed.set()
        with contextlib.suppress(Exception):
            # A plain close waits for the reading thread; shutting the socket down wakes it.
            self._response.shutdown()
        with contextlib.suppress(Exception):
            self._response.close()


def connect(kubeconfig: Path | None = None, *, read_seconds: float = READ_SECONDS) -> Client:
    """Make a client: of the kubeconfig that is given, else of the pod's service account, else of ``KUBECONFIG`` or
    ``~/.kube/config``.

    Args:
        kubeconfig: a file.
        read_seconds: longest silence in an answer that is no watch.

    Raises:
        ConfigError: none of them can be used.
    """
    # Importing the client takes a second and 30 MiB, which only a live cluster is worth.
    from kubernetes import client, config

    configuration = client.Configuration()
    tried: list[str] = []
    try:
        if kubeconfig is None:
            try:
                config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]  # not annotated there
            except config.ConfigException as error:
                tried.append(f"in-cluster: {_flat(error)}")
                config.load_kube_config(client_configuration=configuration)  # type: ignore[no-untyped-call]  # not annotated there
        else:
            config.load_kube_config(  # type: ignore[no-untyped-call]  # not annotated there
                config_file=str(kubeconfig), client_configuration=configuration
            )
    except Exception as error:  # noqa: BLE001  the client raises a dozen kinds for a malformed file
        tried.append(_flat(error))
        where = str(kubeconfig) if kubeconfig is not None else "no service account and no kubeconfig"
        cure = "run in a pod with a service account, or give --kubeconfig FILE"
        raise ConfigError(f"--cluster live: {where}: {'; '.join(tried)}; {cure}") from None
    configuration.connection_pool_maxsize = _POOL_SIZE
    return Client(client.ApiClient(configuration), read_seconds)


def in_pod() -> bool:
    """Whether this process has the service account of a pod, which `connect` prefers to a kubeconfig in its usual
    place."""
    return "KUBERNETES_SERVICE_HOST" in os.environ and _TOKEN.is_file()


def error_of(method: str, path: str, status: int, body: bytes, retry_after: str | None = None) -> ApiError:
    """Return the error of a status that is not 2xx; `body` is the ``Status`` object that came with it."""
    message = _status_message(body) or f"HTTP {status}"
    seconds = (
        float(retry_after) if retry_after is not None and retry_after.isascii() and retry_after.isdigit() else None
    )
    text = f"{method} {path}: {message}"
    if status == 401:
        return ForbiddenError(f"{text}; the credentials are not accepted: check the token or certificate", status)
    if status == 403:
        return ForbiddenError(f"{text}; {GRANT}", status)
    if status == 404:
        return NotFoundError(f"{text}; create it, or install its kind", status)
    if status == 409:
        return ConflictError(text, status)
    if status == 410:
        return GoneError(text, status)
    return ApiError(f"{text}; see the API server's log", status, retry_after=seconds)


def _refused(method: str, path: str, response: urllib3.BaseHTTPResponse) -> ApiError:
    said = b""
    with contextlib.suppress(*_BROKEN):
        said = response.read(65536)
    return error_of(method, path, response.status, said, response.headers.get("Retry-After"))


class _ApiStatus(msgspec.Struct):
    message: str = ""


def _status_message(body: bytes) -> str:
    try:
        return " ".join(msgspec.json.decode(body, type=_ApiStatus).message.split())[:300]
    except msgspec.DecodeError:
        return ""


def _unreachable(host: str, path: str, error: Exception) -> UnreachableError:
    kind = LateError if isinstance(error, urllib3.exceptions.ReadTimeoutError) else UnreachableError
    return kind(f"{path}: no answer from {host}: {_flat(error)}; check that the API server can be reached")


def _flat(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]
