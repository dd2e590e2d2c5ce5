"""`podgate serve` as a process of its own, and load on the API server that it stands before."""

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.integration import _control_plane
from webhook.kube import client

ROOT = Path(__file__).parents[2]


@contextlib.contextmanager
def serving(program: str, directory: Path, **flags: object) -> Iterator["subprocess.Popen[bytes]"]:
    """Run `serve` on a live cluster until the block ends; its output is in ``podgate.log``.

    Args:
        program: Python that calls the command line, with waits cut short.
        directory: gets the log and the decisions.
        flags: of `serve`, with underscores; beside those that all of these tests share.
    """
    every = {
        "cluster": "live",
        "certs_secret": "podgate-certs",
        "host": "127.0.0.1",
        "dashboard_port": 0,
        "shutdown_delay": 0,
        "log_file": directory / "decisions.jsonl",
        **flags,
    }
    arguments = [f"--{name.replace('_', '-')}={value}" for name, value in every.items()]
    with (directory / "podgate.log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603  our own program
            [sys.executable, "-c", program, "serve", *arguments],
            stdout=log,
            stderr=log,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()


class Load:
    """Threads that create something without a pause while the block runs, and note what failed."""

    def __init__(
        self, plane: _control_plane.ControlPlane, create: Callable[[client.Client], str], threads: int = 3
    ) -> None:
        """Args:
        plane: gives each thread a client of its own.
        create: creates one object; returns what is wrong with it, or nothing, and may raise ApiError.
        threads: how many.
        """
        self._plane = plane
        self._create = create
        self._stopped = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(threads)]
        self.created = 0
        self.failures: list[str] = []

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        api = self._plane.client()
        while not self._stopped.is_set():
            try:
                wrong = self._create(api)
                self.created += 1
                if wrong:
                    self.failures.append(wrong)
            except client.ApiError as error:
                self.failures.append(str(error))
            time.sleep(0.01)
