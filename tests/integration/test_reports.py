"""Reports and events on a real API server, written with the rights of the manifests: what people see in kubectl."""

import json
import os
import shutil
import signal
import ssl
import subprocess
import urllib.request
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from tests import factories
from tests.integration import _control_plane, _process
from tests.integration.test_conditions import (
    CRDS,
    ROOT,
    _is_served,
    documents,
    eventually,
    install,
    kubeconfig_of_account,
)
from tests.ports import free_port
from webhook.kube import client
from webhook.reporting.policy_reports import DIALECTS

Object = dict[str, Any]
POLICY = factories.policy("{mode: enforce, podSecurity: {level: restricted}}")

# The command itself, with waits of half a minute cut short.
PROGRAM = """
from webhook.reporting import background, refusals
background.FIRST_SECONDS, refusals.PAUSE_SECONDS = 1.0, 1.0
from webhook.cli import main
main()
"""


class Running(NamedTuple):
    """An API server with the kinds of reports, and a process that serves."""

    plane: _control_plane.ControlPlane
    api: client.Client
    port: int
    ops_port: int

    def create(self, path: str, document: Object) -> Object:
        made: Object = json.loads(self.api.request("POST", path, body=json.dumps(document).encode()))
        return made

    def refuse(self, pod: Object) -> str:
        """Ask as the API server does; return the denial."""
        context = ssl._create_unverified_context()  # noqa: S323  its authority is in a Secret
        body = json.dumps(factories.review(pod)).encode()
        request = urllib.request.Request(
            f"https://127.0.0.1:{self.port}/validate?timeout=10s", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, context=context, timeout=10) as answer:  # noqa: S310  see above
            response = json.loads(answer.read())["response"]
        assert not response["allowed"]
        return str(response["status"]["message"])

    def report(self, path: str, namespace: str = "team-alpha") -> Object:
        head, _, plural = path.rpartition("/")
        try:
            found: Object = json.loads(self.api.get(f"{head}/namespaces/{namespace}/{plural}/podgate"))
        except client.NotFoundError:
            return {}
        return found

    def events(self) -> list[Object]:
        found: list[Object] = json.loads(self.api.get("/api/v1/namespaces/team-alpha/events"))["items"]
        return [each for each in found if each["reason"] == "PodRefused"]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    directory = tmp_path_factory.mktemp("serve")
    policies = directory / "policies"
    policies.mkdir()
    (policies / "all.yaml").write_text(f"{POLICY}---\n{factories.PRICES}")
    with _control_plane.control_plane(tmp_path_factory.mktemp("plane")) as plane:
        api = plane.client()
        install(api)
        for path in sorted((ROOT / "tests" / "data" / "reports").glob("*.yaml")):
            for each in documents(path):
                api.request("POST", CRDS, body=json.dumps(each).encode())
        eventually("reports are served", lambda: all(_is_served(api, each.path) for each in DIALECTS))
        port, ops_port = free_port(), free_port()
        with _process.serving(
            PROGRAM,
            directory,
            kubeconfig=kubeconfig_of_account(plane, directory),
            policies=policies,
            port=port,
            ops_port=ops_port,
            scan_interval=2,
        ) as process:
            made = Running(plane, api, port, ops_port)
            eventually("it is ready", lambda: _is_ready(made.ops_port))
            yield made
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0, (directory / "podgate.log").read_text()


def _is_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@pytest.fixture(scope="module")
def owner(running: Running) -> Object:
    """Create a Deployment with its ReplicaSet; return the reference that its pods carry."""
    base = "/apis/apps/v1/namespaces/team-alpha"
    deployment = running.create(f"{base}/deployments", factories.deployment())
    document = factories.deployment(name="shop-7d9c8b6f5", ownerReferences=[_reference(deployment)])
    return _reference(running.create(f"{base}/replicasets", {**document, "kind": "ReplicaSet"}))


def _reference(owner: Object) -> Object:
    metadata = owner["metadata"]
    return {
        "apiVersion": "apps/v1",
        "kind": owner["kind"],
        "name": metadata["name"],
        "uid": metadata["uid"],
        "controller": True,
    }


def kubectl(running: Running, *arguments: str) -> str:
    program = shutil.which("kubectl", path=os.environ.get("KUBEBUILDER_ASSETS")) or shutil.which("kubectl")
    if program is None:
        pytest.skip("kubectl is not installed")
    command = [program, f"--kubeconfig={running.plane.kubeconfig}", "-n", "team-alpha", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout  # noqa: S603  see above


def test_kubectl_describe_tells_why_a_deployment_has_no_pods(running: Running, owner: Object) -> None:
    pod = factories.stored(factories.pod(metadata={"ownerReferences": [owner]}))
    denial = running.refuse(pod)
    for _ in range(9):
        assert running.refuse(pod) == denial
    eventually("the owner is told", lambda: sum(each["count"] for each in running.events()) >= 10)
    (event,) = running.events()
    assert event["count"] == 10
    assert event["involvedObject"]["kind"] == "Deployment"
    shown = kubectl(running, "describe", "deployment", "shop")
    assert "PodRefused" in shown
    assert "podSecurity" in shown
    for _ in range(5):
        running.refuse(pod)
    eventually("the count goes up", lambda: running.events()[0]["count"] == 15)
    assert len(running.events()) == 1


def test_what_runs_is_one_report_a_namespace_in_both_kinds(running: Running, owner: Object) -> None:
    for number in range(3):
        pod = factories.pod(metadata={"name": f"shop-{number}", "ownerReferences": [owner]})
        del pod["metadata"]["generateName"], pod["status"]
        running.create("/api/v1/namespaces/team-alpha/pods", pod)
    for dialect in DIALECTS:
        eventually("it is reported", lambda d=dialect: (running.report(d.path).get("summary") or {}).get("fail") == 3)  # type: ignore[misc]  # bound for this round
        found = running.report(dialect.path)
        (result,) = [each for each in found["results"] if each["result"] == "fail"]
        assert (result["policy"], result["rule"], result["severity"]) == ("team", "podSecurity", "high")
        assert result["resources"][0]["name"] == "shop"
        assert result["properties"]["objects"] == "3"
        assert result["timestamp"]["seconds"] > 0
        items = json.loads(running.api.get(dialect.path))["items"]
        assert len(items) == 1, "one a namespace"
    assert "podgate" in kubectl(running, "get", "policyreports")


def test_what_has_not_changed_is_not_written_again_and_what_is_gone_is_deleted(running: Running, owner: Object) -> None:
    path = DIALECTS[1].path
    eventually("it is reported", lambda: running.report(path))
    version = running.report(path)["metadata"]["resourceVersion"]
    scans = _metric(running, "podgate_scans_total")
    eventually("it scans again", lambda: _metric(running, "podgate_scans_total") >= scans + 2)
    assert running.report(path)["metadata"]["resourceVersion"] == version
    assert _metric(running, 'podgate_scan_objects_total{outcome="unchanged"}') > 0
    for number in range(3):
        running.api.request("DELETE", f"/api/v1/namespaces/team-alpha/pods/shop-{number}")
    for kind in ("deployments", "replicasets"):
        running.api.request("DELETE", f"/apis/apps/v1/namespaces/team-alpha/{kind}")
    eventually("the report goes with the last object", lambda: running.report(path) == {})


def _metric(running: Running, name: str) -> float:
    with urllib.request.urlopen(f"http://127.0.0.1:{running.ops_port}/metrics", timeout=5) as answer:
        lines = answer.read().decode().splitlines()
    return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{name} ")), 0.0)
