"""Servers under measurement: started on one core, watched through /proc, stopped at the end."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_START_SECONDS = 30.0


class ServerError(Exception):
    """A server that did not start, or ended; one line with what it said last."""


class Server:
    """A running server process."""

    def __init__(self, name: str, process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
        self.name = name
        self.port = port
        self._process = process
        self._log = log

    def cpu_seconds(self) -> float:
        """Return user and system time of all threads since the process started."""
        fields = self._read("stat").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def resident_kilobytes(self) -> int:
        """Return the resident set (VmRSS)."""
        for line in self._read("status").splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
        raise self.failure("has no resident memory")

    def forget_log(self) -> None:
        """Empty the log file, for runs that write more than a disk should hold."""
        os.truncate(self._log, 0)

    def failure(self, what: str) -> ServerError:
        """Return an error that quotes the last line the server wrote."""
        said = self._log.read_text(errors="replace").strip().splitlines()
        last = f'; it said: "{said[-1][:300]}"' if said else "; it said nothing"
        return ServerError(f"server {self.name} {what}{last}")

    def _read(self, name: str) -> str:
        try:
            return Path(f"/proc/{self._process.pid}/{name}").read_text()
        except OSError:
            raise self.failure("has ended") from None


@contextmanager
def running(
    name: str, command: Sequence[str], port: int, log: Path, *, core: int | None, ready_url: str | None = None
) -> Iterator[Server]:
    """Start a server, wait until it is ready, and stop it when the block ends.

    Args:
        name: for messages.
        command: program and arguments.
        port: where it listens.
        log: file that gets its output.
        core: the processor it may use; None leaves it free.
        ready_url: answers 200 once it is ready; without it an open port is enough.

    Raises:
        ServerError: it ended, or was not ready in 30 seconds.
    """
    with log.open("ab") as output:
        process = subprocess.Popen(list(command), stdout=output, stderr=output, stdin=subprocess.DEVNULL)  # noqa: S603
    try:
        if core is not None:
            os.sched_setaffinity(process.pid, {core})
        server = Server(name, process, port, log)
        _wait(server, process, port, ready_url)
        yield server
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def podgate_command() -> list[str]:
    """Return the console command of this environment, or the same thing said in Python where it is not installed."""
    script = Path(sys.executable).with_name("podgate")
    return [str(script)] if script.exists() else [sys.executable, "-c", "from webhook.cli import main; main()"]


def _wait(server: Server, process: "subprocess.Popen[bytes]", port: int, ready_url: str | None) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise server.failure(f"ended with status {process.returncode} before it was ready")
        if _is_ready(port, ready_url):
            return
        time.sleep(0.05)
    raise server.failure(f"was not ready within {_START_SECONDS:.0f} seconds")


def _is_ready(port: int, ready_url: str | None) -> bool:
    try:
        if ready_url is None:
            with socket.create_connection(("127.0.0.1", port), timeout=1):
                return True
        with urllib.request.urlopen(ready_url, timeout=1) as answer:  # noqa: S310  our own loopback URL
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False
