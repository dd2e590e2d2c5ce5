"""The controllers of Kubernetes beside the throwaway API server, and what stands for the kubelets.

There are no nodes: a pod is Ready because a thread says so in its status.
"""

import contextlib
import json
import os
import shutil
import threading
from collections.abc import Iterator

import pytest

from tests.integration import _control_plane
from tests.ports import free_port
from webhook.kube import client

NAME = "kube-controller-manager"

_READY = json.dumps(
    {"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}}, separators=(",", ":")
).encode()


@contextlib.contextmanager
def controllers(plane: _control_plane.ControlPlane) -> Iterator[None]:
    """Run kube-controller-manager until the block ends; skips the test where it is not among the assets."""
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    found = shutil.which(NAME, path=assets)
    if found is None:
        pytest.skip(f"no {NAME} in {assets}: put that of the API server's version there, from dl.k8s.io")
    (plane.directory / "controllers").mkdir()
    flags = (
        f"--kubeconfig={plane.kubeconfig} --leader-elect=false --bind-address=127.0.0.1 "
        f"--secure-port={free_port()} --cert-dir=controllers --root-ca-file=ca.crt "
        "--service-account-private-key-file=server.key --use-service-account-credentials"
    )
    program = _control_plane.Program([found, *flags.split()], plane.directory)
    program.start()
    try:
        yield
    finally:
        program.stop()


@contextlib.contextmanager
def kubelets(plane: _control_plane.ControlPlane, namespace: str) -> Iterator[None]:
    """Make every pod of a namespace Ready as soon as it is seen, until the block ends."""
    stopped = threading.Event()
    path = f"/api/v1/namespaces/{namespace}/pods"

    def run() -> None:
        api = plane.client()
        while not stopped.wait(0.02):
            for pod in json.loads(api.get(path))["items"]:
                if pod["status"].get("phase") == "Running" or "deletionTimestamp" in pod["metadata"]:
                    continue
                with contextlib.suppress(client.NotFoundError):  # It went meanwhile.
                    api.request(
                        "PATCH",
                        f"{path}/{pod['metadata']['name']}/status",
                        body=_READY,
                        content_type="application/strategic-merge-patch+json",
                    )

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()
