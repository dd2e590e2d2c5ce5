"""Processes that serve, for tests that need a burst, a signal or several replicas."""

import contextlib
import http.client
import os
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import certs
from webhook.serve import listener

JSON = {"Content-Type": "application/json"}

_PROGRAM = """
import sys, time
from pathlib import Path
import prometheus_client
from webhook.serve import admission_app, listener, ops, tls

directory, delay, work = Path(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3])

def handler(path, body, timeout):
    time.sleep(work)
    return admission_app.Answer(200, b'{"judged":true}')

health = ops.Health()
context = tls.ServerTls(directory / "tls.crt", directory / "tls.key")
served = admission_app.AdmissionApp(
    handler, ops.bare_application(""), shed=lambda path, body, timeout: admission_app.Answer(200, b'{"judged":false}')
)
registry = prometheus_client.CollectorRegistry()
registry.register(ops.AdmissionAppCollector(served))
site = listener.Site("operations", "--ops-port", ops.application(health, registry), "127.0.0.1", 0)
sys.exit(listener.serve(listener.Admission(served, context, "127.0.0.1", 0), [site], health, shutdown_delay=delay,
                        background=[served.lag.watching()], announce=lambda line: print(line, flush=True)))
"""


class Replica(NamedTuple):
    """A process that serves, and how to reach it."""

    process: "subprocess.Popen[str]"
    port: int
    ops_port: int
    trust: ssl.SSLContext

    def connect(self) -> http.client.HTTPSConnection:
        """Return a connection to the admission port that is not open yet."""
        return http.client.HTTPSConnection("localhost", self.port, context=self.trust, timeout=60)

    def get(self, path: str) -> tuple[int, str]:
        """Ask the operations port."""
        connection = http.client.HTTPConnection("localhost", self.ops_port, timeout=60)
        with contextlib.closing(connection):
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()


@contextlib.contextmanager
def replica(paths: certs.CertificatePaths, *, delay: float = 0.0, work: float = 0.0) -> Iterator[Replica]:
    """Run a replica.

    Args:
        paths: its certificate.
        delay: seconds to go on serving after SIGTERM.
        work: seconds that judging a review holds the event loop.
    """
    process = subprocess.Popen(  # noqa: S603  our own program
        [sys.executable, "-c", _PROGRAM, str(paths.ca_crt.parent), str(delay), str(work)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(listener.__file__).parents[2])},
    )
    try:
        assert process.stdout is not None
        announced = process.stdout.readline()
        port, ops_port = (int(part.rpartition(":")[2]) for part in announced.strip().split(", "))
        yield Replica(process, port, ops_port, ssl.create_default_context(cafile=paths.ca_crt))
    finally:
        process.kill()
        process.communicate()
