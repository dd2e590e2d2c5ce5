"""Several replicas on a real API server: they are replaced one after the other under load and no call fails, and what
one of them alone may do goes to another when it is gone."""

import contextlib
import json
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.integration import _admission as at
from tests.integration import _control_plane
from tests.integration._admission import Installation, Podgate, eventually
from tests.integration._process import Load
from tests.integration._service import Service
from webhook.kube import client

DELAY = 2
"""Seconds that a replica goes on serving after SIGTERM: longer than a Service takes to notice."""


def load(plane: _control_plane.ControlPlane, namespace: str) -> Load:
    """Create pods without a pause. Every call to Podgate must succeed, for all of its entries refuse what they cannot
    judge; a pod that was stored without being judged would lack its label."""
    document = at.pod(namespace)
    del document["metadata"]["name"]
    document["metadata"]["generateName"] = "load-"
    body = json.dumps(document).encode()

    def create(api: client.Client) -> str:
        stored = json.loads(api.request("POST", f"/api/v1/namespaces/{namespace}/pods", body=body))
        labels = stored["metadata"]["labels"]
        is_judged = labels.get("cost-center") == "engineering-alpha"
        return "" if is_judged else f"{stored['metadata']['name']} was not judged: {labels}"

    return Load(plane, create)


@pytest.fixture
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with _control_plane.control_plane(tmp_path_factory.mktemp("plane")) as plane:
        yield at.prepare(plane)


def replica(cluster: Installation, name: str, **flags: object) -> Podgate:
    directory = cluster.plane.directory
    log = directory / f"{name}.jsonl"
    return Podgate(directory, directory / "podgate.kubeconfig", name, **{"log_file": log, **flags})


def register(cluster: Installation) -> None:
    """Apply the webhook objects, and let no entry let anything in without a verdict."""
    hooks = [document for document in cluster.render("base") if document["kind"] in at.HOOKS]
    for entry in (each for hook in hooks for each in hook["webhooks"]):
        # A machine that is busy with other tests is slow; what is looked for is calls that are lost.
        entry.update(failurePolicy="Fail", timeoutSeconds=10)
    said = cluster.kubectl.apply(*hooks)
    assert said.is_done, said.err


def judged(cluster: Installation) -> Counter[int]:
    """Return how many new pods each replica has seen."""
    logs = {n: cluster.plane.directory / f"replica-{n}.jsonl" for n in range(4)}
    return Counter({n: log.read_bytes().count(b'"path":"/mutate"') for n, log in logs.items()})


def test_replicas_are_replaced_one_after_the_other_under_load_and_no_call_fails(cluster: Installation) -> None:
    team = cluster.namespace("team-rolling", cost_center="engineering-alpha")
    first, second, third, fourth = (replica(cluster, f"replica-{n}", shutdown_delay=DELAY) for n in range(4))
    with contextlib.ExitStack() as stack:
        service = stack.enter_context(Service(cluster.podgate.port))
        register(cluster)
        for each in (first, second):
            stack.callback(each.kill)
            each.start()
            service.add(each)
        eventually("the bundle is published", lambda: at.trusts(cluster.kubectl))
        eventually("pods are judged", lambda: cluster.kubectl.apply(at.pod(team, "first")).is_done)
        with load(cluster.plane, team) as made:
            time.sleep(1)
            for old, new in ((first, third), (second, fourth)):
                # One more than needed comes first, then one goes: maxSurge 1, maxUnavailable 0.
                stack.callback(new.kill)
                new.start()
                service.add(new)
                before = made.created
                assert old.stop() == 0
                service.remove(old)
                assert made.created > before, "the load goes on meanwhile"
            time.sleep(1)
        assert made.failures == []
        assert made.created > 100
        eventually("every decision is written down", lambda: sum(judged(cluster).values()) >= made.created)
        assert min(judged(cluster).values()) > 5, judged(cluster)
        assert min(service.connections.values()) > 0


# --- one leader -------------------------------------------------------------------------------------------------------

# The command itself, with the service account of a pod in a directory of the test.
IN_POD = """
import sys
from pathlib import Path
from kubernetes.config import incluster_config
from webhook.kube import client
incluster_config.SERVICE_TOKEN_FILENAME, incluster_config.SERVICE_CERT_FILENAME = sys.argv[1:3]
client._TOKEN = Path(sys.argv[1])
del sys.argv[1:3]
from webhook.cli import main
main()
"""


class InPod(Podgate):
    """A replica that finds its API server as a pod does, with certificates of its own."""

    def command(self) -> list[str]:
        """Return the program."""
        return ["-c", IN_POD, str(self.directory / "token"), str(self.directory / "ca.crt")]


def grant_conditions(cluster: Installation) -> None:
    """Give the service account the rights that it has where replicas share no certificates."""
    said = cluster.kubectl.apply(*(each for each in cluster.render("overlays/cert-manager") if "Role" in each["kind"]))
    assert said.is_done, said.err


def holder(cluster: Installation) -> str:
    said = cluster.kubectl("get", "lease", "podgate-conditions", "-n", "podgate", "-o", "json")
    return str(said.object()["spec"].get("holderIdentity") or "") if said.is_done else ""


def leaders(replicas: list[InPod]) -> list[InPod]:
    return [each for each in replicas if "podgate_leader 1.0" in each.metrics()]


def test_where_certificates_are_not_shared_one_replica_writes_conditions_and_another_takes_over(
    cluster: Installation,
) -> None:
    grant_conditions(cluster)
    directory = cluster.plane.directory
    account = json.loads((directory / "podgate.kubeconfig").read_text())
    (directory / "token").write_text(account["users"][0]["user"]["token"])
    replicas = [
        InPod(directory, None, f"replica-{n}", certs=directory / f"certs-{n}", certs_secret="", log_file="/dev/null")
        for n in range(2)
    ]
    for each in replicas:
        host, port = cluster.plane.url.removeprefix("https://").split(":")
        each.environment = {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port}

    def says(name: str) -> str:
        status = cluster.kubectl.get("guardrailpolicy", name).get("status") or {}
        return " ".join(each["reason"] for each in status.get("conditions") or ())

    with contextlib.ExitStack() as stack:
        for each in replicas:
            stack.callback(each.kill)
            each.start()
        eventually("one leads", lambda: len(leaders(replicas)) == 1)
        (one,) = leaders(replicas)
        held = holder(cluster)
        cluster.kubectl.apply(at.policy("before", "team-a", rightSizing={}))
        eventually("its author is told", lambda: says("before") == "Accepted")

        one.kill()
        (other,) = [each for each in replicas if each is not one]
        eventually("the other takes over", lambda: leaders([other]) == [other], 60)
        assert holder(cluster) not in (held, "")
        cluster.kubectl.apply(at.policy("after", "team-a", rightSizing={}))
        eventually("authors go on being told", lambda: says("after") == "Accepted")
        assert other.stop() == 0
        assert holder(cluster) == "", "given back at the end"
