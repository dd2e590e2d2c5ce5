"""The TLS side of the admission port: one context that lives as long as the process.

Certificates are replaced in place: a new pair is tried in a scratch context first and then loaded into the context that
is already listening, so new connections get the new certificate and open ones are not disturbed. A pair that does not
load leaves the old one in service.
"""

import asyncio
import contextlib
import datetime as dt
import logging
import os
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import certs
from webhook.kube.daemon_threads import background_task
from webhook.serve.callers import Callers

RENEWAL_SECONDS = 600.0
"""How often the certificate directory is looked at. A mounted Secret follows its source within a minute or two, and
ten minutes are nothing beside the month that is left when a certificate is due."""

_log = logging.getLogger("podgate.tls")


class TlsError(Exception):
    """Certificates that cannot be served; one line with the file and the cure."""


class ServerTls:
    """The context of the admission port and the files behind it.

    Args:
        certificate: PEM file of the serving certificate and its intermediates; None where certificates do not come
            from files. No handshake succeeds then until `load` is given one.
        key: PEM file of its key.
        callers: where given, every client must show a certificate that they admit.

    Raises:
        TlsError: a file that is missing, unreadable, or no such thing.
    """

    def __init__(self, certificate: Path | None, key: Path | None, callers: Callers | None = None) -> None:
        self.context = _context()
        self._certificate = certificate
        self._key = key
        self._loaded = b""
        self._callers = callers
        self._verifying = self.context
        """What verifies clients: another one than `context` once their authority has changed."""
        if callers is not None:
            callers.verify(self.context)
            callers.check(self.context, self._verify_anew)
        if certificate is not None:
            self.reload_certificates()

    def load(self, certificate: bytes, key: bytes) -> bool:
        """Serve a pair that is given as PEM; return whether it is another than before.

        To be called in the thread of the event loop: certificate and key are exchanged one after the other, and a
        handshake that began between the two would find a pair that does not match.

        Raises:
            TlsError: the pair cannot be used; what was in service stays in service.
        """
        content = certificate.rstrip() + b"\n" + key
        if content == self._loaded:
            return False
        try:
            for context in (_context(), self.context, self._verifying):
                _load_pair(context, content)
        except (OSError, ssl.SSLError, ValueError) as error:
            raise TlsError(f"{_reason(error)}; give a PEM certificate and the key that belongs to it") from None
        self._loaded = content
        return True

    def reload_certificates(self) -> bool:
        """Read the pair again; return whether it changed.

        Raises:
            TlsError: the pair cannot be used; what was in service stays in service.
        """
        if self._certificate is None or self._key is None:
            return False
        try:
            return self.load(self._certificate.read_bytes(), self._key.read_bytes())
        except OSError as error:
            raise TlsError(
                f"{error.filename}: {_reason(error)}; give a PEM certificate and the key that belongs to it"
            ) from None
        except TlsError as error:
            raise TlsError(f"{self._certificate} with {self._key}: {error}") from None

    def _verify_anew(self) -> None:
        """Verify the clients of new connections by the authority as it is now.

        An authority cannot be taken out of a context, and a listening socket keeps its context. So each handshake is
        handed to a context that knows the new authority alone.
        """
        assert self._callers is not None  # noqa: S101  they are who calls
        verifying = _context()
        self._callers.verify(verifying)
        if self._loaded:
            _load_pair(verifying, self._loaded)
        self._verifying = verifying

        def hand_over(connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
            connection.context = verifying

        self.context.sni_callback = hand_over


class CertificateKeeper:
    """Keeps a certificate directory in order while the process runs: renews our own, picks up foreign ones.

    It is a background task for `webhook.serve.listener.serve`, and a check and a metric: `problem` for readiness,
    `seconds_left` for ``podgate_certificate_expiry_seconds``.
    """

    def __init__(self, directory: Path, names: Sequence[str], now: Callable[[], dt.datetime]) -> None:
        self._directory = directory
        self._names = tuple(names)
        self._now = now
        self._tls: ServerTls | None = None
        self._problem: str | None = None
        self.paths = certs.ensure(directory, names, now())
        self._expiries = certs.expiries(self.paths)

    def attach(self, tls: ServerTls) -> None:
        """Name the context that is reloaded when the files change."""
        self._tls = tls

    def look(self) -> tuple[str, ...]:
        """Look at the directory once; return what changed, one line each. Never raises: see `problem`."""
        return (*self._mend(), *self._exchange())

    def _mend(self) -> tuple[str, ...]:
        try:
            self.paths = certs.ensure(self._directory, self._names, self._now())
        except certs.CertificateError as error:
            self._problem = str(error)
            return ()
        self._problem = None
        return self.paths.changes

    def _exchange(self) -> tuple[str, ...]:
        if self._problem is not None:
            return ()
        try:
            is_new = self._tls is not None and self._tls.reload_certificates()
            self._expiries = certs.expiries(self.paths)
        except (certs.CertificateError, TlsError) as error:
            self._problem = str(error)
            return ()
        return (f"serving the certificate in {self.paths.tls_crt} from now on",) if is_new else ()

    def problem(self) -> str | None:
        """Say what the last look found wrong, or None. A served certificate that has expired is always a problem."""
        now = self._now()
        for part, end in self._expiries.items():
            if end <= now:
                name = "ca.crt" if part == "ca" else "tls.crt"
                return self._problem or f"{self._directory / name}: expired on {end:%Y-%m-%d}; renew it"
        return None

    def notices(self) -> Sequence[str]:
        """Return what the last look found wrong while the certificate in service is still good."""
        return [self._problem] if self._problem else []

    def seconds_left(self) -> dict[str, float]:
        """Return the seconds until ``ca`` and ``leaf`` end; negative where they have ended."""
        now = self._now()
        return {part: (end - now).total_seconds() for part, end in self._expiries.items()}

    @contextlib.asynccontextmanager
    async def watching(self, interval: float = RENEWAL_SECONDS) -> AsyncIterator[None]:
        """Look at the directory every `interval` seconds while the block runs."""
        async with background_task(self._watch(interval)):
            yield

    async def _watch(self, interval: float) -> None:
        while True:
            await asyncio.sleep(interval)
            before = self._problem
            # Reading files and making keys takes a few milliseconds, too long for the loop that answers reviews.
            changes = await asyncio.to_thread(self._mend)
            # In the loop's own thread: a handshake that began between certificate and key would find no match.
            for change in (*changes, *self._exchange()):
                _log.info("%s", change)
            if self._problem is not None and self._problem != before:
                _log.warning("%s", self._problem)


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # For TLS 1.2: only authenticated encryption with forward secrecy. TLS 1.3 has nothing else.
    context.set_ciphers("ECDHE+AESGCM:ECDHE+CHACHA20")
    context.set_alpn_protocols(["http/1.1"])
    # An API server keeps its connections and never resumes a session; tickets would be made for nobody.
    context.num_tickets = 0
    context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    return context


def _load_pair(context: ssl.SSLContext, content: bytes) -> None:
    """Load a certificate and its key, both as PEM."""
    # OpenSSL reads files only. An anonymous file in memory needs no disk, and no key is left on one.
    with open(os.memfd_create("podgate-certificate", os.MFD_CLOEXEC), "wb", buffering=0) as memory:  # noqa: PTH123
        memory.write(content)
        context.load_cert_chain(f"/proc/self/fd/{memory.fileno()}", password=_no_pass_phrase)


def _no_pass_phrase() -> str:
    # Without this OpenSSL would ask on the terminal, and a server would hang at start-up.
    raise ValueError("the key has a pass phrase")


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        if error.reason == "KEY_VALUES_MISMATCH":
            return "the key does not belong to the certificate"
        return "not readable as PEM"
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return str(error)
