"""Who may call the admission port: client certificates of one authority, and of these only the names that are given.

The check is part of the TLS handshake, so a caller that may not call never sends a byte of HTTP. Handshakes that are
refused for their certificate are counted and told: an API server whose configuration names no client certificate fails
every call, and nobody but its own metrics would say so.
"""

import asyncio
import contextlib
import logging
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from webhook.kube.daemon_threads import background_task

REASONS: Final = {
    "no_certificate": (
        "callers showed no client certificate; "
        "give one to every API server, or remove --client-ca (docs/certificates.md, Only the API server may call)"
    ),
    "untrusted": (
        "callers showed a certificate that the authority of --client-ca does not vouch for; "
        "give the API servers a certificate of it for client authentication, or put their authority into the file"
    ),
    "name": "callers showed a certificate with another name than --client-name; add the name, or remove the caller",
}
"""Why a handshake is refused, and what an operator is told then. The keys are the label of the metric."""

LOOK_SECONDS: Final = 10.0
"""Between two looks at the file of the authority."""

RECENT_SECONDS: Final = 600.0
"""A refused handshake is told for so long in ``/readyz?verbose``."""

_log = logging.getLogger("podgate.callers")


class CallerError(Exception):
    """An authority that cannot be used; one line with the file and the cure."""


class Callers:
    """The authority of client certificates, the names that may call, and what was refused.

    Args:
        authority: PEM file, read again when it changes.
        names: common names, DNS names or URIs of certificates that may call; empty admits every name.
        monotonic: seconds of a clock that only goes forward.

    Raises:
        CallerError: the file cannot be used.
    """

    def __init__(self, authority: Path, names: Sequence[str], monotonic: Callable[[], float]) -> None:
        self._authority = authority
        self._names = frozenset(names)
        self._monotonic = monotonic
        self._last: dict[str, float] = {}
        self._problem: str | None = None
        self._content: bytes | None = None
        self._apply: Callable[[], None] | None = None
        self.refused: Counter[str] = Counter()
        """Refused handshakes, by reason."""
        self._read()

    def verify(self, context: ssl.SSLContext) -> None:
        """Let a server's context demand a certificate of the authority, as the file was last read."""
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=(self._content or b"").decode("utf-8"))

    def check(self, context: ssl.SSLContext, apply: Callable[[], None]) -> None:
        """Check and count the handshakes of a context.

        Args:
            context: of a server that listens.
            apply: is called after the authority has changed.
        """
        self._apply = apply
        context.sslobject_class = _checked_by(self)

    def admits(self, certificate: Any) -> bool:  # noqa: ANN401  the nested tuples of the ssl module
        """Whether a verified certificate has a name that may call.

        Args:
            certificate: what `ssl.SSLObject.getpeercert` returns.
        """
        return not self._names or not self._names.isdisjoint(_names_of(certificate or {}))

    def refuse(self, reason: str) -> None:
        """Count a refused handshake; the first of its reason in a while is logged."""
        now = self._monotonic()
        if now - self._last.get(reason, float("-inf")) > RECENT_SECONDS:
            _log.warning("handshake refused: %s", REASONS[reason])
        self._last[reason] = now
        self.refused[reason] += 1

    def look(self) -> None:
        """Read the authority again; a file that cannot be used leaves the one in service as it is."""
        try:
            is_new = self._read()
        except CallerError as error:
            if self._problem != str(error):
                _log.warning("%s", error)
            self._problem = str(error)
            return
        self._problem = None
        if is_new and self._apply is not None:
            self._apply()
            _log.info("%s: callers are verified by the new authority from now on", self._authority)

    def notices(self) -> list[str]:
        """Return what an operator should see, one line each."""
        now = self._monotonic()
        lines = [
            f"{self.refused[reason]} handshakes refused, the last {now - at:.0f} s ago: {REASONS[reason]}"
            for reason, at in sorted(self._last.items())
            if now - at <= RECENT_SECONDS
        ]
        return [*([self._problem] if self._problem else []), *lines]

    @contextlib.asynccontextmanager
    async def watching(self, interval: float = LOOK_SECONDS) -> AsyncIterator[None]:
        """Look at the file every `interval` seconds while the block runs."""
        async with background_task(self._watch(interval)):
            yield

    async def _watch(self, interval: float) -> None:
        while True:
            await asyncio.sleep(interval)
            self.look()

    def _read(self) -> bool:
        """Read the file; return whether it is another than before."""
        try:
            content = self._authority.read_bytes()
            if content == self._content:
                return False
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(cadata=content.decode("utf-8"))
        except (OSError, ssl.SSLError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) and not isinstance(error, ssl.SSLError) else None
            raise CallerError(
                f"{self._authority}: {reason or 'not readable as PEM'}; "
                "--client-ca takes a PEM file with the authority of the API server"
            ) from None
        self._content = content
        return True


class CallerCollector(Collector):
    """Whether callers are verified, and how many handshakes were refused."""

    def __init__(self, callers: Callers | None) -> None:
        self._callers = callers

    def collect(self) -> Iterable[Metric]:
        """Return the current values."""
        yield GaugeMetricFamily(
            "podgate_callers_verified",
            "1 where only callers with a certificate of --client-ca are answered.",
            int(self._callers is not None),
        )
        refused = CounterMetricFamily(
            "podgate_handshakes_refused", "Handshakes refused for the client's certificate.", labels=("reason",)
        )
        for reason in sorted(REASONS):
            refused.add_metric((reason,), self._callers.refused[reason] if self._callers is not None else 0)
        yield refused


def _checked_by(callers: Callers) -> type[ssl.SSLObject]:
    """Return the class of connections whose handshake asks `callers`."""

    class Checked(ssl.SSLObject):
        def do_handshake(self) -> None:
            try:
                super().do_handshake()
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                raise
            except ssl.SSLCertVerificationError:
                callers.refuse("untrusted")
                raise
            except ssl.SSLError as error:
                if error.reason == "PEER_DID_NOT_RETURN_A_CERTIFICATE":
                    callers.refuse("no_certificate")
                raise
            if not callers.admits(self.getpeercert()):
                callers.refuse("name")
                raise ssl.SSLCertVerificationError("the client's certificate has a name that may not call")

    return Checked


def _names_of(certificate: dict[str, Any]) -> set[str]:
    subject = {value for part in certificate.get("subject", ()) for key, value in part if key == "commonName"}
    return subject | {value for kind, value in certificate.get("subjectAltName", ()) if kind in ("DNS", "URI")}
