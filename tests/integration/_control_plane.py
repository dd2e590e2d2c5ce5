"""A throwaway API server with its etcd, on loopback, for tests that only a real one can answer.

There are no controllers, no scheduler and no nodes: what a test wants to exist, it makes.
"""

import contextlib
import datetime as dt
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from cryptography.hazmat.primitives import serialization

from certs import authority, bundle, checks, leaf
from tests.ports import free_port
from webhook.kube import client

HOW = "KUBEBUILDER_ASSETS is not set: get the binaries with `setup-envtest use` (etcd is also in Debian's etcd-server)"

_TOKEN = "integration-admin"


class ControlPlane(NamedTuple):
    """A running API server."""

    directory: Path
    url: str
    kubeconfig: Path
    apiserver: "Program"
    """The API server's own process; etcd keeps what it stored while it is down."""

    def client(self) -> client.Client:
        """Return a client that may do everything."""
        return client.connect(self.kubeconfig)

    def wait(self) -> None:
        """Return once the API server is ready."""
        _wait(self)


class Program:
    """A process that can be stopped and started again; its output goes to a log in its directory."""

    def __init__(self, command: list[str], directory: Path) -> None:
        self._command = command
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; the log is continued."""
        with (self._directory / f"{Path(self._command[0]).name}.log").open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603  from the assets
                self._command, cwd=self._directory, stdout=log, stderr=log
            )

    def stop(self) -> None:
        """Ask it to end, and insist after a while."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def kill(self) -> None:
        """End it at once, as a node that fails does."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()


@contextlib.contextmanager
def control_plane(directory: Path, *flags: str) -> Iterator[ControlPlane]:
    """Run etcd and kube-apiserver in a directory of their own; skips the test where they are not installed.

    Args:
        directory: where they keep everything.
        flags: further ones of the API server.
    """
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    if not assets:
        pytest.skip(HOW)
    etcd = shutil.which("etcd", path=assets) or shutil.which("etcd")
    apiserver = shutil.which("kube-apiserver", path=assets)
    if etcd is None or apiserver is None:
        pytest.skip(f"no etcd and kube-apiserver in {assets}; {HOW}")
    _write_credentials(directory)
    port, etcd_port, peer_port = (free_port() for _ in range(3))
    url = f"https://127.0.0.1:{port}"
    _write_kubeconfig(directory, url)
    etcd_url, peer_url = f"http://127.0.0.1:{etcd_port}", f"http://127.0.0.1:{peer_port}"
    commands = {
        etcd: f"--data-dir=data --listen-client-urls={etcd_url} --advertise-client-urls={etcd_url} "
        f"--listen-peer-urls={peer_url} --initial-advertise-peer-urls={peer_url} --initial-cluster=default={peer_url}",
        apiserver: f"--etcd-servers={etcd_url} --secure-port={port} --bind-address=127.0.0.1 "
        "--advertise-address=127.0.0.1 --tls-cert-file=server.crt --tls-private-key-file=server.key "
        "--service-account-issuer=https://kubernetes.default.svc --service-account-key-file=server.key "
        "--service-account-signing-key-file=server.key --service-cluster-ip-range=10.0.0.0/24 "
        "--authorization-mode=RBAC --token-auth-file=tokens.csv --disable-admission-plugins=ServiceAccount "
        "--endpoint-reconciler-type=none --allow-privileged=true",
    }
    with contextlib.ExitStack() as stack:
        for command, given in commands.items():
            more = flags if command == apiserver else ()
            program = Program([command, *given.split(), *more], directory)
            program.start()
            stack.callback(program.stop)
        plane = ControlPlane(directory, url, directory / "kubeconfig", program)
        _wait(plane)
        yield plane


def _write_credentials(directory: Path) -> None:
    now = dt.datetime.now(dt.UTC)
    signer = authority.create(now)
    server = leaf.create(signer, ["localhost", "127.0.0.1", "10.0.0.1"], now)
    (directory / "ca.crt").write_bytes(bundle.encode([signer.certificate]))
    (directory / "ca.key").write_bytes(checks.encode_key(signer.key))
    (directory / "server.crt").write_bytes(bundle.encode([server.certificate]))
    # The service account signer takes the traditional form only.
    (directory / "server.key").write_bytes(
        server.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
    )
    (directory / "tokens.csv").write_text(f"{_TOKEN},admin,admin-uid,system:masters\n")


def _write_kubeconfig(directory: Path, url: str) -> None:
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "admin",
        "clusters": [{"name": "local", "cluster": {"server": url, "certificate-authority": str(directory / "ca.crt")}}],
        "users": [{"name": "admin", "user": {"token": _TOKEN}}],
        "contexts": [{"name": "admin", "context": {"cluster": "local", "user": "admin"}}],
    }
    (directory / "kubeconfig").write_text(json.dumps(document))


def _wait(plane: ControlPlane) -> None:
    api = plane.client()
    deadline = time.monotonic() + 90
    while True:
        try:
            api.get("/readyz")
        except client.ApiError as error:
            if time.monotonic() > deadline:
                tail = (plane.directory / "kube-apiserver.log").read_text()[-1000:]
                raise AssertionError(f"the API server is not ready: {error}\n{tail}") from None
            time.sleep(0.25)
        else:
            return
