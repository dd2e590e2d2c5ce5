"""Certificates and leaders on a real API server: conflicts are conflicts, and a rotation under load fails no call."""

import contextlib
import json
import random
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from certs import bundle
from tests.integration import _control_plane, _process
from tests.integration._process import Load
from tests.ports import free_port
from webhook.kube import client
from webhook.kube import rest as objects
from webhook.kube.leader import Election
from webhook.kube.leases import LeaseStore
from webhook.kube.secrets import SecretStore
from webhook.kube.webhooks import RESOURCES, WebhookObjects

ROOT = Path(__file__).parents[2]
GROUP = "/apis/admissionregistration.k8s.io/v1"

# The command itself, with the waits of a rotation cut from minutes and days to seconds.
PROGRAM = """
import datetime, sys
from certs import rotation
from webhook.serve import secret_tls
rotation.SETTLE, rotation.OVERLAP = datetime.timedelta(seconds=2), datetime.timedelta(seconds=4)
secret_tls.SecretCertificates.watching.__wrapped__.__defaults__ = (0.3, 0.3)
from webhook.cli import main
main()
"""


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[_control_plane.ControlPlane]:
    with _control_plane.control_plane(tmp_path_factory.mktemp("plane")) as running:
        api = running.client()
        for name in ("podgate", "team-alpha"):
            namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
            objects.create(api, "/api/v1/namespaces", namespace)
        yield running


def hook(name: str, resource: str, url: str) -> dict[str, Any]:
    """Return a webhook object that refuses every pod whose review fails."""
    kind = "Mutating" if resource.startswith("mutating") else "Validating"
    path = "mutate" if kind == "Mutating" else "validate"
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": f"{kind}WebhookConfiguration",
        "metadata": {"name": name},
        "webhooks": [
            {
                "name": f"{path}.podgate.dev",
                "clientConfig": {"url": f"{url}/{path}"},
                "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}],
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "team-alpha"}},
                "failurePolicy": "Fail",
                "sideEffects": "NoneOnDryRun",
                "admissionReviewVersions": ["v1"],
                "timeoutSeconds": 5,
            }
        ],
    }


def eventually(what: str, check: Callable[[], object], seconds: float = 40.0) -> None:
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, f"it never happened: {what}"
        time.sleep(0.1)


# --- the adapters ---------------------------------------------------------------------------------------------------


def test_a_bundle_published_under_an_old_version_is_a_conflict(plane: _control_plane.ControlPlane) -> None:
    api = plane.client()
    for resource in RESOURCES:
        objects.create(api, f"{GROUP}/{resource}", hook("stale", resource, "https://127.0.0.1:1"))
    hooks = WebhookObjects(api, "stale")
    before = hooks.read()
    pem = (plane.directory / "ca.crt").read_bytes()

    for entry in before:
        assert entry.bundles == (b"",)
        assert hooks.publish(entry, pem)
    for entry in before:
        with pytest.raises(client.ConflictError):
            hooks.publish(entry, pem + pem)

    assert [entry.bundles for entry in hooks.read()] == [(pem,), (pem,)]
    for resource in RESOURCES:
        api.request("DELETE", f"{GROUP}/{resource}/stale")


def test_a_secret_is_created_once_and_changed_only_as_it_was_read(plane: _control_plane.ControlPlane) -> None:
    store = SecretStore(plane.client(), "podgate", "adapters")
    assert store.read() is None
    store.write({"a": b"1"}, None)
    with pytest.raises(client.ConflictError):
        store.write({"a": b"2"}, None)
    first = store.read()
    store.write({"a": b"3"}, first)
    with pytest.raises(client.ConflictError):
        store.write({"a": b"4"}, first)

    read = store.read()
    assert read is not None
    assert read.data == {"a": b"3"}


def test_the_time_of_the_api_server_is_known(plane: _control_plane.ControlPlane) -> None:
    api = plane.client()
    assert api.server_time() is None
    api.get("/readyz")

    said = api.server_time()
    assert said is not None
    assert abs((said - datetime.now(UTC)).total_seconds()) < 5


def test_one_of_two_candidates_leads_and_hands_over_when_it_stops(plane: _control_plane.ControlPlane) -> None:
    one, two = (
        Election(
            LeaseStore(plane.client(), "podgate", "election"),
            name,
            now=lambda: datetime.now(UTC),
            monotonic=time.monotonic,
            random=random.random,
        )
        for name in ("one", "two")
    )

    assert one.attempt()
    assert not two.attempt()
    assert one.attempt(), "renewed"
    one.release()
    assert two.attempt()
    assert (one.problem, two.problem) == (None, None)


# --- everything together --------------------------------------------------------------------------------------------


def create_pod(api: client.Client) -> str:
    """Create a pod through both webhooks; a dry run, so nothing piles up."""
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"generateName": "load-"},
        "spec": {"containers": [{"name": "app", "image": "registry.example/app:1"}]},
    }
    path = "/api/v1/namespaces/team-alpha/pods"
    api.request("POST", path, query={"dryRun": "All"}, body=json.dumps(pod).encode())
    return ""


def serving(
    plane: _control_plane.ControlPlane, port: int, ops_port: int
) -> "contextlib.AbstractContextManager[subprocess.Popen[bytes]]":
    return _process.serving(
        PROGRAM,
        plane.directory,
        kubeconfig=plane.kubeconfig,
        policies=ROOT / "policies" / "baseline",
        mode="audit",
        port=port,
        ops_port=ops_port,
    )


def is_ready(ops_port: int) -> bool:
    with (
        contextlib.suppress(OSError),
        urllib.request.urlopen(f"http://127.0.0.1:{ops_port}/readyz", timeout=2) as answer,
    ):
        return bool(answer.status == 200)
    return False


def test_authorities_are_replaced_under_load_and_no_call_fails(plane: _control_plane.ControlPlane) -> None:
    api = plane.client()
    port, ops_port = free_port(), free_port()
    for resource in RESOURCES:
        objects.create(api, f"{GROUP}/{resource}", hook("podgate", resource, f"https://127.0.0.1:{port}"))
    hooks = WebhookObjects(api, "podgate")
    secret = SecretStore(api, "podgate", "podgate-certs")

    def anchors() -> set[Any]:
        return {item for entry in hooks.read() for text in entry.bundles for item in bundle.parse(text).certificates}

    def has_changed(before: set[Any]) -> bool:
        now = anchors()
        return len(now) == 1 and not now & before

    def works() -> bool:
        with contextlib.suppress(client.ApiError):
            create_pod(api)
            return True
        return False

    with serving(plane, port, ops_port) as process:
        eventually("readiness", lambda: is_ready(ops_port))
        eventually("the first pod", works)
        with Load(plane, create_pod) as load:
            time.sleep(0.5)
            first = anchors()
            path = "/api/v1/namespaces/podgate/secrets/podgate-certs"
            body = json.dumps({"data": {"ca.key": None}}).encode()
            api.request("PATCH", path, body=body, content_type="application/merge-patch+json")
            eventually("a new authority after its key was lost", lambda: has_changed(first))
            second = anchors()
            api.request("DELETE", path)
            eventually("a new authority after the Secret was deleted", lambda: has_changed(second))
            time.sleep(0.5)
            created = load.created
        assert load.failures == []
        assert created > 50
        assert is_ready(ops_port)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    stored = secret.read()
    assert stored is not None
    assert set(stored.data) == {"ca.crt", "ca.key", "tls.crt", "tls.key"}
    lease = LeaseStore(api, "podgate", "podgate-leader").read()
    assert lease is not None
    assert lease.record.holder == "", "given back at the end"
    for resource in RESOURCES:
        api.request("DELETE", f"{GROUP}/{resource}/podgate")
