"""Who calls and who is asked, on a real API server: client certificates, and webhook objects that go missing."""

import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from certs import authority
from tests.integration import _admission as at
from tests.integration import _control_plane
from tests.integration._admission import Installation, eventually
from tests.serve.client_certificates import client_pair

TOLD_SECONDS = 30.0
"""Within this a webhook object that is missing is told."""


@pytest.fixture
def signer(tmp_path: Path) -> authority.Authority:
    made = authority.create(dt.datetime.now(dt.UTC))
    (tmp_path / "clients.crt").write_bytes(made.certificate.public_bytes(serialization.Encoding.PEM))
    return made


@pytest.fixture
def admission_configuration(tmp_path: Path, signer: authority.Authority) -> Path:
    """Write what makes an API server present a certificate to every webhook."""
    pair = str(client_pair(tmp_path, signer))
    users = [{"name": "*", "user": {"client-certificate": pair, "client-key": pair}}]
    (tmp_path / "webhooks.kubeconfig").write_text(json.dumps({"apiVersion": "v1", "kind": "Config", "users": users}))
    plugin = {
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "WebhookAdmissionConfiguration",
        "kubeConfigFile": str(tmp_path / "webhooks.kubeconfig"),
    }
    names = ("MutatingAdmissionWebhook", "ValidatingAdmissionWebhook")
    whole = {
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "AdmissionConfiguration",
        "plugins": [{"name": name, "configuration": plugin} for name in names],
    }
    path = tmp_path / "admission.json"
    path.write_text(json.dumps(whole))
    return path


def installed(plane: _control_plane.ControlPlane, **flags: object) -> Installation:
    """Install Podgate, and start it with further flags."""
    cluster = at.prepare(plane)
    cluster.podgate._flags.update({name.replace("_", "-"): value for name, value in flags.items()})
    cluster.podgate.start()
    eventually("the bundle is published", lambda: at.trusts(cluster.kubectl))
    return cluster


@pytest.fixture
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with _control_plane.control_plane(tmp_path_factory.mktemp("plane")) as plane:
        made = installed(plane)
        yield made
        made.podgate.kill()


def test_an_api_server_that_presents_its_certificate_is_answered(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path, admission_configuration: Path
) -> None:
    flag = f"--admission-control-config-file={admission_configuration}"
    with _control_plane.control_plane(tmp_path_factory.mktemp("plane"), flag) as plane:
        made = installed(plane, client_ca=tmp_path / "clients.crt", client_name="kube-apiserver")
        team = made.namespace("team-a", cost_center="engineering-alpha")
        eventually(
            "a privileged pod is refused",
            lambda: not made.kubectl.apply(at.privileged(team), flags=("--dry-run=server",)).is_done,
        )
        assert "podgate_callers_verified 1.0" in made.podgate.metrics()
        made.podgate.kill()


@pytest.mark.usefixtures("signer")
def test_an_api_server_without_a_certificate_is_counted_and_told(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    with _control_plane.control_plane(tmp_path_factory.mktemp("plane")) as plane:
        made = installed(plane, client_ca=tmp_path / "clients.crt")
        team = made.namespace("team-a", cost_center="engineering-alpha")
        made.kubectl.apply(at.pod(team))
        said = made.podgate.readiness()[1]
        assert "[!] callers: " in said
        assert "callers showed no client certificate; give one to every API server" in said
        assert 'podgate_handshakes_refused_total{reason="no_certificate"}' in made.podgate.metrics()
        assert "handshake refused: callers showed no client certificate" in made.podgate.log()
        made.podgate.kill()


def test_callers_that_are_not_verified_are_told_in_mode_enforce(cluster: Installation) -> None:
    assert "[!] callers: anybody who reaches port" in cluster.podgate.readiness()[1]
    assert "podgate_callers_verified 0.0" in cluster.podgate.metrics()


def test_a_webhook_object_that_is_deleted_or_edited_is_told_until_it_is_back(cluster: Installation) -> None:
    def told() -> str:
        return "\n".join(
            line for line in cluster.podgate.readiness()[1].splitlines() if line.startswith("[!] webhook objects")
        )

    eventually("it was looked at", lambda: "podgate_webhook_object_problems" in cluster.podgate.metrics(), TOLD_SECONDS)
    eventually("both are complete", lambda: not told(), TOLD_SECONDS)

    mutating, validating = at.HOOKS
    cluster.kubectl.must("delete", mutating, "podgate")
    eventually("the mutating one is told", lambda: f"{mutating.lower()}s/podgate is missing" in told(), TOLD_SECONDS)
    assert 'podgate_webhook_object_problems{object="mutating"} 1.0' in cluster.podgate.metrics()
    assert "is missing, so pods are not changed" in cluster.podgate.log()

    edit = json.dumps([{"op": "remove", "path": "/webhooks/1"}])
    cluster.kubectl.must("patch", validating, "podgate", "--type=json", "-p", edit)
    eventually("the validating one is told", lambda: "does not call /validate/security" in told(), TOLD_SECONDS)

    hooks = [document for document in cluster.render("base") if document["kind"] in at.HOOKS]
    assert cluster.kubectl.apply(*hooks).is_done
    eventually("nothing is told any more", lambda: not told(), TOLD_SECONDS)
