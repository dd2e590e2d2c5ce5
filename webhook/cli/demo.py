"""`podgate demo`: the whole thing at work, on the embedded cluster, with nothing else installed."""

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import click
import httpx
import yaml

from webhook.cli import _terminal, replay
from webhook.cli._fault import InputError

_START_SECONDS = 120.0
"""A laptop that is busy with something else needs them; one that is not starts in two."""


@click.command("demo", short_help="Serve the embedded cluster and replay recorded reviews against it.")
@click.option(
    "--root",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=".",
    metavar="DIR",
    show_default=True,
    help="A checkout of Podgate: it holds policies/ and manifests/embedded/.",
)
@click.option("--port", default=8443, metavar="N", show_default=True, help="Port of the admission paths.")
@click.option("--ops-port", default=8080, metavar="N", show_default=True, help="Port of health and metrics.")
@click.option("--dashboard-port", default=8081, metavar="N", show_default=True, help="Port of the pages; 0: none.")
@click.option("--mode", type=click.Choice(["enforce", "audit"]), default="enforce", show_default=True)
@click.option("--exit", "leave", is_flag=True, help="Stop after the table instead of serving on.")
def COMMAND(root: Path, port: int, ops_port: int, dashboard_port: int, mode: str, leave: bool) -> None:  # noqa: N802
    """Start the webhook over TLS, replay AdmissionReviews recorded from a real API server, print what was decided.

    It goes on serving until Ctrl-C, so that you can post reviews of your own and edit the policies meanwhile.
    """
    embedded, policies, local = root / "manifests" / "embedded", root / "policies", root / ".local"
    recorded = root / "manifests" / "recorded"
    recording = recorded / "reviews.jsonl.gz"
    for path in (recording, recorded / "replay.yaml", embedded, policies):
        if not path.exists():
            raise InputError(f"{path}: does not exist; run it in a checkout of Podgate, or give --root DIR")
    console = _terminal.console()
    log = local / "decisions.jsonl"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.unlink(missing_ok=True)
    with _server(policies, embedded, local / "certs", log, (port, ops_port, dashboard_port), mode) as process:
        _wait_until_ready(process, ops_port)
        namespaces = yaml.safe_load((recorded / "replay.yaml").read_text())["namespaces"]
        replay.run(recording, f"https://localhost:{port}", local / "certs" / "ca.crt", namespaces, 60)
        console.print(f"every decision, with its patch: {log}", markup=False)
        console.print(f"metrics: http://localhost:{ops_port}/metrics", markup=False)
        if leave:
            return
        if dashboard_port:
            console.print(f"dashboard: http://localhost:{dashboard_port}/", style="bold", markup=False)
        console.print(
            f"still serving https://localhost:{port}; edit policies/ and post again. Ctrl-C ends it.",
            style="bold",
            markup=False,
        )
        with contextlib.suppress(KeyboardInterrupt):
            sys.exit(process.wait())


@contextlib.contextmanager
def _server(
    policies: Path, cluster: Path, certs: Path, log: Path, ports: tuple[int, int, int], mode: str
) -> Iterator["subprocess.Popen[bytes]"]:
    command = [sys.executable, "-m", "webhook.cli", "serve", "--policies", str(policies), "--cluster", str(cluster)]
    command += ["--certs", str(certs), "--log-file", str(log), "--host", "127.0.0.1", "--mode", mode]
    for flag, port in zip(("--port", "--ops-port", "--dashboard-port"), ports, strict=True):
        command += [flag, str(port)]
    command += ["--shutdown-delay", "0"]
    process = subprocess.Popen(command)  # noqa: S603  our own program with our own arguments
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            process.kill()


def _wait_until_ready(process: "subprocess.Popen[bytes]", ops_port: int) -> None:
    last = "it did not answer"
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end:
        status = process.poll()
        if status is not None:
            raise InputError(f"the webhook did not start (exit status {status}); its reason is above")
        try:
            answer = httpx.get(f"http://127.0.0.1:{ops_port}/readyz", timeout=2)
        except httpx.HTTPError:
            time.sleep(0.1)
            continue
        if answer.status_code == 200:
            return
        last = answer.text.strip()
        time.sleep(0.2)
    raise InputError(
        f"the webhook is not ready after {_START_SECONDS:.0f} seconds: {last}; "
        f"look at http://127.0.0.1:{ops_port}/readyz?verbose while `podgate serve` runs with the same policies"
    )
