"""The webhook that is fuzzed: its ASGI application in this process, or `podgate serve` behind TLS."""

import asyncio
import contextlib
import gzip
import http.client
import io
import shutil
import ssl
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from tests.ports import free_port
from webhook import assembly, settings
from webhook.admission.log import DecisionLog
from webhook.cli import serve
from webhook.serve import admission_app, ops

ROOT = Path(__file__).parents[2]

_LIMITS = """
apiVersion: v1
kind: LimitRange
metadata: {name: fuzz, namespace: team-beta}
spec:
  limits:
    - {type: Container, min: {cpu: 10m, memory: 16Mi}, max: {cpu: "8", memory: 32Gi}, maxLimitRequestRatio: {cpu: "8"}}
    - {type: Pod, max: {cpu: "12", memory: 48Gi}}
"""


def recorded() -> list[bytes]:
    """Return the recorded reviews of the repository."""
    with gzip.open(ROOT / "manifests" / "recorded" / "reviews.jsonl.gz") as lines:
        return list(lines)


def cluster(directory: Path) -> Path:
    """Make a cluster to judge against: the embedded one with a stricter LimitRange beside."""
    made = directory / "cluster"
    shutil.copytree(ROOT / "manifests" / "embedded", made)
    (made / "fuzz.yaml").write_text(_LIMITS)
    return made


def limit_ranges(cluster: Path) -> Mapping[str, Sequence[dict[str, Any]]]:
    """Return the LimitRanges of a cluster directory by namespace."""
    found: dict[str, list[dict[str, Any]]] = {}
    for path in sorted(cluster.glob("*.yaml")):
        for document in yaml.safe_load_all(path.read_text()):
            for each in (document or {}).get("items") or [document]:
                if each and each.get("kind") == "LimitRange":
                    found.setdefault(each["metadata"]["namespace"], []).append(each)
    return found


class InProcess:
    """The application of the admission port, called without a network; a context manager. Thread-bound."""

    def __init__(self, cluster: Path, mode: str = "enforce") -> None:
        chosen = settings.Settings.build(policies=ROOT / "policies", cluster=cluster, mode=mode)
        self._parts = assembly.embedded(chosen, DecisionLog(io.BytesIO()))
        self._runner = asyncio.Runner()
        assert self._parts.watcher is not None
        self._runner.run(self._parts.watcher.refresh())
        self._lane = admission_app.AdmissionApp(
            partial(serve._answer, self._parts),
            ops.bare_application(""),
            shed=partial(serve._answer_overloaded, self._parts),
        )
        self.slowest = 0.0
        """CPU seconds of the slowest review."""
        self.slow = 0
        """Reviews that took more than a second of CPU."""

    def __call__(self, path: str, body: bytes) -> tuple[int, bytes]:
        """Return status and body of the answer."""
        started = time.process_time()
        answer = self._runner.run(self._call(path, body))
        took = time.process_time() - started
        self.slowest = max(self.slowest, took)
        self.slow += took > 1.0
        return answer

    async def _call(self, path: str, body: bytes) -> tuple[int, bytes]:
        sent: list[dict[str, Any]] = []
        scope = {
            "type": "http",
            "method": "POST",
            "path": path,
            "query_string": b"timeout=10s",
            "headers": [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))],
        }

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:  # noqa: ANN401  an ASGI message
            sent.append(message)

        await self._lane(scope, receive, send)
        await asyncio.sleep(0)  # What is left to do after the answer.
        return sent[0]["status"], b"".join(each.get("body", b"") for each in sent[1:])

    def __enter__(self) -> "InProcess":
        return self

    def __exit__(self, *_error: object) -> None:
        self._runner.close()

    def metric(self, name: str) -> float:
        """Return the sum of a metric's samples."""
        families = self._parts.metrics.registry.collect()
        return sum(each.value for family in families for each in family.samples if each.name == name)


@contextlib.contextmanager
def served(cluster: Path, directory: Path) -> Iterator[tuple[Callable[[], "Connection"], Path]]:
    """Run `podgate serve` on loopback; gives what opens connections to it, and the file of its standard error."""
    port, ops_port = free_port(), free_port()
    flags = {
        "policies": ROOT / "policies",
        "cluster": cluster,
        "host": "127.0.0.1",
        "port": port,
        "ops-port": ops_port,
        "dashboard-port": 0,
        "certs": directory / "certs",
        "log-file": directory / "decisions.jsonl",
    }
    log = directory / "serve.log"
    with log.open("wb") as stream:
        process = subprocess.Popen(  # noqa: S603  our own program
            [sys.executable, "-m", "webhook.cli", "serve", *(f"--{name}={value}" for name, value in flags.items())],
            stdout=stream,
            stderr=stream,
            cwd=ROOT,
        )
    try:
        _wait(process, ops_port, log)
        trust = ssl.create_default_context(cafile=directory / "certs" / "ca.crt")
        yield partial(Connection, port, trust), log
    finally:
        process.kill()
        process.wait()


class Connection:
    """One keep-alive connection; opens another where the server closed it."""

    def __init__(self, port: int, trust: ssl.SSLContext) -> None:
        self._connection = http.client.HTTPSConnection("localhost", port, context=trust, timeout=30)
        self.slowest = 0.0
        self.slow = 0

    def __call__(self, path: str, body: bytes) -> tuple[int, bytes]:
        """Return status and body of the answer."""
        started = time.monotonic()
        self._connection.request("POST", f"{path}?timeout=10s", body, {"Content-Type": "application/json"})
        answer = self._connection.getresponse()
        content = answer.read()
        took = time.monotonic() - started
        self.slowest = max(self.slowest, took)
        self.slow += took > 1.0
        return answer.status, content

    def close(self) -> None:
        """Close it."""
        self._connection.close()


def _wait(process: "subprocess.Popen[bytes]", ops_port: int, log: Path) -> None:
    pause = threading.Event()
    for _ in range(600):
        if process.poll() is not None:
            break
        with (
            contextlib.suppress(OSError),
            urllib.request.urlopen(f"http://127.0.0.1:{ops_port}/readyz", timeout=2) as answer,
        ):
            if answer.status == 200:
                return
        pause.wait(0.1)
    raise AssertionError(f"it never became ready: {log.read_text()[-2000:]}")
