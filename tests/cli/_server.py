"""A `podgate serve` of its own: free ports, own certificates, own copy of the policies."""

import contextlib
import os
import re
import shutil
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx

from tests import factories

ROOT = Path(__file__).parents[2]
_ANNOUNCED = re.compile(r"serving admission on (https://\S+), operations on (http://[^\s,]+)")
_PATIENCE_SECONDS = 90.0
"""Seconds that a machine with much else to do may take; nothing waits longer than it must."""


class Server:
    """A running server."""

    def __init__(self, process: "subprocess.Popen[bytes]", directory: Path, admission: str, operations: str) -> None:
        self.process = process
        self.directory = directory
        self.admission = admission.replace("127.0.0.1", "localhost")
        self.operations = operations
        context = ssl.create_default_context(cafile=str(self.ca))
        self.client = httpx.Client(base_url=self.admission, verify=context, timeout=_PATIENCE_SECONDS)

    @property
    def policies(self) -> Path:
        """The directory of policies, free to be edited."""
        return self.directory / "policies"

    @property
    def ca(self) -> Path:
        """The authority of the server's certificate."""
        return self.directory / "certs" / "ca.crt"

    @property
    def log(self) -> str:
        """The decision log so far."""
        return (self.directory / "decisions.jsonl").read_text()

    @property
    def told(self) -> str:
        """Standard error so far."""
        return (self.directory / "stderr").read_text()

    def post(self, path: str, review: dict[str, Any]) -> dict[str, Any]:
        """Post a review and return the response."""
        answer = self.client.post(path, json=review, params={"timeout": "10s"})
        assert answer.status_code == 200, answer.text
        response: dict[str, Any] = answer.json()["response"]
        return response

    def validate(self, namespace: str = "team-alpha") -> dict[str, Any]:
        """Validate a small ordinary pod, as a dry run."""
        return self.post(
            "/validate", factories.review(factories.stored(factories.safe_pod()), namespace=namespace, dryRun=True)
        )

    def ready(self) -> tuple[int, str]:
        """Return status and text of the readiness probe."""
        answer = httpx.get(f"{self.operations}/readyz?verbose", timeout=_PATIENCE_SECONDS)
        return answer.status_code, answer.text


@contextlib.contextmanager
def serving(directory: Path, *flags: str, policies: Path | None = None) -> Iterator[Server]:
    """Serve the embedded cluster while the block runs; the decision log is complete afterwards."""
    shutil.copytree(policies or ROOT / "policies", directory / "policies")
    command = [sys.executable, "-m", "webhook.cli", "serve", "--host", "127.0.0.1", "--port", "0", "--ops-port", "0"]
    command += ["--policies", str(directory / "policies"), "--cluster", str(ROOT / "manifests" / "embedded")]
    command += ["--certs", str(directory / "certs"), "--log-file", str(directory / "decisions.jsonl")]
    command += ["--dashboard-port", "0", "--shutdown-delay", "0", *flags]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PODGATE_")}
    with (directory / "stderr").open("wb") as stderr:
        process = subprocess.Popen(command, stderr=stderr, cwd=ROOT, env=environment)  # noqa: S603  our own program
    try:
        found = until(lambda: _ANNOUNCED.search((directory / "stderr").read_text()) or process.poll())
        assert isinstance(found, re.Match), (directory / "stderr").read_text()
        server = Server(process, directory, found[1], found[2])
        with server.client:
            yield server
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=_PATIENCE_SECONDS)


def until(look: Callable[[], object], seconds: float = _PATIENCE_SECONDS) -> object:
    """Look again and again until there is something; return it."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = look()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"nothing came within {seconds} s")
