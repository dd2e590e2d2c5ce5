"""The running process: TLS, several requests on a connection, signals, start-up errors."""

import contextlib
import datetime as dt
import http.client
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from cryptography.hazmat.primitives import serialization

import certs
from certs import authority
from tests.serve.client_certificates import client_pair
from webhook.serve import admission_app, listener, ops, tls

JSON = {"Content-Type": "application/json"}

PROGRAM = """
import asyncio, contextlib, sys, time
from pathlib import Path
import prometheus_client
from webhook.serve import admission_app, callers, listener, ops, tls

directory, client_ca, delay = Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])

async def slow(body):
    print("slow begins", flush=True)
    await asyncio.sleep(0.2)
    return admission_app.Answer(200, body)

def handler(path, body, timeout):
    if path == "/validate":
        return slow(body)
    return admission_app.Answer(200, body)

@contextlib.asynccontextmanager
async def background():
    print("background begins", flush=True)
    yield
    print("background ends", flush=True)

health = ops.Health()
verified = callers.Callers(Path(client_ca), ["kube-apiserver"], time.monotonic) if client_ca else None
context = tls.ServerTls(directory / "tls.crt", directory / "tls.key", verified)
admission = listener.Admission(admission_app.AdmissionApp(handler, ops.bare_application("")), context, "127.0.0.1", 0)
operations = ops.application(health, prometheus_client.CollectorRegistry())
site = listener.Site("operations", "--ops-port", operations, "127.0.0.1", 0)
sys.exit(listener.serve(admission, [site], health, shutdown_delay=delay, background=[background()],
                        announce=lambda line: print(line, flush=True)))
"""


class Running(NamedTuple):
    """A process that serves, and how to reach it."""

    process: "subprocess.Popen[str]"
    port: int
    ops_port: int
    trust: ssl.SSLContext

    def connect(self, trust: ssl.SSLContext | None = None) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection("localhost", self.port, context=trust or self.trust, timeout=60)

    def ready_status(self) -> int:
        connection = http.client.HTTPConnection("localhost", self.ops_port, timeout=60)
        with contextlib.closing(connection):
            connection.request("GET", "/readyz")
            return connection.getresponse().status

    def wait_for(self, words: str) -> None:
        """Read lines until one has these words; `end` returns only what is said after them."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if words in line:
                return
        raise AssertionError(f"the process ended without saying: {words}")

    def end(self) -> tuple[int, str, str]:
        output, errors = self.process.communicate(timeout=60)
        return self.process.returncode, output, errors


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> certs.CertificatePaths:
    return certs.ensure(tmp_path_factory.mktemp("certs"), certs.server_names(), dt.datetime.now(dt.UTC))


@contextlib.contextmanager
def running(paths: certs.CertificatePaths, client_ca: str = "", delay: float = 0.0) -> Iterator[Running]:
    process = subprocess.Popen(  # noqa: S603  our own program
        [sys.executable, "-c", PROGRAM, str(paths.ca_crt.parent), client_ca, str(delay)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(listener.__file__).parents[2])},
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "background begins\n"
        announced = process.stdout.readline()
        port, ops_port = (int(part.rpartition(":")[2]) for part in announced.strip().split(", "))
        yield Running(process, port, ops_port, ssl.create_default_context(cafile=paths.ca_crt))
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def shared(paths: certs.CertificatePaths) -> Iterator[Running]:
    """A process for tests that leave it as it was."""
    with running(paths) as server:
        yield server


def test_many_reviews_go_over_one_connection(shared: Running) -> None:
    with contextlib.closing(shared.connect()) as connection:
        connection.connect()
        first = connection.sock
        for number in range(20):
            connection.request("POST", "/mutate?timeout=10s", body=f"{number}", headers=JSON)
            answer = connection.getresponse()
            assert (answer.status, answer.read()) == (200, str(number).encode())
            assert answer.getheader("server") is None
        assert connection.sock is first


def test_a_chunked_body_is_read(shared: Running) -> None:
    with contextlib.closing(shared.connect()) as connection:
        pieces = (bytes([65 + number]) * 70_000 for number in range(5))
        connection.request("POST", "/mutate", body=pieces, headers=JSON, encode_chunked=True)

        answer = connection.getresponse()
        assert (answer.status, len(answer.read())) == (200, 350_000)


@pytest.mark.parametrize("declared", [True, False], ids=["with its length", "chunked"])
def test_the_client_of_a_body_too_large_reads_what_is_wrong(shared: Running, declared: bool) -> None:
    with contextlib.closing(shared.connect()) as connection:
        body = b"x" * (admission_app.MAXIMUM_BODY + 1)
        if declared:
            connection.request("POST", "/mutate", body=body, headers=JSON)
        else:
            connection.request("POST", "/mutate", body=iter([body]), headers=JSON, encode_chunked=True)

        answer = connection.getresponse()
        assert answer.status == 400
        assert answer.read().startswith(b'{"error":')


def test_a_client_that_leaves_in_the_middle_harms_nobody(shared: Running) -> None:
    plain = socket.create_connection(("localhost", shared.port), timeout=60)
    with shared.trust.wrap_socket(plain, server_hostname="localhost") as half:
        half.sendall(
            b"POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{"
        )

    with contextlib.closing(shared.connect()) as connection:
        connection.request("POST", "/mutate", body=b"{}", headers=JSON)
        assert connection.getresponse().status == 200


def test_plain_http_on_the_tls_port_harms_nobody(shared: Running) -> None:
    with socket.create_connection(("localhost", shared.port), timeout=60) as plain:
        plain.sendall(b"POST /mutate HTTP/1.1\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            assert not plain.recv(100).startswith(b"HTTP")

    assert shared.ready_status() == 200


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tls_1_2_and_1_3_are_spoken(shared: Running, paths: certs.CertificatePaths, version: ssl.TLSVersion) -> None:
    trust = ssl.create_default_context(cafile=paths.ca_crt)
    trust.minimum_version = trust.maximum_version = version

    with contextlib.closing(shared.connect(trust)) as connection:
        connection.request("POST", "/mutate", body=b"{}", headers=JSON)
        assert connection.getresponse().status == 200


def test_with_a_client_authority_only_its_clients_are_answered(paths: certs.CertificatePaths, tmp_path: Path) -> None:
    signer, stranger = (authority.create(dt.datetime.now(dt.UTC)) for _ in range(2))
    (tmp_path / "clients.crt").write_bytes(signer.certificate.public_bytes(serialization.Encoding.PEM))

    with running(paths, str(tmp_path / "clients.crt")) as server:
        outcomes = []
        pairs = [
            client_pair(tmp_path, signer),
            client_pair(tmp_path, stranger),
            client_pair(tmp_path, signer, "somebody-else"),
            None,
        ]
        for pair in pairs:
            trust = ssl.create_default_context(cafile=paths.ca_crt)
            if pair is not None:
                trust.load_cert_chain(pair)
            try:
                with contextlib.closing(server.connect(trust)) as connection:
                    connection.request("POST", "/mutate", body=b"{}", headers=JSON)
                    outcomes.append(connection.getresponse().status)
            except (ssl.SSLError, ConnectionError):
                outcomes.append(0)

    assert outcomes == [200, 0, 0, 0]


def test_sigterm_turns_unready_goes_on_serving_asks_to_reconnect_and_ends_with_0(
    paths: certs.CertificatePaths,
) -> None:
    with running(paths, delay=0.5) as server, contextlib.closing(server.connect()) as connection:
        connection.request("POST", "/mutate", body=b"{}", headers=JSON)
        before = connection.getresponse()
        before.read()
        server.process.send_signal(signal.SIGTERM)
        server.wait_for("serving for 0.5 more seconds")
        connection.request("POST", "/mutate", body=b"{}", headers=JSON)
        during = connection.getresponse()
        during.read()
        ready = server.ready_status()
        status, output, errors = server.end()

    assert (before.status, before.getheader("connection")) == (200, None)
    assert (during.status, during.getheader("connection")) == (200, "close")
    assert ready == 503
    assert (status, errors) == (0, "")
    assert output.splitlines()[-1] == "background ends"


def test_a_review_under_way_is_answered_before_the_end(paths: certs.CertificatePaths) -> None:
    with running(paths) as server, contextlib.closing(server.connect()) as connection:
        connection.request("POST", "/validate", body=b"slow", headers=JSON)
        server.wait_for("slow begins")
        server.process.send_signal(signal.SIGTERM)
        answer = connection.getresponse()
        body = answer.read()
        status, _, errors = server.end()

    assert (answer.status, body) == (200, b"slow")
    assert (status, errors) == (0, "")


@pytest.mark.parametrize(
    "first",
    [
        pytest.param(None, id="interrupt"),
        pytest.param(signal.SIGTERM, id="terminated twice"),
    ],
)
def test_who_is_in_a_hurry_does_not_wait_for_the_delay(
    paths: certs.CertificatePaths, first: signal.Signals | None
) -> None:
    with running(paths, delay=600) as server:
        begin = time.monotonic()
        if first is not None:
            server.process.send_signal(first)
            server.wait_for("serving for 600 more seconds")
        server.process.send_signal(first or signal.SIGINT)
        status, output, errors = server.end()

    assert time.monotonic() - begin < 60
    assert (status, errors) == (0, "")
    assert "podgate: stopping" in output.splitlines()


def serve_on(port: int, paths: certs.CertificatePaths, host: str = "127.0.0.1") -> int:
    health = ops.Health()
    served = admission_app.AdmissionApp(
        lambda _path, body, _timeout: admission_app.Answer(200, body), ops.bare_application("")
    )
    admission = listener.Admission(served, tls.ServerTls(paths.tls_crt, paths.tls_key), host, port)
    return listener.serve(admission, [], health)


def test_a_port_in_use_is_one_line_with_the_flag(paths: certs.CertificatePaths) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(listener.ListenError) as caught:
            serve_on(port, paths)

    assert str(caught.value) == (
        f"cannot listen on 127.0.0.1 port {port}: Address already in use; "
        "stop what listens there, or choose another port with --port"
    )


def test_an_address_of_another_machine_is_one_line_with_the_flag(paths: certs.CertificatePaths) -> None:
    with pytest.raises(listener.ListenError, match=r"192\.0\.2\.1 .*--host") as caught:
        serve_on(0, paths, "192.0.2.1")

    assert "\n" not in str(caught.value)


def test_signal_handlers_are_put_back_when_starting_fails(paths: certs.CertificatePaths) -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)

    with pytest.raises(listener.ListenError):
        serve_on(0, paths, "no such host")

    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


def test_a_missing_library_is_one_line_with_the_cure(
    paths: certs.CertificatePaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)

    with pytest.raises(listener.ListenError, match="pip install uvloop"):
        serve_on(0, paths)
