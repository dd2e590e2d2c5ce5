"""Conditions of policies on a real API server: written by the process with the rights of the manifests, shown by
kubectl, and once each."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from tests import factories
from tests.fakes.apiserver import PATHS
from tests.integration import _control_plane, _process
from tests.ports import free_port
from webhook.kube import client

ROOT = Path(__file__).parents[2]
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
RBAC = "/apis/rbac.authorization.k8s.io/v1"
MERGE = "application/merge-patch+json"
LABELS = "{mode: audit, costLabels: {required: [{key: cost-center}]}}"
MALFORMED = '{mode: audit, costLabels: {required: [{key: cost-center, allowed: [B], pattern: "^[a-z]$"}]}}'
"""A value that the pattern does not take: fine by the definition, malformed to the loader."""

# The command itself, with waits of seconds and a minute cut short.
PROGRAM = """
from webhook.serve import conditions
conditions.PAUSE_SECONDS, conditions.RETRY_SECONDS = 1.0, 2.0
from webhook.cli import main
main()
"""

Object = dict[str, Any]


def eventually(what: str, holds: Callable[[], object], seconds: float = 40.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"it never happened: {what}"
        time.sleep(0.1)


def documents(path: Path) -> Iterator[Object]:
    for each in yaml.safe_load_all(path.read_text(encoding="utf-8")):
        if each:
            yield each


class Running(NamedTuple):
    """An API server with our kinds, and one process that serves with the rights of the manifests."""

    plane: _control_plane.ControlPlane
    api: client.Client
    ops_port: int

    def create(self, document: Object) -> None:
        place = document["metadata"].get("namespace")
        head, _, plural = PATHS[document["kind"]].rpartition("/")
        path = f"{head}/namespaces/{place}/{plural}" if place else PATHS[document["kind"]]
        self.api.request("POST", path, body=json.dumps(document).encode())

    def policy(self, name: str) -> Object:
        found: Object = json.loads(self.api.get(f"{PATHS['GuardrailPolicy']}/{name}"))
        return found

    def edit(self, name: str, spec: str) -> None:
        body = json.dumps({"spec": {**dict.fromkeys(self.policy(name)["spec"]), **yaml.safe_load(spec)}}).encode()
        self.api.request("PATCH", f"{PATHS['GuardrailPolicy']}/{name}", body=body, content_type=MERGE)

    def says(self, name: str) -> tuple[str, str, bool]:
        """Return status, reason, and whether the condition is about the newest version of the spec."""
        found = self.policy(name)
        for each in (found.get("status") or {}).get("conditions") or ():
            return each["status"], each["reason"], each["observedGeneration"] == found["metadata"]["generation"]
        return "", "", False

    def ops(self, path: str) -> str:
        with (
            contextlib.suppress(OSError),
            urllib.request.urlopen(f"http://127.0.0.1:{self.ops_port}{path}", timeout=2) as answer,
        ):
            return str(answer.read().decode())
        return ""


def install(api: client.Client) -> None:
    for name in ("podgate", "team-alpha"):
        metadata = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        api.request("POST", "/api/v1/namespaces", body=json.dumps(metadata).encode())
    for path in sorted((ROOT / "manifests" / "crds").glob("*.yaml")):
        for each in documents(path):
            api.request("POST", CRDS, body=json.dumps(each).encode())
    for each in documents(ROOT / "manifests" / "base" / "rbac.yaml"):
        place = f"{RBAC}/namespaces/podgate" if each["kind"].startswith("Role") else RBAC
        api.request("POST", f"{place}/{each['kind'].lower()}s", body=json.dumps(each).encode())
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "podgate"}}
    api.request("POST", "/api/v1/namespaces/podgate/serviceaccounts", body=json.dumps(account).encode())
    ours = [place for place in PATHS.values() if "podgate.dev" in place]
    assert len(ours) == 5
    eventually("our kinds are served", lambda: all(_is_served(api, place) for place in ours))


def _is_served(api: client.Client, path: str) -> bool:
    # First the kind is not known, then its storage is being made.
    with contextlib.suppress(client.ApiError):
        api.get(path)
        return True
    return False


def kubeconfig_of_account(plane: _control_plane.ControlPlane, directory: Path) -> Path:
    asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    path = "/api/v1/namespaces/podgate/serviceaccounts/podgate/token"
    token = json.loads(plane.client().request("POST", path, body=json.dumps(asked).encode()))["status"]["token"]
    content = json.loads(plane.kubeconfig.read_text(encoding="utf-8"))
    content["users"] = [{"name": "admin", "user": {"token": token}}]
    made = directory / "kubeconfig"
    made.write_text(json.dumps(content))
    return made


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    directory = tmp_path_factory.mktemp("serve")
    policies = directory / "policies"
    policies.mkdir()
    (policies / "shadow.yaml").write_text(factories.policy(LABELS, "shadowed"))
    with _control_plane.control_plane(tmp_path_factory.mktemp("plane")) as plane:
        api = plane.client()
        install(api)
        ops_port = free_port()
        with _process.serving(
            PROGRAM,
            directory,
            kubeconfig=kubeconfig_of_account(plane, directory),
            policies=policies,
            port=free_port(),
            ops_port=ops_port,
        ) as process:
            yield Running(plane, api, ops_port)
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0, (directory / "podgate.log").read_text()


def test_an_author_is_told_of_every_version_and_all_is_quiet_in_between(running: Running) -> None:
    running.create(yaml.safe_load(factories.policy(LABELS, "team")))
    running.create(yaml.safe_load(factories.policy(LABELS, "shadowed")))
    eventually("it is in force", lambda: running.says("team") == ("True", "Accepted", True))
    eventually("the file comes first", lambda: running.says("shadowed") == ("False", "ShadowedByFile", True))
    since = running.policy("team")["status"]["conditions"][0]["lastTransitionTime"]

    running.edit("team", MALFORMED)
    eventually("it is malformed", lambda: running.says("team") == ("False", "Invalid", True))
    (condition,) = running.policy("team")["status"]["conditions"]
    assert condition["message"].startswith("spec.costLabels.required[0].allowed[0]: ")
    assert condition["lastTransitionTime"] > since

    running.edit("team", LABELS)
    eventually("it is mended", lambda: running.says("team") == ("True", "Accepted", True))
    versions = [running.policy(name)["metadata"]["resourceVersion"] for name in ("team", "shadowed")]
    generation = running.policy("team")["metadata"]["generation"]
    assert generation == 3, "a status is no new version"
    time.sleep(4)
    assert [running.policy(name)["metadata"]["resourceVersion"] for name in ("team", "shadowed")] == versions


def test_a_spec_cannot_be_written_with_the_rights_of_the_manifests(running: Running, tmp_path: Path) -> None:
    api = client.connect(kubeconfig_of_account(running.plane, tmp_path))
    running.create(yaml.safe_load(factories.policy(LABELS, "untouched")))
    path = f"{PATHS['GuardrailPolicy']}/untouched"
    body = json.dumps({"spec": {"mode": "enforce"}}).encode()
    with pytest.raises(client.ForbiddenError):
        api.request("PATCH", path, body=body, content_type=MERGE)
    api.request("PATCH", f"{path}/status", body=body, content_type=MERGE)
    assert running.policy("untouched")["spec"]["mode"] == "audit"


def test_kubectl_shows_what_came_of_each(running: Running) -> None:
    kubectl = shutil.which("kubectl", path=os.environ["KUBEBUILDER_ASSETS"]) or shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("no kubectl")
    spec = {"guardrails": ["podSecurity"], "owner": "a", "reason": "b", "expires": "2027-01-01"}
    metadata = {"name": "shown", "namespace": "team-alpha"}
    made = {"apiVersion": "podgate.dev/v1alpha1", "kind": "PolicyException", "metadata": metadata, "spec": spec}
    running.create(made)

    def shown() -> list[list[str]]:
        command = [kubectl, f"--kubeconfig={running.plane.kubeconfig}", "get", "policyexceptions", "-A"]
        ran = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)  # noqa: S603  kubectl
        return [line.split() for line in ran.stdout.splitlines()]

    eventually("kubectl shows it", lambda: shown()[1][-2] == "True")
    assert shown()[0][-2] == "ACCEPTED"


def test_a_revoked_right_is_told_and_the_conditions_come_when_it_is_back(running: Running) -> None:
    path = f"{RBAC}/clusterroles/podgate"
    role = json.loads(running.api.get(path))
    without = [rule for rule in role["rules"] if "budgets/status" not in rule["resources"]]
    assert len(without) == len(role["rules"]) - 1
    running.api.request("PATCH", path, body=json.dumps({"rules": without}).encode(), content_type=MERGE)
    eventually("it was never ready", lambda: "ready" in running.ops("/readyz?verbose"))
    running.create(yaml.safe_load(factories.policy(LABELS, "late")))
    eventually("a notice", lambda: "grant it in the ClusterRole" in running.ops("/readyz?verbose"))
    assert 'podgate_condition_writes_total{outcome="failed"}' in running.ops("/metrics")
    assert running.says("late") == ("", "", False)
    running.api.request("PATCH", path, body=json.dumps({"rules": role["rules"]}).encode(), content_type=MERGE)
    eventually("it is told", lambda: running.says("late") == ("True", "Accepted", True))
    eventually("no notice", lambda: "grant it in" not in running.ops("/readyz?verbose"))
